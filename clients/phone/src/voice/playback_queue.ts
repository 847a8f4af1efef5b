// The sound of answers, piece after piece without a gap, cut at once when somebody speaks.

import { fromPcm16 } from "./pcm";
import { Resampler } from "./resampler";

/** A loudspeaker with a clock. */
export interface Output {
  readonly sampleRate: number;
  /** Seconds, of what is handed over now. */
  readonly now: number;
  /** Seconds until what is handed over is heard. */
  readonly latency: number;
  /** Plays samples at a moment to come, and calls `ended` after the last one. Returns what stops them. */
  play(samples: Float32Array<ArrayBuffer>, at: number, ended: () => void): () => void;
}

interface Piece {
  readonly start: number;
  readonly seconds: number;
  readonly stop: () => void;
}

/** Ahead of what is heard, so that a busy page leaves no gap; the rest waits in half the memory. */
const AHEAD_SECONDS = 3;
/** Before the first piece: the time that it takes to get there. */
const LEAD_SECONDS = 0.03;

interface Sound {
  readonly bytes: Uint8Array;
  readonly sampleRate: number;
  readonly isLast: boolean;
}

export class PlaybackQueue {
  readonly #output: Output;
  readonly #onIdle: () => void;
  #waiting: Sound[] = [];
  #playing = new Set<Piece>();
  #resampler: { rate: number; it: Resampler } | null = null;
  #freeAt = 0;
  /** Of pieces that were played to their end. */
  #doneSeconds = 0;

  /** onIdle: called when nothing is left to play. */
  constructor(output: Output, onIdle: () => void) {
    this.#output = output;
    this.#onIdle = onIdle;
  }

  /** Play this after what is there already; bytes are 16-bit samples. */
  push(bytes: Uint8Array, sampleRate: number, isLast: boolean): void {
    this.#waiting.push({ bytes, sampleRate, isLast });
    this.#fill();
  }

  /** Be quiet, and forget what was not heard. */
  cut(): void {
    for (const piece of this.#playing) piece.stop();
    this.#playing.clear();
    this.#waiting = [];
    this.#resampler = null;
    this.#freeAt = 0;
    this.#doneSeconds = 0;
  }

  get isPlaying(): boolean {
    return this.#playing.size > 0 || this.#waiting.length > 0;
  }

  /** Heard since the last cut. */
  get playedSeconds(): number {
    const heardUntil = this.#output.now - this.#output.latency;
    let seconds = this.#doneSeconds;
    for (const piece of this.#playing) seconds += Math.max(0, Math.min(piece.seconds, heardUntil - piece.start));
    return seconds;
  }

  #fill(): void {
    while (this.#freeAt - this.#output.now < AHEAD_SECONDS) {
      const sound = this.#waiting.shift();
      if (!sound) return;
      this.#play(this.#resampled(fromPcm16(sound.bytes), sound.sampleRate, sound.isLast));
    }
  }

  #resampled(samples: Float32Array<ArrayBuffer>, rate: number, isLast: boolean): Float32Array<ArrayBuffer> {
    if (rate === this.#output.sampleRate || rate <= 0) return samples;
    if (this.#resampler?.rate !== rate) this.#resampler = { rate, it: new Resampler(rate, this.#output.sampleRate) };
    const { it } = this.#resampler;
    if (!isLast) return it.push(samples);
    this.#resampler = null;
    const [body, rest] = [it.push(samples), it.flush()];
    const whole = new Float32Array(body.length + rest.length);
    whole.set(body);
    whole.set(rest, body.length);
    return whole;
  }

  #play(samples: Float32Array<ArrayBuffer>): void {
    if (samples.length === 0) return;
    const start = Math.max(this.#freeAt, this.#output.now + LEAD_SECONDS);
    const seconds = samples.length / this.#output.sampleRate;
    this.#freeAt = start + seconds;
    const piece: Piece = { start, seconds, stop: this.#output.play(samples, start, () => this.#ended(piece)) };
    this.#playing.add(piece);
  }

  #ended(piece: Piece): void {
    if (!this.#playing.delete(piece)) return;
    this.#doneSeconds += piece.seconds;
    this.#fill();
    if (!this.isPlaying) this.#onIdle();
  }
}
