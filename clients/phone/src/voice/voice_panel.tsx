// What a conversation by voice is doing: whether the microphone is on, who speaks, what was heard so far.

import { VoiceState } from "../gen/edged/v1/voice_pb";
import { type TextName, t } from "../i18n/texts";
import { Icon } from "../shell/icons";
import type { Connection, MicrophoneUse, VoiceCall } from "./voice_call";

const STATES: Readonly<Record<VoiceState, TextName>> = {
  [VoiceState.UNSPECIFIED]: "voiceWaiting",
  [VoiceState.WAITING]: "voiceWaiting",
  [VoiceState.LISTENING]: "voiceListening",
  [VoiceState.THINKING]: "voiceThinking",
  [VoiceState.SPEAKING]: "voiceSpeaking",
};
const CONNECTION: Readonly<Record<Exclude<Connection, "up">, TextName>> = {
  opening: "connecting",
  lost: "voiceReconnecting",
};
const MICROPHONE: Readonly<Record<MicrophoneUse, TextName>> = {
  off: "microphoneOff",
  opening: "microphoneOpening",
  on: "microphoneOn",
};

interface Props {
  readonly call: VoiceCall;
  readonly hangUp: () => void;
}

export function VoicePanel({ call, hangUp }: Props) {
  const microphone = call.microphone.value;
  const state = call.state.value;
  const connection = call.connection.value;
  return (
    <section class="voice" aria-label={t("voiceStatus")}>
      <p class="voice-state" role="status">
        <span class={`lamp ${microphone}`} aria-hidden="true" />
        <span class="microphone-state">{t(MICROPHONE[microphone])}</span>
        <span class="turn-state">{t(connection === "up" ? STATES[state] : CONNECTION[connection])}</span>
      </p>
      {call.partial.value && <p class="partial">{call.partial.value}</p>}
      {call.problem.value && (
        <p class="problem" role="alert">
          {call.problem.value}
        </p>
      )}
      <div class="tools">
        {state === VoiceState.SPEAKING && (
          <button type="button" onClick={() => call.stop()}>
            <Icon name="quiet" />
            {t("beQuiet")}
          </button>
        )}
        <button type="button" onClick={hangUp}>
          <Icon name="cross" />
          {t("voiceEnd")}
        </button>
      </div>
    </section>
  );
}
