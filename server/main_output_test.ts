/** Whatever happens to the process's output: the server continues, and ends on a signal. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { listeningPort } from "../tests/support/listening_port.ts";
import { folder, MAIN } from "../tests/support/main_process.ts";
import { RawPeer } from "../tests/support/raw.ts";
import { toolTest } from "../tests/support/tools.ts";
import { until } from "../tests/support/wait.ts";
import type { LogEntry } from "./mod.ts";

/** An application that prints 20 KB on stdout and as much on stderr for every message, and answers. */
const TALKER = `export default async (device) => {
  for await (const line of device) {
    console.log("out " + line + " " + "x".repeat(20_000));
    console.error("err " + line + " " + "x".repeat(20_000));
    await device.write(line);
  }
};`;

const HELPER = new URL("../tests/support/terminal.py", import.meta.url).pathname;

/** More than pipes, terminals and our own buffers hold. */
const MESSAGES = 60;

/** A server with an application that prints. */
class Talker implements AsyncDisposable {
  readonly #place = folder();
  readonly child: Deno.ChildProcess;
  #messages = 0;
  #peer: RawPeer | undefined;

  /** @param around The program that starts it, with its arguments. */
  constructor(around: string[] = [], place = "piped" as "piped" | "null") {
    const app = `${this.#place.path}/talker.js`;
    Deno.writeTextFileSync(app, TALKER);
    // deno-fmt-ignore
    const [program, ...args] = [
      ...around, Deno.execPath(), "run", "-q", "-A", "--no-check", MAIN, "--open", "--host", "127.0.0.1",
      "--port", "0", "--log", "json", "--app", app,
    ];
    this.child = new Deno.Command(program!, {
      args,
      env: { NO_COLOR: "1" },
      stdin: "piped",
      stdout: place,
      stderr: place,
    }).spawn();
  }

  /** A device sends this many messages and gets all of them back: the server works. */
  async isWell(messages = MESSAGES): Promise<void> {
    const peer = this.#peer ??= await this.#dial();
    for (let n = 0; n < messages; n++) {
      const message = ++this.#messages;
      const id = ((message - 1) % 255 + 1).toString(16).padStart(2, "0");
      await peer.say(`${id}m${message}\n`);
      await until(() => peer.heard.includes(`m${message}\n`), { what: `the answer to ${message}` });
      await peer.say(`${peer.lines.at(-1)!.slice(0, 2)}\n`);
    }
  }

  async #dial(): Promise<RawPeer> {
    const port = await until(() => listeningPort(this.child.pid), { what: "the server's port" });
    const peer = await RawPeer.dial(port);
    peer.keepAlive(200);
    await peer.say("1\n\n");
    return peer;
  }

  /** It exits cleanly on SIGTERM. */
  async ends(): Promise<void> {
    this.child.kill("SIGTERM");
    let code: number | undefined;
    this.child.status.then((status) => code = status.code);
    await until(() => code !== undefined, { what: "the server's exit" });
    assertEquals(code, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#peer?.[Symbol.asyncDispose]();
    try {
      this.child.kill("SIGKILL");
    } catch {
      // It has already ended.
    }
    await this.child.status;
    await this.child.stdin.abort().catch(() => {});
    for (const name of ["stdout", "stderr"] as const) {
      try {
        await this.child[name].cancel();
      } catch {
        // There is no such stream, or it was read.
      }
    }
    this.#place[Symbol.dispose]();
  }
}

/** All text of a stream until its end. */
class Reader {
  text = "";
  readonly done: Promise<void>;
  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.done = (async () => {
      for await (const piece of stream.pipeThrough(new TextDecoderStream())) this.text += piece;
    })();
  }

  get log(): LogEntry[] {
    const lines = this.text.split("\n").filter((line) => line.startsWith("{"));
    return lines.map((line) => JSON.parse(line));
  }
}

const sh = (redirection: string) => ["sh", "-c", `exec "$@" ${redirection}`, "sh"];
const ignore = Deno.build.os !== "linux";

for (
  const [what, redirection] of [
    ["a full disk", ">/dev/full 2>/dev/full"],
    ["a full disk, with stderr closed", ">/dev/full 2>&-"],
    ["closed streams", ">&- 2>&-"],
  ] as const
) {
  Deno.test({
    name: `a server that prints to ${what} continues, and exits cleanly`,
    ignore,
    async fn() {
      await using talker = new Talker(sh(redirection), "null");
      await talker.isWell();
      await talker.ends();
    },
  });
}

Deno.test({
  name: "a server whose output pipes are closed continues, and exits cleanly",
  ignore,
  async fn() {
    await using talker = new Talker();
    await talker.isWell(1);
    await talker.child.stdout.cancel();
    await talker.child.stderr.cancel();
    await talker.isWell();
    await talker.ends();
  },
});

Deno.test({
  name: "a server whose output nobody reads continues, and exits cleanly",
  ignore,
  async fn() {
    await using talker = new Talker();
    await talker.isWell();
    await talker.ends();
  },
});

Deno.test({
  name: "when output is read again, the log says how many lines of stdout and of the log were lost",
  ignore,
  async fn() {
    await using talker = new Talker();
    await talker.isWell();
    const [out, err] = [new Reader(talker.child.stdout), new Reader(talker.child.stderr)];
    const lost = () =>
      err.log.filter(({ code }) => code === "OUTPUT_LOST").map((it) => it.message!);
    const count = (name: string) =>
      lost().reduce((sum, it) => sum + Number(it.match(`^${name}: (\\d+) lines`)?.[1] ?? 0), 0);
    await until(() => count("stdout") > 0 && count("stderr") > 0, { what: () => err.text });
    assert(lost().includes("stdout: lines are lost: its reader is too slow"), `${lost()}`);
    await talker.isWell(10);
    await talker.ends();
    await Promise.all([out.done, err.done]);
    const said = (text: string, word: string) => text.match(RegExp(`^${word} m\\d+`, "gm"))!.length;
    assertEquals(said(out.text, "out") + count("stdout"), MESSAGES + 10);
    assertStringIncludes(out.text, `out m${MESSAGES + 10} `);
    // The notice about stdout may be among the lost lines of the log.
    const missing = MESSAGES + 10 - said(err.text, "err") - count("stderr");
    assert(missing === 0 || missing === -1, `${missing}`);
    assertEquals(err.log.at(-1)?.event, "closed", "everything was printed before the exit");
  },
});

Deno.test({
  name: "if stdout cannot be written, the log says so with the reason",
  ignore,
  async fn() {
    await using talker = new Talker(sh(">/dev/full"));
    const err = new Reader(talker.child.stderr);
    await talker.isWell();
    const { message } = await until(() => err.log.find(({ code }) => code === "OUTPUT_LOST"));
    assertEquals(message, "stdout: lines are lost: No space left on device (os error 28)");
    await talker.ends();
    await err.done;
  },
});

for (
  const [how, what] of [
    ["stopped", "a terminal that was stopped (Ctrl-S)"],
    ["nonblocking", "a non-blocking pipe that is full"],
  ] as const
) {
  toolTest(`a server that prints to ${what} continues, and says how many lines were lost`, {
    python3: "python3",
  }, async ({ python3 }) => {
    await using talker = new Talker([python3, HELPER, how]);
    const out = new Reader(talker.child.stdout);
    const err = new Reader(talker.child.stderr);
    const stdin = talker.child.stdin.getWriter();
    await talker.isWell(1);
    await stdin.write(new TextEncoder().encode("stop\n"));
    await until(() => out.text.includes("(obeyed)"));
    await talker.isWell();
    await stdin.write(new TextEncoder().encode("go on\n"));
    await until(() => /stderr: \d+ lines were lost/.test(out.text), { what: () => out.text });
    await talker.ends();
    await Promise.all([out.done, err.done]);
    assertEquals(err.text, "");
    stdin.releaseLock();
  });
}

toolTest("a server whose terminal is closed continues, and exits cleanly", {
  python3: "python3",
}, async ({ python3 }) => {
  await using talker = new Talker([python3, HELPER, "gone"]);
  const out = new Reader(talker.child.stdout);
  const err = new Reader(talker.child.stderr);
  const stdin = talker.child.stdin.getWriter();
  await talker.isWell(1);
  await stdin.write(new TextEncoder().encode("go away\n"));
  await until(() => out.text.includes("(obeyed)"));
  await talker.isWell();
  await talker.ends();
  await Promise.all([out.done, err.done]);
  stdin.releaseLock();
});

/** Whether this user may mount something in a namespace of its own. */
function mayMount(): boolean {
  try {
    const args = ["-m", "mount", "-t", "tmpfs", "none", "/mnt"];
    return new Deno.Command("unshare", { args, stdout: "null", stderr: "null" }).outputSync()
      .success;
  } catch {
    return false;
  }
}

const mounts = mayMount();
Deno.test({
  name: "a log on a full disk loses lines, and says how many when there is room again" +
    (mounts ? "" : " [needs the right to mount]"),
  ignore: !mounts,
  async fn() {
    const script = `mount -t tmpfs -o size=64k none /mnt && exec "$@" >/dev/null 2>>/mnt/log`;
    await using talker = new Talker(["unshare", "-m", "sh", "-c", script, "sh"], "null");
    await talker.isWell();
    const log = `/proc/${talker.child.pid}/root/mnt/log`;
    assertEquals(Deno.statSync(log).size, 64 * 1024);
    let text = "";
    await until(() => {
      text += Deno.readTextFileSync(log);
      Deno.truncateSync(log); // as logrotate does
      return /stderr: \d+ lines were lost: No space left on device/.test(text);
    }, { what: () => text.slice(-1000) });
    await talker.isWell(1);
    await talker.ends();
  },
});
