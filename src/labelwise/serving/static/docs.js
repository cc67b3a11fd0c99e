// The routes of this server, drawn from its own description.
import { $, ask, make } from "./dom.js";

const pretty = (value) => JSON.stringify(value, null, 2);

function code(text) {
  const block = make("pre", {}, make("code", { textContent: text }));
  block.tabIndex = 0;
  return block;
}

function examples(route) {
  const content = route.requestBody?.content["application/json"];
  if (!content) return [];
  const named = content.examples ? Object.values(content.examples) : [{ summary: "example", value: content.example }];
  return named.map(({ summary, value }) => make("details", {}, make("summary", { textContent: `Body: ${summary}` }), code(pretty(value))));
}

function answers(route) {
  const list = make("dl", { className: "answers" });
  for (const [status, { description }] of Object.entries(route.responses)) {
    list.append(make("dt", { textContent: status }), make("dd", { textContent: description }));
  }
  return make("details", {}, make("summary", { textContent: "Answers" }), list);
}

function card(method, path, route) {
  const title = make("h3", {}, make("span", { className: "method", textContent: method.toUpperCase() }), path);
  const parameters = (route.parameters ?? []).map(({ name, description }) => make("p", { className: "muted", textContent: `${name}: ${description ?? ""}` }));
  return make("article", { className: "card route" }, title, make("p", { textContent: route.description ?? "" }), ...parameters, ...examples(route), answers(route));
}

try {
  const { paths } = await ask("/openapi.json");
  const groups = new Map();
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, route] of Object.entries(methods)) {
      const tag = route.tags?.[0] ?? "";
      groups.set(tag, [...(groups.get(tag) ?? []), card(method, path, route)]);
    }
  }
  $("routes").replaceChildren(...[...groups].map(([tag, cards]) => make("section", { className: "group" }, make("h2", { textContent: tag[0].toUpperCase() + tag.slice(1) }), ...cards)));
} catch (error) {
  $("routes").replaceChildren(make("p", { className: "error", textContent: error.message }));
}
