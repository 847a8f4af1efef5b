// Reading an answer aloud with a voice of the phone's own.
//
// Some voices of some browsers send the text to their maker. Only those that say they run on the device are used;
// where there is none, there is no button.

import { signal } from "@preact/signals";
import { language } from "../settings/settings";
import { plain } from "../shell/announcer";

const synthesis = globalThis.speechSynthesis as SpeechSynthesis | undefined;
const voices = signal<readonly SpeechSynthesisVoice[]>([]);

/** What is being read; null while nothing is. */
export const beingRead = signal<object | null>(null);

/** The best voice on this device for a language ("en", "zh"); null where there is none. */
export function localVoice(all: readonly SpeechSynthesisVoice[], wanted: string): SpeechSynthesisVoice | null {
  const local = all.filter((voice) => voice.localService && voice.lang.toLowerCase().startsWith(wanted));
  return local.find((voice) => voice.default) ?? local[0] ?? null;
}

/** Chinese where there are Chinese characters, otherwise the app's language, or English. */
export function languageOf(text: string): string {
  if (/\p{Script=Han}/u.test(text)) return "zh";
  return language.value === "zh" ? "en" : language.value;
}

export function canRead(text: string): boolean {
  return localVoice(voices.value, languageOf(text)) !== null;
}

/** Read it, or stop where it is being read already. `of` names the answer. */
export function toggleReading(of: object, markdown: string): void {
  const wasRead = beingRead.value;
  synthesis?.cancel();
  beingRead.value = null;
  const voice = localVoice(voices.value, languageOf(markdown));
  if (wasRead === of || !voice) return;
  const utterance = new SpeechSynthesisUtterance(plain(markdown));
  utterance.voice = voice;
  utterance.lang = voice.lang;
  utterance.onend = utterance.onerror = () => {
    if (beingRead.value === of) beingRead.value = null;
  };
  beingRead.value = of;
  synthesis?.speak(utterance);
}

/** Voices arrive after the page does. */
export function watchVoices(): void {
  const refresh = () => {
    voices.value = synthesis?.getVoices() ?? [];
  };
  refresh();
  synthesis?.addEventListener?.("voiceschanged", refresh);
}
