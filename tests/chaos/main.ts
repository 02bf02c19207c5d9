/**
 * `deno task chaos`: kills the real server under load, a given number of times, and reports what was lost.
 *
 * @module
 */
import { isFaultless } from "./account.ts";
import { flag, obey, seed, whole, word } from "./arguments.ts";
import { chaos, type ChaosResult } from "./chaos.ts";

const HELP = `deno task chaos [options]

  --kills N              how often to kill the server, 1 to 1000000        (20)
  --devices N            devices that write meanwhile, 1 to 500            (50)
  --seed N               of instants and faults, 0 to 4294967295           (a random one)
  --durability full|normal  the server's                                   (full)
  --json                 the result as JSON on stdout
  --help                 this text

Exit code: 0 if every message was processed once and answered once, in order; 1 if not, 2 for wrong
options. A seed does not repeat what the operating system does meanwhile.`;

/** In ms, at both ends. Short, so that much happens. */
const TIMEOUT = 600;

const OPTIONS = {
  kills: whole(1, 1_000_000, 20),
  devices: whole(1, 500, 50),
  seed: seed(),
  durability: word("full", "normal"),
  json: flag,
};

/** The result for people. */
export function asText(result: ChaosResult): string {
  const count = (kind: string) => result.findings.filter((finding) => finding.kind === kind).length;
  const rows: [string, string | number][] = [
    ["kills", `${result.kills} (${result.early} of servers that did not listen yet)`],
    ["resets", result.resets],
    ["black holes", result.holes],
    ["half-open sockets", result.halfOpen],
    ["connections made", result.connects],
    ["messages processed", result.up],
    ["answers received", result.down],
    ["lost", count("lost")],
    ["doubled", count("doubled")],
    ["out of order", count("out of order")],
    ["never written", count("unknown")],
    ["other complaints", result.complaints.length],
    ["time", `${result.seconds.toFixed(1)} s`],
  ];
  const table = rows.map(([name, value]) => {
    const shown = typeof value === "number" ? value.toLocaleString("en") : value;
    return `${name.padEnd(20)} ${shown}`;
  });
  const details = [...result.findings.map(({ kind, about }) => `${kind}: ${about}`)]
    .concat(result.complaints).slice(0, 50);
  return [...table, ...details.length > 0 ? ["", ...details] : []].join("\n");
}

if (import.meta.main) {
  Deno.exit(
    await obey("chaos", HELP, OPTIONS, async ({ json, ...options }) => {
      const { kills, devices, seed } = options;
      console.error(`chaos: ${kills} kills, ${devices} devices, --seed ${seed}`);
      const started = performance.now();
      let shown = 0;
      const progress = (state: { kills: number; processed: number }) => {
        const seconds = Math.round((performance.now() - started) / 1000);
        if (seconds < shown && state.kills < kills) return;
        shown = seconds + (Deno.stderr.isTerminal() ? 1 : 10);
        console.error(
          `chaos: ${seconds} s, kill ${state.kills} of ${kills}, ${state.processed} answers`,
        );
      };
      const result = await chaos({ ...options, timeout: TIMEOUT, progress });
      if (json) console.log(JSON.stringify({ seed, devices, ...result }, undefined, 2));
      else console.log(asText(result));
      const ok = isFaultless(result);
      console.error(
        ok
          ? "chaos: every message was processed once and answered once, in order"
          : `chaos: FAILED; --seed ${seed} does the same to the server again`,
      );
      return ok ? 0 : 1;
    }),
  );
}
