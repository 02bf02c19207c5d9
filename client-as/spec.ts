/**
 * Runs the core's specs, `assembly/__tests__/*.spec.ts`, with as-pect. as-pect's own command starts
 * Node; this runs the same in Deno. Arguments are passed on (`--verbose`).
 *
 * as-pect succeeds even if it finds no specs: `tests/run.ts` checks the count that it prints.
 *
 * @module
 */
import { asp } from "@as-pect/cli";

Deno.chdir(new URL("../", import.meta.url)); // as-pect finds its files from here
const config = ["--config", "client-as/as-pect.config.js"];
const asConfig = ["--as-config", "client-as/as-pect.asconfig.json"];
await asp(["deno", "asp", ...config, ...asConfig, ...Deno.args]);
