/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/** The stream that keeps a page up to date. */
import { byId } from "../parts/dom.ts";

/** Interval for updating shown times, in ms. */
const TICK = 1000;

/** Delay before a refused stream is tried again, in ms. */
const PAUSE = 3000;

const GONE = "The server does not answer. This page shows the last known state and keeps trying.";

/** What a page does with the events of its stream. */
export interface Live<Update> {
  /** @param isAll Whether it is everything, not only changes. */
  take(update: Update, isAll: boolean): void;
  /**
   * Shows the present state.
   *
   * @param now By the server's clock, in ms since 1970.
   * @param isTick Whether only time has passed; if not, something has changed, and what has not can wait for the
   * next tick.
   */
  show(now: number, isTick: boolean): void;
}

/** An open stream. */
export interface Stream {
  /** Shows everything again. */
  show(): void;
  /** Ends the stream. */
  end(): void;
}

/** Starts to listen; reconnects after an outage. */
export function listen<Update extends { now: number }>(url: string, live: Live<Update>): Stream {
  /** By how much the server's clock is ahead of the browser's, in ms. */
  let ahead = 0;
  const show = (isTick = true) => live.show(Date.now() + ahead, isTick);
  const take = (data: string, isAll: boolean) => {
    const update: Update = JSON.parse(data);
    ahead = update.now - Date.now();
    live.take(update, isAll);
    show(isAll);
  };
  const obstacle = byId("obstacle");
  let source: EventSource;
  let again: ReturnType<typeof setTimeout> | undefined;
  const connect = () => {
    source = new EventSource(url);
    source.addEventListener("all", ({ data }) => {
      obstacle.hidden = true;
      take(data, true);
    });
    source.addEventListener("changes", ({ data }) => take(data, false));
    source.addEventListener("error", async () => {
      // Browsers do not retry a stream that was refused.
      if (source.readyState === EventSource.CLOSED) again = setTimeout(connect, PAUSE);
      obstacle.textContent = await whyNot(url);
      obstacle.hidden = source.readyState === EventSource.OPEN;
    });
  };
  connect();
  const timer = setInterval(show, TICK, true);
  return {
    show,
    end() {
      clearInterval(timer);
      clearTimeout(again);
      source.close();
    },
  };
}

/** Finds out why the stream has ended, because an EventSource does not report that. */
async function whyNot(url: string): Promise<string> {
  const stop = new AbortController();
  try {
    const answer = await fetch(url, { signal: stop.signal });
    if (answer.status === 401) {
      location.assign(`/login#${encodeURIComponent(location.pathname)}`);
      return "Log in first.";
    }
    return answer.ok ? GONE : (await answer.json()).message;
  } catch {
    return GONE;
  } finally {
    stop.abort();
  }
}
