/** Which requests are answered at all: a page from elsewhere must not use a visitor's browser to look in here. */

/** Names of this machine for itself. */
const LOCAL = ["localhost", "127.0.0.1", "[::1]"];

/**
 * Whether a request was meant for this page. A name that somebody else has made to point here (DNS rebinding) is none
 * of ours, and what pages from elsewhere send has their origin.
 */
export function isForUs(request: Request): boolean {
  const host = request.headers.get("host") ?? "";
  if (!LOCAL.includes(host.replace(/:\d+$/, "").toLowerCase())) return false;
  const origin = request.headers.get("origin");
  const site = request.headers.get("sec-fetch-site");
  if (origin !== null && origin !== `http://${host}`) return false;
  // A link from elsewhere may open the page, and no more.
  const isVisit = request.headers.get("sec-fetch-mode") === "navigate";
  return isVisit || site === null || site === "same-origin" || site === "none";
}
