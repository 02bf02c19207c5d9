// Under Node: a client that writes lines, and prints the answers, and over how many connections they came.
import process from "node:process";
import { type Fields, LocalError } from "@holdfast/holdfast/client";
import { LocalError as ServersError } from "@holdfast/holdfast";
import { MqttBridge, type MqttOptions } from "@holdfast/holdfast/mqtt";
import { Client } from "@holdfast/holdfast/client";

export type Unused = [Fields, MqttOptions];
if (LocalError !== ServersError || typeof MqttBridge !== "function") {
  throw new Error("the parts of the package do not belong together");
}

const client = new Client({ id: "kitchen", port: Number(process.argv[2]) });
const answers: string[] = [];
for (let n = 0; n < 30; n++) {
  await client.write(`line ${n}`);
  answers.push(await client.readline());
}
console.log(JSON.stringify({ answers, connects: client.connects }));
await client.close();
