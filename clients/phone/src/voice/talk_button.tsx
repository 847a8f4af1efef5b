// The button to hold while talking.

import type { Signal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { t } from "../i18n/texts";
import { Icon } from "../shell/icons";
import type { VoiceCall } from "./voice_call";

interface Props {
  readonly call: Signal<VoiceCall | null>;
  readonly startCall: (isHandsFree: boolean) => VoiceCall;
}

export function TalkButton({ call, startCall }: Props) {
  const isHeld = useRef(false);
  const isByPointer = useRef(false);
  const isOn = call.value !== null && call.value.microphone.value !== "off";

  const press = () => {
    isHeld.current = true;
    (call.value ?? startCall(false)).press();
  };
  const release = () => {
    if (!isHeld.current) return;
    isHeld.current = false;
    void call.value?.release();
  };
  const isKey = (event: KeyboardEvent) => event.key === " " || event.key === "Enter";

  return (
    <button
      type="button"
      class={`round talk ${isOn ? "is-on" : ""}`}
      aria-label={t(isOn ? "releaseToAsk" : "holdToTalk")}
      title={t("holdToTalk")}
      aria-pressed={isOn}
      onPointerDown={(event) => {
        if (event.button !== 0) return;
        event.currentTarget.setPointerCapture(event.pointerId); // the finger may slip off
        isByPointer.current = true;
        press();
      }}
      onPointerUp={release}
      onPointerCancel={() => {
        isByPointer.current = false;
        release();
      }}
      onKeyDown={(event) => {
        if (!isKey(event)) return;
        event.preventDefault();
        if (!event.repeat) press();
      }}
      onKeyUp={(event) => {
        if (!isKey(event)) return;
        event.preventDefault();
        release();
      }}
      onBlur={release}
      onContextMenu={(event) => event.preventDefault()} // a long press is none
      onClick={() => {
        // Screen readers click and cannot hold: the first click presses, the next one releases.
        if (isByPointer.current) isByPointer.current = false;
        else if (isHeld.current) release();
        else press();
      }}
    >
      <Icon name="microphone" />
    </button>
  );
}
