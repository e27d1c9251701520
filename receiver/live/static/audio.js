// Live sound, over the WebSocket at /live/audio: how loud it is, and a player. Nothing sounds before somebody asks.

import { addressOf } from "./api.js";

const LEVEL_RATE_HZ = 8_000;
const PLAY_RATE_HZ = 16_000;
const FRAME_MS = 100;
/** So long the server may take to see a stream that it has told of, or one that comes back. */
const WAIT_S = 20;
const FIRST_RETRY_MS = 2_000;
const MOST_RETRY_MS = 30_000;
const NORMAL_CLOSURE = 1000;
/** What is played lies so far ahead at first, and at most: beyond that it was late, and is left out. */
const AHEAD_S = 0.25;
const MOST_AHEAD_S = 1.5;
const QUIETEST_DB = -60;

/** 0 to 100, of a frame's samples: its loudness between -60 dB and full scale. */
export function levelOf(samples) {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  if (sum === 0) return 0;
  const db = 10 * Math.log10(sum / samples.length / 0x8000 ** 2);
  return Math.round(Math.min(100, Math.max(0, (1 - db / QUIETEST_DB) * 100)));
}

/** One connection to live sound that comes back by itself until the stream has ended, or `close`. */
export class Ear {
  /** `speaker`: a name or an id; empty: everybody. `onSound(Int16Array)`; `onGap(ms)`; `onState("open" | "lost" | "ended")`. */
  constructor(subject, { speaker = "", rateHz = LEVEL_RATE_HZ, onSound, onGap = () => {}, onState = () => {} }) {
    const query = new URLSearchParams({ rate: rateHz, frame_ms: FRAME_MS, wait: WAIT_S });
    if (speaker) query.set("speaker", speaker);
    this.url = addressOf(`live/audio/${encodeURIComponent(subject)}.pcm?${query}`, "ws");
    this.handlers = { onSound, onGap, onState };
    this.retryMs = FIRST_RETRY_MS;
    this.connect();
  }

  connect() {
    const socket = new WebSocket(this.url);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.onopen = () => {
      this.retryMs = FIRST_RETRY_MS;
      this.handlers.onState("open");
    };
    socket.onmessage = ({ data }) => {
      if (socket !== this.socket) return;
      if (typeof data !== "string") this.handlers.onSound(new Int16Array(data));
      else this.told(JSON.parse(data));
    };
    socket.onclose = ({ code }) => this.closed(socket, code);
  }

  told(message) {
    if (message.type === "gap" && message.ms > 0) this.handlers.onGap(message.ms);
  }

  closed(socket, code) {
    if (socket !== this.socket) return;
    if (code === NORMAL_CLOSURE) {
      this.handlers.onState("ended");
      return;
    }
    this.handlers.onState("lost");
    this.timer = setTimeout(() => this.connect(), this.retryMs);
    this.retryMs = Math.min(this.retryMs * 2, MOST_RETRY_MS);
  }

  close() {
    clearTimeout(this.timer);
    const socket = this.socket;
    this.socket = null;
    // browsers call it an error where one is closed that is not open yet
    if (socket.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close();
    else socket.close();
  }
}

/** A bar that shows a level. Falls slowly enough to be seen. */
export class Meter {
  constructor(element) {
    this.element = element;
    this.bar = element.firstElementChild;
    this.level = 0;
    this.show(0);
  }

  heard(samples) {
    this.show(Math.max(levelOf(samples), this.level - 15));
  }

  show(level) {
    this.level = Math.max(0, level);
    this.bar.style.transform = `scaleX(${this.level / 100})`;
    this.element.setAttribute("aria-valuenow", String(this.level));
  }
}

/** Plays the sound of a meeting. `start` only out of a click: browsers allow it there alone. */
export class Player {
  constructor(onState) {
    this.onState = onState;
    this.volume = 0.8;
    this.ear = null;
  }

  get playing() {
    return this.ear !== null;
  }

  start(subject) {
    this.stop();
    // at the rate of the sound: so the browser resamples the whole of it, and not each frame with its own edges
    this.context = new AudioContext({ sampleRate: PLAY_RATE_HZ });
    this.gain = this.context.createGain();
    this.gain.gain.value = this.volume;
    this.gain.connect(this.context.destination);
    this.next = 0;
    this.ear = new Ear(subject, {
      rateHz: PLAY_RATE_HZ,
      onSound: (samples) => this.play(samples),
      onState: (state) => (state === "ended" ? this.stop() : this.onState(state === "open" ? "playing" : "waiting")),
    });
    this.onState("waiting");
  }

  stop() {
    if (this.ear === null) return;
    this.ear.close();
    this.ear = null;
    this.context.close();
    this.onState("stopped");
  }

  setVolume(share) {
    this.volume = share;
    if (this.ear !== null) this.gain.gain.value = share;
  }

  play(samples) {
    const { context } = this;
    const now = context.currentTime;
    if (this.next < now) this.next = now + AHEAD_S;
    if (this.next > now + MOST_AHEAD_S) return;
    const buffer = context.createBuffer(1, samples.length, PLAY_RATE_HZ);
    const channel = buffer.getChannelData(0);
    for (let index = 0; index < samples.length; index += 1) channel[index] = samples[index] / 0x8000;
    const source = context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.gain);
    source.start(this.next);
    this.next += buffer.duration;
  }
}
