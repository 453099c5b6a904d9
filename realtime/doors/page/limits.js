// Limits that the server has too; the page says so before anything is sent.
import { count, words } from "./words.js";

export const MAX_TEXT_CHARACTERS = 20_000; // of one message, as MAX_TEXT_CHARACTERS of the server

// Counts characters as the server does: an emoji is one.
export const characters = (text) => (text.length > MAX_TEXT_CHARACTERS ? [...text].length : text.length);

export const tooLong = (length) => words("text.too_long", { count: count(length), limit: count(MAX_TEXT_CHARACTERS) });
