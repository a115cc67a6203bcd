// The chart of a few-shot run: each draw in its interval, the baseline's mean in the range of its draws.
const { t } = Tunesmith;
const charts = JSON.parse(document.getElementById("charts").textContent);

function draws(width) {
  const own = charts.draws.map((row) => ({ label: `${t("draws.draw")} ${row.draw}`, ...row.score, own: true }));
  const rival = charts.baseline;
  const rivals = rival
    ? [{ name: rival.name, label: t(`baseline.${rival.name}`), value: rival.mean, low: rival.lowest, high: rival.highest, own: false }]
    : [];
  return Charts.standing(width, [...own, ...rivals], { nice: true });
}

Charts.always(() => Charts.draw("draws-chart", draws));
