/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/** The stream that keeps a page up to date. */
import { byId } from "../parts/dom.ts";

/** Time goes on while nothing changes: in ms. */
const TICK = 1000;

/** Until one that was refused tries again, in ms. */
const PAUSE = 3000;

const GONE = "The server does not answer. This page shows the last known state and keeps trying.";

/** What a page does with the events of its stream. */
export interface Live<Told> {
  /** @param isAll It is everything, as for one who has seen nothing. */
  take(told: Told, isAll: boolean): void;
  /**
   * Shows it as it is now.
   *
   * @param now By the server's clock, in ms since 1970.
   * @param isTick Time has gone on; else something was told, and what was not told of can wait for the next tick.
   */
  show(now: number, isTick: boolean): void;
}

/** A stream that was begun. */
export interface Stream {
  /** Shows all again. */
  show(): void;
  /** Ends the stream. */
  end(): void;
}

/** Begins to listen; after an outage it goes on by itself. */
export function listen<Told extends { now: number }>(url: string, live: Live<Told>): Stream {
  /** By how much the server's clock is ahead of the browser's, in ms. */
  let ahead = 0;
  const show = (isTick = true) => live.show(Date.now() + ahead, isTick);
  const take = (data: string, isAll: boolean) => {
    const told: Told = JSON.parse(data);
    ahead = told.now - Date.now();
    live.take(told, isAll);
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
      // Where it was refused, and not cut off, browsers do not try again.
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

/** Why the stream has ended: an EventSource does not say. */
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
