// Requests, and the outbox: an answer leaves it only when the server says that it is stored.

import { $, newId } from "./dom.js";

let proof = "";
export const run = {};

async function ask(path, options = {}) {
  const answer = await fetch(path, { credentials: "same-origin", ...options });
  const body = (answer.headers.get("content-type") || "").includes("json") ? await answer.json() : await answer.text();
  if (!answer.ok) throw Object.assign(new Error(body.error || `the server says ${answer.status}`), { status: answer.status });
  return body;
}

export async function start() {
  const found = await ask("/api/run");
  proof = found.proof;
  return Object.assign(run, found);
}

export const get = (path, query = {}) => {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return ask(`${path}?${new URLSearchParams(given)}`);
};

export async function post(path, body, type = "application/json") {
  const send = () => ask(path, {
    method: "POST",
    headers: { "content-type": type, "x-labelwise": proof },
    body: type === "application/json" ? JSON.stringify(body) : body,
  });
  try {
    return await send();
  } catch (error) {
    if (error.status !== 403) throw error;
    // The server was started again: its proof is new. Another run at this address must not get our answers.
    const key = run.key;
    const found = await ask("/api/run");
    if (found.key !== key) throw new Error("another run is served here now: load the page again");
    proof = found.proof;
    return send();
  }
}

// ------------------------------------------------------------------ outbox

const waiting = [];
const listeners = { stored: () => {}, refused: () => {} };
let sending = false;
let made = 0;
let trouble = "";
const boxName = () => `labelwise-outbox-${run.key}`;

export function onStored(stored, refused) {
  Object.assign(listeners, { stored, refused });
}

export function send(reviewer, answers) {
  const named = answers.map((one) => ({ id: newId(), ...one }));
  made += named.length;
  waiting.push({ reviewer, answers: named });
  keep();
  flush();
  return named;
}

export function restoreOutbox() {
  try {
    waiting.push(...JSON.parse(localStorage.getItem(boxName()) || "[]"));
  } catch { /* a browser without storage keeps nothing */ }
  flush();
}

export const unsent = () => waiting.reduce((sum, one) => sum + one.answers.length, 0);

export async function settled() {
  while (waiting.length) await new Promise((wake) => setTimeout(wake, 20));
}

// What is on its way is still open to the server, and would come again: asked until nothing was answered meanwhile.
export async function getSettled(path, query) {
  while (true) {
    await settled();
    const before = made;
    const found = await get(path, query);
    if (made === before) return found;
  }
}

function keep() {
  try {
    localStorage.setItem(boxName(), JSON.stringify(waiting));
  } catch { /* as above */ }
  const n = unsent();
  document.body.classList.toggle("saving", n > 0);
  if (trouble && n) banner(`Not saved yet: ${n} answer${n === 1 ? "" : "s"} (${trouble}). They are kept here and sent again.`);
}

async function flush() {
  if (sending) return;
  sending = true;
  let pause = 500;
  while (waiting.length) {
    const [first] = waiting;
    try {
      const answer = await post("/api/answers", first);
      waiting.shift();
      keep();
      banner("");
      trouble = "";
      pause = 500;
      listeners.stored(first.answers, answer);
    } catch (error) {
      if (error.status === 422) {
        waiting.shift();
        keep();
        banner(error.message);
        listeners.refused(first.answers, error.message);
        continue;
      }
      trouble = error.status ? error.message : "the server does not answer";
      keep();
      await new Promise((wake) => setTimeout(wake, pause));
      pause = Math.min(2 * pause, 8000);
    }
  }
  sending = false;
}

export function banner(text) {
  $("banner").textContent = text;
  $("banner").hidden = !text;
}

addEventListener("beforeunload", (event) => { if (waiting.length) event.preventDefault(); });
