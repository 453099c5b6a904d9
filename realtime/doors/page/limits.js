// Limits that the server has too; the page says so before anything is sent.
export const MAX_TEXT_CHARACTERS = 20_000; // of one message, as MAX_TEXT_CHARACTERS of the server

// Counts characters as the server does: an emoji is one.
export const characters = (text) => (text.length > MAX_TEXT_CHARACTERS ? [...text].length : text.length);
