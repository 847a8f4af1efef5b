// One message: who said it, what was said, and what can be done with it.

import { useState } from "preact/hooks";
import { t } from "../i18n/texts";
import { Icon } from "../shell/icons";
import type { Line } from "./conversation";
import { MarkdownText } from "./markdown_text";
import { beingRead, canRead, toggleReading } from "./read_aloud";

const COPIED_MS = 2_000;

export function LineView({ line, onRetry }: { readonly line: Line; readonly onRetry: (() => void) | null }) {
  const isUser = line.speaker === "user";
  const text = line.text.value;
  const isGrowing = line.state.value === "growing";
  return (
    <article class={`line ${line.speaker}`} aria-busy={isGrowing}>
      <h2 class="only-read">{t(isUser ? "you" : "assistant")}</h2>
      {line.pictures.map(({ url }) => (
        <img key={url} class="picture" src={url} alt={t("picture")} />
      ))}
      {line.reasoning.value && (
        <details class="reasoning">
          <summary>{t(isGrowing && !text ? "thinking" : "reasoning")}</summary>
          <MarkdownText text={line.reasoning.value} />
        </details>
      )}
      {isUser ? text && <p class="said">{text}</p> : <MarkdownText text={text} />}
      {isGrowing && !text && !line.reasoning.value && <span class="dots" role="img" aria-label={t("thinking")} />}
      {line.note.value && <p class={line.state.value === "failed" ? "problem" : "hint"}>{line.note.value}</p>}
      {!isUser && !isGrowing && (
        <div class="tools">
          {line.state.value === "failed" && onRetry && (
            <button type="button" onClick={onRetry}>
              <Icon name="again" />
              {t("retry")}
            </button>
          )}
          {text && <CopyButton text={text} />}
          {text && canRead(text) && <ReadButton line={line} />}
        </div>
      )}
    </article>
  );
}

function CopyButton({ text }: { readonly text: string }) {
  const [isCopied, setCopied] = useState(false);
  const name = t(isCopied ? "copied" : "copy");
  const copy = async () => {
    await navigator.clipboard.writeText(text).catch(() => undefined);
    setCopied(true);
    setTimeout(() => setCopied(false), COPIED_MS);
  };
  return (
    <button type="button" class="quiet small" aria-label={name} title={name} onClick={() => void copy()}>
      <Icon name={isCopied ? "check" : "copy"} />
    </button>
  );
}

function ReadButton({ line }: { readonly line: Line }) {
  const isReading = beingRead.value === line;
  const name = t(isReading ? "stopReading" : "readAloud");
  return (
    <button
      type="button"
      class="quiet small"
      aria-label={name}
      title={name}
      aria-pressed={isReading}
      onClick={() => toggleReading(line, line.text.value)}
    >
      <Icon name={isReading ? "quiet" : "speaker"} />
    </button>
  );
}
