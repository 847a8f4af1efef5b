import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { type ConverseRequest, ConverseRequestSchema, ConverseResponseSchema } from "../src/gen/edged/v1/assistant_pb";
import { VoiceMode } from "../src/gen/edged/v1/voice_pb";
import {
  AGAIN_MS,
  ConverseSocket,
  type Ending,
  KEPT_REQUESTS,
  type Socket,
  STUCK_BYTES,
} from "../src/voice/converse_socket";

/** The browser's end of a connection, with the daemon's hands on it. */
class Connection implements Socket {
  binaryType = "blob";
  bufferedAmount = 0;
  onopen: (() => void) | null = null;
  onmessage: ((message: { data: ArrayBuffer }) => void) | null = null;
  onclose: ((close: { code: number; reason: string }) => void) | null = null;
  readonly sent: ConverseRequest["request"][] = [];
  isClosed = false;

  send(data: Uint8Array): void {
    this.sent.push(fromBinary(ConverseRequestSchema, data).request);
  }

  close(): void {
    this.isClosed = true;
  }

  /** Numbers of the sounds that arrived. */
  get sounds(): (number | undefined)[] {
    return this.sent.flatMap(({ case: kind, value }) => (kind === "audio" ? [value.data[0]] : []));
  }

  get opening() {
    const [first] = this.sent;
    return first?.case === "open" ? first.value : undefined;
  }

  accept(taken = 0): void {
    this.onopen?.();
    this.answer(0n, {
      case: "opened",
      value: { $typeName: "edged.v1.ConversationOpened", sessionId: "s1", taken: BigInt(taken), sampleRate: 22_050 },
    });
  }

  tell(sequence: bigint, text: string): void {
    const event = { event: { case: "textDelta" as const, value: { text } } };
    const message = create(ConverseResponseSchema, { sequence, response: { case: "event", value: event } });
    this.onmessage?.({ data: toBinary(ConverseResponseSchema, message).slice().buffer });
  }

  answer(sequence: bigint, response: ReturnType<typeof create<typeof ConverseResponseSchema>>["response"]): void {
    const message = create(ConverseResponseSchema, { sequence, response });
    this.onmessage?.({ data: toBinary(ConverseResponseSchema, message).slice().buffer });
  }
}

let connections: Connection[];
let heard: string[];
let ups: boolean[];
let endings: Ending[];

function call(): ConverseSocket {
  const listener = {
    event: ({ event }: { event: { case?: string | undefined; value?: unknown } }) =>
      void heard.push(event.case === "textDelta" ? (event.value as { text: string }).text : ""),
    connected: (isUp: boolean) => void ups.push(isUp),
    ended: (how: Ending) => void endings.push(how),
  };
  return new ConverseSocket({ mode: VoiceMode.OPEN, conversationId: "c1" }, listener, () => {
    const connection = new Connection();
    connections.push(connection);
    return connection;
  });
}

const sound = (number: number) => ({
  case: "audio" as const,
  value: { $typeName: "edged.v1.SpokenInput" as const, data: Uint8Array.of(number) },
});
const newest = () => connections.at(-1) as Connection;
const broken = () => newest().onclose?.({ code: 1006, reason: "" });

beforeEach(() => {
  vi.useFakeTimers();
  connections = [];
  heard = [];
  ups = [];
  endings = [];
});

describe("a conversation over a WebSocket", () => {
  it("opens first, and sends what was said before the daemon was ready", () => {
    const socket = call();
    socket.send(sound(1));
    expect(newest().sent).toEqual([]);
    newest().accept();
    expect(newest().binaryType).toBe("arraybuffer");
    expect(newest().opening).toMatchObject({ mode: VoiceMode.OPEN, conversationId: "c1", sessionId: "" });
    socket.send(sound(2));
    expect(newest().sounds).toEqual([1, 2]);
    expect(ups).toEqual([true]);
  });

  it("goes on after a break with what the daemon has not taken", () => {
    const socket = call();
    newest().accept();
    for (const number of [1, 2, 3]) socket.send(sound(number));
    newest().tell(7n, "Hel");
    broken();
    socket.send(sound(4));
    vi.advanceTimersByTime(1_000);
    newest().accept(2);
    expect(newest().opening).toMatchObject({ sessionId: "s1", lastSequence: 7n });
    expect(newest().sounds).toEqual([3, 4]);
    newest().tell(8n, "lo");
    broken();
    vi.advanceTimersByTime(1_000);
    newest().accept(4);
    socket.send(sound(5));
    expect(newest().sounds).toEqual([5]);
    expect(heard).toEqual(["Hel", "lo"]);
    expect(ups).toEqual([true, false, true, false, true]);
  });

  it("forgets the oldest sound when the connection is away for too long, and counts as the daemon does", () => {
    const socket = call();
    newest().accept();
    broken();
    for (let number = 0; number < KEPT_REQUESTS + 3; number++) socket.send(sound(number % 256));
    vi.advanceTimersByTime(1_000);
    newest().accept(0);
    expect(newest().sounds.length).toBe(KEPT_REQUESTS);
    broken();
    vi.advanceTimersByTime(1_000);
    newest().accept(KEPT_REQUESTS - 1);
    expect(newest().sounds).toEqual([(KEPT_REQUESTS + 2) % 256]);
  });

  it("takes a connection that swallows nothing for broken", () => {
    const socket = call();
    newest().accept();
    newest().bufferedAmount = STUCK_BYTES + 1;
    socket.send(sound(1));
    expect(connections[0]?.isClosed).toBe(true);
    vi.advanceTimersByTime(1_000);
    newest().accept(0);
    expect(newest().sounds).toEqual([1]);
  });

  it("gives up after a while", () => {
    call();
    newest().accept();
    for (let passed = 0; passed <= AGAIN_MS + 2_000; passed += 1_000) {
      broken();
      vi.advanceTimersByTime(1_000);
    }
    expect(endings).toEqual([{ code: 14, message: "" }]);
    const count = connections.length;
    vi.advanceTimersByTime(60_000);
    expect(connections.length).toBe(count);
  });

  it.each([
    [1000, "", { code: 0, message: "" }],
    [4016, "this device is no longer paired: pair it again", { code: 16, message: expect.stringContaining("paired") }],
    [4005, "this session is over; open a new one", { code: 5, message: expect.stringContaining("over") }],
  ])("ends with the close code %i", (code, reason, ending) => {
    call();
    newest().accept();
    newest().onclose?.({ code, reason });
    vi.advanceTimersByTime(5_000);
    expect(endings).toEqual([ending]);
    expect(connections.length).toBe(1);
  });

  it("does not come back after it was left", () => {
    const socket = call();
    newest().accept();
    socket.close();
    broken();
    socket.send(sound(1));
    vi.advanceTimersByTime(5_000);
    expect([connections.length, endings.length]).toEqual([1, 0]);
  });
});
