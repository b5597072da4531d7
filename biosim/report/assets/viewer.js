// A viewer: its controls, its state, and the address that leads to what is shown.

const KEYS = ["projection", "replicate", "colour", "order", "neuron"];
const FULL = 12; // seconds from birth to the end when played

class Viewer {
  constructor(root) {
    this.root = root;
    this.data = JSON.parse(root.querySelector("script").textContent);
    this.prefix = this.data.prefix;
    this.part = (name) => root.querySelector(`[data-part="${name}"]`);
    this.heat = new Heat(this.part("heat"));
    this.net = new Net(this.part("net"));
    this.field = new Field(this.part("field"), this.part("inputs"));
    this.last = this.data.at.length - 1;
    this.unpacked = new Map();
    this.state = { frame: 0, projection: 0, replicate: 0, colour: "sign", order: "community", neuron: null };
    this.fill();
    this.readAddress();
    this.listen();
  }

  fill() {
    const option = (value, text) => Object.assign(document.createElement("option"), { value, textContent: text });
    this.data.projections.forEach(([name], k) => this.part("projection").append(option(k, name)));
    this.data.replicates.forEach((_, k) => this.part("replicate").append(option(k, `${k} (seed ${this.data.seeds[k]})`)));
    if (this.data.replicates[0].modularity === null) this.part("order").options[0].textContent = "by degree";
  }

  readAddress() {
    const given = new URLSearchParams(location.search), own = (key) => given.get(this.prefix + key);
    const state = this.state, index = this.data.projections.findIndex(([name]) => name === own("projection"));
    if (index >= 0) state.projection = index;
    const replicate = Number(own("replicate") ?? 0);
    if (Number.isInteger(replicate) && replicate >= 0 && replicate < this.data.replicates.length) state.replicate = replicate;
    if (own("colour") === "weight") state.colour = "weight";
    if (own("order") === "number") state.order = "number";
    const neuron = Number(own("neuron") ?? -1);
    if (Number.isInteger(neuron) && neuron >= 0 && neuron < this.size(2)) state.neuron = neuron;
    const share = Number(own("t") ?? 0);
    if (Number.isFinite(share)) state.frame = this.frameAt(share);
  }

  // The frame nearest to a percentage of what is on record.
  frameAt(share) {
    const step = (Math.min(100, Math.max(0, share)) / 100) * this.data.at[this.last];
    let best = 0;
    for (let k = 0; k <= this.last; k++) if (Math.abs(this.data.at[k] - step) < Math.abs(this.data.at[best] - step)) best = k;
    return best;
  }

  share(frame) {
    return (100 * this.data.at[frame]) / this.data.at[this.last];
  }

  size(end) { // of the population before (1) or after (2) the projection shown
    const name = this.data.projections[this.state.projection][end];
    return this.data.populations.find(([own]) => own === name)[1];
  }

  listen() {
    const { state } = this;
    this.part("time").addEventListener("input", (e) => { this.pause(); state.frame = Number(e.target.value); this.show(); });
    this.part("play").addEventListener("click", () => this.toggle());
    this.root.addEventListener("keydown", (e) => {
      if (e.key === " " && e.target.dataset.part === "time") { e.preventDefault(); this.toggle(); }
    });
    for (const key of ["projection", "replicate"]) {
      this.part(key).addEventListener("change", (e) => {
        state[key] = Number(e.target.value);
        state.neuron = Math.min(state.neuron, this.size(2) - 1);
        this.load();
      });
    }
    for (const key of ["colour", "order"]) this.part(key).addEventListener("change", (e) => { state[key] = e.target.value; this.load(); });
    this.part("neuron").addEventListener("change", (e) => this.choose(Number(e.target.value)));
    this.part("heat").addEventListener("click", (e) => this.choose(this.heat.neuron(e.offsetX / e.target.clientWidth)));
    this.part("net").addEventListener("click", (e) => this.touched(this.net.near(e.offsetX, e.offsetY)));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.load());
    matchMedia("print").addEventListener("change", () => this.repaint()); // paper is light, whatever the screen was
    let late = 0, width = this.root.clientWidth;
    window.addEventListener("resize", () => {
      if (this.root.clientWidth === width) return;
      width = this.root.clientWidth;
      clearTimeout(late);
      late = setTimeout(() => this.load(), 120);
    });
  }

  choose(neuron) {
    this.state.neuron = Math.min(this.size(2) - 1, Math.max(0, Math.round(neuron) || 0));
    this.loadField();
    this.show();
  }

  // A neuron of the drawing was clicked: show a projection that leads to it.
  touched(found) {
    if (!found) return;
    const leads = this.data.projections.findIndex(([, , post]) => post === found.population);
    if (leads < 0) return;
    const here = this.data.projections[this.state.projection][2] === found.population;
    if (here) { this.choose(found.neuron); return; }
    Object.assign(this.state, { projection: leads, neuron: found.neuron });
    this.load();
  }

  // How many neurons at either end the page holds the synapses of, where these are not all.
  held() {
    return this.data.replicates[this.state.replicate].projections[this.data.projections[this.state.projection][0]].of;
  }

  async edges() {
    const { replicate, projection } = this.state, key = `${replicate}/${projection}`;
    if (!this.unpacked.has(key)) {
      const [name] = this.data.projections[projection];
      this.unpacked.set(key, unpack(this.data.replicates[replicate].projections[name].edges, [this.size(1), this.size(2)]));
    }
    return this.unpacked.get(key);
  }

  // Unpacks and draws what is chosen anew; a later choice overtakes an earlier one.
  async load() {
    const mine = (this.loading = {});
    const own = await this.edges();
    const replicate = this.data.replicates[this.state.replicate];
    const [, pre, post] = this.data.projections[this.state.projection];
    const sorted = this.state.order === "community";
    const ordered = sorted
      ? await Promise.all([pre, post].map(async (name) => new Uint32Array(await inflate(replicate.order[name]))))
      : [1, 2].map((end) => Uint32Array.from({ length: this.size(end) }, (_, k) => k));
    if (mine !== this.loading) return;
    this.state.neuron ??= ordered[1][0]; // in the largest community the one with most synapses
    const grouped = sorted && replicate.modularity !== null;
    this.colours = palette();
    this.own = own;
    this.heat.load(own, ordered[0], ordered[1], grouped ? [replicate.groups[pre], replicate.groups[post]] : [[], []], this.held());
    this.heat.seek(this.state.frame, false);
    this.heat.paint(this.colours, this.state.colour);
    this.net.load(this.data, this.state.replicate);
    this.loadField();
    this.show();
    this.root.dataset.ready ??= performance.now().toFixed(0); // ms since the page was asked for
  }

  // Draws anew, at once, in the colours of the page as it is now.
  repaint() {
    if (!this.own) return;
    this.colours = palette();
    this.heat.paint(this.colours, this.state.colour);
    this.show();
  }

  loadField() {
    const [, pre, post] = this.data.projections[this.state.projection];
    this.field.load(this.own, this.state.neuron, pre, this.size(1), this.data.pixels[pre] || null, Boolean(this.held()));
    this.post = post;
  }

  // Draws the present moment. While playing, what is said aloud and the address wait.
  show() {
    const { frame, colour, neuron } = this.state, { data } = this;
    if (this.heat.frame !== frame) this.heat.seek(frame, true);
    this.heat.draw(this.colours, neuron);
    this.net.draw(frame, this.colours, colour, { population: this.post, neuron });
    this.field.draw(frame, this.colours);
    const { now, births, mean } = this.totals(frame);
    const step = data.at[frame], time = step > data.clock ? data.seconds : (step / data.clock) * data.seconds;
    const last = data.recorded.filter(([s]) => s <= step).at(-1);
    const noted = last ? `; the run recorded ${(100 * last[1][this.state.replicate]).toFixed(1)} % at step ${number(last[0])}` : "";
    const all = data.seeds.length > 1 ? `; mean of ${data.seeds.length} replicates ${(100 * mean).toFixed(1)} %` : "";
    this.part("readout").textContent = `Density ${percentage(now, births)}: ${number(now)} of ${number(births)} synapses alive, ` +
      `step ${number(step)} of ${number(data.at[this.last])} (${clock(time)})${all}${noted}.`;
    const slider = this.part("time");
    slider.value = frame;
    slider.setAttribute("aria-valuetext", `${this.share(frame).toFixed(0)} % of development, density ${percentage(now, births)}`);
    Object.assign(this.root.dataset, { frame, step, alive: now, births, held: this.heat.alive, drawn: this.net.shown });
    const [name, pre, post] = data.projections[this.state.projection];
    const said = this.heat.summary(name, pre, post, this.held());
    this.part("heat-said").textContent = said;
    this.part("net-said").textContent = this.net.summary(now);
    this.part("field-said").textContent = this.field.summary(post);
    if (this.playing) return;
    this.part("heat").setAttribute("aria-label", `Heat map. ${said}`);
    this.part("net").setAttribute("aria-label", `Network drawing. ${this.net.summary(now)}`);
    this.part("field").setAttribute("aria-label", this.field.summary(post));
    this.field.table();
    this.address();
  }

  totals(frame) {
    let [now, births, mean] = [0, 0, 0];
    const shares = this.data.seeds.map((_, r) => {
      let [a, b] = [0, 0];
      for (const [name] of this.data.projections) { a += this.data.alive[name][r][frame]; b += this.data.births[name][r]; }
      if (r === this.state.replicate) [now, births] = [a, b];
      return b ? a / b : 0;
    });
    mean = shares.reduce((a, b) => a + b, 0) / shares.length;
    return { now, births, mean };
  }

  address() {
    const { state } = this, query = new URLSearchParams(location.search);
    query.set(`${this.prefix}t`, String(Math.round(100 * this.share(state.frame)) / 100));
    const own = { ...state, projection: this.data.projections[state.projection][0] };
    for (const key of KEYS) query.set(this.prefix + key, own[key]);
    for (const key of KEYS) if (this.part(key)) this.part(key).value = state[key];
    this.part("neuron").max = this.size(2) - 1;
    this.part("link").href = `?${query}`;
    try {
      history.replaceState(null, "", `?${query}${location.hash}`);
    } catch {
      // a browser that lets a page on disk keep no address: the link has it
    }
  }

  toggle() {
    if (this.playing) { this.pause(); this.show(); return; }
    if (this.state.frame >= this.last) this.state.frame = 0;
    this.playing = true;
    this.say();
    this.began = null;
    this.drawn = 0;
    const from = this.state.frame;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches; // then in ten steps, without motion in between
    const go = (now) => {
      if (!this.playing) return;
      this.began ??= now;
      this.drawn++;
      let frame = Math.min(this.last, from + Math.floor(((now - this.began) / 1000) * (this.last / FULL)));
      if (still) frame = Math.min(this.last, from + Math.ceil(((frame - from) * 10) / this.last) * Math.ceil(this.last / 10));
      if (frame >= this.last) this.pause();
      if (frame !== this.state.frame || !this.playing) { this.state.frame = frame; this.show(); }
      this.root.dataset.fps = (this.drawn / Math.max(0.001, (now - this.began) / 1000)).toFixed(1);
      if (this.playing) requestAnimationFrame(go);
    };
    requestAnimationFrame(go);
  }

  pause() {
    this.playing = false;
    this.say();
  }

  say() {
    const button = this.part("play");
    button.textContent = this.playing ? "Pause" : "Play";
    button.setAttribute("aria-pressed", String(Boolean(this.playing)));
    this.part("readout").setAttribute("aria-live", this.playing ? "off" : "polite");
    this.part("field-said").setAttribute("aria-live", this.playing ? "off" : "polite");
  }
}

function clock(seconds) {
  if (seconds < 120) return `${seconds.toPrecision(3)} s`;
  if (seconds < 7200) return `${(seconds / 60).toFixed(1)} min`;
  return seconds < 172800 ? `${(seconds / 3600).toFixed(1)} h` : `${(seconds / 86400).toFixed(1)} days`;
}

for (const root of document.querySelectorAll("[data-viewer]")) {
  const own = new Viewer(root);
  own.load().catch((error) => { own.part("readout").textContent = `The viewer cannot be shown: ${error.message}`; });
}
