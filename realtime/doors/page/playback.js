// Playing what the user said: the server keeps the sound as long as the conversation's window holds it.
import { reach } from "./reach.js";
import { words } from "./words.js";

let playing = null; // {button, context}; the context comes with the sound

function stop() {
  if (!playing) return;
  const { button, context } = playing;
  playing = null;
  label(button, "play");
  context?.close();
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
  const mine = (playing = { button, context: null });
  label(button, "pause");
  try {
    const response = await reach(`conversation/audio/${itemId}?session=${encodeURIComponent(token)}`);
    if (!response.ok) throw (button.remove(), new Error("item.audio_gone"));
    const sound = await response.arrayBuffer();
    if (playing === mine) await play(mine, sound);
  } catch (error) {
    if (playing === mine) stop();
    throw error;
  }
}

async function play(mine, sound) {
  const context = (mine.context = new AudioContext());
  const source = new AudioBufferSourceNode(context, { buffer: await context.decodeAudioData(sound) });
  source.connect(context.destination);
  source.onended = () => playing === mine && stop();
  source.start();
}

export const stopPlayback = stop;
