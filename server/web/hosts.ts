/** Which requests are answered at all: a page from elsewhere must not use a visitor's browser to look in here. */

/** Under which names the page is opened. */
export interface Names {
  /** http or https. */
  readonly scheme: string;
  /** Where it is for others, if that is told: behind a proxy, or by a name. */
  readonly url?: URL | undefined;
}

/**
 * Whether a request was meant for this page. A name that somebody else has made to point here (DNS rebinding) is none
 * of ours, and what pages from elsewhere send has their origin. An address is no name: nobody can make it point
 * elsewhere.
 */
export function isForUs(request: Request, { scheme, url }: Names): boolean {
  const host = (request.headers.get("host") ?? "").toLowerCase();
  if (host !== url?.host && !isAddress(host.replace(/:\d+$/, ""))) return false;
  const origin = request.headers.get("origin");
  const site = request.headers.get("sec-fetch-site");
  if (origin !== null && origin !== `${scheme}://${host}` && origin !== url?.origin) return false;
  // A link from elsewhere may open the page, and no more.
  const isVisit = request.headers.get("sec-fetch-mode") === "navigate" &&
    request.headers.get("sec-fetch-dest") === "document" && request.method === "GET";
  return isVisit || site === null || site === "same-origin" || site === "none";
}

function isAddress(host: string): boolean {
  return host === "localhost" || /^\d+\.\d+\.\d+\.\d+$/.test(host) ||
    /^\[[0-9a-f:.]+\]$/.test(host);
}
