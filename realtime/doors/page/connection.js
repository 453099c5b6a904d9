// The connection to the server, by WebRTC or by WebSocket: {name, send(object), setTrack(track or null), close()}.
//
// WebRTC is tried first; where its media cannot get through, the same messages go over a WebSocket. Whichever it is,
// `onEvent` gets every event of the session, and `onClose` is called once when the connection is lost.
import { recordMuLaw, SAMPLE_RATE_HZ } from "./microphone.js";

const WEBRTC_TIMEOUT_MS = 6000;
const DISCONNECTED_TIMEOUT_MS = 10_000; // WebRTC often recovers by itself

const newId = () => Math.random().toString(36).slice(2);

export async function connect(iceServers, onEvent, onClose) {
  try {
    return await connectWebRtc(iceServers, onEvent, onClose);
  } catch (error) {
    console.info("WebRTC:", error.message, "- trying a WebSocket");
    return await connectWebSocket(onEvent, onClose);
  }
}

async function connectWebRtc(iceServers, onEvent, onClose) {
  const peer = new RTCPeerConnection({ iceServers });
  const context = new AudioContext();
  const silence = context.createMediaStreamDestination().stream.getAudioTracks()[0];
  const sender = peer.addTrack(silence);
  const channel = peer.createDataChannel("events");
  const id = newId();
  const close = () => (peer.close(), context.state !== "closed" && context.close());
  const candidates = []; // of this side, until the server knows the offer that they belong to
  let sendCandidate = (candidate) => candidates.push(candidate);
  peer.onicecandidate = ({ candidate }) => candidate && sendCandidate(candidate);
  try {
    await peer.setLocalDescription(await peer.createOffer());
    const answer = await post({ sdp: peer.localDescription.sdp, type: "offer", webrtc_id: id });
    if (!answer.sdp) throw new Error(answer.meta?.message || "The server refused.");
    sendCandidate = (candidate) => post({ candidate: candidate.toJSON(), webrtc_id: id, type: "ice-candidate" });
    candidates.forEach(sendCandidate);
    await peer.setRemoteDescription(answer);
    await new Promise((resolve, reject) => {
      setTimeout(() => reject(new Error("WebRTC did not connect")), WEBRTC_TIMEOUT_MS);
      channel.onclose = () => reject(new Error("The server closed the connection. Its log says why."));
      channel.onmessage = ({ data }) => {
        const event = JSON.parse(data);
        if (event.type === "session.created") resolve();
        onEvent(event);
      };
    });
  } catch (error) {
    close();
    throw error;
  }
  watch(peer, channel, onClose);
  return {
    name: "WebRTC",
    send: (message) => channel.readyState === "open" && channel.send(JSON.stringify(message)),
    setTrack: (track) => sender.replaceTrack(track || silence),
    close,
  };
}

// The connection is over when it says so, or when it has been disconnected for long.
function watch(peer, channel, onClose) {
  let waiting = 0;
  channel.onclose = onClose;
  peer.onconnectionstatechange = () => {
    clearTimeout(waiting);
    if (["failed", "closed"].includes(peer.connectionState)) onClose();
    if (peer.connectionState === "disconnected") waiting = setTimeout(onClose, DISCONNECTED_TIMEOUT_MS);
  };
}

async function post(body) {
  const response = await fetch("webrtc/offer", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  return response.json();
}

async function connectWebSocket(onEvent, onClose) {
  const address = new URL("websocket/offer?rate=" + SAMPLE_RATE_HZ, location.href);
  address.protocol = address.protocol.replace("http", "ws");
  const socket = new WebSocket(address);
  const send = (message) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify(message));
  await new Promise((resolve, reject) => {
    socket.onopen = () => send({ event: "start", websocket_id: newId() });
    socket.onerror = () => reject(new Error("The server cannot be reached."));
    socket.onclose = () => reject(new Error("The server closed the connection. Its log says why."));
    socket.onmessage = ({ data }) => {
      const event = JSON.parse(data);
      onEvent(event);
      if (event.type === "session.created") resolve();
      if (event.type === "error") reject(new Error(event.message));
    };
  });
  socket.onmessage = ({ data }) => onEvent(JSON.parse(data));
  socket.onclose = onClose;
  let recorder = null;
  return {
    name: "WebSocket",
    send,
    async setTrack(track) {
      recorder?.close();
      recorder = track && (await recordMuLaw(track, (payload) => send({ event: "media", media: { payload } })));
    },
    close: () => (recorder?.close(), (recorder = null), socket.close()),
  };
}
