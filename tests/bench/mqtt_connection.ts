/**
 * Connections to a broker on raw sockets, with what loads need: MQTT 3.1.1, QoS 2, short packets.
 *
 * @module
 */

/** First bytes of packets, with the flags that these must have. */
const CONNECT = 0x10;
const CONNACK = 0x20;
const PUBLISH = 0x34; // QoS 2
const PUBREC = 0x50;
const PUBREL = 0x62;
const PUBCOMP = 0x70;
const SUBSCRIBE = 0x82;
const SUBACK = 0x90;

const encoder = new TextEncoder();

/** A string as MQTT writes it: its length, then its bytes. */
function string(text: string): number[] {
  const bytes = encoder.encode(text);
  return [bytes.length >> 8, bytes.length & 255, ...bytes];
}

/** A packet; all of ours are shorter than 128 bytes. */
function packet(first: number, ...body: number[]): Uint8Array {
  if (body.length > 127) throw new Error("a packet is too long");
  return Uint8Array.from([first, body.length, ...body]);
}

/** A connection to a broker: cuts its input into packets, and sends all answers to one read together. */
class MqttConnection {
  #conn: Deno.TcpConn;
  #closed = false;
  #output: Uint8Array[] = [];

  protected constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
    conn.setNoDelay(true);
    this.#read().catch((error) => {
      if (!this.#closed) fail(error);
    });
  }

  /** Takes a packet. */
  protected got: (first: number, body: Uint8Array) => void = () => {};

  protected send(packet: Uint8Array): void {
    this.#output.push(packet);
  }

  /** Sends everything given to `send`. */
  protected flush(): void {
    if (this.#output.length === 0) return;
    const output = new Uint8Array(this.#output.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const packet of this.#output.splice(0)) {
      output.set(packet, at);
      at += packet.length;
    }
    this.#conn.write(output).then((n) => {
      if (n < output.length) throw new Error("a socket took less than a window"); // it never does
    }).catch((error) => {
      if (!this.#closed) fail(error);
    });
  }

  async #read(): Promise<void> {
    const buffer = new Uint8Array(16 * 1024);
    let length = 0;
    for (;;) {
      const n = await this.#conn.read(buffer.subarray(length));
      if (n === null) throw new Error("the broker ended a connection");
      length += n;
      let at = 0;
      while (at + 2 <= length && at + 2 + buffer[at + 1]! <= length) {
        if (buffer[at + 1]! > 127) throw new Error("a long packet came");
        const end = at + 2 + buffer[at + 1]!;
        this.got(buffer[at]!, buffer.subarray(at + 2, end));
        at = end;
      }
      buffer.copyWithin(0, at, length);
      length -= at;
      this.flush();
    }
  }

  /** The answer of this kind. */
  protected expect(first: number): Promise<void> {
    this.flush();
    return new Promise((resolve, reject) => {
      this.got = (came, body) => {
        if (came === first && body.at(-1)! < 128) resolve();
        else reject(new Error(`packet ${came} came where ${first} was due`));
      };
    });
  }

  protected async greet(id: string): Promise<void> {
    // Level 4, a clean session, no keepalive.
    this.send(packet(CONNECT, ...string("MQTT"), 4, 2, 0, 0, ...string(id)));
    await this.expect(CONNACK);
  }

  close(): void {
    this.#closed = true;
    this.#conn.close();
  }
}

/** Publishes with QoS 2. Publications of one turn are sent together. */
export class Publisher extends MqttConnection {
  readonly #free: number[] = [];
  #next = 1;
  #isDue = false;

  /** @param done Called when the broker has a message, whose id is then free again. */
  static async open(
    port: number,
    clientId: string,
    done: (id: number) => void = () => {},
  ): Promise<Publisher> {
    const one = new Publisher(await Deno.connect({ hostname: "127.0.0.1", port }));
    await one.greet(clientId);
    one.got = (first, [high = 0, low = 0]) => {
      if (first === PUBREC) return one.send(packet(PUBREL, high, low));
      if (first !== PUBCOMP) fail(new Error(`packet ${first} came to a publisher`));
      one.#free.push(high << 8 | low);
      done(high << 8 | low);
    };
    return one;
  }

  /** @returns its id */
  publish(topic: string, text: string): number {
    const id = this.#free.shift() ?? this.#next++;
    this.send(packet(PUBLISH, ...string(topic), id >> 8, id & 255, ...encoder.encode(text)));
    if (this.#isDue) return id;
    this.#isDue = true;
    queueMicrotask(() => {
      this.#isDue = false;
      this.flush();
    });
    return id;
  }
}

/** Subscribes with QoS 2. */
export class Subscriber extends MqttConnection {
  /** @param take Called with each message. */
  static async open(
    port: number,
    filter: string,
    take: (payload: Uint8Array) => void,
  ): Promise<Subscriber> {
    const one = new Subscriber(await Deno.connect({ hostname: "127.0.0.1", port }));
    await one.greet("subscriber");
    one.send(packet(SUBSCRIBE, 0, 1, ...string(filter), 2));
    await one.expect(SUBACK);
    one.got = (first, body) => {
      if (first === PUBLISH) {
        const at = 2 + (body[0]! << 8 | body[1]!); // after the topic
        one.send(packet(PUBREC, body[at]!, body[at + 1]!));
        take(body.subarray(at + 2));
      } else if (first === PUBREL) one.send(packet(PUBCOMP, body[0]!, body[1]!));
      else fail(new Error(`packet ${first} came to a subscriber`));
    };
    return one;
  }
}

/** A loader that is not sure of its figures must not give any. */
export function fail(error: Error): never {
  console.log(JSON.stringify({ error: error.message }));
  Deno.exit(1);
}
