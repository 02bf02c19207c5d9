/** Replaces HMAC-SHA256: the result is as long, and depends on every bit of the input. */
function standIn(bytes) {
  let digits = "";
  for (let word = 1; word <= 4; word++) {
    let hash = 0x811c9dc5 ^ word;
    for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
    hash = Math.imul(hash ^ hash >>> 15, 0x9e3779b1);
    digits += (hash >>> 0).toString(16).padStart(8, "0");
  }
  return new TextEncoder().encode(digits);
}

// Paths are relative to the project's root, where spec.ts runs as-pect.
export default {
  entries: ["client-as/assembly/__tests__/**/*.spec.ts"],
  include: ["client-as/assembly/__tests__/**/*.include.ts"],
  disclude: [/node_modules/],
  outputBinary: false,
  /**
   * The imports of a spec's module: memory, a proof that specs can compute, too, and a board that does nothing
   * but tell the time.
   */
  async instantiate(memory, createImports, instantiate, binary) {
    const nothing = () => 0;
    let time = 0x7ffffff0;
    const board = {
      gpio_write: nothing,
      gpio_read: nothing,
      pwm_write: nothing,
      adc_read: nothing,
      log: nothing,
      millis: () => time++ | 0, // advances whenever it is read
      random: nothing,
      free_memory: nothing,
      every: nothing,
      i2c_begin: nothing,
      i2c_write: nothing,
      i2c_read: nothing,
      configure: nothing,
      wifi: nothing,
      restart: nothing,
      keep: nothing,
      kept: nothing,
      sleep: (ms) => ms > 0 ? 1 : 0,
      woke: nothing,
    };
    const bytes = (at, length) => new Uint8Array(module.exports.memory.buffer, at, length);
    const host = {
      hmac: (at, length, to) => bytes(to, 32).set(standIn(bytes(at, length))),
    };
    const module = await instantiate(binary, createImports({ env: { memory }, board, host }));
    return module;
  },
};
