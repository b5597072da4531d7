// What a page holds of a run's synapses: texts of deflated bytes, unpacked when they are first asked for.

async function inflate(text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let k = 0; k < raw.length; k++) bytes[k] = raw.charCodeAt(k);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

// The births of one projection: pre, post, the frames in which each forms and dies, and its weight (-127 to 127).
async function unpack(packed, sizes) {
  const n = packed.edges;
  const own = { n, births: packed.births, scale: packed.scale, formed: null };
  const waiting = { died: inflate(packed.died) };
  for (const part of ["formed", "weight", "sign", "rows", "post"]) if (packed[part]) waiting[part] = inflate(packed[part]);
  const found = {};
  for (const part of Object.keys(waiting)) found[part] = await waiting[part];
  own.died = new Uint8Array(found.died);
  if (found.formed) own.formed = new Uint8Array(found.formed);
  own.weight = found.weight ? new Int8Array(found.weight) : signs(new Uint8Array(found.sign || 0), n);
  own.flat = !found.weight; // all of one magnitude
  own.pre = new Uint32Array(n);
  own.start = new Uint32Array(sizes[0] + 1);
  if (found.rows) {
    own.post = new Uint32Array(found.post);
    const rows = new Uint32Array(found.rows);
    for (let i = 0, k = 0; i < sizes[0]; i++) {
      own.start[i] = k;
      own.pre.fill(i, k, (k += rows[i]));
    }
  } else {
    own.post = new Uint32Array(n);
    for (let i = 0, k = 0; i < sizes[0]; i++) {
      own.start[i] = k;
      for (let j = 0; j < sizes[1]; j++, k++) {
        own.pre[k] = i;
        own.post[k] = j;
      }
    }
  }
  own.start[sizes[0]] = n;
  own.events = { died: timetable(own.died), formed: own.formed && timetable(own.formed) };
  return own;
}

function signs(bits, n) {
  const weight = new Int8Array(n);
  for (let k = 0; k < n; k++) weight[k] = (bits[k >> 3] >> (k & 7)) & 1 ? 127 : -127;
  return weight;
}

// Edges by frame: those of frame k are edges[start[k]] to edges[start[k + 1] - 1].
function timetable(frames) {
  const start = new Uint32Array(258);
  for (let k = 0; k < frames.length; k++) start[frames[k] + 1]++;
  for (let k = 1; k < start.length; k++) start[k] += start[k - 1];
  const edges = new Uint32Array(frames.length);
  const next = start.slice();
  for (let k = 0; k < frames.length; k++) edges[next[frames[k]]++] = k;
  return { start, edges };
}

function living(own, k, frame) {
  return own.died[k] > frame && (!own.formed || own.formed[k] <= frame);
}

function number(value) {
  return value.toLocaleString("en");
}

function percentage(part, whole) {
  return whole ? `${(100 * part / whole).toFixed(1)} %` : "n/a";
}

// The colours of the page as it is shown now, light or dark.
function palette() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  return { paper: of("--card"), ink: of("--ink"), quiet: of("--quiet"), line: of("--line"), plus: of("--plus"), minus: of("--minus"), mark: of("--mark") };
}

function rgb(colour) {
  const value = parseInt(colour.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

// Fits a canvas to its box and to the screen's pixels; returns its context, in CSS pixels.
function fitted(canvas, width, height) {
  const ratio = Math.min(2, window.devicePixelRatio || 1);
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}
