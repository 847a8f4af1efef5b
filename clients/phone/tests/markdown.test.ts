// @vitest-environment jsdom
import { describe, expect, it } from "vitest";
import { blocksOf, sanitiser } from "../src/chat/markdown";

const safe = sanitiser(window);

function shown(markdown: string): HTMLElement {
  const place = document.createElement("div");
  for (const { html } of blocksOf(markdown)) place.append(safe(html));
  return place;
}

describe("an answer", () => {
  it("is formatted", () => {
    const place = shown("# Title\n\n**bold** and `code`\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |");
    expect(place.querySelector("h1")?.textContent).toBe("Title");
    expect(place.querySelector("strong")?.textContent).toBe("bold");
    expect(place.querySelectorAll("li, td").length).toBe(4);
  });

  it("keeps code as it is written", () => {
    const place = shown("```html\n<script>alert(1)</script>\n```");
    expect(place.querySelector("pre code")?.textContent).toContain("<script>alert(1)</script>");
    expect(place.querySelector("script")).toBeNull();
  });

  it("shows HTML as text, and pictures as links", () => {
    const place = shown("Use <b>bold</b>:\n\n<div>x</div>\n\n![a cat](https://example.org/cat.png)");
    expect(place.textContent).toContain("Use <b>bold</b>:");
    expect(place.textContent).toContain("<div>x</div>");
    expect(place.querySelector("a")?.textContent).toBe("a cat");
  });

  it("is shown while its parts are unfinished", () => {
    const text = "A **list**:\n\n1. one\n2. [two](https://example.org)\n\n```py\nprint(1)\n```\n";
    for (let end = 0; end <= text.length; end++) expect(() => shown(text.slice(0, end))).not.toThrow();
    const [before, after] = [blocksOf(text.slice(0, 30)), blocksOf(text)];
    expect(after[0]).toEqual(before[0]); // what is finished is not drawn again
  });

  it("opens links elsewhere and tells nobody", () => {
    const link = shown("[here](https://example.org/a)").querySelector("a");
    expect(link?.getAttribute("href")).toBe("https://example.org/a");
    expect(link?.getAttribute("rel")).toContain("noreferrer");
    expect(link?.getAttribute("target")).toBe("_blank");
  });
});

const HOSTILE = [
  "<script>alert(1)</script>",
  "<img src=x onerror=alert(1)>",
  "![tracker](https://example.org/pixel.png?said=secret)",
  "<a href='javascript:alert(1)'>x</a>",
  "[x](javascript:alert(1))",
  "[x](JaVaScRiPt&#58;alert(1))",
  "[x](data:text/html;base64,PHNjcmlwdD4=)",
  "[x](vbscript:msgbox(1))",
  "<svg><script>alert(1)</script></svg>",
  "<svg onload=alert(1)>",
  "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
  "<iframe src='https://example.org'></iframe>",
  "<object data='x'></object><embed src='x'>",
  "<form action='https://example.org'><input name=a><button>go</button></form>",
  "<input type=image src=x onerror=alert(1)>",
  "<style>@import 'https://example.org/a.css'; * { background: url(https://example.org) }</style>",
  "<p style='background:url(https://example.org/x)'>x</p>",
  "<link rel=stylesheet href=https://example.org/a.css>",
  "<base href='https://example.org/'>",
  "<meta http-equiv=refresh content='0;url=https://example.org'>",
  "<video src='https://example.org/v' autoplay></video><audio src=x>",
  "<p id=app class=promise aria-live=assertive data-theme=dark>x</p>",
  "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
  "<template><img src=x onerror=alert(1)></template>",
  "<div><div><div onclick=alert(1)>x</div></div></div>",
  "`<img src=x onerror=alert(1)>` <b onmouseover=alert(1)>x</b>",
];
const ALLOWED = new Set(["href", "rel", "target", "start", "type", "checked", "disabled", "tabindex"]);

describe.each(HOSTILE)("a hostile answer: %s", (hostile) => {
  const asHtml = document.createElement("div");
  asHtml.append(safe(hostile));
  const half = hostile.slice(0, hostile.length / 2);
  it.each([
    ["as Markdown", shown(hostile)],
    ["as half of it", shown(half)],
    ["as HTML that had got through", asHtml],
  ])("leaves nothing that runs or loads, %s", (_, place) => {
    const selector =
      "script, style, img, svg, math, iframe, object, embed, form, button, link, base, meta, video, audio";
    expect(place.querySelector(selector)).toBeNull();
    for (const element of place.querySelectorAll("*")) {
      for (const { name } of element.attributes) expect(ALLOWED).toContain(name);
      expect(element.getAttribute("href") ?? "https:").toMatch(/^(https?|mailto):/);
      if (element.tagName === "INPUT") expect(element.getAttribute("type")).toBe("checkbox");
    }
  });
});

it.each(["[", "*a ", "> ", "`", "<a ", "- \n", "![[", "~~"])("is shown however deep its %j go", (piece) => {
  expect(shown(piece.repeat(2_000)).textContent).not.toBe("");
});
