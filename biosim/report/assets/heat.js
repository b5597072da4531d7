// The heat map of a projection: a cell for each pair of neurons, or for a block of them where there are more than pixels.
// Moving in time touches only the cells of synapses that die or form between the two frames.

class Heat {
  constructor(canvas) {
    this.canvas = canvas;
    this.image = document.createElement("canvas");
  }

  // own: unpacked edges; rows, columns: neurons in the order shown; groups: how many belong to each community.
  // part: whether the page holds the synapses among some neurons only
  load(own, rows, columns, groups, part) {
    this.own = own;
    this.held = part ? new Set(own.post) : null;
    this.sizes = [rows.length, columns.length];
    this.groups = groups;
    this.order = [rows, columns];
    const box = this.canvas.parentElement.clientWidth || 320;
    this.width = box;
    this.height = Math.round(Math.min(460, Math.max(160, (box * Math.min(1.25, Math.max(0.6, rows.length / columns.length))))));
    this.cells = [Math.min(rows.length, this.height), Math.min(columns.length, this.width)];
    this.place = [spread(rows, this.cells[0]), spread(columns, this.cells[1])];
    const n = this.cells[0] * this.cells[1];
    this.count = new Int32Array(n);
    this.sum = new Int32Array(n); // of weights
    this.signs = new Int32Array(n); // positive ones less negative ones
    this.births = new Int32Array(n);
    this.cell = new Uint32Array(own.n);
    for (let k = 0; k < own.n; k++) {
      this.cell[k] = this.place[0][own.pre[k]] * this.cells[1] + this.place[1][own.post[k]];
      this.births[this.cell[k]]++;
      if (!own.formed || own.formed[k] === 0) this.add(this.cell[k], k, 1);
    }
    this.frame = 0;
    this.alive = this.count.reduce((a, b) => a + b, 0);
    this.image.width = this.cells[1];
    this.image.height = this.cells[0];
    this.context = this.image.getContext("2d");
    this.pixels = this.context.createImageData(this.cells[1], this.cells[0]);
    this.words = new Uint32Array(this.pixels.data.buffer);
  }

  add(cell, edge, by) {
    this.count[cell] += by;
    this.sum[cell] += by * this.own.weight[edge];
    this.signs[cell] += by * Math.sign(this.own.weight[edge]);
  }

  // Brings counts to a frame; recolours what changed when `paint` is set.
  seek(frame, paint) {
    const back = frame < this.frame;
    const [low, high] = back ? [frame, this.frame] : [this.frame, frame];
    for (const [kind, sign] of [["died", -1], ["formed", 1]]) {
      const table = this.own.events[kind];
      if (!table) continue;
      for (let e = table.start[low + 1]; e < table.start[high + 1]; e++) {
        const edge = table.edges[e];
        this.add(this.cell[edge], edge, back ? -sign : sign);
        if (paint) this.colour(this.cell[edge]);
      }
      this.alive += (back ? -sign : sign) * (table.start[high + 1] - table.start[low + 1]);
    }
    this.frame = frame;
  }

  colour(c) {
    const count = this.count[c];
    if (!count) {
      this.words[c] = this.tone[0];
      return;
    }
    // by sign: how full the block is, tinted by which sign prevails; by weight: the mean weight of what lives
    const mean = this.mode === "sign" ? this.signs[c] / count : this.sum[c] / (127 * count);
    const strength = this.mode === "sign" ? 0.25 + 0.75 * (count / this.births[c]) : 0.12 + 0.88 * Math.min(1, Math.abs(mean) * 1.5);
    const level = Math.round(strength * 63);
    const hue = Math.round((this.mode === "sign" ? mean : Math.sign(mean)) * 8) + 8;
    this.words[c] = this.tone[1 + hue * 64 + level];
  }

  // Colours as words of the image: 17 hues from minus to plus, 64 strengths each.
  tones(colours, mode) {
    this.mode = mode;
    const [paper, plus, minus, mid] = [colours.paper, colours.plus, colours.minus, colours.quiet].map(rgb);
    const word = (c) => (255 << 24) | (Math.round(c[2]) << 16) | (Math.round(c[1]) << 8) | Math.round(c[0]);
    this.tone = new Uint32Array(1 + 17 * 64);
    this.tone[0] = word(paper);
    for (let hue = 0; hue < 17; hue++) {
      const towards = Math.abs(hue - 8) / 8;
      const full = [0, 1, 2].map((i) => mid[i] + ((hue < 8 ? minus : plus)[i] - mid[i]) * towards);
      for (let level = 0; level < 64; level++) {
        this.tone[1 + hue * 64 + level] = word([0, 1, 2].map((i) => paper[i] + (full[i] - paper[i]) * (level / 63)));
      }
    }
  }

  paint(colours, mode) {
    this.tones(colours, mode);
    for (let c = 0; c < this.count.length; c++) this.colour(c);
    this.pen = fitted(this.canvas, this.width, this.height);
  }

  draw(colours, selected) {
    this.context.putImageData(this.pixels, 0, 0);
    const pen = this.pen;
    pen.imageSmoothingEnabled = false;
    pen.drawImage(this.image, 0, 0, this.width, this.height);
    pen.strokeStyle = colours.line;
    pen.lineWidth = 1;
    pen.beginPath();
    for (const axis of [0, 1]) {
      let edge = 0;
      for (const size of this.groups[axis]) {
        edge += size;
        if (size < 2 || edge >= this.sizes[axis]) continue;
        const at = Math.round((edge / this.sizes[axis]) * (axis ? this.width : this.height)) + 0.5;
        if (axis) { pen.moveTo(at, 0); pen.lineTo(at, this.height); } else { pen.moveTo(0, at); pen.lineTo(this.width, at); }
      }
    }
    pen.stroke();
    if (selected !== null) {
      const wide = Math.max(3, this.width / this.sizes[1]);
      const left = (this.place[1][selected] / this.cells[1]) * this.width;
      pen.strokeStyle = colours.mark;
      pen.lineWidth = 1.5;
      pen.strokeRect(Math.min(left, this.width - wide), 0.75, wide, this.height - 1.5);
    }
  }

  // The postsynaptic neuron under a place of the canvas, from 0 to 1 across; the nearest whose synapses the page holds.
  neuron(across) {
    const columns = this.order[1], at = Math.min(this.sizes[1] - 1, Math.max(0, Math.floor(across * this.sizes[1])));
    if (this.held) {
      for (let far = 0; far < columns.length; far++) {
        for (const k of [at - far, at + far]) if (this.held.has(columns[k])) return columns[k];
      }
    }
    return columns[at];
  }

  summary(name, pre, post, ends) {
    const [rows, columns] = this.sizes;
    const block = [rows / this.cells[0], columns / this.cells[1]].map((v) => Math.round(10 * v) / 10);
    const binned = block[0] > 1 || block[1] > 1;
    const of = ends ? `; synapses among ${number(ends[0])} and ${number(ends[1])} of the neurons are held` : "";
    return `${name}: rows are the ${number(rows)} neurons of ${pre}, columns the ${number(columns)} of ${post}. ` +
      (binned ? `Larger than the canvas: a cell shows about ${block[0]} × ${block[1]} neurons. ` : "") +
      `${number(this.alive)} of ${number(this.own.births)} alive${of}. Click a column to choose a neuron.`;
  }
}

// Which cell of an axis each neuron falls into, given the order in which neurons stand.
function spread(order, cells) {
  const place = new Uint32Array(order.length);
  for (let at = 0; at < order.length; at++) place[order[at]] = Math.floor((at * cells) / order.length);
  return place;
}
