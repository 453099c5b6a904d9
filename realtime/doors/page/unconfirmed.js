// Typed messages that the server has not shown to have. A wire that has gone takes messages for some seconds before
// anybody notices; after the gap, what is still here did not arrive, and is given back to the person.
export class Unconfirmed {
  #messages = []; // each a list of texts, oldest first
  #isSettling = false; // a wire is there again, and what the server had still to say is coming

  add(texts) {
    this.#messages.push(texts);
  }

  take({ type, text = "" }) {
    if (type !== "conversation.item.created") return;
    const place = this.#messages.findIndex((texts) => text.endsWith(texts.at(-1)));
    this.#messages.splice(0, place + 1); // they come in the order in which they were sent
  }

  settle() {
    this.#isSettling = true;
  }

  // Gives the texts that did not arrive, once that is known: the answer to the settings comes after all else.
  lostWith({ type }) {
    if (!this.#isSettling || type !== "session.updated") return [];
    this.#isSettling = false;
    return this.giveUp();
  }

  // Gives the texts that will not arrive, because nothing more comes.
  giveUp() {
    return this.#messages.splice(0).flat();
  }
}
