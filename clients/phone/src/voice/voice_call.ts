// A conversation by voice: the microphone, the loudspeaker and the daemon in between.

import { Code } from "@connectrpc/connect";
import { signal } from "@preact/signals";
import { whoAmI } from "../api/reconnect";
import { AudioEncoding, type VoiceEvent, VoiceMode, VoiceState } from "../gen/edged/v1/voice_pb";
import { t } from "../i18n/texts";
import { ConverseSocket, type Ending, OK, type Socket } from "./converse_socket";
import { PlaybackQueue } from "./playback_queue";
import { type Microphone, MicrophoneDenied, Sound } from "./sound";
import { WakeLock } from "./wake_lock";

const PATH = "/edged.v1.AssistantService/Converse";
const REPORT_MS = 250;

export interface CallOptions {
  /** Empty begins a conversation. */
  readonly conversationId: string;
  readonly model: string;
  readonly isHandsFree: boolean;
  /** Every event but sound. */
  readonly follow: (event: VoiceEvent) => void;
  /** Called once; the message is empty where nothing went wrong. */
  readonly ended: (message: string) => void;
}

export type Connection = "opening" | "up" | "lost";
export type MicrophoneUse = "off" | "opening" | "on";

export class VoiceCall {
  readonly isHandsFree: boolean;
  readonly state = signal(VoiceState.WAITING);
  readonly partial = signal("");
  readonly microphone = signal<MicrophoneUse>("off");
  readonly connection = signal<Connection>("opening");
  readonly problem = signal("");
  readonly #options: CallOptions;
  readonly #sound = new Sound();
  readonly #queue = new PlaybackQueue(this.#sound, () => this.#report());
  readonly #wakeLock = new WakeLock();
  readonly #socket: ConverseSocket;
  #opening: Promise<Microphone> | null = null;
  #isPressed = false;
  #isOver = false;
  #reporting: ReturnType<typeof setInterval> | null = null;

  constructor(options: CallOptions) {
    this.#options = options;
    this.isHandsFree = options.isHandsFree;
    this.#sound.wake();
    this.#socket = new ConverseSocket(
      {
        conversationId: options.conversationId,
        model: options.model,
        mode: options.isHandsFree ? VoiceMode.OPEN : VoiceMode.PUSH_TO_TALK,
        encoding: AudioEncoding.PCM16,
        isEchoCancelled: options.isHandsFree,
      },
      {
        event: (event) => this.#take(event),
        connected: (isUp) => {
          this.connection.value = isUp ? "up" : "lost";
        },
        ended: (how) => void this.#ended(how),
      },
      () => new WebSocket(location.origin.replace(/^http/, "ws") + PATH) as unknown as Socket,
    );
    if (this.isHandsFree) {
      this.#wakeLock.hold();
      void this.#openMicrophone();
    }
  }

  /** The button is down: what is being said aloud stops, and the microphone opens. */
  press(): void {
    if (this.#isPressed || this.isHandsFree) return;
    this.#isPressed = true;
    this.#sound.wake();
    this.#queue.cut();
    this.#socket.send({ case: "button", value: { $typeName: "edged.v1.Button", isPressed: true } });
    void this.#openMicrophone();
  }

  /** The button is up: the microphone closes, and what was said is the question. */
  async release(): Promise<void> {
    if (!this.#isPressed) return;
    this.#isPressed = false;
    this.#sound.wake();
    await this.#closeMicrophone();
    this.#socket.send({ case: "button", value: { $typeName: "edged.v1.Button", isPressed: false } });
  }

  /** Be quiet, and wait. */
  stop(): void {
    this.#queue.cut();
    this.#socket.send({ case: "stop", value: { $typeName: "edged.v1.Stop" } });
  }

  async end(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#socket.close();
    this.#queue.cut();
    this.#stopReporting();
    this.#wakeLock.release();
    await this.#closeMicrophone();
    await this.#sound.close();
  }

  #take(event: VoiceEvent): void {
    switch (event.event.case) {
      case "spokenAudio": {
        const { data, sampleRate, isLast } = event.event.value;
        this.#queue.push(data, sampleRate, isLast);
        this.#reporting ??= setInterval(() => this.#report(), REPORT_MS);
        return;
      }
      case "interrupted":
        this.#queue.cut();
        this.#stopReporting();
        break;
      case "stateChanged":
        this.state.value = event.event.value.state;
        break;
      case "partialTranscript":
        this.partial.value = event.event.value.text;
        break;
      case "finalTranscript":
        this.partial.value = "";
        break;
    }
    this.#options.follow(event);
  }

  /** Tell the daemon how much was heard: only so much of an interrupted answer is kept. */
  #report(): void {
    const playedSeconds = this.#queue.playedSeconds;
    this.#socket.send({ case: "playback", value: { $typeName: "edged.v1.PlaybackReport", playedSeconds } });
    if (!this.#queue.isPlaying) this.#stopReporting();
  }

  #stopReporting(): void {
    if (this.#reporting !== null) clearInterval(this.#reporting);
    this.#reporting = null;
  }

  async #openMicrophone(): Promise<void> {
    this.problem.value = "";
    this.microphone.value = "opening";
    const opening = this.#sound.openMicrophone((data) => {
      this.#socket.send({ case: "audio", value: { $typeName: "edged.v1.SpokenInput", data } });
    });
    this.#opening = opening;
    try {
      await opening;
      if (this.#opening === opening) this.microphone.value = "on"; // unless the button is up by now
    } catch (error) {
      if (this.#opening !== opening) return;
      this.#opening = null;
      this.microphone.value = "off";
      this.problem.value = t(error instanceof MicrophoneDenied ? "microphoneDenied" : "microphoneMissing");
    }
  }

  async #closeMicrophone(): Promise<void> {
    const opening = this.#opening;
    this.#opening = null;
    this.microphone.value = "off";
    await opening?.then(
      (microphone) => microphone.close(),
      () => undefined,
    );
  }

  async #ended({ code, message }: Ending): Promise<void> {
    await this.end();
    if (code === Code.Unauthenticated || (code !== OK && !message)) void whoAmI();
    this.#options.ended(code === OK ? "" : t("failed", { reason: message || t("noAnswer") }));
  }
}
