// What went wrong with a call, as the app tells it apart.

import { Code, ConnectError } from "@connectrpc/connect";

/** Nobody answered: no network, no daemon, or a certificate that is not accepted. */
export function isUnreachable(error: unknown): boolean {
  return error instanceof ConnectError && error.cause instanceof TypeError;
}

/** The caller broke it off. */
export function isCancelled(error: unknown): boolean {
  return codeOf(error) === Code.Canceled || (error instanceof DOMException && error.name === "AbortError");
}

/** The daemon does not know this device. */
export function isUnpaired(error: unknown): boolean {
  return codeOf(error) === Code.Unauthenticated;
}

export function codeOf(error: unknown): Code | null {
  return error instanceof ConnectError ? error.code : null;
}

/** The daemon's own words, one line; null where nothing of it came from the daemon. */
export function wordsOf(error: unknown): string | null {
  if (!(error instanceof ConnectError) || isUnreachable(error)) return null;
  return error.rawMessage || null;
}
