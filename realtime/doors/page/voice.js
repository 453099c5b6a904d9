// Answers aloud: read by the browser sentence by sentence, or as the server's sound. Speech over them stops them at once.
import { preferences } from "./preferences.js";

const SERVER_RATE_HZ = 24_000; // of `response.output_audio.delta`: 16-bit mono in base64
const PAUSING = ["interrupted", "judging"]; // somebody makes a sound, and it may be no turn
const TAKING = ["user_speaking", "key_held"]; // the user has the floor

export class Voice {
  #browser = new BrowserVoice(() => this.onChange());
  #server = new ServerVoice(() => this.onChange());

  // onChange(): called when it begins and when it ends.
  constructor(onChange) {
    this.onChange = onChange;
  }

  get isSpeaking() {
    return this.#browser.isSpeaking || this.#server.isSpeaking;
  }

  // Reads a committed sentence aloud, where that was chosen.
  say(sentence) {
    if (preferences.voice === "browser") this.#browser.say(sentence);
  }

  take(event) {
    if (event.type === "floor.changed" && PAUSING.includes(event.state)) this.#browser.pause();
    if (event.type === "floor.changed" && TAKING.includes(event.state)) this.#browser.stop();
    if (event.type === "response.created") this.#browser.stop();
    if (event.type === "response.resumed") this.#browser.resume();
    if (event.type === "response.done" && event.status === "cancelled") this.stop();
    this.#server.take(event);
  }

  // Takes the server's audio track, where the connection has one.
  play(track) {
    this.#server.play(track);
  }

  stop() {
    this.#browser.stop();
    this.#server.stop();
  }
}

class BrowserVoice {
  #unfinished = []; // sentences that were not spoken to their end
  #round = 0; // of speaking; what ends of an earlier one does not count

  constructor(onChange) {
    this.onChange = onChange;
  }

  get isSpeaking() {
    return this.#unfinished.length > 0;
  }

  say(sentence) {
    this.#unfinished.push(sentence);
    this.#speak(sentence);
    this.onChange();
  }

  #speak(sentence) {
    const utterance = new SpeechSynthesisUtterance(sentence);
    const round = this.#round;
    utterance.voice = speechSynthesis.getVoices().find(({ name }) => name === preferences.browser_voice) || null;
    utterance.onend = utterance.onerror = () => {
      if (round !== this.#round) return;
      this.#unfinished.shift();
      this.onChange();
    };
    speechSynthesis.speak(utterance);
  }

  // Falls silent; `resume` begins again with the sentence that was cut.
  pause() {
    if (!this.isSpeaking) return;
    this.#round += 1;
    speechSynthesis.cancel();
  }

  resume() {
    this.pause();
    for (const sentence of this.#unfinished) this.#speak(sentence);
  }

  stop() {
    this.pause();
    this.#unfinished = [];
    this.onChange();
  }
}

class ServerVoice {
  #context = null;
  #sources = new Set(); // pieces that play or will
  #next_s = 0; // when the next piece begins
  #element = null; // that plays a track
  #isPlaying = false; // as the server says

  constructor(onChange) {
    this.onChange = onChange;
  }

  get isSpeaking() {
    return this.#isPlaying || this.#sources.size > 0;
  }

  take(event) {
    if (event.type === "response.output_audio.delta") this.#enqueue(event.delta);
    if (event.type === "output_audio_buffer.started") this.#isPlaying = true;
    if (event.type === "output_audio_buffer.stopped") this.#isPlaying = false;
    if (event.type === "output_audio_buffer.cleared") this.stop();
  }

  play(track) {
    this.#element ??= new Audio();
    this.#element.srcObject = new MediaStream([track]);
    this.#element.play().catch((error) => console.info("The answers cannot be played:", error.message));
  }

  #enqueue(base64) {
    this.#context ??= new AudioContext({ sampleRate: SERVER_RATE_HZ });
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const samples = Float32Array.from(new Int16Array(bytes.buffer), (sample) => sample / 32768);
    const buffer = this.#context.createBuffer(1, samples.length, SERVER_RATE_HZ);
    buffer.copyToChannel(samples, 0);
    const source = new AudioBufferSourceNode(this.#context, { buffer });
    source.connect(this.#context.destination);
    source.onended = () => (this.#sources.delete(source), this.onChange());
    this.#sources.add(source);
    this.#next_s = Math.max(this.#next_s, this.#context.currentTime);
    source.start(this.#next_s);
    this.#next_s += buffer.duration;
  }

  stop() {
    for (const source of this.#sources) source.stop();
    this.#sources.clear();
    this.#next_s = 0;
    this.#isPlaying = false;
  }
}
