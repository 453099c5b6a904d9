// Playing what the user said: the server keeps the sound as long as the conversation's window holds it.
import { showError } from "./dom.js";
import { words } from "./words.js";

let playing = null; // {button, source, context}

function stop() {
  if (!playing) return;
  const { button, context } = playing;
  playing = null;
  label(button, "play");
  context.close();
}

function label(button, name) {
  const text = words(`item.${name}`);
  button.title = text;
  button.setAttribute("aria-label", text);
  button.querySelector("use").setAttribute("href", "#ep-icon-" + name);
}

// Plays a message's sound, or stops it if it is what plays.
export async function togglePlayback(button, itemId, token) {
  const wasPlaying = playing?.button === button;
  stop();
  if (wasPlaying) return;
  const response = await fetch(`conversation/audio/${itemId}?session=${encodeURIComponent(token)}`);
  if (!response.ok) {
    button.remove();
    return showError(words("item.audio_gone"));
  }
  const context = new AudioContext();
  const source = new AudioBufferSourceNode(context, { buffer: await context.decodeAudioData(await response.arrayBuffer()) });
  source.connect(context.destination);
  source.onended = stop;
  playing = { button, context };
  label(button, "pause");
  source.start();
}

export const stopPlayback = stop;
