// Turns of a transcript, from partials and finals as they come: the rules of receiver/meetings/turn.py, so that what is
// seen while it is spoken is what the server's transcript says afterwards. Pure: no document, no clock, no network.

const NEAR_S = 1;
const FAR_S = 5;
const UPDATE_MS = 60_000;
const TRAILING_MS = 2_000;
const MENDED_MS = 5_000;

/** The turns of one meeting. A turn: `key`, `who`, `time`, `state` (open, final, cut), `text`, … */
export class Fold {
  constructor() {
    this.latest = new Map();
    this.numbered = new Map();
    this.finals = new Set();
  }

  /** Go on behind a turn as the server shows it. */
  know(view) {
    const firstMs = Date.parse(view.time);
    const data = { session: view.session, turn: view.turn, speaker: view.speaker };
    // when its last update came is not told: too early a guess lets an old one pass, too late a one holds new ones back
    const over = view.state === "final" && view.turn !== undefined;
    const timeMs = firstMs + (over ? Math.max(0, view.until_s - view.at_s) * 1000 : 0);
    const turn = {
      ...named(data), time: view.time, firstMs, timeMs, state: view.state, text: view.text, formatted: "",
      formattedFrom: "", startS: view.start_s, endS: view.end_s,
    };
    this.index(turn);
    return turn;
  }

  /** Take an event; the turns that it changed, that of the event last. */
  take(event) {
    const data = event.data;
    const final = event.type === "transcript.final";
    if (final && this.finals.has(event.id)) return [];
    const timeMs = Date.parse(event.time);
    const { key, who } = named(data);
    let turn = this.latest.get(key) ?? this.otherName(data, who);
    const fit = turn === undefined ? "other" : fitOf(turn, timeMs, data, final);
    if (fit === "stale") return formatLate(turn, data) ? [turn] : [];
    const changed = [];
    if (fit === "other") {
      if (!data.text && !data.formatted_text) return [];
      turn = {
        ...named(data), time: event.time, firstMs: timeMs, timeMs, state: "open", text: "", formatted: "",
        formattedFrom: "",
      };
      changed.push(...this.begin(turn, timeMs, final));
    } else if (turn.key !== key && who) {
      this.latest.delete(turn.key);
      Object.assign(turn, named(data));
      this.latest.set(key, turn);
    }
    update(turn, data, timeMs, final);
    if (final) this.finals.add(event.id);
    return [...changed, turn];
  }

  /** Have `turn` as the latest of its key, unless it lies before that; the turn that is cut by it. */
  begin(turn, timeMs, final) {
    const before = this.latest.get(turn.key);
    // a final of words before those that are being said, of a stream without numbers, leaves these as they are
    const aside = final && turn.number === undefined && before !== undefined && before.state !== "final";
    if (before !== undefined && (before.timeMs > timeMs || aside)) return [];
    this.index(turn);
    if (before?.state !== "open") return [];
    before.state = "cut";
    return [before];
  }

  index(turn) {
    this.latest.set(turn.key, turn);
    if (turn.number !== undefined) this.numbered.set(numberOf(turn), turn);
  }

  /** The turn of this number that nobody was named for, or, for an update that names nobody, of whoever speaks. */
  otherName(data, who) {
    if (data.turn === undefined) return undefined;
    const { session, turn } = data;
    return who ? this.latest.get(keyOf(session, turn, "")) : this.numbered.get(numberOf({ session, number: turn }));
  }
}

/** The text as people are shown it: formatted as far as that goes, with what was said after it. */
export function shown(turn) {
  if (!turn.formatted || turn.text === turn.formattedFrom) return turn.formatted || turn.text;
  const spoken = turn.text.split(/\s+/).filter(Boolean);
  const covered = turn.formattedFrom.split(/\s+/).filter(Boolean).length;
  return spoken.length < covered ? turn.text : [turn.formatted, ...spoken.slice(covered)].join(" ");
}

function named(data) {
  const who = data.speaker?.id || data.speaker?.name || "";
  return {
    key: keyOf(data.session, data.turn, who), session: data.session, number: data.turn, who,
    name: data.speaker?.name || data.speaker?.id || "",
  };
}

const keyOf = (session, number, who) => JSON.stringify([session ?? null, number ?? null, who]);
const numberOf = ({ session, number }) => JSON.stringify([session ?? null, number]);

/** A formatted text that was overtaken is still the best there is, unless a longer one is there. */
function formatLate(turn, data) {
  if (!data.formatted_text || data.turn === undefined) return false;
  const source = data.text || data.formatted_text;
  if (source.length <= turn.formattedFrom.length) return false;
  format(turn, data.formatted_text, source);
  return true;
}

function format(turn, formatted, source) {
  turn.text = turn.text || source;
  turn.formatted = formatted;
  turn.formattedFrom = source;
}

function update(turn, data, timeMs, final) {
  const newer = timeMs > turn.timeMs;
  const settles = final && turn.state !== "final";
  if (data.text && (newer || settles || data.text.length >= turn.text.length)) turn.text = data.text;
  if (data.formatted_text) format(turn, data.formatted_text, data.text || turn.text || data.formatted_text);
  if (newer) turn.timeMs = timeMs;
  turn.startS = data.start_s ?? turn.startS;
  turn.endS = data.end_s ?? turn.endS;
  turn.state = final ? "final" : "open";
}

function fitOf(turn, timeMs, data, final) {
  const ageMs = timeMs - turn.timeMs;
  const apartS = turn.startS === undefined || data.start_s === undefined ? null : Math.abs(turn.startS - data.start_s);
  if (turn.state !== "final") return fitGoing(turn, timeMs, ageMs, apartS, data, final);
  return final ? fitAgain(turn, ageMs, apartS, data) : fitTrailing(turn, ageMs, apartS, data);
}

function fitGoing(turn, timeMs, ageMs, apartS, data, final) {
  if (ageMs < 0 && !final) return "stale";
  if (data.turn === undefined) {
    if (final && (timeMs < turn.firstMs || isBefore(data, turn.startS))) return "other";
  } else if (apartS !== null && apartS > FAR_S) return "other";
  return ageMs <= UPDATE_MS || (apartS !== null && apartS <= NEAR_S) ? "same" : "other";
}

function fitTrailing(turn, ageMs, apartS, data) {
  if (data.turn === undefined) {
    const within = data.start_s !== undefined && turn.endS !== undefined && data.start_s < turn.endS;
    return ageMs <= 0 || (within && ageMs <= MENDED_MS) ? "stale" : "other";
  }
  if (apartS !== null && apartS > FAR_S && ageMs > 0) return "other";
  return ageMs <= TRAILING_MS || (apartS !== null && apartS <= NEAR_S) ? "stale" : "other";
}

function fitAgain(turn, ageMs, apartS, data) {
  const said = letters(data.text || data.formatted_text || "");
  const alike = said === letters(turn.text) || (turn.formatted !== "" && said === letters(turn.formatted));
  let same = Math.abs(ageMs) <= MENDED_MS && (apartS === null || apartS <= FAR_S);
  if (data.turn === undefined) same = alike && (apartS === null ? ageMs === 0 : apartS === 0);
  else if (alike && (apartS === null || apartS <= NEAR_S)) same = true;
  if (!same) return "other";
  return ageMs >= 0 ? "same" : "stale";
}

function isBefore(data, startS) {
  if (startS === undefined || data.start_s === undefined || data.end_s === undefined) return false;
  return data.start_s < startS && data.end_s <= startS;
}

const letters = (text) => text.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");
