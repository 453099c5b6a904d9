// The text box: what is typed and the files that go with it, until they are sent. Nothing is lost that was not sent.
import { byId, icon, iconButton, make, showError } from "./dom.js";
import { kindOf, readText, sendSound } from "./files.js";
import { characters, MAX_TEXT_CHARACTERS, tooLong } from "./limits.js";
import { scrollToEnd } from "./log.js";
import { words } from "./words.js";

const GROWS_BY_ITSELF = CSS.supports("field-sizing", "content");
const MAX_ROWS = 8; // of a text box that does not

let client = null;
let attached = []; // [{name, text}]: text files that go with the next message

// Sends the message; throws an error that says why it was not sent, and keeps it then.
export async function sendMessage() {
  const box = byId("text");
  const [files, value, typed] = [attached, box.value, box.value.trim()];
  if (!typed && !files.length) return;
  const parts = [...files.map(({ name, text }) => `${name}:\n\n${text.trim()}`), ...(typed ? [typed] : [])];
  const length = characters(parts.join("\n"));
  if (length > MAX_TEXT_CHARACTERS) throw new Error(tooLong(length));
  scrollToEnd();
  await client.ask(...parts);
  box.value = box.value.startsWith(value) ? box.value.slice(value.length) : box.value; // more was typed while it connected
  attached = attached.filter((file) => !files.includes(file));
  drawAttached();
  showLength();
}

// Puts what did not arrive before what is being typed.
export function giveBack(texts) {
  const box = byId("text");
  box.value = [...texts, box.value].filter(Boolean).join("\n");
  showLength();
  showError(words("text.given_back"));
}

function showLength() {
  const box = byId("text");
  const length = characters(box.value.trim());
  const isTooLong = length > MAX_TEXT_CHARACTERS;
  byId("limit").hidden = !isTooLong;
  byId("limit").textContent = isTooLong ? tooLong(length) : "";
  box.setAttribute("aria-invalid", isTooLong);
  if (!GROWS_BY_ITSELF) box.rows = Math.min(MAX_ROWS, box.value.split("\n").length);
}

function drawAttached() {
  byId("attached").replaceChildren(
    ...attached.map((file) => {
      const button = iconButton("close", words("text.remove_file", { name: file.name }));
      button.addEventListener("click", () => {
        attached = attached.filter((other) => other !== file);
        drawAttached();
        byId("text").focus();
      });
      return make("li", {}, icon("file"), make("bdi", {}, file.name), button);
    }),
  );
}

async function add(files) {
  showError("");
  for (const file of files) {
    try {
      if (kindOf(file) === "text") attached = [...attached, { name: file.name, text: await readText(file) }];
      else await addSound(file);
    } catch (error) {
      showError(words(error.message));
    }
  }
  drawAttached();
}

async function addSound(file) {
  await client.ensureConnected();
  scrollToEnd();
  await sendSound(file, client.token);
}

// Binds the box. `perform` sends, as the button does.
export function bindComposer(itsClient, perform) {
  client = itsClient;
  const box = byId("text");
  box.addEventListener("input", showLength);
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    perform("send");
  });
  const picker = byId("file");
  byId("attach").addEventListener("click", () => picker.click());
  picker.addEventListener("change", async () => {
    await add([...picker.files]);
    picker.value = ""; // the same file may be chosen again
  });
  bindDropping();
}

function bindDropping() {
  let depth = 0; // of elements that the file is dragged over
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  const show = (change) => {
    depth = Math.max(0, depth + change);
    document.body.classList.toggle("dropping", depth > 0);
  };
  document.addEventListener("dragenter", (event) => hasFiles(event) && show(1));
  document.addEventListener("dragleave", (event) => hasFiles(event) && show(-1));
  document.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault(); // the browser would open the file
    show(-depth);
    add([...event.dataTransfer.files]);
  });
}
