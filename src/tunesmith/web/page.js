// What every page does: light or dark, English or Chinese, sortable tables.
//
// Texts stand in one JSON block with id "texts": {"key": {"en": "...", "zh": "..."}}.
// data-t="key" fills an element, data-t-label="key" its aria-label, data-t-placeholder="key" its placeholder.
// Other scripts call Tunesmith.t(key) and listen to "tunesmith:change" on document (language or theme changed).
"use strict";

const Tunesmith = (() => {
  const root = document.documentElement;
  const block = document.getElementById("texts");
  const texts = block ? JSON.parse(block.textContent) : {};

  const remembered = (name) => {
    try { return localStorage.getItem(`tunesmith.${name}`); } catch { return null; }
  };
  const remember = (name, value) => {
    try { localStorage.setItem(`tunesmith.${name}`, value); } catch { /* a file opened from disk may not store */ }
  };
  const announce = () => document.dispatchEvent(new CustomEvent("tunesmith:change"));

  const language = () => (root.lang.startsWith("zh") ? "zh" : "en");
  const t = (key) => (texts[key] ? texts[key][language()] ?? texts[key].en : key.slice(key.indexOf(".") + 1));
  const fill = () => {
    for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
    for (const node of document.querySelectorAll("[data-t-label]")) node.setAttribute("aria-label", t(node.dataset.tLabel));
    for (const node of document.querySelectorAll("[data-t-placeholder]")) node.placeholder = t(node.dataset.tPlaceholder);
    for (const node of document.querySelectorAll("[data-language] [data-for]")) node.hidden = node.dataset.for === language();
    for (const node of document.querySelectorAll("[data-only]")) node.hidden = node.dataset.only !== language();
  };
  const speak = (code) => { root.lang = code === "zh" ? "zh-CN" : "en"; fill(); announce(); };

  const dark = () => (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

  const value = (cell) => cell.dataset.value ?? cell.textContent.trim();
  const compare = (a, b) => {
    const [x, y] = [Number(a), Number(b)];
    return a !== "" && b !== "" && !Number.isNaN(x) && !Number.isNaN(y) ? x - y : a.localeCompare(b);
  };
  const sort = (header) => {
    const table = header.closest("table");
    const index = [...header.parentNode.children].indexOf(header);
    const first = header.classList.contains("number") ? "descending" : "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const direction = header.getAttribute("aria-sort") === first ? other : first;
    for (const node of header.parentNode.children) node.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", direction);
    const sign = direction === "ascending" ? 1 : -1;
    const body = table.tBodies[0];
    const rows = [...body.rows].sort((a, b) => sign * compare(value(a.cells[index]), value(b.cells[index])));
    body.append(...rows);
  };

  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target : null;
    const header = target?.closest("th")?.querySelector("button") && target.closest("th");
    if (header) sort(header);
    if (target?.closest("[data-theme-toggle]")) {
      root.dataset.theme = dark() ? "light" : "dark";
      remember("theme", root.dataset.theme);
      announce();
    }
    if (target?.closest("[data-language]")) {
      speak(language() === "zh" ? "en" : "zh");
      remember("language", language());
    }
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", announce);

  const theme = remembered("theme");
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  speak(remembered("language") ?? (navigator.language.startsWith("zh") ? "zh" : "en"));

  return { t, language, dark };
})();
