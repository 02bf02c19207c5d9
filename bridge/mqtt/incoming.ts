/** Ids of QoS 2 messages that the broker has sent and not released, so that each message is accepted once. */
import { BrokerError } from "./errors.ts";
import { NOT_FOUND } from "./outgoing.ts";
import type { Delivery, Outlet, Task } from "./tasks.ts";

export class Incoming {
  readonly #outlet: Outlet;
  readonly #ids = new Map<number, "pending" | "taken" | "going">();

  /** @param taken Ids of messages that were accepted. */
  constructor(outlet: Outlet, taken: readonly number[]) {
    this.#outlet = outlet;
    for (const id of taken) this.#ids.set(id, "taken");
  }

  /** The broker has a new session. */
  clear(): void {
    this.#ids.clear();
  }

  /** A message has come. */
  deliver(task: Delivery): void {
    const { packet, qos } = task;
    if (qos < 2) return this.#outlet.ask(task);
    const known = this.#ids.get(packet);
    if (known === "taken") return this.#outlet.answer("pubrec", packet);
    if (known) return; // it is answered when it is safe
    // There may be more than the receive maximum, which mosquitto 2.0.11 does not always obey. The number of ids bounds
    // them.
    this.#ids.set(packet, "pending");
    this.#outlet.ask(task);
  }

  /** PUBREL has come. */
  released(packet: number): void {
    const known = this.#ids.get(packet);
    if (known === "going") return;
    if (known === "pending") {
      throw new BrokerError("UNEXPECTED", `message ${packet} is released before it was accepted`);
    }
    // It was already forgotten, but the broker does not know that.
    if (!known) return this.#outlet.answer("pubcomp", packet, NOT_FOUND);
    this.#ids.set(packet, "going");
    this.#outlet.ask({ does: "forget", packet });
  }

  /** A task is safe. */
  safe(task: Extract<Task, { does: "deliver" | "forget" }>): void {
    const { packet } = task;
    if (task.does === "forget") {
      this.#ids.delete(packet);
      return this.#outlet.answer("pubcomp", packet);
    }
    if (task.qos === 0) return;
    if (task.qos === 2) this.#ids.set(packet, "taken");
    this.#outlet.answer(task.qos === 2 ? "pubrec" : "puback", packet);
  }

  /** Drops a task that was not started. */
  forget(task: Extract<Task, { does: "deliver" | "forget" }>): void {
    if (task.does === "forget") this.#ids.set(task.packet, "taken");
    else if (task.qos === 2) this.#ids.delete(task.packet);
  }
}
