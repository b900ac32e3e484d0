// Draws small pictures as PNG, without compression: a few lines, and no canvas is needed.
type Paint = (x: number, y: number) => [number, number, number];

function crc32(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ~crc >>> 0;
}

function big(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

function chunk(name: string, data: Uint8Array): number[] {
  const named = new Uint8Array([...name].map((c) => c.charCodeAt(0)).concat([...data]));
  return [...big(data.length), ...named, ...big(crc32(named))];
}

/** zlib with stored blocks only. */
function stored(data: Uint8Array): Uint8Array {
  const out: number[] = [0x78, 0x01];
  for (let at = 0; at < data.length; at += 65535) {
    const part = data.subarray(at, at + 65535);
    const last = at + 65535 >= data.length ? 1 : 0;
    out.push(last, part.length & 255, part.length >> 8, ~part.length & 255, (~part.length >> 8) & 255);
    for (const byte of part) out.push(byte);
  }
  let a = 1;
  let b = 0;
  for (const byte of data) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  out.push(...big(((b << 16) | a) >>> 0));
  return new Uint8Array(out);
}

export function png(width: number, height: number, paint: Paint): string {
  const raw = new Uint8Array(height * (1 + width * 3));
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) raw.set(paint(x / width, y / height), y * (1 + width * 3) + 1 + x * 3);
  }
  const header = new Uint8Array([...big(width), ...big(height), 8, 2, 0, 0, 0]);
  const bytes = [137, 80, 78, 71, 13, 10, 26, 10, ...chunk("IHDR", header), ...chunk("IDAT", stored(raw)), ...chunk("IEND", new Uint8Array())];
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/** Hills under a sky; `warm` moves the hour from noon to evening. */
export function landscape(warm: number): string {
  const mix = (a: number, b: number, k: number) => Math.round(a + (b - a) * Math.max(0, Math.min(1, k)));
  return png(300, 190, (x, y) => {
    const sun = Math.hypot((x - 0.72 + warm * 0.25) * 1.6, y - 0.28 - warm * 0.2);
    if (y > 0.78 + 0.06 * Math.sin(x * 7 + 1)) return [mix(38, 60, warm), mix(92, 56, warm), mix(84, 78, warm)];
    if (y > 0.62 + 0.1 * Math.sin(x * 5 + 2.4)) return [mix(74, 112, warm), mix(142, 78, warm), mix(132, 102, warm)];
    if (sun < 0.09) return [255, mix(246, 214, warm), mix(214, 150, warm)];
    return [mix(mix(142, 186, y), mix(104, 246, y), warm), mix(mix(190, 222, y), mix(88, 170, y), warm), mix(236, mix(142, 128, y), warm)];
  });
}
