// Who speaks in a call: me and the others, and who of the others, where the server knows their voices. A person gives
// them names by typing over the ones that they have.
import { make } from "./dom.js";
import * as log from "./log.js";
import { words } from "./words.js";

const MAX_CHARACTERS = 100;

let send = () => {};

// `command` is what a session takes.
export const bindSpeakers = (sendCommand) => (send = sendCommand);

function show({ item_id, speaker }) {
  const known = speaker && log.find(item_id);
  if (!known || known.element.dataset.speaker) return;
  known.element.dataset.speaker = speaker;
  const name = speaker === "me" || speaker === "them" ? words(`call.${speaker}`) : speaker;
  known.element.setAttribute("aria-label", name);
  known.element.prepend(make("span", { className: "ep-who" }, name));
}

function tell({ item_id, speaker }) {
  const element = log.find(item_id)?.element;
  const who = element?.querySelector(".ep-who");
  if (!who || who === document.activeElement) return;
  element.setAttribute("aria-label", speaker);
  const input = make("input", { type: "text", className: "ep-who", value: speaker, maxLength: MAX_CHARACTERS, title: words("archive.name_speaker"), dir: "auto" });
  input.setAttribute("aria-label", `${words("archive.name_speaker")}: ${speaker}`);
  input.addEventListener("change", () => {
    const name = input.value.trim();
    if (!name) input.value = speaker;
    else if (name !== speaker) (input.blur(), send({ type: "call.speaker.name", speaker, name }));
  });
  who.replaceWith(input);
}

export const speakerEvents = {
  "input_audio_buffer.speech_started": show,
  "conversation.item.created": show,
  "call.speaker.told": tell,
};
