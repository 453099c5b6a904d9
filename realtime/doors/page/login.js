// Logging in with a key, and out again: a form that is a page by itself (`login_page.js`), or stands over the page.
//
// The server keeps who this is in a cookie that no script can read; the key itself is kept nowhere.
import { make, showError } from "./dom.js";
import { words } from "./words.js";

let dialog = null;

// Makes the form; onDone() is called when somebody has logged in.
export function loginForm(onDone) {
  const key = make("input", { type: "password", name: "key", required: true, autocomplete: "current-password", spellcheck: false });
  const problem = make("p", { id: "ep-login-problem", hidden: true });
  problem.setAttribute("role", "alert");
  key.setAttribute("aria-describedby", problem.id);
  key.setAttribute("autocapitalize", "none");
  const send = make("button", { className: "primary" }, words("login.submit"));
  const title = make("h2", { id: "ep-login-title" }, words("login.title"));
  const form = make(
    "form",
    { className: "ep-login" },
    title,
    make("p", {}, words("login.explain")),
    make("label", {}, words("login.key"), key),
    problem,
    send,
  );
  form.setAttribute("aria-labelledby", title.id);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    send.disabled = true;
    const why = await logIn(key.value);
    send.disabled = false;
    problem.textContent = why;
    problem.hidden = !why;
    key.setAttribute("aria-invalid", Boolean(why));
    if (!why) return onDone();
    key.select();
    key.focus();
  });
  return form;
}

// Shows the form over the page, once, until somebody has logged in or puts it aside.
export function askForKey() {
  if (dialog) return;
  dialog = make("dialog", { className: "ep-login-over" }, loginForm(() => (showError(""), dialog.close())));
  dialog.setAttribute("aria-labelledby", "ep-login-title");
  dialog.addEventListener("close", () => {
    dialog.remove();
    dialog = null;
  });
  document.body.append(dialog);
  dialog.showModal();
}

// Gives what went wrong, or "".
async function logIn(key) {
  let response;
  try {
    response = await fetch("login", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ key }) });
  } catch (error) {
    console.info("login:", error.message);
    return words("connection.unreachable");
  }
  if (response.ok) return "";
  if (response.status === 429) return words("login.too_many", { seconds: response.headers.get("Retry-After") });
  if ([401, 413, 422].includes(response.status)) return words("login.wrong");
  return words("login.failed", { reason: response.status });
}

export const logOut = () => fetch("logout", { method: "POST" });
