// What the person does: buttons, keys, and the key or button that is held to talk.
import { byId, showError } from "./dom.js";
import { words } from "./words.js";

const TAKES_SPACE = "button, input, textarea, select, summary, a, dialog, [tabindex]";

// Binds the controls.
//
// actions: by the name of a button, what it does; what one throws is shown.
// isPushToTalk(): whether the space bar talks. isAnswering(): whether there is an answer to stop.
// press(), release(): of push-to-talk, by whatever it is held.
// Gives perform(name), which does what a click does. A button keeps the focus while it works.
export function bindControls({ actions, isPushToTalk, isAnswering, press, release }) {
  async function perform(name, action = actions[name]) {
    showError("");
    try {
      await action();
    } catch (error) {
      showError(words(error.message));
    }
  }

  for (const name of Object.keys(actions)) byId(name).addEventListener("click", () => perform(name));
  byId("error-close").addEventListener("click", () => showError(""));
  bindHolding({ isPushToTalk, press: () => perform("press", press), release });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && isAnswering() && !event.target.closest("dialog, .ep-editor")) perform("stop");
  });
  bindDrawers();
  return perform;
}

function bindHolding({ isPushToTalk, press, release }) {
  const hold = byId("hold");
  const isTalkKey = ({ code, target }) =>
    code === "Space" && isPushToTalk() && (target.closest("#ep-hold") || !target.closest(TAKES_SPACE));
  document.addEventListener("keydown", (event) => {
    if (!isTalkKey(event)) return;
    event.preventDefault(); // a button would be clicked, the page would scroll
    if (!event.repeat) press();
  });
  document.addEventListener("keyup", (event) => {
    if (event.code === "Space") release(); // wherever the focus has gone meanwhile
    if (isTalkKey(event)) event.preventDefault();
  });
  hold.addEventListener("pointerdown", press);
  for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, release);
  window.addEventListener("blur", release);
}

// A drawer closes by its button, by Escape, and by a click beside it.
function bindDrawers() {
  for (const drawer of document.querySelectorAll("dialog")) {
    drawer.addEventListener("click", ({ target }) => {
      if (target === drawer || target.closest(".ep-close")) drawer.close();
    });
  }
  for (const opener of [byId("details-open"), byId("model")])
    opener.addEventListener("click", () => byId("details").showModal());
}
