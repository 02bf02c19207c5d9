/** What a server can be told when it begins. */
import type { AccessOptions } from "./admission/access.ts";
import type { Observer } from "./channels/channel.ts";
import type { DescriptionsByName } from "./channels/descriptions.ts";
import type { Limits } from "./link/limits.ts";
import type { Log } from "./observe/log.ts";
import type { Store } from "./store/store.ts";
import type { Tls } from "./transport/platform.ts";

/** What `Server.listen` can be told, beside the application. */
export interface ServerSettings extends AccessOptions {
  /** TCP port, 0 to 65535; 0: any free one, see `server.port`. Default 8123. */
  port?: number;
  /** Address to listen on. Default "0.0.0.0": every IPv4 interface. */
  hostname?: string;
  /** Silence that is taken for an outage, in ms; the same at both ends. 100 to 3,600,000. Default 2000. */
  timeout?: number;
  /** Path of an SQLite file, the URL of a PostgreSQL database (see `PostgresStore`), ":memory:" (forgotten with the
   * process), or a store of your own, which outlives the server. Default ":memory:". */
  store?: string | Store;
  /** What a message on a store's disk has survived when it is acknowledged: with "full" a loss of power,
   * with "normal" the end of the process, at several times the speed. Default "full", and PostgreSQL has no other. */
  durability?: "full" | "normal";
  /** Serves the same protocol over TLS: certificate and key in PEM. */
  tls?: Tls;
  /** Gives up a message with which the application has failed `limits.attempts` times: it goes to `device.deadLetters`,
   * in the commit in which it leaves the inbox. Otherwise it stays the next one for ever. Default false. */
  deadLetters?: boolean;
  /** What the channels of devices are, by application, or by application and version: kitchen, kitchen@3. */
  descriptions?: DescriptionsByName;
  /**
   * Is told of what all devices tell, in the transaction in which that is processed. Not together with an application
   * that takes all lines itself; `share` is the way out.
   */
  observe?: Observer;
  /** Bounds on what others can make grow. */
  limits?: Partial<Limits>;
  /** Takes a line's worth of each event, without floods; `server.events` has all of them. */
  log?: Log;
}
