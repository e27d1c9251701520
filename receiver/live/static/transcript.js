// The transcript as it is spoken. Each turn is a row that is made once; an update changes the text of that row only, and
// at most once for each frame that is painted. Now and then the server's own transcript is laid over it (`settle`).

import { announce, byId, clock, make, setText } from "./dom.js";
import { Fold, shown } from "./fold.js";

const SEARCH_MS = 120;
const NEAR_END_PX = 60;
/** What changed so shortly ago may not be in the server's answer yet. */
const FRESH_MS = 2_000;
/** So long after a hand's movement what scrolls is scrolled by it. */
const MOVED_MS = 1_000;

export class Transcript {
  constructor() {
    this.list = byId("turns");
    this.empty = byId("turns-empty");
    this.latest = byId("latest");
    this.hits = byId("hits");
    this.query = byId("query");
    this.needle = "";
    this.following = true;
    this.moved = -MOVED_MS;
    this.list.addEventListener("scroll", () => this.scrolled(), { passive: true });
    for (const kind of ["wheel", "touchmove", "pointerdown", "keydown"]) {
      this.list.addEventListener(kind, () => (this.moved = performance.now()), { passive: true });
    }
    this.latest.addEventListener("click", () => this.follow());
    this.query.addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.search(this.query.value), SEARCH_MS);
    });
    this.clear();
  }

  /** Forget everything. */
  clear() {
    this.fold = new Fold();
    this.rows = new Map();
    this.dirty = new Set();
    this.list.replaceChildren();
    this.list.classList.remove("searching");
    this.query.value = this.needle = "";
    this.empty.hidden = false;
    setText(this.hits, "");
    this.follow();
  }

  /** Open turns that nothing was heard of for `ms`. */
  stale(ms) {
    const before = performance.now() - ms;
    return [...this.fold.latest.values()].some((turn) => turn.state === "open" && turn.touched < before);
  }

  /** Take a transcript event; who has said something by it, or null. */
  take(event) {
    const changed = this.fold.take(event);
    if (changed.length === 0) return null;
    const turn = changed.at(-1);
    turn.touched = performance.now();
    for (const one of changed) this.paint(one);
    if (turn.state === "final") announce(`${turn.name ? `${turn.name}: ` : ""}${shown(turn)}`);
    return turn.name;
  }

  /** Lay the server's turns over those that are shown. Whether some were too fresh to be judged. */
  settle(views) {
    const fold = new Fold();
    const told = views.map((view) => fold.know(view));
    const known = this.keep(new Set(told.map(identity)));
    const rows = new Map();
    let skipped = false;
    let place = this.list.firstElementChild;
    const put = (turn) => {
      const row = this.rows.get(turn) ?? this.build();
      rows.set(turn, row);
      while (place?.classList.contains("note")) place = place.nextElementSibling;
      if (row.item === place) place = place.nextElementSibling;
      else this.list.insertBefore(row.item, place);
      this.dirty.add(turn);
    };
    for (const one of told) {
      const turn = known.get(identity(one)) ?? Object.assign(one, { touched: 0 });
      known.delete(identity(one));
      if (isFresh(turn) && one.state !== "final") skipped = true;
      else if (one.text !== shown(turn) || one.state !== turn.state) Object.assign(turn, one);
      fold.index(turn);
      put(turn);
    }
    for (const turn of known.values()) {
      skipped = true;
      fold.index(turn);
      put(turn);
    }
    fold.finals = this.fold.finals;
    this.fold = fold;
    this.rows = rows;
    this.schedule();
    return skipped;
  }

  /** Keep rows of these identities, and those that are fresh; what is kept, by identity. */
  keep(wanted) {
    const kept = new Map();
    for (const [turn, row] of this.rows) {
      const name = identity(turn);
      if (!kept.has(name) && (wanted.has(name) || isFresh(turn))) kept.set(name, turn);
      else row.item.remove();
    }
    return kept;
  }

  /** Show that something is missing at this place. */
  note(text) {
    this.list.append(make("li", { class: "note", role: "alert" }, text));
    this.schedule();
  }

  paint(turn) {
    if (!this.rows.has(turn)) {
      const row = this.build();
      this.rows.set(turn, row);
      this.list.append(row.item);
    }
    this.dirty.add(turn);
    this.schedule();
  }

  schedule() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      for (const turn of this.dirty) if (this.rows.has(turn)) this.write(turn, this.rows.get(turn));
      this.dirty.clear();
      this.empty.hidden = this.list.childElementCount > 0;
      this.countHits();
      if (this.following) this.list.scrollTop = this.list.scrollHeight;
      else this.latest.hidden = false;
    });
  }

  build() {
    const who = make("span", { class: "who", dir: "auto" });
    const time = make("time");
    const text = make("p", { class: "said", dir: "auto" });
    return { item: make("li", { class: "turn" }, make("div", { class: "by" }, who, time), text), who, time, text };
  }

  write(turn, row) {
    const before = row.item.previousElementSibling;
    const same = turn.name !== "" && before?.dataset.who === turn.who;
    setText(row.who, turn.name || "Somebody");
    if (row.time.dateTime !== turn.time) {
      row.time.dateTime = turn.time;
      setText(row.time, clock(turn.time));
    }
    row.item.dataset.who = turn.who;
    row.item.dataset.state = turn.state;
    row.item.classList.toggle("same", same);
    const text = shown(turn) + (turn.state === "cut" ? " …" : "");
    if (this.needle) this.match(row, text);
    else setText(row.text, text);
  }

  // ---- search

  /** Show only turns in which `wanted` stands, in any case; all for an empty text. */
  search(wanted) {
    this.needle = wanted.trim().toLowerCase();
    this.list.classList.toggle("searching", this.needle !== "");
    for (const row of this.rows.values()) {
      const text = row.text.textContent;
      if (this.needle) this.match(row, text);
      else if (row.item.hidden || row.text.childElementCount) {
        row.item.hidden = false;
        row.text.textContent = text;
      }
    }
    this.countHits();
    if (!this.needle) this.follow();
  }

  countHits() {
    if (!this.needle) {
      setText(this.hits, "");
      return;
    }
    let hits = 0;
    for (const row of this.rows.values()) hits += row.item.hidden ? 0 : 1;
    setText(this.hits, `${hits} of ${this.rows.size}`);
  }

  /** Mark what is searched for in `text`, and hide the row where it is not there. */
  match(row, text) {
    const parts = [];
    const lower = text.toLowerCase();
    let at = 0;
    // a few letters change their length with their case: then the row is shown, without a mark
    const markable = lower.length === text.length;
    let next = lower.indexOf(this.needle);
    row.item.hidden = next < 0;
    while (markable && next >= 0) {
      parts.push(text.slice(at, next), make("mark", {}, text.slice(next, next + this.needle.length)));
      at = next + this.needle.length;
      next = lower.indexOf(this.needle, at);
    }
    row.text.replaceChildren(...parts, text.slice(at));
  }

  // ---- the end

  follow() {
    this.following = true;
    this.latest.hidden = true;
    this.list.scrollTop = this.list.scrollHeight;
  }

  /** Whoever scrolls away from the end stays there. Rows that grow when they are painted scroll as well, by themselves. */
  scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.list;
    if (scrollHeight - scrollTop - clientHeight < NEAR_END_PX) this.follow();
    else if (performance.now() - this.moved < MOVED_MS) this.following = false;
  }
}

const isFresh = (turn) => turn.touched > performance.now() - FRESH_MS;

/** What a turn is known by here and at the server: its first message. */
const identity = (turn) => `${turn.key} ${turn.time}`;
