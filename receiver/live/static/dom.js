// Small helpers for the document. What others have written goes in as text, never as markup.

export const byId = (id) => document.getElementById(id);

/** A new element. `attributes`: null, undefined and false are left out; children are nodes or texts. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Set an element's text, and touch nothing where it is the same. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Show `text` in an element that is hidden without one. */
export function tell(element, text) {
  setText(element, text);
  element.hidden = !text;
}

/**
 * Make the children of `parent` those of `items`, in order, and move and build as little as possible.
 * `key(item)` names an item, `build(item)` makes its element, `update(element, item)` brings it up to date.
 */
export function keyed(parent, items, key, build, update) {
  const known = parent.known ?? (parent.known = new Map());
  const wanted = new Map(items.map((item) => [key(item), item]));
  for (const [name, element] of known) {
    if (!wanted.has(name)) {
      element.remove();
      known.delete(name);
    }
  }
  let place = parent.firstElementChild;
  for (const [name, item] of wanted) {
    let element = known.get(name);
    if (element === undefined) {
      element = build(item);
      known.set(name, element);
    }
    update(element, item);
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
}

const WHOLE = new Intl.NumberFormat("en");
export const count = (number) => WHOLE.format(number);
export const several = (number, one, more) => `${count(number)} ${number === 1 ? one : more}`;

const TIME = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

function formatted(format, time) {
  const moment = new Date(time);
  return Number.isNaN(moment.getTime()) ? "" : format.format(moment);
}

/** Of an RFC 3339 time: the time of the day here; with the day. */
export const clock = (time) => formatted(TIME, time);
export const moment = (time) => formatted(DAY, time);

/** Seconds for people: `0.4 s`, `12 s`, `3 min`, `2 h 5 min`. */
export function span(seconds) {
  if (seconds < 10) return `${Math.round(seconds * 10) / 10} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** `in_meeting` as people write it. */
export function words(name) {
  const text = name.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Have a screen reader say `text` when it has a moment. */
export function announce(text) {
  byId("announcer").textContent = text;
}
