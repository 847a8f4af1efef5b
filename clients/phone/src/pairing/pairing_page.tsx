// Pairing: a scanned link or a typed code, the short string, and what may go wrong, in words.

import { Code } from "@connectrpc/connect";
import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { codeOf, isCancelled } from "../api/failures";
import { paired, standing, wasRevoked } from "../api/session";
import { PairingMeans } from "../gen/edged/v1/device_pb";
import { explained } from "../i18n/failures";
import { t } from "../i18n/texts";
import { LanguageChoice } from "../settings/choices";
import { fragmentOf } from "../shell/route";
import { codeIn, type Invitation, invitationIn, likelyName } from "./invitation";
import { Impostor, pair } from "./pair";
import { BadMessage } from "./spake2";

/** From a scanned link, until it was used. */
export const invitation = signal<Invitation | null>(null);

/** Take the secret out of the address bar, and out of the browser's history. */
export function acceptInvitation(): void {
  const read = () => {
    const found = invitationIn(location.hash);
    if (!found) return;
    invitation.value = found;
    history.replaceState(null, "", location.pathname);
  };
  read();
  addEventListener("hashchange", read); // a link that was scanned while the page was open
}

/** A line of a fingerprint, short enough for any phone. */
const EIGHT_BYTES = /.{23}:?/g;

type Step = { readonly name: "asking" } | { readonly name: "proving" } | { readonly name: "comparing"; text: string };

export function PairingPage() {
  const [step, setStep] = useState<Step>({ name: "asking" });
  const [problem, setProblem] = useState("");
  const under = useRef<AbortController | null>(null);
  useEffect(() => () => under.current?.abort(), []);

  const begin = async (code: string, deviceName: string) => {
    const link = invitation.value;
    const call = new AbortController();
    under.current = call;
    setProblem("");
    setStep({ name: "proving" });
    try {
      const device = await pair({
        means: link ? PairingMeans.SECRET : PairingMeans.CODE,
        password: link?.secret ?? code,
        deviceName,
        show: (text) => setStep({ name: "comparing", text }),
        signal: call.signal,
      });
      invitation.value = null;
      if (device) paired(device);
    } catch (error) {
      if (call.signal.aborted || isCancelled(error)) return;
      setProblem(inWords(error, link !== null));
    } finally {
      if (under.current === call) setStep({ name: "asking" });
    }
  };
  const cancel = () => {
    under.current?.abort();
    under.current = null;
    setStep({ name: "asking" });
  };

  return (
    <main class="page pairing">
      <h1>{t("pairTitle")}</h1>
      {wasRevoked.value && step.name === "asking" && <p class="notice">{t("revoked")}</p>}
      <div role="alert">{problem && <p class="problem">{problem}</p>}</div>
      {step.name === "asking" && <Question onPair={begin} />}
      {step.name === "proving" && <p role="status">{t("pairProving")}</p>}
      {step.name === "comparing" && <Comparison text={step.text} onCancel={cancel} />}
      <Fingerprint />
      <p class="footer">
        <a href={fragmentOf({ page: "install" })}>{t("installLink")}</a>
        <LanguageChoice />
      </p>
    </main>
  );
}

function Question({ onPair }: { readonly onPair: (code: string, deviceName: string) => void }) {
  const [code, setCode] = useState("");
  const [name, setName] = useState(likelyName(navigator.userAgent));
  const [problem, setProblem] = useState("");
  const isByLink = invitation.value !== null;
  const submit = (event: Event) => {
    event.preventDefault();
    const digits = isByLink ? "" : codeIn(code);
    if (digits === null) setProblem(t("codeMalformed"));
    else if (!name.trim()) setProblem(t("nameMissing"));
    else onPair(digits, name.trim());
  };
  return (
    <form class="stack" onSubmit={submit} noValidate>
      <p>{t(isByLink ? "pairLinkIntro" : "pairIntro")}</p>
      {!isByLink && (
        <label>
          {t("code")}
          <input
            class="code"
            inputMode="numeric"
            autoComplete="one-time-code"
            maxLength={12}
            placeholder="123 456"
            value={code}
            onInput={({ currentTarget }) => setCode(currentTarget.value)}
          />
        </label>
      )}
      <label>
        {t("deviceName")}
        <input maxLength={60} value={name} onInput={({ currentTarget }) => setName(currentTarget.value)} />
      </label>
      <div role="alert">{problem && <p class="problem">{problem}</p>}</div>
      <button type="submit" class="primary">
        {t("pair")}
      </button>
      {isByLink && (
        <button
          type="button"
          onClick={() => {
            invitation.value = null;
          }}
        >
          {t(standing.value === "paired" ? "cancel" : "pairUseCode")}
        </button>
      )}
    </form>
  );
}

function Comparison({ text, onCancel }: { readonly text: string; readonly onCancel: () => void }) {
  return (
    <section class="stack" role="status">
      <h2>{t("compareTitle")}</h2>
      <p class="short-string">{text}</p>
      <p>{t("compareHint")}</p>
      <button type="button" onClick={onCancel}>
        {t("cancel")}
      </button>
    </section>
  );
}

function Fingerprint() {
  const fingerprint = invitation.value?.fingerprint;
  if (!fingerprint) return null;
  return (
    <section>
      <h2>{t("fingerprintTitle")}</h2>
      <p class="fingerprint">
        {fingerprint.match(EIGHT_BYTES)?.map((line, at) => (
          <span key={at}>{line}</span>
        ))}
      </p>
      <p class="hint">{t("fingerprintHint")}</p>
    </section>
  );
}

function inWords(error: unknown, isByLink: boolean): string {
  if (error instanceof Impostor || error instanceof BadMessage) return t("impostor");
  switch (codeOf(error)) {
    case Code.Unauthenticated:
      return t(isByLink ? "linkWrong" : "codeWrong");
    case Code.ResourceExhausted:
      return t("lockedOut");
    case Code.FailedPrecondition:
    case Code.NotFound:
      return t("noPairing");
    case Code.PermissionDenied:
      return t("refused");
    case Code.DeadlineExceeded:
      return t("pairExpired");
    default:
      return explained(error);
  }
}
