// Answers are Markdown, and hostile: a model may say anything. HTML in an answer is shown as the text that it is,
// pictures become links, and what is left goes through a sanitiser that knows a short list of elements: nothing in an
// answer loads or runs.

import createPurifier, { type Config, type WindowLike } from "dompurify";
import { Marked } from "marked";

const markdown = new Marked({ gfm: true, breaks: true, async: false });
markdown.use({
  renderer: {
    html: ({ text }) => escaped(text),
    image: ({ href, text }) => `<a href="${escaped(href)}">${escaped(text || href)}</a>`,
  },
});

const CONFIG: Config = {
  ALLOWED_TAGS: (
    "a b blockquote br code del em h1 h2 h3 h4 h5 h6 hr i input kbd li ol p pre s strong sub sup table tbody td th " +
    "thead tr ul"
  ).split(" "),
  ALLOWED_ATTR: ["href", "start", "type", "checked", "disabled"],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};

/** One block of Markdown as HTML, not yet safe. */
export interface Block {
  readonly html: string;
}

/** The blocks of a text that may still grow; only the last ones change when it does. */
export function blocksOf(text: string): Block[] {
  try {
    const tokens = markdown.lexer(text).filter(({ type }) => type !== "space" && type !== "def");
    return tokens.map((token) => ({ html: markdown.parser([token]) }));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return [{ html: `<pre>${escaped(text)}</pre>` }]; // nested more deeply than the parser can go
  }
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}

/** A function that makes HTML safe; `window` is the one whose nodes it makes. */
export function sanitiser(window: WindowLike): (html: string) => DocumentFragment {
  const purifier = createPurifier(window);
  purifier.addHook("afterSanitizeAttributes", (node) => {
    if (node.tagName === "A") {
      node.setAttribute("rel", "noopener noreferrer nofollow");
      node.setAttribute("target", "_blank");
    }
    if (node.tagName === "INPUT") {
      // Only the boxes of task lists, which nobody can tick.
      if (node.getAttribute("type") !== "checkbox") node.remove();
      else node.setAttribute("disabled", "");
    }
    if (node.tagName === "PRE") node.setAttribute("tabindex", "0"); // it scrolls, so the keyboard must get there
  });
  return (html) => purifier.sanitize(html, CONFIG) as unknown as DocumentFragment;
}
