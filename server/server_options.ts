/** Options of a server. */
import type { AccessOptions } from "./admission/access.ts";
import type { Observer } from "./channels/channel.ts";
import type { DescriptionsByName } from "./channels/descriptions.ts";
import type { Limits } from "./link/limits.ts";
import type { Log } from "./observe/log.ts";
import type { Store } from "./store/store.ts";
import type { Tls } from "./transport/platform.ts";

/** Options of `Server.listen`, beside the application. */
export interface ServerSettings extends AccessOptions {
  /** TCP port, 0 to 65535; 0 takes any free one, see `server.port`. Default 8123. */
  port?: number;
  /** Address to listen on. Default "0.0.0.0": every IPv4 interface. */
  hostname?: string;
  /** Silence that counts as an outage, in ms: 100 to 3,600,000. Must be the same at both ends. Default 2000. */
  timeout?: number;
  /** Path of an SQLite file, URL of a PostgreSQL database (see `PostgresStore`), ":memory:" (lost with the process), or a
   * store of your own, which you close after the server. Default ":memory:". */
  store?: string | Store;
  /** What an acknowledged message survives, in a store on disk: "full" a loss of power, "normal" only the end of the
   * process, at several times the speed. Default "full"; PostgreSQL supports only that. */
  durability?: "full" | "normal";
  /** Serves the same protocol over TLS: certificate and key in PEM. */
  tls?: Tls;
  /** Moves a message with which the application has failed `limits.attempts` times to `device.deadLetters`, in the commit
   * in which it leaves the inbox. If false, such a message holds up those behind it. Default false. */
  deadLetters?: boolean;
  /** Descriptions of channels, by application, or by application and version: kitchen, kitchen@3. */
  descriptions?: DescriptionsByName;
  /**
   * Called with everything that devices report, in the transaction that processes it. It cannot be combined with an
   * application that reads all lines itself: use `share` then.
   */
  observe?: Observer;
  /** Limits on everything that others can make grow. */
  limits?: Partial<Limits>;
  /** Receives log entries, bounded for each source; `server.events` has every event. */
  log?: Log;
}
