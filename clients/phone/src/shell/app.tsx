// The page around the pages: who is paired, what is shown, and whether the daemon is there.

import type { ComponentChildren } from "preact";
import { isReachable, may, standing } from "../api/session";
import { ChatPage } from "../chat/chat_page";
import { ConversationsPage } from "../conversations/conversations_page";
import { t } from "../i18n/texts";
import { InstallPage } from "../install/install_page";
import { invitation, PairingPage } from "../pairing/pairing_page";
import { StatusPage } from "../status/status_page";
import { announcement } from "./announcer";
import { Icon } from "./icons";
import { fragmentOf, go, type Route, route } from "./route";

export function App() {
  return (
    <div class="app">
      <Unreachable />
      <Contents />
      <div class="only-read" aria-live="polite" role="status">
        {announcement}
      </div>
    </div>
  );
}

function Contents() {
  const { page } = route.value;
  if (page === "install" && standing.value !== "paired") return <InstallPage />;
  if (standing.value === "unpaired" || invitation.value) return <PairingPage />;
  if (standing.value === "unknown") return <main class="page centred">{isReachable.value && t("connecting")}</main>;
  return (
    <>
      {page === "chat" && <ChatPage />}
      {page === "conversations" && may.seeHistory.value && <ConversationsPage />}
      {page === "device" && <StatusPage />}
      {page === "install" && <InstallPage />}
      <Navigation />
    </>
  );
}

function Unreachable() {
  return (
    <div role="alert" class="banner-place">
      {!isReachable.value && (
        <p class="banner">
          <strong>{t("unreachable")}</strong> {t("unreachableHelp")}
        </p>
      )}
    </div>
  );
}

function Navigation() {
  return (
    <nav class="tabs" aria-label={t("navigation")}>
      <Tab to={{ page: "chat", conversationId: "" }}>
        <Icon name="chat" />
        {t("tabChat")}
      </Tab>
      {may.seeHistory.value && (
        <Tab to={{ page: "conversations" }}>
          <Icon name="list" />
          {t("tabConversations")}
        </Tab>
      )}
      <Tab to={{ page: "device" }}>
        <Icon name="device" />
        {t("tabDevice")}
      </Tab>
    </nav>
  );
}

/** The last conversation that was open, so that the tab leads back to it. */
let lastChat: Route = { page: "chat", conversationId: "" };

function Tab({ to, children }: { readonly to: Route; readonly children: ComponentChildren }) {
  if (route.value.page === "chat") lastChat = route.value;
  const target = to.page === "chat" ? lastChat : to;
  return (
    <a
      href={fragmentOf(target)}
      aria-current={route.value.page === to.page ? "page" : undefined}
      onClick={(event) => {
        event.preventDefault();
        go(target);
      }}
    >
      {children}
    </a>
  );
}
