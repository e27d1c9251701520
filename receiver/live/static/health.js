// What is known of a meeting's streams: how much comes, what is missing, and each connection.

import { byId, clock, count, keyed, make, moment, setText, several, span, words } from "./dom.js";

const WINDOW_MS = 10_000;

/** Updates of the transcript, and sound, of the last ten seconds. */
export class Rates {
  constructor() {
    this.clear();
  }

  clear() {
    this.begunMs = performance.now();
    this.updates = [];
    this.sounds = [];
    this.gaps = 0;
    this.gapMs = 0;
  }

  update() {
    this.updates.push([performance.now(), 1]);
  }

  sound(seconds) {
    this.sounds.push([performance.now(), seconds]);
  }

  gap(ms) {
    this.gaps += 1;
    this.gapMs += ms;
  }

  /** Of one kind, for each second. */
  rate(kind) {
    const now = performance.now();
    while (kind.length && kind[0][0] < now - WINDOW_MS) kind.shift();
    const seconds = Math.max(1, Math.min(WINDOW_MS, now - this.begunMs) / 1000);
    return kind.reduce((sum, [, value]) => sum + value, 0) / seconds;
  }
}

/** The answer of /meetings/{subject}, and what is heard here. */
export function showHealth(meeting, rates, hearing) {
  const { losses } = meeting;
  const pairs = [["Transcript", `${rates.rate(rates.updates).toFixed(1)} updates/s`]];
  if (hearing) pairs.push(["Sound", `${Math.round(Math.min(1, rates.rate(rates.sounds)) * 100)} % of real time`]);
  const gaps = losses.audio_gaps ?? rates.gaps;
  if (losses.audio_gaps !== undefined || hearing) {
    pairs.push(["Gaps in the sound", gaps ? `${count(gaps)}, ${span((losses.audio_gap_ms ?? rates.gapMs) / 1000)}` : "none"]);
  }
  pairs.push(["Connections that broke off", count(losses.unclean_streams)]);
  if (losses.away_s) pairs.push(["Without a connection", span(losses.away_s)]);
  const spoilt = losses.damaged_records + losses.undecodable_records;
  if (spoilt) pairs.push(["Records that cannot be read", count(spoilt)]);
  if (losses.dropped_turns) pairs.push(["Turns only in the journal", count(losses.dropped_turns)]);
  keyed(byId("health"), pairs, ([name]) => name, () => make("div", {}, make("dt"), make("dd")), (row, [name, text]) => {
    setText(row.firstElementChild, name);
    setText(row.lastElementChild, text);
  });
  const newest = [...meeting.streams].reverse().slice(0, 12);
  keyed(byId("streams"), newest, (stream) => stream.connection, buildLine, updateStream);
}

/** What became of recordings and the like. */
export function showArtifacts(artifacts) {
  byId("artifacts-card").hidden = artifacts.length === 0;
  const numbered = artifacts.map((artifact, index) => [index, artifact]);
  keyed(byId("artifacts"), numbered, ([index]) => index, buildLine, (row, [, one]) => {
    const size = one.size_bytes ? `${count(Math.ceil(one.size_bytes / 1024))} KiB` : "";
    const length = one.duration_s ? span(one.duration_s) : "";
    line(row, words(one.kind), words(one.state), [length, size, moment(one.time), one.message]);
    row.dataset.state = one.state === "failed" ? "bad" : "ok";
  });
}

function updateStream(row, stream) {
  const facts = [];
  if (stream.opened) facts.push(`${clock(stream.opened)}${stream.closed ? `–${clock(stream.closed)}` : ""}`);
  if (stream.messages !== undefined) facts.push(several(stream.messages, "message", "messages"));
  if (stream.away_s) facts.push(`back after ${span(stream.away_s)}`);
  const broken = stream.clean === false;
  if (broken) facts.push(stream.code ? `code ${stream.code}` : "no closing");
  line(row, words(stream.channel), stream.open ? "Open" : broken ? "Broke off" : "Closed", facts);
  row.dataset.state = broken ? "bad" : stream.open ? "live" : "ok";
}

function buildLine() {
  return make("li", {}, make("span", { class: "name" }), make("span", { class: "state" }), make("span", { class: "hint", dir: "auto" }));
}

function line(row, name, state, facts) {
  const [first, second, third] = row.children;
  setText(first, name);
  setText(second, state);
  setText(third, facts.filter(Boolean).join(" · "));
}
