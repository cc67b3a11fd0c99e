// What is shown of an item: its picture, its text or its row.

import { h, percent, ANSWERS } from "./dom.js";
import { run } from "./api.js";

export function content(item, { large = false } = {}) {
  if (item.kind === "image") return picture(item, large);
  const parts = [];
  if (item.kind === "text") parts.push(h("blockquote", { class: "text", dir: "auto" }, item.text));
  if (item.columns?.length && (item.kind === "row" || large)) parts.push(row(item.columns));
  if (!parts.length) parts.push(h("p", { class: "text" }, item.item));
  if (item.unreadable) parts.push(h("p", { class: "warn" }, `Not read by the model: ${item.unreadable}`));
  return h("div", { class: "content wordy" }, parts);
}

function picture(item, large) {
  const box = h("div", { class: "content picture" });
  const missing = (why) => box.replaceChildren(h("p", { class: "missing" }, broken(), h("span", {}, "This picture cannot be read"), why ? h("small", {}, why) : null));
  if (item.unreadable) {
    missing(item.unreadable);
    return box;
  }
  const image = h("img", {
    src: `/api/picture/${item.row}?side=${large ? 1200 : 480}&run=${run.key}`,
    alt: item.item, loading: large ? "eager" : "lazy", decoding: "async", draggable: "false",
    onload: () => { if (Math.max(image.naturalWidth, image.naturalHeight) <= 128) image.classList.add("pixels"); },
    onerror: () => missing(""),
  });
  box.append(image);
  return box;
}

function broken() {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", "M3 5h8l-2 4 3 3-2 3 1 4H3zM14 5h7v14h-8l-1-3 2-4-2-3z");
  svg.append(path);
  return svg;
}

const row = (columns) => h("dl", { class: "row" }, columns.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value || "–"))));

export function chance(score) {
  if (score === null) return h("span", { class: "chance none" }, "no score");
  return h("span", { class: "chance", title: run.calibrated ? "probability" : "score; not calibrated" },
    h("i", { style: { "--share": score } }), percent(score));
}

export function status(card, me) {
  if (card.answer !== null) return `${ANSWERS[card.answer]}${card.by && card.by !== me ? ` by ${card.by}` : ""}`;
  return card.given === -1 ? "" : `given: ${ANSWERS[card.given]}`;
}

export function votes(card) {
  const others = Object.entries(card.votes || {});
  if (others.length < 2) return null;
  return h("span", { class: "votes" }, others.map(([name, answer]) => h("b", { class: ANSWERS[answer], title: `${name || "no name"}: ${ANSWERS[answer]}` }, (name || "?").slice(0, 2))));
}
