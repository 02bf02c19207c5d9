/** Decides which requests are answered at all: another site's page must not use a visitor's browser to get in. */

/** The names under which the page is opened. */
export interface Names {
  /** http or https. */
  readonly scheme: string;
  /** Its public address, if given: behind a proxy, or by a name. */
  readonly url?: URL | undefined;
}

/**
 * Whether a request was meant for this page. A name that somebody else made point here (DNS rebinding) is refused,
 * and so are requests whose origin is another site. IP addresses are accepted: nobody can make one point elsewhere.
 */
export function isForUs(request: Request, { scheme, url }: Names): boolean {
  const host = (request.headers.get("host") ?? "").toLowerCase();
  if (host !== url?.host && !isAddress(host.replace(/:\d+$/, ""))) return false;
  const origin = request.headers.get("origin");
  const site = request.headers.get("sec-fetch-site");
  if (origin !== null && origin !== `${scheme}://${host}` && origin !== url?.origin) return false;
  // A link on another site may open the page, but do nothing else.
  const isVisit = request.headers.get("sec-fetch-mode") === "navigate" &&
    request.headers.get("sec-fetch-dest") === "document" && request.method === "GET";
  return isVisit || site === null || site === "same-origin" || site === "none";
}

function isAddress(host: string): boolean {
  return host === "localhost" || /^\d+\.\d+\.\d+\.\d+$/.test(host) ||
    /^\[[0-9a-f:.]+\]$/.test(host);
}
