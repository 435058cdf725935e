// The page: what is shown is one object, the view; it stands in the address behind the #, so every
// view can be linked. Whatever changes it calls change(), which draws everything again.

const byId = (id) => document.getElementById(id);
const input = (name) => document.querySelector(`input[name="${name}"]`);

// ---------------------------------------------------------------- the view, and the address

const DEFAULT = {
  d: 100, flow: "learned", share: 0.5, x: 0.45, y: 0.3, seed: 3, steps: C.STEPS, step: 0,
  frame: 0, // which frame is large; 0 is all seven
  marks: 1, // whether the true places are marked
  ax: -0.45, ay: 0.35, bx: 0.4, by: -0.4, mix: 0.5, // squares A and B, and B's share
  px: 0, py: 0, // the point in the latent plane
};
const PLANE = 3.3; // half the side of the latent plane that is shown
let view = { ...DEFAULT };

/** The view that an address like #d=2&step=5 means, or null if it is not one. */
function parse(hash) {
  const parsed = { ...DEFAULT };
  for (const [name, text] of new URLSearchParams(hash.replace(/^#/, ""))) {
    if (!Object.hasOwn(DEFAULT, name)) return null;
    parsed[name] = name === "flow" ? text : text.trim() === "" ? NaN : Number(text);
  }
  const { d, flow, share, x, y, seed, steps, step, frame, marks } = parsed;
  const { ax, ay, bx, by, mix, px, py } = parsed;
  const radius = Math.hypot(x, y);
  const whole = (number, low, high) => Number.isInteger(number) && number >= low && number <= high;
  const good =
    [2, 100].includes(d) && ["learned", "exact"].includes(flow) &&
    [share, mix].every((number) => number >= 0 && number <= 1) &&
    radius > C.RANGE / 4 - 0.002 && radius < C.RANGE + 0.002 &&
    [ax, ay, bx, by].every((number) => Math.abs(number) <= C.RANGE) &&
    [px, py].every((number) => Math.abs(number) <= PLANE) &&
    whole(seed, 0, 999999) && whole(steps, 1, 100) && whole(step, 0, steps) &&
    whole(frame, 0, C.NUM_FRAMES - 1) && whole(marks, 0, 1);
  return good ? parsed : null;
}

function readAddress() {
  const parsed = parse(location.hash);
  view = parsed ?? { ...DEFAULT };
  byId("note").hidden = parsed !== null;
  byId("note").textContent =
    `The address ends in something that isn't a view (${location.hash}). Here is the first one.`;
}

let addressTimer;
function writeAddress() {
  clearTimeout(addressTimer); // browsers refuse too many changes of the address
  addressTimer = setTimeout(() => {
    const changed = Object.entries(view).filter(([name, value]) => value !== DEFAULT[name]);
    history.replaceState(null, "", `#${new URLSearchParams(changed)}`);
  }, 200);
}

// ---------------------------------------------------------------- sampling

const networks = {}; // d -> { space, network }, filled at the start

/** Sample one video: every step's state and posterior mean, q, and the exact flow. */
function sample({ d, flow, share, steps }, firstCenter, noise) {
  const { space, network } = networks[d];
  const exact = new ExactFlow(space, firstCenter, share);
  const learned = (x, t) => network.posteriorMean(x, exact.given, t);
  const { states, means } = eulerSteps(
    flow === "exact" ? (x, t) => exact.posteriorMean(x, t) : learned, noise, steps);
  const q = means.map((mean) => exact.ccwFraction(mean));
  const taken = q[steps] > 0.5 ? 0 : 1; // the direction, as in orbits()
  return { space, exact, states, means, q, taken, decoded: new Map() };
}

/** The sample of the view; drawn anew only if something that it depends on has changed. */
let latest = { key: null };
function currentSample() {
  const { d, flow, share, x, y, seed, steps } = view;
  const key = JSON.stringify([d, flow, flow === "exact" && share, x, y, seed, steps]);
  if (latest.key !== key) {
    const drawn = sample(view, [x, y], randomNormal(seed, (C.NUM_FRAMES - 1) * d));
    latest = { key, ...drawn };
  }
  return latest;
}

/** Frames 1 to 7 of a step, decoded once. At the last step, state and posterior mean agree. */
function decoded(sampled, readout, step) {
  const last = step === sampled.states.length - 1;
  const key = `${last ? "states" : readout} ${step}`;
  if (!sampled.decoded.has(key)) {
    const frames = sampled.space.decode(sampled[readout][step]);
    sampled.decoded.set(key, frames.map((frame) => Float32Array.from(frame)));
  }
  return sampled.decoded.get(key);
}

/** While nothing happens: encode the latent grid, row by row, and decode the other steps, the next
 * ones first. */
let aheadTimer;
const grid = []; // 21 rows of 21 latents
function workAhead() {
  clearTimeout(aheadTimer);
  if (view.d === 2 && grid.length < 21) {
    const axis = Array.from({ length: 21 }, (_, i) => C.RANGE * (i / 10 - 1));
    grid.push(axis.map((x) => networks[2].space.encode([[x, axis[grid.length]]])));
    if (grid.length % 5 === 1) drawLatents();
    aheadTimer = setTimeout(workAhead, 0);
    return;
  }
  const { decoded: done, states } = currentSample();
  const order = states.map((_, i) => (view.step + i) % states.length);
  for (const readout of ["states", "means"]) {
    const step = order.find((i) => i < states.length - 1 && !done.has(`${readout} ${i}`));
    if (step === undefined) continue;
    decoded(currentSample(), readout, step);
    aheadTimer = setTimeout(workAhead, 0);
    return;
  }
}

// ---------------------------------------------------------------- pictures

const EDGE = 1 + C.PIXEL / 2; // a canvas shows the plane from -EDGE to EDGE
const small = document.createElement("canvas");
small.width = small.height = C.FRAME_SIZE;

/** Draw a frame, clipped to [0, 1], its pixels as large squares; returns what draws on top, in the
 * coordinates of the plane, with y upwards. */
function drawFrame(canvas, frame, pixelSize = 8) {
  canvas.width = canvas.height = pixelSize * C.FRAME_SIZE;
  const image = new ImageData(C.FRAME_SIZE, C.FRAME_SIZE);
  const pixels = new Uint32Array(image.data.buffer); // opaque grey: 0xff, and thrice the brightness
  frame.forEach((value, i) => {
    pixels[i] = 0xff000000 + 0x010101 * Math.round(255 * Math.min(1, Math.max(0, value)));
  });
  small.getContext("2d").putImageData(image, 0, 0);
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
  const scale = canvas.width / (2 * EDGE);
  context.setTransform(scale, 0, 0, -scale, canvas.width / 2, canvas.width / 2);
  return context;
}

/** Outline where the square truly is if the video goes this way. */
function drawPlace(context, [x, y], taken) {
  const half = C.HALF_WIDTH + 0.03;
  context.globalAlpha = 0.8;
  context.lineWidth = 0.03;
  context.strokeStyle = taken ? "#ff9d45" : "#6db8ff";
  context.setLineDash(taken ? [] : [0.09, 0.07]);
  context.strokeRect(x - half, y - half, 2 * half, 2 * half);
}

/** Both places of a frame. They are the same in frame 4, so there only the taken one. */
function drawPlaces(context, frame) {
  if (!view.marks) return;
  const { taken } = currentSample();
  const places = orbits([view.x, view.y]);
  if (frame !== C.NUM_FRAMES / 2) drawPlace(context, places[1 - taken][frame], false);
  drawPlace(context, places[taken][frame], true);
}

const FRAMES = Array.from({ length: C.NUM_FRAMES - 1 }, (_, i) => i + 1);

function drawStrips() {
  for (const [readout, strip, large] of [
    ["states", "state", "bigState"], ["means", "mean", "bigMean"],
  ]) {
    const frames = [render([view.x, view.y]), ...decoded(currentSample(), readout, view.step)];
    [...byId(strip).children].forEach((button, i) => {
      const context = drawFrame(button.firstChild, frames[i], 4);
      if (i > 0) drawPlaces(context, i);
      button.setAttribute("aria-pressed", i > 0 && i === view.frame);
    });
    const shown = view.frame ? [view.frame] : FRAMES;
    const overlaid = frames[shown[0]].map((_, i) => Math.max(...shown.map((k) => frames[k][i])));
    const context = drawFrame(byId(large), overlaid);
    if (view.frame) drawPlaces(context, view.frame); // all seven, laid over, are the same both ways
  }
  for (const which of document.querySelectorAll(".which")) {
    which.textContent = view.frame ? `frame ${view.frame}` : "all seven frames";
  }
}

function drawFirst() {
  const context = drawFrame(byId("first"), render([view.x, view.y]));
  context.lineWidth = 0.012;
  context.strokeStyle = "#888";
  context.setLineDash([0.02, 0.04]);
  for (const radius of [C.RANGE / 4, C.RANGE]) {
    context.beginPath();
    context.arc(0, 0, radius, 0, 2 * Math.PI);
    context.stroke();
  }
}

const line = (x1, y1, x2, y2, name) =>
  `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" class="${name}"/>`;
const text = (x, y, words, more = "") => `<text x="${x}" y="${y}" ${more}>${words}</text>`;
const path = (points, name) => `<polyline points="${points.join(" ")}" class="${name}"/>`;

const MARGIN = { left: 34, right: 12, top: 36, bottom: 40 };

/** q over the steps, the decision time, and where we are. */
function drawPlot() {
  const svg = byId("plot");
  const { q, exact } = currentSample();
  const [width, height] = [svg.clientWidth, svg.clientHeight];
  const at = (step) => MARGIN.left + (step / view.steps) * (width - MARGIN.left - MARGIN.right);
  const up = (share) => MARGIN.top + (1 - share) * (height - MARGIN.top - MARGIN.bottom);
  const decision = exact.decisionTime() * view.steps;
  const half = decision > view.steps / 2;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.innerHTML =
    [0, 0.5, 1].map((share) => line(at(0), up(share), at(view.steps), up(share), "axis") +
      text(at(0) - 6, up(share) + 4, share, 'text-anchor="end"')).join("") +
    text(at(0) - 22, 14, "counter-clockwise") +
    text(at(0) - 22, height - 8, "clockwise") +
    text(at(view.steps), height - 8, `step ${view.steps}`, 'text-anchor="end"') +
    (exact.prior.includes(0) ? "" : // nothing to decide
      line(at(decision), up(1), at(decision), up(0), "time") +
      text(at(decision) + (half ? -6 : 6), up(0.5) + 16,
        `decision time, step ${decision.toFixed(1)}`, half ? 'text-anchor="end"' : "")) +
    path(q.map((share, step) => [at(step), up(share)]), "curve") +
    `<circle cx="${at(view.step)}" cy="${up(q[view.step])}" r="6" class="now"/>`;
}

function describe() {
  const { q } = currentSample();
  const share = q[view.step];
  const way = share > 0.5 ? "counter-clockwise" : "clockwise";
  const sure = Math.abs(share - 0.5);
  const verdict = sure < 0.1 ? "undecided" : sure < 0.45 ? `leans ${way}` : `decided: ${way}`;
  byId("status").innerHTML =
    `Step <b>${view.step}</b> of ${view.steps}, <i>t</i> = ${(view.step / view.steps).toFixed(2)},
    <i>q</i> = ${share.toFixed(2)}, <b>${verdict}</b>`;
  input("step").setAttribute("aria-valuetext", byId("status").textContent);
}

// ---------------------------------------------------------------- latent plane and mixing

function drawLatents() {
  byId("elsewhere").hidden = view.d === 2;
  byId("planePanels").hidden = view.d !== 2;
  if (view.d !== 2) return;
  const svg = byId("latents");
  const { states, means, taken, exact } = currentSample();
  const width = svg.clientWidth;
  const at = (z) => [(z[0] / PLANE + 1) * (width / 2), (1 - z[1] / PLANE) * (width / 2)];
  const pair = (latents, i) => at(latents.slice(2 * i, 2 * i + 2));
  const columns = (grid[0] ?? []).map((_, i) => grid.map((row) => row[i]));
  let drawing = [...grid, ...columns].map((net) => path(net.map(at), "net")).join("");
  for (const [i, frame] of FRAMES.entries()) {
    const [x, y] = pair(exact.continuations[taken], i);
    drawing += `<circle cx="${x}" cy="${y}" r="11" class="taken"/>` + text(x + 13, y - 9, frame);
  }
  for (const [i, frame] of FRAMES.entries()) {
    const [x, y] = pair(states[view.step], i);
    drawing += line(x, y, ...pair(means[view.step], i), "velocity") +
      `<circle cx="${x}" cy="${y}" r="8" class="dot"/>` + text(x, y + 4, frame);
  }
  const [x, y] = at([view.px, view.py]);
  drawing += line(x - 9, y, x + 9, y, "cross") + line(x, y - 9, x, y + 9, "cross");
  svg.setAttribute("viewBox", `0 0 ${width} ${width}`);
  svg.innerHTML = drawing;
  drawFrame(byId("probe"), networks[2].space.decode([view.px, view.py])[0]);
}

let mixDrawn;
function drawMix() {
  const key = [view.ax, view.ay, view.bx, view.by, view.mix].join();
  if (key === mixDrawn) return;
  mixDrawn = key;
  const [a, b] = [[view.ax, view.ay], [view.bx, view.by]];
  drawFrame(byId("a"), render(a));
  drawFrame(byId("b"), render(b));
  for (const d of [2, 100]) {
    const { space } = networks[d];
    const [codeA, codeB] = [space.encode([a]), space.encode([b])];
    const mixed = codeA.map((z, i) => (1 - view.mix) * z + view.mix * codeB[i]);
    drawFrame(byId(`mix${d}`), space.decode(mixed)[0]);
  }
  byId("mixOut").textContent = `${Math.round(100 * view.mix)} % B`;
}

// ---------------------------------------------------------------- drawing it all

function showControls() {
  for (const name of ["share", "steps", "step", "seed", "mix"]) {
    if (name === "step") input(name).max = view.steps;
    if (document.activeElement !== input(name) || name !== "seed") input(name).value = view[name];
  }
  for (const radio of document.querySelectorAll("input[type=radio]")) {
    radio.checked = radio.value === String(view[radio.name]);
  }
  input("marks").checked = view.marks;
  const learned = view.flow === "learned";
  byId("shareLabel").classList.toggle("disabled", learned);
  input("share").disabled = learned;
  byId("shareOut").textContent =
    learned ? "50 %, as trained" : `${Math.round(100 * view.share)} %`;
  byId("stepsOut").textContent = view.steps;
  byId("play").textContent = playTimer ? "Pause" : "Play";
}

let drawing;
function draw() {
  drawing = undefined;
  showControls();
  drawFirst();
  drawStrips();
  drawPlot();
  describe();
  drawLatents();
  drawMix();
  writeAddress();
  clearTimeout(aheadTimer);
  aheadTimer = setTimeout(workAhead, 250);
}

/** Change the view, and draw it as soon as the browser is ready for a new picture. */
function change(values) {
  Object.assign(view, values);
  drawing ??= requestAnimationFrame(draw);
}

// ---------------------------------------------------------------- playing

let playTimer;
function stop() {
  clearTimeout(playTimer);
  playTimer = undefined;
  change({});
}

/** One step on, and the next one after a while: the longer, the less is decided. */
function playOn() {
  if (view.step >= view.steps) return stop();
  change({ step: view.step + 1 });
  const share = currentSample().q[view.step];
  const undecided = Math.max(0, 2 * Math.min(share, 1 - share));
  playTimer = setTimeout(playOn, 70 + 380 * undecided);
}

function playOrPause() {
  if (playTimer) return stop();
  if (view.step === view.steps) change({ step: 0 });
  playTimer = setTimeout(playOn, 300);
  change({});
}

function goTo(step) {
  if (playTimer) stop();
  change({ step: Math.min(view.steps, Math.max(0, step)) });
}

// ---------------------------------------------------------------- mouse, touch and keyboard

const round = (number) => Math.round(1000 * number) / 1000;
const within = (number, limit) => round(Math.min(limit, Math.max(-limit, number)));
const onOrbit = (x, y) => {
  const radius = Math.hypot(x, y) || 1e-9;
  const allowed = Math.min(C.RANGE, Math.max(C.RANGE / 4, radius));
  return { x: round((x * allowed) / radius || allowed), y: round((y * allowed) / radius) };
};

/** Let a point of the view be dragged, and moved by the arrow keys. A pointer that goes down on
 * its square takes it along as it is; elsewhere the point jumps to the pointer. */
function draggable(element, edge, get, set, hover = false) {
  let offset = hover ? [0, 0] : null;
  const place = (event) => {
    const box = element.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * 2 * edge - edge,
      edge - ((event.clientY - box.top) / box.height) * 2 * edge];
  };
  const move = (event) => {
    const [x, y] = place(event);
    set(x - offset[0], y - offset[1]);
  };
  element.addEventListener("pointerdown", (event) => {
    const [x, y] = place(event);
    const [dx, dy] = [x - get()[0], y - get()[1]];
    const grabbed = !hover && Math.max(Math.abs(dx), Math.abs(dy)) < C.HALF_WIDTH;
    offset = grabbed ? [dx, dy] : [0, 0];
    element.setPointerCapture(event.pointerId);
    move(event);
  });
  element.addEventListener("pointermove", (event) => offset && move(event));
  for (const end of ["pointerup", "pointercancel"]) {
    element.addEventListener(end, () => (offset = hover ? [0, 0] : null));
  }
  element.addEventListener("keydown", (event) => {
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (!(event.key in arrows)) return;
    event.preventDefault();
    event.stopPropagation();
    const [dx, dy] = arrows[event.key];
    set(get()[0] + C.PIXEL * dx, get()[1] + C.PIXEL * dy);
  });
}

function connect() {
  draggable(byId("first"), EDGE, () => [view.x, view.y], (x, y) => change(onOrbit(x, y)));
  for (const name of ["a", "b"]) {
    draggable(byId(name), EDGE, () => [view[`${name}x`], view[`${name}y`]], (x, y) =>
      change({ [`${name}x`]: within(x, C.RANGE), [`${name}y`]: within(y, C.RANGE) }));
  }
  draggable(byId("latents"), PLANE, () => [view.px, view.py], (x, y) =>
    change({ px: within(x, PLANE), py: within(y, PLANE) }), true);

  for (const radio of document.querySelectorAll("input[type=radio]")) {
    radio.addEventListener("change", () =>
      change({ [radio.name]: radio.name === "d" ? Number(radio.value) : radio.value }));
  }
  for (const name of ["share", "mix"]) {
    input(name).addEventListener("input", () => change({ [name]: Number(input(name).value) }));
  }
  input("step").addEventListener("input", () => goTo(Number(input("step").value)));
  input("steps").addEventListener("input", () => {
    const steps = Number(input("steps").value); // at the same time t
    change({ steps, step: Math.round((view.step / view.steps) * steps) });
  });
  input("seed").addEventListener("input", () => {
    const seed = Number(input("seed").value);
    if (input("seed").value !== "" && parse(`seed=${seed}`)) change({ seed });
  });
  byId("newNoise").addEventListener("click", () =>
    change({ seed: Math.floor(1000 * Math.random()) }));
  input("marks").addEventListener("change", (event) =>
    change({ marks: Number(event.target.checked) }));
  byId("play").addEventListener("click", playOrPause);
  byId("back").addEventListener("click", () => goTo(view.step - 1));
  byId("next").addEventListener("click", () => goTo(view.step + 1));

  const scrub = (event) => {
    if (!event.buttons) return;
    const box = byId("plot").getBoundingClientRect();
    const inside = box.width - MARGIN.left - MARGIN.right;
    goTo(Math.round(((event.clientX - box.left - MARGIN.left) / inside) * view.steps));
  };
  byId("plot").addEventListener("pointerdown", scrub);
  byId("plot").addEventListener("pointermove", scrub);

  for (const id of ["state", "mean"]) {
    for (let i = 0; i < C.NUM_FRAMES; i++) {
      const button = document.createElement("button");
      button.append(document.createElement("canvas"), i ? `${i}` : "0, given");
      button.disabled = i === 0;
      button.setAttribute("aria-label", `frame ${i}`);
      button.addEventListener("click", () => change({ frame: view.frame === i ? 0 : i }));
      byId(id).append(button);
    }
  }
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("input:not([name=step]), button, a")) return; // they have their own
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === " ") playOrPause();
    else if (event.key === "ArrowLeft") goTo(view.step - 1);
    else if (event.key === "ArrowRight") goTo(view.step + 1);
    else return;
    event.preventDefault();
  });
  addEventListener("hashchange", () => {
    if (playTimer) stop();
    readAddress();
    change({});
    document.querySelector(".player").scrollIntoView({ behavior: "smooth", block: "nearest" });
  });
  addEventListener("resize", () => change({}));
}

// ---------------------------------------------------------------- start

async function start() {
  for (const [d, packed] of Object.entries(NETWORKS)) {
    const weights = await unpack(packed);
    networks[d] = { space: new LatentSpace(weights), network: new FlowNetwork(weights) };
  }
  connect();
  readAddress();
  document.querySelector("main").hidden = false;
  draw();
  // for the browser's console, and for the tests
  window.explorer = { networks, sample, randomNormal, currentSample, view: () => view };
}

start().catch((error) => {
  byId("note").hidden = false;
  byId("note").textContent = `This browser can't run the page: ${error.message}`;
});
