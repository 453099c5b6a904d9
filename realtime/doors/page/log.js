// The log: the messages in the order in which they were begun, each a record with its element.
//
// A record is found by the id of its message, and an answer by the id of its response too. Read `user_items.js` and
// `answers.js` for what puts them here, `item_actions.js` for what a person can do with one.
import { byId, icon, make } from "./dom.js";
import { words } from "./words.js";

const RETRACTED_SHOWN_MS = 900;
const AT_END_PX = 60; // nearer to the end than this, the conversation is scrolled along

const records = new Map(); // by id of message or response
let isAtEnd = true;
let isScrolling = false; // a frame has been asked for

// Gives the record of an id, and makes one at the end of the log if there is none.
export function record(id, role) {
  if (!records.has(id)) {
    const text = make("div", { className: "ep-text", dir: "auto" });
    const foot = make("footer", { className: "ep-foot" });
    const element = make("article", { className: `ep-item ${role}` }, text, foot);
    element.setAttribute("aria-label", words(`item.${role}`));
    element.dataset.id = id;
    byId("items").append(element);
    records.set(id, { id, role, element, text, foot, words: "", audio_s: 0 });
    showWhetherEmpty();
  }
  return records.get(id);
}

export const find = (id) => records.get(id);

// What a message says: the words that were heard, and what was typed meanwhile.
export const wholeText = ({ words: said, typed, audio_s }) => [said, audio_s ? typed : ""].filter(Boolean).join("\n");

// Makes a record known by another id too.
export const alsoKnownAs = (known, id) => records.set(id, known);

// The records that are part of the conversation, oldest first.
export const allRecords = () => [...new Set(records.values())];

function forget(known) {
  for (const [id, other] of records) if (other === known) records.delete(id);
}

// Takes an element out, after a moment in which a person can see that it goes.
export function withdraw(known) {
  if (!known) return;
  forget(known);
  known.element.classList.add("retracted");
  setTimeout(() => (known.element.remove(), showWhetherEmpty()), RETRACTED_SHOWN_MS);
}

export function remove(known) {
  if (!known) return;
  forget(known);
  known.element.remove();
  showWhetherEmpty();
}

export function clear() {
  records.clear();
  byId("items").replaceChildren();
  showWhetherEmpty();
}

// Keeps what is shown as an earlier conversation: it can be read and copied, and nothing else.
export function retire() {
  if (!records.size) return;
  for (const { element, foot } of allRecords()) {
    element.classList.add("earlier");
    element.classList.remove("hearing", "provisional");
    foot.querySelectorAll("[data-action]:not([data-action=copy])").forEach((button) => button.remove());
  }
  records.clear();
  byId("items").append(make("p", { className: "ep-divider" }, words("log.earlier")));
}

function showWhetherEmpty() {
  byId("empty").hidden = byId("items").childElementCount > 0;
}

// Shows one line beneath a message, in the place of what was said there before under the same name.
export function note(known, text, name = "note") {
  let line = known.foot.querySelector(`.ep-note[data-name=${name}]`);
  if (!line) {
    line = make("small", { className: "ep-note" });
    line.dataset.name = name;
    known.foot.append(line);
  }
  line.textContent = text;
}

// ---- Scrolling ----

// Goes to the end of the log when the page is drawn next, unless the person has scrolled up.
export function follow() {
  if (!isAtEnd || isScrolling) return;
  isScrolling = true;
  requestAnimationFrame(() => {
    isScrolling = false;
    const log = byId("log");
    log.scrollTop = log.scrollHeight;
  });
}

export function scrollToEnd() {
  isAtEnd = true;
  byId("latest").hidden = true;
  follow();
}

export function watchScrolling() {
  const log = byId("log");
  byId("latest").prepend(icon("down"));
  byId("latest").addEventListener("click", scrollToEnd);
  let last = 0;
  log.addEventListener("scroll", () => {
    const isNear = log.scrollHeight - log.scrollTop - log.clientHeight < AT_END_PX;
    if (isNear) isAtEnd = true;
    else if (log.scrollTop < last) isAtEnd = false; // only a person scrolls up; what grows meanwhile is no reason
    last = log.scrollTop;
    byId("latest").hidden = isAtEnd;
  });
}
