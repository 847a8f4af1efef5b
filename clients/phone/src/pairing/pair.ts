// The three steps of pairing, from this device's side.

import { pairing } from "../api/daemon";
import type { Device } from "../gen/edged/v1/device_pb";
import { DeviceKind, type PairingMeans } from "../gen/edged/v1/device_pb";
import { areSame, clientConfirmation, daemonConfirmation, shortString } from "./proof";
import { ClientSide } from "./spake2";

/** Longer than an offer lives: the operator has until its end to compare. */
const CLAIM_MS = 150_000;

/** Whoever answers does not know the code: it is not the daemon. */
export class Impostor extends Error {}

export interface Ask {
  readonly means: PairingMeans.CODE | PairingMeans.SECRET;
  readonly password: string;
  readonly deviceName: string;
  /** Called with the short string that the operator must see too. */
  readonly show: (shortString: string) => void;
  readonly signal: AbortSignal;
}

/** This device as the daemon knows it from here on; the cookie came with it. Throws ConnectError, Impostor, BadMessage. */
export async function pair({ means, password, deviceName, show, signal }: Ask): Promise<Device | undefined> {
  const side = new ClientSide(password);
  const started = await pairing.startPairing({ means, pakeMessage: side.message }, { signal });
  const key = side.finish(started.pakeMessage);
  const attemptId = started.attemptId;
  const proof = {
    attemptId,
    deviceName,
    kind: DeviceKind.BROWSER,
    certificateRequest: new Uint8Array(),
    seenFingerprint: new Uint8Array(),
  };
  const proven = await pairing.provePairing({ ...proof, confirmation: clientConfirmation(key, proof) }, { signal });
  if (!areSame(proven.confirmation, daemonConfirmation(key, attemptId, proven.caCertificate))) throw new Impostor();
  show(shortString(key));
  const claimed = await pairing.claimPairing({ attemptId }, { signal, timeoutMs: CLAIM_MS });
  return claimed.device;
}
