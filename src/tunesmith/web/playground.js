// Ask the model, show what it says. Texts, theme and language are page.js's.
const { t } = Tunesmith;
const at = (id) => document.getElementById(id);
const make = (tag, properties = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
};
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const SHOWN = 8;
const KEPT = 20;

let model = { name: "", pairs: false, labels: [], examples: [], adapters: [], limits: { characters: Infinity } };
let last = null; // what is shown: {ask, answer, ms, modelMs} or {problem}
let entries = []; // the history, newest first
let asked = 0; // a late answer to an earlier question is not shown
let everything = false; // all bars instead of the likeliest

// ---- asking
const headers = () => {
  const key = at("key").value.trim();
  return key ? { Authorization: `Bearer ${key}` } : {};
};

async function call(path, body) {
  const options = body === undefined ? { headers: headers() } : { method: "POST", headers: { ...headers(), "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch(path, options);
  const answer = await response.json();
  if (response.status === 401) at("key-box").hidden = false;
  return { status: response.status, answer, timing: response.headers.get("Server-Timing") ?? "" };
}

// Of several models over one backbone, the one that is chosen; else the model itself.
const named = (name) => model.adapters.find((own) => own.name === name);
const chosen = () => named(at("adapter").value) ?? model.adapters[0] ?? model;
const question = () => ({
  ...(model.adapters.length ? { adapter: chosen().name } : {}),
  text: at("text").value,
  ...(at("pair-box").hidden ? {} : { pair: at("pair").value }),
});

async function run() {
  const ask = question();
  const blank = Object.values(ask).some((text) => !text.trim());
  const own = ++asked;
  if (blank) return show({ problem: { detail: t("play.blank") } });
  at("answer").setAttribute("aria-busy", "true");
  const started = performance.now();
  try {
    if (!model.labels.length && !model.version) await meet();
    const { status, answer, timing } = await call("v1/predict", ask);
    if (own !== asked) return;
    if (status !== 200) return show({ problem: answer });
    const modelMs = Number(/model;dur=([\d.]+)/.exec(timing)?.[1] ?? NaN);
    remember({ ask, answer, ms: performance.now() - started, modelMs });
  } catch {
    if (own === asked) show({ problem: { detail: t("play.down") } });
  }
}

function remember(entry) {
  entries = [entry, ...entries.filter((old) => JSON.stringify(old.ask) !== JSON.stringify(entry.ask))].slice(0, KEPT);
  show(entry);
  drawHistory();
}

// ---- showing
function show(entry) {
  last = entry;
  const place = at("answer");
  place.setAttribute("aria-busy", "false");
  for (const id of ["after", "raw"]) at(id).hidden = Boolean(entry.problem);
  at("copied").textContent = "";
  if (entry.problem) {
    at("latency").textContent = "";
    place.replaceChildren(...refusal(entry.problem));
    return;
  }
  const { ask, answer, ms, modelMs } = entry;
  at("latency").textContent = [Number.isNaN(modelMs) ? "" : `${modelMs.toFixed(1)} ${t("play.model_ms")}`, `${ms.toFixed(0)} ${t("play.all_ms")}`].filter(Boolean).join(" · ");
  place.replaceChildren(...drawn(ask, answer.result));
  at("curl").textContent = curl(ask);
  at("json").textContent = JSON.stringify(answer, null, 2);
}

function refusal(problem) {
  const places = (problem.errors ?? []).map((error) => make("li", { textContent: `${error.path}: ${error.message}` }));
  const id = problem.request_id && make("p", { className: "small muted mono", textContent: `${t("play.request")} ${problem.request_id}` });
  const alert = make("div", { className: "alert fail", role: "alert" }, problem.detail ?? "");
  if (places.length) alert.append(make("ul", {}, ...places));
  return [alert, id].filter(Boolean);
}

function drawn(ask, result) {
  const parts = [];
  if (result.label !== undefined) parts.push(verdict(result.label, result.confidence));
  if (result.entities) parts.push(annotated(ask.text, result.entities), result.entities.length ? table(result.entities) : make("p", { className: "empty", textContent: t("play.none") }));
  if (result.documents) parts.push(ranking(result.documents));
  if (result.levels?.length > 1) parts.push(way(result.levels));
  if (result.labels) parts.push(result.labels.length ? make("p", { className: "verdict" }, ...result.labels.map((label) => make("span", { className: "chip", textContent: label }))) : make("p", { className: "empty", textContent: t("play.no_label") }));
  if (result.answer !== undefined) parts.push(...found(ask, result));
  if (result.score !== undefined) parts.push(verdict(result.score.toFixed(3), undefined));
  if (result.scores) parts.push(...bars(result.scores, result.labels ?? (result.levels ?? [result]).map((level) => level.label)));
  if (result.truncated) parts.push(make("p", { className: "alert warn", textContent: `${result.truncated} ${t("play.truncated")}` }));
  return parts;
}

const ranking = (documents) => make("ol", { className: "ranking" }, ...documents.map((found) => make("li", {}, make("span", { textContent: found.text }), make("span", { className: "muted small number", textContent: found.score.toFixed(3), title: found.first_score === undefined ? found.id : `${found.id} (${found.first_score.toFixed(3)})` }))));
const found = (ask, { answer, start, end, confidence }) => confidence === undefined
  ? [make("p", { className: "annotated", textContent: answer })]
  : answer === null
  ? [make("p", { className: "empty" }, t("play.no_answer"), " ", make("span", { className: "number", textContent: percent(confidence) }))]
  : [verdict(answer, confidence), annotated(ask.text, [{ start, end, confidence, label: "" }])];

// Each step of a path below the one before it, named by what it adds.
const way = (levels) => make("ol", { className: "way" }, ...levels.map(({ label, confidence }, depth) => {
  const above = depth ? levels[depth - 1].label.length : 0;
  return make("li", { title: label }, make("span", { textContent: label.slice(above) }), make("span", { className: "muted small number", textContent: percent(confidence) }));
}));

const verdict = (text, confidence) => make("p", { className: "verdict" }, text, ...(confidence === undefined ? [] : [make("span", { className: "muted number", textContent: percent(confidence) })]));

// The service counts characters as code points, JavaScript strings count UTF-16 units.
function annotated(text, entities) {
  const characters = Array.from(text);
  const box = make("p", { className: "annotated" });
  let done = 0;
  for (const entity of entities) {
    if (entity.start < done) continue;
    box.append(characters.slice(done, entity.start).join(""), mark(characters.slice(entity.start, entity.end).join(""), entity));
    done = entity.end;
  }
  box.append(characters.slice(done).join(""));
  return box;
}

function mark(text, entity) {
  const name = entity.label ? [make("span", { className: "entity-label", textContent: entity.label })] : [];
  const node = make("mark", { className: "entity", title: `${entity.label} ${percent(entity.confidence)}`.trim() }, text, ...name);
  node.dataset.hue = hue(entity.label);
  return node;
}

const types = () => [...new Set(chosen().labels.filter((name) => name !== "O").map((name) => name.replace(/^[BIESMLU]-/, "")))];
const hue = (label) => Math.max(0, types().indexOf(label)) % 10;

function table(entities) {
  const head = ["play.entity", "play.label", "play.place", "play.confidence"].map((key, column) => make("th", { scope: "col", className: column > 1 ? "number" : "", textContent: t(key) }));
  const rows = entities.map((entity) => {
    const swatch = make("span", { className: "swatch", ariaHidden: "true" });
    swatch.dataset.hue = hue(entity.label);
    return make("tr", {}, make("td", { textContent: entity.text }), make("td", {}, swatch, entity.label), make("td", { className: "number", textContent: `${entity.start}–${entity.end}` }), make("td", { className: "number", textContent: percent(entity.confidence) }));
  });
  const inner = make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows));
  return make("div", { className: "table-scroll", tabIndex: 0 }, inner);
}

function bars(scores, chosen) {
  const ranked = Object.entries(scores);
  const shown = everything ? ranked : ranked.slice(0, SHOWN);
  const box = make("div", { className: "bars" }, ...shown.map(([label, share]) => bar(label, share, chosen.includes(label))));
  if (ranked.length <= SHOWN) return [box];
  const more = make("button", { type: "button", className: "quiet bordered", textContent: everything ? t("play.fewer") : `${t("play.more")} (${ranked.length})` });
  more.addEventListener("click", () => { everything = !everything; show(last); });
  return [box, make("div", {}, more)];
}

function bar(label, share, chosen) {
  const fill = make("span", { className: "fill" });
  fill.style.width = `${Math.max(0.5, 100 * share)}%`;
  return make("div", { className: chosen ? "bar chosen" : "bar" }, make("span", { className: "name", title: label, textContent: label }), make("span", { className: "track" }, fill), make("span", { className: "number right", textContent: percent(share) }));
}

const summary = ({ result }) => {
  if (result.entities) return [result.label, result.entities.map((entity) => `${entity.text} ${entity.label}`).join(", ") || t("play.none")].filter(Boolean).join(": ");
  if (result.documents) return result.documents.length ? result.documents[0].text : t("play.no_document");
  if (result.answer !== undefined) return result.answer === null ? t("play.no_answer") : `${result.answer} ${percent(result.confidence)}`;
  if (result.labels) return result.labels.join(", ") || t("play.no_label");
  return result.label === undefined ? result.score.toFixed(3) : `${result.label} ${percent(result.confidence)}`;
};

// What tells one request from others comes first, since the rest may be cut off: many questions share a text.
const told = ({ text, pair, adapter }) => [adapter, ...((named(adapter) ?? chosen()).task === "extractive_qa" ? [pair, text] : [text, pair])].filter(Boolean).join(" / ");

function drawHistory() {
  at("history-box").hidden = entries.length === 0;
  at("history").replaceChildren(...entries.map((entry) => {
    const button = make("button", { type: "button" }, make("span", { textContent: told(entry.ask) }), make("span", { className: "said", textContent: summary(entry.answer) }));
    button.addEventListener("click", () => { fill(entry.ask); show(entry); at("text").focus(); });
    return make("li", {}, button);
  }));
}

// ---- copying
const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
function curl(ask) {
  const key = at("key").value.trim() ? ` \\\n  -H "Authorization: Bearer $TUNESMITH_API_KEY"` : "";
  return `curl -s ${new URL("v1/predict", location.href)} \\\n  -H 'Content-Type: application/json'${key} \\\n  -d ${quoted(JSON.stringify(ask))}`;
}

async function copy(id) {
  try {
    await navigator.clipboard.writeText(at(id).textContent);
    at("copied").textContent = t("play.copied");
  } catch { // no clipboard without a secure connection
    at("raw").open = true;
    getSelection().selectAllChildren(at(id));
    at("copied").textContent = t("play.not_copied");
  }
}

// ---- meeting the model
function fill(ask) {
  if (ask.adapter) at("adapter").value = ask.adapter;
  if (ask.adapter) describe();
  at("text").value = ask.text;
  at("pair").value = ask.pair ?? "";
  count();
}

function count() {
  const size = Array.from(at("text").value).length + (at("pair-box").hidden ? 0 : Array.from(at("pair").value).length);
  at("count").textContent = size ? `${size} ${t("play.characters")}` : "";
  at("count").classList.toggle("over", size > model.limits.characters);
}

function introduce() {
  at("model").textContent = model.name || "Tunesmith";
  document.title = `${model.name || "Tunesmith"} · ${t("play.title")}`;
  at("version").textContent = model.version ? `${model.name} ${model.version}.` : "";
  at("adapter-box").hidden = model.adapters.length === 0;
  const before = at("adapter").value;
  at("adapter").replaceChildren(...model.adapters.map(({ name }) => make("option", { value: name, textContent: name, selected: name === before })));
  describe();
}

// What the model that answers is, reads and was asked before.
function describe() {
  const own = chosen();
  at("task").textContent = own.task ? t(`task.${own.task}`) : "";
  at("task").hidden = !own.task;
  at("pair-box").hidden = !own.pairs;
  at("pair-name").textContent = t(own.task === "extractive_qa" ? "play.question" : "play.pair");
  at("examples-box").hidden = own.examples.length === 0;
  at("examples").replaceChildren(...own.examples.map((example) => {
    const button = make("button", { type: "button", textContent: told(example) });
    button.addEventListener("click", () => { fill(example); run(); });
    return button;
  }));
}

async function meet() {
  const { status, answer } = await call("v1/model");
  if (status === 200) model = answer;
  else show({ problem: answer });
  introduce();
  return status === 200 && answer.state === "ready";
}

async function begin() {
  try {
    if (await meet()) {
      const [first] = chosen().examples;
      if (first && !at("text").value) { fill(first); await run(); }
      return;
    }
    if (at("key-box").hidden === false) return at("key").focus();
    at("answer").replaceChildren(make("p", { className: "empty", textContent: t("play.loading") }));
  } catch {
    show({ problem: { detail: t("play.down") } });
  }
  setTimeout(begin, 1000);
}

at("ask").addEventListener("submit", (event) => { event.preventDefault(); run(); });
at("ask").addEventListener("input", count);
at("key").addEventListener("change", begin);
at("adapter").addEventListener("change", () => { describe(); count(); if (at("text").value.trim()) run(); });
at("copy-curl").addEventListener("click", () => copy("curl"));
at("copy-json").addEventListener("click", () => copy("json"));
at("forget").addEventListener("click", () => { entries = []; drawHistory(); at("text").focus(); });
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); run(); }
  const typing = event.target instanceof Element && event.target.matches("textarea, input");
  if (event.key === "/" && !typing) { event.preventDefault(); at("text").focus(); at("text").select(); }
});
document.addEventListener("tunesmith:change", () => { introduce(); count(); drawHistory(); if (last) show(last); });
begin();
