// What every view beside the conversation begins with: its language, its drawings, and who this is.
import { icon } from "./dom.js";
import { preferences } from "./preferences.js";
import { reach } from "./reach.js";
import { beKnown } from "./visitor.js";
import { putWords, speakLanguage } from "./words.js";

export async function prepareView() {
  const settings = await (await reach("page/settings.json")).json();
  if (settings.tells_visitors_apart) beKnown();
  const known = Object.keys(settings.languages);
  const wanted = [preferences.language, ...navigator.languages.map((code) => code.slice(0, 2)), "en"];
  await speakLanguage(wanted.find((code) => known.includes(code)));
  for (const element of document.querySelectorAll("[data-icon]")) element.prepend(icon(element.dataset.icon));
  putWords(document.body);
}
