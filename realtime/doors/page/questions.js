// Questions about a recording, or about one of its notes with the sound that it rests on. The answer comes as it is
// made; the places that it rests on can be played.
import { byId, make, showError } from "./dom.js";
import { playButton } from "./note_items.js";
import { reach } from "./reach.js";
import { percent, words } from "./words.js";

let about = null; // a note
let asking = null; // AbortController

// `address()` gives that of the recording, `play(span)` plays a part of it.
export function bindQuestions(address, play) {
  byId("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = byId("question").value.trim();
    if (text) ask(address(), text);
  });
  byId("about-note-close").addEventListener("click", () => askAbout(null));
  byId("answer-places").addEventListener("click", ({ target }) => {
    const button = target.closest("[data-action=play]");
    if (button) play(JSON.parse(button.dataset.place));
  });
}

// Makes a note what the next question is about; null: the whole recording.
export function askAbout(note) {
  about = note;
  byId("about-note").hidden = !note;
  byId("about-note-text").textContent = note ? note.text : "";
  if (note) byId("question").focus();
}

// Forgets the last answer: another recording is shown.
export function clearAnswer() {
  asking?.abort();
  askAbout(null);
  byId("question").value = "";
  byId("answer").hidden = true;
}

async function ask(address, text) {
  asking?.abort();
  const mine = (asking = new AbortController());
  const shown = byId("answer-text");
  byId("answer").hidden = false;
  byId("answer-places").replaceChildren();
  shown.textContent = words("archive.asking");
  let answer = "";
  const take = {
    searched: ({ share }) => (shown.textContent = words("archive.searching", { share: percent(share) })),
    delta: ({ delta }) => (shown.textContent = answer += delta),
    done: ({ spans }) => byId("answer-places").append(...spans.map(placeOf)),
    error: ({ message }) => showError(message),
  };
  try {
    const body = JSON.stringify({ text, ...(about ? { note: about.id } : {}) });
    const response = await reach(`${address}/questions`, { method: "POST", body, signal: mine.signal });
    if (!response.ok) throw new Error((await response.json()).message);
    for await (const event of eventsOf(response)) take[event.type]?.(event);
    if (!answer) shown.textContent = words("archive.no_answer");
  } catch (error) {
    if (mine.signal.aborted) return;
    byId("answer").hidden = true;
    showError(words(error.message));
  }
}

function placeOf(span) {
  const button = playButton(span);
  button.dataset.place = JSON.stringify(span);
  return button;
}

// Yields the server-sent events of an answer.
async function* eventsOf(response) {
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of chunksOf(response.body)) {
    text += decoder.decode(bytes, { stream: true });
    const parts = text.split("\n\n");
    text = parts.pop();
    for (const part of parts) if (part.startsWith("data: ")) yield JSON.parse(part.slice(6));
  }
}

async function* chunksOf(stream) {
  const reader = stream.getReader(); // streams are not iterable in every browser
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
