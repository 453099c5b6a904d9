// The microphone: getting it, showing how loud it is, and its sound as mu-law for a WebSocket.
export const SAMPLE_RATE_HZ = 16000; // of the session, and of the WebSocket

const NO_MICROPHONE = {
  NotAllowedError: "The browser refused the microphone. Allow it in the address bar, then start again. You can also type.",
  NotFoundError: "No microphone was found. Plug one in, then start again. You can also type.",
  NotReadableError: "Another program is using the microphone. Close it, then start again. You can also type.",
};

// Gives the stream, or throws an error that says what the person can do.
export async function openMicrophone() {
  if (!navigator.mediaDevices)
    throw new Error("The browser gives microphones only to https:// and localhost pages. Open the page that way, or type.");
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
    });
  } catch (error) {
    throw new Error(NO_MICROPHONE[error.name] || `The microphone cannot be used: ${error.message}`);
  }
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
