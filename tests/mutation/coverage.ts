/** Loaded before a test file: writes down, when all has run, which mutants were passed. */
const file = Deno.env.get("HOLDFAST_MUTANTS_PASSED");

interface Stryker {
  mutantCoverage?: {
    static: Record<string, number>;
    perTest: Record<string, Record<string, number>>;
  };
}

if (file) {
  globalThis.addEventListener("unload", () => {
    const { __stryker__ } = globalThis as { __stryker__?: Stryker };
    Deno.writeTextFileSync(
      file,
      JSON.stringify(Object.keys(__stryker__?.mutantCoverage?.static ?? {})),
    );
  });
}
