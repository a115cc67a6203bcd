// The charts of a comparison. Texts, theme and sorting are page.js's, what all charts share charts.js's.
const { t } = Tunesmith;
const { token, draw } = Charts;
const charts = JSON.parse(document.getElementById("charts").textContent);

function methods(width) {
  const own = charts.methods.map((row) => ({ label: row.method, ...row.score, own: true }));
  const rivals = charts.baselines.map((row) => ({ ...row, label: t(`baseline.${row.name}`), own: false }));
  return Charts.standing(width, [...own, ...rivals], { nice: true });
}

const against = (cost, label) => (width) =>
  Plot.plot({
    width,
    height: 260,
    marginLeft: 48,
    marginRight: 24,
    marginBottom: 38,
    insetLeft: 24,
    insetRight: 24,
    grid: true,
    x: { type: "log", label: t(label), labelArrow: "none", ticks: 4, tickFormat: (value) => d3.format(value < 1000 ? ".3~r" : ".3~s")(value) },
    y: { label: null, ticks: 5, nice: true },
    marks: [
      Plot.ruleX(charts.methods, { x: cost, y1: (row) => row.score.low, y2: (row) => row.score.high, stroke: token("line-strong"), strokeWidth: 2 }),
      Plot.dot(charts.methods, { x: cost, y: (row) => row.score.value, r: 4.5, fill: token("accent") }),
      Plot.text(charts.methods, { x: cost, y: (row) => row.score.value, text: "method", dy: -11, fill: token("ink"), stroke: token("surface"), strokeWidth: 3, paintOrder: "stroke" }),
    ],
  });

Charts.always(() => {
  draw("methods-chart", methods);
  draw("trained-chart", against("trained_parameters", "fact.trainable_parameters"), "compare.trained_chart");
  draw("seconds-chart", against("seconds", "fact.seconds"), "compare.seconds_chart");
});
