// What the person does: buttons, the Enter key, and the key or button that is held to talk.
import { byId, showError } from "./drawing.js";

// Binds the controls.
//
// actions: by the name of a button, what it does; what one throws is shown, after `onFailure`.
// isPushToTalk(): whether the space bar talks.
// press(), release(): of push-to-talk, by whatever it is held.
// Gives perform(name), which does what a click does.
export function bindControls({ actions, isPushToTalk, press, release, onFailure }) {
  async function perform(name) {
    showError("");
    const button = byId(name);
    button.disabled = true;
    try {
      await actions[name]();
    } catch (error) {
      onFailure();
      showError(error.message);
    } finally {
      button.disabled = false;
    }
  }

  for (const name of Object.keys(actions)) byId(name).addEventListener("click", () => perform(name));
  byId("text").addEventListener("keydown", (event) => event.key === "Enter" && perform("send"));

  const isTalkKey = (event) => event.code === "Space" && isPushToTalk() && event.target !== byId("text");
  document.addEventListener("keydown", (event) => {
    if (!isTalkKey(event)) return;
    event.preventDefault(); // a button would be clicked, the page would scroll
    press();
  });
  document.addEventListener("keyup", (event) => {
    if (!isTalkKey(event)) return;
    event.preventDefault();
    release();
  });
  byId("hold").addEventListener("pointerdown", press);
  for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, release);
  window.addEventListener("blur", release);
  return perform;
}
