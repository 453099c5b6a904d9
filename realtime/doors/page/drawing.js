// What the page shows: the conversation as the session's events tell it, who has the floor, and the numbers.
import { SAMPLE_RATE_HZ } from "./microphone.js";

const WORTH_SHOWING_SAMPLES = 160; // 10 ms: a single peak at full scale is no trouble
const PACKET_SAMPLES = 320; // 20 ms, of WebRTC
const RETRACTED_SHOWN_MS = 900;
const AT_END_PX = 60; // nearer to the end than this, the conversation is scrolled along

export const byId = (name) => document.getElementById("ep-" + name);

const items = new Map(); // item id or response id -> element

function item(id, role) {
  if (!items.has(id)) {
    const element = document.createElement("div");
    element.className = "ep-item " + role;
    element.dataset.role = role;
    element.append(document.createElement("span"));
    byId("log").querySelector(".ep-empty")?.setAttribute("hidden", "");
    byId("log").append(element);
    items.set(id, element);
  }
  return items.get(id);
}

const text = (element) => element.firstChild;
const remove = (id) => (items.get(id)?.remove(), items.delete(id));

// Takes an element out, after a moment in which a person can see that it goes.
function withdraw(id) {
  const element = items.get(id);
  element?.classList.add("retracted");
  items.delete(id);
  setTimeout(() => element?.remove(), RETRACTED_SHOWN_MS);
}

function note(element, words) {
  const line = element.querySelector(".ep-note") || element.appendChild(document.createElement("small"));
  line.className = "ep-note";
  line.textContent = words;
}

// ---- What the user said ----

const UNSURE = 0.5; // a word that the ears find less probable may as well be another one
const NO_WORDS = "(no words were understood)";
const languageNames = new Intl.DisplayNames(["en"], { type: "language" });
let languages = []; // that the ears know

function span(words, kind) {
  const element = document.createElement("span");
  element.className = kind;
  element.textContent = words;
  return element;
}

// Draws the words of a turn that goes on: those that stay, and grey those that may change.
function drawDraft({ item_id, delta, draft }) {
  if (!items.has(item_id)) return;
  const line = text(items.get(item_id));
  const agreed = (line.querySelector(".ep-agreed")?.textContent || "") + delta;
  line.replaceChildren(span(agreed, "ep-agreed"), span(agreed && draft ? " " + draft : draft, "ep-draft"));
}

// Draws the words of a message, those that are doubtful with a dotted line.
function drawWords({ item_id, transcript, logprobs, is_foreign }) {
  if (!items.has(item_id)) return;
  const line = text(items.get(item_id));
  if (!transcript || !logprobs) {
    line.textContent = transcript || (is_foreign ? foreignNote() : NO_WORDS);
    return;
  }
  line.replaceChildren(
    ...logprobs.map(({ token, logprob }) => {
      if (Math.exp(logprob) >= UNSURE) return document.createTextNode(token);
      const word = span(token.trimStart(), "ep-unsure");
      word.title = "not sure";
      const whole = span(token.startsWith(" ") ? " " : "", "");
      whole.append(word);
      return whole;
    }),
  );
}

function foreignNote() {
  const known = languages.map((language) => languageNames.of(language)).join(" or ");
  return known ? `(another language than ${known})` : "(another language)";
}

function showCaptions(known) {
  languages = known || [];
  byId("hint").hidden = known !== null;
}

const draw = {
  "session.created": (event) => (showModel(event.model, event.description), showCaptions(event.caption_languages)),
  "input_audio_buffer.speech_started": (event) => {
    const element = item(event.item_id, "user");
    element.classList.add("hearing");
    text(element).textContent = "…";
  },
  "input_audio_buffer.cleared": (event) => {
    if (event.reason !== "no_words") return remove(event.item_id);
    text(item(event.item_id, "user")).textContent = NO_WORDS;
    withdraw(event.item_id);
  },
  "conversation.item.deleted": (event) => withdraw(event.item_id),
  "conversation.item.input_audio_transcription.delta": drawDraft,
  "conversation.item.input_audio_transcription.completed": drawWords,
  "conversation.item.input_audio_transcription.failed": (event) => {
    if (items.has(event.item_id)) note(items.get(event.item_id), "the ears failed: no caption");
  },
  "conversation.item.created": (event) => {
    if (event.role !== "user") return;
    const element = item(event.item_id, "user");
    element.classList.remove("hearing");
    if (event.text && event.audio_s) element.insertBefore(span(event.text, "ep-typed"), text(element).nextSibling);
    else if (event.text) text(element).textContent = event.text;
    if (event.audio_s) note(element, `${event.audio_s.toFixed(1)} s of speech`);
  },
  "response.created": (event) => {
    item(event.response_id, "assistant").classList.toggle("provisional", event.provisional);
  },
  "response.output_text.delta": (event) => {
    text(item(event.response_id, "assistant")).textContent += event.delta;
  },
  "response.committed": (event) => item(event.response_id, "assistant").classList.remove("provisional"),
  "response.retracted": (event) => withdraw(event.response_id),
  "response.done": (event) => {
    const element = item(event.response_id, "assistant");
    element.classList.add(event.status);
    if (!event.text) remove(event.response_id);
    else if (event.response_latency_s !== null)
      note(element, `first word ${Math.round(event.response_latency_s * 1000)} ms after your last word`);
  },
  "conversation.cleared": () => {
    items.forEach((element) => element.remove());
    items.clear();
    byId("log").querySelector(".ep-empty").removeAttribute("hidden");
  },
  "conversation.window": showWindow,
  "session.metrics": showMetrics,
  error: (event) => showError(event.message),
};

// Draws what one event of the session says.
export function drawEvent(event) {
  const log = byId("log");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < AT_END_PX;
  draw[event.type]?.(event);
  if (atEnd) log.scrollTop = log.scrollHeight;
}

// ---- Who has the floor ----

// The server has more states than a person needs to tell apart; a name it has learnt since then is of one of these kinds.
const FLOOR_KINDS = [
  [/overlap|respond|answer|waiting/, "answering"],
  [/speak|held|interrupt|judg/, "speaking"],
  [/paus/, "paused"],
];

function kindOf(floor) {
  return FLOOR_KINDS.find(([pattern]) => pattern.test(floor))?.[1] || "listening";
}

function showState(state, words) {
  byId("status").dataset.state = state;
  byId("status-text").textContent = words;
}

export const showConnecting = () => showState("idle", "Connecting…");

// Shows who has the floor, by the name that the server gave last.
export function showFloor(floor, settings, microphoneIsOn) {
  const kind = kindOf(floor);
  if (kind === "speaking") showState("speaking", "You are speaking.");
  else if (kind === "paused") showState("speaking", "You paused. Go on, or wait for the answer.");
  else if (kind === "answering") showAnswering(settings);
  else if (!microphoneIsOn) showState("idle", "Microphone off.");
  else if (settings.muted) showState("idle", "Muted. Nothing you say is sent.");
  else if (!settings.turn_detection) showState("listening", "Hold the button or the space bar while you speak.");
  else showState("listening", "Listening. Just speak.");
}

function showAnswering(settings) {
  if (settings.protect_answer) showState("answering", "Answering to the end. What you say comes next.");
  else if (!settings.turn_detection) showState("answering", "Answering. Hold the button to interrupt.");
  else showState("answering", "Answering. Speak to interrupt.");
}

// ---- Everything else ----

export function showModel(name, description) {
  byId("model").textContent = `${name}: ${description}`;
}

export function showError(message) {
  byId("error").textContent = message;
  byId("error").hidden = !message;
}

export function showSettings(settings) {
  const shown = { mute: settings.muted, protect: settings.protect_answer, push: !settings.turn_detection };
  for (const [name, on] of Object.entries(shown)) byId(name).setAttribute("aria-pressed", on);
  byId("mute").textContent = settings.muted ? "Muted" : "Mute";
  byId("hold").hidden = settings.turn_detection;
}

export function showMicrophone(isOn) {
  byId("talk").textContent = isOn ? "Stop talking" : "Start talking";
  byId("talk").classList.toggle("on", isOn);
  if (!isOn) showLevel(0);
}

export function showLevel(percent) {
  byId("level").style.width = percent + "%";
}

function showWindow(event) {
  const share = (message) => Math.max(message.tokens / event.max_tokens, message.audio_s / event.max_audio_s);
  const bars = event.messages.map((message) => {
    const bar = document.createElement("i");
    bar.className = message.tier;
    bar.style.width = `${100 * share(message)}%`;
    const audio = message.audio_s ? `, ${message.audio_s.toFixed(1)} s` : "";
    bar.title = `${message.role}, kept as ${message.tier}: ${message.tokens} tokens${audio}`;
    return bar;
  });
  byId("window-bar").replaceChildren(...bars);
  const full = Math.max(event.tokens / event.max_tokens, event.audio_s / event.max_audio_s);
  byId("window-text").textContent = `Memory ${Math.round(100 * full)} %`;
}

function showMetrics(event) {
  const ms = (seconds) => `${Math.round(seconds * 1000)} ms`;
  const audio = (samples) => samples >= WORTH_SHOWING_SAMPLES && ms(samples / SAMPLE_RATE_HZ);
  const waits = event.recent_waits_s;
  const rows = {
    "Turns": event.turns,
    "Wait for the end of a turn": waits.length ? `${ms(event.mean_wait_s)} mean, ${ms(waits.at(-1))} last` : "",
    "Cut-ins": `${event.cut_ins} of ${event.turns} turns`,
    "Early answers withdrawn": `${event.retracted} of ${event.provisional}`,
    "Answers interrupted": event.interrupted,
    "Stopped for a noise, then resumed": event.false_interruptions,
    "Early answers skipped under load": event.speculations_skipped,
    "Pauses that could not be scored": event.scorer_failures,
    "Answers that failed": event.failed,
    "Summaries of what is older": event.summaries,
    "Words after the end of a turn": event.captions ? `${ms(event.mean_caption_wait_s)} mean` : "",
    "Captions that failed": event.failed_captions,
    "Messages not understood": event.rejected,
    "Audio lost": audio(event.gap_samples + event.lost_packets * PACKET_SAMPLES),
    "Audio sent twice": audio(event.repeated_samples),
    "Audio distorted": audio(event.clipped_samples),
    "Audio broken": audio(event.non_finite_samples),
    "Audio off balance": audio(event.offset_samples),
    "Microphone still": audio(event.flat_samples),
    "Audio behind the clock": Math.abs(event.clock_drift_s) >= 0.1 && `${event.clock_drift_s.toFixed(1)} s`,
  };
  const always = ["Turns", "Cut-ins", "Early answers withdrawn", "Answers interrupted"];
  const cells = Object.entries(rows).filter(([name, value]) => value || always.includes(name));
  byId("metrics").replaceChildren(
    ...cells.flatMap(([name, value]) => {
      const pair = [document.createElement("dt"), document.createElement("dd")];
      [pair[0].textContent, pair[1].textContent] = [name, value];
      return pair;
    }),
  );
}
