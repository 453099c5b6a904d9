// The notes of a call, as the session tells them. Read `note_items.js` for how they look.
import { byId } from "./dom.js";
import { NoteItems, notesAsMarkdown } from "./note_items.js";

let items = null;

// `send` takes a command of a person's edit.
export function bindNotes(send) {
  items = new NoteItems(byId("notes-list"), {
    change: (id, changes) => send({ type: "call.note.update", note: { id, ...changes } }),
    remove: (id) => send({ type: "call.note.delete", id }),
  });
}

export const notesEvents = {
  "call.notes.updated": ({ notes }) => ((byId("notes").hidden = !notes.length), items.show(notes)),
};

export const callNotesAsMarkdown = () => notesAsMarkdown(items.notes);
