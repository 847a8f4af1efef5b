// What to say next: in writing, with pictures, or aloud.

import type { Signal } from "@preact/signals";
import { useRef, useState } from "preact/hooks";
import { may } from "../api/session";
import { t } from "../i18n/texts";
import { model } from "../settings/settings";
import { Icon } from "../shell/icons";
import { TalkButton } from "../voice/talk_button";
import type { VoiceCall } from "../voice/voice_call";
import { VoicePanel } from "../voice/voice_panel";
import type { ConversationView } from "./conversation";
import { forget, type Picture, pictureFrom } from "./picture";
import { Viewfinder } from "./viewfinder";

interface Props {
  readonly view: ConversationView;
  readonly call: Signal<VoiceCall | null>;
  readonly problem: Signal<string>;
  readonly startCall: (isHandsFree: boolean) => VoiceCall;
  readonly hangUp: () => void;
}

export function Composer({ view, call, problem, startCall, hangUp }: Props) {
  const [text, setText] = useState("");
  const [picture, setPicture] = useState<Picture | null>(null);
  const [pictureProblem, setPictureProblem] = useState("");

  const [isLooking, setLooking] = useState(false);

  const attach = (next: Picture) => {
    setPictureProblem("");
    if (picture) forget(picture);
    setPicture(next);
  };
  const attachFile = (file: File | undefined) => {
    if (file) pictureFrom(file).then(attach, () => setPictureProblem(t("pictureUnreadable")));
  };
  const remove = () => {
    if (picture) forget(picture);
    setPicture(null);
  };
  const send = () => {
    const question = text.trim();
    if (!question && !picture) return;
    void view.ask({ text: question, pictures: picture ? [picture] : [], model: model.value });
    setText("");
    setPicture(null);
  };
  const isAnswering = view.isAnswering.value;
  const isHandsFree = call.value?.isHandsFree ?? false;

  return (
    <div class="composer">
      <div role="alert">
        {(pictureProblem || problem.value) && <p class="problem">{pictureProblem || problem.value}</p>}
      </div>
      {call.value && <VoicePanel call={call.value} hangUp={hangUp} />}
      {picture && (
        <div class="attached">
          <img src={picture.url} alt={t("picture")} />
          <button type="button" class="quiet small" aria-label={t("removePicture")} onClick={remove}>
            <Icon name="cross" />
          </button>
        </div>
      )}
      {may.chat.value && <Writing text={text} setText={setText} send={send} />}
      {isLooking && <Viewfinder onPicture={attach} onClose={() => setLooking(false)} />}
      <div class="controls">
        {may.chat.value && (
          <>
            <FileButton take={attachFile} />
            <button
              type="button"
              class="quiet"
              aria-label={t("takePicture")}
              title={t("takePicture")}
              onClick={() => setLooking(true)}
            >
              <Icon name="camera" />
            </button>
          </>
        )}
        <span class="gap" />
        {may.talk.value && (
          <>
            <button
              type="button"
              class="quiet"
              aria-pressed={isHandsFree}
              aria-label={t(isHandsFree ? "handsFreeOff" : "handsFreeOn")}
              title={t("handsFree")}
              onClick={() => (isHandsFree ? hangUp() : startCall(true))}
            >
              <Icon name="waves" />
            </button>
            {!isHandsFree && <TalkButton call={call} startCall={startCall} />}
          </>
        )}
        {may.chat.value && (
          <button
            type="button"
            class="primary round"
            aria-label={t(isAnswering ? "stop" : "send")}
            title={t(isAnswering ? "stop" : "send")}
            disabled={!isAnswering && !text.trim() && !picture}
            onClick={() => {
              if (!isAnswering) send();
              else if (call.value) call.value.stop();
              else view.stop();
            }}
          >
            <Icon name={isAnswering ? "stop" : "send"} />
          </button>
        )}
      </div>
    </div>
  );
}

interface WritingProps {
  readonly text: string;
  readonly setText: (text: string) => void;
  readonly send: () => void;
}

function Writing({ text, setText, send }: WritingProps) {
  return (
    <textarea
      rows={Math.min(6, text.split("\n").length)}
      aria-label={t("message")}
      placeholder={t("messagePlaceholder")}
      value={text}
      enterkeyhint="send"
      onInput={({ currentTarget }) => setText(currentTarget.value)}
      onKeyDown={(event) => {
        // Not while an input method is still choosing characters.
        if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
        event.preventDefault();
        send();
      }}
    />
  );
}

function FileButton({ take }: { readonly take: (file: File | undefined) => void }) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <input
        ref={input}
        type="file"
        accept="image/*"
        class="only-read"
        tabIndex={-1}
        aria-hidden="true"
        onChange={({ currentTarget }) => {
          take(currentTarget.files?.[0]);
          currentTarget.value = ""; // the same picture may be chosen again
        }}
      />
      <button
        type="button"
        class="quiet"
        aria-label={t("attach")}
        title={t("attach")}
        onClick={() => input.current?.click()}
      >
        <Icon name="picture" />
      </button>
    </>
  );
}
