// Where the time of a turn went: a small waterfall beneath its answer, drawn when it is opened.
import { make } from "./dom.js";
import { shortTime, words } from "./words.js";

// What happens, and what it waits for: a bar goes from the end of the latter to the end of the former.
const STEPS = [
  ["pause_noticed_s", null],
  ["prefill_s", "pause_noticed_s"],
  ["first_provisional_s", "prefill_s"],
  ["committed_s", "pause_noticed_s"],
  ["first_token_s", "prefill_s"],
  ["first_audio_s", "first_token_s"],
  ["done_s", "first_token_s"],
];

// Puts a line with the wait beneath an answer; opening it shows the bars.
//
// timing: seconds from the last voiced sample, null where unknown.
export function drawTiming(known, timing) {
  const wait_s = timing.first_token_s;
  if (wait_s == null) return;
  const summary = make("summary", {}, words("item.first_word", { time: shortTime(wait_s) }));
  const details = make("details", { className: "ep-timing" }, summary);
  details.addEventListener("toggle", () => details.children.length > 1 || details.append(chart(timing)), { once: true });
  known.foot.append(details);
}

function chart(timing) {
  const last_s = Math.max(...Object.values(timing).filter((value) => value != null), 1e-3);
  const rows = STEPS.filter(([name]) => timing[name] != null).map(([name, after]) => {
    const end_s = timing[name];
    const start_s = Math.min(timing[after] ?? 0, end_s);
    const bar = make("i", { className: name });
    bar.style.marginInlineStart = `${(100 * start_s) / last_s}%`;
    bar.style.width = `${(100 * (end_s - start_s)) / last_s}%`;
    const track = make("span", { className: "ep-track" }, bar);
    return make("li", {}, make("span", {}, words(`timing.${name}`)), track, make("b", {}, shortTime(end_s)));
  });
  const list = make("ol", { className: "ep-waterfall" }, ...rows);
  list.setAttribute("aria-label", words("timing.title"));
  return make("div", {}, list, make("small", {}, words("timing.note")));
}
