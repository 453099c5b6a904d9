// What the person has chosen, kept in this browser alone. null: the server's own choice.
const PLACE = "earpiece";

const DEFAULTS = {
  language: "", // "": the browser's, where there are words in it
  microphone: "", // "": the system's
  noise_suppression: true,
  echo_cancellation: true,
  push_to_talk: false,
  instructions: "",
  patience: null,
  temperature: null,
  max_output_tokens: null,
  model: null,
  captions: true,
  voice: "off", // or "browser", or "server"
  browser_voice: "",
  server_voice: "",
  call_context: "", // what I want to be helped with in a call
};

function read() {
  try {
    return JSON.parse(localStorage.getItem(PLACE)) || {};
  } catch (error) {
    console.info("Settings that were kept cannot be read:", error.message);
    return {};
  }
}

export const preferences = { ...DEFAULTS, ...read() };

// Changes some, and keeps them; gives whether they could be kept.
export function prefer(changes) {
  Object.assign(preferences, changes);
  try {
    localStorage.setItem(PLACE, JSON.stringify(preferences));
    return true;
  } catch (error) {
    console.info("Settings cannot be kept:", error.message);
    return false;
  }
}
