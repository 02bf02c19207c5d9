/** How far the board has got, from its console: on the server, or the exact reason why not. */
import { FALLS } from "../../../server/protocol/falls.ts";
import { aboutApplication } from "../plan/applications.ts";
import { LINKS, type Place, REFUSALS } from "./link_words.ts";
import { parseReport, type Report, type Topic } from "./report.ts";
import { Restarts } from "./restarts.ts";
import { parseRom, type RomReport } from "./rom.ts";
import { WIFI } from "./wifi_words.ts";
import { crashWords, IMAGE_WORDS, loopWords, OTHER_MODE, pinWords } from "./start_words.ts";

/** One of the steps that must succeed, in order. */
export interface Step {
  name: string;
  state: "waiting" | "good" | "bad";
  /** What is known about it. */
  text: string;
}

export interface Verdict {
  kind: "waiting" | "good" | "bad";
  headline: string;
  /** What to try; empty unless it is bad. */
  tries: string[];
}

const NAMES: Record<Topic, string> = {
  boot: "Firmware",
  crash: "Last crash",
  settings: "Settings",
  application: "Application",
  deploy: "New application",
  wifi: "WiFi",
  link: "Server",
};

export class Diagnosis {
  #steps = new Map<Topic, Step>();
  #verdict: Verdict = WAITING;
  #values: Record<string, string> = {};
  /** The verdict drawn from silence, if that is the current one. */
  #guess: Verdict | undefined;
  #heard = false;
  #noise = false;
  #restarts = new Restarts();
  /** Exception number of the last crash. */
  #exception: number | undefined;
  /** Since its start, the ROM has begun to load a program; and something else was received after that. */
  #loaded = false;
  #wentOn = false;
  /** The last thing received is a crash: there was no start since. */
  #crashed = false;
  readonly #erased: boolean;
  #waitsForSettings = false;
  /** Why the chip does not start its program. */
  #stuck: { headline: string; tries: readonly string[] } | undefined;
  /** Whether the pins, as they are wired, prevent the start. */
  #pins = false;
  /** The board's application gets its settings from a Pyboard, not from the flash. */
  #told = false;

  /** @param erased the settings were erased on purpose, so missing ones are not an error */
  constructor({ erased = false } = {}) {
    this.#erased = erased;
  }

  /** Whether the board cannot go on without settings; it takes them over its serial line. */
  get waitsForSettings(): boolean {
    return this.#waitsForSettings;
  }

  get verdict(): Verdict {
    const { reason } = this.#restarts;
    const words = this.#stuck ?? (reason && loopWords(reason, this.#exception));
    return words ? bad(words.headline, [...words.tries]) : this.#verdict;
  }

  get steps(): Step[] {
    return [...this.#steps.values()];
  }

  /** Whether there is nothing more to wait for, in success or in failure. */
  get settled(): boolean {
    return this.verdict.kind !== "waiting";
  }

  /** Whether the board itself has reported its state. */
  get known(): boolean {
    return this.settled && this.verdict !== this.#guess;
  }

  /** Whether the firmware has printed something. */
  get speaks(): boolean {
    return this.#steps.size > 0;
  }

  /** The page, or somebody else, restarts the board: that is not a failure of the board. */
  expectRestart(): void {
    this.#restarts.expect();
  }

  /** Takes a line of the console. Returns true if it changed something. @param now in ms, of any clock */
  push(line: string, now = 0): boolean {
    this.#heard = true;
    const report = parseReport(line);
    if (!report) {
      const rom = parseRom(line);
      if (rom) this.#takeRom(rom, now);
      else this.#wentOn = this.#loaded;
      return rom !== undefined;
    }
    this.#stuck = undefined;
    this.#crashed = false;
    if (report.topic === "boot") { // from the beginning
      this.#steps = new Map();
      this.#told = this.#waitsForSettings = false;
      this.#restarts.started(report.values.reset ?? "unknown", "firmware", now);
    }
    Object.assign(this.#values, report.values);
    this.#take(report);
    return true;
  }

  /** A frame of Improv-Serial has come: the board runs something. */
  pushFrame(): void {
    this.#heard = true;
  }

  /** Bytes arrived that are not text. */
  pushNoise(): void {
    this.#noise = true;
    this.#wentOn = this.#loaded;
  }

  /** When the verdict may change although nothing arrives, in ms; Infinity: never. */
  get deadline(): number {
    return this.#restarts.calm;
  }

  /** Tells the time, in ms. */
  tick(now: number): void {
    this.#restarts.tick(now);
  }

  /** The board has had enough time to say something. Returns true if that changes the verdict. */
  overdue(): boolean {
    if (this.known) return false;
    const last = this.steps.at(-1);
    this.#verdict = this.#guess = last
      ? bad(`The board has said nothing more for a while. The last was about: ${last.name}.`, [
        "Press “Restart the board”.",
        FLASH_AGAIN,
      ])
      : this.#loaded && !this.#wentOn
      ? bad(IMAGE_WORDS.silent.headline, [...IMAGE_WORDS.silent.tries])
      : this.#loaded
      ? bad("The board starts a program, but it does not speak as Holdfast’s firmware does.", [
        "Flash firmware and application, not the settings alone.",
        FLASH_AGAIN,
      ])
      : this.#heard
      ? bad("The board runs something, but not Holdfast’s firmware.", [
        "Flash firmware and application, not the settings alone.",
        "If you have just flashed them, press RESET on the board.",
      ])
      : this.#noise
      ? bad("The board says something that cannot be read.", [
        "Press RESET on the board, and wait for ten seconds.",
        "On a bare module: is GND of the adapter connected with GND of the module?",
        FLASH_AGAIN,
      ])
      : bad("The board says nothing.", [
        "Press RESET on the board. GPIO0 must not be at GND now, or it waits in boot mode.",
        FLASH_AGAIN,
        OTHER_MODE,
      ]);
    return true;
  }

  #takeRom(report: RomReport, now: number): void {
    switch (report.what) {
      case "start": {
        const pins = pinWords(report.mode);
        if (pins || this.#pins) this.#restarts.expect(); // somebody is changing the wires
        this.#restarts.startedByRom(report.cause, now);
        this.#loaded = this.#wentOn = this.#crashed = false;
        // An error of the flash stays: the chip tries again and again.
        if (pins || this.#pins) this.#stuck = pins;
        this.#pins = pins !== undefined;
        return;
      }
      case "load":
        this.#loaded = true;
        return;
      case "more":
        return;
      case "exception":
        // Crashes without a start between them are the ROM's own: the pins make it boot from memory that is empty.
        if (this.#crashed && report.number === 0) {
          this.#stuck = pinWords(2);
          this.#pins = true;
        }
        if (this.#pins) return;
        this.#crashed = true;
        this.#exception = report.number;
        return this.#restarts.started("exception", "crash", now);
      case "watchdog":
        return this.#restarts.started("watchdog", "crash", now);
      case "nothing":
        // It says this about a damaged program, too.
        this.#stuck ??= this.#loaded ? IMAGE_WORDS.checksum : IMAGE_WORDS.nothing;
        return;
      default:
        this.#stuck = IMAGE_WORDS[report.what];
    }
  }

  #take({ topic, what, values }: Report): void {
    const step = (state: Step["state"], text: string) =>
      this.#steps.set(topic, { name: NAMES[topic], state, text });
    const { ssid = "", server = "" } = this.#values;
    switch (topic) {
      case "boot":
        step("good", `started, version ${values.version ?? "unknown"}`);
        this.#verdict = WAITING;
        return;
      case "crash":
        if (values.cause === undefined) return;
        this.#exception = Number(values.cause);
        step("bad", crashWords(this.#exception, values.at, values.address));
        return;
      case "settings":
        return this.#settings(what, values, step);
      case "application":
        return this.#application(what, values, step);
      case "deploy":
        return this.#deploy(what, values, step);
      case "wifi":
        if (what === "joining") step("waiting", `joining ${ssid}`);
        else if (what === "up") {
          step("good", `joined ${ssid}, address ${values.ip}`.trim());
          this.#verdict = waiting(`The board is in the WiFi. Waiting for the server ${server} …`);
        } else {
          const { why, tries } = WIFI[values.reason ?? ""] ??
            { why: () => `The WiFi failed: ${values.reason ?? what}.`, tries: [] };
          step("bad", values.reason ?? what);
          this.#verdict = this.#bad(why(ssid), tries);
        }
        return;
      case "link":
        if (what === "connecting") {
          if (this.#steps.get("link")?.state !== "bad") step("waiting", `connecting to ${server}`);
        } else if (what === "up") {
          step("good", `linked with ${server}`);
          this.#verdict = good(
            this.#told ? "The Pyboard is on the server." : "This device is on the server.",
          );
        } else {
          const code = [values.reason ?? what, values.code].filter(Boolean).join(" ");
          const known = REFUSALS[values.code ?? ""] ?? LINKS[values.reason ?? ""];
          step("bad", known ? `${known.why} (${code})` : code);
          this.#verdict = this.#unlinked(values);
        }
    }
  }

  #settings(what: string, values: Report["values"], step: Mark): void {
    if (values.id !== undefined) {
      step("good", `${values.id}, key: ${values.key ?? "no"}`);
      if (this.#told) this.#verdict = this.#configured(values);
      return;
    }
    if (what.startsWith("changed")) {
      this.#restarts.expect();
      return step("waiting", "changed, so the board restarts");
    }
    this.#waitsForSettings = true;
    if (this.#erased && what.startsWith("blank")) {
      step("good", "erased");
      this.#verdict = good("The settings are erased, as you wanted. The board waits for new ones.");
      return;
    }
    const damaged = what.startsWith("damaged");
    step("bad", what.split(":")[0]!);
    this.#verdict = bad(
      damaged
        ? "The settings on the board are damaged, so it waits for others."
        : what.startsWith("incomplete")
        ? "The settings on the board are not complete: WiFi, server and id are needed."
        : "The board has no settings yet, and waits for them.",
      ["Fill in the settings in step 3, and press “Send these settings”: nothing needs to be flashed."],
    );
  }

  /** An application comes over the link; here only the restart matters. */
  #deploy(what: string, values: Report["values"], step: Mark): void {
    if (values.name !== undefined) return step("waiting", `${values.name} comes over the link`);
    if (!what.startsWith("complete")) {
      return step("bad", [what, values.reason].filter(Boolean).join(": "));
    }
    this.#restarts.expect();
    step("waiting", "all of it has come over the link: the board restarts into it");
  }

  #application(what: string, values: Report["values"], step: Mark): void {
    if (values.name !== undefined) {
      const within = values.in === "firmware";
      step(
        "good",
        `${values.name}, ${within ? "in the firmware" : `${values.bytes ?? "?"} bytes`}`,
      );
      if (within && values.name === TOLD) {
        this.#told = true;
        this.#waitsForSettings = false;
        // The firmware reports damaged settings before it knows that it needs none.
        const damaged = this.#steps.get("settings")?.state === "bad"
          ? " The settings on the board are damaged, and not used."
          : "";
        this.#verdict = good(`The firmware runs, and waits for the Pyboard.${damaged}`);
      }
      return;
    }
    if (what === "kept") return step("good", "its trial is over, and it is kept");
    if (what === "fell back") {
      const { reason = "" } = values;
      const why = Object.hasOwn(FALLS, reason) ? FALLS[reason as keyof typeof FALLS] : reason;
      this.#restarts.expect();
      step("bad", `${why}: the one before comes back`);
      this.#verdict = waiting(
        `The application that came over the link was tried, and ${why}. Waiting for the one before …`,
      );
      return;
    }
    step("bad", what);
    if (what.startsWith("failed")) {
      this.#verdict = bad(`The application has a fault: ${what.replace(/^failed: /, "")}.`, [
        "The board starts it again after a pause; if it fails again, choose another, and flash.",
      ]);
      return;
    }
    this.#verdict = bad(
      what === "missing"
        ? "There is no application on the board."
        : what.startsWith("damaged")
        ? "The application on the board is damaged."
        : `The firmware cannot run this application: ${what.replace(/^refused: /, "it ")}.`,
      what.startsWith("refused")
        ? ["Choose another application in step 2, or another firmware."]
        : ["Choose an application, and flash."],
    );
  }

  /** The Pyboard has told the board what to do. */
  #configured({ ssid, server }: Report["values"]): Verdict {
    if (ssid !== "") return waiting(`The Pyboard names the server ${server}. Joining the WiFi …`);
    return bad("The Pyboard names no WiFi, and none is stored on this board.", [
      "Enter name and password of the WiFi in the Pyboard’s configuration.",
      "Or choose “Write these” in step 3, fill in the WiFi, and flash.",
    ]);
  }

  /** What to try depends on where the settings come from. */
  #bad(headline: string, tries: string[]): Verdict {
    return bad(headline, this.#told ? [PYBOARD, ...tries] : tries);
  }

  #unlinked({ reason = "", code }: Report["values"]): Verdict {
    const { server = "" } = this.#values;
    const refusal = code === undefined ? undefined : REFUSALS[code];
    if (refusal) {
      return this.#bad(
        `The server ${server} refuses the board: ${refusal.why}.`,
        refusal.tries(this.#place),
      );
    }
    const known = LINKS[reason];
    return known
      ? this.#bad(`No link with the server ${server}: ${known.why}.`, known.tries(this.#place))
      : this.#bad(
        `No link with the server ${server}: ${[reason, code].filter(Boolean).join(" ")}.`,
        [],
      );
  }

  /** What the commands for the server must name. */
  get #place(): Place {
    const { id = "ID", server = "", key, name = "" } = this.#values;
    return {
      id,
      key: key === "yes",
      port: Number(server.match(/:(\d+)$/)?.[1] ?? 8123),
      app: this.#told ? undefined : aboutApplication(name)?.app,
    };
  }
}

type Mark = (state: Step["state"], text: string) => void;

/** The application that gets its settings from a Pyboard. */
const TOLD = "pyboard";

const PYBOARD =
  "Server, id and WiFi come from the Pyboard’s configuration: is that right? (If it names no WiFi, the " +
  "stored one is used.)";

const FLASH_AGAIN = "If that does not help, flash it again, with “First erase the whole flash”.";

const WAITING = waiting("The board has been restarted. Waiting for what it says …");

function waiting(headline: string): Verdict {
  return { kind: "waiting", headline, tries: [] };
}

function good(headline: string): Verdict {
  return { kind: "good", headline, tries: [] };
}

function bad(headline: string, tries: string[]): Verdict {
  return { kind: "bad", headline, tries };
}
