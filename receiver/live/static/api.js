// The server's JSON. Every answer that is no success becomes a `Refusal` with the server's own sentence.

export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function refused(reply) {
  let text = `the server answered ${reply.status}`;
  try {
    text = (await reply.json()).error || text;
  } catch {
    // a proxy's page: its status says enough
  }
  return new Refusal(reply.status, text);
}

/** GET a path of the server, below the page: a proxy may have it behind a prefix. Throws `Refusal`, and `TypeError` where nobody answers. */
export async function get(path) {
  const reply = await fetch(path, { headers: { Accept: "application/json" }, cache: "no-store" });
  if (!reply.ok) throw await refused(reply);
  return reply.json();
}

async function post(path, body) {
  const reply = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!reply.ok) throw await refused(reply);
  return reply.json();
}

export const login = (token) => post("login", { token });
export const logout = () => post("logout", {});

/** The path of a meeting, with `tail` behind its id. */
export function meetingPath({ subject, source }, tail = "") {
  return `meetings/${encodeURIComponent(subject)}${tail}?source=${encodeURIComponent(source)}`;
}

/** The address of a path below the page, over `http` or `ws`, as secure as the page is. */
export function addressOf(path, protocol = "http") {
  const url = new URL(path, document.baseURI);
  url.protocol = url.protocol.replace("http", protocol);
  return url.href;
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
