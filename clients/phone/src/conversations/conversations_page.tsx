// All conversations that this device may see: find one, open it, and what else can be done with it.

import { useEffect, useState } from "preact/hooks";
import { conversations } from "../api/daemon";
import type { Conversation, SearchHit } from "../gen/edged/v1/conversation_pb";
import { explained } from "../i18n/failures";
import { t, when } from "../i18n/texts";
import { Icon } from "../shell/icons";
import { go } from "../shell/route";
import { ConversationActions } from "./conversation_actions";
import { download } from "./export";
import { spansOf } from "./snippet";

interface Found {
  readonly conversation: Conversation;
  /** Of a search; empty otherwise. */
  readonly snippet: string;
}

interface Page {
  readonly found: readonly Found[];
  readonly nextPageToken: string;
}

const NOTHING: Page = { found: [], nextPageToken: "" };
/** Somebody who types is left to type on. */
const TYPING_MS = 250;

async function pageOf(query: string, pageToken: string): Promise<Page> {
  if (query) {
    const { hits, nextPageToken } = await conversations.searchConversations({ query, pageToken });
    return { found: hits.flatMap(foundBy), nextPageToken };
  }
  const { conversations: listed, nextPageToken } = await conversations.listConversations({ pageToken });
  return { found: listed.map((conversation) => ({ conversation, snippet: "" })), nextPageToken };
}

function foundBy({ conversation, snippet }: SearchHit): Found[] {
  return conversation ? [{ conversation, snippet }] : [];
}

export function ConversationsPage() {
  const [typed, setTyped] = useState("");
  const [page, setPage] = useState<Page | null>(null);
  const [problem, setProblem] = useState("");
  const [chosen, setChosen] = useState<Conversation | null>(null);
  const query = typed.trim();

  const load = async (pageToken: string, isWanted: () => boolean) => {
    try {
      const next = await pageOf(query, pageToken);
      if (!isWanted()) return;
      setProblem("");
      setPage((before) => ({ ...next, found: pageToken ? [...(before ?? NOTHING).found, ...next.found] : next.found }));
    } catch (error) {
      if (isWanted()) setProblem(explained(error));
    }
  };
  const [changes, setChanges] = useState(0);
  useEffect(() => {
    let isWanted = true;
    const timer = setTimeout(() => void load("", () => isWanted), query ? TYPING_MS : 0);
    return () => {
      isWanted = false;
      clearTimeout(timer);
    };
  }, [query, changes]);
  const tried = (work: Promise<void>) => void work.catch((error) => setProblem(explained(error)));

  return (
    <main class="page">
      <h1>{t("tabConversations")}</h1>
      <search>
        <input
          type="search"
          aria-label={t("search")}
          placeholder={t("searchPlaceholder")}
          maxLength={200}
          value={typed}
          onInput={({ currentTarget }) => setTyped(currentTarget.value)}
        />
      </search>
      <div role="alert">{problem && <p class="problem">{problem}</p>}</div>
      {page?.found.length === 0 && <p class="empty">{t(query ? "noHits" : "noConversations")}</p>}
      <ul class="found">
        {page?.found.map((found, at) => (
          <FoundItem key={at} found={found} onActions={() => setChosen(found.conversation)} />
        ))}
      </ul>
      {page?.nextPageToken && (
        <button type="button" onClick={() => void load(page.nextPageToken, () => true)}>
          {t("more")}
        </button>
      )}
      {!query && (page?.found.length ?? 0) > 0 && (
        <section aria-label={t("exportAll")} class="stack">
          <h2>{t("exportAll")}</h2>
          <div class="tools">
            <button type="button" onClick={() => tried(download([], "json"))}>
              {t("exportJson")}
            </button>
            <button type="button" onClick={() => tried(download([], "markdown"))}>
              {t("exportMarkdown")}
            </button>
          </div>
        </section>
      )}
      {chosen && (
        <ConversationActions
          conversation={chosen}
          onChanged={() => setChanges(changes + 1)}
          onClose={() => setChosen(null)}
        />
      )}
    </main>
  );
}

function FoundItem({ found, onActions }: { readonly found: Found; readonly onActions: () => void }) {
  const { conversation, snippet } = found;
  const title = conversation.title || t("untitled");
  return (
    <li>
      <a
        href={`#/chat/${conversation.id}`}
        onClick={(event) => {
          event.preventDefault();
          go({ page: "chat", conversationId: conversation.id });
        }}
      >
        <span class="title">{title}</span>
        {snippet && (
          <span class="snippet">
            {spansOf(snippet).map(({ text, isMatch }, at) => (isMatch ? <mark key={at}>{text}</mark> : text))}
          </span>
        )}
        <span class="hint">
          {when(conversation.updatedAt?.seconds)} · {t("messageCount", { count: conversation.messageCount })}
        </span>
      </a>
      <button type="button" class="quiet" aria-label={t("actions", { title })} onClick={onActions}>
        <Icon name="more" />
      </button>
    </li>
  );
}
