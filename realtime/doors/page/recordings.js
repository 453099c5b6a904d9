// The view of recordings: what is kept is listed and searched, files are brought, one of them is shown.
//
// Read `bring.js` for how a file is sent, `recording.js` for the one that is shown.
import { bindBring, setLimits } from "./bring.js";
import { clock } from "./clock.js";
import { byId, make, showError } from "./dom.js";
import { reach } from "./reach.js";
import { bindRecording, showRecording, shownId } from "./recording.js";
import { prepareView } from "./view.js";
import { words } from "./words.js";

const SEARCH_AFTER_MS = 300; // of typing
const LOOK_EVERY_MS = 4000; // while the server works on one

let recordings = [];
let looking = 0;

async function load() {
  clearTimeout(looking);
  const response = await reach("archive");
  const told = await response.json();
  if (!response.ok) throw new Error(told.message);
  recordings = told.recordings;
  setLimits(told);
  byId("temporary").hidden = told.is_lasting;
  drawList();
  if (recordings.some(({ state }) => state !== "ready" && state !== "failed")) looking = setTimeout(() => load().catch(fail), LOOK_EVERY_MS);
}

async function open(id, start_s = null) {
  showError("");
  try {
    await showRecording(id, start_s);
    window.history.replaceState(null, "", `#${id}`);
    byId("one").scrollIntoView(); // where it stands below the list
  } catch (error) {
    fail(error);
  }
  drawList();
}

const fail = (error) => showError(words(error.message));

async function search() {
  const query = byId("search").value.trim();
  byId("list").hidden = Boolean(query);
  byId("found").hidden = !query;
  if (!query) return;
  const response = await reach(`archive?${new URLSearchParams({ q: query })}`);
  if (byId("search").value.trim() !== query) return; // somebody has typed on
  const found = response.ok ? (await response.json()).found : [];
  byId("found").replaceChildren(...found.map(foundItem));
  if (!found.length) byId("found").append(make("li", { className: "ep-none" }, words("archive.nothing_found")));
}

// ---- How it looks ----

function drawList() {
  byId("list").replaceChildren(...recordings.map(listItem));
  byId("empty").hidden = Boolean(shownId());
}

function listItem({ id, name, kind, started_s, duration_s, state }) {
  const when = new Date(1000 * started_s).toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
  const facts = [words(`archive.kind.${kind}`), when];
  if (state !== "ready") facts.push(words(`archive.state.${state}`));
  else if (duration_s !== null) facts.push(clock(duration_s));
  const button = make("button", { type: "button" }, make("bdi", {}, name || words("archive.nameless")), make("small", {}, facts.join(" · ")));
  button.addEventListener("click", () => open(id));
  if (id === shownId()) button.setAttribute("aria-current", "true");
  return make("li", {}, button);
}

function foundItem({ recording, role, start_s, words: said }) {
  const head = recordings.find(({ id }) => id === recording);
  const where = [head?.name ?? "", role === "note" ? words("archive.a_note") : "", clock(start_s)].filter(Boolean).join(" · ");
  const button = make("button", { type: "button" }, make("span", { dir: "auto" }, said), make("small", {}, where));
  button.addEventListener("click", () => open(recording, start_s));
  return make("li", {}, button);
}

// ---- The beginning ----

function bind() {
  let typing = 0;
  bindRecording(() => load().catch(fail));
  bindBring((id) => load().then(() => open(id)).catch(fail));
  byId("search").addEventListener("input", () => (clearTimeout(typing), (typing = setTimeout(() => search().catch(fail), SEARCH_AFTER_MS))));
  byId("error-close").addEventListener("click", () => showError(""));
}

async function begin() {
  await prepareView();
  bind();
  await load().catch(fail);
  const id = window.location.hash.slice(1);
  if (id) await open(id);
  document.body.dataset.ready = "true";
}

begin().catch((error) => showError(`${words("connection.unreachable")} ${error.message}`));
