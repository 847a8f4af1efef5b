// A text in Markdown on the page, drawn again block by block while it grows.

import { useLayoutEffect, useRef } from "preact/hooks";
import { blocksOf, sanitiser } from "./markdown";

const safe = sanitiser(window);

export function MarkdownText({ text }: { readonly text: string }) {
  return (
    <div class="markdown">
      {blocksOf(text).map(({ html }, at) => (
        <SafeBlock key={at} html={html} />
      ))}
    </div>
  );
}

function SafeBlock({ html }: { readonly html: string }) {
  const place = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => place.current?.replaceChildren(safe(html)), [html]);
  return <div ref={place} />;
}
