// The page's client: a microphone, one connection, and the conversation it draws from the session's events.
//
// The connection is opened by the first word, spoken or typed, and carries both. Nothing is kept here that the server
// does not say: who has the floor comes with `floor.changed`, why a session ends with `session.ended`.
import { connect } from "./connection.js";
import { bindControls } from "./controls.js";
import * as drawing from "./drawing.js";
import { openMicrophone, watchLevel } from "./microphone.js";

const WORDS = {
  "connection.lost": "The connection was lost. Start again to reconnect; the conversation begins anew.",
  "connection.unreachable": "The server cannot be reached.",
  "connection.closed": "The server closed the connection. Its log says why.",
  "connection.refused": "The server refused.",
};

const settings = { muted: false, protect_answer: false, turn_detection: true }; // as the server has them, or will
let connection = null;
let microphone = null;
let floor = "listening"; // as the server calls it
let endReason = ""; // what the server said when it ended the session
let held = false; // the push-to-talk button or key is down

// Of several calls while one is under way, all wait for that one.
function once(action) {
  let running = null;
  return () => (running ??= action().finally(() => (running = null)));
}

const showFloor = () => drawing.showFloor(floor, settings, microphone !== null);

// ---- The connection ----

const served = fetch("page/settings.json").then((response) => response.json());
served.then(
  ({ model, description }) => drawing.showModel(model, description),
  () => drawing.showError("The server cannot be reached."),
);

function onEvent(event) {
  if (event.type === "session.created") floor = "listening";
  if (event.type === "floor.changed") floor = event.state;
  if (event.type === "session.ended") endReason = event.reason;
  if (event.type === "session.updated") {
    for (const name of Object.keys(settings)) settings[name] = event[name];
    drawing.showSettings(settings);
  }
  drawing.drawEvent(event);
  showFloor();
}

function onLost(why) {
  if (!connection) return;
  connection = null;
  floor = "listening";
  stopMicrophone();
  drawing.showError(endReason ? `The session has ended: ${endReason}.` : WORDS[why]);
}

const showWire = (name) => (document.querySelector(".earpiece").dataset.transport = name);

const ensureConnected = once(async () => {
  if (connection) return;
  drawing.showConnecting();
  endReason = "";
  connection = await connect(onEvent, onLost, {
    onReconnecting: () => (showWire("none"), drawing.showConnecting()),
    onResumed: (name) => (showWire(name), showFloor()),
    words: (key) => WORDS[key],
    track: microphone?.getAudioTracks()[0],
  });
  showWire(connection.name);
  sendSettings();
});

window.addEventListener("pagehide", () => connection?.close());

function sendSettings() {
  const { muted, protect_answer, turn_detection } = settings;
  const session = { muted, protect_answer, turn_detection: turn_detection ? {} : null };
  connection?.send({ type: "session.update", session });
}

function change(changes) {
  Object.assign(settings, changes);
  microphone?.getAudioTracks().forEach((track) => (track.enabled = !settings.muted));
  drawing.showSettings(settings);
  showFloor();
  sendSettings();
}

// ---- The microphone ----

const startMicrophone = once(async () => {
  microphone = await openMicrophone();
  const [track] = microphone.getAudioTracks();
  track.onended = () => (stopMicrophone(), drawing.showError("The microphone was unplugged. Start again when it is back."));
  track.enabled = !settings.muted;
  await ensureConnected();
  await connection.setTrack(track);
  const stream = microphone;
  watchLevel(stream, drawing.showLevel, () => microphone === stream);
  drawing.showMicrophone(true);
  showFloor();
});

function releaseMicrophone() {
  microphone?.getTracks().forEach((track) => track.stop());
  microphone = null;
}

function stopMicrophone() {
  releaseMicrophone();
  connection?.setTrack(null);
  drawing.showMicrophone(false);
  showFloor();
}

// ---- What the person does ----

async function press() {
  if (held) return;
  held = true;
  drawing.byId("hold").classList.add("on");
  if (!microphone) await perform("talk");
  else await ensureConnected().catch(() => {}); // whoever began to connect says what is wrong
  if (held) connection?.send({ type: "push_to_talk.press" });
}

function release() {
  if (!held) return;
  held = false;
  drawing.byId("hold").classList.remove("on");
  connection?.send({ type: "push_to_talk.release" });
}

async function sendText() {
  const words = drawing.byId("text").value.trim();
  if (!words) return;
  await ensureConnected();
  drawing.byId("text").value = "";
  showFloor();
  const content = [{ type: "input_text", text: words }];
  connection.send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
  connection.send({ type: "response.create" });
}

const perform = bindControls({
  actions: {
    "talk": () => (microphone ? stopMicrophone() : startMicrophone()),
    "send": sendText,
    "stop": () => connection?.send({ type: "response.cancel" }),
    "mute": () => change({ muted: !settings.muted }),
    "protect": () => change({ protect_answer: !settings.protect_answer }),
    "push": () => (release(), change({ turn_detection: !settings.turn_detection })),
    "new": () => connection?.send({ type: "conversation.clear" }),
  },
  isPushToTalk: () => !settings.turn_detection,
  press,
  release,
  onFailure: () => (releaseMicrophone(), showFloor()),
});
