/** The server's address. Further servers of a fleet have the next addresses. */
export const SERVER = "10.0.1.1";

/** An address without a machine: a connection to it is refused, or never answered. */
export const NOBODY = "10.0.1.9";
