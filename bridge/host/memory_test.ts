/** A client whose process ends, and another that takes its place, with its memory and without. */
import { assertEquals } from "@std/assert";
import { type Device, MemoryStore, Server } from "../../server/mod.ts";
import { FaultProxy } from "../../tests/support/proxy.ts";
import { until } from "../../tests/support/wait.ts";
import { Client, type ClientOptions } from "./mod.ts";

const TIMEOUT = 500;

/** A server, a network and a folder that outlive the clients. */
class Scene implements AsyncDisposable {
  server!: Server;
  readonly memory: string;

  private constructor(readonly folder: string, readonly proxy: FaultProxy, readonly port: number) {
    this.memory = `${folder}/client.state`;
  }

  static async start(): Promise<Scene> {
    const folder = await Deno.makeTempDir();
    const server = await Scene.#listen();
    const proxy = await FaultProxy.start({ target: { port: server.port } });
    const scene = new Scene(folder, proxy, proxy.port);
    scene.server = server;
    return scene;
  }

  static #listen(): Promise<Server> {
    const store = new MemoryStore();
    return Server.listen({ hostname: "127.0.0.1", port: 0, open: true, timeout: TIMEOUT, store });
  }

  /** Another server, which knows nothing. */
  async replaceServer(): Promise<void> {
    await this.server.close();
    this.server = await Scene.#listen();
    this.proxy.retarget(this.server.port);
  }

  client(options: Partial<ClientOptions> = {}): Client {
    return new Client({ id: "1", port: this.port, timeout: TIMEOUT, ...options });
  }

  device(): Promise<Device> {
    return this.server.device("1");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy.close();
    await this.server.close();
    await Deno.remove(this.folder, { recursive: true });
  }
}

function numbers(count: number, first = 0): string[] {
  return Array.from({ length: count }, (_, n) => `${first + n}`);
}

/** Nobody waits for this. */
function skip(work: Promise<unknown>): void {
  work.catch(() => {});
}

function writeAll(end: Client | Device, texts: string[]): Promise<unknown> {
  const written = Promise.all(texts.map((text) => end.write(text)));
  skip(written);
  return written;
}

async function readAll(end: Client | Device, count: number): Promise<string[]> {
  const lines: string[] = [];
  while (lines.length < count) lines.push(await end.readline());
  return lines;
}

/** A process that asks for a message when it is told to, and can be killed. */
class Reader implements AsyncDisposable {
  #process: Deno.ChildProcess;
  #input: WritableStreamDefaultWriter<Uint8Array>;
  #said = "";
  #killed = false;
  #reading: Promise<void>;

  constructor(scene: Scene) {
    const script = new URL("../../tests/support/client_process.ts", import.meta.url).pathname;
    this.#process = new Deno.Command(Deno.execPath(), {
      args: ["run", "-q", "-A", script, `${scene.port}`, scene.memory],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#input = this.#process.stdin.getWriter();
    this.#reading = this.#read();
  }

  async #read(): Promise<void> {
    for await (const text of this.#process.stdout.pipeThrough(new TextDecoderStream())) {
      this.#said += text;
    }
  }

  /** Has it ask for a message. */
  ask(): Promise<void> {
    return this.write("");
  }

  /** Has it write this, and keep it. */
  async write(text: string): Promise<void> {
    await this.#input.write(new TextEncoder().encode(`${text}\n`));
  }

  /** Waits until it has said this. @throws {Error} as soon as it says something else */
  says(text: string): Promise<unknown> {
    const what = () => `${JSON.stringify(text)}, not ${JSON.stringify(this.#said)}`;
    return until(() => {
      if (!text.startsWith(this.#said)) throw new Error(`it should say ${what()}`);
      return this.#said === text;
    }, { what });
  }

  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.status;
    await this.#reading;
    await this.#input.abort().catch(() => {}); // the pipe has ended already
    this.#killed = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#killed) await this.kill();
  }
}

/** A client takes ten messages, and ends before any of its acks arrives. What does the next one read? */
async function readByTwo(scene: Scene, options: Partial<ClientOptions>): Promise<string[]> {
  const first = scene.client(options);
  const device = await scene.device();
  await first.ready();
  let swallowed = "";
  scene.proxy.onBytes = ({ direction, bytes }) => {
    if (direction === "up") swallowed += new TextDecoder().decode(bytes);
  };
  scene.proxy.blackhole("up");
  const written = writeAll(device, numbers(20));
  assertEquals(await readAll(first, 10), numbers(10));
  skip(first.readline()); // it is done with the tenth
  await until(() => swallowed.includes("09\n"), { what: "the ack of the tenth" });
  await first.close();
  scene.proxy.restore({ drop: true });
  await using second = scene.client(options);
  const read = [await second.readline()];
  while (read.at(-1) !== "19") read.push(await second.readline());
  skip(second.readline());
  await written;
  return read;
}

Deno.test("with a memory, another process goes on where the one before it stopped", async () => {
  await using scene = await Scene.start();
  assertEquals(await readByTwo(scene, { memory: scene.memory }), numbers(10, 10));
});

Deno.test("without a memory, messages whose acks were lost come twice, and nothing is lost", async () => {
  await using scene = await Scene.start();
  assertEquals(await readByTwo(scene, {}), numbers(20));
});

Deno.test("many processes, one after the other on one memory, take each message once", async () => {
  await using scene = await Scene.start();
  const texts = numbers(60);
  const read: string[] = [];
  let written: Promise<unknown> | undefined;
  for (let life = 0; read.length < texts.length; life++) {
    const client = scene.client({ memory: scene.memory });
    const device = await scene.device();
    written ??= writeAll(device, texts);
    read.push(...await readAll(client, 1 + life % 4));
    if (life % 3 === 0) scene.proxy.reset(); // with acks on their way
    skip(client.readline()); // it is done with the last one
    await client.close();
  }
  assertEquals(read, texts);
  // The last acks may be on their way still: somebody has to say so.
  await using _ = scene.client({ memory: scene.memory });
  await written;
});

Deno.test("a process that is killed before it acts on a message: the next one gets it again, and no other", async () => {
  await using scene = await Scene.start();
  await using first = new Reader(scene);
  const device = await scene.device();
  const written = writeAll(device, numbers(3));
  await first.ask();
  await first.ask();
  await first.says("asked\ngot 0\nasked\ngot 1\n");
  await first.kill();
  await using second = new Reader(scene);
  await second.ask();
  await second.says("asked\ngot 1\n");
  await second.ask();
  await second.ask();
  await second.says("asked\ngot 1\nasked\ngot 2\nasked\n");
  await written;
  await second.kill();
});

Deno.test("a process that is killed with a message that it has had since before an outage: the next one gets it again", async () => {
  await using scene = await Scene.start();
  await using first = new Reader(scene);
  const device = await scene.device();
  const written = writeAll(device, numbers(2));
  await first.ask();
  await first.says("asked\ngot 0\n");
  const { connects } = device;
  scene.proxy.reset();
  await until(() => device.connects > connects, { what: "the next connection" });
  await first.write("a"); // when that is kept, so is what the client knows since it has the link again
  await first.says("asked\ngot 0\nkept a\n");
  await first.kill();
  await using second = new Reader(scene);
  await second.ask();
  await second.says("asked\ngot 0\n");
  await second.ask();
  await second.ask();
  await second.says("asked\ngot 0\nasked\ngot 1\nasked\n");
  await written;
  await second.kill();
});

Deno.test("a process that asks for the next message has processed the last one, with or without a link, and may die", async () => {
  await using scene = await Scene.start();
  await using first = new Reader(scene);
  const device = await scene.device();
  const written = writeAll(device, numbers(3));
  await first.ask();
  await first.says("asked\ngot 0\n");
  scene.proxy.blackhole();
  await until(() => !device.connected, { what: "the outage" });
  await first.ask();
  await first.says("asked\ngot 0\nasked\n");
  await first.kill();
  scene.proxy.restore({ drop: true });
  await using second = new Reader(scene);
  for (let i = 0; i < 3; i++) await second.ask();
  await second.says("asked\ngot 1\nasked\ngot 2\nasked\n");
  await written;
  await second.kill();
});

Deno.test("with a memory, a message is acknowledged when the next one is asked for", async () => {
  await using scene = await Scene.start();
  await using client = scene.client({ memory: scene.memory });
  const device = await scene.device();
  let told = 0;
  const written = numbers(3).map((text) => device.write(text).then(() => told++));
  written.forEach(skip); // if this test fails
  assertEquals(await client.readline(), "0");
  await client.write("there and back"); // what was sent before has arrived
  assertEquals(told, 0);
  assertEquals(await client.readline(), "1");
  await written[0];
  assertEquals(await client.readline(), "2");
  await written[1];
  skip(client.readline());
  await written[2];
});

Deno.test("a message whose connection ends while the application has it is not handed out again", async () => {
  await using scene = await Scene.start();
  await using client = scene.client({ memory: scene.memory });
  const device = await scene.device();
  const written = writeAll(device, numbers(4));
  const read: string[] = [];
  for await (const line of client) {
    read.push(line);
    const { connects } = client;
    scene.proxy.reset();
    await until(() => client.connects > connects, { what: "the next connection" });
    if (read.length === 4) break;
  }
  assertEquals(read, numbers(4));
  skip(client.readline());
  await written;
});

Deno.test("a message that the application has when the link is lost has arrived, whatever its deadline", async () => {
  await using scene = await Scene.start();
  const first = scene.client({ memory: scene.memory });
  const device = await scene.device();
  await first.ready();
  const written = device.write("a", { expires: TIMEOUT });
  assertEquals(await first.readline(), "a");
  scene.proxy.blackhole();
  await until(() => !device.connected, { what: "the outage" });
  scene.proxy.restore({ drop: true });
  assertEquals(await written, true);
  await first.close(); // it was not done with it
  await using second = scene.client({ memory: scene.memory });
  const next = writeAll(device, ["b"]);
  assertEquals(await second.readline(), "a");
  assertEquals(await second.readline(), "b");
  skip(second.readline());
  await next;
});

Deno.test("who asks for several messages at once gets them one after the other", async () => {
  await using scene = await Scene.start();
  const client = scene.client({ memory: scene.memory });
  const device = await scene.device();
  const asked = Array.from({ length: 5 }, () => client.readline());
  const written = numbers(5).map((text) => device.write(text));
  written[4]!.catch(() => {});
  assertEquals(await Promise.all(asked), numbers(5));
  await Promise.all(written.slice(0, 4)); // for the last one nobody has asked for the next
  await client.close();
  await using next = scene.client({ memory: scene.memory });
  skip(device.write("5"));
  assertEquals(await next.readline(), "4");
});

Deno.test("a client that remembers takes all messages of a server that forgot everything", async () => {
  await using scene = await Scene.start();
  for (const text of ["from the first server", "from the second"]) {
    await using client = scene.client({ memory: scene.memory });
    const written = (await scene.device()).write(text);
    assertEquals(await client.readline(), text);
    skip(client.readline());
    await written;
    await client.close();
    await scene.replaceServer();
  }
});
