// One recording, call or conversation as it is kept: its sound, who spoke when, notes, and what was said. While the
// server still works on it, what it has found comes line by line.
import { clock } from "./clock.js";
import { byId, icon, make, showError } from "./dom.js";
import { Lanes } from "./lanes.js";
import { NoteItems, notesAsMarkdown } from "./note_items.js";
import { askAbout, bindQuestions, clearAnswer } from "./questions.js";
import { reach } from "./reach.js";
import { percent, words } from "./words.js";

const FORMATS = ["markdown", "json", "srt", "vtt", "wav", "zip"];

let shown = null; // as the server has it
let wanted = ""; // the id of the one that was chosen at last
let watching = null; // EventSource
let until_s = null; // where playing stops
let lanes = null;
let notes = null;
let changed = () => {}; // is told that the list is to be read again

const address = (id = shown.id) => `archive/${encodeURIComponent(id)}`;
const player = () => byId("player");

// `onChange` is told when a name, a state or the whole recording has changed.
export function bindRecording(onChange) {
  changed = onChange;
  lanes = new Lanes(byId("lanes"), { play: (start_s) => play({ start_s }), rename: (old, name) => change({ speakers: { [old]: name } }) });
  notes = new NoteItems(byId("notes-list"), {
    change: (id, changes) => send(`notes/${id}`, "PATCH", changes),
    remove: (id) => send(`notes/${id}`, "DELETE"),
    play,
    ask: askAbout,
  });
  bindQuestions(address, play);
  byId("name").addEventListener("change", ({ target }) => (target.value.trim() ? change({ name: target.value.trim() }) : (target.value = shown.name)));
  byId("delete").addEventListener("click", remove);
  byId("retry").addEventListener("click", () => send("retry", "POST"));
  byId("notes-copy").addEventListener("click", () => navigator.clipboard.writeText(notesAsMarkdown(notes.notes)).catch(() => showError(words("item.copy_refused"))));
  byId("lines").addEventListener("click", ({ target }) => {
    const line = target.closest("li");
    if (line && target.closest("button")) play(shown.minutes.lines[line.dataset.number]);
  });
  player().addEventListener("timeupdate", follow);
}

// Shows one; `start_s` is played at once, where it is given.
export async function showRecording(id, start_s = null) {
  watching?.close();
  clearAnswer();
  shown = null;
  wanted = id;
  const response = await reach(address(id));
  const told = await response.json();
  if (wanted !== id) return; // another one was chosen meanwhile
  if (!response.ok) {
    byId("one").hidden = true;
    throw new Error(told.message);
  }
  take(told);
  byId("lines").scrollTop = 0;
  if (start_s !== null) play({ start_s });
}

export const shownId = () => shown?.id;

const isOver = ({ state }) => state === "ready" || state === "failed";

function take(recording) {
  const isNew = recording.id !== shown?.id;
  shown = recording;
  draw();
  if (isNew || !player().src) openSound();
  watching?.close();
  if (!isOver(shown)) watch();
}

function openSound() {
  player().hidden = !shown.has_sound;
  if (shown.has_sound) player().src = `${address()}/audio`;
  else player().removeAttribute("src");
}

function watch() {
  watching = new EventSource(`${address()}/events`);
  const { id } = shown;
  watching.onmessage = ({ data }) => {
    if (shown?.id !== id) return;
    const event = JSON.parse(data);
    if (event.type === "recording") takeAnew(event.recording);
    else if (event.type === "line") addLine(event.line);
    else takeProgress(event);
  };
}

// Takes it as the stream begins with it, again perhaps; the work may have ended meanwhile.
function takeAnew(recording) {
  if (!isOver(recording)) return ((shown = recording), draw());
  take(recording);
  openSound();
  changed();
}

async function takeProgress(progress) {
  drawWork(progress);
  if (!isOver(progress)) return;
  watching.close();
  await reload(shown.id);
  openSound();
  changed();
}

// Reads it again, unless another one is shown by now.
async function reload(id) {
  const response = await reach(address(id));
  const recording = response.ok && (await response.json());
  if (recording && shown?.id === id) take(recording);
}

// ---- What a person does ----

async function send(path, method, body) {
  const { id } = shown;
  try {
    const response = await reach(path ? `${address(id)}/${path}` : address(id), { method, ...(body ? { body: JSON.stringify(body) } : {}) });
    if (!response.ok) throw new Error((await response.json()).message);
  } catch (error) {
    showError(words(error.message));
  }
  await reload(id);
  changed();
}

const change = (changes) => send("", "PATCH", changes);

async function remove() {
  if (!window.confirm(words("archive.delete_sure", { name: shown.name }))) return;
  const response = await reach(address(), { method: "DELETE" });
  if (!response.ok) return showError((await response.json()).message);
  watching?.close();
  player().removeAttribute("src");
  shown = null;
  byId("one").hidden = true;
  changed();
}

// Plays from a place, and to the end of the span, if it has one.
function play({ start_s, end_s = null }) {
  if (!shown.has_sound) return showError(words("archive.no_sound"));
  until_s = end_s;
  const begin = () => {
    player().currentTime = Math.max(0, start_s);
    player().play().catch((error) => error.name !== "AbortError" && showError(words("archive.no_sound")));
  };
  if (player().readyState) begin();
  else player().addEventListener("loadedmetadata", begin, { once: true });
}

function follow() {
  const at_s = player().currentTime;
  if (until_s !== null && at_s >= until_s) {
    until_s = null;
    player().pause();
  }
  lanes.follow(at_s);
  const lines = shown?.minutes.lines ?? [];
  const current = lines.findLastIndex((line) => line.start_s <= at_s && at_s < line.end_s);
  for (const line of byId("lines").querySelectorAll(".current")) line.classList.remove("current");
  byId("lines").children[current]?.classList.add("current");
}

// ---- How it looks ----

function draw() {
  const { minutes } = shown;
  byId("one").hidden = false;
  byId("name").value = shown.name;
  byId("about-shown").textContent = shown.about;
  byId("download-list").replaceChildren(...FORMATS.filter((form) => form !== "wav" || shown.has_sound).map(downloadLink));
  drawWork({ state: shown.state, failure: shown.failure, share: 0 });
  lanes.draw(minutes, { canRename: isOver(shown) && shown.kind !== "conversation" });
  notes.show(minutes.notes);
  byId("notes").hidden = !minutes.notes.length;
  byId("remarks").replaceChildren(...minutes.remarks.map((remark) => make("li", { dir: "auto" }, remark)));
  byId("lines").replaceChildren(...minutes.lines.map(lineItem));
  byId("said").hidden = !minutes.lines.length;
  byId("ask").hidden = !isOver(shown) || !minutes.lines.length;
}

function drawWork({ state, share, failure }) {
  byId("work").hidden = state === "ready";
  byId("work").dataset.state = state;
  const text = failure ? words("archive.failed", { reason: failure }) : words(`archive.state.${state}`);
  byId("work-text").textContent = share ? `${text} ${percent(share)}` : text;
  byId("work-bar").hidden = state === "failed" || state === "queued";
  byId("work-bar").value = share;
  byId("retry").hidden = !(state === "failed" && shown.can_try_again);
}

function addLine(line) {
  const { lines } = shown.minutes;
  if (lines.some(({ start_s, speaker }) => start_s === line.start_s && speaker === line.speaker)) return;
  lines.push(line);
  byId("lines").append(lineItem(line, lines.length - 1));
  byId("said").hidden = false;
  lanes.draw(shown.minutes, { canRename: false });
}

function lineItem(line, number) {
  const at = make("button", { type: "button", className: "ep-place", title: words("notes.play") }, icon("play"), clock(line.start_s));
  const who = line.speaker ? [make("b", { dir: "auto" }, line.speaker)] : [];
  const element = make("li", {}, at, make("p", { dir: "auto" }, ...who, line.text || words("archive.not_understood")));
  element.dataset.number = number;
  return element;
}

function downloadLink(form) {
  return make("li", {}, make("a", { href: `${address()}/download?format=${form}`, download: "" }, words(`archive.format.${form}`)));
}
