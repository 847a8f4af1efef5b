// What the app says, in the chosen language.

import { language } from "../settings/settings";
import { en } from "./en";
import { zh } from "./zh";

export type TextName = keyof typeof en;
export type Texts = Readonly<Record<TextName, string>>;

const TEXTS: Readonly<Record<"en" | "zh", Texts>> = { en, zh };

/** The text of this name; components that use it are drawn again when the language changes. */
export function t(name: TextName, values: Readonly<Record<string, string | number>> = {}): string {
  return filled(TEXTS[language.value][name], values);
}

/** A text with its values in place. */
export function filled(text: string, values: Readonly<Record<string, string | number>>): string {
  return text.replace(/\{(\w+)\}/g, (hole, name: string) => String(values[name] ?? hole));
}

/** A moment for people, in their language. */
export function when(seconds: bigint | undefined): string {
  if (seconds === undefined) return "";
  const format = new Intl.DateTimeFormat(language.value, { dateStyle: "medium", timeStyle: "short" });
  return format.format(Number(seconds) * 1000);
}
