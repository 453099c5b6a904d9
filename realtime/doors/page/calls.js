// The view of calls: two tracks, mine and theirs, one session, and what it suggests.
//
// It is a client like any other. *Me* is the microphone, *them* the sound of a tab or of the screen that I share. Both
// go over one WebSocket (`connection.js`). Read `suggestion.js` for what I could say, `call_speakers.js` for who
// spoke, `call_notes.js` for notes, `user_items.js` for what was said.
import { answerEvents, endAnswer } from "./answers.js";
import { bindNotes, callNotesAsMarkdown, notesEvents } from "./call_notes.js";
import { bindSpeakers, speakerEvents } from "./call_speakers.js";
import { connect } from "./connection.js";
import { byId, showError } from "./dom.js";
import * as log from "./log.js";
import { openMicrophone, watchLevel } from "./microphone.js";
import { preferences, prefer } from "./preferences.js";
import { showNone, suggestionEvents } from "./suggestion.js";
import { endWaiting, setLanguages, userEvents } from "./user_items.js";
import { prepareView } from "./view.js";
import { words } from "./words.js";

const MAX_CONTEXT_CHARACTERS = 8000;
const SAVE_AFTER_MS = 600; // of typing

let call = null; // {connection, streams, isPaused, endReason}
let phase = "off"; // or "connecting", "open", "reconnecting"

// ---- What the session says ----

const callEvents = {
  "session.created": (event) => {
    if (!event.resumed) log.retire();
    setLanguages(event.caption_languages);
    byId("stored").hidden = !event.stored;
  },
  "session.storing_stopped": ({ message }) => ((byId("stored").hidden = true), showError(message)),
  "session.ended": ({ reason }) => call && (call.endReason = reason),
  "conversation.item.deleted": ({ item_id }) => log.withdraw(log.find(item_id)),
  error: ({ message }) => showError(message),
};

function take(told) {
  const event = { ...told, is_addressed: undefined }; // in a call nothing is said to the assistant
  for (const events of [userEvents, speakerEvents, answerEvents, suggestionEvents, notesEvents, callEvents]) events[event.type]?.(event);
  log.follow();
}

// ---- The call ----

async function start() {
  showError("");
  const streams = {};
  const leaving = new AbortController();
  call = { streams, leaving, isPaused: false, connection: null, endReason: "" };
  const mine = call;
  enter("connecting");
  try {
    streams.them = await shareSound(); // first: a browser asks for it only right after a click
    streams.me = await openMicrophone(preferences);
    mine.connection = await connect(take, lose, {
      onReconnecting: () => enter("reconnecting"),
      onResumed: () => (enter("open"), tellContext()),
      words,
      signal: leaving.signal,
      speakers: ["me", "them"],
    });
    if (call !== mine) throw new Error("");
    for (const [name, stream] of Object.entries(streams)) listenTo(mine, name, stream);
    enter("open");
    tellContext();
  } catch (error) {
    end(mine);
    if (error.message) showError(error.message);
  }
}

async function shareSound() {
  if (!navigator.mediaDevices?.getDisplayMedia) throw new Error(words("call.no_sharing"));
  let stream;
  try {
    stream = await navigator.mediaDevices.getDisplayMedia({ video: true, audio: { suppressLocalAudioPlayback: false }, systemAudio: "include" });
  } catch (error) {
    throw new Error(words("call.refused"), { cause: error });
  }
  if (stream.getAudioTracks().length) return stream;
  stream.getTracks().forEach((track) => track.stop());
  throw new Error(words("call.no_sound"));
}

function listenTo(mine, name, stream) {
  const [track] = stream.getAudioTracks();
  mine.connection.setTrack(track, name);
  const sound = new MediaStream([track]);
  watchLevel(sound, (level) => (byId(`level-${name}`).value = level), () => call === mine);
  track.onended = () => call === mine && showError(words(name === "me" ? "microphone.unplugged" : "call.them_ended"));
}

function lose(why) {
  const reason = call?.endReason;
  end(call);
  showError(reason ? words("connection.ended", { reason }) : words(why));
}

function end(which) {
  if (!which || call !== which) return;
  call = null;
  which.leaving.abort();
  which.connection?.close();
  for (const stream of Object.values(which.streams)) stream.getTracks().forEach((track) => track.stop());
  endAnswer();
  endWaiting();
  for (const name of ["me", "them"]) byId(`level-${name}`).value = 0;
  enter("off");
}

function pause() {
  call.isPaused = !call.isPaused;
  call.connection.send({ type: "session.update", session: { muted: call.isPaused } });
  enter(phase);
}

// Tells the session what I want to be helped with.
function tellContext() {
  call?.connection?.send({ type: "session.update", session: { instructions: byId("context").value } });
}

function enter(next) {
  phase = next;
  const state = phase === "open" && call.isPaused ? "paused" : phase;
  byId("call-state").dataset.state = state;
  byId("call-state-text").textContent = words(`call.state.${state}`);
  byId("call-text").textContent = words(call ? "call.end" : "call.start");
  byId("call").classList.toggle("on", call !== null);
  byId("pause").hidden = byId("suggest").hidden = phase !== "open";
  byId("pause").setAttribute("aria-pressed", call?.isPaused ?? false);
  document.body.dataset.call = state;
}

// ---- What the person does ----

function keepContext() {
  prefer({ call_context: byId("context").value });
  tellContext();
}

async function dropDocument(event) {
  event.preventDefault();
  const [file] = event.dataTransfer.files;
  if (!file) return;
  const text = file.size <= 4 * MAX_CONTEXT_CHARACTERS ? await file.text() : "";
  const whole = [byId("context").value, text].filter(Boolean).join("\n\n");
  if (!text || text.includes("\0") || whole.length > MAX_CONTEXT_CHARACTERS)
    return showError(words("call.not_text", { name: file.name, limit: MAX_CONTEXT_CHARACTERS }));
  byId("context").value = whole;
  keepContext();
}

function bind() {
  let saving = 0;
  const context = byId("context");
  context.value = preferences.call_context;
  context.addEventListener("input", () => (clearTimeout(saving), (saving = setTimeout(keepContext, SAVE_AFTER_MS))));
  context.addEventListener("change", () => (clearTimeout(saving), keepContext()));
  context.addEventListener("dragover", (event) => (event.preventDefault(), context.classList.add("over")));
  for (const left of ["dragleave", "drop"]) context.addEventListener(left, () => context.classList.remove("over"));
  context.addEventListener("drop", dropDocument);
  byId("call").addEventListener("click", () => (call ? end(call) : start()));
  byId("pause").addEventListener("click", pause);
  byId("suggest").addEventListener("click", () => call.connection.send({ type: "response.create" }));
  const send = (command) => call?.connection?.send(command) || showError(words("call.notes_over"));
  bindNotes(send);
  bindSpeakers(send);
  byId("notes-copy").addEventListener("click", () => navigator.clipboard.writeText(callNotesAsMarkdown()).catch(() => showError(words("item.copy_refused"))));
  byId("error-close").addEventListener("click", () => showError(""));
  window.addEventListener("pagehide", () => end(call));
}

async function begin() {
  await prepareView();
  bind();
  log.watchScrolling();
  showNone();
  enter("off");
  document.body.dataset.ready = "true";
}

begin().catch((error) => showError(`${words("connection.unreachable")} ${error.message}`));
