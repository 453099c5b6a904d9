// Asking the server for something beside the connection.

// Like `fetch`, but says in the person's language that the server cannot be reached.
export async function reach(address, options) {
  try {
    return await fetch(address, options);
  } catch (error) {
    throw new Error("connection.unreachable", { cause: error });
  }
}
