// The list of labels beside the cards.

import { $, h, count, toast } from "./dom.js";
import { post } from "./api.js";

let app;
let labels = [];

export function setUp(given) {
  app = given;
  $("label-filter").addEventListener("input", draw);
  $("label-add").addEventListener("submit", add);
  $("labels-open").addEventListener("click", () => toggle(true));
  $("labels-close").addEventListener("click", () => toggle(false));
}

export function toggle(open) {
  document.body.classList.toggle("labels-shown", open);
  if (open) $("labels-close").focus();
}

export function show(found) {
  labels = found;
  draw();
}

export const names = () => labels.map((one) => one.name);
export const of = (name) => labels.find((one) => one.name === name);

export function change(one) {
  const place = labels.findIndex((other) => other.name === one.name);
  if (place < 0) return;
  labels[place] = one;
  draw();
}

function draw() {
  const words = $("label-filter").value.trim().toLowerCase();
  $("label-filter").hidden = labels.length < 12;
  const chosen = labels.filter((one) => one.name.toLowerCase().includes(words)).slice(0, 400);
  $("label-list").replaceChildren(...chosen.map(item));
}

function item(one) {
  const known = one.given_yes + one.given_no + one.yes + one.no;
  const share = known / Math.max(1, known + one.open + one.skipped);
  return h("li", {}, h("button", { type: "button", class: "label", "aria-current": String(app.mode === "label" && one.name === app.label), onclick: () => { toggle(false); app.choose(one.name); } },
    h("span", { class: "label-name" }, one.name, one.new ? h("em", {}, "new") : null),
    h("span", { class: "label-count" }, h("b", {}, count(one.given_yes + one.yes)), one.yes ? h("span", { class: "plus" }, `+${count(one.yes)}`) : null),
    h("span", { class: "thin" }, h("i", { style: { width: `${100 * share}%` } })),
    h("span", { class: "spoken" }, `known relevant, ${count(one.open)} open`)));
}

async function add(event) {
  event.preventDefault();
  const name = $("label-name").value.trim();
  if (!name) return;
  try {
    const found = await post("/api/labels", { name, reviewer: app.reviewer() });
    $("label-name").value = "";
    show(found.labels);
    app.choose(found.labels.at(-1).name);
  } catch (error) {
    toast(error.message, true);
  }
}
