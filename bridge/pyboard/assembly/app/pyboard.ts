/**
 * The application of a board that connects another one to the network: lines to and from an initiator, through
 * `responder`, in the format of micropython-iot's `pb_link`. The first line is the configuration. Then
 *
 *     from the initiator                          to the initiator
 *     '0'-'3' text   bit 1: qos, bit 0: wait      'n' text   a message
 *     '4'-'7' c text the same, numbered           'm' tag text   the same, if the initiator numbers its lines
 *                                                 'u', 'd'   the link to the server is up, or down
 *                                                 'k'        every 2 s: this board is alive
 *                                                 'r' [connects, count, free memory]   a report
 *                                                 'b', 's'   no WiFi, or no server, since the configuration
 *
 * The initiator's lines are in the journal before they are accepted, and stay there until the server has them. A
 * message of the server is acknowledged when the initiator has it.
 */
export * from "../../../../client-as/assembly/core";
import { registers, room, write } from "../../../../client-as/assembly/core";
import { connected, connects, pending } from "../../../../client-as/assembly/status";
import {
  BAD_GREETING, DIALECT, LINE, PEER_LINE, REASON, RX_EPOCH, RX_NEXT, TX_EPOCH, TX_FIRST, TX_NEXT,
} from "../../../../client-as/assembly/registers";
import { configure, every, free_memory, log, millis, wifi } from "../../../../client-as/assembly/board";
import * as config from "../config";
import * as journal from "../journal";
import * as responder from "../responder";
import { BUFFER, input, output } from "../responder";
import { isUtf8 } from "../utf8";

/** Interval between looks at the initiator's wire, in ms. The initiator waits for that, ten times a second. */
const LOOK: i32 = 2;
const KEEPALIVE: i32 = 2000;
/** How long WiFi, or the server, may be missing before the initiator is told, in ms. */
const PATIENCE_WIFI: i32 = 20000;
const PATIENCE_SERVER: i32 = 5000;
const WIFI_UP: i32 = 2;
/**
 * How long an initiator may exchange before its configuration comes, in ms. `pb_link` can lose that after a
 * reset of this board, and sends it again only if this board does not answer.
 */
const PATIENCE_CONFIGURATION: i32 = 2000;

const NEWLINE: u32 = 10;
const ZERO: u32 = 0x30;
const NUMBERED: u32 = 4; // bit of a line's first digit
const QOS: u32 = 2;
const WAIT: u32 = 1;

// What to tell the initiator next, besides messages.
let toldUp: i32 = -1; // the state of the link as it was last told; -1: never told
let keepaliveAt: i32 = 0;
let reportAt: i32 = 0;
let reports: i32 = 0;
let troubles: i32 = 0; // bits: 'b', 's' still to tell
let said: i32 = 0; // and those told
const NO_WIFI: i32 = 1;
const NO_SERVER: i32 = 2;
let waitingSince: i32 = 0; // for WiFi, or for the server
let hadWifi: bool = false;

// A message on its way to the initiator.
const message: usize = memory.data(BUFFER);
let messageBytes: i32 = 0; // 0: none
let messageEpoch: i32 = 0; // its stream and number identify it
let messageNumber: i32 = 0;
let handed: bool = false; // the initiator has it
let inReply: bool = false; // it is in the answer that is being sent
let upInReply: i32 = 0; // the state of the link in that answer
let troublesInReply: i32 = 0;

let configured: bool = false;
let unconfigured: i32 = 0; // exchanges without a configuration
let unconfiguredSince: i32 = 0;
let configuredFor: i32 = 0; // hash of the fields
let mark: i32 = 0; // bytes of the journal that the core has

function register(offset: usize): i32 {
  return load<i32>(registers() + offset);
}

function setRegister(offset: usize, value: i32): void {
  store<i32>(registers() + offset, value);
}

function second(): bool {
  return register(DIALECT) == 2;
}

export function onStart(): void {
  if (!configured) {
    journal.restore();
    responder.begin(millis());
    every(LOOK);
    say("initiator link waiting");
    return;
  }
  // The core is new. It goes on with the lines that an earlier one has left.
  mark = 0;
  if (second()) {
    if (journal.get(journal.EPOCH)) {
      setRegister(TX_EPOCH, journal.get(journal.EPOCH));
      setRegister(TX_FIRST, journal.get(journal.FIRST));
      setRegister(TX_NEXT, journal.get(journal.FIRST));
    } else journal.set(journal.FIRST, 0);
    journal.set(journal.EPOCH, register(TX_EPOCH));
  } else {
    journal.set(journal.EPOCH, 0);
    journal.set(journal.FIRST, 0);
  }
  journal.save();
  // Before it connects: if the server has more of a stream than the core has sent, the core begins a new stream, in
  // which the lines would come again.
  feed();
}

export function onTick(): void {
  const now = millis();
  if (configured) {
    settle();
    feed();
    watch(now);
  }
  for (;;) {
    const event = responder.step(millis());
    if (event == responder.NOTHING) return;
    if (event < 0) complain(reason(-event));
    else if (event == responder.SYNCHRONISED) {
      unconfigured = 0;
      say("initiator link up");
    } else if (event == responder.RECEIVED) {
      if (take()) responder.accept();
      else responder.refuse(now);
    } else if (event == responder.WANTS) {
      if (isPatient(now)) reply(now);
      else responder.refuse(now);
    } else sent();
  }
}

export function canReceive(): bool {
  return !messageBytes || handed;
}

/** 0 until the initiator has it. After a reconnection the same message is offered again. */
export function onMessage(ptr: usize, length: i32): i32 {
  const epoch = second() ? register(RX_EPOCH) : load<u8>(ptr + length) | 0x100; // its id
  const number = second() ? register(RX_NEXT) : hash(ptr, length);
  if (messageBytes && epoch == messageEpoch && number == messageNumber) {
    if (!handed) return 0;
    messageBytes = 0;
    return 1;
  }
  if (second() && epoch == journal.get(journal.HANDED_EPOCH) && number == journal.get(journal.HANDED)) {
    messageBytes = 0; // handed over before a reset, and not acknowledged
    return 1;
  }
  if (length > BUFFER - 2) {
    say("a message is too long for the initiator, dropped");
    return 1;
  }
  memory.copy(message, ptr, length);
  messageBytes = length;
  messageEpoch = epoch;
  messageNumber = number;
  handed = false;
  return 0;
}

/** Drops acknowledged lines from the journal. */
function settle(): void {
  let changed = false;
  while (journal.get(journal.FIRST) != register(TX_FIRST) && mark) {
    const before = journal.used();
    journal.drop();
    mark -= before - journal.used();
    changed = true;
  }
  if (second() && journal.get(journal.EPOCH) != register(TX_EPOCH)) {
    journal.set(journal.EPOCH, register(TX_EPOCH)); // the core has begun a new stream
    changed = true;
  }
  if (changed) journal.save();
}

/** Gives the core the lines of the journal that it does not have yet, as far as it has room. */
function feed(): void {
  while (mark < journal.used()) {
    const bits = journal.byteAt(mark) - ZERO;
    const end = journal.lineEnd(mark);
    const length = end - mark - 2;
    const qos = (bits & QOS) != 0;
    if (!second()) {
      // Dialect 1 keeps the order only by waiting.
      if (bits & WAIT && pending()) return;
      if (!qos && !connected()) {
        if (mark) return;
        journal.drop(); // without qos: at once or never
        journal.set(journal.FIRST, register(TX_FIRST));
        journal.save();
        continue;
      }
    }
    // Without qos: at once or never. Its number is sent nevertheless, with a withdrawn text.
    const never = length > min(register(LINE), register(PEER_LINE)) || second() && !qos && !connected();
    const bytes = never ? 1 : length;
    const at = room(bytes);
    if (!at) return;
    if (never) store<u8>(at, 0x2d);
    else for (let i = 0; i < length; i++) store<u8>(at + i, journal.byteAt(mark + 1 + i));
    if (!write(bytes, never || qos ? 1 : 0)) return;
    if (never) {
      store<u8>(at, 0); // withdrawn
      if (qos) say("a line is longer than the server takes, dropped");
    }
    mark = end;
  }
}

/** Finds what to tell the initiator next. */
function watch(now: i32): void {
  if (connects()) return;
  const up = wifi() == WIFI_UP;
  if (up != hadWifi) {
    hadWifi = up;
    waitingSince = now;
  }
  const patience = up ? PATIENCE_SERVER : PATIENCE_WIFI;
  if (now - waitingSince < patience) return;
  const trouble = up ? NO_SERVER : NO_WIFI;
  if (said & trouble) return;
  said |= trouble;
  troubles |= trouble;
  if (up && register(REASON) == BAD_GREETING) {
    say("the server does not speak dialect 2: put 1 behind the password in the configuration");
  } else say(up ? "no server" : "no WiFi");
}

/** Takes the initiator's lines: all of them; or none, then returns false, and they must not be accepted. */
function take(): bool {
  const end = input + responder.received;
  if (load<u8>(end - 1) != NEWLINE) return complain("line without an end");
  if (load<u8>(input) == 0x5b) return become(input, responder.received - 1); // [
  if (responder.received > journal.free()) return complain("more than there is room for");
  const numbered = journal.get(journal.SESSION) != 0;
  for (let from = input; from < end; from = lineEnd(from)) {
    const bits = <u32>load<u8>(from) - ZERO;
    if (bits > 7 || (bits & NUMBERED) && (!numbered || load<u8>(from + 1) == NEWLINE)) {
      return complain("unknown line");
    }
  }
  for (let from = input; from < end; from = lineEnd(from)) put(from, lineEnd(from));
  journal.save();
  return true;
}

/** Puts a line into the journal if it can be a message. */
function put(from: usize, end: usize): void {
  const bits = <u32>load<u8>(from++) - ZERO;
  if (bits & NUMBERED) {
    const sequence = load<u8>(from++);
    const repeat = sequence == journal.get(journal.SEQUENCE);
    journal.set(journal.SEQUENCE, sequence);
    if (repeat) return say("a line came twice, dropped");
  }
  const length = <i32>(end - from) - 1;
  if (!length) return say("an empty line cannot be sent, dropped");
  if (load<u8>(from) < 3 || !isUtf8(from, length)) return say("a line that is no text cannot be sent, dropped");
  journal.append(ZERO + (bits & (QOS | WAIT)));
  while (from < end) journal.append(load<u8>(from++));
}

function lineEnd(from: usize): usize {
  while (load<u8>(from++) != NEWLINE);
  return from;
}

/** Handles a line with the configuration. */
function become(from: usize, length: i32): bool {
  if (!config.parse(from, length)) return complain("configuration not understood");
  const all = hash(config.fields, config.length);
  const same = configured && all == configuredFor;
  if (!same && !configure(config.fields, config.length)) return complain("configuration refused");
  const before = journal.get(journal.IDENTITY);
  if (before != config.identity) {
    // `pb_link` may send lines before its configuration.
    if (before) {
      if (!journal.isEmpty()) say("lines for another server or id, dropped");
      journal.clear();
    }
    messageBytes = 0;
    journal.set(journal.EPOCH, 0);
    journal.set(journal.IDENTITY, config.identity);
  }
  if (journal.get(journal.SESSION) != config.session) {
    journal.set(journal.SESSION, config.session);
    journal.set(journal.SEQUENCE, 0);
  }
  journal.save();
  configured = true;
  configuredFor = all;
  // The initiator may have restarted: it must be told everything again.
  const now = millis();
  toldUp = -1;
  keepaliveAt = now + KEEPALIVE;
  reportAt = now + config.report * 1000;
  reports = troubles = said = 0;
  waitingSince = now;
  hadWifi = false;
  say("initiator configured");
  return true;
}

/** False when the configuration should have come. */
function isPatient(now: i32): bool {
  if (configured) return true;
  if (!unconfigured++) unconfiguredSince = now;
  return now - unconfiguredSince < PATIENCE_CONFIGURATION || complain("no configuration");
}

/** Composes the answer of this exchange: the lines that are due, and a message if there is room. */
function reply(now: i32): void {
  at = output;
  if (responder.mayAnswer && configured) {
    upInReply = <i32>connected();
    if (toldUp != upInReply && (upInReply || connects())) {
      add(upInReply ? 0x75 : 0x64); // u, d
      add(NEWLINE);
    } else upInReply = toldUp;
    troublesInReply = troubles;
    if (troubles & NO_WIFI) {
      add(0x62); // b
      add(NEWLINE);
    }
    if (troubles & NO_SERVER) {
      add(0x73); // s
      add(NEWLINE);
    }
    if (now - keepaliveAt >= 0) {
      add(0x6b); // k
      add(NEWLINE);
      keepaliveAt = now + KEEPALIVE;
    }
    if (config.report && now - reportAt >= 0) {
      reportAt = now + config.report * 1000;
      addReport();
    }
    const space = <i32>(output + BUFFER - at);
    const tag = journal.get(journal.SESSION) ? 4 : 0;
    inReply = messageBytes && !handed && messageBytes + tag + 2 <= space;
    if (inReply) {
      add(tag ? 0x6d : 0x6e); // m, n
      if (tag) addTag();
      memory.copy(at, message, messageBytes);
      at += messageBytes;
      add(NEWLINE);
    }
  }
  // Lines of an earlier program may fill the journal: that must not delay the configuration.
  responder.answer(<i32>(at - output), configured && journal.free() < BUFFER);
}

/** The initiator has the answer. */
function sent(): void {
  toldUp = upInReply;
  troubles &= ~troublesInReply;
  if (!inReply) return;
  inReply = false;
  handed = true;
  if (second()) {
    journal.set(journal.HANDED_EPOCH, messageEpoch);
    journal.set(journal.HANDED, messageNumber);
    journal.save();
  }
}

// Composing the answer.

let at: usize = 0;

function add(byte: u32): void {
  store<u8>(at++, byte);
}

/** Four hex digits that differ between two messages in a row. */
function addTag(): void {
  const tag = (messageEpoch & 255) << 8 | messageNumber & 255;
  for (let shift = 12; shift >= 0; shift -= 4) {
    const digit = tag >>> shift & 15;
    add(digit + (digit < 10 ? 48 : 87));
  }
}

function addNumber(value: u32): void {
  let unit: u32 = 1;
  while (value / unit > 9) unit *= 10;
  for (; unit; unit /= 10) add(ZERO + value / unit % 10);
}

/** r[connects, count, free memory] */
function addReport(): void {
  add(0x72);
  add(0x5b);
  addNumber(connects());
  add(0x2c);
  addNumber(reports++);
  add(0x2c);
  addNumber(free_memory());
  add(0x5d);
  add(NEWLINE);
}

// The console.

const console: usize = memory.data(96);

function say(line: string): void {
  at = console;
  append(line);
  log(console, <i32>(at - console));
}

/** Logs why the exchange is broken off, and returns false. */
function complain(what: string): bool {
  inReply = false;
  at = console;
  append("initiator link reset: ");
  append(what);
  log(console, <i32>(at - console));
  return false;
}

/** Appends an ASCII literal. */
function append(literal: string): void {
  for (let i = 0; i < literal.length; i++) add(load<u16>(changetype<usize>(literal) + (i << 1)));
}

function reason(code: i32): string {
  if (code == responder.TOO_LONG) return "more bytes than fit";
  if (code == responder.NO_ANSWER) return "no answer from the initiator";
  if (code == responder.BUS_STUCK) return "I2C line held low";
  if (code == responder.CUT_SHORT) return "bytes not acknowledged";
  return "glitch";
}

function hash(from: usize, length: i32): i32 {
  let result: u32 = 0x811c9dc5;
  for (let i = 0; i < length; i++) result = (result ^ load<u8>(from + i)) * 0x01000193;
  return result;
}
