// How far the review is, learning again, and the files in and out.

import { $, h, count, plural, percent, toast, say } from "./dom.js";
import { banner, get, post, run } from "./api.js";

let app;
const seen = { progress: null, learn: null, watching: false };

export const setUp = (given) => { app = given; };

export function show(progress) {
  seen.progress = progress;
  draw();
}

function draw() {
  const now = seen.progress;
  if (!now) return;
  $("panel").replaceChildren(answered(now), confirmed(now), certificate(now), people(now), learning(), files());
}

const box = (title, ...children) => h("section", { class: "box" }, h("h2", {}, title), ...children);

function answered(now) {
  const done = now.yes + now.no;
  const total = done + now.open;
  const share = total ? done / total : 0;
  return box("Answered",
    h("p", { class: "big" }, count(done), h("small", {}, ` of ${count(total)} entries`)),
    h("div", { class: "meter", role: "img", "aria-label": `${count(now.yes)} yes, ${count(now.no)} no` },
      h("i", { class: "yes", style: { "flex-grow": now.yes } }), h("i", { class: "no", style: { "flex-grow": now.no } }), h("i", { class: "rest", style: { "flex-grow": done ? done * (1 / Math.max(share, 0.08) - 1) : 1 } })),
    h("p", { class: "legend" }, h("span", { class: "yes" }, `${count(now.yes)} yes`), h("span", { class: "no" }, `${count(now.no)} no`), now.skipped ? h("span", {}, `${count(now.skipped)} skipped`) : null));
}

function confirmed(now) {
  const found = now.label?.precision ?? now.precision;
  const title = now.label?.precision ? `Confirmed, ${now.label.name}` : "Confirmed";
  if (!found) return box("Confirmed", h("p", { class: "muted" }, "How often the suggestions are right shows after the first answers."));
  return box(title,
    h("p", { class: "big" }, percent(found.value), h("small", {}, ` of ${plural(found.n, "answer", "answers")}`)),
    range(found.low, found.high, found.value),
    h("p", { class: "muted" }, `95% interval ${percent(found.low)} to ${percent(found.high)}. Ten more at this rate: ${percent(found.next_low)} to ${percent(found.next_high)}.`));
}

export function range(low, high, value, aim = null) {
  return h("div", { class: "range", role: "img", "aria-label": `${percent(value)}, between ${percent(low)} and ${percent(high)}` },
    h("i", { class: "span", style: { left: `${100 * low}%`, width: `${100 * Math.max(high - low, 0.01)}%` } }),
    aim === null ? null : h("i", { class: "aim", style: { left: `${100 * aim}%` } }),
    h("i", { class: "dot", style: { left: `${100 * value}%` } }));
}

function certificate(now) {
  const found = now.certificate;
  if (!found) return "";
  if (!found.precision) return box("Certified", h("p", { class: "muted" }, found.words));
  const aim = percent(found.precision);
  const parts = found.inferred
    ? [h("p", { class: "big" }, count(found.filled), h("small", {}, " entries can be filled")),
      range(found.lower, 1, found.lower, found.precision),
      h("p", { class: "muted" }, `At least ${percent(found.lower)} of them are right, with ${percent(found.confidence)} confidence: ${count(found.confirmed)} confirmed, ${count(found.inferred)} unasked.`)]
    : [h("p", { class: "muted" }, found.missing === null ? `No number of answers certifies a precision of ${aim} here.` : `Nothing is certified at precision ${aim} yet: ${plural(found.missing, "more answer", "more answers")} at least.`)];
  if (found.more && found.more_filled > found.filled + found.more) parts.push(h("p", { class: "muted" }, `Ten more, if all are yes: ${count(found.more_filled)} entries.`));
  else if (found.more && found.missing) parts.push(h("p", { class: "muted" }, found.pilot_left ? `Ten more: ${count(Math.max(0, found.pilot_left - found.more))} of the first answers are left then.` : `Ten more leave ${count(Math.max(0, found.missing - found.more))} to go, if all are yes.`));
  if (app.mode !== "certify" && found.missing) parts.push(h("button", { type: "button", class: "plain", onclick: () => $("mode-certify").click() }, "Answer what it asks"));
  return box("Certified", ...parts);
}

function people(now) {
  if (!now.reviewers.length) return "";
  const shared = now.agreement;
  return box("Reviewers",
    h("ul", { class: "people" }, now.reviewers.slice(0, 8).map((one) => h("li", {}, h("span", {}, one.name || "no name"), h("b", {}, count(one.answers))))),
    shared.entries ? h("p", { class: "muted" }, `Agree on ${count(shared.same)} of ${plural(shared.entries, "entry", "entries")} that several answered (${percent(shared.same / shared.entries)}).`) : null,
    shared.entries > shared.same ? h("button", { type: "button", class: "plain", onclick: () => app.show("disputed") }, "Look at the others") : null);
}

function learning() {
  const now = seen.learn;
  const parts = [];
  if (now?.state === "running") {
    const share = now.expected ? Math.min(0.97, now.seconds / now.expected) : 0.5;
    parts.push(h("div", { class: "meter", role: "progressbar", "aria-label": "Learning", "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.round(100 * share) },
      h("i", { class: "accent", style: { "flex-grow": share } }), h("i", { class: "rest", style: { "flex-grow": 1 - share } })),
      h("p", { class: "muted" }, `${now.words} ${Math.round(now.seconds)} s${now.expected ? ` of about ${Math.max(1, Math.round(now.expected))} s` : ""}. Go on answering meanwhile.`));
  } else if (now?.state === "failed") {
    parts.push(h("p", { class: "warn" }, now.words));
  } else if (now?.state === "done") {
    parts.push(h("p", { class: "good" }, now.words));
  } else {
    parts.push(h("p", { class: "muted" }, "Train again with your answers; what is left is ordered anew."));
  }
  return box("Learn again", ...parts,
    h("button", { type: "button", class: "primary wide", id: "learn", disabled: now?.state === "running", onclick: learn }, now?.state === "running" ? "Learning" : "Learn again"));
}

export async function learn() {
  try {
    seen.learn = await post("/api/learn", {});
    say("Learning again");
  } catch (error) {
    seen.learn = { state: "failed", words: error.message };
  }
  draw();
  watch();
}

export async function watch() {
  if (seen.watching) return;
  seen.watching = true;
  try {
    while (true) {
      const before = seen.learn?.state;
      seen.learn = await get("/api/learn");
      draw();
      if (seen.learn.state !== "running") {
        if (before === "running" && seen.learn.state === "done") {
          toast(seen.learn.words);
          await app.reload();
        }
        break;
      }
      await new Promise((wake) => setTimeout(wake, 1000));
    }
  } catch { /* the server is away; the outbox says so */ }
  seen.watching = false;
}

function files() {
  const input = h("input", { type: "file", accept: ".csv,text/csv", id: "import", "aria-label": "A CSV file of answers", class: "spoken", tabindex: "-1", onchange: () => bring(input) });
  return box("Files",
    h("div", { class: "file-buttons" },
      h("button", { type: "button", id: "export-table", onclick: () => fetchFile("/api/export/table") }, "Export table", h("small", {}, run.table)),
      h("button", { type: "button", id: "export-answers", onclick: () => fetchFile("/api/export/answers") }, "Export answers", h("small", {}, "CSV")),
      h("button", { type: "button", onclick: () => input.click() }, "Import answers", h("small", {}, "CSV"))),
    input);
}

async function fetchFile(path) {
  try {
    const answer = await fetch(path, { credentials: "same-origin" });
    if (!answer.ok) throw new Error((await answer.json()).error);
    const name = decodeURIComponent((answer.headers.get("content-disposition") || "").split("''")[1] || "file");
    const link = h("a", { href: URL.createObjectURL(await answer.blob()), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    const notes = decodeURIComponent(answer.headers.get("x-labelwise-notes") || "");
    toast(notes ? `${name}: ${notes}` : `${name} is written`, Boolean(notes));
  } catch (error) {
    banner(error.message);
  }
}

async function bring(input) {
  const [file] = input.files;
  if (!file) return;
  try {
    const found = await post("/api/import", await file.text(), "text/csv");
    toast(found.words);
    await app.reload();
  } catch (error) {
    banner(`${file.name}: ${error.message}`);
  }
  input.value = "";
}
