// The answers, as the session's events tell them: grey while they are provisional, fading where they are taken back,
// marked where they were cut.
//
// While an answer streams it is plain text, added to one text node. When it is done, its Markdown is laid out by the
// server. An answer without a word yet has no bubble: the log says that the assistant thinks.
import { byId, make } from "./dom.js";
import { alsoKnownAs, find, follow, note, record, remove, withdraw } from "./log.js";
import { layOut } from "./markdown.js";
import { drawTiming } from "./waterfall.js";
import { shortTime, words } from "./words.js";

let open = null; // the answer under way: {id, asked, isProvisional, isCommitted, hasText}

export const isThinking = () => open !== null && !open.hasText;
export const isAnswering = () => open !== null;

function showThinking() {
  byId("thinking").hidden = !isThinking();
  follow();
}

function begin({ response_id, item_id, provisional }) {
  open = { id: response_id, asked: item_id, isProvisional: provisional, hasText: false };
  showThinking();
}

function grow({ response_id, delta, provisional }) {
  let known = find(response_id);
  if (!known) {
    known = record(response_id, "assistant");
    known.asked = open?.asked;
    known.node = known.text.appendChild(document.createTextNode(""));
    known.element.classList.toggle("provisional", open?.isProvisional ?? provisional);
    if (open) open.hasText = true;
    showThinking();
  }
  known.node.appendData(delta);
  known.words += delta;
}

function commit({ response_id }) {
  if (open) open.isProvisional = false;
  find(response_id)?.element.classList.remove("provisional");
}

function retract({ response_id }) {
  open = null;
  showThinking();
  withdraw(find(response_id));
}

// The message that an answer became; one that no answer became was opened from a file.
function enter({ item_id, role, text, interrupted }) {
  if (role !== "assistant") return;
  const answer = open && find(open.id);
  if (answer) {
    answer.itemId = item_id;
    return alsoKnownAs(answer, item_id);
  }
  const known = record(item_id, "assistant");
  const above = find(known.element.previousElementSibling?.dataset.id);
  Object.assign(known, { words: text, itemId: item_id, asked: above?.role === "user" ? above.id : "" });
  known.text.textContent = text;
  finish(known, { status: interrupted ? "cancelled" : "completed", stop_reason: null });
}

function done(event) {
  open = null;
  showThinking();
  const known = find(event.response_id);
  if (!known) return;
  if (!event.text) return remove(known);
  if (known.node && event.text !== known.words) known.node.data = known.words = event.text; // of what is heard, not all was
  finish(known, event);
}

function finish(known, event) {
  known.element.classList.remove("provisional");
  known.element.classList.add(event.status);
  known.interrupted = event.status === "cancelled";
  known.timing = event.timing;
  const mark = markOf(event);
  const end = mark && make("span", { className: "ep-cut" }, words(mark));
  if (end) known.text.append(" ", end);
  if (event.timing) drawTiming(known, event.timing);
  else if (event.response_latency_s != null)
    note(known, words("item.first_word", { time: shortTime(event.response_latency_s) }));
  layOut(known, end);
}

function markOf({ status, stop_reason }) {
  if (status === "cancelled") return "item.interrupted";
  if (status === "failed") return "item.failed";
  if (status === "incomplete" || stop_reason === "length") return "item.length";
  return "";
}

// The connection has gone, or the conversation: no answer is under way.
export function endAnswer() {
  open = null;
  showThinking();
}

export const answerEvents = {
  "response.created": begin,
  "response.output_text.delta": grow,
  "response.committed": commit,
  "response.retracted": retract,
  "response.done": done,
  "conversation.item.created": enter,
};
