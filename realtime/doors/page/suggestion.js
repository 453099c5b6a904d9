// What I could say now: one suggestion, large, as the session's events tell it. Earlier ones stay in the log.
import { byId } from "./dom.js";
import { words } from "./words.js";

const RETRACTED_SHOWN_MS = 900;

let shown = ""; // the response that is shown

function show(state, text) {
  byId("suggestion").dataset.state = state;
  byId("suggestion-text").textContent = text;
}

export function showNone() {
  shown = "";
  show("none", words("call.no_suggestion"));
}

function grow({ response_id, delta, provisional }) {
  const before = shown === response_id ? byId("suggestion-text").textContent : "";
  shown = response_id;
  show(provisional ? "provisional" : "committed", before + delta);
}

function retract({ response_id }) {
  if (shown !== response_id) return;
  byId("suggestion").dataset.state = "retracted";
  setTimeout(() => shown === response_id && showNone(), RETRACTED_SHOWN_MS);
}

export const suggestionEvents = {
  "response.output_text.delta": grow,
  "response.committed": ({ response_id }) => shown === response_id && (byId("suggestion").dataset.state = "committed"),
  "response.retracted": retract,
  "response.done": ({ response_id, status, text }) => shown === response_id && text && show(status === "cancelled" ? "stopped" : "done", text),
};
