// A conversation as a file: saved as JSON or Markdown, and opened again.
import { make } from "./dom.js";
import { allRecords, wholeText } from "./log.js";
import { megabytes, words } from "./words.js";

const MAX_BYTES = 5_000_000;
const FORMAT = "earpiece-conversation-1";

// The conversation as it is shown, oldest message first.
function transcript() {
  return allRecords()
    .filter((known) => known.words || known.typed)
    .map((known) => {
      const { role, audio_s, file_name, interrupted, timing } = known;
      const item = { role, text: wholeText(known) };
      return Object.assign(item, audio_s && { audio_s }, file_name && { file_name }, interrupted && { interrupted }, timing && { timing });
    });
}

// Saves it; throws an error where there is nothing to save.
export function saveAs(kind) {
  const items = transcript();
  if (!items.length) throw new Error(words("export.empty"));
  const date = new Date();
  const content = kind === "json" ? toJson(items, date) : toMarkdown(items, date);
  const type = kind === "json" ? "application/json" : "text/markdown";
  const address = URL.createObjectURL(new Blob([content], { type }));
  const extension = kind === "json" ? "json" : "md";
  make("a", { href: address, download: `earpiece-${date.toISOString().slice(0, 10)}.${extension}` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

const toJson = (items, date) => JSON.stringify({ format: FORMAT, saved: date.toISOString(), items }, null, 2) + "\n";

function toMarkdown(items, date) {
  const parts = items.map(({ role, text, interrupted }) => {
    const mark = interrupted ? ` *(${words("item.interrupted")})*` : "";
    return `**${words(`item.${role}`)}**\n\n${text}${mark}\n`;
  });
  return `# ${words("title")}, ${date.toISOString().slice(0, 10)}\n\n${parts.join("\n")}`;
}

// Reads a saved conversation: [{role, text}]; throws an error that says what is wrong with the file.
export async function readSaved(file) {
  const { name } = file;
  if (file.size > MAX_BYTES) throw new Error(words("import.too_big", { name, limit: megabytes(MAX_BYTES) }));
  let saved;
  try {
    saved = JSON.parse(await file.text());
  } catch (error) {
    throw new Error(words("import.unreadable", { name }), { cause: error });
  }
  if (!Array.isArray(saved?.items) || !saved.items.every(isItem)) throw new Error(words("import.unreadable", { name }));
  const items = saved.items.map(({ role, text }) => ({ role, text }));
  if (!items.length) throw new Error(words("import.empty", { name }));
  return items;
}

const isItem = (item) => ["user", "assistant"].includes(item?.role) && typeof item.text === "string" && item.text !== "";
