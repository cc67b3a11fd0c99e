// The page to try a model: drop a picture, paste a text or type features, and see the scores.
import { $, ask, make } from "./dom.js";

const SHOWN = 20;
const MOST_FIELDS = 60;
let about = null;
let picture = null;
let latest = 0;

const path = () => `/models/${encodeURIComponent(about.model)}/predict`;

async function choose(name) {
  about = await ask(`/models/${encodeURIComponent(name)}/labels`);
  picture = null;
  $("name").textContent = about.model;
  const scores = about.calibrated ? "calibrated probabilities" : "scores that are not calibrated";
  $("facts").textContent = `${about.labels.length.toLocaleString()} labels, ${scores}, decided by ${about.rule.replaceAll("_", " ")}`;
  const fields = about.features.length > 0 && about.features.length <= MOST_FIELDS;
  $("text-part").hidden = about.kind !== "text";
  $("image-part").hidden = about.kind !== "image";
  $("features-part").hidden = !fields;
  $("row-part").hidden = fields || about.n_features === 0;
  $("preview").hidden = true;
  $("features").replaceChildren(...(fields ? about.features.map(field) : []));
  clear();
}

function field(name) {
  return make("label", {}, name, make("input", { name, autocomplete: "off", spellcheck: false, inputMode: "decimal" }));
}

function clear() {
  latest += 1;
  $("error").hidden = $("more").hidden = $("call").hidden = true;
  $("status").textContent = "Nothing asked yet.";
  $("chosen").replaceChildren();
  $("scores").replaceChildren();
}

// A cell is a number where it reads as one, nothing where it is empty, and else the word that it is.
const cell = (value) => (value.trim() === "" ? null : Number.isNaN(Number(value)) ? value.trim() : Number(value));

function features() {
  if (about.n_features === 0) return null;
  if (!$("row-part").hidden) return $("row").value.split(/[\s,;]+/).filter(Boolean).map(cell);
  return Object.fromEntries([...$("features").querySelectorAll("input")].map((input) => [input.name, cell(input.value)]));
}

async function item() {
  const one = {};
  if (about.kind === "text") one.text = $("text").value;
  if (about.kind === "image") {
    if (picture === null) throw new Error("Choose a picture first.");
    one.image = await dataUrl(picture);
  }
  const numbers = features();
  if (numbers !== null) one.features = numbers;
  return one;
}

function dataUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new Error("The file cannot be read."));
    reader.readAsDataURL(file);
  });
}

async function predict() {
  const own = (latest += 1);
  $("error").hidden = true;
  $("send").disabled = true;
  $("status").textContent = "Asking.";
  try {
    const body = await item();
    const began = performance.now();
    const said = await ask(path(), { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
    if (own !== latest) return;
    show(said.predictions[0], performance.now() - began);
    call(body);
  } catch (error) {
    if (own !== latest) return;
    $("status").textContent = "No answer.";
    $("error").textContent = error.message;
    $("error").hidden = false;
  } finally {
    $("send").disabled = false;
  }
}

function show(prediction, milliseconds, all = false) {
  const chosen = new Set(prediction.labels);
  const ranked = Object.entries(prediction.scores).sort((a, b) => b[1] - a[1]);
  const words = prediction.labels.length === 1 ? "1 label" : `${prediction.labels.length || "No"} labels`;
  $("status").textContent = `${words} in ${Math.round(milliseconds)} ms.`;
  $("chosen").replaceChildren(...prediction.labels.map((label) => make("li", { textContent: label })));
  $("scores").replaceChildren(...ranked.slice(0, all ? ranked.length : SHOWN).map(([label, score]) => line(label, score, chosen.has(label))));
  $("more").hidden = all || ranked.length <= SHOWN;
  $("more").textContent = `Show all ${ranked.length.toLocaleString()} scores`;
  $("more").onclick = () => show(prediction, milliseconds, true);
}

function line(label, score, yes) {
  const fill = make("i");
  fill.style.width = `${(100 * score).toFixed(2)}%`;
  const bar = make("span", { className: "bar" }, fill);
  bar.setAttribute("aria-hidden", "true");
  const value = make("span", { className: "value", textContent: score.toFixed(3) });
  return make("li", { className: yes ? "yes" : "" }, make("span", { className: "label", textContent: label }), value, bar);
}

function call(body) {
  const quoted = JSON.stringify(body).replaceAll("'", "'\\''");
  const short = about.kind === "image" && about.n_features === 0;
  $("curl").textContent = short
    ? `curl -F image=@picture.jpg ${location.origin}${path()}`
    : `curl -H 'content-type: application/json' -d '${quoted.length < 4000 ? quoted : "@body.json"}' ${location.origin}${path()}`;
  $("call").hidden = false;
}

async function take(file) {
  if (!file || about.kind !== "image") return;
  picture = file;
  $("preview").src = await dataUrl(file);
  $("preview").hidden = false;
  $("drop-words").textContent = file.name || "A pasted picture";
  if (about.n_features === 0) await predict();
}

$("form").addEventListener("submit", (event) => { event.preventDefault(); predict(); });
$("text").addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) predict(); });
$("file").addEventListener("change", () => take($("file").files[0]));
$("model").addEventListener("change", () => choose($("model").value));
addEventListener("paste", (event) => { if (event.clipboardData?.files.length) take(event.clipboardData.files[0]); });
addEventListener("dragover", (event) => { event.preventDefault(); $("drop").classList.add("over"); });
addEventListener("dragleave", () => $("drop").classList.remove("over"));
addEventListener("drop", (event) => { event.preventDefault(); $("drop").classList.remove("over"); take(event.dataTransfer.files[0]); });

try {
  const { models } = await ask("/models");
  $("model").replaceChildren(...models.map((name) => make("option", { value: name, textContent: name })));
  $("which").hidden = models.length < 2;
  await choose(models[0]);
} catch (error) {
  $("error").textContent = error.message;
  $("error").hidden = false;
}
