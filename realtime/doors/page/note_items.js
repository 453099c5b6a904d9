// Notes as a person sees them, in a call and of a recording: they are edited, ticked and removed in place. While
// somebody writes in one, it is left alone.
import { clock, places } from "./clock.js";
import { icon, iconButton, make } from "./dom.js";
import { words } from "./words.js";

const KINDS = ["summary", "decision", "action_item", "open_question"];
const MAX_CHARACTERS = 500;
const WRITTEN_IN = "input[type=text], textarea";

// Shows notes in a list and takes what a person does with them.
//
// `change(id, changes)` and `remove(id)` do what is asked for; `play(span)` and `ask(note)`, where there are any, play
// the sound of a note and ask about it.
export class NoteItems {
  constructor(list, { change, remove, play = null, ask = null }) {
    Object.assign(this, { list, play, ask, notes: [] });
    list.addEventListener("change", ({ target }) => {
      const { id } = target.closest("li").dataset;
      const value = target.type === "checkbox" ? target.checked : target.value.trim();
      if (target.dataset.field === "text" && !value) return this.draw();
      const changes = { [target.dataset.field]: value };
      this.notes = this.notes.map((note) => (note.id === id ? { ...note, ...changes } : note)); // until the server says so
      change(id, changes);
    });
    list.addEventListener("click", ({ target }) => {
      const button = target.closest("[data-action]");
      const note = button && this.notes.find(({ id }) => id === button.closest("li").dataset.id);
      if (!note) return;
      if (button.dataset.action === "remove") remove(note.id);
      else if (button.dataset.action === "ask") ask(note);
      else if (button.dataset.action === "play") play(note.spans[button.dataset.span]);
    });
    list.addEventListener("focusout", ({ target }) => target.matches(WRITTEN_IN) && requestAnimationFrame(() => this.draw()));
  }

  show(notes) {
    this.notes = notes;
    this.draw();
  }

  draw() {
    const { activeElement } = document;
    const isInside = this.list.contains(activeElement);
    if (isInside && activeElement.matches(WRITTEN_IN)) return;
    const { field: wanted, action } = isInside ? activeElement.dataset : {};
    const id = isInside && activeElement.closest("li").dataset.id;
    this.list.replaceChildren(
      ...KINDS.flatMap((kind) => {
        const ofKind = this.notes.filter((note) => note.kind === kind);
        if (!ofKind.length) return [];
        return [make("h3", {}, words(`notes.${kind}s`)), make("ul", {}, ...ofKind.map((note) => this.item(note)))];
      }),
    );
    if (isInside) this.focus(id, wanted ? `[data-field="${wanted}"]` : `[data-action="${action}"]`);
  }

  // Goes back to where the keyboard was.
  focus(id, selector) {
    for (const item of this.list.querySelectorAll("li")) if (item.dataset.id === id) item.querySelector(selector)?.focus();
  }

  item(note) {
    const isTask = note.kind === "action_item";
    const element = make("li", { className: note.is_done ? "done" : "" });
    element.dataset.id = note.id;
    const done = make("input", { type: "checkbox", checked: note.is_done });
    done.dataset.field = "is_done";
    done.setAttribute("aria-label", words("notes.done"));
    const more = isTask ? [field(note, "owner", words("notes.owner")), field(note, "deadline", words("notes.deadline"))] : [];
    element.append(
      ...(isTask ? [done] : []),
      field(note, "text", words(`notes.${note.kind}`)),
      iconButton("close", words("notes.remove"), "remove"),
      make("div", { className: "ep-note-more" }, ...more, ...this.places(note)),
    );
    return element;
  }

  places(note) {
    if (!this.play) return [make("small", {}, places(note.spans))];
    const buttons = note.spans.map((span, number) => playButton(span, number));
    const ask = iconButton("ask", words("notes.ask"), "ask");
    return [make("span", { className: "ep-places" }, ...buttons, ask)];
  }
}

// A button that plays a part of the sound.
export function playButton(span, number = 0) {
  const at = `${clock(span.start_s)}–${clock(span.end_s)}`;
  const button = make("button", { type: "button", className: "ep-place", title: words("notes.play") }, icon("play"), at);
  button.dataset.action = "play";
  button.dataset.span = number;
  button.setAttribute("aria-label", `${words("notes.play")}: ${at}`);
  return button;
}

function field(note, name, label) {
  const isLong = note.kind === "summary";
  const properties = { value: note[name] ?? "", placeholder: label, dir: "auto" };
  const input = isLong
    ? make("textarea", { ...properties, rows: 2, maxLength: 4 * MAX_CHARACTERS })
    : make("input", { ...properties, type: "text", maxLength: MAX_CHARACTERS });
  input.setAttribute("aria-label", label);
  input.dataset.field = name;
  return input;
}

// Notes as Markdown, to be kept.
export function notesAsMarkdown(notes) {
  return KINDS.filter((kind) => notes.some((note) => note.kind === kind))
    .map((kind) => {
      const lines = notes.filter((note) => note.kind === kind).map(line);
      return `## ${words(`notes.${kind}s`)}\n\n${lines.join("\n")}\n`;
    })
    .join("\n");
}

function line(note) {
  if (note.kind === "summary") return note.text;
  const about = [note.owner, note.deadline].filter(Boolean).join(", ");
  const tick = note.kind === "action_item" ? `[${note.is_done ? "x" : " "}] ` : "";
  return `- ${tick}${note.text}${about ? ` (${about})` : ""}`;
}
