// The page's client: a microphone, one connection, and the conversation it draws from the session's events.
//
// The connection is opened by the first word, spoken or typed, and carries both. WebRTC is tried first; where its media
// cannot get through, the same messages go over a WebSocket. Nothing is kept here that the server does not say.
"use strict";

(() => {
  const WEBRTC_TIMEOUT_MS = 6000;
  const SAMPLE_RATE_HZ = 16000; // of the session, and of the WebSocket
  const WORTH_SHOWING_SAMPLES = 160; // 10 ms: a single peak at full scale is no trouble
  const PACKET_SAMPLES = 320; // 20 ms, of WebRTC
  const RETRACTED_SHOWN_MS = 900;
  const NO_MICROPHONE = {
    NotAllowedError: "The browser refused the microphone. Allow it in the address bar, then start again. You can also type.",
    NotFoundError: "No microphone was found. Plug one in, then start again. You can also type.",
    NotReadableError: "Another program is using the microphone. Close it, then start again. You can also type.",
  };

  // Of several calls while one is under way, all wait for that one.
  function once(action) {
    let running = null;
    return () => (running ??= action().finally(() => (running = null)));
  }

  const byId = (name) => document.getElementById("ep-" + name);
  const newId = () => Math.random().toString(36).slice(2);

  // ---- Connections: {send(object), setTrack(track or null), close()} ----

  async function connectWebRtc(onEvent, onClose) {
    const peer = new RTCPeerConnection({ iceServers: window.earpiece.iceServers });
    const context = new AudioContext();
    const silence = context.createMediaStreamDestination().stream.getAudioTracks()[0];
    const sender = peer.addTrack(silence);
    const channel = peer.createDataChannel("events");
    const id = newId();
    const close = () => (peer.close(), context.close());
    const candidates = []; // of this side, until the server knows the offer that they belong to
    let sendCandidate = (candidate) => candidates.push(candidate);
    peer.onicecandidate = ({ candidate }) => candidate && sendCandidate(candidate);
    try {
      await peer.setLocalDescription(await peer.createOffer());
      const answer = await post({ sdp: peer.localDescription.sdp, type: "offer", webrtc_id: id });
      if (!answer.sdp) throw new Error(answer.meta?.message || "The server refused.");
      sendCandidate = (candidate) => post({ candidate: candidate.toJSON(), webrtc_id: id, type: "ice-candidate" });
      candidates.forEach(sendCandidate);
      await peer.setRemoteDescription(answer);
      await new Promise((resolve, reject) => {
        setTimeout(() => reject(new Error("WebRTC did not connect")), WEBRTC_TIMEOUT_MS);
        channel.onmessage = ({ data }) => {
          const event = JSON.parse(data);
          if (event.type === "session.created") resolve();
          onEvent(event);
        };
      });
    } catch (error) {
      close();
      throw error;
    }
    peer.onconnectionstatechange = () => {
      if (["failed", "closed", "disconnected"].includes(peer.connectionState)) onClose();
    };
    return {
      name: "WebRTC",
      send: (message) => channel.send(JSON.stringify(message)),
      setTrack: (track) => sender.replaceTrack(track || silence),
      close,
    };
  }

  async function post(body) {
    const response = await fetch("webrtc/offer", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    return response.json();
  }

  async function connectWebSocket(onEvent, onClose) {
    const address = new URL("websocket/offer?rate=" + SAMPLE_RATE_HZ, location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = new WebSocket(address);
    const send = (message) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify(message));
    await new Promise((resolve, reject) => {
      socket.onopen = () => send({ event: "start", websocket_id: newId() });
      socket.onerror = () => reject(new Error("The server cannot be reached."));
      socket.onclose = () => reject(new Error("The server closed the connection. Its log says why."));
      socket.onmessage = ({ data }) => {
        const event = JSON.parse(data);
        onEvent(event);
        if (event.type === "session.created") resolve();
        if (event.type === "error") reject(new Error(event.message));
      };
    });
    socket.onmessage = ({ data }) => onEvent(JSON.parse(data));
    socket.onclose = onClose;
    let recorder = null;
    return {
      name: "WebSocket",
      send,
      async setTrack(track) {
        recorder?.close();
        recorder = track && (await recordMuLaw(track, (payload) => send({ event: "media", media: { payload } })));
      },
      close: () => (recorder?.close(), socket.close()),
    };
  }

  // The browser resamples to the context's rate; a worklet hands over 32 ms at a time.
  async function recordMuLaw(track, onPayload) {
    const context = new AudioContext({ sampleRate: SAMPLE_RATE_HZ });
    const source = `registerProcessor("recorder", class extends AudioWorkletProcessor {
      constructor() { super(); this.buffer = new Float32Array(512); this.filled = 0; }
      process([[samples]]) {
        for (const sample of samples || []) {
          this.buffer[this.filled++] = sample;
          if (this.filled === 512) { this.port.postMessage(this.buffer.slice()); this.filled = 0; }
        }
        return true;
      }
    });`;
    await context.audioWorklet.addModule(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
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

  // ---- The conversation on the page ----

  const items = new Map(); // item id or response id -> element
  let connection = null;
  let microphone = null;
  let speaking = false; // a turn of the person's is open
  let answering = false;
  let held = false; // the push-to-talk button or key is down
  const settings = { muted: false, protect_answer: false, turn_detection: true }; // as the server has them, or will

  function item(id, role) {
    if (!items.has(id)) {
      const element = document.createElement("div");
      element.className = "ep-item " + role;
      element.dataset.role = role;
      element.append(document.createElement("span"));
      byId("log").querySelector(".ep-empty")?.setAttribute("hidden", "");
      byId("log").append(element);
      items.set(id, element);
    }
    return items.get(id);
  }

  const text = (element) => element.firstChild;
  const remove = (id) => (items.get(id)?.remove(), items.delete(id));

  function note(element, words) {
    const line = element.querySelector(".ep-note") || element.appendChild(document.createElement("small"));
    line.className = "ep-note";
    line.textContent = words;
  }

  function showState(state, words) {
    byId("status").dataset.state = state;
    byId("status-text").textContent = words;
  }

  function showFloor() {
    if (speaking) showState("speaking", "You are speaking.");
    else if (answering) showAnswering();
    else showListening();
  }

  function showListening() {
    if (!microphone) showState("idle", "Microphone off.");
    else if (settings.muted) showState("idle", "Muted. Nothing you say is sent.");
    else if (!settings.turn_detection) showState("listening", "Hold the button or the space bar while you speak.");
    else showState("listening", "Listening. Just speak.");
  }

  function showAnswering() {
    if (settings.protect_answer) showState("answering", "Answering to the end. What you say comes next.");
    else if (!settings.turn_detection) showState("answering", "Answering. Hold the button to interrupt.");
    else showState("answering", "Answering. Speak to interrupt.");
  }

  function showSettings() {
    const shown = { mute: settings.muted, protect: settings.protect_answer, push: !settings.turn_detection };
    for (const [name, on] of Object.entries(shown)) byId(name).setAttribute("aria-pressed", on);
    byId("mute").textContent = settings.muted ? "Muted" : "Mute";
    byId("hold").hidden = settings.turn_detection;
  }

  function showWindow(event) {
    const share = (message) => Math.max(message.tokens / event.max_tokens, message.audio_s / event.max_audio_s);
    const bars = event.messages.map((message) => {
      const bar = document.createElement("i");
      bar.className = message.tier;
      bar.style.width = `${100 * share(message)}%`;
      const audio = message.audio_s ? `, ${message.audio_s.toFixed(1)} s` : "";
      bar.title = `${message.role}, kept as ${message.tier}: ${message.tokens} tokens${audio}`;
      return bar;
    });
    byId("window-bar").replaceChildren(...bars);
    const full = Math.max(event.tokens / event.max_tokens, event.audio_s / event.max_audio_s);
    byId("window-text").textContent = `Memory ${Math.round(100 * full)} %`;
  }

  function showMetrics(event) {
    const ms = (seconds) => `${Math.round(seconds * 1000)} ms`;
    const audio = (samples) => samples >= WORTH_SHOWING_SAMPLES && ms(samples / SAMPLE_RATE_HZ);
    const waits = event.recent_waits_s;
    const rows = {
      "Turns": event.turns,
      "Wait for the end of a turn": waits.length ? `${ms(event.mean_wait_s)} mean, ${ms(waits.at(-1))} last` : "",
      "Cut-ins": `${event.cut_ins} of ${event.turns} turns`,
      "Early answers withdrawn": `${event.retracted} of ${event.provisional}`,
      "Answers interrupted": event.interrupted,
      "Stopped for a noise, then resumed": event.false_interruptions,
      "Early answers skipped under load": event.speculations_skipped,
      "Pauses that could not be scored": event.scorer_failures,
      "Answers that failed": event.failed,
      "Summaries of what is older": event.summaries,
      "Messages not understood": event.rejected,
      "Audio lost": audio(event.gap_samples + event.lost_packets * PACKET_SAMPLES),
      "Audio sent twice": audio(event.repeated_samples),
      "Audio distorted": audio(event.clipped_samples),
      "Audio broken": audio(event.non_finite_samples),
      "Audio off balance": audio(event.offset_samples),
      "Microphone still": audio(event.flat_samples),
      "Audio behind the clock": Math.abs(event.clock_drift_s) >= 0.1 && `${event.clock_drift_s.toFixed(1)} s`,
    };
    const always = ["Turns", "Cut-ins", "Early answers withdrawn", "Answers interrupted"];
    const cells = Object.entries(rows).filter(([name, value]) => value || always.includes(name));
    byId("metrics").replaceChildren(
      ...cells.flatMap(([name, value]) => {
        const pair = [document.createElement("dt"), document.createElement("dd")];
        [pair[0].textContent, pair[1].textContent] = [name, value];
        return pair;
      }),
    );
  }

  function showError(message) {
    byId("error").textContent = message;
    byId("error").hidden = !message;
  }

  const draw = {
    "session.created": (event) => {
      byId("model").textContent = `${event.model}: ${event.description}`;
    },
    "input_audio_buffer.speech_started": (event) => {
      const element = item(event.item_id, "user");
      element.classList.add("hearing");
      text(element).textContent = "…";
      speaking = true;
    },
    "input_audio_buffer.cleared": (event) => {
      remove(event.item_id);
      speaking = false;
    },
    "conversation.item.input_audio_transcription.completed": (event) => {
      text(item(event.item_id, "user")).textContent = event.transcript || "(nothing was heard)";
    },
    "conversation.item.created": (event) => {
      if (event.role !== "user") return;
      const element = item(event.item_id, "user");
      element.classList.remove("hearing");
      if (event.text) text(element).textContent = event.text;
      if (event.audio_s) note(element, `${event.audio_s.toFixed(1)} s of speech`);
      speaking = false;
    },
    "response.created": (event) => {
      const element = item(event.response_id, "assistant");
      element.classList.toggle("provisional", event.provisional);
      answering = true;
      speaking = false; // if it is provisional: perhaps
    },
    "response.output_text.delta": (event) => {
      text(item(event.response_id, "assistant")).textContent += event.delta;
    },
    "response.committed": (event) => item(event.response_id, "assistant").classList.remove("provisional"),
    "response.retracted": (event) => {
      const element = items.get(event.response_id);
      element?.classList.add("retracted");
      items.delete(event.response_id);
      setTimeout(() => element?.remove(), RETRACTED_SHOWN_MS);
      answering = false;
      speaking = true;
    },
    "session.updated": ({ muted, protect_answer, turn_detection }) => {
      Object.assign(settings, { muted, protect_answer, turn_detection });
      showSettings();
    },
    "conversation.window": showWindow,
    "session.metrics": showMetrics,
    "response.done": (event) => {
      const element = item(event.response_id, "assistant");
      element.classList.add(event.status);
      if (!event.text) remove(event.response_id);
      else if (event.response_latency_s !== null)
        note(element, `first word ${Math.round(event.response_latency_s * 1000)} ms after your last word`);
      answering = false;
    },
    "conversation.cleared": () => {
      items.forEach((element) => element.remove());
      items.clear();
      byId("log").querySelector(".ep-empty").removeAttribute("hidden");
      speaking = answering = false;
    },
    error: (event) => showError(event.message),
  };

  function onEvent(event) {
    const log = byId("log");
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    draw[event.type]?.(event);
    showFloor();
    if (atEnd) log.scrollTop = log.scrollHeight;
  }

  function onClose() {
    if (!connection) return;
    const lost = connection;
    connection = null;
    speaking = answering = false;
    lost.close();
    stopMicrophone();
    showError("The connection was lost. Start again to reconnect; the conversation begins anew.");
  }

  const connect = once(async () => {
    if (connection) return;
    showState("idle", "Connecting…");
    try {
      connection = await connectWebRtc(onEvent, onClose);
    } catch (error) {
      console.info("WebRTC:", error.message, "- trying a WebSocket");
      connection = await connectWebSocket(onEvent, onClose);
    }
    document.querySelector(".earpiece").dataset.transport = connection.name;
    sendSettings();
  });

  function sendSettings() {
    const { muted, protect_answer, turn_detection } = settings;
    const session = { muted, protect_answer, turn_detection: turn_detection ? {} : null };
    connection?.send({ type: "session.update", session });
  }

  function change(changes) {
    Object.assign(settings, changes);
    microphone?.getAudioTracks().forEach((track) => (track.enabled = !settings.muted));
    showSettings();
    showFloor();
    sendSettings();
  }

  // ---- What the person does ----

  const startMicrophone = once(async () => {
    if (!navigator.mediaDevices)
      throw new Error("The browser gives microphones only to https:// and localhost pages. Open the page that way, or type.");
    try {
      microphone = await navigator.mediaDevices.getUserMedia({
        audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
      });
    } catch (error) {
      throw new Error(NO_MICROPHONE[error.name] || `The microphone cannot be used: ${error.message}`);
    }
    const track = microphone.getAudioTracks()[0];
    track.onended = () => (stopMicrophone(), showError("The microphone was unplugged. Start again when it is back."));
    track.enabled = !settings.muted;
    await connect();
    await connection.setTrack(track);
    showLevel(microphone);
    byId("talk").textContent = "Stop talking";
    byId("talk").classList.add("on");
    showFloor();
  });

  function stopMicrophone() {
    microphone?.getTracks().forEach((track) => track.stop());
    microphone = null;
    connection?.setTrack(null);
    byId("talk").textContent = "Start talking";
    byId("talk").classList.remove("on");
    byId("level").style.width = 0;
    showFloor();
  }

  function showLevel(stream) {
    const context = new AudioContext();
    const analyser = context.createAnalyser();
    analyser.fftSize = 512;
    context.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const drawLevel = () => {
      if (microphone !== stream) return void context.close();
      analyser.getFloatTimeDomainData(samples);
      const rms = Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
      byId("level").style.width = Math.max(0, Math.min(100, (20 * Math.log10(rms + 1e-6) + 60) * 2)) + "%";
      requestAnimationFrame(drawLevel);
    };
    drawLevel();
  }

  // Push-to-talk: named as OpenAI's manual mode has it, where the client clears the buffer and commits it.
  async function press() {
    if (held) return;
    held = true;
    byId("hold").classList.add("on");
    if (!microphone) await perform("ep-talk");
    else await connect().catch(() => {}); // whoever began to connect says what is wrong
    if (held) connection?.send({ type: "input_audio_buffer.clear" });
  }

  function release() {
    if (!held) return;
    held = false;
    byId("hold").classList.remove("on");
    connection?.send({ type: "input_audio_buffer.commit" });
    speaking = false;
    showFloor();
  }

  const actions = {
    "ep-talk": () => (microphone ? stopMicrophone() : startMicrophone()),
    "ep-send": async () => {
      const words = byId("text").value.trim();
      if (!words) return;
      await connect();
      byId("text").value = "";
      showFloor();
      const content = [{ type: "input_text", text: words }];
      connection.send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
      connection.send({ type: "response.create" });
    },
    "ep-stop": () => connection?.send({ type: "response.cancel" }),
    "ep-mute": () => change({ muted: !settings.muted }),
    "ep-protect": () => change({ protect_answer: !settings.protect_answer }),
    "ep-push": () => (release(), change({ turn_detection: !settings.turn_detection })),
    "ep-new": () => connection?.send({ type: "conversation.clear" }),
  };

  async function perform(id) {
    showError("");
    const button = document.getElementById(id);
    button.disabled = true;
    try {
      await actions[id]();
    } catch (error) {
      microphone?.getTracks().forEach((track) => track.stop());
      microphone = null;
      showFloor();
      showError(error.message);
    } finally {
      button.disabled = false;
    }
  }

  // Gradio draws the page after this script has run, so events are caught above its elements.
  document.addEventListener("click", ({ target }) => target.id in actions && perform(target.id));
  document.addEventListener("keydown", (event) => {
    if (event.target.id === "ep-text" && event.key === "Enter") perform("ep-send");
    if (isTalkKey(event)) {
      event.preventDefault(); // a button would be clicked, the page would scroll
      press();
    }
  });
  document.addEventListener("keyup", (event) => {
    if (!isTalkKey(event)) return;
    event.preventDefault();
    release();
  });
  document.addEventListener("pointerdown", ({ target }) => target.closest("#ep-hold") && press());
  for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, release);
  window.addEventListener("blur", release);

  const isTalkKey = (event) => event.code === "Space" && !settings.turn_detection && event.target.id !== "ep-text";
})();
