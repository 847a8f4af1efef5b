// Finds out who this device is to the daemon, and keeps asking while nobody answers.

import { effect } from "@preact/signals";
import { devices } from "./daemon";
import { isReachable, paired } from "./session";

const PAUSE_MS = 3_000;
/** Somebody who holds the line and says nothing is not there either. */
const ANSWER_MS = 8_000;

let isAsking = false;

/** Ask once; what comes of it is in the session's signals. */
export async function whoAmI(): Promise<void> {
  if (isAsking) return;
  isAsking = true;
  try {
    const { device } = await devices.getOwnDevice({}, { timeoutMs: ANSWER_MS });
    if (device) paired(device);
  } catch {
    // The transport has drawn the conclusions.
  } finally {
    isAsking = false;
  }
}

/** Ask now, then every few seconds while the daemon is not reachable, and whenever the page comes back to the front. */
export function keepInTouch(): void {
  void whoAmI();
  effect(() => {
    if (isReachable.value) return;
    const timer = setInterval(() => void whoAmI(), PAUSE_MS);
    return () => clearInterval(timer);
  });
  addEventListener("online", () => void whoAmI());
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") void whoAmI();
  });
}
