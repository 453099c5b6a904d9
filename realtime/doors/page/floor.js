// Who has the floor, as a person is told: a kind of state, and a sentence that is true of it.
//
// The server has more states than a person needs to tell apart, and knows nothing of a microphone that is off.
const KINDS = {
  user_speaking: "speaking",
  key_held: "held",
  paused: "paused",
  responding: "answering",
  interrupted: "interrupted",
  judging: "interrupted",
  overlapping: "answering",
  overlap_judging: "answering",
  waiting: "answering",
};
const LEARNT_SINCE = [
  [/respond|answer/, "answering"],
  [/speak/, "speaking"],
];

function kindOf(floor) {
  return KINDS[floor] || LEARNT_SINCE.find(([pattern]) => pattern.test(floor))?.[1] || "listening";
}

// Gives [kind, key of the sentence].
//
// client: its phase, floor, settings and microphone.
// isThinking: an answer was begun and has no word yet. isSpeaking: an answer is read aloud.
export function describeFloor(client, { isThinking, isSpeaking }) {
  if (client.place) return ["queued", "floor.queued"];
  if (client.phase === "connecting" || client.phase === "reconnecting") return [client.phase, `floor.${client.phase}`];
  const kind = kindOf(client.floor);
  if (kind === "paused") return ["thinking", client.isListening ? "floor.paused" : "floor.thinking"];
  if (kind === "answering" && isThinking) return ["thinking", "floor.thinking"];
  if (kind === "answering" || (kind === "listening" && isSpeaking)) return ["answering", answeringKey(client)];
  if (kind !== "listening") return [kind, `floor.${kind}`];
  if (!client.microphone) return ["idle", "floor.idle"];
  if (client.settings.muted) return ["muted", "floor.muted"];
  return ["listening", client.settings.turn_detection ? "floor.listening" : "floor.push"];
}

function answeringKey({ isListening, settings }) {
  if (!isListening) return "floor.answering"; // nobody could interrupt by speaking
  if (settings.protect_answer) return "floor.answering_protected";
  return settings.turn_detection ? "floor.answering_open" : "floor.answering_push";
}
