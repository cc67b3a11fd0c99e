// One label at a time: a grid of cards, one of them marked.

import { $, h, say, count, plural, percent, ANSWERS } from "./dom.js";
import { getSettled, send } from "./api.js";
import { chance, content, status, votes } from "./cards.js";

const SIZE = 24;
const WAIT = 500;
const state = { entries: [], at: 0, total: 0, passed: 0, label: null, making: false };
let app;
let waiting = 0;

export const setUp = (given) => { app = given; };
export const marked = () => state.entries[state.at] || null;

export async function load(label, filters, { again = false } = {}) {
  if (!again) state.passed = 0;
  state.label = label;
  const certify = app.mode === "certify";
  const found = certify ? await getSettled("/api/certify", { size: SIZE, asker: filters.asker }) : await getSettled("/api/entries", { ...filters, label, size: SIZE, skip: state.passed });
  if (label !== app.label || certify !== (app.mode === "certify")) return;
  // A second opinion is given without seeing the first, so that it is one.
  const blind = filters.state === "second";
  const entries = found.entries.map((one) => ({ ...one, done: false, ...(blind ? { answer: null, by: null, votes: {} } : {}) }));
  Object.assign(state, { entries, total: found.total, at: 0, making: Boolean(found.making) });
  show(filters);
  clearTimeout(waiting);
  if (certify && found.making && !entries.length) waiting = setTimeout(askAgain, WAIT);
}

// What the certificate asks next depends on the answers before: its cards come by themselves when these are counted.
async function askAgain() {
  if (app.mode !== "certify" || state.entries.length) return;
  try {
    await load(app.label, app.filters, { again: true });
  } catch {
    waiting = setTimeout(askAgain, 4 * WAIT);
  }
}

export async function next() {
  // What was left open is passed over until the filters change.
  // Entries leave these views as they are answered.
  const open = ["open", "second"].includes(app.filters.state);
  state.passed += open ? state.entries.filter((one) => !one.done).length : state.entries.length;
  if (state.passed >= state.total - (open ? state.entries.filter((one) => one.done).length : 0)) state.passed = 0;
  await load(state.label, app.filters, { again: true });
  scrollTo({ top: 0 });
}

function show(filters) {
  const kind = state.entries[0]?.kind || "image";
  const list = h("ul", { class: `grid ${kind}` }, state.entries.map(card));
  $("cards").replaceChildren(state.entries.length ? list : empty(filters));
  footer();
  if (state.entries.length) mark(0, false);
}

function empty(filters) {
  if (app.mode === "certify" && state.making) return h("div", { class: "empty", role: "status" }, h("strong", {}, "Counting your answers"), h("p", {}, "What is asked next depends on them. The next cards come in a moment."));
  if (app.mode === "certify") return h("div", { class: "empty" }, h("strong", {}, "The certificate asks nothing more"), h("p", {}, "Fill the table with 'labelwise complete --fill'."));
  const narrowed = filters.search || filters.reviewer || filters.state !== "open";
  return h("div", { class: "empty" }, h("strong", {}, narrowed ? "Nothing matches" : "Nothing is left to answer here"),
    h("p", {}, narrowed ? "Change the search or the filters." : "Choose another label, or learn again from your answers."));
}

function card(entry, index) {
  const box = h("li", { class: "card", tabindex: "-1", "data-index": index, onclick: () => mark(index), ondblclick: () => app.open(entry.row) });
  fill(box, entry, index);
  return box;
}

function fill(box, entry, index) {
  const answered = entry.answer === null ? "" : ANSWERS[entry.answer];
  box.className = `card ${answered} ${entry.pending ? "pending" : ""} ${index === state.at ? "marked" : ""}`;
  const press = (answer) => (event) => { event.stopPropagation(); mark(index, false); give(answer); };
  const button = (answer, name, key) => h("button", { type: "button", class: name, tabindex: "-1", "aria-pressed": String(entry.answer === answer), "aria-label": `${name}: ${entry.item}`, onclick: press(answer) }, key);
  const head = h("div", { class: "card-head" }, app.mode === "certify" ? h("b", { class: "card-label" }, `${entry.label}?`) : null, chance(entry.score), votes(entry), h("button", { type: "button", class: "more", tabindex: "-1", "aria-label": `All labels of ${entry.item}`, title: "All labels (D)", onclick: (event) => { event.stopPropagation(); mark(index, false); app.open(entry.row); } }, "⋯"));
  const old = box.querySelector(".content");
  const line = h("p", { class: "name", title: entry.item }, h("span", {}, entry.kind === "image" ? entry.item.split("/").pop() : entry.item), h("b", { class: "state" }, entry.pending ? "saving" : status(entry, app.reviewer())));
  box.replaceChildren(old || content(entry), head, line, h("div", { class: "buttons" }, button(0, "no", "No"), button(-1, "skip", "Skip"), button(1, "yes", "Yes")));
}

export function mark(index, focus = true) {
  const cards = $("cards").querySelectorAll(".card");
  if (!cards.length) return;
  state.at = Math.max(0, Math.min(index, cards.length - 1));
  cards.forEach((one, place) => {
    one.classList.toggle("marked", place === state.at);
    one.tabIndex = place === state.at ? 0 : -1;
    one.setAttribute("aria-current", String(place === state.at));
  });
  if (focus) cards[state.at].focus({ preventScroll: true });
  const place = cards[state.at].getBoundingClientRect();
  if (focus && (place.top < 70 || place.bottom > innerHeight - (innerWidth > 700 ? 8 : 90))) cards[state.at].scrollIntoView({ block: "nearest" });
}

export function move(step) {
  const cards = [...$("cards").querySelectorAll(".card")];
  if (!cards.length) return;
  const columns = Math.max(1, cards.filter((one) => one.offsetTop === cards[0].offsetTop).length);
  mark(state.at + ({ left: -1, right: 1, up: -columns, down: columns })[step]);
}

export function give(answer) {
  const entry = marked();
  if (!entry) return;
  put([state.at], answer);
  say(`${ANSWERS[answer]}: ${entry.item}`);
  const left = state.entries.findIndex((one, index) => index > state.at && !one.done);
  const first = left >= 0 ? left : state.entries.findIndex((one) => !one.done);
  if (first >= 0) mark(first);
  else {
    mark(state.at);
    say(`${ANSWERS[answer]}: ${entry.item}. This page is done: Enter shows the next.`);
  }
}

export function giveRest(answer) {
  const places = state.entries.map((one, index) => one.done ? -1 : index).filter((index) => index >= 0);
  if (!places.length) return;
  put(places, answer);
  say(`${plural(places.length, "card", "cards")}: ${ANSWERS[answer]}`);
}

function put(places, answer) {
  const cards = $("cards").querySelectorAll(".card");
  const made = send(app.reviewer(), places.map((index) => ({ item: state.entries[index].item, label: state.entries[index].label, answer })));
  places.forEach((index, number) => {
    const entry = state.entries[index];
    const vote = { ...(entry.votes || {}), [app.reviewer()]: answer };
    Object.assign(entry, { answer, by: app.reviewer(), votes: vote, done: true, pending: made[number].id });
    fill(cards[index], entry, index);
  });
  app.did({ kind: "answers", ids: made.map((one) => one.id) });
  footer();
}

export function stored(answers) {
  const ids = new Set(answers.map((one) => one.id));
  $("cards").querySelectorAll(".card").forEach((box, index) => {
    const entry = state.entries[index];
    if (!entry || !ids.has(entry.pending)) return;
    entry.pending = null;
    fill(box, entry, index);
  });
}

export function undone(changes) {
  let place = -1;
  for (const change of changes) {
    const index = state.entries.findIndex((one) => one.item === change.item && one.label === change.label);
    if (index < 0) continue;
    Object.assign(state.entries[index], change, { done: false, pending: null });
    fill($("cards").querySelectorAll(".card")[index], state.entries[index], index);
    place = place < 0 ? index : Math.min(place, index);
  }
  if (place >= 0) mark(place);
  footer();
  return place >= 0;
}

function footer() {
  const open = state.entries.filter((one) => !one.done).length;
  const done = state.entries.length - open;
  const yes = state.entries.filter((one) => one.done && one.answer === 1).length;
  if (!state.entries.length) {
    $("foot").replaceChildren();
    return;
  }
  $("foot").replaceChildren(
    h("p", { class: "muted" }, done ? `${done} of ${state.entries.length} answered on this page, ${percent(yes / done)} yes` : `${plural(state.entries.length, "card", "cards")} of ${count(state.total)}`),
    h("div", { class: "foot-buttons" },
      open ? h("button", { type: "button", class: "plain", onclick: () => giveRest(0) }, `Rest: no`, h("kbd", {}, "⇧N")) : null,
      h("button", { type: "button", class: open ? "plain" : "primary", id: "next", onclick: next }, "Next cards", h("kbd", {}, "Enter"))),
  );
}
