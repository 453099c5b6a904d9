// What the user said and typed, as the session's events tell it: the sound first, its words when they arrive.
import { make } from "./dom.js";
import { allRecords, find, note, record, remove, withdraw } from "./log.js";
import { preferences } from "./preferences.js";
import { languageName, listOf, seconds, words } from "./words.js";

const UNSURE = 0.5; // a word that the ears find less probable may as well be another one
const WORDS_TIMEOUT_MS = 20_000; // of the end of a turn; ears need a second
const LONG_CHARACTERS = 1500; // a longer message is shown in a box of its own that scrolls

let languages = []; // that the ears know; null: there are no ears

function span(text, className) {
  return make("span", { className }, text);
}

function begin({ item_id }) {
  const known = record(item_id, "user");
  known.element.classList.add("hearing");
  known.text.textContent = "…";
}

// Draws the words of a turn that goes on: those that stay, and grey those that may change.
function drawDraft({ item_id, delta, draft }) {
  const known = find(item_id);
  if (!known) return;
  known.words += delta;
  known.text.replaceChildren(
    span(known.words, "ep-agreed"),
    span(known.words && draft ? " " + draft : draft, "ep-draft"),
  );
}

// Draws the words of a message, those that are doubtful with a dotted line.
function drawWords({ item_id, transcript, logprobs, is_foreign }) {
  const known = find(item_id);
  if (!known) return;
  clearTimeout(known.waiting);
  known.words = transcript;
  if (!transcript) known.text.textContent = is_foreign ? foreignNote() : words("item.no_words");
  else if (logprobs) known.text.replaceChildren(...logprobs.map(drawWord));
  else known.text.textContent = transcript;
  known.element.classList.toggle("wordless", !transcript);
}

function drawWord({ token, logprob }) {
  if (Math.exp(logprob) >= UNSURE) return document.createTextNode(token);
  const word = span(token.trimStart(), "ep-unsure");
  word.title = words("item.unsure");
  return make("span", {}, token.startsWith(" ") ? " " : "", word);
}

function foreignNote() {
  if (!languages?.length) return words("item.foreign");
  return words("item.foreign_known", { languages: listOf(languages.map(languageName)) });
}

// Says that no words will come, instead of letting somebody wait for ever.
function giveUpWords(known) {
  if (!known.audio_s || known.words) return;
  known.text.textContent = words("item.no_caption");
  known.element.classList.add("wordless");
}

function enter({ item_id, role, text, audio_s, file_name, is_addressed }) {
  if (role !== "user") return;
  const known = record(item_id, "user");
  known.element.classList.remove("hearing");
  Object.assign(known, { audio_s, file_name, typed: text });
  if (text && audio_s) known.foot.before(make("div", { className: "ep-typed", dir: "auto" }, text));
  else if (text) drawTyped(known, text);
  if (audio_s) awaitWords(known);
  known.element.classList.toggle("unaddressed", is_addressed === false);
  if (is_addressed === false) note(known, words("item.unaddressed"), "address");
}

function drawTyped(known, text) {
  known.text.textContent = known.words = text;
  if (text.length <= LONG_CHARACTERS) return;
  known.text.classList.add("long");
  known.text.tabIndex = 0; // to scroll it with the keyboard
}

function awaitWords(known) {
  const length = seconds(known.audio_s);
  note(known, known.file_name ? words("item.file", { name: known.file_name, seconds: length }) : words("item.speech", { seconds: length }));
  if (languages === null || !preferences.captions) giveUpWords(known);
  else known.waiting = setTimeout(() => giveUpWords(known), WORDS_TIMEOUT_MS);
}

function drop({ item_id, reason }) {
  const known = find(item_id);
  if (reason !== "no_words") return remove(known);
  record(item_id, "user").text.textContent = words("item.no_words");
  withdraw(find(item_id));
}

// Nothing more will come from this session: who still waits for words is told.
export function endWaiting() {
  for (const known of allRecords()) if (known.role === "user") giveUpWords(known);
}

// Called with what the ears of this server know, or null.
export function setLanguages(known) {
  languages = known === undefined ? [] : known;
}

export const userEvents = {
  "input_audio_buffer.speech_started": begin,
  "input_audio_buffer.cleared": drop,
  "conversation.item.created": enter,
  "conversation.item.input_audio_transcription.delta": drawDraft,
  "conversation.item.input_audio_transcription.completed": drawWords,
  "conversation.item.input_audio_transcription.failed": ({ item_id }) => {
    const known = find(item_id);
    if (!known) return;
    giveUpWords(known);
    note(known, words("item.ears_failed"), "ears");
  },
};
