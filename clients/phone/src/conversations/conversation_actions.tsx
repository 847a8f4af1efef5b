// What can be done with one conversation: rename, export, delete after a second look.

import { useEffect, useRef, useState } from "preact/hooks";
import { conversations } from "../api/daemon";
import type { Conversation } from "../gen/edged/v1/conversation_pb";
import { explained } from "../i18n/failures";
import { t } from "../i18n/texts";
import { go, route } from "../shell/route";
import { download } from "./export";

interface Props {
  readonly conversation: Conversation;
  readonly onChanged: () => void;
  readonly onClose: () => void;
}

export function ConversationActions({ conversation, onChanged, onClose }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [isDeleting, setDeleting] = useState(false);
  const [title, setTitle] = useState(conversation.title);
  const [problem, setProblem] = useState("");
  useEffect(() => dialog.current?.showModal(), []);
  const named = conversation.title || t("untitled");

  const done = async (work: Promise<unknown>, isChange: boolean) => {
    try {
      await work;
      if (isChange) onChanged();
      onClose();
    } catch (error) {
      setProblem(explained(error));
    }
  };
  const rename = (event: Event) => {
    event.preventDefault();
    const renamed = conversations.renameConversation({ conversationId: conversation.id, title: title.trim() });
    void done(renamed, true);
  };
  const remove = async () => {
    await conversations.deleteConversation({ conversationId: conversation.id });
    const { value: shown } = route;
    if (shown.page === "chat" && shown.conversationId === conversation.id) go({ page: "chat", conversationId: "" });
  };

  return (
    <dialog ref={dialog} onClose={onClose} aria-label={isDeleting ? t("removeTitle") : t("actions", { title: named })}>
      <div role="alert">{problem && <p class="problem">{problem}</p>}</div>
      {isDeleting ? (
        <div class="stack">
          <h2>{t("removeTitle")}</h2>
          <p>{t("removeHint", { title: named })}</p>
          <button type="button" class="danger" onClick={() => void done(remove(), true)}>
            {t("remove")}
          </button>
        </div>
      ) : (
        <div class="stack">
          <h2>{named}</h2>
          <form class="stack" onSubmit={rename}>
            <label>
              {t("newTitle")}
              <input maxLength={200} value={title} onInput={({ currentTarget }) => setTitle(currentTarget.value)} />
            </label>
            <button type="submit" disabled={!title.trim()}>
              {t("rename")}
            </button>
          </form>
          <button type="button" onClick={() => void done(download([conversation.id], "json"), false)}>
            {t("exportJson")}
          </button>
          <button type="button" onClick={() => void done(download([conversation.id], "markdown"), false)}>
            {t("exportMarkdown")}
          </button>
          <button type="button" class="danger" onClick={() => setDeleting(true)}>
            {t("remove")}
          </button>
        </div>
      )}
      <button type="button" class="wide" onClick={() => dialog.current?.close()}>
        {t("cancel")}
      </button>
    </dialog>
  );
}
