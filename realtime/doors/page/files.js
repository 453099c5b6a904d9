// Files that are added to the conversation: text becomes part of the next message, a recording is sent to the server.
// What is too large is refused before a byte of it is read.
import { MAX_TEXT_CHARACTERS } from "./limits.js";
import { reach } from "./reach.js";
import { count, megabytes, words } from "./words.js";

const MAX_AUDIO_BYTES = 25_000_000;
const MAX_TEXT_BYTES = 4 * MAX_TEXT_CHARACTERS; // UTF-8 has 4 bytes at most for one
const TEXT_NAMES = /\.(txt|md|markdown|csv|tsv|json|ya?ml|toml|ini|log|xml|html?|css|js|ts|py|rs|go|c|h|cpp|java|sh|sql|tex|rst)$/i;
const SOUND_NAMES = /\.(wav|mp3|ogg|oga|opus|flac|m4a|aac|webm|mp4|mov|wma|aiff?)$/i;

const isText = ({ type, name }) => TEXT_NAMES.test(name) || type.startsWith("text/") || type === "application/json";
const isSound = ({ type, name }) => SOUND_NAMES.test(name) || /^(audio|video)\//.test(type);

// Gives "text" or "sound", or throws an error that says what is wrong with the file.
export function kindOf(file) {
  const { name, size } = file;
  const isWords = isText(file);
  if (!isWords && !isSound(file)) throw new Error(words("file.unknown", { name }));
  if (isWords && size > MAX_TEXT_BYTES)
    throw new Error(words("file.text_too_long", { name, limit: count(MAX_TEXT_CHARACTERS) }));
  if (!isWords && size > MAX_AUDIO_BYTES)
    throw new Error(words("file.too_big", { name, limit: megabytes(MAX_AUDIO_BYTES) }));
  return isWords ? "text" : "sound";
}

// Reads a text, or throws an error that says why it cannot be read.
export async function readText(file) {
  try {
    return await file.text();
  } catch (error) {
    throw new Error(words("file.unreadable", { name: file.name }), { cause: error });
  }
}

// Sends a recording; the server makes a message of it. Throws an error that says why it was not taken.
export async function sendSound(file, token) {
  if (!token) throw new Error(words("file.no_audio"));
  const query = new URLSearchParams({ session: token, name: file.name });
  const response = await reach(`conversation/audio?${query}`, { method: "POST", body: file });
  if (response.ok) return;
  const { message, meta } = await response.json().catch(() => ({})); // what stands before the server answers in HTML
  throw new Error(words("file.refused", { name: file.name, reason: message || meta?.message || response.status }));
}
