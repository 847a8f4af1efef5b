// The only things that stay on this device: language, colours and model.

import { effect, signal } from "@preact/signals";

export type Language = "en" | "zh";
export type Theme = "system" | "light" | "dark";

const kept = <T extends string>(name: string, allowed: (value: string) => value is T, otherwise: T) => {
  const value = read(name);
  const setting = signal<T>(value !== null && allowed(value) ? value : otherwise);
  effect(() => write(name, setting.value));
  return setting;
};

const oneOf =
  <T extends string>(...values: readonly T[]) =>
  (value: string): value is T =>
    (values as readonly string[]).includes(value);

export const language = kept<Language>("language", oneOf("en", "zh"), preferredLanguage());
export const theme = kept<Theme>("theme", oneOf("system", "light", "dark"), "system");
/** Name of an engine; empty for the daemon's default one. */
export const model = kept<string>("model", (value): value is string => value.length <= 200, "");

/** Keep the page in the chosen language and colours. */
export function applySettings(): void {
  effect(() => {
    document.documentElement.lang = language.value === "zh" ? "zh-Hans" : "en";
  });
  effect(() => {
    document.documentElement.dataset.theme = theme.value;
  });
}

function preferredLanguage(): Language {
  return globalThis.navigator?.language?.toLowerCase().startsWith("zh") ? "zh" : "en";
}

// Private windows may forbid storage altogether.
function read(name: string): string | null {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

function write(name: string, value: string): void {
  try {
    localStorage.setItem(name, value);
  } catch {
    // Then it lasts as long as the page.
  }
}
