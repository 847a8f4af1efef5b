// A polyphase resampler: a windowed sinc, cut off below the lower of the two Nyquist frequencies.

const HALF_WIDTH = 16;
/** Of the lower Nyquist frequency: what is left of it is where the filter falls. */
const PASSED = 0.92;

/** Takes sound in pieces of any length; what comes out is the same as for the whole. */
export class Resampler {
  readonly #up: number;
  readonly #down: number;
  readonly #reach: number;
  readonly #phases: readonly Float32Array[];
  #held: Float32Array;
  /** Where the next output sample lies, in steps of 1/up of an input sample after the first one held. */
  #next: number;

  /** Rates in hertz, whole numbers. */
  constructor(from: number, to: number) {
    const divisor = greatestCommonDivisor(from, to);
    this.#up = to / divisor;
    this.#down = from / divisor;
    const bandwidth = Math.min(1, to / from) * PASSED;
    this.#reach = from === to ? 0 : Math.ceil(HALF_WIDTH / bandwidth);
    this.#phases = Array.from({ length: this.#up }, (_, phase) =>
      from === to ? Float32Array.of(1) : kernel(phase / this.#up, this.#reach, bandwidth),
    );
    this.#held = new Float32Array(this.#reach);
    this.#next = this.#reach * this.#up;
  }

  /** All output that no later input can change. */
  push(samples: Float32Array): Float32Array<ArrayBuffer> {
    const input = new Float32Array(this.#held.length + samples.length);
    input.set(this.#held);
    input.set(samples, this.#held.length);
    const ready = (input.length - this.#reach) * this.#up - this.#next;
    const output = new Float32Array(Math.max(0, Math.ceil(ready / this.#down)));
    for (let at = 0; at < output.length; at++, this.#next += this.#down) output[at] = this.#sample(input);
    const used = Math.max(0, Math.floor(this.#next / this.#up) - this.#reach);
    this.#held = input.slice(used);
    this.#next -= used * this.#up;
    return output;
  }

  /** What is left, as if silence followed. */
  flush(): Float32Array<ArrayBuffer> {
    return this.push(new Float32Array(this.#reach));
  }

  #sample(input: Float32Array): number {
    const first = Math.floor(this.#next / this.#up) - this.#reach;
    const weights = this.#phases[this.#next % this.#up] as Float32Array;
    let sum = 0;
    for (let tap = 0; tap < weights.length; tap++) sum += (weights[tap] ?? 0) * (input[first + tap] ?? 0);
    return sum;
  }
}

/** Weights of the input samples from `reach` before the output sample to `reach` after it, which lies `shift` on. */
function kernel(shift: number, reach: number, bandwidth: number): Float32Array {
  const weights = Float32Array.from({ length: 2 * reach + 1 }, (_, tap) => {
    const distance = tap - reach - shift;
    const inside = Math.min(1, Math.abs(distance) / (reach + 1));
    const window = 0.42 + 0.5 * Math.cos(Math.PI * inside) + 0.08 * Math.cos(2 * Math.PI * inside); // Blackman
    return bandwidth * sinc(bandwidth * distance) * window;
  });
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
