// What the daemon is and does, what left the device, who this device is, and its settings.

import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { models, status as statusService } from "../api/daemon";
import { device } from "../api/session";
import { type Device, Scope } from "../gen/edged/v1/device_pb";
import type { Model } from "../gen/edged/v1/model_pb";
import {
  type GetStatusResponse,
  MicrophoneState,
  type PrivacyStatus,
  type StoreStatus,
} from "../gen/edged/v1/status_pb";
import { explained } from "../i18n/failures";
import { type TextName, t, when } from "../i18n/texts";
import { LanguageChoice, ThemeChoice } from "../settings/choices";
import { fragmentOf, go } from "../shell/route";

const MICROPHONE: Readonly<Record<MicrophoneState, TextName>> = {
  [MicrophoneState.UNSPECIFIED]: "micClosed",
  [MicrophoneState.CLOSED]: "micClosed",
  [MicrophoneState.OPEN]: "micOpen",
  [MicrophoneState.MUTED]: "micMuted",
  [MicrophoneState.LOST]: "micLost",
};
const SCOPES: Readonly<Record<Scope, TextName | null>> = {
  [Scope.UNSPECIFIED]: null,
  [Scope.CHAT]: "scopeChat",
  [Scope.VOICE]: "scopeVoice",
  [Scope.CAMERA]: "scopeCamera",
  [Scope.HISTORY]: "scopeHistory",
  [Scope.HISTORY_ALL]: "scopeHistoryAll",
  [Scope.ADMIN]: "scopeAdmin",
};
/** What is on may change at any moment. */
const REFRESH_MS = 5_000;

export function StatusPage() {
  const [status, setStatus] = useState<GetStatusResponse | null>(null);
  const [loaded, setLoaded] = useState<Model | null>(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    const refresh = async () => {
      if (document.visibilityState !== "visible") return;
      try {
        const now = await statusService.getStatus({});
        setStatus(now);
        setProblem("");
        setLoaded((await models.listModels({})).models.find(({ name }) => name === now.engine?.model) ?? null);
      } catch (error) {
        setProblem(explained(error));
      }
    };
    void refresh();
    const timer = setInterval(() => void refresh(), REFRESH_MS);
    return () => clearInterval(timer);
  }, []);

  return (
    <main class="page">
      <h1>{t("tabDevice")}</h1>
      <div role="alert">{problem && <p class="problem">{problem}</p>}</div>
      {status?.privacy && <Privacy privacy={status.privacy} />}
      {status && <ModelSection status={status} model={loaded} />}
      {status?.store && <Storage store={status.store} />}
      {device.value && <ThisDevice device={device.value} />}
      <section class="stack">
        <h2>{t("settings")}</h2>
        <LanguageChoice />
        <ThemeChoice />
      </section>
      <p class="footer">
        <a
          href={fragmentOf({ page: "install" })}
          onClick={(event) => {
            event.preventDefault();
            go({ page: "install" });
          }}
        >
          {t("installLink")}
        </a>
        <a href="/licences.txt">{t("licences")}</a>
      </p>
    </main>
  );
}

function Privacy({ privacy }: { readonly privacy: PrivacyStatus }) {
  const isEnforced = privacy.enforcements.some(({ active }) => active);
  return (
    <section class="stack">
      <h2>{t("privacyTitle")}</h2>
      <p class={isEnforced ? "promise" : "notice"}>{t(isEnforced ? "nothingLeft" : "notEnforced")}</p>
      <p>{t("refusedConnections", { count: privacy.refusedConnections })}</p>
      <p>{t(privacy.contentLogging ? "contentLogged" : "contentNotLogged")}</p>
      <h3>{t("enforcements")}</h3>
      <ul class="enforcements">
        {privacy.enforcements.map(({ name, active, detail }) => (
          <li key={name}>
            <strong>{name}</strong> <span class={active ? "on" : "off"}>{t(active ? "active" : "inactive")}</span>
            <span class="hint">{detail}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function ModelSection({ status, model }: { readonly status: GetStatusResponse; readonly model: Model | null }) {
  const { engine, voice, version } = status;
  return (
    <section class="stack">
      <h2>{t("modelTitle")}</h2>
      {model?.isDemo && <p class="notice">{t("demoModel")}</p>}
      <dl>
        {engine && (
          <>
            <Row name="modelTitle">{engine.model}</Row>
            <Row name="runsOn">{engine.device}</Row>
            <Row name="context">{t("tokens", { count: engine.contextLength })}</Row>
          </>
        )}
        {voice && (
          <Row name="daemonMicrophone">
            {t(MICROPHONE[voice.microphone])}
            {voice.obstacle && <span class="hint">{voice.obstacle}</span>}
          </Row>
        )}
        <Row name="version">{version}</Row>
      </dl>
    </section>
  );
}

function Storage({ store }: { readonly store: StoreStatus }) {
  return (
    <section class="stack">
      <h2>{t("storage")}</h2>
      <p>{t(store.encrypted ? "encrypted" : "notEncrypted")}</p>
      {store.protection && <p class="hint">{store.protection}</p>}
    </section>
  );
}

function ThisDevice({ device }: { readonly device: Device }) {
  const scopes = device.scopes.flatMap((scope) => SCOPES[scope] ?? []);
  return (
    <section class="stack">
      <h2>{t("thisDevice")}</h2>
      <dl>
        <Row name="name">{device.name}</Row>
        {device.person && <Row name="person">{device.person}</Row>}
        <Row name="mayDo">{scopes.map((name) => t(name)).join(", ")}</Row>
        <Row name="expires">{when(device.expiresAt?.seconds) || t("never")}</Row>
      </dl>
      <p class="hint">{t("unpairHint")}</p>
    </section>
  );
}

function Row({ name, children }: { readonly name: TextName; readonly children: ComponentChildren }) {
  return (
    <div>
      <dt>{t(name)}</dt>
      <dd>{children}</dd>
    </div>
  );
}
