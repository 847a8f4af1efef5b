// Samples as they travel: 16-bit little-endian, one channel.

/** From numbers between -1 and 1; louder ones are clipped. */
export function toPcm16(samples: Float32Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(2 * samples.length);
  const view = new DataView(bytes.buffer);
  samples.forEach((sample, at) => {
    view.setInt16(2 * at, Math.round(32767 * Math.max(-1, Math.min(1, sample))), true);
  });
  return bytes;
}

/** To numbers between -1 and 1; half a sample at the end is dropped. */
export function fromPcm16(bytes: Uint8Array): Float32Array<ArrayBuffer> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float32Array.from({ length: bytes.length >> 1 }, (_, at) => view.getInt16(2 * at, true) / 32768);
}
