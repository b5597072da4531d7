// One neuron's surviving inputs: as an image where the inputs are pixels, else as bars along the population.

class Field {
  constructor(canvas, list) {
    this.canvas = canvas;
    this.list = list;
  }

  // Gathers the births that lead to a neuron.
  load(own, neuron, pre, size, pixels, part) {
    this.part = part; // whether the page holds the synapses among some neurons only
    this.own = own;
    this.neuron = neuron;
    this.pre = pre;
    this.size = size;
    this.pixels = pixels;
    this.edges = [];
    for (let k = 0; k < own.n; k++) if (own.post[k] === neuron) this.edges.push(k);
    const width = Math.min(280, this.canvas.parentElement.clientWidth || 280);
    this.width = width;
    this.height = pixels ? Math.round((width * pixels[0]) / pixels[1]) : 140;
    this.canvas.style.width = `${width}px`;
    this.pen = fitted(this.canvas, this.width, this.height);
  }

  draw(frame, colours) {
    const pen = this.pen;
    pen.fillStyle = colours.paper;
    pen.fillRect(0, 0, this.width, this.height);
    this.alive = this.edges.filter((k) => living(this.own, k, frame));
    const most = this.own.flat ? 127 : Math.max(1, ...this.edges.map((k) => Math.abs(this.own.weight[k])));
    for (const k of this.alive) {
      const value = this.own.weight[k] / most;
      pen.fillStyle = value < 0 ? colours.minus : colours.plus;
      if (this.pixels) {
        const [rows, columns] = this.pixels, w = this.width / columns, h = this.height / rows;
        pen.globalAlpha = 0.2 + 0.8 * Math.abs(value);
        pen.fillRect((this.own.pre[k] % columns) * w, Math.floor(this.own.pre[k] / columns) * h, w + 0.4, h + 0.4);
      } else {
        const x = ((this.own.pre[k] + 0.5) / this.size) * this.width, tall = (value * this.height) / 2;
        pen.fillRect(x - 0.6, this.height / 2 - Math.max(0, tall), Math.max(1.2, this.width / this.size - 1), Math.abs(tall));
      }
    }
    pen.globalAlpha = 1;
    pen.strokeStyle = colours.line;
    pen.lineWidth = 1;
    pen.strokeRect(0.5, 0.5, this.width - 1, this.height - 1);
    if (!this.pixels) pen.strokeRect(0.5, this.height / 2, this.width - 1, 0.01);
  }

  summary(post) {
    if (this.part && !this.edges.length) return `Of neuron ${this.neuron} of ${post} the page holds no synapses: it holds those among some neurons only.`;
    const plus = this.alive.filter((k) => this.own.weight[k] > 0).length;
    const as = this.pixels ? `as an image of ${this.pixels[0]} × ${this.pixels[1]} pixels` : `along ${this.pre}`;
    return `Neuron ${this.neuron} of ${post}: ${number(this.alive.length)} of ${number(this.edges.length)} ${this.part ? "inputs held" : "inputs"} from ${this.pre} alive, ` +
      `${number(plus)} positive, ${number(this.alive.length - plus)} negative; ${as}.`;
  }

  // The strongest inputs as text.
  table() {
    const top = [...this.alive].sort((a, b) => Math.abs(this.own.weight[b]) - Math.abs(this.own.weight[a])).slice(0, 8);
    this.list.textContent = top.length
      ? `${this.own.flat ? "First" : "Strongest"} inputs: ` + top.map((k) => `${this.own.pre[k]} (${((this.own.weight[k] / 127) * this.own.scale).toPrecision(2)})`).join(", ")
      : this.edges.length ? "No input is left." : "";
  }
}
