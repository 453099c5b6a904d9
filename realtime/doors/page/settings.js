// The drawer with the settings: shows what was chosen, keeps what is changed, and has it take effect at once.
//
// A control with `data-preference` holds the preference of that name. What the server does not offer is not shown.
import { byId, make, showError } from "./dom.js";
import { logOut } from "./login.js";
import { listMicrophones } from "./microphone.js";
import { prefer, preferences } from "./preferences.js";
import { readSaved, saveAs } from "./saving.js";
import { words } from "./words.js";

const PRESETS = ["brief", "tutor", "cook"];
const OF_MICROPHONE = ["microphone", "noise_suppression", "echo_cancellation"];
const OF_PAGE = ["language", "browser_voice"]; // the server need not know

const controls = () => [...byId("settings").querySelectorAll("[data-preference]")];

function valueOf(control) {
  if (control.type === "checkbox") return control.checked;
  if (control.type === "number") return control.value === "" ? null : control.valueAsNumber;
  return control.value === "" && control.dataset.empty === "null" ? null : control.value;
}

function show(control) {
  const value = preferences[control.dataset.preference];
  if (control.type === "checkbox") control.checked = value;
  else if (control.type === "radio") control.checked = control.value === value;
  else control.value = value ?? "";
}

function options(select, entries) {
  select.replaceChildren(...entries.map(([value, text]) => make("option", { value }, text)));
}

// Draws what can be chosen; `client` knows what the server offers.
async function draw(client, languages) {
  const { created } = client;
  options(byId("language"), Object.entries(languages));
  options(byId("preset"), ["server", ...PRESETS, "own"].map((name) => [name, words(`settings.preset.${name}`)]));
  options(byId("models"), (created?.models || []).map((name) => [name, name]));
  byId("models-row").hidden = (created?.models || []).length < 2;
  byId("settings").classList.toggle("modern", !created || client.isModern);
  drawVoices(client.voices);
  await drawMicrophones();
  controls().forEach(show);
  for (const control of byId("settings").querySelectorAll("[type=number]"))
    control.placeholder = client.defaults?.[control.dataset.preference] ?? words("settings.default");
  if (!preferences.language) byId("language").value = document.documentElement.lang;
  if (preferences.model === null) byId("models").value = created?.model ?? "";
  showPreset();
}

async function drawMicrophones() {
  const found = (await listMicrophones()).map(({ id, name }, index) => [
    id,
    name || words("settings.microphone.nameless", { number: index + 1 }),
  ]);
  options(byId("microphone"), [["", words("settings.microphone.default")], ...found.filter(([id]) => id !== "default")]);
  byId("microphone").value = preferences.microphone;
}

function drawVoices(voices) {
  const ownChoice = ["", words("settings.voice.default")];
  const ofBrowser = window.speechSynthesis?.getVoices() || [];
  options(byId("browser-voice"), [ownChoice, ...ofBrowser.map(({ name, lang }) => [name, `${name} (${lang})`])]);
  options(byId("server-voice"), [ownChoice, ...voices.map(({ name, description }) => [name, description || name])]);
  byId("voice-browser").hidden = !window.speechSynthesis;
  byId("voice-server").hidden = voices.length === 0;
  showVoice();
}

function showVoice() {
  byId("browser-voice-row").hidden = preferences.voice !== "browser";
  byId("server-voice-row").hidden = preferences.voice !== "server" || byId("voice-server").hidden;
}

function showPreset() {
  const known = PRESETS.find((name) => words(`settings.preset.${name}.text`) === preferences.instructions);
  byId("preset").value = known || (preferences.instructions ? "own" : "server");
}

function takePreset() {
  const name = byId("preset").value;
  if (name === "own") return byId("instructions").focus();
  byId("instructions").value = name === "server" ? "" : words(`settings.preset.${name}.text`);
  byId("instructions").dispatchEvent(new Event("change", { bubbles: true }));
}

// Binds the drawer.
//
// languages: names of the page's languages, by code. login: name of the key with which somebody has logged in, or null.
// onLanguage(code): speaks another one.
export function bindSettings(client, { languages, login }, { onLanguage }) {
  const drawer = byId("settings");
  byId("settings-open").addEventListener("click", async () => {
    drawer.showModal();
    await draw(client, languages);
  });
  byId("preset").addEventListener("change", takePreset);
  drawer.addEventListener("change", async ({ target }) => {
    const name = target.dataset.preference;
    if (!name || !target.reportValidity()) return;
    if (!prefer({ [name]: valueOf(target) })) showError(words("storage.failed"));
    if (name === "voice") showVoice();
    if (name === "instructions") showPreset();
    await takeEffect(name, client).catch((error) => showError(words(error.message)));
    if (name !== "language") return;
    await onLanguage(preferences.language);
    await draw(client, languages); // what can be chosen has names, too
  });
  bindSaving(client);
  bindLogin(client, login);
  navigator.mediaDevices?.addEventListener("devicechange", () => drawer.open && drawMicrophones());
  window.speechSynthesis?.addEventListener("voiceschanged", () => drawer.open && drawVoices(client.voices));
}

function bindLogin(client, login) {
  byId("login-row").hidden = !login;
  byId("settings-open").addEventListener("click", () => {
    byId("login-name").textContent = words("settings.logged_in", { name: login });
  });
  byId("logout").addEventListener("click", async () => {
    client.leave();
    await logOut();
    location.reload();
  });
}

async function takeEffect(name, client) {
  if (OF_MICROPHONE.includes(name) && client.microphone) await client.startMicrophone();
  if (![...OF_MICROPHONE, ...OF_PAGE].includes(name)) client.configure();
}

function bindSaving(client) {
  const report = (action) => async () => {
    showError("");
    try {
      await action();
    } catch (error) {
      byId("settings").close(); // the error is behind it
      showError(words(error.message));
    }
  };
  byId("save-json").addEventListener("click", report(() => saveAs("json")));
  byId("save-markdown").addEventListener("click", report(() => saveAs("markdown")));
  byId("open-saved").addEventListener("click", () => byId("saved").click());
  byId("saved").addEventListener("change", report(async () => {
    const [file] = byId("saved").files;
    byId("saved").value = ""; // the same file may be chosen again
    const items = await readSaved(file);
    await client.ensureConnected();
    client.demand({ type: "conversation.import", items });
    byId("settings").close();
  }));
}
