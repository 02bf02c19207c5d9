// Paths are relative to the project's root, where spec.ts runs as-pect.
export default {
  entries: ["client-as/assembly/__tests__/**/*.spec.ts"],
  include: ["client-as/assembly/__tests__/**/*.include.ts"],
  disclude: [/node_modules/],
  outputBinary: false,
  /** What a spec's module may import: memory and, for what applications use, a board that does nothing. */
  instantiate(memory, createImports, instantiate, binary) {
    const nothing = () => 0;
    const board = {
      gpio_write: nothing,
      gpio_read: nothing,
      adc_read: nothing,
      log: nothing,
      millis: nothing,
      random: nothing,
      free_memory: nothing,
      every: nothing,
    };
    return instantiate(binary, createImports({ env: { memory }, board }));
  },
};
