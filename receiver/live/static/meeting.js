// One meeting: its transcript as it is spoken, who is there, its sound, and how its streams do.

import { get, meetingPath, pause } from "./api.js";
import { Ear, Meter, Player } from "./audio.js";
import { byId, make, moment, setText, several, tell } from "./dom.js";
import { Rates, showArtifacts, showHealth } from "./health.js";
import { stateOf } from "./meetings.js";
import { People } from "./people.js";
import { Transcript } from "./transcript.js";

const DETAILS_MS = 400;
const LOOK_MS = 5_000;
const SETTLE_MS = 3_000;
const RETRY_MS = 1_000;
/** A turn of which nothing comes for longer is cut by the server. */
const IDLE_MS = 65_000;
const FORMS = ["txt", "vtt", "srt", "json"];
const UNKNOWN = "This meeting is not known here, or not known any more.";
const NO_SOUND = "No live audio";
const PLAYER_TEXTS = { stopped: "Live", waiting: "Waiting for sound…", playing: "Playing" };

export class MeetingView {
  /** `events`: where they come from; `wish(subject)`: what to ask there; `mayHear()`: whether this reader may. */
  constructor(events, wish, mayHear) {
    Object.assign(this, { events, wish, mayHear });
    this.transcript = new Transcript();
    this.people = new People();
    this.rates = new Rates();
    this.meter = new Meter(byId("mix-level"));
    this.player = new Player((state) => this.played(state));
    this.meeting = null;
    this.ear = null;
    byId("play").addEventListener("click", () => this.toggle());
    byId("volume").addEventListener("input", (event) => this.player.setVolume(event.target.value / 100));
    setInterval(() => this.look(), LOOK_MS);
  }

  /** Show a meeting, `{subject, source}`, and follow it. */
  async open(meeting) {
    this.close();
    this.meeting = meeting;
    setText(byId("title"), meeting.subject);
    this.showDownloads();
    const begun = this.events.open(this.wish(meeting.subject));
    await begun;
    if (this.meeting !== meeting) return;
    await this.load(meeting);
  }

  close() {
    clearTimeout(this.detailing);
    clearTimeout(this.settling);
    this.meeting = this.details = this.detailing = null;
    this.waiting = [];
    this.player.stop();
    this.hear(null);
    this.people.clear();
    this.transcript.clear();
    this.rates.clear();
    for (const id of ["title", "facts", "phase"]) setText(byId(id), "");
    tell(byId("meeting-problem"), "");
  }

  /** Take an event as it comes; those that come before the transcript is there wait for it. */
  take(event) {
    if (this.meeting === null || event.subject !== this.meeting.subject || event.source !== this.meeting.source) return;
    if (!event.type.startsWith("transcript.")) {
      this.refresh();
      if (event.type === "stream.closed" || event.type === "bot.status") this.settleSoon();
    } else if (this.waiting !== null) this.waiting.push(event);
    else this.said(event);
  }

  /** Some events cannot be had any more. */
  gap(text) {
    if (this.meeting === null) return;
    this.transcript.note(text);
    this.settleSoon();
  }

  /** The connection is back: the server may have seen more than it could send. */
  back() {
    if (this.meeting === null) return;
    this.refresh();
    this.settleSoon();
  }

  // ---- what the server knows

  async load(meeting) {
    while (this.meeting === meeting) {
      let retryMs = RETRY_MS;
      try {
        if (!(await get("meetings?recent=0")).rebuilding) {
          const [details, transcript] = await Promise.all([
            get(meetingPath(meeting)), get(meetingPath(meeting, "/transcript.json")),
          ]);
          if (this.meeting !== meeting) return;
          tell(byId("meeting-problem"), "");
          for (const { speaker } of transcript.turns) this.people.heard(speaker?.name ?? speaker?.id);
          this.show(details);
          if (this.transcript.settle(transcript.turns) || this.waiting?.length) this.settleSoon();
          this.release();
          return;
        }
      } catch (error) {
        if (this.meeting !== meeting) return;
        if (error.status === 404) tell(byId("meeting-problem"), UNKNOWN);
        else if (error.status && error.status !== 503) tell(byId("meeting-problem"), error.message);
        if (error.status === 401 || error.status === 403) {
          this.release(); // what comes is shown all the same
          return;
        }
        if (error.status === 404) retryMs = LOOK_MS;
      }
      await pause(retryMs);
    }
  }

  release() {
    const events = this.waiting ?? [];
    const first = this.waiting !== null;
    this.waiting = null;
    for (const event of events) this.said(event);
    if (first) this.settleSoon();
  }

  said(event) {
    this.rates.update();
    this.people.heard(this.transcript.take(event));
  }

  /** Ask for all but the transcript, soon, and once for many reasons. */
  refresh() {
    this.detailing ??= setTimeout(async () => {
      this.detailing = null;
      const { meeting } = this;
      if (meeting === null) return;
      try {
        const details = await get(meetingPath(meeting));
        if (this.meeting === meeting) this.show(details);
      } catch {
        // the next look will tell
      }
    }, DETAILS_MS);
  }

  settleSoon() {
    clearTimeout(this.settling);
    const { meeting } = this;
    this.settling = setTimeout(() => meeting === this.meeting && meeting !== null && this.load(meeting), SETTLE_MS);
  }

  look() {
    if (this.meeting === null || this.details === null || document.hidden) return;
    if (this.details.phase !== "ended") this.refresh();
    if (this.transcript.stale(IDLE_MS) || this.events.wish === null) this.settleSoon();
  }

  // ---- what is shown

  show(details) {
    this.details = details;
    setText(byId("title"), details.title || details.subject);
    const phase = byId("phase");
    setText(phase, stateOf(details));
    phase.dataset.state = details.phase === "active" ? "live" : "ended";
    const facts = [
      details.source, several(details.events, "event", "events"), `since ${moment(details.started ?? details.first_seen)}`,
    ];
    if (details.title) facts.unshift(details.subject);
    setText(byId("facts"), facts.join(" · "));
    this.people.show(details.roster, details.phase === "active");
    const open = details.streams.some((stream) => stream.channel === "audio" && stream.open);
    const may = this.mayHear();
    this.hear(open && may ? details.subject : null);
    if (open && !may) setText(byId("audio-state"), "This token may not hear audio (scope audio)");
    showHealth(details, this.rates, this.ear !== null);
    showArtifacts(details.artifacts);
    if (details.error?.message) tell(byId("meeting-problem"), `The bot told of an error and went on: ${details.error.message}`);
  }

  showDownloads() {
    const links = FORMS.map((form) => {
      const name = `${this.meeting.subject}.${form}`;
      return make("a", { href: meetingPath(this.meeting, `/transcript.${form}`), download: name }, form.toUpperCase());
    });
    byId("downloads").replaceChildren(...links);
  }

  // ---- sound

  /** Follow the live sound of a subject; `null`: there is none. */
  hear(subject) {
    if (subject === (this.ear?.subject ?? null)) return;
    this.ear?.close();
    this.ear = null;
    this.meter.show(0);
    this.people.listen(subject);
    byId("play").disabled = subject === null;
    if (subject === null) {
      this.player.stop();
      setText(byId("audio-state"), NO_SOUND);
      return;
    }
    setText(byId("audio-state"), PLAYER_TEXTS.stopped);
    this.ear = new Ear(subject, {
      onSound: (samples) => {
        this.meter.heard(samples);
        this.rates.sound(samples.length / 8000);
      },
      onGap: (ms) => this.rates.gap(ms),
      onState: (state) => (state === "ended" ? this.hear(null) : this.meter.show(0)),
    });
    this.ear.subject = subject;
  }

  toggle() {
    if (this.player.playing) this.player.stop();
    else this.player.start(this.meeting.subject);
  }

  played(state) {
    const playing = state !== "stopped";
    setText(byId("play"), playing ? "Stop" : "Listen");
    setText(byId("audio-state"), PLAYER_TEXTS[state]);
  }
}
