// The page: what is shown is one object, the view; it stands in the address behind the #, so every
// view can be linked. Whatever changes it calls change(), which draws everything again.

const byId = (id) => document.getElementById(id);

// ---------------------------------------------------------------- the view, and the address

const PLANE = 3.6; // half the side of the latent plane that is shown
const VIEW = { // default, lowest, highest, and, if only some numbers are allowed, their distance
  d: [100, 2, 100, 98],
  exact: [0, 0, 1, 1], // 1: sample with the exact flow
  share: [0.5, 0, 1], // of counter-clockwise videos, for the exact flow
  steps: [C.STEPS, 1, 100, 1],
  step: [0, 0, 100, 1],
  seed: [3, 0, 999999, 1], // of the noise
  frame: [0, 0, C.NUM_FRAMES - 1, 1], // which frame is large; 0 is all seven
  x: [0.45, -C.RANGE, C.RANGE], y: [0.3, -C.RANGE, C.RANGE], // the square of frame 0
  ax: [-0.45, -C.RANGE, C.RANGE], ay: [0.35, -C.RANGE, C.RANGE], // square A
  bx: [0.4, -C.RANGE, C.RANGE], by: [-0.4, -C.RANGE, C.RANGE], // square B
  mix: [0.5, 0, 1], // B's share
  px: [0, -PLANE, PLANE], py: [0, -PLANE, PLANE], // the point in the latent plane
};
const DEFAULT = Object.fromEntries(Object.entries(VIEW).map(([name, [value]]) => [name, value]));
let view = { ...DEFAULT };

/** Whether all of a view is allowed. */
function isGood(candidate) {
  const radius = Math.hypot(candidate.x, candidate.y);
  const inRange = Object.entries(candidate).every(([name, value]) => {
    const [, lowest, highest, distance] = Object.hasOwn(VIEW, name) ? VIEW[name] : [];
    return value >= lowest && value <= highest && !(distance && (value - lowest) % distance);
  });
  return inRange && candidate.step <= candidate.steps &&
    radius > C.RANGE / 4 - 0.002 && radius < C.RANGE + 0.002;
}

function readAddress() {
  const entries = [...new URLSearchParams(location.hash.slice(1))];
  const numbers = entries.map(([name, text]) => [name, text.trim() ? Number(text) : NaN]);
  const candidate = { ...DEFAULT, ...Object.fromEntries(numbers) };
  byId("note").hidden = isGood(candidate);
  byId("note").textContent =
    `The address ends in something that isn't a view (${location.hash}). Here is the first one.`;
  view = isGood(candidate) ? candidate : { ...DEFAULT };
}

let addressTimer;
function writeAddress() {
  clearTimeout(addressTimer); // browsers refuse too many changes of the address
  addressTimer = setTimeout(() => {
    const changed = Object.entries(view).filter(([name, value]) => value !== DEFAULT[name]);
    history.replaceState(null, "", `#${new URLSearchParams(changed)}`);
  }, 200);
}

/** Change the view, and draw it as soon as the browser is ready for a new picture. */
let drawing;
function change(values) {
  Object.assign(view, values);
  drawing ??= requestAnimationFrame(draw);
}

/** Move a point of the view. The square of frame 0, (x, y), stays on the allowed radii. */
function movePoint(prefix, x, y) {
  const radius = Math.hypot(x, y) || 1e-9;
  const allowed = Math.min(C.RANGE, Math.max(C.RANGE / 4, radius));
  const scale = prefix === "" ? allowed / radius : 1;
  const [, lowest, highest] = VIEW[`${prefix}x`];
  const fit = (value) => Number(Math.min(highest, Math.max(lowest, value * scale)).toFixed(3));
  change({ [`${prefix}x`]: fit(x || 1e-9), [`${prefix}y`]: fit(y) });
}

// ---------------------------------------------------------------- sampling

const networks = {}; // d -> { space, network }, filled at the start

/** Sample one video: every step's state and posterior mean, q, and the exact flow. */
function sample({ d, exact, share, steps }, firstCenter, noise) {
  const { space, network } = networks[d];
  const truth = new ExactFlow(space, firstCenter, share);
  const posteriorMean = (x, t) =>
    exact ? truth.posteriorMean(x, t) : network.posteriorMean(x, truth.given, t);
  const { states, means } = eulerSteps(posteriorMean, noise, steps);
  return { space, truth, states, means, q: means.map((mean) => truth.ccwFraction(mean)) };
}

/** What make() gives; made anew only if the key has changed since the last time. */
const remembered = {};
function remember(name, key, make) {
  if (remembered[name]?.key !== key) remembered[name] = { key, value: make() };
  return remembered[name].value;
}

function currentSample() {
  const { d, exact, share, x, y, seed, steps } = view;
  return remember("sample", [d, exact, share, x, y, seed, steps].join(), () =>
    sample(view, [x, y], randomNormal(seed, (C.NUM_FRAMES - 1) * d)));
}

/** Frames 0 to 7 of the step that is shown; "states" or "means". */
function currentFrames(readout) {
  const latents = currentSample()[readout][view.step];
  return remember(readout, latents, () =>
    [render([view.x, view.y]), ...currentSample().space.decode(latents)]);
}

// ---------------------------------------------------------------- pictures

const FRAMES = Array.from({ length: C.NUM_FRAMES - 1 }, (_, i) => i + 1);
const EDGE = 1 + C.PIXEL / 2; // a picture shows the plane from -EDGE to EDGE

/** Draw a frame, clipped to [0, 1], and an SVG drawing on top of it. */
function drawFrame(picture, frame, overlay = "") {
  const [canvas, svg] = picture.children;
  const image = new ImageData(C.FRAME_SIZE, C.FRAME_SIZE);
  const pixels = new Uint32Array(image.data.buffer); // opaque grey: 0xff, and thrice the brightness
  frame.forEach((value, i) => {
    pixels[i] = 0xff000000 + 0x010101 * Math.round(255 * clip(value));
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
  svg.innerHTML = overlay;
}

const circle = ([x, y], radius, style) =>
  `<circle cx="${x}" cy="${y}" r="${radius}" class="${style}"/>`;
const line = (points, style) => `<polyline points="${points.join(" ")}" class="${style}"/>`;
const text = ([x, y], words, style = "") =>
  `<text x="${x}" y="${y}" class="${style}">${words}</text>`;

/** Outline where the squares of a frame truly are, if the video goes one way and if the other. */
function places(frame) {
  const outline = ([x, y], half, style) =>
    `<rect x="${x - half}" y="${-y - half}" width="${2 * half}" height="${2 * half}"
      class="${style}"/>`;
  const [ccw, cw] = orbits([view.x, view.y]);
  return outline(ccw[frame], C.HALF_WIDTH + 0.07, "ccw") +
    outline(cw[frame], C.HALF_WIDTH + 0.02, "cw");
}

function drawFrames() {
  const rings = [C.RANGE / 4, C.RANGE].map((radius) => circle([0, 0], radius, "ring"));
  drawFrame(byId("first"), render([view.x, view.y]), rings.join(""));
  for (const readout of ["states", "means"]) {
    const frames = currentFrames(readout);
    [...byId(readout).children].forEach((button, i) => {
      drawFrame(button.firstChild, frames[i], i ? places(i) : "");
      button.setAttribute("aria-pressed", i > 0 && i === view.frame);
    });
    const shown = view.frame ? [view.frame] : FRAMES;
    const overlaid = frames[0].map((_, pixel) => Math.max(...shown.map((i) => frames[i][pixel])));
    drawFrame(byId(`${readout}Large`), overlaid, view.frame ? places(view.frame) : "");
  }
}

/** q over the steps, the speciation time, and where we are. */
function drawPlot() {
  const { q, truth } = currentSample();
  const at = (step, share) => [30 + (320 * step) / view.steps, 160 - 120 * share];
  const speciation = truth.speciationTime() * view.steps;
  byId("plot").innerHTML =
    [0, 0.5, 1].map((share) => line([at(0, share), at(view.steps, share)], "axis") +
      text([24, at(0, share)[1] + 4], share, "end")).join("") +
    text([350, 34], "counter-clockwise", "end") + text([350, 176], "clockwise", "end") +
    text([30, 196], "step 0") + text([350, 196], `step ${view.steps}`, "end") +
    (truth.prior.includes(0) ? "" : // nothing to decide
      line([at(speciation, 1.2), at(speciation, 0)], "time") +
      text([at(speciation, 0)[0], 12], `speciation time, step ${speciation.toFixed(1)}`)) +
    line(q.map((share, step) => at(step, share)), "curve") +
    circle(at(view.step, q[view.step]), 6, "now");
}

// ---------------------------------------------------------------- latent plane and mixing

/** Encode a grid of squares, row by row, so that the page can be used meanwhile. */
const grid = []; // 21 rows of 21 latents
async function encodeGrid() {
  const axis = Array.from({ length: 21 }, (_, i) => C.RANGE * (i / 10 - 1));
  for (const y of axis) {
    await new Promise((done) => setTimeout(done, 20));
    grid.push(axis.map((x) => networks[2].space.encode([x, y])));
  }
  change({});
}

function drawPlane() {
  byId("noPlane").hidden = view.d === 2;
  byId("plane").hidden = view.d !== 2;
  if (view.d !== 2) return;
  const { states, means, truth } = currentSample();
  const at = ([x, y]) => [x, -y];
  const latent = (latents, frame) => at(latents.subarray(2 * frame - 2, 2 * frame));
  const net = [...grid, ...grid.map((_, i) => grid.map((row) => row[i]))].map((points) =>
    line(points.map(at), "axis"));
  const truePlaces = FRAMES.map((i) => circle(latent(truth.continuations[0], i), 0.2, "ccw"));
  const walkers = FRAMES.map((i) => {
    const [x, y] = latent(states[view.step], i);
    return line([[x, y], latent(means[view.step], i)], "curve") +
      circle([x, y], 0.13, "dot") + text([x, y + 0.06], i, "middle");
  });
  const [x, y] = at([view.px, view.py]);
  const cross =
    line([[x - 0.15, y], [x + 0.15, y]], "now") + line([[x, y - 0.15], [x, y + 0.15]], "now");
  byId("latents").innerHTML = [...net, ...truePlaces, ...walkers, cross].join("");
  drawFrame(byId("probe"), networks[2].space.decode(Float64Array.of(view.px, view.py))[0]);
}

function drawMix() {
  const { ax, ay, bx, by, mix } = view;
  remember("mix", [ax, ay, bx, by, mix].join(), () => {
    drawFrame(byId("a"), render([ax, ay]));
    drawFrame(byId("b"), render([bx, by]));
    for (const d of [2, 100]) {
      const { space } = networks[d];
      const [a, b] = [space.encode([ax, ay]), space.encode([bx, by])];
      const mixed = a.map((z, i) => (1 - mix) * z + mix * b[i]);
      drawFrame(byId(`mix${d}`), space.decode(mixed)[0]);
    }
  });
}

// ---------------------------------------------------------------- drawing it all

function describe() {
  const q = currentSample().q[view.step];
  const [sure, way] = [Math.abs(q - 0.5), q > 0.5 ? "counter-clockwise" : "clockwise"];
  const verdict = sure < 0.1 ? "undecided" : sure < 0.45 ? `leans ${way}` : `decided: ${way}`;
  byId("status").innerHTML =
    `Step <b>${view.step}</b> of ${view.steps}, <i>t</i> = ${(view.step / view.steps).toFixed(2)},
    <i>q</i> = ${q.toFixed(2)}, <b>${verdict}</b>`;
  for (const which of document.querySelectorAll(".which")) {
    which.textContent = view.frame ? `frame ${view.frame}` : "all seven frames";
  }
  byId("play").textContent = playTimer ? "Pause" : "Play";
  for (const input of document.querySelectorAll("input")) {
    if (input.name === "step") input.max = view.steps;
    if (input.type === "radio") input.checked = Number(input.value) === view[input.name];
    else if (input !== document.activeElement || input.type === "range") {
      input.value = view[input.name];
    }
    if (input.name === "share") input.disabled = !view.exact;
  }
  for (const output of document.querySelectorAll("output")) {
    output.textContent = view[output.name];
  }
}

function draw() {
  drawing = undefined;
  drawFrames();
  drawPlot();
  drawPlane();
  drawMix();
  describe();
  writeAddress();
}

// ---------------------------------------------------------------- playing

let playTimer;
function goTo(step) {
  clearTimeout(playTimer);
  playTimer = undefined;
  change({ step: Math.min(view.steps, Math.max(0, step)) });
}

/** One step on, and the next one after a while: the longer, the less is decided. */
function playOn() {
  if (view.step >= view.steps) return goTo(view.steps);
  change({ step: view.step + 1 });
  const q = currentSample().q[view.step];
  playTimer = setTimeout(playOn, 70 + 380 * Math.max(0, 1 - Math.abs(2 * q - 1)));
}

function playOrPause() {
  if (playTimer) return goTo(view.step);
  if (view.step === view.steps) goTo(0);
  playTimer = setTimeout(playOn, 300);
  change({});
}

// ---------------------------------------------------------------- mouse, touch and keyboard

function onInput({ target: { name, value } }) {
  if (name === "step") return goTo(Number(value));
  const values = { [name]: Number(value) };
  if (name === "steps") values.step = Math.round((view.step / view.steps) * value); // the same t
  if (value !== "" && isGood({ ...view, ...values })) change(values);
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
function onKey(event) {
  const { key, target } = event;
  const [dx, dy] = ARROWS[key] ?? [0, 0];
  const point = target.dataset.point;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (point !== undefined && (dx || dy)) {
    movePoint(point, view[`${point}x`] + C.PIXEL * dx, view[`${point}y`] + C.PIXEL * dy);
  } else if (target.matches("input:not([name=step])")) return; // they have their own keys
  else if (key === " " && !target.matches("button, a")) playOrPause();
  else if (dx) goTo(view.step + dx);
  else return;
  event.preventDefault();
}

/** Move the point that the pointer drags. The one in the latent plane follows a mouse anyway. */
function onPointer({ target, type, pointerId, clientX, clientY }) {
  const element = target.closest("[data-point]");
  const point = element?.dataset.point;
  if (type === "pointerdown") element?.setPointerCapture(pointerId);
  if (point !== "p" && !element?.hasPointerCapture(pointerId)) return;
  const edge = point === "p" ? PLANE : EDGE;
  const box = element.getBoundingClientRect();
  movePoint(point, edge * ((2 * (clientX - box.left)) / box.width - 1),
    edge * (1 - (2 * (clientY - box.top)) / box.height));
}

// ---------------------------------------------------------------- start

async function start() {
  for (const [d, packed] of Object.entries(NETWORKS)) {
    const weights = await unpack(packed);
    networks[d] = { space: new LatentSpace(weights), network: new FlowNetwork(weights) };
  }
  for (const strip of document.querySelectorAll(".strip")) {
    strip.innerHTML = Array.from({ length: C.NUM_FRAMES }, (_, i) =>
      `<button aria-label="frame ${i}"><span class="frame"></span>${i || "0, given"}</button>`,
    ).join("");
    [...strip.children].forEach((button, i) =>
      button.addEventListener("click", () => change({ frame: view.frame === i ? 0 : i })));
  }
  for (const picture of document.querySelectorAll(".frame")) {
    picture.innerHTML = `<canvas width="${C.FRAME_SIZE}" height="${C.FRAME_SIZE}"></canvas>
      <svg viewBox="${-EDGE} ${-EDGE} ${2 * EDGE} ${2 * EDGE}"></svg>`;
  }
  byId("play").addEventListener("click", playOrPause);
  byId("back").addEventListener("click", () => goTo(view.step - 1));
  byId("next").addEventListener("click", () => goTo(view.step + 1));
  byId("newNoise").addEventListener("click", () =>
    change({ seed: Math.floor(1000 * Math.random()) }));
  addEventListener("input", onInput);
  addEventListener("keydown", onKey);
  addEventListener("pointerdown", onPointer);
  addEventListener("pointermove", onPointer);
  addEventListener("hashchange", () => {
    readAddress();
    goTo(view.step);
    byId("player").scrollIntoView({ behavior: "smooth", block: "nearest" });
  });
  readAddress();
  document.querySelector("main").hidden = false;
  draw();
  await encodeGrid();
}

start().catch((error) => {
  byId("note").hidden = false;
  byId("note").textContent = `This browser can't run the page: ${error.message}`;
});
