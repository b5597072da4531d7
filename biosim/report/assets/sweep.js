// A sweep: one metric against density or a swept number, a line for each of the rest, filtered by what was swept.

const COLOURS = ["--c0", "--c1", "--c2", "--c3", "--c4", "--c5", "--c6", "--c7"];
const SVG = "http://www.w3.org/2000/svg";

class Sweep {
  constructor(root) {
    this.root = root;
    this.data = JSON.parse(root.querySelector("script").textContent);
    this.part = (name) => root.querySelector(`[data-part="${name}"]`);
    this.choices = {};
    this.fill();
    this.draw();
    root.dataset.ready = "true";
  }

  fill() {
    const { keys, metrics, cells } = this.data;
    const option = (value, text) => Object.assign(document.createElement("option"), { value, textContent: text });
    metrics.forEach((name) => this.part("metric").append(option(name, name)));
    if (metrics.includes("density")) this.part("against").append(option("measured", "density, as measured"));
    keys.forEach((key, k) => {
      const values = this.values(k);
      if (values.length > 1 && values.every((v) => typeof v === "number")) this.part("against").append(option(`${k}`, key === "density" ? "density, as asked for" : key));
    });
    if (!this.part("against").options.length) this.part("against").append(option("index", "setting"));
    keys.forEach((key, k) => {
      const values = this.values(k);
      if (values.length < 2 || (key === "density" && metrics.includes("density"))) return;
      const label = document.createElement("label"), select = document.createElement("select");
      label.append(`${key} `, select);
      select.dataset.key = key;
      select.append(option("", "all"));
      values.forEach((v, i) => select.append(option(i, String(v ?? "none"))));
      select.addEventListener("change", () => { this.choices[k] = select.value === "" ? undefined : values[Number(select.value)]; this.draw(); });
      this.part("filter").append(label);
    });
    const given = new URLSearchParams(location.search);
    for (const name of ["metric", "against"]) {
      const select = this.part(name);
      if ([...select.options].some((o) => o.value === given.get(name))) select.value = given.get(name);
      select.addEventListener("change", () => this.draw());
    }
  }

  values(k) {
    return [...new Set(this.data.cells.map(([place]) => place[k]))];
  }

  // The points to show: where each stands along the axis, its value and interval, and the line it belongs to.
  points() {
    const metric = this.part("metric").value, against = this.part("against").value, { keys } = this.data;
    const along = against === "measured" ? keys.map((key, k) => (/(^|\.)densit(y|ies)$/.test(key) ? k : -1)).filter((k) => k >= 0) : [Number(against)];
    const apart = keys.map((_, k) => k).filter((k) => !along.includes(k) && this.values(k).length > 1);
    const found = [];
    this.data.cells.forEach(([place, own], index) => {
      if (!own[metric] || Object.entries(this.choices).some(([k, v]) => v !== undefined && place[k] !== v)) return;
      const x = against === "measured" ? own.density && own.density[1] : against === "index" ? index : place[Number(against)];
      if (typeof x !== "number") return;
      const [n, mean, low, high] = own[metric];
      found.push({ x, n, mean, low: low ?? mean, high: high ?? mean, known: low !== null, line: apart.map((k) => (["method", "regime"].includes(keys[k]) ? "" : `${keys[k]} `) + place[k]).join(", "), place });
    });
    return found.sort((a, b) => a.x - b.x);
  }

  draw() {
    const points = this.points(), metric = this.part("metric").value;
    const against = this.part("against").selectedOptions[0].textContent;
    const lines = new Map();
    points.forEach((p) => lines.set(p.line, [...(lines.get(p.line) || []), p]));
    this.part("said").textContent = points.length
      ? `${metric} against ${against}: ${points.length} settings in ${lines.size} line${lines.size > 1 ? "s" : ""}; bars are 95 % intervals over seeds.`
      : "Nothing is left by this filter.";
    this.part("plot").replaceChildren(points.length ? this.plot(lines, points, metric, against) : document.createTextNode(""));
    this.tabulate(points, metric, against);
    Object.assign(this.root.dataset, { points: points.length, lines: lines.size });
  }

  plot(lines, points, metric, against) {
    const width = Math.max(320, Math.min(980, this.part("plot").clientWidth || 640)), height = 380, left = 62, bottom = 46;
    const legend = 20 * lines.size + 8;
    const svg = this.make("svg", { viewBox: `0 0 ${width} ${height + legend}`, width: "100%", role: "img" });
    svg.setAttribute("aria-label", `${metric} against ${against}: ` + [...lines].map(([name, own]) => `${name || "all"} from ${tidy(own[0].mean)} at ${tidy(own[0].x)} to ${tidy(own.at(-1).mean)} at ${tidy(own.at(-1).x)}`).join("; "));
    const scale = (values, from, to) => {
      let [low, high] = [Math.min(...values), Math.max(...values)];
      if (low === high) [low, high] = [low - 0.5 * (Math.abs(low) || 1), high + 0.5 * (Math.abs(high) || 1)];
      const room = 0.06 * (high - low);
      [low, high] = [low - room, high + room];
      return { low, high, at: (v) => from + ((v - low) / (high - low)) * (to - from) };
    };
    const x = scale(points.map((p) => p.x), left, width - 12), y = scale(points.flatMap((p) => [p.low, p.high]), height - bottom, 12);
    for (const tick of ticks(x.low, x.high)) {
      svg.append(this.make("line", { x1: x.at(tick), x2: x.at(tick), y1: 12, y2: height - bottom, class: "grid" }), this.text(tidy(tick), x.at(tick), height - bottom + 18, "middle"));
    }
    for (const tick of ticks(y.low, y.high)) {
      svg.append(this.make("line", { x1: left, x2: width - 12, y1: y.at(tick), y2: y.at(tick), class: "grid" }), this.text(tidy(tick), left - 8, y.at(tick) + 4, "end"));
    }
    svg.append(this.text(against, (left + width) / 2, height - 6, "middle"), this.text(metric, 12, height / 2 - 12, "middle", `rotate(-90 12 ${height / 2 - 12})`));
    [...lines].forEach(([name, own], k) => {
      const style = `stroke:var(${COLOURS[k % COLOURS.length]});fill:none`, dash = ["", "6 3", "2 3"][Math.floor(k / COLOURS.length) % 3];
      svg.append(this.make("path", { d: own.map((p, i) => `${i ? "L" : "M"}${x.at(p.x)} ${y.at(p.mean)}`).join(""), style, "stroke-width": 2, "stroke-dasharray": dash }));
      for (const p of own) {
        svg.append(this.make("line", { x1: x.at(p.x), x2: x.at(p.x), y1: y.at(p.low), y2: y.at(p.high), style, "stroke-width": 1.5 }));
        const dot = this.make("circle", { cx: x.at(p.x), cy: y.at(p.mean), r: 4, style: `fill:var(${COLOURS[k % COLOURS.length]})` });
        dot.append(Object.assign(this.make("title", {}), { textContent: `${name}: ${tidy(p.mean)} at ${tidy(p.x)}, n = ${p.n}` }));
        svg.append(dot);
      }
      svg.append(this.make("line", { x1: left, x2: left + 24, y1: height + 12 + 20 * k, y2: height + 12 + 20 * k, style, "stroke-width": 2, "stroke-dasharray": dash }));
      svg.append(this.text(name || "all", left + 32, height + 16 + 20 * k, "start"));
    });
    return svg;
  }

  make(tag, attributes) {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    return node;
  }

  text(words, x, y, anchor, transform = "") {
    const node = this.make("text", { x, y, "text-anchor": anchor, "font-size": 12, class: "axis", transform });
    node.textContent = words;
    return node;
  }

  tabulate(points, metric, against) {
    const { keys } = this.data, asked = keys.length - 1;
    const shown = keys.map((_, k) => k).filter((k) => this.values(k).length > 1 && (k !== asked || this.part("against").value === "index"));
    const plain = (value) => (typeof value === "number" ? tidy(value) : value ?? "");
    const row = (tag, cells) => {
      const line = document.createElement("tr");
      for (const cell of cells) {
        const node = Object.assign(document.createElement(tag), { textContent: cell });
        if (tag === "th") node.scope = "col";
        line.append(node);
      }
      return line;
    };
    const head = document.createElement("thead"), body = document.createElement("tbody");
    head.append(row("th", [...shown.map((k) => keys[k]), against, "n", metric, "95 % interval"]));
    for (const p of points) body.append(row("td", [...shown.map((k) => plain(p.place[k])), tidy(p.x), p.n, tidy(p.mean), p.known ? `${tidy(p.low)} to ${tidy(p.high)}` : ""]));
    this.part("table").replaceChildren(head, body);
  }
}

function tidy(value) {
  return String(Number(value.toPrecision(4)));
}

function ticks(low, high) {
  const rough = (high - low) / 5, unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * unit).find((s) => s >= rough);
  const found = [];
  for (let v = Math.ceil(low / step) * step; v <= high; v += step) found.push(v);
  return found;
}

for (const root of document.querySelectorAll("[data-sweep]")) new Sweep(root);
