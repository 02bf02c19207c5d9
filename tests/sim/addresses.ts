/** The server's address. Those of a fleet follow it. */
export const SERVER = "10.0.1.1";

/** An address at which there is no machine of the server's: whoever connects is refused, or hears nothing. */
export const NOBODY = "10.0.1.9";
