import { describe, expect, it } from "vitest";
import { fitted } from "../src/chat/picture";
import { languageOf, localVoice } from "../src/chat/read_aloud";
import { spansOf } from "../src/conversations/snippet";
import { ParagraphReader, plain } from "../src/shell/announcer";
import { fragmentOf, routeOf } from "../src/shell/route";

describe("a streaming answer for a screen reader", () => {
  it("comes in whole paragraphs, each once", () => {
    const reader = new ParagraphReader();
    const text = "First one.\n\nSecond **one**.\n\nThird";
    const said: string[] = [];
    for (let end = 1; end <= text.length; end++) said.push(reader.next(text.slice(0, end), false));
    said.push(reader.next(text, true), reader.next(text, true));
    expect(said.filter(Boolean)).toEqual(["First one.", "Second one.", "Third"]);
  });

  it("has no punctuation of Markdown in it", () => {
    expect(plain("## Title\n- **a** and `b`\n[link](https://example.org)\n```py\nx = 1\n```")).toBe(
      "Title\na and b\nlink\n\nx = 1",
    );
  });
});

describe("a voice for reading aloud", () => {
  const voice = (lang: string, localService: boolean, isDefault = false) =>
    ({ lang, localService, default: isDefault, name: `${lang} ${localService}` }) as SpeechSynthesisVoice;

  it("never sends the text away", () => {
    expect(localVoice([voice("en-US", false, true)], "en")).toBeNull();
    const local = voice("en-GB", true);
    expect(localVoice([voice("en-US", false, true), voice("de-DE", true), local], "en")).toBe(local);
  });

  it("speaks the answer's language", () => {
    expect(languageOf("你好")).toBe("zh");
    expect(languageOf("hello")).toBe("en");
  });
});

it.each([
  [4032, 3024, 2048, 1536],
  [3024, 4032, 1536, 2048],
  [640, 480, 640, 480],
  [20_000, 1, 2048, 1],
])("shrinks a picture of %i × %i and never enlarges one", (width, height, newWidth, newHeight) => {
  expect(fitted(width, height)).toEqual({ width: newWidth, height: newHeight });
});

it("marks what was found, and takes marks out of what was said", () => {
  expect(spansOf("the \u0002capital\u0003 of \u0002France\u0003")).toEqual([
    { text: "the ", isMatch: false },
    { text: "capital", isMatch: true },
    { text: " of ", isMatch: false },
    { text: "France", isMatch: true },
  ]);
  expect(spansOf("\u0002never closed")).toEqual([{ text: "never closed", isMatch: true }]);
  expect(spansOf("")).toEqual([]);
});

describe("the address bar", () => {
  it.each(["#/", "#/chat/AbC-123_x", "#/conversations", "#/device", "#/install"])(
    "leads to %s and back",
    (fragment) => {
      expect(fragmentOf(routeOf(fragment))).toBe(fragment);
    },
  );
  it.each(["", "#", "#/nowhere", "#/chat/<script>", "#/chat/../x"])(
    "leads from %j to a new conversation",
    (fragment) => {
      expect(routeOf(fragment)).toEqual({ page: "chat", conversationId: "" });
    },
  );
});
