// What a person can do with one message: play it, copy it, edit it and send it again, ask for another answer.
import { byId, iconButton, make, showError } from "./dom.js";
import { characters, MAX_TEXT_CHARACTERS, tooLong } from "./limits.js";
import { find, scrollToEnd, wholeText } from "./log.js";
import { togglePlayback } from "./playback.js";
import { words } from "./words.js";

const COPIED_SHOWN_MS = 1500;

// Puts the buttons that a message can have beneath it, once it is whole.
//
// isModern: the server can play a message and take messages back.
export function offerActions(known, isModern) {
  const names = known.role === "user" ? userActions(known, isModern) : answerActions(isModern);
  known.foot.querySelector(".ep-actions")?.remove();
  const buttons = names.map((name) => iconButton(name, words(`item.${name}`), name));
  known.foot.append(make("span", { className: "ep-actions" }, ...buttons));
}

function userActions({ audio_s }, isModern) {
  return [...(audio_s && isModern ? ["play"] : []), "copy", ...(isModern ? ["edit"] : [])];
}

function answerActions(isModern) {
  return ["copy", ...(isModern ? ["retry"] : [])];
}

// Listens to the buttons of all messages.
export function bindItemActions(client) {
  const actions = {
    "play": (known, button) => togglePlayback(button, known.id, client.token),
    "copy": (known, button) => copy(textOf(button), button),
    "copy-code": (known, button) => copy(button.previousElementSibling.textContent, button),
    "edit": (known) => edit(known, client),
    "retry": (known) => retry(known, client),
  };
  byId("items").addEventListener("click", async (event) => {
    const button = event.target.closest("[data-action]");
    if (!button) return;
    showError("");
    try {
      await actions[button.dataset.action](find(button.closest(".ep-item").dataset.id), button);
    } catch (error) {
      showError(words(error.message));
    }
  });
}

// What a message says, without the mark of where it was cut; of an earlier conversation too.
function textOf(button) {
  const item = button.closest(".ep-item");
  const known = find(item.dataset.id);
  if (known) return wholeText(known);
  const text = item.querySelector(".ep-text").cloneNode(true);
  text.querySelector(".ep-cut")?.remove();
  return text.textContent.trim();
}

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text); // a page over http has no clipboard
  } catch (error) {
    throw new Error("item.copy_refused", { cause: error });
  }
  const label = button.getAttribute("aria-label");
  button.classList.add("done");
  button.title = words("item.copied");
  setTimeout(() => (button.classList.remove("done"), (button.title = label)), COPIED_SHOWN_MS);
}

function edit(known, client) {
  const box = make("textarea", { value: wholeText(known), rows: 2, dir: "auto" });
  box.setAttribute("aria-label", words("item.edit_label"));
  const send = make("button", { type: "button", className: "primary" }, words("item.edit_send"));
  const cancel = make("button", { type: "button" }, words("item.edit_cancel"));
  const editor = make("div", { className: "ep-editor" }, box, make("span", { className: "ep-actions" }, send, cancel));
  const close = () => {
    editor.remove();
    known.element.classList.remove("editing");
  };
  const finish = async () => {
    const text = box.value.trim();
    if (!text) return box.focus();
    try {
      if (characters(text) > MAX_TEXT_CHARACTERS) throw new Error(tooLong(characters(text)));
      await client.rewrite(known.id, text);
    } catch (error) {
      return showError(words(error.message)); // and what was written stays
    }
    close();
    scrollToEnd();
    byId("text").focus(); // the message with the button goes
  };
  send.addEventListener("click", finish);
  cancel.addEventListener("click", () => (close(), known.foot.querySelector("[data-action=edit]").focus()));
  box.addEventListener("keydown", (event) => {
    if (event.key === "Escape") cancel.click();
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    finish();
  });
  known.element.classList.add("editing");
  known.text.before(editor);
  box.focus();
}

// Has the question of an answer answered once more.
async function retry(known, client) {
  const question = find(known.asked);
  const text = question && wholeText(question);
  if (!text) throw new Error("item.nothing_to_ask");
  await client.rewrite(question.id, text);
  scrollToEnd();
  byId("text").focus(); // the message with the button goes
}
