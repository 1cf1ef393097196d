"use strict";

// Colours of Okabe and Ito, and lighter ones of the same order for a dark ground.
const LIGHT = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#555555"];
const DARK = ["#4da3e0", "#ffb733", "#2cc79a", "#eaa0c8", "#ff8a4c", "#a5dcff", "#c4c4c4"];
// From blue to yellow, which all eyes can order; neither end vanishes in its ground.
const LIGHT_SCALE = [[0, "#00224e"], [0.5, "#7c7b78"], [1, "#d4b000"]];
const DARK_SCALE = [[0, "#3f78c8"], [0.5, "#a5a39c"], [1, "#ffe945"]];
const SYMBOLS = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x"];
const OUTLINES = {
  circle: "M2,8a6,6 0 1,0 12,0a6,6 0 1,0 -12,0Z",
  square: "M3,3H13V13H3Z",
  "triangle-up": "M8,2L14,13H2Z",
  diamond: "M8,1L15,8L8,15L1,8Z",
  "triangle-down": "M2,3H14L8,14Z",
  cross: "M6,2H10V6H14V10H10V14H6V10H2V6H6Z",
  x: "M4,1L8,5L12,1L15,4L11,8L15,12L12,15L8,11L4,15L1,12L5,8L1,4Z",
};
const MAX_HITS = 20;
const N_EXTREME = 3;
const N_BEST = 25;
const ZOOM = 1.6;

const data = JSON.parse(document.getElementById("data").textContent);
const nModels = data.names.length;
const lowerNames = data.names.map((name) => name.toLowerCase());
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const shownFamilies = data.families.map(() => true);
const poolMeans = data.scores.map((scores) => mean(scores.filter((s) => s !== null)));
const familySizes = data.families.map(() => 0);
data.family.forEach((code) => (familySizes[code] += 1));

const state = { colour: "family", hits: [], active: -1, selected: -1 };
const byId = (id) => document.getElementById(id);
const map = byId("map");

function mean(values) {
  return values.length ? values.reduce((a, b) => a + b, 0) / values.length : null;
}

// --- Text ---------------------------------------------------------------------------

function scoreText(thousandths) {
  return thousandths === null ? "none" : (thousandths / 1000).toFixed(3);
}

function numberText(number) {
  return Number(number.toPrecision(3)).toString();
}

function costText(cost) {
  return data.unit ? `${numberText(cost)} ${data.unit}` : numberText(cost);
}

// Plotly reads tags in its texts; names of axes may have any characters.
function plain(text) {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
}

// Texts become text nodes, so that no name can be read as HTML.
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function table(head, rows, caption) {
  const kind = (i) => (head[i].number ? { class: "number" } : {});
  const titles = head.map((h, i) => element("th", { scope: "col", ...kind(i) }, h.title));
  const body = rows.map((row) =>
    element("tr", {}, ...row.map((cell, i) =>
      i === 0 ? element("th", { scope: "row" }, cell) : element("td", kind(i), cell))));
  return element("table", {}, element("caption", {}, caption),
    element("thead", {}, element("tr", {}, ...titles)), element("tbody", {}, ...body));
}

function modelButton(model) {
  const button = element("button", { type: "button", class: "link" }, data.names[model]);
  button.addEventListener("click", () => select(model, true));
  return button;
}

// --- What is known of a model -------------------------------------------------------

function tasksOf(model) {
  return data.tasks
    .map((name, task) => ({ name, score: data.scores[task][model], pool: poolMeans[task] }))
    .filter((entry) => entry.score !== null);
}

// The best and the worst tasks beside what the pool has on them.
function extremes(model) {
  const tasks = tasksOf(model).sort((a, b) => b.score - b.pool - (a.score - a.pool));
  const n = Math.min(N_EXTREME, Math.floor(tasks.length / 2));
  return { best: tasks.slice(0, n), worst: tasks.slice(tasks.length - n).reverse() };
}

function neighborsOf(model) {
  return Array.from({ length: data.k }, (_, i) => ({
    model: data.neighbors[model * data.k + i],
    distance: data.distances[model * data.k + i],
  }));
}

function factsOf(model) {
  const count = data.counts[model];
  const facts = [
    ["Family", data.families[data.family[model]]],
    ["Mean score", count ? `${scoreText(data.mean[model])} (${count} evaluations)` : "not evaluated in the log"],
  ];
  if (data.costs) facts.push(["Cost per query", costText(data.costs[model])]);
  return facts;
}

function hoverLines(model) {
  const { best, worst } = extremes(model);
  const list = (tasks) => tasks.map((t) => `${t.name} ${scoreText(t.score)}`).join(", ");
  const lines = factsOf(model);
  if (best.length) lines.push(["Best beside the pool", list(best)], ["Worst beside the pool", list(worst)]);
  const near = neighborsOf(model).slice(0, N_EXTREME).map((n) => data.names[n.model]);
  lines.push(["Nearest", near.join(", ")]);
  return lines;
}

// --- The map ------------------------------------------------------------------------

// Pairs of a colour and a shape are different for the first 49 families.
function look(family) {
  const place = family % SYMBOLS.length;
  const turn = Math.floor(family / SYMBOLS.length);
  return { color: (dark.matches ? DARK : LIGHT)[place], symbol: SYMBOLS[(place + turn) % SYMBOLS.length] };
}

function style(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// The numbers that colour the map; null for families.
function colourValues() {
  if (state.colour === "family") return null;
  if (state.colour === "mean") return data.mean.map((s) => (s === null ? null : s / 1000));
  if (state.colour === "cost") return data.costs;
  return data.scores[Number(state.colour)].map((s) => (s === null ? null : s / 1000));
}

function colourTitle() {
  const select = byId("colour");
  return select.options[select.selectedIndex].text;
}

function pointSize() {
  return nModels > 20000 ? 4 : nModels > 2000 ? 6 : nModels > 300 ? 8 : 11;
}

function hasWebGL() {
  const canvas = document.createElement("canvas");
  return Boolean(canvas.getContext("webgl2") || canvas.getContext("webgl"));
}

const pointType = data.webgl && hasWebGL() ? "scattergl" : "scatter";

function points(models, marker) {
  return {
    type: pointType,
    mode: "markers",
    x: models.map((m) => data.x[m]),
    y: models.map((m) => data.y[m]),
    customdata: models,
    hoverinfo: "none",
    showlegend: false,
    marker: { size: pointSize(), ...marker },
  };
}

function pointTraces() {
  const values = colourValues();
  const known = values || data.mean;
  const groups = data.families.map(() => ({ full: [], hollow: [] }));
  data.family.forEach((family, model) => {
    groups[family][known[model] === null ? "hollow" : "full"].push(model);
  });
  const traces = [];
  groups.forEach(({ full, hollow }, family) => {
    if (!shownFamilies[family]) return;
    const { color, symbol } = look(family);
    const edge = { color: style("--panel"), width: nModels > 2000 ? 0 : 0.8 };
    if (full.length && values) {
      traces.push(points(full, { symbol, line: edge, color: full.map((m) => values[m]), coloraxis: "coloraxis" }));
    } else if (full.length) traces.push(points(full, { symbol, line: edge, color }));
    if (hollow.length) {
      traces.push(points(hollow, { symbol: `${symbol}-open`, color: values ? style("--soft") : color, line: { width: 1.5 } }));
    }
  });
  return traces;
}

function rings(models, size, color) {
  return {
    type: "scatter",
    mode: "markers",
    x: models.map((m) => data.x[m]),
    y: models.map((m) => data.y[m]),
    hoverinfo: "skip",
    showlegend: false,
    marker: { size: pointSize() + size, symbol: "circle-open", color, line: { width: 2.5 } },
  };
}

// Rings around what was searched for, and around the selected model.
function marks() {
  const chosen = state.selected < 0 ? [] : [state.selected];
  return [rings(state.hits, 8, style("--accent")), rings(chosen, 14, style("--text"))];
}

function axis(title) {
  return {
    title: { text: plain(title), font: { size: 13 }, standoff: 8 },
    gridcolor: style("--faint"),
    zerolinecolor: style("--faint"),
    automargin: true,
  };
}

function layout(x, y) {
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", color: style("--text") },
    margin: { l: 8, r: 8, t: 8, b: 8 },
    xaxis: axis(x),
    yaxis: axis(y),
  };
}

function drawMap(keepView = true) {
  const drawn = layout(...data.axes);
  drawn.dragmode = "pan";
  drawn.hovermode = "closest";
  drawn.coloraxis = {
    colorscale: dark.matches ? DARK_SCALE : LIGHT_SCALE,
    colorbar: { title: { text: plain(colourTitle()) }, orientation: "h", thickness: 12, y: 1.02, yanchor: "bottom" },
  };
  if (keepView && map.layout) {
    for (const name of ["xaxis", "yaxis"]) {
      drawn[name].range = map.layout[name].range;
      drawn[name].autorange = map.layout[name].autorange;
    }
  }
  const options = { displayModeBar: false, responsive: true, scrollZoom: true };
  return Plotly.react(map, [...pointTraces(), ...marks()], drawn, options);
}

// The rings are the last two traces; redrawing them alone is quick for large pools.
function drawMarks() {
  const last = map.data.length;
  const [hits, chosen] = marks();
  Plotly.restyle(map, { x: [hits.x, chosen.x], y: [hits.y, chosen.y] }, [last - 2, last - 1]);
}

function centre(model, zoom = 1) {
  const change = {};
  for (const [name, values] of [["xaxis", data.x], ["yaxis", data.y]]) {
    const [low, high] = map.layout[name].range;
    const half = (high - low) / (2 * zoom);
    change[`${name}.range`] = [values[model] - half, values[model] + half];
  }
  Plotly.relayout(map, change);
}

function zoomBy(factor) {
  const change = {};
  for (const name of ["xaxis", "yaxis"]) {
    const [low, high] = map.layout[name].range;
    const [middle, half] = [(low + high) / 2, (high - low) / (2 * factor)];
    change[`${name}.range`] = [middle - half, middle + half];
  }
  Plotly.relayout(map, change);
}

function showTip(model, event) {
  const tip = byId("tip");
  tip.replaceChildren(element("strong", {}, data.names[model]),
    ...hoverLines(model).map(([key, value]) => element("div", {}, `${key}: ${value}`)));
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const page = document.documentElement;
  const place = (at, size, room) => Math.max(4, at + 14 + size > room ? at - size - 14 : at + 14);
  tip.style.left = `${Math.min(place(event.clientX, width, page.clientWidth), page.clientWidth - width - 4)}px`;
  tip.style.top = `${place(event.clientY, height, window.innerHeight)}px`;
}

// --- The legend ---------------------------------------------------------------------

function icon(family) {
  const { color, symbol } = look(family);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("width", 16);
  svg.setAttribute("height", 16);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", OUTLINES[symbol]);
  path.setAttribute("fill", state.colour === "family" ? color : style("--soft"));
  svg.append(path);
  return svg;
}

function drawLegend() {
  byId("legend").replaceChildren(...data.families.map((name, family) => {
    const button = element("button", { type: "button", "aria-pressed": shownFamilies[family] },
      icon(family), `${name} (${familySizes[family]})`);
    button.addEventListener("click", () => {
      shownFamilies[family] = !shownFamilies[family];
      button.setAttribute("aria-pressed", shownFamilies[family]);
      drawMap();
    });
    return element("li", {}, button);
  }));
}

function drawNote() {
  const known = colourValues() || data.mean;
  const missing = known.filter((value) => value === null).length;
  const what = state.colour === "family" ? "score in the log" : "value for this colour";
  byId("map-note").textContent = missing
    ? `Hollow: ${missing} of ${nModels} models, without a ${what}.` : "";
}

// --- The search ---------------------------------------------------------------------

function find(text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return [];
  const found = [];
  lowerNames.forEach((name, model) => { if (name.includes(wanted)) found.push(model); });
  // Names that begin with the text come first; the sort keeps the order otherwise.
  const rank = (m) => (lowerNames[m] === wanted ? 0 : lowerNames[m].startsWith(wanted) ? 1 : 2);
  return found.sort((a, b) => rank(a) - rank(b));
}

function searchText(found, text) {
  if (!text.trim()) return "";
  if (!found.length) return "No model found.";
  const n = found.length === 1 ? "1 model found" : `${found.length} models found`;
  const some = found.length > MAX_HITS ? `, the first ${MAX_HITS} are shown` : "";
  return `${n}${some}. Choose by the arrow keys, select by Enter.`;
}

function activate(position) {
  state.active = position;
  const input = byId("search");
  [...byId("hits").children].forEach((item, i) => {
    item.setAttribute("aria-selected", i === position);
    if (i === position) {
      input.setAttribute("aria-activedescendant", item.id);
      item.scrollIntoView({ block: "nearest" });
    }
  });
  if (position < 0) input.removeAttribute("aria-activedescendant");
  else centre(state.hits[position]);
}

function showHits(open) {
  byId("hits").hidden = !open;
  byId("search").setAttribute("aria-expanded", open);
}

function search() {
  const text = byId("search").value;
  const found = find(text);
  state.hits = found.slice(0, MAX_HITS);
  byId("search-status").textContent = searchText(found, text);
  byId("hits").replaceChildren(...state.hits.map((model, i) => {
    const item = element("li", { role: "option", id: `hit-${i}`, "aria-selected": false }, data.names[model]);
    // Before the input loses the focus, which would close the list.
    item.addEventListener("mousedown", (event) => { event.preventDefault(); choose(i); });
    return item;
  }));
  showHits(state.hits.length > 0);
  drawMarks();
  activate(state.hits.length ? 0 : -1);
}

function choose(position) {
  const model = state.hits[position];
  byId("search").value = data.names[model];
  byId("search-status").textContent = `${data.names[model]} is selected.`;
  state.hits = [];
  state.active = -1;
  byId("search").removeAttribute("aria-activedescendant");
  showHits(false);
  select(model, true);
}

function searchKey(event) {
  const n = state.hits.length;
  const step = { ArrowDown: 1, ArrowUp: n - 1 }[event.key];
  if (step !== undefined && n) {
    event.preventDefault();
    showHits(true);
    activate((state.active + step) % n);
  } else if (event.key === "Enter" && state.active >= 0) {
    event.preventDefault();
    choose(state.active);
  } else if (event.key === "Escape") {
    byId("search").value = "";
    search();
  }
}

// --- The selected model -------------------------------------------------------------

function strengths(model) {
  const tasks = tasksOf(model).sort((a, b) => b.score - b.pool - (a.score - a.pool));
  const rows = tasks.map(({ name, score, pool }) => {
    const bar = element("div", { class: "bar", "aria-hidden": "true" },
      element("span", { style: `width: ${score / 10}%` }),
      element("i", { style: `left: ${pool / 10}%` }));
    return [name, bar, scoreText(score), scoreText(pool)];
  });
  const head = [{ title: "Task" }, { title: "Bar: model, line: pool" },
    { title: "Model", number: true }, { title: "Pool", number: true }];
  const made = table(head, rows, "Strongest beside the mean of the pool first");
  made.classList.add("strengths");
  return made;
}

function nearestTable(model) {
  const head = [{ title: "Model" }, { title: "Distance", number: true }, { title: "Mean score", number: true }];
  const rows = neighborsOf(model).map((near) =>
    [modelButton(near.model), near.distance.toPrecision(3), scoreText(data.mean[near.model])]);
  return table(head, rows, "Answers most alike first");
}

function select(model, centred) {
  state.selected = model;
  const facts = factsOf(model).flatMap(([key, value]) => [element("dt", {}, key), element("dd", {}, value)]);
  const parts = [element("dl", {}, ...facts)];
  if (data.tasks.length) {
    parts.push(element("h3", {}, "Scores by task"));
    if (tasksOf(model).length) parts.push(strengths(model));
    else parts.push(element("p", { class: "note" }, "The log has no scores of this model by task."));
  }
  parts.push(element("h3", {}, "Nearest models"), nearestTable(model));
  byId("details-heading").textContent = `Selected model: ${data.names[model]}`;
  byId("details-content").replaceChildren(...parts);
  byId("details").scrollTop = 0;
  drawMarks();
  if (centred) centre(model);
}

// --- Curves and tables --------------------------------------------------------------

function drawLine(id, x, y, xTitle, yTitle) {
  const line = { type: "scatter", mode: "lines+markers", x, y, marker: { size: 6 },
    line: { color: style("--accent") }, hovertemplate: "%{x}, %{y}<extra></extra>" };
  Plotly.react(byId(id), [line], { ...layout(xTitle, yTitle), hovermode: "closest" },
    { displayModeBar: false, responsive: true });
}

function costTitle(what) {
  return data.unit ? `${what} (${data.unit})` : what;
}

function drawPortfolio() {
  const { models, coverage, pool } = data.portfolio;
  if (models.length < 2) return;
  byId("portfolio-part").hidden = false;
  const from = pool < nModels ? ` of a sample of ${pool} models` : "";
  byId("portfolio-note").textContent = "Models chosen one by one, each time the one that "
    + `those before cover worst. Cover 1: each model${from} has its equal in the portfolio.`;
  byId("portfolio").setAttribute("aria-label",
    `Curve of the cover by the number of models; the table below has its ${models.length} points.`);
  drawLine("portfolio", models.map((_, i) => i + 1), coverage, "Models in the portfolio", "Similarity cover");
}

function portfolioTable() {
  const { models, coverage, cost } = data.portfolio;
  const head = [{ title: "Model" }, { title: "Cover", number: true }];
  if (cost) head.push({ title: costTitle("Total cost"), number: true });
  const position = new Map(data.names.map((name, model) => [name, model]));
  const rows = models.map((name, i) => {
    const row = [modelButton(position.get(name)), coverage[i].toFixed(3)];
    return cost ? [...row, numberText(cost[i])] : row;
  });
  byId("portfolio-table").replaceChildren(table(head, rows, "Cover of the models so far"));
}

function drawCurve() {
  if (!data.curve) return;
  byId("curve-part").hidden = false;
  byId("curve").setAttribute("aria-label", "Quality by cost; the table below has its points.");
  drawLine("curve", data.curve.cost, data.curve.quality, costTitle("Mean cost per query"), "Mean score");
}

function curveTable() {
  if (!data.curve) return;
  const head = [{ title: costTitle("Mean cost"), number: true }, { title: "Mean score", number: true }];
  const rows = data.curve.cost.map((cost, i) => [numberText(cost), data.curve.quality[i].toFixed(3)]);
  byId("curve-table").replaceChildren(table(head, rows, "From the best answers to the least cost"));
}

function bestTable() {
  const known = data.names.map((_, m) => m).filter((m) => data.mean[m] !== null);
  const best = known.sort((a, b) => data.mean[b] - data.mean[a]).slice(0, N_BEST);
  byId("best-part").hidden = !best.length;
  byId("best-note").textContent = best.length < nModels
    ? `The ${best.length} highest mean scores of ${nModels} models; the search finds all.` : "";
  const head = [{ title: "Model" }, { title: "Family" }, { title: "Mean score", number: true }];
  if (data.costs) head.push({ title: costTitle("Cost per query"), number: true });
  const rows = best.map((m) => {
    const row = [modelButton(m), data.families[data.family[m]], scoreText(data.mean[m])];
    return data.costs ? [...row, numberText(data.costs[m])] : row;
  });
  byId("best").replaceChildren(table(head, rows, "Best models by mean score in the log"));
}

// --- Start --------------------------------------------------------------------------

function colourOptions() {
  const options = [["family", "Family or cluster"]];
  if (data.mean.some((s) => s !== null)) options.push(["mean", "Mean score"]);
  if (data.costs) options.push(["cost", costTitle("Cost per query")]);
  data.tasks.forEach((name, task) => options.push([String(task), `Score on ${name}`]));
  byId("colour").replaceChildren(...options.map(([value, text]) => element("option", { value }, text)));
}

function drawAll() {
  drawLegend();
  drawNote();
  drawPortfolio();
  drawCurve();
  return drawMap();
}

function start() {
  const some = data.tasks.length < data.n_tasks ? `, of which ${data.tasks.length} are shown` : "";
  byId("summary").textContent = `${nModels} models, ${data.n_tasks} tasks${some}.`;
  map.setAttribute("aria-label",
    `Map of ${nModels} models, near ones answer alike. Use the search or the table of the best models.`);
  colourOptions();
  portfolioTable();
  curveTable();
  bestTable();
  drawAll().then(() => {
    map.on("plotly_hover", ({ points: [point], event }) => showTip(point.customdata, event));
    map.on("plotly_unhover", () => { byId("tip").hidden = true; });
    map.on("plotly_click", ({ points: [point] }) => select(point.customdata, false));
    document.body.dataset.ready = "yes";
  });
  byId("search").addEventListener("input", search);
  byId("search").addEventListener("keydown", searchKey);
  byId("search").addEventListener("blur", () => showHits(false));
  byId("colour").addEventListener("change", (event) => { state.colour = event.target.value; drawAll(); });
  byId("zoom-in").addEventListener("click", () => zoomBy(ZOOM));
  byId("zoom-out").addEventListener("click", () => zoomBy(1 / ZOOM));
  byId("zoom-all").addEventListener("click", () =>
    Plotly.relayout(map, { "xaxis.autorange": true, "yaxis.autorange": true }));
  dark.addEventListener("change", drawAll);
}

start();
