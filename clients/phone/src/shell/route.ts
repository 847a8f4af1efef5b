// Which page is shown; it stands in the fragment, so that a reload comes back to it.

import { signal } from "@preact/signals";

export type Route =
  | { readonly page: "chat"; readonly conversationId: string }
  | { readonly page: "conversations" }
  | { readonly page: "device" }
  | { readonly page: "install" };

export const route = signal<Route>(routeOf(globalThis.location?.hash ?? ""));

/** The page that a fragment names; the chat for anything else. */
export function routeOf(fragment: string): Route {
  const [page, id] = fragment.replace(/^#\/?/, "").split("/");
  if (page === "conversations" || page === "device" || page === "install") return { page };
  return { page: "chat", conversationId: page === "chat" && id && /^[\w-]{1,64}$/.test(id) ? id : "" };
}

export function fragmentOf(to: Route): string {
  if (to.page !== "chat") return `#/${to.page}`;
  return to.conversationId ? `#/chat/${to.conversationId}` : "#/";
}

export function go(to: Route): void {
  if (location.hash !== fragmentOf(to)) history.pushState(null, "", fragmentOf(to));
  route.value = to;
}

/** A new conversation has got its id: a reload goes on with it. */
export function named(conversationId: string): void {
  route.value = { page: "chat", conversationId };
  history.replaceState(null, "", fragmentOf(route.value));
}

export function followAddressBar(): void {
  addEventListener("popstate", () => {
    route.value = routeOf(location.hash);
  });
}
