// Committed sentences: of all text that streams in, the sentences that are whole and will not be taken back, once each.
//
// They are what is read aloud and what a screen reader is told. Provisional text waits here until it is committed, and
// is dropped where it is retracted.
const END = /[.!?…。！？]["'”’)\]]*(?=\s)|\n+/g;
const CODE = /```[\s\S]*?(```|$)/g; // nobody wants to listen to that
const MARKS = /^\s*(#+|>|[-*+]|\d+[.)])\s+|[*_`~#|]|\[(?=[^\]]*\]\()|\]\([^)]*\)/gm;

// Gives text as it is spoken: without the marks of Markdown.
export const spoken = (text) => text.replace(CODE, " ").replace(MARKS, "").replace(/\s+/g, " ").trim();

export class CommittedSentences {
  #text = ""; // that was not given out yet
  #isCommitted = false;

  // onSentence(text): called with each.
  constructor(onSentence) {
    this.onSentence = onSentence;
  }

  take(event) {
    if (event.type === "response.created") this.#begin(!event.provisional);
    if (event.type === "response.retracted") this.#begin(false);
    if (event.type === "response.committed") this.#isCommitted = true;
    if (event.type === "response.output_text.delta") this.#text += event.delta;
    if (this.#isCommitted) this.#giveOut();
    if (event.type === "response.done") this.#finish(event.status);
  }

  #begin(isCommitted) {
    this.#text = "";
    this.#isCommitted = isCommitted;
  }

  #giveOut() {
    if ((this.#text.match(/```/g) || []).length % 2) return; // in the middle of code
    let end = 0;
    for (const match of this.#text.matchAll(END)) {
      this.#give(this.#text.slice(end, match.index + match[0].length));
      end = match.index + match[0].length;
    }
    this.#text = this.#text.slice(end);
  }

  #finish(status) {
    if (status !== "cancelled") this.#give(this.#text);
    this.#begin(false);
  }

  #give(text) {
    const sentence = spoken(text);
    if (sentence) this.onSentence(sentence);
  }
}
