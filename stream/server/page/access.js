// The server's token: taken from the page's address once, kept for this tab alone, sent with every request.

const STORED = "speakerlight-token";

const address = new URL(location.href);
const given = address.searchParams.get("token");
let token = given ?? stored();

if (given !== null) {
  setToken(given);
  address.searchParams.delete("token");
  history.replaceState(history.state, "", address);
}

export const hasToken = () => token !== "";

/** Uses `typed` from now on, also after a reload of this tab. */
export function setToken(typed) {
  token = typed;
  try {
    sessionStorage.setItem(STORED, token);
  } catch {
    // Storage is blocked: a reload asks for the token again.
  }
}

/** Headers of a request. */
export function headers() {
  return hasToken() ? { Authorization: `Bearer ${token}` } : {};
}

/** The address of `path` for programs that can set no headers, as http or ws, with `linkToken` (default: this page's). */
export function linkTo(path, query, scheme = "http", linkToken = token) {
  const link = new URL(path, location.origin);
  if (scheme === "ws") link.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  for (const [key, value] of Object.entries(query)) if (value) link.searchParams.set(key, value);
  if (linkToken) link.searchParams.set("token", linkToken);
  return link.href;
}

function stored() {
  try {
    return sessionStorage.getItem(STORED) ?? "";
  } catch {
    return "";
  }
}
