/** The server. `open` admits every device that can reach the port: for anything but a trial give devices keys. */
import { Server } from "@holdfast/holdfast";
import app from "./app.ts";

const server = await Server.listen({ open: true, store: "room.db", app });
console.log(`listening on port ${server.port}`);
