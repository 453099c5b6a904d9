// The ring around the button: what was heard and said in the last second and a half.
//
// The microphone's real level enters at the top and flows down both sides; the answer's words enter at the bottom and
// flow up, in grey while they are provisional. So a glance says who has the floor. Nothing is drawn that did not happen.
// Where motion is to be reduced, the whole upper half shows the present level instead, and the lower half the words.
import { byId } from "./dom.js";

const BARS = 22; // on each quarter of the circle
const STEP_MS = 70; // after which every bar moves on by one place
const INNER = 0.66; // radius at which bars begin, as a share of the whole
const LONGEST = 0.32; // bar
const WORD_LEVEL = 0.55; // of a token; text has no loudness
const FULL_PERCENT = 100;

const heard = new Array(BARS).fill(0); // newest first, 0 to 1
const said = new Array(BARS).fill(0);
const saidIsProvisional = new Array(BARS).fill(false);
const calm = matchMedia("(prefers-reduced-motion: reduce)");

let level = 0;
let word = 0;
let wordIsProvisional = false;
let lastStep_ms = 0;
let isRunning = false;

// Shows how loud the microphone is, in percent.
export function showLevel(percent) {
  level = percent / FULL_PERCENT;
  byId("ring").dataset.level = Math.round(percent);
  run();
}

// Shows that a piece of the answer came.
export function showWord(isProvisional) {
  word = WORD_LEVEL;
  wordIsProvisional = isProvisional;
  run();
}

// Takes the words that were not committed out of the ring.
export function retractWords() {
  saidIsProvisional.forEach((provisional, place) => provisional && (said[place] = 0));
  run();
}

// What was provisional is the answer now.
export function commitWords() {
  saidIsProvisional.fill(false);
  run();
}

export function refreshRing() {
  run();
}

function run() {
  if (isRunning) return;
  isRunning = true;
  requestAnimationFrame(frame);
}

function frame(now_ms) {
  if (now_ms - lastStep_ms >= STEP_MS) {
    lastStep_ms = now_ms;
    step();
    paint();
  }
  isRunning = level > 0.01 || [...heard, ...said].some((value) => value > 0.01);
  if (isRunning) requestAnimationFrame(frame);
}

function step() {
  if (calm.matches) {
    heard.fill(level);
    said.fill(word);
    saidIsProvisional.fill(wordIsProvisional);
  } else {
    heard.pop();
    heard.unshift(level);
    said.pop();
    said.unshift(word);
    saidIsProvisional.pop();
    saidIsProvisional.unshift(wordIsProvisional);
  }
  word = 0;
}

function paint() {
  const canvas = byId("ring");
  const size = canvas.clientWidth * devicePixelRatio;
  if (!size) return;
  if (canvas.width !== size) canvas.width = canvas.height = size;
  const pen = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  const [accent, ink, soft, line] = ["--accent", "--ink", "--soft", "--line"].map((name) => style.getPropertyValue(name));
  pen.clearRect(0, 0, size, size);
  pen.lineCap = "round";
  pen.lineWidth = Math.max(2, size * 0.011);
  for (let place = 0; place < BARS; place += 1) {
    const turn = ((place + 0.5) / BARS) * (Math.PI / 2);
    const fade = calm.matches ? 1 : 1 - 0.6 * (place / BARS);
    for (const side of [-1, 1]) {
      bar(pen, size, -Math.PI / 2 + side * turn, heard[place] * fade, heard[place] > 0.01 ? accent : line);
      const colour = saidIsProvisional[place] ? soft : ink;
      bar(pen, size, Math.PI / 2 + side * turn, said[place] * fade, said[place] > 0.01 ? colour : line);
    }
  }
}

function bar(pen, size, angle, value, colour) {
  const [from, to] = [INNER, INNER + 0.006 + LONGEST * value].map((radius) => (radius * size) / 2);
  pen.strokeStyle = colour;
  pen.beginPath();
  pen.moveTo(size / 2 + from * Math.cos(angle), size / 2 + from * Math.sin(angle));
  pen.lineTo(size / 2 + to * Math.cos(angle), size / 2 + to * Math.sin(angle));
  pen.stroke();
}
