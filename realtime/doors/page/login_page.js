// The login as a page of its own: what stands at every address until somebody has logged in.
import { byId } from "./dom.js";
import { loginForm } from "./login.js";
import { preferences } from "./preferences.js";
import { speakLanguage } from "./words.js";

const known = document.body.dataset.languages.split(" ");
const wanted = [preferences.language, ...navigator.languages.map((code) => code.slice(0, 2)), "en"];
await speakLanguage(wanted.find((code) => known.includes(code)));
byId("door").append(loginForm(() => location.reload()));
document.querySelector("[name=key]").focus();
document.body.dataset.ready = "true";
