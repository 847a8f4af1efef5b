// What both sides make of the key that SPAKE2 gave them (protos/README.md, "Pairing, to the byte").

import { hkdf } from "@noble/hashes/hkdf.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { concatBytes, utf8ToBytes } from "@noble/hashes/utils.js";

export interface ClientProof {
  readonly attemptId: string;
  readonly deviceName: string;
  /** The number of the DeviceKind. */
  readonly kind: number;
  /** Empty for browsers. */
  readonly certificateRequest: Uint8Array;
  /** Empty for browsers. */
  readonly seenFingerprint: Uint8Array;
}

/** Four digits, a hyphen, four digits: both screens show it. */
export function shortString(key: Uint8Array): string {
  const bytes = derived(key, "edged pairing short string", 8);
  const digits = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0) % 100_000_000n;
  const text = digits.toString().padStart(8, "0");
  return `${text.slice(0, 4)}-${text.slice(4)}`;
}

/** Shows the daemon that the code is known. */
export function clientConfirmation(key: Uint8Array, proof: ClientProof): Uint8Array {
  return confirmation(derived(key, "edged pairing client", 32), [
    utf8ToBytes(proof.attemptId),
    utf8ToBytes(proof.deviceName),
    Uint8Array.of(proof.kind),
    proof.certificateRequest,
    proof.seenFingerprint,
  ]);
}

/** What a daemon that knows the code shows. */
export function daemonConfirmation(key: Uint8Array, attemptId: string, caCertificate: Uint8Array): Uint8Array {
  return confirmation(derived(key, "edged pairing daemon", 32), [utf8ToBytes(attemptId), caCertificate]);
}

/** Whether two byte strings are the same, in a time that does not tell where they differ. */
export function areSame(one: Uint8Array, other: Uint8Array): boolean {
  let difference = one.length ^ other.length;
  for (let at = 0; at < one.length; at++) difference |= (one[at] ?? 0) ^ (other[at] ?? 0);
  return difference === 0;
}

function derived(key: Uint8Array, purpose: string, length: number): Uint8Array {
  return hkdf(sha256, key, undefined, utf8ToBytes(purpose), length);
}

function confirmation(key: Uint8Array, parts: readonly Uint8Array[]): Uint8Array {
  return hmac(sha256, key, concatBytes(...parts.flatMap((part) => [lengthOf(part), part])));
}

function lengthOf(part: Uint8Array): Uint8Array {
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, part.length);
  return length;
}
