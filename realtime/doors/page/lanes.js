// A picture of who spoke when: one lane for each speaker, with a mark for every line that was said and every note.
// A click on it plays from there.
import { clock } from "./clock.js";
import { make } from "./dom.js";
import { words } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 1000; // of the drawing, whatever its size on the screen
const LEAST = 2; // of a mark

function shape(name, attributes, title = "") {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (title) {
    const said = document.createElementNS(SVG, "title");
    said.textContent = title;
    element.append(said);
  }
  return element;
}

// Draws lanes into a figure; `play(start_s)` is told where a person clicks, `rename(speaker, name)` of a new name.
export class Lanes {
  constructor(figure, { play, rename }) {
    Object.assign(this, { figure, play, rename, heads: [], duration_s: 1 });
  }

  draw({ lines, notes, duration_s }, { canRename }) {
    this.duration_s = Math.max(duration_s, ...lines.map((line) => line.end_s), 0.1);
    const speakers = [...new Set(lines.map((line) => line.speaker))];
    this.heads = [];
    const rows = speakers.map((speaker) => this.row(speaker, lines.filter((line) => line.speaker === speaker), canRename));
    if (notes.length) rows.push(this.row(words("notes.title"), notes.filter((note) => note.kind !== "summary").flatMap(marks), false, "ep-lane notes"));
    this.figure.replaceChildren(...rows);
    this.figure.hidden = !lines.length;
  }

  row(speaker, spans, canRename, className = "ep-lane") {
    const drawing = shape("svg", { viewBox: `0 0 ${WIDTH} 20`, preserveAspectRatio: "none", "aria-hidden": "true" });
    const x = (seconds) => (WIDTH * seconds) / this.duration_s;
    for (const { start_s, end_s, text } of spans) {
      const width = Math.max(LEAST, x(end_s) - x(start_s));
      drawing.append(shape("rect", { x: x(start_s), y: 3, width, height: 14, rx: 1 }, `${clock(start_s)} ${text}`));
    }
    const head = shape("line", { x1: 0, x2: 0, y1: 0, y2: 20, "vector-effect": "non-scaling-stroke" });
    drawing.append(head);
    this.heads.push(head);
    drawing.addEventListener("click", (event) => {
      const { left, width } = drawing.getBoundingClientRect();
      this.play((this.duration_s * (event.clientX - left)) / width);
    });
    return make("div", { className }, this.label(speaker, canRename), drawing);
  }

  label(speaker, canRename) {
    if (!canRename || speaker === null) return make("span", {}, speaker ?? words("archive.speech"));
    const input = make("input", { type: "text", value: speaker, maxLength: 100, title: words("archive.name_speaker"), dir: "auto" });
    input.setAttribute("aria-label", `${words("archive.name_speaker")}: ${speaker}`);
    input.addEventListener("change", () => {
      const name = input.value.trim();
      if (!name) input.value = speaker;
      else if (name !== speaker) this.rename(speaker, name);
    });
    return input;
  }

  // Shows which place is played.
  follow(seconds) {
    for (const head of this.heads) {
      const at = (WIDTH * seconds) / this.duration_s;
      head.setAttribute("x1", at);
      head.setAttribute("x2", at);
    }
  }
}

const marks = (note) => note.spans.map(({ start_s, end_s }) => ({ start_s, end_s, text: note.text }));
