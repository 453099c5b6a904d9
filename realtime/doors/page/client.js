// The page's side of one visit: a connection, a microphone, and the settings that the server has.
//
// The connection is opened by the first word, spoken or typed, and carries both. Nothing is kept here that the server
// does not say: who has the floor comes with `floor.changed`, why a session ends with `session.ended`. Whoever makes a
// client is told of every event (`onEvent`), of every change of its state (`onChange`), of its end (`onLost`) and of the
// microphone's (`onUnplugged`), and is given back the texts that did not arrive (`onUnsent`).
import { connect } from "./connection.js";
import { openMicrophone, watchLevel } from "./microphone.js";
import { preferences } from "./preferences.js";
import { Unconfirmed } from "./unconfirmed.js";
import { words } from "./words.js";

// Of several calls while one is under way, all wait for that one.
export function once(action) {
  let running = null;
  return () => (running ??= action().finally(() => (running = null)));
}

export class Client {
  phase = "off"; // or "connecting", "open", "reconnecting"
  place = 0; // in the queue of the server, while all its places are taken; 0: not in it
  floor = "listening"; // as the server calls it
  created = null; // what `session.created` said
  voicesOffered = []; // by the server whose page this is
  defaults = null; // what the server had set by itself
  microphone = null;
  settings = { muted: false, protect_answer: false, turn_detection: !preferences.push_to_talk }; // as the server has them, or will
  #connection = null;
  #visit = {}; // until the page is left: {opening}, a promise, and {leaving}, which gives it up
  #endReason = ""; // what the server said when it ended the session
  #isHeld = false; // the push-to-talk button or key is down
  #openMicrophone;
  #unconfirmed = new Unconfirmed();

  constructor({ onEvent, onChange, onLost, onUnplugged, onUnsent, onLevel, onTrack }) {
    Object.assign(this, { onEvent, onChange, onLost, onUnplugged, onUnsent, onLevel, onTrack });
    this.#openMicrophone = once(async () => this.#listenTo(this.#visit, await openMicrophone(preferences)));
  }

  get isOpen() {
    return this.phase === "open";
  }

  // The wire's name: "WebRTC", "WebSocket", or "" where there is none.
  get transport() {
    return this.#connection?.name ?? "";
  }

  get isListening() {
    return this.microphone !== null && !this.settings.muted;
  }

  // Whether the server knows what came with resuming: rewriting, importing, files, settings of the answers.
  get isModern() {
    return this.created?.resume_token !== undefined;
  }

  // The voices that can read answers aloud, known before there is a connection, too.
  get voices() {
    return this.created?.voices ?? this.voicesOffered;
  }

  get token() {
    return this.created?.resume_token ?? "";
  }

  // ---- The connection ----

  ensureConnected() {
    return (this.#visit.opening ??= this.#open(this.#visit));
  }

  async #open(visit) {
    this.#enter("connecting");
    this.#endReason = "";
    visit.leaving = new AbortController();
    try {
      const connection = await connect((event) => this.#take(event), (why) => this.#lose(why), {
        onReconnecting: () => this.#enter("reconnecting"),
        onResumed: () => this.#resume(),
        onTrack: this.onTrack,
        words,
        signal: visit.leaving.signal,
        track: this.microphone?.getAudioTracks()[0],
      });
      if (this.#visit === visit) this.#connection = connection;
      else connection.close(); // the page was left meanwhile
    } catch (error) {
      visit.opening = null;
      if (this.#visit === visit) this.#enter("off");
      throw this.#visit === visit ? error : new Error(""); // who has left is told nothing
    }
    if (this.#visit !== visit) throw new Error("");
    this.#enter("open");
    this.configure();
  }

  // What was chosen, pressed or let go while there was no wire is still to be said.
  #resume() {
    this.#enter("open");
    this.configure();
    if (!this.settings.turn_detection) this.#sayWhetherHeld();
  }

  #enter(phase) {
    this.phase = phase;
    this.place = 0;
    this.onChange();
  }

  #take(event) {
    if (event.type === "session.queued") this.place = event.position;
    if (event.type === "session.created") [this.created, this.place] = [event, 0];
    if (event.type === "session.created" && !event.resumed) {
      this.floor = "listening";
      this.defaults = null;
    }
    if (event.type === "floor.changed") this.floor = event.state;
    if (event.type === "session.ended") this.#endReason = event.reason;
    if (event.type === "session.updated") this.#adopt(event);
    this.#unconfirmed.take(event);
    this.onEvent(event);
    if (event.type === "session.created" && !event.resumed) this.#giveBack();
    this.onChange();
  }

  #giveBack() {
    const texts = this.#unconfirmed.giveUp();
    if (texts.length) this.onUnsent(texts);
  }

  #adopt(event) {
    this.defaults ??= event; // the first one comes before any choice has been made
    for (const name of Object.keys(this.settings)) this.settings[name] = event[name];
    this.#mute();
  }

  #lose(why) {
    if (!this.#connection) return;
    const reason = this.#endReason;
    this.leave();
    this.#giveBack();
    this.onLost(reason, why);
  }

  // Leaves for good: the place on the server is free at once.
  leave() {
    const connection = this.#connection;
    this.#connection = null;
    this.#visit.leaving?.abort();
    this.#visit = {};
    this.floor = "listening";
    this.phase = "off";
    this.place = 0;
    connection?.close();
    this.stopMicrophone();
  }

  // Sends a command; gives whether there was a connection to take it.
  send(message) {
    if (!this.#connection) return false;
    return this.#connection.send(message);
  }

  // Sends what a person asked for, or throws an error that says why it was not.
  demand(message) {
    if (!this.send(message)) throw new Error("connection.away");
  }

  // ---- Settings ----

  // Tells the server what was chosen here, each choice by itself: one that it refuses takes no other with it. What the
  // server does not know of is not sent.
  configure() {
    const { muted, protect_answer, turn_detection } = this.settings;
    this.#update({ muted, protect_answer, turn_detection: turn_detection ? {} : null });
    if (!this.isModern) return;
    for (const [name, value] of Object.entries(this.#choices())) this.#update({ [name]: value });
  }

  #update(session) {
    this.send({ type: "session.update", session });
  }

  #choices() {
    const { instructions, captions } = preferences;
    const choices = { instructions, captions };
    for (const name of ["patience", "temperature", "max_output_tokens"]) {
      const value = preferences[name] ?? this.defaults?.[name];
      if (value !== undefined) choices[name] = value;
    }
    if (this.created.models?.includes(preferences.model)) choices.model = preferences.model;
    const voices = this.voices;
    if (voices.length) choices.spoken = preferences.voice === "server";
    if (choices.spoken && voices.some(({ name }) => name === preferences.server_voice)) choices.voice = preferences.server_voice;
    return choices;
  }

  change(changes) {
    Object.assign(this.settings, changes);
    this.#mute();
    this.onChange();
    this.configure();
  }

  #mute() {
    for (const track of this.microphone?.getAudioTracks() || []) track.enabled = !this.settings.muted;
  }

  // ---- The microphone ----

  // Starts to listen, or listens to the microphone that is preferred now. It may be stopped while it connects.
  async startMicrophone() {
    await this.#openMicrophone();
    try {
      await this.ensureConnected();
    } catch (error) {
      this.stopMicrophone();
      throw error;
    }
    await this.#sendTrack();
    this.onChange();
  }

  #listenTo(visit, stream) {
    if (this.#visit !== visit) {
      stream.getTracks().forEach((track) => track.stop());
      throw new Error("connection.lost"); // the page was left while the browser asked
    }
    this.#releaseMicrophone();
    this.microphone = stream;
    this.#mute();
    stream.getAudioTracks()[0].onended = () => (this.stopMicrophone(), this.onUnplugged());
    watchLevel(stream, this.onLevel, () => this.microphone === stream);
    this.onChange();
  }

  #releaseMicrophone() {
    this.microphone?.getTracks().forEach((track) => track.stop());
    this.microphone = null;
  }

  #sendTrack() {
    return this.#connection?.setTrack(this.microphone?.getAudioTracks()[0] ?? null);
  }

  stopMicrophone() {
    this.#releaseMicrophone();
    this.#sendTrack();
    this.onLevel(0);
    this.onChange();
  }

  // ---- Push to talk ----

  get isHeld() {
    return this.#isHeld;
  }

  // Begins to talk; a key or button that is let go before the microphone is ready says nothing.
  async press() {
    if (this.#isHeld) return;
    this.#isHeld = true;
    this.onChange();
    await (this.microphone ? this.ensureConnected() : this.startMicrophone());
    if (this.#isHeld) this.#sayWhetherHeld();
  }

  release() {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#sayWhetherHeld();
    this.onChange();
  }

  #sayWhetherHeld() {
    this.send({ type: this.#isHeld ? "push_to_talk.press" : "push_to_talk.release" });
  }

  // ---- Messages ----

  // Sends a message of one or more texts, to be answered; throws an error where it cannot be sent.
  async ask(...texts) {
    await this.ensureConnected();
    const content = texts.map((text) => ({ type: "input_text", text }));
    const item = { type: "message", role: "user", content };
    if (!this.send({ type: "conversation.item.create", item })) throw new Error("text.not_sent");
    this.#unconfirmed.add(texts);
    this.send({ type: "response.create" });
  }

  // Takes a message, and all that followed it, back; then sends another one in its place.
  async rewrite(itemId, text) {
    this.demand({ type: "conversation.item.truncate_after", item_id: itemId });
    await this.ask(text);
  }
}
