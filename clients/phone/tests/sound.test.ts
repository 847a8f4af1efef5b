import { describe, expect, it } from "vitest";
import { fromPcm16, toPcm16 } from "../src/voice/pcm";
import { type Output, PlaybackQueue } from "../src/voice/playback_queue";
import { Resampler } from "../src/voice/resampler";

const tone = (hertz: number, rate: number, seconds: number) =>
  Float32Array.from(
    { length: Math.round(rate * seconds) },
    (_, at) => 0.5 * Math.sin((2 * Math.PI * hertz * at) / rate),
  );
const loudness = (samples: Float32Array) => Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length);
const joined = (pieces: readonly Float32Array[]) => Float32Array.from(pieces.flatMap((piece) => [...piece]));

describe("samples on the wire", () => {
  it("are little-endian, and clipped", () => {
    expect([...toPcm16(Float32Array.of(0, 1, -1, 2, 0.5))]).toEqual([0, 0, 0xff, 0x7f, 1, 0x80, 0xff, 0x7f, 0, 0x40]);
  });
  it("come back as they went, from the middle of a buffer too", () => {
    const bytes = toPcm16(tone(440, 16_000, 0.01));
    const padded = new Uint8Array(bytes.length + 3);
    padded.set(bytes, 1);
    const back = fromPcm16(padded.subarray(1, bytes.length + 2)); // half a sample more
    expect(back.length).toBe(160);
    expect(Math.max(...back.map((x, at) => Math.abs(x - (tone(440, 16_000, 0.01)[at] ?? 0))))).toBeLessThan(1e-4);
  });
});

describe.each([
  [48_000, 16_000],
  [44_100, 16_000],
  [16_000, 16_000],
  [8_000, 16_000],
  [22_050, 48_000],
  [16_000, 44_100],
])("resampling from %i to %i Hz", (from, to) => {
  const resampled = (samples: Float32Array, size: number) => {
    const resampler = new Resampler(from, to);
    const pieces: Float32Array[] = [];
    for (let at = 0; at < samples.length; at += size) pieces.push(resampler.push(samples.subarray(at, at + size)));
    return joined([...pieces, resampler.flush()]);
  };

  it("keeps a tone's pitch, loudness and time", () => {
    const output = resampled(tone(1_000, from, 0.5), 128);
    const expected = tone(1_000, to, 0.5);
    expect(Math.abs(output.length - expected.length)).toBeLessThan(100);
    const middle = (samples: Float32Array) => samples.subarray(to / 10, (4 * to) / 10);
    const difference = middle(output).map((x, at) => x - (middle(expected)[at] ?? 0));
    expect(loudness(difference)).toBeLessThan(0.002 * loudness(middle(expected)));
  });

  it("gives the same in pieces as at once", () => {
    const samples = tone(700, from, 0.1);
    const whole = resampled(samples, samples.length);
    for (const size of [1, 7, 128, 1000]) expect(resampled(samples, size)).toEqual(whole);
  });

  it("lets through nothing that the lower rate cannot carry", () => {
    if (to >= from) return;
    const output = resampled(tone(0.45 * from, from, 0.5), 128);
    expect(loudness(output.subarray(to / 10, (4 * to) / 10))).toBeLessThan(0.001);
  });
});

/** A loudspeaker that plays when time is told to pass. */
class Speaker implements Output {
  readonly sampleRate = 16_000;
  readonly latency = 0;
  now = 10;
  readonly stopped: number[] = [];
  readonly pieces: { start: number; end: number; samples: Float32Array; ended: () => void }[] = [];

  play(samples: Float32Array<ArrayBuffer>, at: number, ended: () => void): () => void {
    const piece = { start: at, end: at + samples.length / this.sampleRate, samples, ended };
    this.pieces.push(piece);
    return () => this.stopped.push(this.pieces.indexOf(piece));
  }

  pass(seconds: number): void {
    const until = this.now + seconds;
    for (;;) {
      const next = this.pieces.find(({ end }) => end > this.now && end <= until);
      if (!next) break;
      this.now = next.end;
      next.ended();
    }
    this.now = until;
  }
}

const second = toPcm16(tone(440, 16_000, 1));

describe("the queue of what is said", () => {
  it("plays pieces one after the other without a gap", () => {
    const speaker = new Speaker();
    const queue = new PlaybackQueue(speaker, () => undefined);
    for (let count = 0; count < 3; count++) queue.push(second, 16_000, false);
    const [first, next, last] = speaker.pieces;
    expect(first?.start).toBeGreaterThan(speaker.now);
    expect(next?.start).toBe(first?.end);
    expect(last?.start).toBe(next?.end);
  });

  it("says how much was heard, to the middle of a piece", () => {
    const speaker = new Speaker();
    const queue = new PlaybackQueue(speaker, () => undefined);
    queue.push(second, 16_000, false);
    queue.push(second, 16_000, true);
    const lead = (speaker.pieces[0]?.start ?? 0) - speaker.now;
    speaker.pass(lead + 1.5);
    expect(queue.playedSeconds).toBeCloseTo(1.5);
    speaker.pass(5);
    expect(queue.playedSeconds).toBeCloseTo(2);
  });

  it("is quiet at once when it is cut, and begins to count anew", () => {
    const speaker = new Speaker();
    const queue = new PlaybackQueue(speaker, () => undefined);
    for (let count = 0; count < 10; count++) queue.push(second, 16_000, false);
    const handedOver = speaker.pieces.length;
    expect(handedOver).toBeLessThan(6); // the rest waits
    speaker.pass(0.5);
    queue.cut();
    expect(speaker.stopped).toEqual(speaker.pieces.map((_, at) => at));
    expect(queue.isPlaying).toBe(false);
    expect(queue.playedSeconds).toBe(0);
    for (const piece of speaker.pieces) piece.ended(); // as browsers do, late
    expect(speaker.pieces.length).toBe(handedOver);
    queue.push(second, 16_000, true);
    expect(speaker.pieces.at(-1)?.start).toBeLessThan(speaker.now + 0.1);
  });

  it("plays everything in the end, and says when", () => {
    const speaker = new Speaker();
    let idle = 0;
    const queue = new PlaybackQueue(speaker, () => {
      idle += 1;
    });
    for (let count = 0; count < 10; count++) queue.push(second, 16_000, count === 9);
    speaker.pass(11);
    expect(idle).toBe(1);
    expect(queue.playedSeconds).toBeCloseTo(10);
  });

  it("resamples across pieces, so that no seam is heard", () => {
    const speaker = new Speaker();
    const queue = new PlaybackQueue(speaker, () => undefined);
    const said = tone(440, 22_050, 1);
    for (let at = 0; at < said.length; at += 2205) {
      queue.push(toPcm16(said.subarray(at, at + 2205)), 22_050, at + 2205 >= said.length);
    }
    const heard = joined(speaker.pieces.map(({ samples }) => samples));
    const expected = tone(440, 16_000, 1);
    const difference = heard.subarray(1600, 14_400).map((x, at) => x - (expected[1600 + at] ?? 0));
    expect(loudness(difference)).toBeLessThan(0.001);
  });
});
