import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { describe, expect, it } from "vitest";
import { codeIn, invitationIn, likelyName } from "../src/pairing/invitation";
import { areSame, clientConfirmation, daemonConfirmation, shortString } from "../src/pairing/proof";
import { BadMessage, ClientSide } from "../src/pairing/spake2";
import { vectors } from "./pairing-vectors.json";

describe.each(vectors)("with the vectors of python-spake2, password $password", (vector) => {
  const side = new ClientSide(vector.password, hexToBytes(vector.client_entropy));
  const key = hexToBytes(vector.key);

  it("sends the same message and gets the same key", () => {
    expect(bytesToHex(side.message)).toBe(vector.client_message);
    expect(bytesToHex(side.finish(hexToBytes(vector.daemon_message)))).toBe(vector.key);
  });

  it("shows the same short string", () => {
    expect(shortString(key)).toBe(vector.short_string);
  });

  it("proves the same things", () => {
    const proof = {
      attemptId: vector.attempt_id,
      deviceName: vector.device_name,
      kind: vector.kind,
      certificateRequest: hexToBytes(vector.certificate_request),
      seenFingerprint: hexToBytes(vector.seen_fingerprint),
    };
    expect(bytesToHex(clientConfirmation(key, proof))).toBe(vector.client_confirmation);
    const daemons = daemonConfirmation(key, vector.attempt_id, hexToBytes(vector.ca_certificate));
    expect(bytesToHex(daemons)).toBe(vector.daemon_confirmation);
  });

  it("gets another key with another password", () => {
    const other = new ClientSide(`${vector.password}0`, hexToBytes(vector.client_entropy));
    expect(bytesToHex(other.finish(hexToBytes(vector.daemon_message)))).not.toBe(vector.key);
  });
});

describe("a message that no daemon sends", () => {
  const neutral = new Uint8Array(33);
  neutral.set([0x42, 1]);
  const ofOrderTwo = hexToBytes(`42ec${"ff".repeat(30)}7f`);
  const side = new ClientSide("123456");
  it.each([
    ["is empty", new Uint8Array()],
    ["is from our own side", side.message],
    ["is too long", new Uint8Array(34)],
    ["is no element", hexToBytes(`42${"ff".repeat(32)}`)],
    ["is the neutral element", neutral],
    ["has a small order", ofOrderTwo],
  ])("%s", (_, message) => {
    expect(() => side.finish(message)).toThrow(BadMessage);
  });
});

it("draws new randomness for each exchange", () => {
  expect(new ClientSide("123456").message).not.toEqual(new ClientSide("123456").message);
});

it("compares to the last byte", () => {
  expect(areSame(Uint8Array.of(1, 2), Uint8Array.of(1, 2))).toBe(true);
  expect(areSame(Uint8Array.of(1, 2), Uint8Array.of(1, 3))).toBe(false);
  expect(areSame(Uint8Array.of(1, 2), Uint8Array.of(1, 2, 0))).toBe(false);
  expect(areSame(new Uint8Array(), new Uint8Array(32))).toBe(false);
});

describe("a link", () => {
  const secret = "kZ0b5Fq_3-yT9wQ2rX7e1A";
  it("carries the secret and the fingerprint", () => {
    const found = invitationIn(`#pair=${secret}&fp=${"ab".repeat(32)}`);
    expect(found).toEqual({ secret, fingerprint: Array(32).fill("AB").join(":") });
    expect(invitationIn(`#pair=${secret}&fp=${Array(32).fill("AB").join(":")}`)).toEqual(found);
  });
  it("shows no fingerprint that is none", () => {
    expect(invitationIn(`#pair=${secret}&fp=<b>hello</b>`)).toEqual({ secret, fingerprint: "" });
  });
  it.each(["", "#/chat/abc", "#pair=", "#pair=<script>", `#pair=${"a".repeat(1000)}`])("is not %j", (fragment) => {
    expect(invitationIn(fragment)).toBeNull();
  });
});

it.each([
  ["123456", "123456"],
  [" 123 456 ", "123456"],
  ["123-456", "123456"],
  ["１２３４５６", "123456"],
  ["12345", null],
  ["1234567", null],
  ["12345a", null],
])("reads the typed code %j", (typed, code) => {
  expect(codeIn(typed)).toBe(code);
});

it.each([
  ["Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) Version/18.5 Mobile/15E148 Safari/604.1", "iPhone (Safari)"],
  ["Mozilla/5.0 (Linux; Android 10; K) Chrome/140.0.0.0 Mobile Safari/537.36", "Android phone (Chrome)"],
  ["Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Linux PC (Firefox)"],
  ["something else", "Phone"],
])("finds a name for %s", (userAgent, name) => {
  expect(likelyName(userAgent)).toBe(name);
});
