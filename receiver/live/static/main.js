// Puts the parts together: who may look, what is looked at, and what is asked for how often.

import { addressOf, get, login, logout, Refusal } from "./api.js";
import { announce, byId, setText, tell } from "./dom.js";
import { Events, wish } from "./events.js";
import { MeetingView } from "./meeting.js";
import { address, MeetingList } from "./meetings.js";
import { showStatus } from "./status.js";

const LIST_MS = 3_000;
const STATUS_MS = 2_000;
const SOON_MS = 500;
const VIEWS = ["loading", "login", "overview", "meeting"];
const STATES = { connecting: "Connecting…", live: "Live", reconnecting: "Reconnecting…", refused: "Not live" };
const NO_EVENTS = "This token may not read events (scope events): what is shown is asked for now and then, and not live.";

const list = new MeetingList();
let scopes = null;
let running = false;
let listing = null;

const events = new Events({
  onEvent(event) {
    if (!event.type.startsWith("transcript.")) listSoon();
    view.take(event);
  },
  onGap(gap) {
    const text = `Up to ${gap.missed} events are missing here (${gap.reason}).`;
    view.gap(text);
    announce(text);
  },
  onState: showConnection,
  onBack() {
    listSoon();
    view.back();
  },
  onRefused(status) {
    if (status === 401) askToken();
    else showConnection("refused");
  },
});
const view = new MeetingView(events, wish, () => scopes === null || scopes.includes("audio"));

function showConnection(state) {
  const pill = byId("connection");
  pill.dataset.state = state;
  setText(pill, STATES[state]);
}

function show(name) {
  document.body.dataset.view = name;
  for (const one of VIEWS) byId(one).hidden = one !== name;
  byId("meetings").hidden = name === "loading" || name === "login";
}

// ---- who looks

function askToken(problem = "") {
  running = false;
  events.close();
  view.close();
  events.wish = null;
  showConnection("refused");
  byId("logout").hidden = true;
  tell(byId("banner"), "");
  tell(byId("login-error"), problem);
  show("login");
  byId("token").focus();
}

byId("login-form").addEventListener("submit", async (submitted) => {
  submitted.preventDefault();
  const field = byId("token");
  try {
    await login(field.value.trim());
    field.value = "";
    tell(byId("login-error"), "");
    await begin();
  } catch (error) {
    tell(byId("login-error"), error instanceof Refusal ? error.message : "The server does not answer.");
    field.focus();
  }
});

byId("logout").addEventListener("click", async () => {
  try {
    await logout();
    askToken();
  } catch (error) {
    tell(byId("banner"), `Logging out did not work: ${error.message}`);
  }
});

// ---- what is asked for

async function listNow() {
  const meetings = await get("meetings?recent=50");
  list.show(meetings);
  tell(byId("banner"), scopes === null ? NO_EVENTS : "");
  const none = meetings.active.length + meetings.recent.length === 0 && !meetings.rebuilding;
  byId("welcome").hidden = !none;
}

function listSoon() {
  listing ??= setTimeout(() => {
    listing = null;
    tolerant(listNow);
  }, SOON_MS);
}

async function statusNow() {
  try {
    const status = await get("live/status");
    scopes = status.scopes;
    byId("logout").hidden = status.by !== "session";
    showStatus(status);
    showWelcome(status.endpoints);
  } catch (error) {
    if (error.status !== 403) throw error;
    scopes = null;
    byId("logout").hidden = false; // whoever is told no has logged in
  }
}

/** What a newcomer can do: the next command, with this server's own address in it. */
function showWelcome(endpoints) {
  const path = endpoints.length ? `${endpoints[0].vendor}/${endpoints[0].name}` : "meetstream/default";
  const url = addressOf(path);
  setText(byId("simulate"), `receiver simulate meetstream --url ${url}`);
  const body = '{"event":"bot.inmeeting","bot_id":"bot-1","bot_status":"InMeeting","status_code":200}';
  setText(byId("deliver"), `curl ${url} -d '${body}'`);
}

/** What is asked for again in any case: a failure shows, and is no end. */
async function tolerant(ask) {
  if (!running) return;
  try {
    await ask();
  } catch (error) {
    if (!running) return;
    if (error.status === 401) askToken();
    else if (error.status === 403) tell(byId("banner"), error.message);
    else if (error.status && error.status !== 503) tell(byId("banner"), `The server says: ${error.message}`);
  }
}

function every(ms, ask, needed) {
  setInterval(() => !document.hidden && needed() && tolerant(ask), ms);
}

// ---- what is looked at

function route() {
  if (!running) return;
  const [place, query] = location.hash.split("?");
  const { subject, source } = Object.fromEntries(new URLSearchParams(query));
  if (place === "#/meeting" && subject && source) {
    const meeting = { subject, source };
    list.select(address(meeting));
    show("meeting");
    view.open(meeting);
    document.title = `${subject} · Meeting Receiver`;
  } else {
    list.select("");
    view.close();
    show("overview");
    if (scopes === null) showConnection("refused");
    else events.open(wish(null));
    document.title = "Meeting Receiver";
  }
  window.scrollTo(0, 0);
}

/** Look for the first time, or again after a login. Throws what `get` throws. */
async function begin() {
  await statusNow();
  running = true;
  await tolerant(listNow);
  if (running) route();
}

async function start() {
  try {
    await begin();
  } catch (error) {
    if (error.status === 401) {
      askToken();
      return;
    }
    showConnection("reconnecting");
    setTimeout(start, LIST_MS);
  }
}

window.addEventListener("hashchange", route);
every(LIST_MS, listNow, () => true);
every(STATUS_MS, statusNow, () => document.body.dataset.view === "overview");
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("main").focus();
});
document.addEventListener("click", async ({ target }) => {
  const { copy } = target.dataset ?? {};
  if (!copy) return;
  try {
    await navigator.clipboard.writeText(byId(copy).textContent);
    setText(target, "Copied");
  } catch {
    getSelection().selectAllChildren(byId(copy)); // without TLS a page may not write there: select it
  }
});
start();
