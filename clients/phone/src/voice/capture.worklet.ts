// Runs in the audio thread: takes the microphone's sound at the device's rate and hands it on as 16-bit samples at
// 16 kHz, in pieces of 40 ms.

import { toPcm16 } from "./pcm";
import { Resampler } from "./resampler";

const RATE = 16_000;
const PIECE_SAMPLES = 640;

class Capture extends AudioWorkletProcessor {
  readonly #resampler = new Resampler(sampleRate, RATE);
  readonly #piece = new Float32Array(PIECE_SAMPLES);
  #filled = 0;
  #isOver = false;

  constructor() {
    super();
    // The only thing that is ever said to it: this was all.
    this.port.onmessage = () => {
      this.#take(this.#resampler.flush());
      this.#send();
      this.port.postMessage(null);
      this.#isOver = true;
    };
  }

  process([input]: Float32Array[][]): boolean {
    const samples = input?.[0];
    if (samples && !this.#isOver) this.#take(this.#resampler.push(samples));
    return !this.#isOver;
  }

  #take(samples: Float32Array): void {
    for (const sample of samples) {
      this.#piece[this.#filled++] = sample;
      if (this.#filled === PIECE_SAMPLES) this.#send();
    }
  }

  #send(): void {
    if (this.#filled === 0) return;
    const bytes = toPcm16(this.#piece.subarray(0, this.#filled));
    this.#filled = 0;
    this.port.postMessage(bytes, [bytes.buffer]);
  }
}

registerProcessor("capture", Capture);
