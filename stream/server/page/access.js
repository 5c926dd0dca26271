// The server's token: from the page's own address, or as typed; handed on with every request.

const address = new URL(location.href);
let token = address.searchParams.get("token") ?? "";

export const hasToken = () => token !== "";

/** Uses `typed` from now on. It stays in the address, so that a reload works. */
export function setToken(typed) {
  token = typed;
  address.searchParams.set("token", token);
  history.replaceState(null, "", address);
}

/** Headers of a request. */
export function headers() {
  return hasToken() ? { Authorization: `Bearer ${token}` } : {};
}

/** The address of `path` for programs that can set no headers, as http or ws. */
export function linkTo(path, query, scheme = "http") {
  const link = new URL(path, location.origin);
  if (scheme === "ws") link.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  for (const [key, value] of Object.entries(query)) if (value) link.searchParams.set(key, value);
  if (hasToken()) link.searchParams.set("token", token);
  return link.href;
}
