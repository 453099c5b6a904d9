// Asking the server for something beside the connection.
import { askForKey } from "./login.js";

// Like `fetch`, but says in the person's language that the server cannot be reached, or has forgotten who this is. Then
// the login is shown over the page, which stays as it is.
export async function reach(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch (error) {
    throw new Error("connection.unreachable", { cause: error });
  }
  if (response.status !== 401) return response;
  askForKey();
  throw Object.assign(new Error("login.needed"), { key: "login.needed" });
}
