// The conversation: what was said, and what to say next.

import { signal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { may, standing, wasRevoked } from "../api/session";
import { t } from "../i18n/texts";
import { model } from "../settings/settings";
import { announcement } from "../shell/announcer";
import { Icon } from "../shell/icons";
import { go, named, route } from "../shell/route";
import { VoiceCall } from "../voice/voice_call";
import { Composer } from "./composer";
import { ConversationView } from "./conversation";
import { LineView } from "./line_view";
import { ModelChoice } from "./model_choice";

const view = new ConversationView((id) => {
  if (route.value.page === "chat") named(id);
});
const call = signal<VoiceCall | null>(null);
const voiceProblem = signal("");

function hangUp(): void {
  void call.value?.end();
  call.value = null;
}

// Who is no longer paired has no business with what was on the screen.
standing.subscribe((now) => {
  if (now !== "unpaired") return;
  hangUp();
  void view.show("");
  announcement.value = "";
  if (wasRevoked.value) go({ page: "chat", conversationId: "" });
});

function startCall(isHandsFree: boolean): VoiceCall {
  hangUp();
  voiceProblem.value = "";
  const started = new VoiceCall({
    conversationId: view.id.value,
    model: model.value,
    isHandsFree,
    follow: (event) => view.follow(event),
    ended: (message) => {
      if (call.value === started) call.value = null;
      voiceProblem.value = message;
    },
  });
  call.value = started;
  return started;
}

export function ChatPage() {
  const wanted = route.value.page === "chat" ? route.value.conversationId : "";
  useEffect(() => {
    if (wanted === view.id.value) return;
    hangUp();
    void view.show(wanted);
  }, [wanted]);
  return (
    <>
      <header class="bar">
        <h1 class="only-read">{t("tabChat")}</h1>
        <ModelChoice />
        <button
          type="button"
          class="quiet"
          aria-label={t("newChat")}
          title={t("newChat")}
          onClick={() => {
            hangUp();
            void view.show("");
            go({ page: "chat", conversationId: "" });
          }}
        >
          <Icon name="plus" />
        </button>
      </header>
      <main class="chat">
        <Lines />
        {may.chat.value || may.talk.value ? (
          <Composer view={view} call={call} problem={voiceProblem} startCall={startCall} hangUp={hangUp} />
        ) : (
          <p class="notice">{t("chatForbidden")}</p>
        )}
      </main>
    </>
  );
}

function Lines() {
  const place = useRef<HTMLDivElement>(null);
  const isAtEnd = useRef(true);
  const lines = view.lines.value;
  const last = lines.at(-1);
  // The end stays in sight while the answer grows, unless somebody scrolled up to read.
  useLayoutEffect(() => {
    const box = place.current;
    if (box && (isAtEnd.current || last?.speaker === "user")) box.scrollTop = box.scrollHeight;
  }, [lines, last?.text.value, last?.reasoning.value, last?.state.value]);
  return (
    <div
      class="lines"
      ref={place}
      role="log"
      aria-live="off"
      aria-label={t("messages")}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, so the keyboard must get there
      tabIndex={0}
      onScroll={({ currentTarget: box }) => {
        isAtEnd.current = box.scrollHeight - box.scrollTop - box.clientHeight < 48;
      }}
    >
      {lines.length === 0 && <p class="empty">{t(view.isLoading.value ? "connecting" : "chatEmpty")}</p>}
      {view.note.value && <p class="notice">{view.note.value}</p>}
      {lines.map((line, at) => (
        <LineView key={at} line={line} onRetry={line === last && view.canRetry ? () => void view.retry() : null} />
      ))}
    </div>
  );
}
