// Events as they happen, over the public /live/events. Whatever breaks the connection, nothing is missed and nothing
// comes twice: each event has a number, and the stream goes on behind the last one. What cannot be sent is told.

import { get } from "./api.js";

const POSITION = "receiver.position";
const LIST_TYPES = [
  "bot.status", "recording.status", "meeting.created", "meeting.deleted", "meeting.started", "meeting.ended",
  "participant.joined", "participant.left", "participant.updated", "stream.opened", "stream.closed", "artifact.ready",
  "artifact.failed", "artifact.skipped",
];
const TRANSCRIPT_TYPES = ["transcript.partial", "transcript.final"];
const FIRST_RETRY_MS = 500;
const MOST_RETRY_MS = 10_000;
// Browsers have six connections to a server for all tabs together: one that nobody looks at gives its own back.
const HIDDEN_MS = 60_000;

/** What a stream asks for: all that the list of meetings shows, or everything of one subject. */
export function wish(subject) {
  const types = subject === null ? LIST_TYPES : [...LIST_TYPES, ...TRANSCRIPT_TYPES];
  const query = new URLSearchParams({ types: types.join(",") });
  if (subject !== null) query.set("subject", subject);
  return { types, query };
}

export class Events {
  /**
   * `onEvent(event)`; `onGap(gap)`; `onState("connecting" | "live" | "reconnecting")`; `onBack()` when it is live again
   * after a break; `onRefused(status)` when it is over because this reader may not.
   */
  constructor(handlers) {
    this.handlers = handlers;
    this.wish = null;
    this.source = null;
    this.last = "";
    this.retryMs = FIRST_RETRY_MS;
    this.broken = false;
    window.addEventListener("online", () => this.again());
    document.addEventListener("visibilitychange", () => this.seen());
  }

  /** Follow what a wish names, from now on. Resolves when every event from then on will come. */
  open(wished) {
    this.close();
    this.wish = wished;
    this.last = "";
    this.broken = false;
    this.handlers.onState("connecting");
    const begun = new Promise((resolve) => {
      this.begun = resolve;
    });
    this.connect();
    return begun;
  }

  close() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  /** Connect anew, behind the last number. */
  again() {
    if (this.wish === null) return;
    this.close();
    this.connect();
  }

  connect() {
    const { types, query } = this.wish;
    const asked = new URLSearchParams(query);
    if (this.last) asked.set("after", this.last);
    const source = new EventSource(`live/events?${asked}`);
    this.source = source;
    source.onopen = () => this.opened();
    source.onerror = () => this.failed(source);
    const listen = (type, handle) =>
      source.addEventListener(type, (message) => {
        if (source !== this.source) return;
        this.last = message.lastEventId || this.last;
        this.begun();
        handle(message);
      });
    for (const type of types) listen(type, (message) => this.handlers.onEvent(JSON.parse(message.data)));
    listen("gap", (message) => this.handlers.onGap(JSON.parse(message.data)));
    listen(POSITION, () => {});
  }

  opened() {
    this.retryMs = FIRST_RETRY_MS;
    this.handlers.onState("live");
    if (this.broken) this.handlers.onBack();
    this.broken = false;
  }

  failed(source) {
    if (source !== this.source) return;
    this.broken = true;
    this.handlers.onState("reconnecting");
    if (source.readyState !== EventSource.CLOSED) return; // the browser comes back by itself, with the last number
    this.close();
    this.timer = setTimeout(() => this.retry(), this.retryMs);
    this.retryMs = Math.min(this.retryMs * 2, MOST_RETRY_MS);
  }

  /** A browser does not say why it was refused: ask. */
  async retry() {
    try {
      await get("live/status");
    } catch (error) {
      if (error.status === 401 || error.status === 403) {
        this.wish = null;
        this.begun();
        this.handlers.onRefused(error.status);
        return;
      }
    }
    if (this.source === null && this.wish !== null && !document.hidden) this.connect();
  }

  seen() {
    clearTimeout(this.hiding);
    if (document.hidden) this.hiding = setTimeout(() => this.close(), HIDDEN_MS);
    else if (this.source === null && this.wish !== null) {
      this.broken = true;
      this.again();
    }
  }
}
