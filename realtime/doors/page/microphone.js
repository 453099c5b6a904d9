// The microphone: getting it, how loud it is, and its sound as mu-law for a WebSocket.
import { words } from "./words.js";

export const SAMPLE_RATE_HZ = 16000; // of the session, and of the WebSocket

const NO_MICROPHONE = {
  NotAllowedError: "microphone.refused",
  NotFoundError: "microphone.none",
  NotReadableError: "microphone.busy",
};

// Gives the stream of the microphone that is preferred, or of another one where that has gone; or throws an error that
// says what the person can do.
export async function openMicrophone({ microphone, noise_suppression, echo_cancellation }) {
  if (!navigator.mediaDevices) throw new Error(words("microphone.insecure"));
  const audio = { echoCancellation: echo_cancellation, noiseSuppression: noise_suppression, autoGainControl: true };
  if (microphone) audio.deviceId = { ideal: microphone };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    const key = NO_MICROPHONE[error.name] || "microphone.failed";
    throw new Error(words(key, { reason: error.message }), { cause: error });
  }
}

// Gives the microphones there are: {id, name}; names are known once one has been allowed.
export async function listMicrophones() {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) || [];
  const microphones = devices.filter(({ kind, deviceId }) => kind === "audioinput" && deviceId);
  return microphones.map(({ deviceId, label }) => ({ id: deviceId, name: label }));
}

// Calls `show` with the level in percent, as often as the page is drawn, as long as `isOn` says so.
export function watchLevel(stream, show, isOn) {
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  analyser.fftSize = 512;
  context.createMediaStreamSource(stream).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const measure = () => {
    if (!isOn()) return void context.close();
    analyser.getFloatTimeDomainData(samples);
    const rms = Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
    show(Math.max(0, Math.min(100, (20 * Math.log10(rms + 1e-6) + 60) * 2)));
    requestAnimationFrame(measure);
  };
  measure();
}

// Records a track; the browser resamples to the context's rate. Closing the context that it gives ends the recording.
export async function recordMuLaw(track, onPayload) {
  const context = new AudioContext({ sampleRate: SAMPLE_RATE_HZ });
  await context.audioWorklet.addModule(new URL("recorder.js", import.meta.url));
  const recorder = new AudioWorkletNode(context, "recorder");
  recorder.port.onmessage = ({ data }) => onPayload(btoa(String.fromCharCode(...Array.from(data, muLaw))));
  context.createMediaStreamSource(new MediaStream([track])).connect(recorder);
  return context;
}

// ITU-T G.711 mu-law of one sample in [-1, 1].
function muLaw(sample) {
  const sign = sample < 0 ? 0x80 : 0;
  const magnitude = Math.min(32635, Math.abs(sample) * 32767) + 132;
  const exponent = Math.max(0, Math.floor(Math.log2(magnitude)) - 7);
  return ~(sign | (exponent << 4) | ((magnitude >> (exponent + 3)) & 15)) & 255;
}
