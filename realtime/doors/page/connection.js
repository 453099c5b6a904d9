// The connection to the server: {name, send(message), setTrack(track or null), close()}.
//
// It is one session over one wire after the other. WebRTC is tried first; where it does not connect at once, the same
// messages go over a WebSocket. A wire that is lost is replaced by the next one, and the session goes on where it was:
// the server has kept what the page has not seen. What is said meanwhile is kept, too (`kept_sound.js`). A server that
// does not know the session any more begins a new one, whose `session.created` says `resumed: false`. The server counts
// what it receives, so messages that went into a wire that was dead already are sent again, and none is sent twice.
// Where all places are taken, the wire waits for one (`session.queued`); nobody listens until then.
//
//   onEvent(event)   every event, once, in the order in which it happened
//   onReconnecting() the wire is lost, and another one is looked for
//   onResumed(name)  there is one, over the wire of this name
//   onLost(why)      the session has ended, or no wire was found for a minute: a key of `words.*.json`, or ""
//   onTrack(track)   sound from the server, where the wire carries it as a track
//
// With `speakers`, ["me", "them"], it is a call: each of them has a track.
import { KeptSound } from "./kept_sound.js";
import { reach } from "./reach.js";
import { openWebRtc, openWebSocket, WireError } from "./wires.js";

const FALLBACK_AFTER_MS = 2500; // of WebRTC; networks that let it through take less than a second
const RECONNECT_WITHIN_MS = 60_000; // the server keeps the session as long
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5000;
const MAX_SENT = 256; // messages of the seconds in which a dead wire seems to be there
const AWAKE_MS = 10_000; // to try again after the network, or the tab, has come back

const nothing = () => {};

// Opens a connection; what the track says until it is there is kept for it. `signal` gives it up while it opens.
export async function connect(onEvent, onLost, { onReconnecting, onResumed, onTrack, words, signal, track = null, speakers = null } = {}) {
  const connection = new Connection({
    onEvent,
    onLost,
    onReconnecting: onReconnecting ?? nothing,
    onResumed: onResumed ?? nothing,
    onTrack: onTrack ?? nothing,
  }, speakers);
  if (!speakers) connection.setTrack(track);
  signal?.addEventListener("abort", () => connection.abandon());
  try {
    await connection.open();
  } catch (error) {
    connection.close();
    throw error.key && words ? new Error(words(error.key), { cause: error }) : error;
  }
  return connection;
}

class Connection {
  #told;
  #wire = null;
  #sounds = new Map(); // by speaker
  #isCall;
  #token = "";
  #last = 0; // number of the newest event that has come
  #sent = []; // the newest messages
  #nSent = 0; // in this session
  #lost = 0; // of these, as the session says to which we come back
  #hasEnded = false; // the server has said why
  #isShaky = false;
  #isOver = false;
  #isQueued = false; // the server has no place for us yet
  #opening = new AbortController(); // of the wire that is being opened
  #wake = nothing; // ends a pause
  #awakeUntil = 0;
  #listening = new AbortController();

  constructor(told, speakers) {
    this.#told = told;
    this.#isCall = speakers !== null;
    for (const name of speakers ?? [undefined]) this.#sounds.set(name, new KeptSound(name));
    const { signal } = this.#listening;
    addEventListener("online", () => this.#lookUp(), { signal });
    document.addEventListener("visibilitychange", () => document.hidden || this.#lookUp(), { signal });
  }

  get name() {
    return this.#wire?.name ?? "";
  }

  // Sends a message; gives whether there was a wire to take it.
  send(message) {
    if (!this.#wire?.send(message)) return false;
    this.#sent.push(message);
    this.#nSent += 1;
    if (this.#sent.length > MAX_SENT) this.#sent.shift();
    return true;
  }

  // Listens to a track: of the speaker of this name, in a call.
  setTrack(track, speaker = undefined) {
    return this.#sounds.get(speaker).setTrack(track);
  }

  #setSoundsWire(wire) {
    return Promise.all([...this.#sounds.values()].map((sound) => sound.setWire(wire)));
  }

  #forgetSounds() {
    this.#sounds.forEach((sound) => sound.forget());
  }

  // Leaves for good. A page that is being closed can say so only by a beacon.
  close() {
    if (this.#isOver) return;
    this.#stop();
    this.#sayGoodbye();
  }

  // Leaves, unless it is open: from then on it is closed.
  abandon() {
    if (!this.#wire) this.close();
  }

  #sayGoodbye() {
    if (this.#token && !this.#hasEnded) navigator.sendBeacon("session/close", this.#token);
  }

  // Opens the first wire that can be had.
  async open() {
    const attempt = { isCurrent: true };
    this.#opening = new AbortController();
    const resume = { token: this.#token, after: this.#last };
    const handlers = {
      onEvent: (event) => attempt.isCurrent && this.#take(event),
      onTrack: (track) => attempt.isCurrent && this.#told.onTrack(track),
      onDown: () => attempt.isCurrent && ((attempt.isCurrent = false), this.#lose()),
      onShaky: (isShaky) => attempt.isCurrent && this.#doubt(isShaky),
    };
    try {
      const wire = await openFirst(resume, handlers, this.#opening.signal, this.#isCall);
      if (this.#isOver) return wire.close(), this.#sayGoodbye(); // it was closed meanwhile
      this.#wire = wire;
      this.#isShaky = false;
      if (this.#lost > 0) this.#sent.slice(-this.#lost).forEach((message) => wire.send(message));
      await this.#setSoundsWire(wire);
    } catch (error) {
      attempt.isCurrent = false;
      throw error;
    }
  }

  #take(event) {
    if (event.type === "session.queued" || this.#isQueued) this.#forgetSounds();
    this.#isQueued = event.type === "session.queued";
    if (event.type === "session.created") {
      this.#token = event.resume_token;
      this.#last = 0;
      this.#lost = event.resumed ? this.#nSent - event.received : 0;
      if (!event.resumed) [this.#sent, this.#nSent] = [[], 0];
    }
    if (event.type === "session.ended") this.#hasEnded = true;
    this.#last = Math.max(this.#last, event.sequence ?? 0);
    this.#told.onEvent(event);
  }

  #doubt(isShaky) {
    if (isShaky === this.#isShaky) return;
    this.#isShaky = isShaky;
    if (!isShaky) this.#forgetSounds();
    this.#setSoundsWire(isShaky ? null : this.#wire);
  }

  #lose() {
    if (this.#isOver) return;
    this.#wire?.close();
    this.#wire = null;
    if (this.#hasEnded) return this.#end("");
    this.#setSoundsWire(null);
    this.#told.onReconnecting();
    this.#reconnect();
  }

  async #reconnect() {
    this.#awakeUntil = Date.now() + RECONNECT_WITHIN_MS;
    for (let pause_ms = FIRST_PAUSE_MS; !this.#isOver; pause_ms = Math.min(2 * pause_ms, LONGEST_PAUSE_MS)) {
      try {
        await this.open();
        return this.#isOver || this.#told.onResumed(this.name);
      } catch (error) {
        console.info("reconnecting:", error.message);
        if (this.#hasEnded) return this.#end("");
      }
      if (Date.now() > this.#awakeUntil) return this.#end("connection.lost");
      await this.#pause(pause_ms * (0.5 + Math.random() / 2)); // not all at once after a restart
    }
  }

  #pause(duration_ms) {
    return new Promise((resolve) => {
      this.#wake = resolve;
      setTimeout(resolve, duration_ms);
    });
  }

  // The network, or the tab, may have come back: the wire is tried, or the next one at once.
  #lookUp() {
    this.#awakeUntil = Math.max(this.#awakeUntil, Date.now() + AWAKE_MS);
    this.#wake();
    this.#wire?.check();
  }

  #stop() {
    this.#isOver = true;
    this.#wake();
    this.#opening.abort();
    this.#listening.abort();
    this.#sounds.forEach((sound) => sound.close());
    this.#wire?.close();
    this.#wire = null;
  }

  #end(why) {
    if (this.#isOver) return;
    this.#stop();
    this.#told.onLost(why);
  }
}

// One wire at a time, because a session goes on over the one that came last.
// A call has two tracks, which a WebSocket carries.
async function openFirst(resume, handlers, signal, isCall) {
  if (isCall) return await openWebSocket(resume, handlers, signal, "call");
  try {
    const inTime = AbortSignal.timeout(FALLBACK_AFTER_MS);
    const { iceServers } = await (await reach("webrtc/ice-servers", { signal: inTime })).json();
    if (signal.aborted) throw new WireError("connection.closed");
    return await openWebRtcInTime(iceServers, resume, handlers, signal);
  } catch (error) {
    if (error.key === "login.needed" || error.isFinal || signal.aborted) throw error;
    console.info("WebRTC:", error.message, "- trying a WebSocket");
    return await openWebSocket(resume, handlers, signal);
  }
}

// Who waits in the queue has a wire, so it may take as long as it takes.
async function openWebRtcInTime(iceServers, resume, handlers, signal) {
  let timer = 0;
  const onEvent = (event) => (clearTimeout(timer), handlers.onEvent(event));
  const { opened, abandon } = openWebRtc(iceServers, resume, { ...handlers, onEvent });
  signal.addEventListener("abort", abandon);
  const tooLong = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new WireError("connection.closed", "WebRTC did not connect in time")), FALLBACK_AFTER_MS);
  });
  try {
    return await Promise.race([opened, tooLong]);
  } catch (error) {
    abandon();
    throw error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abandon);
  }
}
