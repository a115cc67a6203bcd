// The charts and the error list of a report. Texts, theme and sorting are page.js's, what all charts share charts.js's.
const { t } = Tunesmith;
const { token, draw } = Charts;
const charts = JSON.parse(document.getElementById("charts").textContent);
const entities = document.getElementById("entities") && JSON.parse(document.getElementById("entities").textContent);

const place = (id) => document.getElementById(id);
const nameOf = (entry) => (entry.name === "model" ? t("chart.model") : t(`baseline.${entry.name}`));

function empty() {
  const note = document.createElement("p");
  note.className = "muted small";
  note.textContent = t("chart.empty");
  return note;
}

const wrapped = (text, width) => (text.length > width ? `${text.slice(0, width - 1)}…` : text);

function standing(width) {
  const rows = charts.standing.map((entry) => ({ ...entry, label: nameOf(entry), own: entry.name === "model" }));
  const values = rows.flatMap((row) => [row.low, row.high]);
  const bounded = Math.min(...values) >= 0 && Math.max(...values) <= 1;
  return Charts.standing(width, rows, { domain: bounded ? [0, 1] : undefined, nice: !bounded });
}

const line = (width, rows, y, options = {}) =>
  rows.length === 0
    ? empty()
    : Plot.plot({
        width,
        height: 190,
        marginLeft: 48,
        marginRight: 14,
        marginBottom: 34,
        x: { label: t("chart.step"), ticks: 4, tickFormat: "~s", labelArrow: "none" },
        y: { label: null, grid: true, ticks: 4, ...options.y },
        color: options.color,
        marks: [
          Plot.lineY(rows, { x: "step", y, stroke: options.stroke ?? token("chart-1"), strokeWidth: 1.8, curve: "monotone-x" }),
          options.dots ? Plot.dot(rows, { x: "step", y, fill: options.stroke ?? token("chart-1"), r: 2.6 }) : null,
          Plot.tip(rows, Plot.pointerX({ x: "step", y, title: (row) => `${t("chart.step")} ${row.step}\n${options.title ? options.title(row) : d3.format(".4~g")(row[y])}` })),
        ],
      });

function scores(width) {
  const known = charts.curves.evaluations;
  const rows = known.filter((entry) => charts.main in entry.metrics).map((entry) => ({ step: entry.step, value: entry.metrics[charts.main] }));
  if (rows.length) return line(width, rows, "value", { dots: true, stroke: token("chart-2"), y: { tickFormat: ".3~f" } });
  const first = known.flatMap((entry) => Object.keys(entry.metrics))[0];
  const others = known.filter((entry) => first in entry.metrics).map((entry) => ({ step: entry.step, value: entry.metrics[first] }));
  return line(width, others, "value", { dots: true, stroke: token("chart-2") });
}

const having = (name) => charts.curves.steps.filter((entry) => name in entry);

function fates(width) {
  const order = ["correct", "label", "boundary", "both", "missed", "spurious"];
  const rows = order.map((fate) => ({ fate, count: entities[fate] ?? 0 })).filter((row) => row.count > 0);
  if (!rows.length) return empty();
  return Plot.plot({
    width,
    height: 46,
    margin: 0,
    x: { axis: null },
    color: { domain: order, range: order.map((fate) => token(`fate-${fate}`)) },
    marks: [
      Plot.barX(rows, Plot.stackX({ x: "count", fill: "fate", order: null, insetLeft: 1, insetRight: 1, rx: 4, title: (row) => `${t(`fate.${row.fate}`)}: ${row.count}` })),
    ],
  });
}

function confusion(width) {
  const { labels, cells } = charts.confusion;
  const shown = (label) => (label === "" ? t("chart.none") : label);
  const longest = Math.min(170, 20 + 7.4 * Math.max(...labels.map((label) => d3.sum([...wrapped(shown(label), 22)], (c) => (c > "\u2e80" ? 1.7 : 1)))));
  const room = Math.max(width - longest - 8, labels.length * 15);
  const cell = Math.min(labels.length <= 8 ? 68 : 56, room / labels.length);
  const value = new Map(cells.map((entry) => [`${entry.gold}\u0000${entry.predicted}`, entry]));
  const grid = labels.flatMap((gold) => labels.map((predicted) => value.get(`${gold}\u0000${predicted}`) ?? { gold, predicted, count: 0, share: 0 }));
  const shade = d3.interpolateRgb(token("heat-low"), token("heat-high"));
  const readable = cell >= 26;
  return Plot.plot({
    width: Math.ceil(longest + 8 + cell * labels.length),
    height: Math.ceil(longest + 8 + cell * labels.length),
    marginLeft: longest,
    marginTop: longest,
    marginRight: 8,
    marginBottom: 8,
    padding: 0.06,
    x: { domain: labels, axis: "top", label: null, tickFormat: (label) => wrapped(shown(label), 22), tickRotate: -90, tickSize: 0 },
    y: { domain: labels, label: null, tickFormat: (label) => wrapped(shown(label), 22), tickSize: 0 },
    marks: [
      Plot.cell(grid, { x: "predicted", y: "gold", fill: (entry) => shade(Math.sqrt(entry.share)), rx: 3, title: (entry) => `${t("chart.gold")}: ${shown(entry.gold)}\n${t("chart.predicted")}: ${shown(entry.predicted)}\n${entry.count} (${d3.format(".1%")(entry.share)} ${t("chart.share")})`, tip: true }),
      readable ? Plot.text(grid.filter((entry) => entry.count), { x: "predicted", y: "gold", text: "count", pointerEvents: "none", fill: (entry) => (entry.share > 0.35 ? token("accent-ink") : token("ink")) }) : null,
    ],
  });
}

function scatter(width) {
  const rows = charts.scatter.map(([gold, predicted]) => ({ gold, predicted }));
  if (!rows.length) return empty();
  const [low, high] = d3.extent(rows.flatMap((row) => [row.gold, row.predicted]));
  return Plot.plot({
    width: Math.min(width, 560),
    height: Math.min(width, 560) * 0.8,
    marginBottom: 38,
    grid: true,
    x: { label: t("chart.gold"), labelArrow: "none", nice: true },
    y: { label: t("chart.predicted"), labelArrow: "none", nice: true },
    marks: [
      Plot.line([[low, low], [high, high]], { stroke: token("line-strong"), strokeDasharray: "4 4" }),
      Plot.dot(rows, { x: "gold", y: "predicted", r: 2.4, fill: token("chart-1"), fillOpacity: 0.4, stroke: null }),
    ],
  });
}

function drawAll() {
  draw("standing-chart", standing);
  draw("loss-chart", (width) => line(width, having("loss"), "loss", {}), "chart.loss");
  draw("score-chart", scores, "chart.score");
  draw("rate-chart", (width) => line(width, having("learning_rate"), "learning_rate", { stroke: token("chart-3"), y: { tickFormat: (rate) => (rate === 0 ? "0" : d3.format(".1~e")(rate)) } }), "chart.rate");
  if (entities) draw("fates-chart", fates);
  if (charts.confusion.labels.length) draw("confusion-chart", confusion);
  draw("scatter-chart", scatter);
}

// The error list: a label, a search, and a few at a time.
const STEP = 20;
const rows = [...document.querySelectorAll(".error")].map((node) => ({ node, labels: JSON.parse(node.dataset.labels), text: node.textContent.toLowerCase() }));
const counted = { scores: "errors.count_scores", texts: "errors.count_written", answers: "errors.count_written" }[charts.form] ?? "errors.count";
const filter = { label: "", text: "", most: STEP };

function list() {
  const matching = rows.filter((row) => (!filter.label || row.labels.includes(filter.label)) && row.text.includes(filter.text));
  const visible = new Set(matching.slice(0, filter.most));
  for (const row of rows) row.node.hidden = !visible.has(row);
  const count = place("error-count");
  if (!count) return;
  count.textContent = t(counted).replace("{shown}", visible.size).replace("{kept}", matching.length).replace("{wrong}", count.dataset.wrong);
  place("error-none").hidden = matching.length > 0;
  place("error-more").hidden = matching.length <= filter.most;
}

function choose(label) {
  Object.assign(filter, { label, most: STEP });
  for (const button of document.querySelectorAll("[data-filter]")) button.setAttribute("aria-pressed", String(button.dataset.filter === label));
  list();
}

for (const button of document.querySelectorAll("[data-filter]")) button.addEventListener("click", () => choose(button.dataset.filter));
place("error-select")?.addEventListener("change", (event) => choose(event.target.value));
place("error-search")?.addEventListener("input", (event) => { Object.assign(filter, { text: event.target.value.toLowerCase(), most: STEP }); list(); });
place("error-more")?.addEventListener("click", () => { filter.most += STEP; list(); });

document.addEventListener("tunesmith:change", list);
addEventListener("beforeprint", () => { for (const row of rows) row.node.hidden = false; });
addEventListener("afterprint", list);
Charts.always(drawAll);
list();
