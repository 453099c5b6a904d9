// How the session fares, in numbers: medians over its answers, and what the server counts.
import { byId, make } from "./dom.js";
import { SAMPLE_RATE_HZ } from "./microphone.js";
import { count, seconds, shortTime, words } from "./words.js";

const WORTH_SHOWING_SAMPLES = 160; // 10 ms: a single peak at full scale is no trouble
const WORTH_SHOWING_DRIFT_S = 0.1;
const PACKET_SAMPLES = 320; // 20 ms, of WebRTC
const ALWAYS = ["turns", "cut_ins", "retracted", "interrupted"];

let waits = { first_word: [], first_sound: [] }; // seconds after the last word, one per answer
let metrics = null;
let about = {};

function median(values) {
  if (!values.length) return "";
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return shortTime((sorted[Math.floor(middle)] + sorted[Math.ceil(middle)]) / 2);
}

// Notes what else there is to say of the session: {transport}.
export function noteAbout(more) {
  about = { ...about, ...more };
  draw();
}

// Notes how long one answer took.
export function noteAnswer({ response_latency_s, timing }) {
  const word_s = timing?.first_token_s ?? response_latency_s;
  if (word_s != null) waits.first_word.push(word_s);
  if (timing?.first_audio_s != null) waits.first_sound.push(timing.first_audio_s);
  draw();
}

// Draws a `session.metrics`; without one, the latest again: in another language, perhaps.
export function drawMetrics(event = metrics) {
  metrics = event;
  draw();
}

export function forgetNumbers() {
  waits = { first_word: [], first_sound: [] };
  metrics = null;
  draw();
}

function draw() {
  const rows = {
    ...about,
    first_word: median(waits.first_word),
    first_sound: median(waits.first_sound),
    ...(metrics && counted(metrics)),
  };
  const shown = Object.entries(rows).filter(([name, value]) => value || (metrics && ALWAYS.includes(name)));
  const cells = shown.flatMap(([name, value]) => [
    make("dt", {}, words(`numbers.${name}`)),
    make("dd", {}, typeof value === "number" ? count(value) : value),
  ]);
  byId("metrics").replaceChildren(...(cells.length ? cells : [make("dt", {}, words("details.nothing"))]));
}

function counted(event) {
  return {
    turns: event.turns,
    unanswered_turns: event.unanswered_turns,
    waits: median(event.recent_waits_s),
    cut_ins: words("numbers.of_turns", { count: count(event.cut_ins), turns: count(event.turns) }),
    retracted: words("numbers.of_early", { count: count(event.retracted), total: count(event.provisional) }),
    interrupted: event.interrupted,
    false_interruptions: event.false_interruptions,
    speculations_skipped: event.speculations_skipped,
    scorer_failures: event.scorer_failures,
    failed: event.failed,
    summaries: event.summaries,
    captions: event.captions ? shortTime(event.mean_caption_wait_s) : "",
    failed_captions: event.failed_captions,
    rejected: event.rejected,
    ...troubles(event),
  };
}

// What was wrong with the audio; most of it never happens.
function troubles(event) {
  const audio = (samples) => (samples >= WORTH_SHOWING_SAMPLES ? shortTime(samples / SAMPLE_RATE_HZ) : "");
  const drifts = Math.abs(event.clock_drift_s) >= WORTH_SHOWING_DRIFT_S;
  return {
    lost: audio(event.gap_samples + event.lost_packets * PACKET_SAMPLES),
    repeated: audio(event.repeated_samples),
    clipped: audio(event.clipped_samples),
    non_finite: audio(event.non_finite_samples),
    offset: audio(event.offset_samples),
    flat: audio(event.flat_samples),
    drift: drifts ? seconds(event.clock_drift_s) : "",
  };
}
