// SPAKE2 over Ed25519 in the form of python-spake2, side A (protos/README.md, "Pairing, to the byte").

import { ed25519 } from "@noble/curves/ed25519.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { concatBytes, hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";

const { Point } = ed25519;
const ORDER = Point.Fn.ORDER;
const CLIENT = utf8ToBytes("edged client");
const DAEMON = utf8ToBytes("edged daemon");
const SIDE_A = 0x41;
const SIDE_B = 0x42;
// python-spake2's elements for the seeds "M" and "N", whose logarithms nobody knows.
const M = Point.fromBytes(hexToBytes("15cfd18e385952982b6a8f8c7854963b58e34388c8e6dae891db756481a02312"));
const N = Point.fromBytes(hexToBytes("f04f2e7eb734b2a8f8b472eaf9c3c632576ac64aea650b496a8a20ff00e583c3"));

/** What came is no message of a daemon. */
export class BadMessage extends Error {}

/** One exchange; `finish` after the daemon's message has come. */
export class ClientSide {
  /** To be sent: 33 bytes. */
  readonly message: Uint8Array;
  readonly #password: Uint8Array;
  readonly #passwordScalar: bigint;
  readonly #secret: bigint;

  /** randomness: 64 bytes that nobody else knows. */
  constructor(password: string, randomness = crypto.getRandomValues(new Uint8Array(64))) {
    this.#password = utf8ToBytes(password);
    this.#passwordScalar = toScalar(hkdf(sha256, this.#password, new Uint8Array(), utf8ToBytes("SPAKE2 pw"), 48));
    this.#secret = toScalar(randomness);
    const element = Point.BASE.multiply(this.#secret).add(M.multiply(this.#passwordScalar));
    this.message = concatBytes(Uint8Array.of(SIDE_A), element.toBytes());
  }

  /** The key of 32 bytes, which is the daemon's only where both had the same password. Throws BadMessage. */
  finish(theirs: Uint8Array): Uint8Array {
    const element = elementOf(theirs);
    const shared = element.subtract(N.multiply(this.#passwordScalar)).multiply(this.#secret);
    return sha256(
      concatBytes(
        sha256(this.#password),
        sha256(CLIENT),
        sha256(DAEMON),
        this.message.subarray(1),
        theirs.subarray(1),
        shared.toBytes(),
      ),
    );
  }
}

function elementOf(message: Uint8Array): InstanceType<typeof Point> {
  if (message.length !== 33 || message[0] !== SIDE_B) throw new BadMessage("not the daemon's side");
  let element: InstanceType<typeof Point>;
  try {
    element = Point.fromBytes(message.subarray(1));
  } catch {
    throw new BadMessage("no element");
  }
  if (element.is0() || !element.isTorsionFree()) throw new BadMessage("not in the group");
  return element;
}

function toScalar(bigEndian: Uint8Array): bigint {
  let number = 0n;
  for (const byte of bigEndian) number = (number << 8n) | BigInt(byte);
  return number % ORDER;
}
