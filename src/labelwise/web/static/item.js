// One item at a time, or in a sheet over the grid: the item and all its labels.

import { $, h, say, count, ANSWERS } from "./dom.js";
import { get, getSettled, send } from "./api.js";
import { chance, content, votes } from "./cards.js";

const FEW = 12;
const state = { items: [], at: 0, total: 0, skip: 0, line: 0, all: false };
let app;

export const setUp = (given) => { app = given; };
export const current = () => state.items[state.at] || null;

export async function load(filters, { again = false } = {}) {
  if (!again) state.skip = 0;
  const found = await getSettled("/api/items", { ...filters, size: 6, skip: state.skip });
  Object.assign(state, { items: found.items, total: found.total, at: 0, line: 0 });
  show();
}

export async function next() {
  if (state.at + 1 < state.items.length) {
    Object.assign(state, { at: state.at + 1, line: 0 });
    show();
  } else {
    state.skip += app.filters.state === "open" ? state.items.filter((one) => one.labels.some((label) => label.given === -1 && label.answer === null)).length : state.items.length;
    if (state.skip >= state.total) state.skip = 0;
    await load(app.filters, { again: true });
  }
  scrollTo({ top: 0 });
}

function show() {
  const item = current();
  if (!item) {
    $("cards").replaceChildren(h("div", { class: "empty" }, h("strong", {}, "No item is left here"), h("p", {}, "Change the search or the filters.")));
    $("foot").replaceChildren();
    return;
  }
  $("cards").replaceChildren(sheet(item, false));
  $("foot").replaceChildren(
    h("p", { class: "muted" }, `${count(state.total)} items in this view`),
    h("div", { class: "foot-buttons" }, h("button", { type: "button", class: "primary", id: "next", onclick: next }, "Next item", h("kbd", {}, "Enter"))));
  mark(0, false);
}

function sheet(item, inDialog) {
  const box = h("article", { class: `sheet ${item.kind}` });
  box.append(content(item, { large: true }));
  const side = h("div", { class: "sheet-side" }, h("h2", { class: "item-name" }, item.item));
  if (item.kind !== "row" && item.columns?.length && item.kind === "image") {
    side.append(h("dl", { class: "row" }, item.columns.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value || "–")))));
  }
  const list = h("ul", { class: "lines" });
  const many = !state.all && item.labels.length > FEW + 3;
  item.labels.slice(0, many ? FEW : undefined).forEach((card, index) => list.append(line(item, card, index)));
  side.append(list);
  if (many) side.append(h("button", { type: "button", class: "plain", onclick: () => { state.all = true; inDialog ? open(item.row) : show(); } }, `All ${item.labels.length} labels`));
  box.append(side);
  return box;
}

function line(item, card, index) {
  const box = h("li", { class: "line", "data-index": index });
  fill(box, item, card);
  return box;
}

function fill(box, item, card) {
  const answer = card.answer ?? (card.given === -1 ? null : card.given);
  box.className = `line ${answer === null ? "" : ANSWERS[answer]} ${card.answer === null && card.given !== -1 ? "given" : ""} ${card.pending ? "pending" : ""} ${box.classList.contains("marked") ? "marked" : ""}`;
  const button = (value, name, text) => h("button", { type: "button", class: name, "aria-pressed": String(answer === value), "aria-label": `${card.label}: ${text}`, onclick: () => put(box, item, card, value) }, text);
  box.replaceChildren(
    h("div", { class: "line-name" }, h("strong", {}, card.label), h("span", { class: "state" }, card.pending ? "saving" : shown(card)), votes(card)),
    chance(card.score),
    h("div", { class: "three", role: "group", "aria-label": card.label }, button(0, "no", "No"), button(-1, "skip", "Skip"), button(1, "yes", "Yes")));
}

// The buttons show the answer; words are for what they cannot show.
const shown = (card) => card.answer === null ? (card.given === -1 ? "" : "given") : card.by && card.by !== app.reviewer() ? `by ${card.by}` : "";

function put(box, item, card, answer) {
  const [made] = send(app.reviewer(), [{ item: item.item, label: card.label, answer }]);
  Object.assign(card, { answer, by: app.reviewer(), votes: { ...(card.votes || {}), [app.reviewer()]: answer }, pending: made.id });
  fill(box, item, card);
  app.did({ kind: "answers", ids: [made.id] });
  say(`${card.label}: ${ANSWERS[answer]}`);
}

const host = () => $("sheet").open ? $("sheet") : $("cards");
const lines = () => [...host().querySelectorAll(".line")];

export function mark(index, scroll = true) {
  const all = lines();
  if (!all.length) return;
  state.line = Math.max(0, Math.min(index, all.length - 1));
  all.forEach((one, place) => one.classList.toggle("marked", place === state.line));
  if (scroll) all[state.line].scrollIntoView({ block: "nearest" });
}

export const move = (step) => mark(state.line + step);

export function give(answer) {
  const box = lines()[state.line];
  const item = $("sheet").open ? state.open : current();
  if (!box || !item) return;
  put(box, item, item.labels[state.line], answer);
  if (state.line + 1 < lines().length) mark(state.line + 1);
}

export async function open(row) {
  state.open = await get(`/api/item/${row}`);
  const dialog = $("sheet");
  dialog.replaceChildren(
    h("button", { type: "button", class: "icon close", "aria-label": "Close", onclick: () => dialog.close() }, "×"),
    sheet(state.open, true));
  if (!dialog.open) dialog.showModal();
  mark(0, false);
}

export function stored(answers) {
  const ids = new Set(answers.map((one) => one.id));
  for (const [scope, item] of [[$("cards"), current()], [$("sheet"), state.open]]) {
    if (!item) continue;
    scope.querySelectorAll(".line").forEach((box, index) => {
      const card = item.labels[index];
      if (!card || !ids.has(card.pending)) return;
      card.pending = null;
      fill(box, item, card);
    });
  }
}

export function undone(changes) {
  let hit = false;
  for (const [scope, item] of [[$("cards"), current()], [$("sheet"), state.open]]) {
    if (!item) continue;
    for (const change of changes) {
      const index = item.item === change.item ? item.labels.findIndex((one) => one.label === change.label) : -1;
      const box = index < 0 ? null : scope.querySelectorAll(".line")[index];
      if (!box) continue;
      Object.assign(item.labels[index], change, { pending: null });
      fill(box, item, item.labels[index]);
      mark(index);
      hit = true;
    }
  }
  return hit;
}
