import net from "node:net";
import { PeerError } from "../protocol/errors.ts";
import type { Platform, Socket, SocketEvents } from "./platform.ts";
class NodeSocket implements Socket {
  address: string; hostname: string; taken = 0; #raw: net.Socket; #ev: SocketEvents | undefined; #closed = false;
  constructor(raw: net.Socket) {
    this.#raw = raw; raw.setNoDelay(true);
    this.hostname = raw.remoteAddress ?? ""; this.address = `${this.hostname}:${raw.remotePort}`;
    raw.on("error", (e) => this.#end(e)); raw.on("close", () => this.#end());
    raw.on("end", () => { this.#end(); raw.destroy(); });
  }
  #end(e?: Error) { if (this.#closed || !this.#ev) return; this.#closed = true; this.#ev.ended(new PeerError("LOST", e?.message ?? "the other end closed the connection", { cause: e })); }
  start(ev: SocketEvents) { this.#ev = ev; this.#raw.on("data", (d) => { if (!this.#closed) ev.data(d); }); this.#raw.resume(); }
  write(data: string | Uint8Array) { this.#raw.write(data, this.#written); return this.#raw.writableLength === 0; }
  #written = () => { if (!this.#closed && this.#raw.writableLength === 0) { this.taken++; this.#ev!.drained(); } };
  pause() { this.#raw.pause(); }
  resume() { this.#raw.resume(); }
  close() { this.#closed = true; this.#raw.destroy(); }
}
export const nodePlatform: Platform = {
  now: () => performance.now(), date: () => Date.now(),
  after(ms, run) { const t = setTimeout(run, ms); return () => clearTimeout(t); },
  soon: queueMicrotask, endOfTurn: (run) => void setImmediate(run),
  caughtUp(_n, run) { setTimeout(run, 2); },
  listen({ hostname, port, backlog }, accept) {
    const server = net.createServer({ pauseOnConnect: true }, (raw) => accept(new NodeSocket(raw)));
    return new Promise((resolve, reject) => {
      server.on("error", reject);
      server.listen({ host: hostname, port, backlog }, () => resolve({
        port: (server.address() as net.AddressInfo).port, setTls() {}, close: () => new Promise((r) => server.close(() => r())),
      }));
    });
  },
  connect() { throw new Error("not yet"); },
};
