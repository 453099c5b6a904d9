// What the microphone hears, and which way it goes to the server.
//
// The rule: nothing that is said while there is no wire, or a doubtful one, is lost, up to 20 s; of more the newest is
// kept. A wire that carries a track by itself (WebRTC) first gets what was kept, as messages, and then the track. One
// that does not (WebSocket) gets what was kept, and then everything, as messages. So words come in the order in which
// they were said. What WebRTC loses before the browser notices that nothing gets through, some 5 s, is lost.
import { recordMuLaw } from "./microphone.js";

const MAX_KEPT = Math.round(20 / 0.032); // messages of 512 samples

export class KeptSound {
  #name; // of the track, in a call; else none
  #track = null;
  #wire = null;
  #kept = [];
  #recorder = null;
  #recorded = null; // the track that is recorded
  #routing = Promise.resolve();

  constructor(name) {
    this.#name = name;
  }

  // Listens to another track, or to none.
  setTrack(track) {
    this.#track = track;
    return this.#route();
  }

  // Goes this way from now on; null: there is none, and what is said is kept.
  setWire(wire) {
    this.#wire = wire;
    return this.#route();
  }

  // The wire that seemed lost is there after all, and has carried what was kept.
  forget() {
    this.#kept = [];
  }

  close() {
    this.#track = this.#wire = null;
    return this.#route();
  }

  // One change after the other: each waits for the browser.
  #route() {
    this.#routing = this.#routing.catch(() => {}).then(() => this.#routeNow()); // who asked before knows what failed
    return this.#routing;
  }

  async #routeNow() {
    const [track, wire] = [this.#track, this.#wire];
    if (!track) {
      this.#stopRecording();
      this.#kept = [];
      return wire?.setTrack?.(null);
    }
    if (wire?.setTrack) {
      this.#flush(wire);
      await wire.drained();
      this.#flush(wire);
      this.#stopRecording();
      return wire.setTrack(track);
    }
    if (this.#recorded !== track) {
      this.#stopRecording();
      this.#recorder = await recordMuLaw(track, (payload) => this.#take(payload));
      this.#recorded = track;
    }
    if (wire) this.#flush(wire);
  }

  #stopRecording() {
    this.#recorder?.close();
    this.#recorder = this.#recorded = null;
  }

  #take(payload) {
    this.#kept.push({ event: "media", media: { payload, track: this.#name } });
    if (this.#wire && !this.#wire.setTrack) this.#flush(this.#wire);
    if (this.#kept.length > MAX_KEPT) this.#kept.shift();
  }

  #flush(wire) {
    while (this.#kept.length && wire.send(this.#kept[0])) this.#kept.shift();
  }
}
