/** Why a board cannot join its WiFi, and what to try. */

/** What keeps a board from its WiFi. */
export const WIFI: Record<string, { why: (ssid: string) => string; tries: string[] }> = {
  "not-found": {
    why: (ssid) => `There is no WiFi called ${ssid} here.`,
    tries: [
      "Is the name spelt right? Capital and small letters differ.",
      "Does the WiFi have 2.4 GHz? The chip knows no other.",
      "Move the board closer to the access point.",
      "If its name is hidden, enter your country under “More settings” in step 3, and flash.",
    ],
  },
  "wrong-password": {
    why: (ssid) => `The WiFi ${ssid} does not accept the password.`,
    tries: [
      "Enter the password again; “Show the password” lets you check it.",
      "If it is right, move the board closer to the access point: a weak signal can look like this.",
    ],
  },
  "no-dhcp": {
    why: (ssid) => `The WiFi ${ssid} lets the board in, but gives it no address.`,
    tries: [
      "Is DHCP on in the router? It may have given away all its addresses: restart it.",
      "Is the password right? Some routers let a board in first, and check it afterwards.",
      "Or give the board a fixed address: “More settings” in step 3, then flash.",
    ],
  },
  "no-answer": {
    why: (ssid) => `The WiFi ${ssid} does not answer the board.`,
    tries: [
      "Move the board closer to the access point.",
      "Does the access point admit known devices only? It needs the board’s MAC address.",
      "Restart the access point.",
    ],
  },
  lost: {
    why: (ssid) => `The WiFi ${ssid} is gone again.`,
    tries: ["Wait: the board tries again.", "Move it closer to the access point."],
  },
  refused: {
    why: (ssid) => `The WiFi ${ssid} does not let the board in.`,
    tries: [
      "Does the access point admit known devices only? It needs the board’s MAC address.",
      "It must take WPA2; the chip does not know WPA3.",
    ],
  },
};
