// The list of meetings: those that are live, and those that have ended lately.

import { byId, count, keyed, make, moment, setText, several, words } from "./dom.js";

/** The place of a meeting in the page's own address. */
export function address({ subject, source }) {
  return `#/meeting?${new URLSearchParams({ subject, source })}`;
}

export class MeetingList {
  constructor() {
    this.selected = "";
  }

  /** Mark the meeting whose address this is; empty: none. */
  select(selected) {
    this.selected = selected;
    for (const link of byId("meetings").querySelectorAll("a.meeting")) mark(link, selected);
  }

  /** The answer of /meetings. */
  show({ active, recent, rebuilding = false }) {
    byId("rebuilding").hidden = !rebuilding;
    // by their beginning: a list that is sorted by what was heard last is never still
    const live = [...active].sort((one, other) => (one.first_seen < other.first_seen ? 1 : -1));
    this.fill(byId("active"), live);
    this.fill(byId("recent"), recent);
    setText(byId("active-count"), active.length ? count(active.length) : "");
    setText(byId("recent-count"), recent.length ? count(recent.length) : "");
    byId("active-empty").hidden = active.length > 0 || rebuilding;
    byId("recent-section").hidden = recent.length === 0;
  }

  fill(list, meetings) {
    keyed(list, meetings, address, build, (item, meeting) => {
      update(item, meeting);
      mark(item.parts.link, this.selected);
    });
  }
}

function build(meeting) {
  const title = make("span", { class: "name", dir: "auto" });
  const state = make("span", { class: "state" });
  const facts = make("span", { class: "hint" });
  const link = make("a", { class: "meeting", href: address(meeting) }, title, make("span", { class: "line" }, state, facts));
  const item = make("li", {}, link);
  item.parts = { link, title, state, facts };
  return item;
}

function update(item, meeting) {
  const { link, title, state, facts } = item.parts;
  setText(title, meeting.title || meeting.subject);
  setText(state, stateOf(meeting));
  link.dataset.phase = meeting.phase;
  const people = meeting.phase === "ended" ? meeting.people : meeting.present;
  const told = [several(people, "person", "people"), several(meeting.turns, "turn", "turns")];
  setText(facts, [...told, moment(meeting.started ?? meeting.first_seen)].join(" · "));
}

function mark(link, selected) {
  if (link.getAttribute("href") === selected) link.setAttribute("aria-current", "page");
  else link.removeAttribute("aria-current");
}

/** A meeting's state in a word or two: the bot's status where there is one. */
export function stateOf(meeting) {
  if (meeting.phase === "ended") {
    if (meeting.ended_by === "quiet") return "Gone quiet";
    return meeting.reason ? words(meeting.reason) : "Ended";
  }
  return words(meeting.status ?? meeting.phase);
}
