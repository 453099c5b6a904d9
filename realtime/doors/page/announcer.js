// What a screen reader is told: whole committed sentences, once each; never a token, and never what was taken back.
import { byId, make } from "./dom.js";

const KEPT = 20; // sentences; a reader reads what is added

export function announce(sentence) {
  const region = byId("announcer");
  region.append(make("p", { dir: "auto" }, sentence));
  while (region.childElementCount > KEPT) region.firstElementChild.remove();
}
