// The two wires to the server: {name, send(message), check(), close()}, and setTrack(track or null) where one carries
// sound by itself. `send` gives whether the message was taken.
//
// A wire is open when its `session.created` has come. When all places are taken, `session.queued` comes before, and says
// at once that the wire works: it waits for as long as it takes. From `session.created` on `onDown` is called once when
// it is lost; `onShaky` says that it may be (true), or that it was not (false). Read `connection.js` for what then happens.
import { SAMPLE_RATE_HZ } from "./microphone.js";
import { reach } from "./reach.js";

const OPEN_WITHIN_MS = 10_000; // of a WebSocket; a browser waits for minutes where a network takes and gives nothing
const SHAKY_MS = 2000; // after WebRTC has heard nothing for some seconds; it often recovers by itself
const PING_EVERY_MS = 5000;
const PONG_WITHIN_MS = 2000; // where there is a reason to ask

const newId = () => Math.random().toString(36).slice(2);

// An error with a key of `words.*.json`, or with what the server said.
export class WireError extends Error {
  isFinal = false; // the server ends it, so another wire would not be let in either
  constructor(key, said = "") {
    super(said || key);
    this.key = said ? "" : key;
  }
}

function sentAway({ reason }) {
  return Object.assign(new WireError("connection.refused", reason), { isFinal: true });
}

// ---- WebRTC ----

// Gives {opened, abandon}: a promise of the wire, and a way to give it up.
export function openWebRtc(iceServers, resume, { onEvent, onTrack, onDown, onShaky }) {
  const peer = new RTCPeerConnection({ iceServers });
  const sender = peer.addTransceiver("audio").sender; // silent until there is a track: nothing is sent
  const channel = peer.createDataChannel("events");
  peer.ontrack = ({ track }) => onTrack(track);
  const wire = {
    name: "WebRTC",
    send: (message) => channel.readyState === "open" && (channel.send(JSON.stringify(message)), true),
    setTrack: (track) => peer.signalingState === "closed" || sender.replaceTrack(track),
    drained: () => drained(channel),
    check: () => peer.connectionState === "connected" || onDown(),
    close: () => peer.close(),
  };
  let refuse = () => {};
  const opened = new Promise((resolve, reject) => {
    refuse = reject;
    channel.onclose = () => reject(new WireError("connection.closed"));
    channel.onmessage = ({ data }) => {
      const event = JSON.parse(data);
      if (event.type === "session.created") resolve(wire);
      if (event.type === "session.ended") reject(sentAway(event));
      onEvent(event);
    };
    peer.onconnectionstatechange = () => peer.connectionState === "failed" && reject(new WireError("connection.closed"));
    negotiate(peer, resume).catch(reject);
  });
  opened.then(() => watch(peer, channel, onDown, onShaky), () => {});
  return { opened, abandon: () => (peer.close(), refuse(new WireError("connection.closed"))) };
}

async function negotiate(peer, resume) {
  const id = newId();
  const candidates = []; // of this side, until the server knows the offer that they belong to
  let sendCandidate = (candidate) => candidates.push(candidate);
  peer.onicecandidate = ({ candidate }) => candidate && sendCandidate(candidate);
  await peer.setLocalDescription(await peer.createOffer());
  const answer = await post({ sdp: peer.localDescription.sdp, type: "offer", webrtc_id: id, resume });
  if (!answer.sdp) throw new WireError("connection.refused", answer.meta?.message);
  sendCandidate = (candidate) => post({ candidate: candidate.toJSON(), webrtc_id: id, type: "ice-candidate" });
  candidates.forEach(sendCandidate);
  await peer.setRemoteDescription(answer);
}

async function post(body) {
  const response = await reach("webrtc/offer", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  return response.json();
}

// The connection is lost when it says so, or when nothing has come for long.
function watch(peer, channel, onDown, onShaky) {
  let waiting = 0;
  channel.onclose = onDown;
  peer.onconnectionstatechange = () => {
    clearTimeout(waiting);
    if (["failed", "closed"].includes(peer.connectionState)) return onDown();
    onShaky(peer.connectionState === "disconnected");
    if (peer.connectionState === "disconnected") waiting = setTimeout(onDown, SHAKY_MS);
  };
}

// Waits until all that was said over a channel is on its way; what comes over the track then comes after it.
async function drained(channel) {
  while (channel.readyState === "open" && channel.bufferedAmount > 0) {
    channel.bufferedAmountLowThreshold = 0;
    await new Promise((resolve) => {
      channel.onbufferedamountlow = resolve;
      setTimeout(resolve, 100); // the channel may have closed meanwhile
    });
  }
}

// ---- WebSocket ----

// `signal` gives it up while it opens; `kind` is that of the session: "conversation" or "call".
export async function openWebSocket(resume, { onEvent, onDown }, signal, kind = "conversation") {
  const address = new URL(`websocket/offer?rate=${SAMPLE_RATE_HZ}&kind=${kind}`, location.href);
  address.protocol = address.protocol.replace("http", "ws");
  const socket = new WebSocket(address);
  const send = (message) => socket.readyState === WebSocket.OPEN && (socket.send(JSON.stringify(message)), true);
  let isOpen = false;
  let life = null;
  let tooLong = 0;
  await new Promise((resolve, reject) => {
    const watch = () => (clearTimeout(tooLong), (life ??= watchSocket(send, () => socket.onclose())));
    signal.addEventListener("abort", () => reject(new WireError("connection.closed")));
    tooLong = setTimeout(() => reject(new WireError("connection.unreachable")), OPEN_WITHIN_MS);
    socket.onopen = () => send({ event: "start", websocket_id: newId(), resume });
    socket.onerror = () => reject(new WireError("connection.unreachable"));
    socket.onclose = () => reject(new WireError("connection.closed"));
    socket.onmessage = ({ data }) => {
      const event = JSON.parse(data);
      if (event.event === "pong") return life?.takePong();
      if (event.type === "error" && !isOpen) return reject(new WireError("connection.refused", event.message));
      if (event.type === "session.ended" && !isOpen) reject(sentAway(event));
      if (event.type === "session.queued" || event.type === "session.created") watch();
      if (event.type === "session.created") resolve((isOpen = true));
      onEvent(event);
    };
  }).catch((error) => {
    life?.stop();
    socket.close();
    throw error;
  }).finally(() => clearTimeout(tooLong));
  socket.onclose = () => (life.stop(), onDown());
  const close = () => (life.stop(), (socket.onclose = null), socket.close());
  return { name: "WebSocket", send, check: life.check, close };
}

// A network that has gone says nothing; so the server is asked now and then, and sooner where there is a reason.
function watchSocket(send, onDown) {
  let isAwaited = false;
  let deadline = 0;
  const ask = () => {
    if (isAwaited) return onDown();
    isAwaited = true;
    send({ event: "ping" });
  };
  const asking = setInterval(ask, PING_EVERY_MS);
  return {
    takePong: () => ((isAwaited = false), clearTimeout(deadline)),
    check() {
      isAwaited = true;
      send({ event: "ping" });
      clearTimeout(deadline);
      deadline = setTimeout(() => isAwaited && onDown(), PONG_WITHIN_MS);
    },
    stop: () => (clearInterval(asking), clearTimeout(deadline)),
  };
}
