// The drawing of the network: some neurons of each population, a column each, and births among them drawn by lot.

class Net {
  constructor(canvas) {
    this.canvas = canvas;
  }

  load(data, replicate) {
    const drawing = data.replicates[replicate].drawing;
    this.lines = drawing.lines;
    this.among = drawing.among;
    const used = data.populations.filter(([name]) => data.projections.some(([, pre, post]) => pre === name || post === name));
    this.names = used.map(([name]) => name);
    this.sizes = used.map(([, size]) => size);
    this.dots = drawing.dots;
    this.ends = data.projections.map(([, pre, post]) => [this.names.indexOf(pre), this.names.indexOf(post)]);
    this.width = this.canvas.parentElement.clientWidth || 320;
    this.height = Math.round(Math.min(460, Math.max(220, this.width * 0.85)));
    this.pen = fitted(this.canvas, this.width, this.height);
  }

  at(population, dot) {
    const columns = this.names.length, n = this.dots[this.names[population]].length;
    if (columns < 2) { // a population wired to itself alone: a ring
      const angle = (2 * Math.PI * dot) / n, radius = Math.min(this.width, this.height - 30) / 2 - 12;
      return [this.width / 2 + radius * Math.sin(angle), (this.height + 20) / 2 - radius * Math.cos(angle)];
    }
    const x = 34 + (this.width - 68) * (population / (columns - 1));
    return [x, 26 + (this.height - 40) * ((dot + 0.5) / n)];
  }

  draw(frame, colours, mode, selected) {
    const pen = this.pen;
    pen.fillStyle = colours.paper;
    pen.fillRect(0, 0, this.width, this.height);
    this.shown = 0;
    const shades = new Map(); // lines of one colour and strength are drawn at once
    for (const line of this.lines) {
      if (line[4] <= frame || line[3] > frame) continue;
      this.shown++;
      const key = (line[5] < 0 ? -1 : 1) * (mode === "sign" ? 4 : 1 + Math.min(3, Math.floor(Math.abs(line[5]) / 25)));
      if (!shades.has(key)) shades.set(key, new Path2D());
      this.trace(shades.get(key), line);
    }
    pen.lineWidth = 0.8;
    for (const [key, path] of shades) {
      pen.strokeStyle = key < 0 ? colours.minus : colours.plus;
      pen.globalAlpha = mode === "sign" ? 0.4 : 0.15 * Math.abs(key);
      pen.stroke(path);
    }
    pen.globalAlpha = 1;
    this.marks(pen, colours, selected);
  }

  trace(path, line) {
    const [from, to] = this.ends[line[0]];
    const [a, b] = [this.at(from, line[1]), this.at(to, line[2])];
    path.moveTo(a[0], a[1]);
    if (this.names.length < 2 || to - from === 1) path.lineTo(b[0], b[1]);
    else path.quadraticCurveTo((a[0] + b[0]) / 2 + (this.width / this.names.length) * (from === to && a[0] > this.width / 2 ? -0.6 : 0.6), (a[1] + b[1]) / 2, b[0], b[1]);
  }

  marks(pen, colours, selected) {
    pen.font = "12px system-ui, sans-serif";
    pen.textAlign = "center";
    this.names.forEach((name, p) => {
      pen.fillStyle = colours.ink;
      const [x] = this.at(p, 0);
      const room = Math.max(60, (this.width - 40) / this.names.length);
      pen.textAlign = this.names.length < 2 ? "center" : p === 0 ? "left" : p === this.names.length - 1 ? "right" : "center";
      pen.fillText(name, p === 0 && this.names.length > 1 ? 4 : p === this.names.length - 1 && p ? this.width - 4 : x, 14, room);
      this.dots[name].forEach((neuron, d) => {
        const [left, top] = this.at(p, d);
        const chosen = selected && selected.population === name && selected.neuron === neuron;
        pen.beginPath();
        pen.arc(left, top, chosen ? 5 : 2.2, 0, 2 * Math.PI);
        pen.fillStyle = chosen ? colours.mark : colours.ink;
        pen.fill();
      });
    });
  }

  // The neuron nearest to a place on the canvas, if one is near.
  near(x, y) {
    let best = null, least = 18 * 18;
    this.names.forEach((name, p) => this.dots[name].forEach((neuron, d) => {
      const [left, top] = this.at(p, d);
      const far = (left - x) ** 2 + (top - y) ** 2;
      if (far < least) [best, least] = [{ population: name, neuron }, far];
    }));
    return best;
  }

  summary(alive) {
    const dots = this.names.map((n, p) => `${this.dots[n].length} of ${number(this.sizes[p])} in ${n}`).join(", ");
    return `Showing ${number(this.shown)} of ${number(alive)} synapses: those alive among ${number(this.lines.length)} births drawn by lot, between some neurons (${dots}).`;
  }
}
