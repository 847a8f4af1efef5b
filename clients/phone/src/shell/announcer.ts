// What a screen reader says of a streaming answer: whole paragraphs, politely, and never token by token.

import { signal } from "@preact/signals";

/** Shown in the page's only live region. */
export const announcement = signal("");

/** Hands an answer on as its paragraphs are finished. */
export class ParagraphReader {
  #said = 0;

  /** What is new and complete in the text so far; empty where there is nothing to say yet. */
  next(text: string, isFinished: boolean): string {
    const end = isFinished ? text.length : text.lastIndexOf("\n\n");
    if (end <= this.#said) return "";
    const paragraphs = text.slice(this.#said, end);
    this.#said = end;
    return plain(paragraphs);
  }
}

export function announce(text: string): void {
  if (text) announcement.value = text;
}

/** Markdown without what would be read out as punctuation. */
export function plain(markdown: string): string {
  return markdown
    .replace(/^ *(```|~~~).*$/gm, "")
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/^ {0,3}(#{1,6}|>|[-*+]|\d+[.)])\s+/gm, "")
    .replace(/(\*{1,3}|_{1,3}|`{1,3})(\S(?:.*?\S)?)\1/g, "$2")
    .trim();
}
