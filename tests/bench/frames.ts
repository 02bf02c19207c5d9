/**
 * Whether the page of many devices scrolls: frames that Chromium draws, and the time that each costs the page's own
 * thread, from its trace. The frame rate depends on the machine; on a busy one processor time says more.
 *
 * @module
 */
import type { CDPSession, Page } from "playwright-core";
import { browserIsThere, launch, SHELL } from "../browser/page/chromium.ts";
import { CHANGES, DEVICES, Fleet } from "./page.ts";
import { Contestant, freePort } from "./processes.ts";
import { progress, quantile, type Section } from "./report.ts";

/** Frames, and the pixels by which each scrolls. */
const FRAMES = 600;
const STEP = 20;

/** Time of one frame on a screen, in ms. */
const FRAME = 1000 / 60;

const CATEGORIES = ["devtools.timeline", "disabled-by-default-devtools.timeline", "toplevel"];

/** An event of a trace; times in µs. */
interface TraceEvent {
  readonly name: string;
  readonly ph: string;
  readonly pid: number;
  readonly tid: number;
  readonly ts: number;
  readonly dur?: number;
  /** Processor time. */
  readonly tdur?: number;
}

/** Scrolls through the page while devices change; returns nothing if there is no browser here. */
export async function measureFrames(): Promise<Section[]> {
  if (!browserIsThere()) {
    progress(`no Chromium here: its Debian package is called ${SHELL}`);
    return [];
  }
  const port = freePort();
  const options = ["--web", String(port), "--timeout", "60000"];
  await using server = await Contestant.holdfast(options);
  using fleet = await Fleet.connect(server.port);
  fleet.begin();
  const browser = await launch();
  try {
    const page = await browser.newPage({ viewport: { width: 1000, height: 900 } });
    await page.goto(`http://localhost:${port}/`);
    await page.getByRole("rowheader").nth(DEVICES - 1).waitFor({ state: "attached" });
    progress(`${FRAMES} frames of scrolling`);
    const events = await trace(await page.context().newCDPSession(page), () => scroll(page));
    return [section(events)];
  } finally {
    await browser.close();
  }
}

/** Scrolls as fast as there are frames. */
async function scroll(page: Page): Promise<void> {
  await page.evaluate(async ([frames, step]) => {
    const { scrollBy, requestAnimationFrame } = globalThis as unknown as {
      scrollBy(x: number, y: number): void;
      requestAnimationFrame(run: () => void): void;
    };
    for (let frame = 0; frame < frames; frame++) {
      scrollBy(0, step);
      await new Promise<void>((resolve) => requestAnimationFrame(resolve));
    }
  }, [FRAMES, STEP] as const);
}

async function trace(session: CDPSession, act: () => Promise<void>): Promise<TraceEvent[]> {
  const events: TraceEvent[] = [];
  session.on("Tracing.dataCollected", ({ value }) => {
    events.push(...value as unknown as TraceEvent[]);
  });
  const complete = new Promise((resolve) => session.on("Tracing.tracingComplete", resolve));
  await session.send("Tracing.start", { traceConfig: { includedCategories: CATEGORIES } });
  await act();
  await session.send("Tracing.end");
  await complete;
  return events.sort((a, b) => a.ts - b.ts);
}

function section(events: readonly TraceEvent[]): Section {
  const frames = events.filter(({ name }) => name === "FireAnimationFrame");
  const [first] = frames;
  if (!first || frames.length < FRAMES) throw new Error(`${frames.length} frames were traced`);
  const costs = costsOf(frames, events);
  const seconds = (frames.at(-1)!.ts - first.ts) / 1e6;
  const rate = (frames.length - 1) / seconds;
  const late = costs.filter((cost) => cost > FRAME).length;
  return {
    title: `Scrolling through ${DEVICES} devices, ${CHANGES} changes a second`,
    columns: [
      { key: "rate", title: "frames/s", digits: 1 },
      { key: "mean", title: "mean ms of processor time each", digits: 1 },
      { key: "p99", title: "p99 ms", digits: 1 },
      { key: "worst", title: "worst ms", digits: 1 },
      { key: "late", title: `over ${FRAME.toFixed(1)} ms` },
    ],
    rows: [{
      rate,
      mean: costs.reduce((sum, cost) => sum + cost, 0) / costs.length,
      p99: quantile(costs, 0.99),
      worst: Math.max(...costs),
      late,
    }],
    aims: [{
      what: "page: scrolling",
      aim: "60 frames/s",
      measured: `${rate.toFixed(1)}/s`,
      met: rate >= 59.5,
    }],
  };
}

/** Processor time of the thread that runs the page, from each frame to the next, in ms. */
function costsOf(frames: readonly TraceEvent[], events: readonly TraceEvent[]): number[] {
  const { pid, tid } = frames[0]!;
  const costs = frames.map(() => 0);
  let frame = 0;
  for (const { name, ph, ts, dur = 0, tdur = dur, ...of } of events) {
    if (name !== "RunTask" || ph !== "X" || of.pid !== pid || of.tid !== tid) continue;
    const end = ts + dur;
    if (end < frames[0]!.ts) continue;
    while (frame + 1 < frames.length && end > frames[frame + 1]!.ts) frame++;
    costs[frame]! += tdur / 1000;
  }
  return costs;
}
