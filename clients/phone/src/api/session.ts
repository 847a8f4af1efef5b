// How this device stands with the daemon: paired or not, reachable or not, and what it may do.

import { ConnectError } from "@connectrpc/connect";
import { computed, signal } from "@preact/signals";
import type { Device } from "../gen/edged/v1/device_pb";
import { Scope } from "../gen/edged/v1/device_pb";
import { isUnpaired, isUnreachable } from "./failures";

export type Standing = "unknown" | "unpaired" | "paired";

export const standing = signal<Standing>("unknown");
/** It was paired while this page was open, and is no longer. */
export const wasRevoked = signal(false);
export const isReachable = signal(true);
export const device = signal<Device | null>(null);

const scopes = computed(() => new Set(device.value?.scopes));

/** What the daemon would refuse is not shown. */
export const may = {
  chat: computed(() => scopes.value.has(Scope.CHAT)),
  talk: computed(() => scopes.value.has(Scope.VOICE)),
  seeHistory: computed(() => scopes.value.has(Scope.HISTORY) || scopes.value.has(Scope.HISTORY_ALL)),
};

export function paired(as: Device): void {
  device.value = as;
  wasRevoked.value = false;
  standing.value = "paired";
}

export function unpaired(): void {
  wasRevoked.value ||= standing.value === "paired";
  device.value = null;
  standing.value = "unpaired";
}

export function heardFromDaemon(): void {
  isReachable.value = true;
}

/** Draw the conclusions from a call that failed. */
export function lost(reason: unknown): void {
  const error = ConnectError.from(reason);
  if (isUnreachable(error)) isReachable.value = false;
  else heardFromDaemon();
  if (isUnpaired(error)) unpaired();
}
