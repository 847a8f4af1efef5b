// Draws the app's icons: five bars of sound in a rounded square. `npm run icons` writes them to public/.

import { writeFileSync } from "node:fs";
import { crc32, deflateSync } from "node:zlib";

const GROUND = [35, 84, 199];
const BARS = [255, 255, 255];
/** Half heights of the bars, as parts of the picture. */
const HEIGHTS = [0.08, 0.18, 0.28, 0.18, 0.08];
const PITCH = 0.13;
const BAR_RADIUS = 0.04;
const CORNER = 0.22;

/** Distance to a rounded rectangle around the middle; negative inside. */
function distance(x, y, halfWidth, halfHeight, radius) {
  const dx = Math.abs(x) - halfWidth + radius;
  const dy = Math.abs(y) - halfHeight + radius;
  return Math.hypot(Math.max(dx, 0), Math.max(dy, 0)) + Math.min(Math.max(dx, dy), 0) - radius;
}

function pixel(x, y, size, isMaskable) {
  const cover = (d) => Math.max(0, Math.min(1, 0.5 - d * size));
  // What is maskable is cut by the system to a shape of its own, of which only the inner 80 % is sure.
  const scale = isMaskable ? 0.8 : 1;
  const ground = isMaskable ? 1 : cover(distance(x, y, 0.5, 0.5, CORNER));
  const bars = Math.max(
    ...HEIGHTS.map((height, at) =>
      cover(distance(x - (at - 2) * PITCH * scale, y, BAR_RADIUS * scale, height * scale, BAR_RADIUS * scale)),
    ),
  );
  return [...GROUND.map((value, at) => Math.round(value + (BARS[at] - value) * bars)), Math.round(255 * ground)];
}

function png(size, isMaskable) {
  const rows = Buffer.alloc(size * (4 * size + 1));
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const colour = pixel((column + 0.5) / size - 0.5, (row + 0.5) / size - 0.5, size, isMaskable);
      rows.set(colour, row * (4 * size + 1) + 1 + 4 * column);
    }
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(size, 0);
  header.writeUInt32BE(size, 4);
  header.set([8, 6, 0, 0, 0], 8); // eight bits, with alpha
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const chunks = [
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(rows, { level: 9 })),
    chunk("IEND", Buffer.alloc(0)),
  ];
  return Buffer.concat([signature, ...chunks]);
}

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const framed = Buffer.alloc(body.length + 8);
  framed.writeUInt32BE(data.length, 0);
  framed.set(body, 4);
  framed.writeUInt32BE(crc32(body), body.length + 4);
  return framed;
}

for (const [name, size, isMaskable] of [
  ["icon-192", 192, false],
  ["icon-512", 512, false],
  ["icon-maskable-512", 512, true],
]) {
  writeFileSync(new URL(`../public/${name}.png`, import.meta.url), png(size, isMaskable));
}
