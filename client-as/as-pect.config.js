// Paths are relative to the project's root, where spec.ts runs as-pect.
export default {
  entries: ["client-as/assembly/__tests__/**/*.spec.ts"],
  include: ["client-as/assembly/__tests__/**/*.include.ts"],
  disclude: [/node_modules/],
  outputBinary: false,
  /** What a spec's module may import: the core imports nothing, so memory is all. */
  instantiate(memory, createImports, instantiate, binary) {
    return instantiate(binary, createImports({ env: { memory } }));
  },
};
