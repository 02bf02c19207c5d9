/** MD5, because the chip's loader has nothing else. It detects accidents, not attacks. */

const SHIFTS = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]] as const;
const SINES = Int32Array.from(
  { length: 64 },
  (_, i) => Math.floor(2 ** 32 * Math.abs(Math.sin(i + 1))),
);

/** The MD5 of `data`, 32 hex digits. */
export function md5(data: Uint8Array): string {
  const words = new Int32Array((((data.length + 8) >>> 6) + 1) * 16);
  const bytes = new Uint8Array(words.buffer);
  bytes.set(data);
  bytes[data.length] = 0x80;
  const view = new DataView(words.buffer);
  view.setBigUint64(bytes.length - 8, BigInt(data.length) * 8n, true);
  const state = Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476);
  const block = new Int32Array(16);
  for (let at = 0; at < bytes.length; at += 64) {
    for (let i = 0; i < 16; i++) block[i] = view.getInt32(at + 4 * i, true);
    mix(state, block);
  }
  const result = new DataView(new ArrayBuffer(16));
  state.forEach((word, i) => result.setInt32(4 * i, word, true));
  return Array.from({ length: 16 }, (_, i) => result.getUint8(i).toString(16).padStart(2, "0"))
    .join("");
}

function mix(state: Int32Array, block: Int32Array): void {
  let [a = 0, b = 0, c = 0, d = 0] = state;
  for (let i = 0; i < 64; i++) {
    const round = i >> 4;
    const [f, g] = round === 0
      ? [(b & c) | (~b & d), i]
      : round === 1
      ? [(d & b) | (~d & c), 5 * i + 1]
      : round === 2
      ? [b ^ c ^ d, 3 * i + 5]
      : [c ^ (b | ~d), 7 * i];
    const sum = (a + f + SINES[i]! + block[g & 15]!) | 0;
    const shift = SHIFTS[round]![i & 3]!;
    [a, d, c] = [d, c, b];
    b = (b + ((sum << shift) | (sum >>> (32 - shift)))) | 0;
  }
  for (const [i, word] of [a, b, c, d].entries()) state[i] = state[i]! + word;
}
