// Under Node: an application drops a promise that is rejected. That counts as its failure, and the process goes on. A
// rejected promise that is dropped elsewhere ends the process, as it would without a server.
import { Server } from "@holdfast/holdfast";
import { Client } from "@holdfast/holdfast/client";

const server = await Server.listen({
  port: 0,
  open: true,
  app: async (device) => {
    await device.readline();
    Promise.reject(new Error("dropped by the application"));
    await device.readline();
  },
});
const failed = new Promise<string>((resolve) => {
  server.events.subscribe((event) => {
    if (event.event === "app_failed") resolve(event.message);
  });
});
const client = new Client({ id: "kitchen", port: server.port });
await client.write("begin");
console.log((await failed).split("\n")[0]);
Promise.reject(new Error("dropped elsewhere"));
