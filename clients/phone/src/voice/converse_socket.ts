// Converse over a WebSocket (protos/README.md, "Converse, for browsers"), taken up again when the connection breaks.

import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type ConverseRequest, ConverseRequestSchema, ConverseResponseSchema } from "../gen/edged/v1/assistant_pb";
import type { OpenConversationSchema, VoiceEvent } from "../gen/edged/v1/voice_pb";

export type Opening = MessageInitShape<typeof OpenConversationSchema>;
type Input = ConverseRequest["request"];

/** A session as it ended: with an OK, or with the number of a canonical code and a message for people. */
export interface Ending {
  readonly code: number;
  readonly message: string;
}

export interface Listener {
  event(event: VoiceEvent): void;
  /** The connection came up, or broke and is tried again. */
  connected(isUp: boolean): void;
  ended(how: Ending): void;
}

/** What it needs of a WebSocket. */
export interface Socket {
  binaryType: string;
  readonly bufferedAmount: number;
  onopen: (() => void) | null;
  onmessage: ((message: { data: ArrayBuffer }) => void) | null;
  onclose: ((close: { code: number; reason: string }) => void) | null;
  send(data: Uint8Array): void;
  close(): void;
}

export const OK = 0;
export const UNAVAILABLE = 14;
const CLOSE_CODES = 4000;
/** The daemon keeps a session for a minute. */
export const AGAIN_MS = 45_000;
export const PAUSE_MS = 500;
/** Twenty seconds of sound: what is older is lost if the connection is away for longer. */
export const KEPT_REQUESTS = 512;
/** The network took none of the last eight seconds of sound: it is gone, although nobody said so. */
export const STUCK_BYTES = 256 * 1024;

export class ConverseSocket {
  readonly #opening: Opening;
  readonly #listener: Listener;
  readonly #connect: () => Socket;
  #socket: Socket | null = null;
  /** The session may take requests. */
  #isUp = false;
  #isOver = false;
  #sessionId = "";
  #lastSequence = 0n;
  /** Requests that the daemon may not have taken yet. */
  #kept: ConverseRequest[] = [];
  /** The number of the first one; the daemon counts from 1. */
  #firstNumber = 1;
  #brokenSince = 0;

  constructor(opening: Opening, listener: Listener, connect: () => Socket) {
    this.#opening = opening;
    this.#listener = listener;
    this.#connect = connect;
    this.#open();
  }

  /** Say or do the next thing; what is said while the connection is broken is sent when it is back. */
  send(request: Input): void {
    if (this.#isOver) return;
    const message = create(ConverseRequestSchema, { request });
    this.#kept.push(message);
    if (this.#kept.length > KEPT_REQUESTS) {
      this.#kept.shift();
      this.#firstNumber += 1;
    }
    if (this.#isUp) this.#write(message);
  }

  /** Leave: no more events come. */
  close(): void {
    this.#isOver = true;
    this.#isUp = false;
    this.#socket?.close();
  }

  #open(): void {
    const socket = this.#connect();
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    socket.onopen = () => {
      const open = { ...this.#opening, sessionId: this.#sessionId, lastSequence: this.#lastSequence };
      socket.send(encoded(create(ConverseRequestSchema, { request: { case: "open", value: open } })));
    };
    socket.onmessage = ({ data }) => {
      if (this.#socket === socket && !this.#isOver) this.#take(new Uint8Array(data));
    };
    socket.onclose = ({ code, reason }) => {
      if (this.#socket === socket && !this.#isOver) this.#broken(code, reason);
    };
  }

  #take(data: Uint8Array): void {
    const { response, sequence } = fromBinary(ConverseResponseSchema, data);
    if (response.case === "opened") {
      this.#sessionId = response.value.sessionId;
      this.#isUp = true;
      this.#brokenSince = 0;
      this.#goOnAfter(Number(response.value.taken));
      this.#listener.connected(true);
    } else if (response.case === "event") {
      this.#lastSequence = sequence;
      this.#listener.event(response.value);
    }
  }

  /** Send again what the daemon has not taken, and no more. */
  #goOnAfter(taken: number): void {
    this.#kept.splice(0, Math.max(0, taken + 1 - this.#firstNumber));
    this.#firstNumber = taken + 1; // where some were dropped, the daemon never learns of them
    for (const request of this.#kept) this.#write(request);
  }

  #write(request: ConverseRequest): void {
    if (!this.#socket) return;
    if (this.#socket.bufferedAmount > STUCK_BYTES) this.#broken(CLOSE_CODES + UNAVAILABLE, "");
    else this.#socket.send(encoded(request));
  }

  #broken(code: number, reason: string): void {
    const broken = this.#socket;
    this.#socket = null;
    this.#isUp = false;
    broken?.close();
    const status = code === 1000 ? OK : code >= CLOSE_CODES ? code - CLOSE_CODES : UNAVAILABLE;
    this.#brokenSince ||= Date.now();
    const mayComeBack = status === UNAVAILABLE && this.#sessionId && Date.now() - this.#brokenSince < AGAIN_MS;
    if (!mayComeBack) {
      this.#isOver = true;
      this.#listener.ended({ code: status, message: code >= CLOSE_CODES ? reason : "" });
      return;
    }
    this.#listener.connected(false);
    setTimeout(() => {
      if (!this.#isOver) this.#open();
    }, PAUSE_MS);
  }
}

function encoded(request: ConverseRequest): Uint8Array {
  return toBinary(ConverseRequestSchema, request);
}
