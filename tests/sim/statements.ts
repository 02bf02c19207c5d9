/** What the applications on the server say to the store's database. */
export const CREATE =
  "CREATE TABLE IF NOT EXISTS effects (device TEXT NOT NULL, text TEXT NOT NULL)";
/** The application has done something with a message of a device. */
export const EFFECT = "INSERT INTO effects (device, text) VALUES (?, ?)";
/** One that fails when it is executed. */
export const BROKEN = "INSERT INTO effects (device, text) VALUES (NULL, ?)";
export const COUNT = "SELECT count(*) AS n FROM effects WHERE device = ? AND text = ?";
