/**
 * Both ends on one virtual network that delays, cuts and loses connections at random, in virtual time.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { coreModule } from "../../bridge/host/core.ts";
import { ClientEnd, type ClientSettings } from "./client_end.ts";
import { fromLatin1 } from "./ends.ts";
import type { Random } from "./random.ts";
import { ServerEnd, type ServerSettings } from "./server_end.ts";

/** The bytes in flight on one connection, a character for each byte. */
interface Flight {
  toServer: string;
  toClient: string;
}

/** Errors that an end must never report about an honest end. */
const ACCUSATIONS = /BAD_|CREDIT|GAP|HELLO_TOO_LONG|LINE_TOO_LONG|NOT_ADMITTED|REFUSED|TOO_MANY/;

export class Pair {
  readonly client: ClientEnd;
  readonly server: ServerEnd;
  readonly clientGot: string[] = [];
  readonly serverGot: string[] = [];
  now = 0;
  readonly closes: string[] = [];
  #asked = false; // the client wants a connection
  #link: Flight | undefined; // as the client sees it
  #arrives: Flight | undefined; // opened by the client, and not known to the server yet
  #served: Flight | undefined; // as the server sees it
  /** The network carries nothing. */
  blackHole = false;
  /** Bytes are garbled. */
  noise = false;

  constructor(
    readonly random: Random,
    client: Partial<ClientSettings>,
    server: Partial<ServerSettings>,
  ) {
    this.client = new ClientEnd(coreModule(), { seed: random.bits(), ...client });
    this.server = new ServerEnd(server);
  }

  /** Lets time pass, in which the network carries some of the bytes on their way. */
  step(ms: number): void {
    this.now += ms;
    this.client.pass(this.now);
    this.#collect();
    this.server.pass(this.now);
    this.#collect();
    if (this.blackHole) return;
    if (this.#asked) {
      this.#asked = false;
      this.#link = { toServer: "", toClient: "" };
      this.#arrives = this.#link;
      this.client.input("opened");
      this.#collect();
    }
    this.#carryUp();
    this.#carryDown();
  }

  #some(waiting: string): number {
    return this.random.once(3) ? waiting.length : this.random.int(0, waiting.length);
  }

  #carryUp(): void {
    const link = this.#link;
    if (!link) return;
    const piece = link.toServer.slice(0, this.#some(link.toServer));
    if (this.#arrives === link && piece !== "") {
      this.#arrives = undefined;
      this.#served = link;
      this.server.input("connected");
      this.#collect();
    }
    link.toServer = link.toServer.slice(piece.length);
    if (piece !== "" && this.#served === link) this.server.receive(this.#bytes(piece));
    this.#collect();
  }

  #carryDown(): void {
    const link = this.#link;
    if (!link) return;
    const piece = link.toClient.slice(0, this.#some(link.toClient));
    link.toClient = link.toClient.slice(piece.length);
    if (piece !== "") this.client.receive(this.#bytes(piece));
    this.#collect();
  }

  #bytes(piece: string): Uint8Array {
    const bytes = fromLatin1(piece);
    if (this.noise && this.random.once(3)) {
      bytes[this.random.int(0, bytes.length - 1)] = this.random.pick([
        10,
        48,
        102,
        this.random.bits(),
      ]);
    }
    return bytes;
  }

  /** Takes what the ends have sent, and puts it into flight. */
  #collect(): void {
    const fromClient = this.client.take();
    this.clientGot.push(...fromClient.messages);
    for (const event of fromClient.events) {
      if (event !== "connect") this.closes.push(event);
      if (event === "connect") this.#asked = true;
      else if (this.#link) this.#leave(this.#link, "server");
      if (event !== "connect") this.#link = undefined;
    }
    if (this.#link) this.#link.toServer += fromClient.out;
    const fromServer = this.server.take();
    this.serverGot.push(...fromServer.messages);
    this.closes.push(...fromServer.events);
    if (this.#served) this.#served.toClient += fromServer.out;
    if (fromServer.events.some((event) => event.startsWith("close")) && this.#served) {
      const link = this.#served;
      this.#served = undefined;
      this.#leave(link, "client");
    }
  }

  /** One end has closed its side; the other is told or not, at random. */
  #leave(link: Flight, told: "client" | "server"): void {
    if (this.blackHole || this.random.once(3)) return;
    if (told === "server" && this.#served === link) {
      this.#served = undefined;
      this.server.input("lost");
    } else if (told === "client" && this.#link === link) {
      this.#link = undefined;
      this.client.input("lost");
    }
  }

  /** The connection is reset: the client is told (1), the server (2), or both (3). */
  reset(sides = this.random.int(1, 3)): void {
    const link = this.#link;
    if (link && sides & 1) {
      this.#link = undefined;
      this.client.input("lost");
    }
    if (this.#served && sides & 2) {
      this.#served = undefined;
      this.server.input("lost");
    }
    this.#collect();
  }

  /** Kills the server and restarts it on its store. */
  restartServer(): void {
    const link = this.#served;
    this.#served = undefined;
    this.server.input("restart");
    this.#collect();
    if (link) this.#leave(link, "client");
  }

  /** Resets the device: it keeps its position, and loses its own messages. */
  resetClient(): void {
    const link = this.#link;
    this.#link = undefined;
    this.#asked = false;
    this.client.input("reset");
    this.#collect();
    if (link) this.#leave(link, "server");
  }

  /** Causes one fault, or ends some. */
  fault(): void {
    const { random, client, server } = this;
    random.pick([
      () => this.reset(),
      () => this.reset(),
      () => this.restartServer(),
      () => this.blackHole = !this.blackHole,
      () => this.blackHole = false,
      () => client.input("hold"),
      () => client.input("take"),
      () => server.input("hold"),
      () => server.input("take"),
      () => client.input("block"),
      () => client.input("unblock"),
    ])();
    this.#collect();
  }

  /** Lets each end's first message through: later ones differ from a boot's first message by their ids alone. */
  begin(): void {
    this.client.write("first up");
    this.server.write("first down");
    while (this.client.done + this.server.done < 2) this.step(10);
    this.clientGot.length = this.serverGot.length = 0;
  }

  /** Checks that neither end has complained about the other. */
  checkPeace(): void {
    assertEquals(this.closes.filter((event) => ACCUSATIONS.test(event)), []);
  }

  /** Ends all faults, and allows time for everything. */
  heal(): void {
    this.blackHole = this.noise = false;
    for (const end of [this.client, this.server]) end.input("take");
    this.client.input("unblock");
    for (let i = 0; i < 3000; i++) this.step(10);
  }
}
