/**
 * The numbers that the core shares with its hosts: the offsets of its registers, and the meaning of their values and of
 * what `poll` returns.
 *
 * This file is both TypeScript and AssemblyScript, and the only definition: the core and the applications are compiled
 * with it, and the host in Deno imports it. The firmware's `core.h` says the same in C;
 * `tests/firmware/registers_test.ts` compares them.
 *
 * @module
 */

// The register block: byte offsets of 32-bit little-endian words. The host sets those marked "host" before `init`.

/** Bytes of the block. */
export const SIZE = 140;
/** A state, see below. */
export const STATE = 0;
/** Address and length of the bytes that an event is about. */
export const PTR = 4;
export const LEN = 8;
/** How many bytes may be received, at RX_PTR. */
export const RX_ROOM = 12;
/** Host: silence for this many ms is an outage; a keepalive is sent every quarter of it. */
export const TIMEOUT = 16;
/** Host: 1 or 2. */
export const DIALECT = 20;

// The words of a greeting of dialect 2, in its order: from here to the end of NONCE.
/** Host: a random word, new with each `init`: it identifies the stream of messages that starts then. */
export const TX_EPOCH = 24;
/** Number of the oldest message in the outbox, or of the next one. */
export const TX_FIRST = 28;
/** Host: the values of these two words before a reset, or 0. `take` and greetings change them: store them where a reset
 * does not erase them, before the next `poll`. */
export const RX_EPOCH = 32;
export const RX_NEXT = 36;
/** Host: most messages in the outbox, sent or not, 1 to 64. */
export const WINDOW = 40;
/** Bytes of lines that the inbox can hold. */
export const BYTES = 44;
/** Host: longest text of a line in bytes, without id and newline: 1 (dialect 2: 121, suite 4: 153) to 32,000. */
export const LINE = 48;
/** Host: four random words, new before each `opened`; in suite 4 the first half of the device's ephemeral key. */
export const NONCE = 52;

/** Ms until `poll` wants to be called again. */
export const WAIT = 68;
/** Where the next bytes from the socket go. */
export const RX_PTR = 72;
/** Why the last connection ended, see below. */
export const REASON = 76;
/** How many times the link came up. */
export const CONNECTS = 80;
/** Number of the next message to be written. */
export const TX_NEXT = 84;
/** Host: bytes of outbox, LINE + 7 at least: a message costs its text + 7. */
export const OUTBOX = 88;
/** Host: bytes of inbox, 2 * (LINE + 3) and (dialect 2) LINE + 94 + ID_LEN at least: a message costs its
 * text + 3, and a line must fit behind the hello. */
export const INBOX = 92;
/** Host: how many taken messages are kept in dialect 1 to recognise repeats, 1 to 223 (ids wrap around
 * after 255). */
export const RECENT = 96;
/** Host: seed of the jitter of pauses. Each device needs its own, or all reconnect at once. */
export const SEED = 100;
/** Host: bytes of the id and its newline: 2 to 256. */
export const ID_LEN = 104;
/** Host: 0 no proof; 2 HMAC-SHA256 with a key that only the host knows; 3 the same, and records that the host seals, with
 * keys derived from the input of a greeting's last HMAC. 4 is 3 with an exchange of ephemeral keys in place of nonces,
 * 64 digits each: the last 32 of the device's own are put before its id, new before each `opened`. */
export const SUITE = 108;

// The words of the welcome, in its order: to the end of the block.
export const PEER_TX_EPOCH = 112;
export const PEER_TX_FIRST = 116;
export const PEER_RX_EPOCH = 120;
export const PEER_RX_NEXT = 124;
export const PEER_WINDOW = 128;
export const PEER_BYTES = 132;
/** Longest text in bytes that the other end accepts. */
export const PEER_LINE = 136;

// Events.
export const NONE = 0;
export const CONNECT = 1;
export const CLOSE = 2;
export const SEND = 3;
export const MESSAGE = 4;

// What a host can do, in `poll`.
export const CAN_SEND = 1;
export const CAN_RECEIVE = 2;

// States.
/** The core has given up the connection; the next `poll` tells the host. */
export const CLOSING = -1;
/** Waits before it connects. */
export const IDLE = 0;
export const CONNECTING = 1;
/** Hello sent, no answer yet: no message may be sent. */
export const GREETING = 2;
export const UP = 3;

// Reasons why a connection ended. If a state waits too long, the reason is its number plus 1: NO_ANSWER, NO_GREETING,
// SILENT.
/** The network or the other end closed it. */
export const LOST = 1;
/** Connecting took too long. */
export const NO_ANSWER = 2;
/** Connected, but no answer to the hello. */
export const NO_GREETING = 3;
/** Nothing was received for TIMEOUT. */
export const SILENT = 4;
/** The socket accepted no bytes for TIMEOUT. */
export const STALLED = 5;
export const LINE_TOO_LONG = 6;
/** A line that does not start with two lower-case hex digits. */
export const BAD_LINE = 7;
/** A message is missing. */
export const GAP = 8;
/** An ack, or a position, for a message that was never sent. */
export const BAD_POSITION = 9;
// From here on, trying again soon does not help.
/** Malformed, or not dialect 2. */
export const BAD_GREETING = 10;
/** The other end does not have the key. */
export const BAD_PROOF = 11;
/** Refused: the code that the other end gave is added to this. */
export const REFUSED = 16;
