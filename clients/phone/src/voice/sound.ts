// The browser's sound: one context for the microphone and the loudspeaker, so that the browser can take the echo of
// the one out of the other.

import worklet from "./capture.worklet.ts?worker&url";
import type { Output } from "./playback_queue";

/** The browser did not give the microphone. */
export class MicrophoneDenied extends Error {}
/** There is none, or the page is not secure. */
export class MicrophoneMissing extends Error {}

/** An open microphone. */
export interface Microphone {
  /** The last pieces are handed over before this is done; then the device is free. */
  close(): Promise<void>;
}

export class Sound implements Output {
  readonly #context = new AudioContext({ latencyHint: "interactive" });
  #isReady: Promise<void> | null = null;

  constructor() {
    // iPhones otherwise mute the page together with the ringer.
    const session = (navigator as { audioSession?: { type: string } }).audioSession;
    if (session) session.type = "play-and-record";
  }

  /** To be called from a gesture: browsers make no sound before one. */
  wake(): void {
    if (this.#context.state !== "running") void this.#context.resume();
  }

  get sampleRate(): number {
    return this.#context.sampleRate;
  }

  get now(): number {
    return this.#context.currentTime;
  }

  get latency(): number {
    return this.#context.outputLatency || this.#context.baseLatency || 0;
  }

  play(samples: Float32Array<ArrayBuffer>, at: number, ended: () => void): () => void {
    const buffer = this.#context.createBuffer(1, samples.length, this.sampleRate);
    buffer.copyToChannel(samples, 0);
    const source = this.#context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.#context.destination);
    source.onended = ended;
    source.start(at);
    return () => {
      source.onended = null;
      source.stop();
      source.disconnect();
    };
  }

  /** Hands over pieces of 16-bit samples at 16 kHz. Throws MicrophoneDenied, MicrophoneMissing. */
  async openMicrophone(take: (piece: Uint8Array<ArrayBuffer>) => void): Promise<Microphone> {
    const stream = await microphoneStream();
    try {
      this.#isReady ??= this.#context.audioWorklet.addModule(worklet);
      await this.#isReady;
      await this.#context.resume();
    } catch (error) {
      for (const track of stream.getTracks()) track.stop();
      throw error;
    }
    return this.#capture(stream, take);
  }

  async close(): Promise<void> {
    if (this.#context.state !== "closed") await this.#context.close();
  }

  #capture(stream: MediaStream, take: (piece: Uint8Array<ArrayBuffer>) => void): Microphone {
    const source = this.#context.createMediaStreamSource(stream);
    const node = new AudioWorkletNode(this.#context, "capture", { numberOfOutputs: 0, channelCount: 1 });
    const over = new Promise<void>((resolve) => {
      node.port.onmessage = ({ data }: MessageEvent<Uint8Array<ArrayBuffer> | null>) => {
        if (data) take(data);
        else resolve();
      };
    });
    source.connect(node);
    return {
      close: async () => {
        for (const track of stream.getTracks()) track.stop();
        source.disconnect();
        node.port.postMessage(null);
        await over;
      },
    };
  }
}

async function microphoneStream(): Promise<MediaStream> {
  if (!navigator.mediaDevices?.getUserMedia) throw new MicrophoneMissing();
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 },
    });
  } catch (error) {
    const isDenied = error instanceof DOMException && ["NotAllowedError", "SecurityError"].includes(error.name);
    throw isDenied ? new MicrophoneDenied() : new MicrophoneMissing();
  }
}
