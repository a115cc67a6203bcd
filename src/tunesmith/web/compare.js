// The charts of a comparison. Texts, theme and sorting are page.js's; Plot and d3 stand beside it.
const { t } = Tunesmith;
const charts = JSON.parse(document.getElementById("charts").textContent);

const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const three = d3.format(".3f");

// A chart is drawn for the width it has, and again when width, theme or language change.
function draw(id, make, caption) {
  const figure = document.getElementById(id);
  const plot = make(Math.max(240, Math.floor(figure.clientWidth || 640)));
  const title = caption && document.createElement("figcaption");
  if (title) title.textContent = t(caption);
  figure.replaceChildren(...[title, plot].filter(Boolean));
}

function methods(width) {
  const narrow = width < 460;
  const own = charts.methods.map((row) => ({ label: row.method, ...row.score, own: true }));
  const rivals = charts.baselines.map((row) => ({ label: t(`baseline.${row.name}`), value: row.value, low: row.low, high: row.high, own: false }));
  const rows = [...own, ...rivals];
  return Plot.plot({
    width,
    height: 34 + rows.length * (narrow ? 44 : 30),
    marginLeft: narrow ? 8 : 225,
    marginRight: 52,
    marginTop: narrow ? 12 : 4,
    marginBottom: 24,
    x: { nice: true, label: null, ticks: 5, grid: true },
    y: { label: null, domain: rows.map((row) => row.label), axis: narrow ? null : "left", tickSize: 0 },
    marks: [
      Plot.ruleY(rows, { y: "label", x1: "low", x2: "high", stroke: (row) => token(row.own ? "accent" : "line-strong"), strokeWidth: 5, strokeLinecap: "round", strokeOpacity: 0.45 }),
      Plot.dot(rows, { y: "label", x: "value", r: 5, fill: (row) => token(row.own ? "accent" : "muted") }),
      Plot.text(rows, { y: "label", x: "high", text: (row) => three(row.value), dx: 10, textAnchor: "start", fontWeight: (row) => (row.own ? 700 : 400), fill: token("ink") }),
      narrow ? Plot.text(rows, { y: "label", frameAnchor: "left", text: "label", dy: -15, fill: token("muted") }) : null,
    ],
  });
}

const against = (cost, label) => (width) =>
  Plot.plot({
    width,
    height: 260,
    marginLeft: 48,
    marginRight: 24,
    marginBottom: 38,
    grid: true,
    insetLeft: 24,
    insetRight: 24,
    x: { type: "log", label: t(label), labelArrow: "none", ticks: 4, tickFormat: (value) => d3.format(value < 1000 ? ".3~r" : ".3~s")(value) },
    y: { label: null, ticks: 5, nice: true },
    marks: [
      Plot.ruleX(charts.methods, { x: cost, y1: (row) => row.score.low, y2: (row) => row.score.high, stroke: token("line-strong"), strokeWidth: 2 }),
      Plot.dot(charts.methods, { x: cost, y: (row) => row.score.value, r: 4.5, fill: token("accent") }),
      Plot.text(charts.methods, { x: cost, y: (row) => row.score.value, text: "method", dy: -11, fill: token("ink"), stroke: token("surface"), strokeWidth: 3, paintOrder: "stroke" }),
    ],
  });

function drawAll() {
  draw("methods-chart", methods);
  draw("trained-chart", against("trained_parameters", "fact.trainable_parameters"), "compare.trained_chart");
  draw("seconds-chart", against("seconds", "fact.seconds"), "compare.seconds_chart");
}

let waiting = 0;
const later = () => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(drawAll); };
let seen = document.documentElement.clientWidth;
new ResizeObserver(() => { if (document.documentElement.clientWidth !== seen) { seen = document.documentElement.clientWidth; later(); } }).observe(document.documentElement);
document.addEventListener("tunesmith:change", drawAll);
drawAll();
