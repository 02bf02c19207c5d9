/** The server. `open` admits every device that can reach the port: for more than a trial, give the devices keys. */
import { Server } from "@holdfast/holdfast";
import app from "./app.ts";

const server = await Server.listen({ open: true, store: "room.db", app });
console.log(`listening on port ${server.port}`);
