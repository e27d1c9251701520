// How the server does: its sinks, and the ledger of what came in.

import { byId, count, keyed, make, setText, several, span, tell } from "./dom.js";

/** What waits for longer is worth a look. */
const LATE_S = 10;

/** The answer of /live/status. */
export function showStatus(status) {
  const parts = [`Version ${status.version}`, several(status.sockets_open, "open socket", "open sockets")];
  setText(byId("server-facts"), parts.join(" · "));
  tell(byId("server-problem"), problemOf(status));
  byId("sinks-empty").hidden = status.sinks.length > 0;
  keyed(byId("sinks"), status.sinks, (sink) => sink.name, () => buildRow(6), updateSink);
  keyed(byId("ledger"), status.endpoints, nameOf, () => buildRow(9), updateEndpoint);
}

const nameOf = (endpoint) => `${endpoint.vendor}/${endpoint.name}`;

function problemOf({ journal, shedding }) {
  const problems = [];
  if (journal !== "ok") problems.push(`The journal cannot write: ${journal}.`);
  if (shedding !== "ok") problems.push(`Deliveries are shed: ${shedding}.`);
  return problems.join(" ");
}

/** A row whose first cell names it. */
function buildRow(columns) {
  const row = make("tr", {}, make("th", { scope: "row" }));
  for (let column = 1; column < columns; column += 1) row.append(make("td"));
  return row;
}

/** Texts and numbers into the cells of a row, in order; null leaves a cell as it is. */
function fill(row, values) {
  values.forEach((value, column) => {
    if (value === null) return;
    const cell = row.cells[column];
    const number = typeof value === "number";
    cell.classList.toggle("number", number);
    setText(cell, number ? count(value) : value);
  });
}

function updateSink(row, sink) {
  const failing = Boolean(sink.error) || sink.failures > 0;
  const late = sink.lag_s !== undefined && sink.lag_s >= LATE_S;
  row.dataset.state = failing ? "bad" : late ? "late" : "ok";
  row.dataset.sink = sink.name;
  const lag = sink.lag_s === undefined ? "–" : span(sink.lag_s);
  const title = sink.name === sink.type ? sink.name : `${sink.name} (${sink.type})`;
  fill(row, [title, null, sink.pending, lag, sink.delivered, sink.dead_letters]);
  row.cells[3].classList.add("number");
  setState(row.cells[1], sink, failing);
}

function setState(cell, sink, failing) {
  if (!cell.pill) {
    cell.pill = make("span", { class: "pill" });
    cell.why = make("span", { class: "why", dir: "auto" });
    cell.replaceChildren(cell.pill, cell.why);
  }
  const calm = sink.busy ? "Busy" : sink.up ? "Up" : "Connecting";
  setText(cell.pill, failing ? "Down" : calm);
  cell.pill.dataset.state = failing ? "bad" : sink.up ? "live" : "connecting";
  const tries = sink.failures > 1 ? `${count(sink.failures)} attempts` : "";
  setText(cell.why, [sink.error, sink.busy, tries].filter(Boolean).join(" · "));
}

function updateEndpoint(row, one) {
  const { received, journalled, duplicates, refused, quarantined, failed, sockets_open: sockets } = one;
  // what is being written at this moment is in none of the books yet
  const open = received - journalled - duplicates - refused - quarantined - failed;
  const books = one.balanced ? "Balanced" : `${count(open)} under way`;
  fill(row, [nameOf(one), received, journalled, duplicates, refused, quarantined, failed, sockets, books]);
  row.dataset.state = failed > 0 ? "late" : "ok";
}
