// Elements from data: text is always text, never markup.

export const $ = (id) => document.getElementById(id);

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, one] of Object.entries(value)) element.style.setProperty(key, one);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const say = (text) => { $("spoken").textContent = text; };
export const count = (value) => value.toLocaleString("en");
export const plural = (n, one, many) => `${count(n)} ${n === 1 ? one : many}`;
export const percent = (value) => value > 0.995 && value < 1 ? ">99%" : value < 0.005 && value > 0 ? "<1%" : `${Math.round(100 * value)}%`;

export const ANSWERS = { 1: "yes", 0: "no", "-1": "skipped" };

export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function toast(text, bad = false) {
  document.querySelector(".toast")?.remove();
  const box = h("div", { class: bad ? "toast bad" : "toast", role: "status" }, text);
  document.body.append(box);
  setTimeout(() => box.remove(), bad ? 8000 : 3500);
}
