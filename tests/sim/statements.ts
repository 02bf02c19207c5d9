/** The SQL statements of the applications on the server. */
export const CREATE =
  "CREATE TABLE IF NOT EXISTS effects (device TEXT NOT NULL, text TEXT NOT NULL)";
/** Notes that the application has processed a device's message. */
export const EFFECT = "INSERT INTO effects (device, text) VALUES (?, ?)";
/** One that fails when it is executed. */
export const BROKEN = "INSERT INTO effects (device, text) VALUES (NULL, ?)";
export const COUNT = "SELECT count(*) AS n FROM effects WHERE device = ? AND text = ?";
