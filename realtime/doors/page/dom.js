// The few ways in which the page makes and finds elements. Text is always set as text, never read as HTML.
const SVG = "http://www.w3.org/2000/svg";

export const byId = (name) => document.getElementById("ep-" + name);

// Makes an element: make("p", { className: "x", title: "y" }, "text", otherElement).
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// Gives a drawing from the sprite in the page.
export function icon(name) {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("class", "ep-icon");
  drawing.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", "#ep-icon-" + name);
  drawing.append(use);
  return drawing;
}

// Makes a button that shows a drawing and says its words to who cannot see it; `action` is what a click on it asks for.
export function iconButton(name, label, action) {
  const button = make("button", { type: "button", className: "ep-quiet", title: label }, icon(name));
  button.setAttribute("aria-label", label);
  if (action) button.dataset.action = action;
  return button;
}

export function showError(message) {
  byId("error-text").textContent = message;
  byId("error").hidden = !message;
}
