// What the charts of all pages share; Plot, d3 and page.js stand before it.
//
// Charts.draw(id, make, caption) fills a figure with make(width), Charts.always(drawAll) draws now and whenever width, theme
// or language change, Charts.standing(width, rows) shows values in their intervals.
"use strict";

const Charts = (() => {
  const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  const draw = (id, make, caption) => {
    const figure = document.getElementById(id);
    if (!figure) return;
    const plot = make(Math.max(240, Math.floor(figure.clientWidth || 640)));
    const title = caption && document.createElement("figcaption");
    if (title) title.textContent = Tunesmith.t(caption);
    figure.replaceChildren(...[title, plot].filter(Boolean));
  };

  const always = (drawAll) => {
    let waiting = 0;
    const later = () => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(drawAll); };
    let seen = document.documentElement.clientWidth;
    new ResizeObserver(() => { if (document.documentElement.clientWidth !== seen) { seen = document.documentElement.clientWidth; later(); } }).observe(document.documentElement);
    document.addEventListener("tunesmith:change", drawAll);
    drawAll();
  };

  // rows: label, value, low, high, and whether it is one of our own.
  const standing = (width, rows, x) => {
    const narrow = width < 460;
    return Plot.plot({
      width,
      height: 34 + rows.length * (narrow ? 44 : 30),
      marginLeft: narrow ? 8 : 225,
      marginRight: 52,
      marginTop: narrow ? 12 : 4,
      marginBottom: 24,
      x: { label: null, ticks: 5, grid: true, ...x },
      y: { label: null, domain: rows.map((row) => row.label), axis: null },
      marks: [
        narrow ? null : Plot.axisY({ anchor: "left", tickSize: 0, lineWidth: 18 }), // a long name takes two lines
        Plot.ruleY(rows, { y: "label", x1: "low", x2: "high", stroke: (row) => token(row.own ? "accent" : "line-strong"), strokeWidth: 5, strokeLinecap: "round", strokeOpacity: 0.45 }),
        Plot.dot(rows, { y: "label", x: "value", r: 5, fill: (row) => token(row.own ? "accent" : "muted") }),
        Plot.text(rows, { y: "label", x: "high", text: (row) => d3.format(".3f")(row.value), dx: 10, textAnchor: "start", fontWeight: (row) => (row.own ? 700 : 400), fill: token("ink") }),
        narrow ? Plot.text(rows, { y: "label", frameAnchor: "left", text: "label", dy: -15, fill: token("muted") }) : null,
      ],
    });
  };

  return { token, draw, always, standing };
})();
