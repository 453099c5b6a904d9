// Bringing recordings: files that are chosen or dropped are sent one after the other, and each shows how far it is.
import { byId, iconButton, make, showError } from "./dom.js";
import { askForKey } from "./login.js";
import { megabytes, percent, words } from "./words.js";

let limits = { max_bytes: 0, can_tell_speakers: false };
let sending = Promise.resolve();

// `taken(id)` is told of each recording that the server has.
export function bindBring(taken) {
  const bring = (files) => {
    const about = byId("about").value.trim();
    byId("about").value = "";
    for (const file of files) sending = sending.then(() => send(file, about, taken));
  };
  byId("choose").addEventListener("click", () => byId("file").click());
  byId("file").addEventListener("change", ({ target }) => {
    bring([...target.files]);
    target.value = "";
  });
  const zone = byId("bring");
  zone.addEventListener("dragover", (event) => (event.preventDefault(), zone.classList.add("over")));
  for (const left of ["dragleave", "drop"]) zone.addEventListener(left, () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    bring([...event.dataTransfer.files]);
  });
}

// Says what the server takes.
export function setLimits(told) {
  limits = told;
  byId("apart-row").hidden = !told.can_tell_speakers;
}

function send(file, about, taken) {
  if (limits.max_bytes && file.size > limits.max_bytes) {
    showError(words("archive.too_big", { name: file.name, limit: megabytes(limits.max_bytes) }));
    return Promise.resolve();
  }
  const query = new URLSearchParams({ name: file.name, about });
  if (limits.can_tell_speakers && byId("apart").checked) query.set("speakers", "0");
  return new Promise((resolve) => {
    const request = new XMLHttpRequest(); // fetch does not say how much has been sent
    const bar = make("progress", { max: 1, value: 0 });
    bar.setAttribute("aria-label", words("archive.sending", { name: file.name }));
    const share = make("span", {}, percent(0));
    const row = make("li", {}, make("bdi", {}, file.name), bar, share, iconButton("close", words("archive.stop_sending"), "stop"));
    row.querySelector("button").addEventListener("click", () => request.abort());
    byId("uploads").append(row);
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      bar.value = loaded / total;
      share.textContent = percent(loaded / total);
    });
    request.addEventListener("loadend", () => {
      row.remove();
      resolve();
    });
    request.addEventListener("load", () => end(request, file, taken));
    request.addEventListener("error", () => showError(words("archive.not_sent", { name: file.name })));
    request.open("POST", `archive?${query}`);
    request.send(file);
  });
}

function end(request, file, taken) {
  if (request.status === 401) return askForKey();
  let answer = {};
  try {
    answer = JSON.parse(request.responseText);
  } catch (error) {
    console.info("no JSON:", error.message); // what stands before the server answers in HTML
  }
  if (request.status === 202) return taken(answer.id);
  showError(words("file.refused", { name: file.name, reason: answer.message || answer.meta?.message || request.status }));
}
