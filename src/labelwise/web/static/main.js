// The page: modes, filters, keys.

import { $, h, count, newId, plural, say, toast } from "./dom.js";
import { banner, get, onStored, post, restoreOutbox, run, settled, start } from "./api.js";
import * as grid from "./grid.js";
import * as items from "./item.js";
import * as labels from "./labels.js";
import * as panel from "./panel.js";

const KEYS = [
  ["Y or 1", "yes"], ["N or 0", "no"], ["S", "skip"], ["U", "undo"], ["Shift N", "no for the rest of the page"],
  ["Arrow keys", "move"], ["Enter", "next cards"], ["D", "all labels of the item"], ["M", "one label or one item"],
  ["/", "search"], ["[ and ]", "label before and after"], ["?", "these keys"],
];

const app = {
  mode: "label",
  label: null,
  filters: { state: "open", order: "likely", reviewer: "", search: "", asker: "" },
  done: [],
  reviewer: () => $("reviewer").value.trim(),
  did(action) { app.done.push(action); dock(); },
  open: (row) => items.open(row),
  choose(name) { app.label = name; remember(); app.mode === "label" ? reload() : setMode("label"); },
  show(state) { $("state").value = state; app.filters.state = state; setMode("label"); },
  reload,
};

async function reload() {
  app.filters.asker = app.reviewer();
  try {
    if (app.mode === "item") await items.load(app.filters);
    else await grid.load(app.label, app.filters);
    await refresh();
  } catch (error) {
    banner(error.message);
  }
}

async function refresh() {
  const now = await get("/api/progress", { label: app.mode === "label" ? app.label : "" });
  labels.show(now.labels);
  headline(now);
  panel.show(now);
  people(now.reviewers);
}

function headline(now) {
  const one = labels.of(app.label);
  $("mode-certify").hidden = !now.certificate?.precision;
  if (app.mode === "label" && one) {
    const image = run.kind === "image";
    $("question").replaceChildren(image ? "Is there " : "Is this ", h("b", {}, one.name), "?");
    $("left").textContent = `${count(one.open)} open · ${count(one.given_yes + one.yes)} known yes · ${count(one.given_no + one.no)} known no`;
    document.title = `${one.name} · ${run.name}`;
  } else if (app.mode === "certify") {
    $("question").textContent = "Right or wrong?";
    $("left").textContent = now.certificate?.pilot_left ? `${now.certificate.pilot_left} answers calibrate the ranking first` : "Answers in this order count as evidence";
    document.title = `Certify · ${run.name}`;
  } else {
    $("question").textContent = "What applies?";
    $("left").textContent = `${plural(run.n_items, "item", "items")}, ${count(now.open)} open entries`;
    document.title = run.name;
  }
}

function people(reviewers) {
  const before = $("by").value;
  $("by").replaceChildren(h("option", { value: "" }, "Everybody"), ...reviewers.filter((one) => one.name).map((one) => h("option", { value: one.name }, one.name)));
  $("by").value = reviewers.some((one) => one.name === before) ? before : "";
}

function setMode(mode) {
  app.mode = mode;
  document.body.dataset.mode = mode;
  $("mode-label").setAttribute("aria-pressed", String(mode === "label"));
  $("mode-item").setAttribute("aria-pressed", String(mode === "item"));
  $("mode-certify").setAttribute("aria-pressed", String(mode === "certify"));
  remember();
  return reload();
}

async function undo() {
  const last = app.done.pop();
  await settled();
  try {
    const found = await post("/api/undo", { id: newId(), reviewer: app.reviewer(), answers: last?.ids ?? [] });
    if (!found.undone.length) {
      toast("Nothing to undo");
      return;
    }
    const here = items.undone(found.undone) || (app.mode !== "item" && grid.undone(found.undone));
    say(`Undone: ${found.undone.map((one) => one.item).join(", ")}`);
    toast(`Undone: ${found.undone.length === 1 ? `${found.undone[0].label}, ${found.undone[0].item}` : plural(found.undone.length, "answer", "answers")}`);
    here ? await refresh() : await reload();
  } catch (error) {
    banner(`The undo was not stored: ${error.message}`);
  }
}

const give = (answer) => $("sheet").open || app.mode === "item" ? items.give(answer) : grid.give(answer);
const next = () => app.mode === "item" ? items.next() : grid.next();

function step(by) {
  const names = labels.names();
  const place = names.indexOf(app.label) + by;
  if (place >= 0 && place < names.length) app.choose(names[place]);
}

function onKey(event) {
  const typing = event.target.closest("input, textarea, select");
  if (event.key === "Escape" && typing) { typing.blur(); return; }
  if (typing || event.altKey || (event.ctrlKey || event.metaKey) && event.key !== "z") return;
  if ($("keys").open) return;
  const inSheet = $("sheet").open || app.mode === "item";
  const onButton = event.target.closest("button, a, summary") && !event.target.closest("#cards .card");
  const actions = {
    y: () => give(1), 1: () => give(1), n: () => give(0), 0: () => give(0), s: () => give(-1), u: undo, z: undo,
    N: () => inSheet || grid.giveRest(0),
    Enter: () => onButton || $("sheet").open ? null : next(),
    ArrowLeft: () => inSheet || grid.move("left"), ArrowRight: () => inSheet || grid.move("right"),
    ArrowUp: () => inSheet ? items.move(-1) : grid.move("up"), ArrowDown: () => inSheet ? items.move(1) : grid.move("down"),
    d: () => inSheet || (grid.marked() && items.open(grid.marked().row)),
    m: () => $("sheet").open || setMode(app.mode === "label" ? "item" : "label"),
    "/": () => $("search").focus(), "?": keys, "[": () => step(-1), "]": () => step(1),
  };
  const action = actions[event.key] || (event.shiftKey ? null : actions[event.key.toLowerCase()]);
  if (!action || (event.key === "Enter" && onButton)) return;
  event.preventDefault();
  action();
}

function dock() {
  const button = (name, text, key, act) => h("button", { type: "button", class: name, "aria-label": text, onclick: act }, h("span", {}, text), h("kbd", {}, key));
  $("dock").replaceChildren(button("undo", "Undo", "U", undo), button("no", "No", "N", () => give(0)), button("skip", "Skip", "S", () => give(-1)), button("yes", "Yes", "Y", () => give(1)));
}

function keys() {
  $("keys").replaceChildren(
    h("button", { type: "button", class: "icon close", "aria-label": "Close", onclick: () => $("keys").close() }, "×"),
    h("h2", { id: "keys-title" }, "Keys"),
    h("dl", { class: "key-list" }, KEYS.map(([key, what]) => h("div", {}, h("dt", {}, key.split(" ").map((part) => /^(or|and|keys)$/.test(part) ? ` ${part} ` : h("kbd", {}, part))), h("dd", {}, what)))),
    h("p", { class: "muted" }, "Every answer is on disk before its card says so. The last answer to an entry wins; earlier ones are kept."));
  $("keys").showModal();
}

function remember() {
  try {
    localStorage.setItem("labelwise-view", JSON.stringify({ key: run.key, mode: app.mode, label: app.label }));
    localStorage.setItem("labelwise-reviewer", $("reviewer").value);
  } catch { /* nothing is remembered then */ }
}

function recall() {
  try {
    const view = JSON.parse(localStorage.getItem("labelwise-view") || "{}");
    $("reviewer").value = run.reviewer || localStorage.getItem("labelwise-reviewer") || "";
    return view.key === run.key ? view : {};
  } catch {
    return {};
  }
}

function theme(next) {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = root.dataset.theme || (dark ? "dark" : "light");
  root.dataset.theme = next || (now === "dark" ? "light" : "dark");
  try { localStorage.setItem("labelwise-theme", root.dataset.theme); } catch { /* as above */ }
}

function listen() {
  let typing = 0;
  $("mode-label").addEventListener("click", () => setMode("label"));
  $("mode-item").addEventListener("click", () => setMode("item"));
  $("mode-certify").addEventListener("click", () => setMode("certify"));
  $("search").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => { app.filters.search = $("search").value; reload(); }, 200);
  });
  $("search-form").addEventListener("submit", (event) => { event.preventDefault(); $("search").blur(); });
  for (const [id, name] of [["order", "order"], ["state", "state"], ["by", "reviewer"]]) {
    $(id).addEventListener("change", () => { app.filters[name] = $(id).value; reload(); });
  }
  $("reviewer").addEventListener("change", () => { remember(); reload(); });
  $("theme").addEventListener("click", () => theme());
  $("help").addEventListener("click", keys);
  $("sheet").addEventListener("close", () => { if (app.mode !== "item") reload(); });
  $("sheet").addEventListener("click", (event) => { if (event.target === $("sheet")) $("sheet").close(); });
  document.addEventListener("keydown", onKey);
  onStored((answers, found) => {
    grid.stored(answers);
    items.stored(answers);
    if (found.progress.label) labels.change(found.progress.label);
    headline(found.progress);
    panel.show(found.progress);
    people(found.progress.reviewers);
  }, (answers, why) => toast(why, true));
}

async function begin() {
  try { const kept = localStorage.getItem("labelwise-theme"); if (kept) theme(kept); } catch { /* as above */ }
  await start();
  $("run-name").textContent = run.name;
  $("filters").open = matchMedia("(min-width: 700px)").matches;
  for (const module of [grid, items, labels, panel]) module.setUp(app);
  labels.show(run.labels);
  const view = recall();
  const wanted = [...run.labels].sort((a, b) => b.suggested - a.suggested || a.given_yes + a.yes - b.given_yes - b.yes)[0];
  app.label = labels.of(view.label) ? view.label : wanted.name;
  listen();
  dock();
  restoreOutbox();
  await setMode(view.mode === "item" ? "item" : "label");
  panel.watch();
  // The certificate is made beside the page, and follows the answers.
  setInterval(() => { if (!document.hidden) get("/api/progress", { label: app.mode === "label" ? app.label : "" }).then((now) => { headline(now); panel.show(now); }).catch(() => {}); }, 4000);
}

begin().catch((error) => banner(error.message));
