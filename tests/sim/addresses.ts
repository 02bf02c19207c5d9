/** The server's address. Those of a fleet follow it. */
export const SERVER = "10.0.1.1";

/** An address without a machine: a connection to it is refused, or never answered. */
export const NOBODY = "10.0.1.9";
