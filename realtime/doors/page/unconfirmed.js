// Typed messages that the server has not shown to have. A wire that has gone takes messages for some seconds before
// anybody notices. A session that goes on is sent them again (`connection.js`); one that is over never had them, so they
// are given back to the person.
export class Unconfirmed {
  #messages = []; // each a list of texts, oldest first

  add(texts) {
    this.#messages.push(texts);
  }

  take({ type, text = "" }) {
    if (type !== "conversation.item.created") return;
    const place = this.#messages.findIndex((texts) => text.endsWith(texts.at(-1)));
    this.#messages.splice(0, place + 1); // they come in the order in which they were sent
  }

  // Gives the texts that will not arrive, because their session is over.
  giveUp() {
    return this.#messages.splice(0).flat();
  }
}
