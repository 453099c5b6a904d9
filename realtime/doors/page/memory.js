// What the model remembers: how full its window is, what lies in it, and what will leave it next.
//
// Widths are true shares of the budget: what is small is a hair's breadth, and what is free is free.
import { byId, make } from "./dom.js";
import { count, percent, seconds, words } from "./words.js";

const BUDGETS = [
  { part: "tokens", max: "max_tokens", say: count },
  { part: "audio_s", max: "max_audio_s", say: seconds },
];
const TIERS = ["audio", "text", "summary"];

let latest = null;

// Draws a `conversation.window`; without one, the latest again: in another language, perhaps.
export function drawMemory(event = latest) {
  if (!event) return;
  latest = event;
  const shares = BUDGETS.map(({ part, max }) => event[part] / event[max]);
  const fuller = shares[0] >= shares[1] ? BUDGETS[0] : BUDGETS[1]; // the one that will make it forget
  const leaving = leavingNext(event.messages);
  byId("window-text").textContent = words("memory", { percent: percent(Math.max(...shares)) });
  byId("window-bar").replaceChildren(...bars(event, fuller, leaving));
  byId("memory").replaceChildren(...BUDGETS.map((budget) => meter(event, budget, leaving)), legend());
}

// The oldest exchange: a message and the answers to it. The system prompt and the summary stay.
function leavingNext(messages) {
  const first = messages.findIndex(({ role }) => role !== "system");
  if (first < 0) return new Set();
  let end = first + 1;
  while (messages[end]?.role === "assistant") end += 1;
  return end < messages.length ? new Set(messages.slice(first, end)) : new Set(); // the newest one stays
}

function bars(event, { part, max }, leaving) {
  return event.messages.map((message) => {
    const bar = make("i", { className: message.tier, title: described(message) });
    bar.classList.toggle("leaving", leaving.has(message));
    bar.style.width = `${(100 * message[part]) / event[max]}%`;
    return bar;
  });
}

function described({ role, tier, tokens, audio_s }) {
  return words("memory.part", {
    role: words(`memory.${role}`),
    tier: words(`memory.${tier}`),
    tokens: count(tokens),
    seconds: seconds(audio_s),
  });
}

function meter(event, budget, leaving) {
  const [used, max] = [budget.say(event[budget.part]), budget.say(event[budget.max])];
  const label = words(`memory.${budget.part}`, { used, max });
  const bar = make("div", { className: "ep-window-bar large" }, ...bars(event, budget, leaving));
  return make("div", { className: "ep-meter" }, make("span", {}, label), bar);
}

function legend() {
  const entries = [...TIERS, "leaving"].map((kind) =>
    make("li", {}, make("i", { className: kind }), words(kind === "leaving" ? "memory.next" : `memory.${kind}`)),
  );
  return make("ul", { className: "ep-legend" }, ...entries);
}
