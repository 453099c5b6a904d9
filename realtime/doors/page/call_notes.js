// The notes of a call: decisions, tasks and open questions, as the session tells them; a person may edit, tick and
// remove them. While somebody writes in one, it is left alone.
import { byId, iconButton, make } from "./dom.js";
import { words } from "./words.js";

const KINDS = ["decision", "action_item", "open_question"];
const MAX_CHARACTERS = 500;

let notes = []; // as the session has them

// `send` takes a command of a person's edit.
export function bindNotes(send) {
  const list = byId("notes-list");
  list.addEventListener("change", ({ target }) => {
    const id = target.closest("li").dataset.id;
    const value = target.type === "checkbox" ? target.checked : target.value.trim();
    if (target.dataset.field === "text" && !value) return draw();
    send({ type: "call.note.update", note: { id, [target.dataset.field]: value } });
  });
  list.addEventListener("click", ({ target }) => {
    const button = target.closest("[data-action=remove]");
    if (button) send({ type: "call.note.delete", id: button.closest("li").dataset.id });
  });
  list.addEventListener("focusout", () => requestAnimationFrame(draw));
}

function clock(seconds) {
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
}

function field(note, name, label) {
  const input = make("input", { type: "text", value: note[name] ?? "", maxLength: MAX_CHARACTERS, placeholder: label, dir: "auto" });
  input.setAttribute("aria-label", label);
  input.dataset.field = name;
  return input;
}

function item(note) {
  const isTask = note.kind === "action_item";
  const element = make("li", { className: note.is_done ? "done" : "" });
  element.dataset.id = note.id;
  const done = make("input", { type: "checkbox", checked: note.is_done });
  done.dataset.field = "is_done";
  done.setAttribute("aria-label", words("notes.done"));
  const places = note.spans.map(({ start_s, end_s }) => `${clock(start_s)}–${clock(end_s)}`).join(", ");
  const more = isTask ? [field(note, "owner", words("notes.owner")), field(note, "deadline", words("notes.deadline"))] : [];
  element.append(
    ...(isTask ? [done] : []),
    field(note, "text", words(`notes.${note.kind}`)),
    iconButton("close", words("notes.remove"), "remove"),
    make("div", { className: "ep-note-more" }, ...more, make("small", {}, places)),
  );
  return element;
}

function draw() {
  const list = byId("notes-list");
  if (list.contains(document.activeElement)) return;
  list.replaceChildren(
    ...KINDS.flatMap((kind) => {
      const of_kind = notes.filter((note) => note.kind === kind);
      if (!of_kind.length) return [];
      return [make("h3", {}, words(`notes.${kind}s`)), make("ul", {}, ...of_kind.map(item))];
    }),
  );
  byId("notes").hidden = !notes.length;
}

export const notesEvents = {
  "call.notes.updated": (event) => ((notes = event.notes), draw()),
};

// The notes as Markdown, to be kept.
export function notesAsMarkdown() {
  return KINDS.filter((kind) => notes.some((note) => note.kind === kind))
    .map((kind) => {
      const lines = notes.filter((note) => note.kind === kind).map(line);
      return `## ${words(`notes.${kind}s`)}\n\n${lines.join("\n")}\n`;
    })
    .join("\n");
}

function line(note) {
  const about = [note.owner, note.deadline].filter(Boolean).join(", ");
  const tick = note.kind === "action_item" ? `[${note.is_done ? "x" : " "}] ` : "";
  return `- ${tick}${note.text}${about ? ` (${about})` : ""}`;
}
