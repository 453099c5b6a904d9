// The words of the interface: one file per language, `words.<language>.json`; no other file has any.
//
// In the HTML, `data-words` names what an element says, `data-words-title`, `-aria-label` and `-placeholder` what the
// attribute of that name says. A key that no file has is given back as it is: a sentence of the server says itself.
const ATTRIBUTES = ["title", "aria-label", "placeholder"];

let sentences = {};
let language = "en";

// Loads the words of a language and puts them into the page.
export async function speakLanguage(wanted) {
  const response = await fetch(`page/words.${wanted}.json`);
  sentences = await response.json();
  language = wanted;
  document.documentElement.lang = wanted;
  document.title = words("title");
  putWords(document.body);
}

// Puts the words into all elements within `root` that name them.
export function putWords(root) {
  for (const element of root.querySelectorAll("[data-words]")) element.textContent = words(element.dataset.words);
  for (const attribute of ATTRIBUTES)
    for (const element of root.querySelectorAll(`[data-words-${attribute}]`))
      element.setAttribute(attribute, words(element.getAttribute(`data-words-${attribute}`)));
}

// Gives the sentence of a key, with `{name}` replaced by the value of that name.
export function words(key, values = {}) {
  return (sentences[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

const number = (value, options) => new Intl.NumberFormat(language, options).format(value);
const decimals = (value, digits) => number(value, { minimumFractionDigits: digits, maximumFractionDigits: digits });

export const count = (value) => number(value);
export const percent = (share) => number(share, { style: "percent", maximumFractionDigits: 0 });
// The symbols of units are the same in every language (ISO 80000).
export const seconds = (value) => `${decimals(value, 1)}\u00a0s`;
export const shortTime = (value_s) => (value_s < 1 ? `${decimals(1000 * value_s, 0)}\u00a0ms` : `${decimals(value_s, 2)}\u00a0s`);
export const megabytes = (bytes) => `${decimals(bytes / 1e6, 0)}\u00a0MB`;
export const languageName = (code) => new Intl.DisplayNames([language], { type: "language" }).of(code);
export const listOf = (names) => new Intl.ListFormat(language, { type: "disjunction" }).format(names);
