// Who is there, and how loud each of the few is who speak. A level costs a connection, so at most four people have one.

import { Ear, Meter } from "./audio.js";
import { byId, keyed, make, moment, setText } from "./dom.js";

const MOST_METERS = 4;

export class People {
  constructor() {
    this.list = byId("people");
    this.subject = null;
    this.people = this.roster = [];
    this.live = false;
    this.ears = new Map();
    this.spoke = new Map();
  }

  clear() {
    this.listen(null);
    this.spoke.clear();
    this.show([], false);
  }

  /** The roster of a meeting, as the server shows it, and who has spoken without having been told of: a bot is told of
   * those only who come after it. `live`: the meeting goes on. */
  show(roster, live) {
    Object.assign(this, { roster, live });
    const known = new Set(roster.flatMap((person) => [person.name, person.id]));
    const others = [...this.spoke.keys()].filter((name) => !known.has(name));
    const everybody = [...roster, ...others.sort().map((name) => ({ name, present: live, intervals: [] }))];
    this.people = everybody.map((person) => ({ ...person, key: person.id ?? person.user_id ?? `name ${person.name}` }));
    const sorted = [...this.people].sort((one, other) => Number(other.present) - Number(one.present));
    const there = everybody.filter((person) => person.present).length;
    setText(byId("people-count"), everybody.length ? `${there} of ${everybody.length} there` : "");
    byId("people-empty").hidden = everybody.length > 0;
    keyed(this.list, sorted, (person) => person.key, build, update);
    this.tune();
  }

  /** Somebody said something: whose level is shown goes by that. */
  heard(name) {
    if (!name) return;
    const known = this.spoke.has(name);
    this.spoke.delete(name);
    this.spoke.set(name, true); // the last of a map is the newest
    if (!known) this.show(this.roster, this.live);
  }

  /** Show levels of this meeting's live sound; `null`: there is none. */
  listen(subject) {
    if (subject === this.subject) return;
    for (const ear of this.ears.values()) ear.close();
    this.ears.clear();
    this.subject = subject;
    this.tune();
  }

  /** Have a level for those who are there, those who spoke last before the others. */
  tune() {
    const order = [...this.spoke.keys()];
    const rank = (person) => Math.max(order.indexOf(person.name), order.indexOf(person.id));
    const audible = (person) => person.present && !person.bot && (person.name || person.id);
    const wanted = this.subject === null ? [] : this.people.filter(audible);
    wanted.sort((one, other) => rank(other) - rank(one));
    const chosen = new Set(wanted.slice(0, MOST_METERS).map((person) => person.key));
    for (const [key, ear] of this.ears) {
      if (chosen.has(key)) continue;
      ear.close();
      this.ears.delete(key);
    }
    for (const person of this.people) {
      const row = this.list.known.get(person.key);
      row.parts.level.hidden = !chosen.has(person.key);
      if (!chosen.has(person.key) || this.ears.has(person.key)) continue;
      const { meter } = row.parts;
      meter.show(0);
      this.ears.set(person.key, new Ear(this.subject, {
        speaker: person.name || person.id,
        onSound: (samples) => meter.heard(samples),
        onState: () => meter.show(0),
      }));
    }
  }
}

function build() {
  const name = make("span", { class: "name", dir: "auto" });
  const role = make("span", { class: "hint" });
  const range = { "aria-valuemin": 0, "aria-valuemax": 100 };
  const level = make("span", { class: "level", role: "meter", ...range, hidden: true }, make("span"));
  const row = make("li", { class: "person" }, name, role, level);
  row.parts = { name, role, level, meter: new Meter(level) };
  return row;
}

function update(row, person) {
  const name = person.name || person.id || "Somebody";
  setText(row.parts.name, name);
  row.parts.level.setAttribute("aria-label", `Level of ${name}`);
  row.classList.toggle("away", !person.present);
  const last = person.intervals.at(-1);
  const parts = [person.host ? "host" : "", person.bot ? "bot" : ""];
  if (!person.present) parts.push(last?.left ? `left ${moment(last.left)}` : "");
  else if (person.connections > 1) parts.push(`${person.connections} devices`);
  setText(row.parts.role, parts.filter(Boolean).join(", "));
}
