// The conversation on the screen: what was said in writing and aloud, as it happens.

import { computed, type Signal, signal } from "@preact/signals";
import { assistant, conversations } from "../api/daemon";
import { isCancelled } from "../api/failures";
import { may } from "../api/session";
import type { AskResponse } from "../gen/edged/v1/assistant_pb";
import { FinishReason, type Message, MessageState, type Part, Role } from "../gen/edged/v1/message_pb";
import type { VoiceEvent } from "../gen/edged/v1/voice_pb";
import { explained } from "../i18n/failures";
import { t } from "../i18n/texts";
import { announce, ParagraphReader } from "../shell/announcer";
import { forget, type Picture, pictureOf } from "./picture";

export type LineState = "growing" | "complete" | "stopped" | "cut off" | "failed";

/** One message on the screen. */
export interface Line {
  readonly speaker: "user" | "assistant";
  readonly text: Signal<string>;
  readonly reasoning: Signal<string>;
  readonly pictures: readonly Picture[];
  readonly state: Signal<LineState>;
  /** What there is to say about it: why it failed, that something was left out. */
  readonly note: Signal<string>;
}

interface Question {
  readonly text: string;
  readonly pictures: readonly Picture[];
  readonly model: string;
}

/** Text is put on the screen this often; more often costs battery and shows nothing. */
const DRAW_MS = 50;
/** Pixels of the longer side of a picture of an old conversation: twice of what is drawn. */
const PICTURE_SIDE = 512;

export class ConversationView {
  readonly id = signal("");
  readonly lines = signal<readonly Line[]>([]);
  readonly isLoading = signal(false);
  readonly note = signal("");
  readonly isAnswering = computed(() => this.lines.value.at(-1)?.state.value === "growing");
  readonly #onNamed: (id: string) => void;
  #asking: AbortController | null = null;
  #lastQuestion: Question | null = null;
  #pending = { text: "", reasoning: "" };
  #drawing: ReturnType<typeof setTimeout> | null = null;
  #reader = new ParagraphReader();

  /** onNamed: called when the daemon has given a new conversation its id. */
  constructor(onNamed: (id: string) => void) {
    this.#onNamed = onNamed;
  }

  /** Show this one, from the daemon; an empty id begins a new one. */
  async show(id: string): Promise<void> {
    this.#clear();
    this.id.value = id;
    if (!id) return;
    if (!may.seeHistory.value) {
      this.note.value = t("historyHidden");
      return;
    }
    this.isLoading.value = true;
    try {
      const { messages } = await conversations.getConversation({ conversationId: id, maxPictureSide: PICTURE_SIDE });
      if (this.id.value === id) this.lines.value = messages.filter(isSaid).map(lineOf);
    } catch (error) {
      if (this.id.value === id) this.note.value = explained(error);
    } finally {
      if (this.id.value === id) this.isLoading.value = false;
    }
  }

  /** Ask in writing, and follow the answer to its end. */
  async ask(question: Question): Promise<void> {
    this.stop();
    this.#add("user", "complete", question.text, question.pictures);
    await this.#answer(question);
  }

  /** Ask the last question again, in place of the answer that failed. */
  async retry(): Promise<void> {
    if (!this.#lastQuestion || this.isAnswering.value) return;
    this.lines.value = this.lines.value.slice(0, -1);
    await this.#answer(this.#lastQuestion);
  }

  get canRetry(): boolean {
    return this.#lastQuestion !== null;
  }

  /** Break the answer off; the daemon keeps what there is of it. */
  stop(): void {
    this.#asking?.abort();
    this.#asking = null;
  }

  /** What a conversation by voice tells, as far as it is to be read. */
  follow({ event }: VoiceEvent): void {
    switch (event.case) {
      case "finalTranscript":
        if (event.value.text) this.#add("user", "complete", event.value.text, []);
        break;
      case "interrupted":
        this.#interrupted(event.value.heard);
        break;
      case "turnFailed":
        this.#endsWith("failed", t("failed", { reason: event.value.message }));
        break;
      case "started":
        this.#lastQuestion = null;
        this.#add("assistant", "growing", "", []);
        this.#named(event.value.conversationId);
        break;
      case "textDelta":
      case "reasoningDelta":
      case "contextTrimmed":
      case "finished":
        this.#grow(event);
        break;
    }
  }

  async #answer(question: Question): Promise<void> {
    this.#lastQuestion = question;
    const line = this.#add("assistant", "growing", "", []);
    announce(t("answering"));
    const call = new AbortController();
    this.#asking = call;
    try {
      const parts = partsOf(question);
      const request = { conversationId: this.id.value, parts, model: question.model };
      for await (const { event } of assistant.ask(request, { signal: call.signal })) {
        if (call.signal.aborted) break;
        if (event.case === "started") this.#named(event.value.conversationId);
        else if (event.case === "transcribed" || event.case === "measured") continue;
        else this.#grow(event);
      }
      if (line.state.value === "growing") this.#endsWith(call.signal.aborted ? "stopped" : "complete", "");
    } catch (error) {
      if (this.lines.value.at(-1) !== line) return; // another conversation is on the screen by now
      if (isCancelled(error)) this.#endsWith("stopped", t("stopped"));
      else this.#endsWith("failed", explained(error));
    } finally {
      if (this.#asking === call) this.#asking = null;
    }
  }

  #grow(event: AskResponse["event"]): void {
    switch (event.case) {
      case "textDelta":
        this.#pending.text += event.value.text;
        this.#drawing ??= setTimeout(() => this.#draw(), DRAW_MS);
        break;
      case "reasoningDelta":
        this.#pending.reasoning += event.value.text;
        this.#drawing ??= setTimeout(() => this.#draw(), DRAW_MS);
        break;
      case "contextTrimmed":
        this.note.value = t("trimmed");
        break;
      case "finished":
        this.#endsWith(...endOf(event.value.finishReason));
        break;
    }
  }

  #draw(): void {
    if (this.#drawing !== null) clearTimeout(this.#drawing);
    this.#drawing = null;
    const line = this.lines.value.at(-1);
    if (line?.speaker === "assistant") {
      line.text.value += this.#pending.text;
      line.reasoning.value += this.#pending.reasoning;
      announce(this.#reader.next(line.text.value, line.state.value !== "growing"));
    }
    this.#pending = { text: "", reasoning: "" };
  }

  #endsWith(state: LineState, note: string): void {
    let line = this.lines.value.at(-1);
    if (line?.speaker !== "assistant") {
      if (!note) return;
      line = this.#add("assistant", state, "", []);
    }
    if (line.state.value === "growing") line.state.value = state;
    if (note) line.note.value = note;
    this.#draw();
    announce(note);
  }

  /** Only what was heard is kept, here as in the daemon. */
  #interrupted(heard: string): void {
    this.#draw();
    const line = this.lines.value.findLast(({ speaker }) => speaker === "assistant");
    if (!line) return;
    if (heard || line.state.value === "growing") line.text.value = heard;
    line.state.value = "stopped";
    line.note.value = t("stopped");
  }

  #add(speaker: Line["speaker"], state: LineState, text: string, pictures: readonly Picture[]): Line {
    this.#draw();
    const before = this.lines.value.at(-1);
    if (before?.state.value === "growing") before.state.value = "stopped";
    if (speaker === "assistant") this.#reader = new ParagraphReader();
    const line = lineWith(speaker, state, text, pictures);
    this.lines.value = [...this.lines.value, line];
    return line;
  }

  #named(id: string): void {
    if (!id || this.id.value === id) return;
    this.id.value = id;
    this.#onNamed(id);
  }

  #clear(): void {
    this.stop();
    for (const line of this.lines.value) line.pictures.forEach(forget);
    this.lines.value = [];
    this.note.value = "";
    this.isLoading.value = false;
    this.#lastQuestion = null;
    this.#pending = { text: "", reasoning: "" };
  }
}

function lineWith(speaker: Line["speaker"], state: LineState, text: string, pictures: readonly Picture[]): Line {
  return { speaker, pictures, text: signal(text), reasoning: signal(""), state: signal(state), note: signal("") };
}

/** By a person or the model: not to the model, and not by a tool. */
export function isSaid({ role }: Message): boolean {
  return role === Role.USER || role === Role.ASSISTANT;
}

function lineOf(message: Message): Line {
  const pictures = message.parts.flatMap(({ content }) =>
    content.case === "image" ? [pictureOf(content.value.data, content.value.mediaType)] : [],
  );
  const line = lineWith(message.role === Role.USER ? "user" : "assistant", "complete", textOf(message.parts), pictures);
  line.reasoning.value = message.reasoning;
  if (message.role === Role.USER) return line;
  const broken = [MessageState.CANCELLED, MessageState.INTERRUPTED, MessageState.FAILED].includes(message.state);
  [line.state.value, line.note.value] = broken ? ["stopped", t("stopped")] : endOf(message.finishReason);
  return line;
}

/** What is written in a message, and what was said in its recordings. */
export function textOf(parts: readonly Part[]): string {
  return parts
    .map(({ content, transcript }) => (content.case === "text" ? content.value : transcript))
    .filter(Boolean)
    .join("\n\n");
}

function endOf(reason: FinishReason): [LineState, string] {
  if (reason === FinishReason.LENGTH) return ["cut off", t("cutOff")];
  if (reason === FinishReason.CANCELLED) return ["stopped", t("stopped")];
  return ["complete", ""];
}

function partsOf({ text, pictures }: Question) {
  const images = pictures.map(({ data, mediaType }) => ({
    content: { case: "image" as const, value: { data, mediaType } },
  }));
  return text ? [...images, { content: { case: "text" as const, value: text } }] : images;
}
