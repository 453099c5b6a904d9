// Markdown of answers that are done: the server makes safe HTML of it, and what has no mark in it is left as it is.
import { iconButton, make } from "./dom.js";
import { follow } from "./log.js";
import { reach } from "./reach.js";
import { words } from "./words.js";

const MARKED = /[*_`#[\]|>~]|\n|^\s*(\d+[.)]|[-+])\s/; // what could be Markdown; much of it is not

// Lays out an answer.
//
// known: its record; `words` is its text.
// end: an element that stays at its end, or null.
export async function layOut(known, end) {
  if (!MARKED.test(known.words)) return;
  const html = await render(known.words);
  if (html === null) return;
  known.text.innerHTML = html; // made safe by the server, see markdown.py
  known.text.classList.add("rendered");
  if (end) (known.text.lastElementChild?.matches("p") ? known.text.lastElementChild : known.text).append(" ", end);
  for (const code of known.text.querySelectorAll("pre")) {
    code.tabIndex = 0; // to scroll it with the keyboard
    const frame = make("div", { className: "ep-code" });
    code.replaceWith(frame);
    frame.append(code, iconButton("copy", words("item.code_copy"), "copy-code"));
  }
  follow();
}

// Gives HTML, or null where the server has none to give: the text stays readable without it.
async function render(text) {
  try {
    const response = await reach("page/markdown", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ text }),
    });
    if (!response.ok) throw new Error(`status ${response.status}`);
    return (await response.json()).html;
  } catch (error) {
    console.warn(words("markdown.failed"), error.message);
    return null;
  }
}
