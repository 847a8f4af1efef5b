// Pictures from the camera or the gallery, made small enough to be sent and thought about.

/** Longest side, in pixels. */
export const MAX_SIDE = 2048;
const QUALITY = 0.85;

export interface Picture {
  readonly data: Uint8Array;
  readonly mediaType: string;
  /** Of the page's own memory. */
  readonly url: string;
}

/** The file is no picture, or one that this browser cannot read. */
export class Unreadable extends Error {}

/** Width and height after shrinking, never growing, to the longest side. */
export function fitted(width: number, height: number, maxSide = MAX_SIDE): { width: number; height: number } {
  const scale = Math.min(1, maxSide / Math.max(width, height));
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

/** A JPEG of a file or of what the camera shows: upright, and without the place where it was taken. Throws Unreadable. */
export async function pictureFrom(source: Blob | HTMLVideoElement): Promise<Picture> {
  const bitmap = await createImageBitmap(source, { imageOrientation: "from-image" }).catch(() => {
    throw new Unreadable();
  });
  const { width, height } = fitted(bitmap.width, bitmap.height);
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  if (!context) throw new Unreadable();
  context.fillStyle = "white"; // behind what is transparent: JPEG has no transparency
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
  if (!blob) throw new Unreadable();
  return pictureOf(new Uint8Array(await blob.arrayBuffer()), "image/jpeg");
}

/** One that came from the daemon. */
export function pictureOf(data: Uint8Array, mediaType: string): Picture {
  return { data, mediaType, url: URL.createObjectURL(new Blob([Uint8Array.from(data)], { type: mediaType })) };
}

export function forget(picture: Picture): void {
  URL.revokeObjectURL(picture.url);
}
