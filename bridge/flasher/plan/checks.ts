/** Finds settings that are valid in form but cannot work, before they are flashed. */

/** What is wrong with a server's address, in words; undefined: nothing obvious. */
export function wrongServer(host: string): string | undefined {
  const name = host.toLowerCase().replace(/\.$/, "");
  if (name === "localhost" || name.endsWith(".localhost") || /^127(\.\d+){1,3}$/.test(name)) {
    return "To the board, this address is the board itself. Enter the address that the server’s computer has " +
      "in your network; the server says it when it starts.";
  }
  if (name.endsWith(".local")) {
    return "A board cannot look up names that end in .local. Enter the IPv4 address in its place.";
  }
  if (!/^[\d.]+$/.test(name)) return undefined;
  const numbers = name.split(".");
  // Some parsers read a number with a leading zero as octal.
  const possible = numbers.length === 4 &&
    numbers.every((number) => /^(0|[1-9]\d{0,2})$/.test(number) && Number(number) <= 255);
  if (!possible) {
    return "An IPv4 address has four numbers from 0 to 255, with dots between them, like 192.168.1.10.";
  }
  const first = Number(numbers[0]);
  if (first === 0) {
    return "This is not the address of a computer: it stands for all of its addresses. The server says the one " +
      "to enter when it starts.";
  }
  if (first >= 224) return "This is not the address of one computer, but of many at once.";
  return undefined;
}

/** What is wrong with a WiFi password, in words; undefined: nothing obvious. */
export function wrongPassword(password: string): string | undefined {
  if (password.length !== 64 || /^[0-9a-f]{64}$/i.test(password)) return undefined;
  return "A WiFi password has 63 characters at most. One with 64 is a key in hex digits: 0 to 9 and a to f.";
}

/** Something valid but hardly ever meant: spaces that were copied along with a text. */
export function doubtful(text: string): string | undefined {
  if (text === text.trim()) return undefined;
  return "There is a space at its beginning or end. Take it away, or press the button again if it belongs there.";
}
