/**
 * Runs the core's specs, `assembly/__tests__/*.spec.ts`, with as-pect. as-pect's own command starts
 * Node; this starts the same thing in Deno. Arguments are passed on (`--verbose`).
 *
 * as-pect is content when it finds no specs at all: `tests/run.ts` looks at the count it prints.
 *
 * @module
 */
import { asp } from "@as-pect/cli";

Deno.chdir(new URL("../", import.meta.url)); // as-pect finds its files from here
const config = ["--config", "client-as/as-pect.config.js"];
const asConfig = ["--as-config", "client-as/as-pect.asconfig.json"];
await asp(["deno", "asp", ...config, ...asConfig, ...Deno.args]);
