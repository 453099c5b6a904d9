// The page: puts the client, what it draws and what the person does together.
//
// It is a client like any other, and shows what the session's events say. Every other module has one subject: `client.js`
// has the connection and the microphone, `log.js` the messages, `floor.js` who has the floor.
import { announce } from "./announcer.js";
import { answerEvents, endAnswer, isAnswering, isThinking } from "./answers.js";
import { Client, once } from "./client.js";
import { bindComposer, giveBack, sendMessage } from "./composer.js";
import { bindControls } from "./controls.js";
import { byId, icon, showError } from "./dom.js";
import { describeFloor } from "./floor.js";
import { bindItemActions, offerActions } from "./item_actions.js";
import * as log from "./log.js";
import { drawMemory } from "./memory.js";
import * as numbers from "./numbers.js";
import * as ring from "./orb.js";
import { stopPlayback } from "./playback.js";
import { preferences, prefer } from "./preferences.js";
import { reach } from "./reach.js";
import { CommittedSentences } from "./sentences.js";
import { bindSettings } from "./settings.js";
import { endWaiting, setLanguages, userEvents } from "./user_items.js";
import { beKnown } from "./visitor.js";
import { Voice } from "./voice.js";
import { count, putWords, speakLanguage, words } from "./words.js";

const served = reach("page/settings.json").then((response) => response.json());

const voice = new Voice(() => showState());
const sentences = new CommittedSentences((sentence) => {
  voice.say(sentence);
  if (preferences.voice === "off") announce(sentence); // otherwise it is heard already
});
const client = new Client({
  onEvent: draw,
  onChange: () => showState(),
  onLost: lose,
  onUnsent: giveBack,
  onUnplugged: () => showError(words("microphone.unplugged")),
  onLevel: ring.showLevel,
  onTrack: (track) => voice.play(track),
});

// ---- What the session says ----

const pageEvents = {
  "session.created": greet,
  "session.storing_stopped": ({ message }) => ((byId("stored").hidden = true), showError(message)),
  "conversation.item.deleted": ({ item_id }) => log.withdraw(log.find(item_id)),
  "conversation.cleared": () => (endAnswer(), log.clear(), numbers.forgetNumbers()),
  "conversation.window": drawMemory,
  "session.metrics": numbers.drawMetrics,
  "response.output_text.delta": ({ provisional }) => ring.showWord(provisional),
  "response.committed": () => ring.commitWords(),
  "response.retracted": () => ring.retractWords(),
  "response.done": numbers.noteAnswer,
  error: ({ message }) => showError(message),
};

function draw(event) {
  for (const events of [userEvents, answerEvents, pageEvents]) events[event.type]?.(event);
  sentences.take(event);
  voice.take(event);
  const isWhole = event.type === "conversation.item.created" || event.type === "response.done";
  const known = isWhole && log.find(event.item_id ?? event.response_id);
  if (known) offerActions(known, client.isModern);
  log.follow();
}

// A session begins, or goes on after a gap; one that does not know what was said before begins anew.
function greet(event) {
  if (!event.resumed) {
    endAnswer();
    log.retire();
  }
  showModel(event);
  setLanguages(event.caption_languages);
  byId("hint").hidden = event.caption_languages !== null;
  byId("stored").hidden = !event.stored;
  document.body.dataset.resumed = Boolean(event.resumed);
}

function showModel({ model, description }) {
  byId("model").textContent = model;
  byId("model").title = description;
  byId("model").hidden = false;
  byId("about").textContent = `${model}: ${description}`;
}

function lose(reason, why) {
  voice.stop();
  endAnswer();
  endWaiting();
  showError(reason ? words("connection.ended", { reason }) : words(why));
  showState();
}

// ---- Who has the floor ----

function showState() {
  const [kind, key] = describeFloor(client, { isThinking: isThinking(), isSpeaking: voice.isSpeaking });
  const status = byId("status");
  if (status.dataset.state !== kind) status.dataset.state = byId("talk").dataset.state = kind;
  byId("status-text").textContent = words(key, { position: count(client.place) });
  tellPlace();
  const { muted, protect_answer, turn_detection } = client.settings;
  for (const [name, on] of Object.entries({ mute: muted, protect: protect_answer, push: !turn_detection }))
    byId(name).setAttribute("aria-pressed", on);
  byId("mute-text").textContent = words(muted ? "mute.on" : "mute");
  byId("hold").hidden = turn_detection;
  byId("hold").classList.toggle("on", client.isHeld);
  byId("talk-text").textContent = words(client.place ? "talk.leave" : client.microphone ? "talk.stop" : "talk.start");
  byId("talk").classList.toggle("on", client.microphone !== null);
  byId("stop").hidden = !(isAnswering() || voice.isSpeaking);
  if (document.body.dataset.transport !== client.transport) {
    document.body.dataset.transport = client.transport;
    numbers.noteAbout({ transport: client.transport });
  }
}

// A screen reader is told the place in the queue, once for each, and that the wait is over.
let toldPlace = 0;
function tellPlace() {
  if (client.place === toldPlace) return;
  const isLetIn = toldPlace && client.isOpen;
  if (client.place) announce(words("floor.queued", { position: count(client.place) }));
  else if (isLetIn) announce(words("queue.over"));
  if (client.place || isLetIn || client.phase === "off") toldPlace = client.place;
}

// ---- What the person does ----

function togglePush() {
  client.release();
  const isPush = client.settings.turn_detection;
  prefer({ push_to_talk: isPush });
  client.change({ turn_detection: !isPush });
  if (isPush) byId("hold").focus(); // so that the space bar talks
}

const perform = bindControls({
  actions: {
    "talk": () => (client.place ? client.leave() : client.microphone ? client.stopMicrophone() : client.startMicrophone()),
    "send": once(sendMessage),
    "stop": () => (voice.stop(), client.demand({ type: "response.cancel" })),
    "mute": () => client.change({ muted: !client.settings.muted }),
    "protect": () => client.change({ protect_answer: !client.settings.protect_answer }),
    "push": togglePush,
    "new": () => (stopPlayback(), client.phase === "off" ? log.clear() : client.demand({ type: "conversation.clear" })),
  },
  isPushToTalk: () => !client.settings.turn_detection,
  isAnswering: () => isAnswering() || voice.isSpeaking,
  press: () => client.press(),
  release: () => client.release(),
});

// The page is left for good, or put aside by the browser, which ends connections without a word.
window.addEventListener("pagehide", () => client.leave());
window.addEventListener("pageshow", ({ persisted }) => {
  if (!persisted) return;
  endAnswer();
  endWaiting();
  showState();
});

// ---- The beginning ----

async function speak(code) {
  await speakLanguage(code);
  showState();
  ring.refreshRing();
  drawMemory();
  numbers.drawMetrics();
}

async function begin() {
  const settings = await served;
  if (settings.tells_visitors_apart) beKnown();
  const known = Object.keys(settings.languages);
  const wanted = [preferences.language, ...navigator.languages.map((code) => code.slice(0, 2)), "en"];
  await speak(wanted.find((code) => known.includes(code)));
  for (const element of document.querySelectorAll("[data-icon]")) element.prepend(icon(element.dataset.icon));
  client.voicesOffered = settings.voices || [];
  bindComposer(client, perform);
  bindItemActions(client);
  bindSettings(client, settings, { onLanguage: speak });
  log.watchScrolling();
  showModel({ model: settings.model, description: settings.description });
  numbers.forgetNumbers();
  putWords(document.body);
  document.body.dataset.ready = "true";
}

begin().catch((error) => showError(`${words("connection.unreachable")} ${error.message}`));
