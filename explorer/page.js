// The page: what is shown is one object, the view; it stands in the address behind the #, so every
// view can be linked. Whatever changes it calls change(), which draws everything again.

const byId = (id) => document.getElementById(id);
const all = (selector) => [...document.querySelectorAll(selector)];

// ---------------------------------------------------------------- the possible turns

// In eighths of a circle per frame, from half a turn to standing still and on to the other side.
// Colours that colour-blind readers can tell apart too (after Okabe and Ito, a little lighter, for black): warm ones are
// counter-clockwise, cool ones clockwise. Each turn also has its own dashes.
const TURNS = [
  { turn: 4, color: "#ffffff", dashes: "1 2" },
  { turn: 3, color: "#e8682a", dashes: "7 2 1 2" },
  { turn: 2, color: "#f0e442", dashes: "7 2" },
  { turn: 1, color: "#e69f00", dashes: "none" },
  { turn: 0, color: "#cc79a7", dashes: "2 4" },
  { turn: -1, color: "#56b4e9", dashes: "4 3" },
  { turn: -2, color: "#1fb58a", dashes: "4 2 1 2" },
  { turn: -3, color: "#2f80d0", dashes: "4 2 1 2 1 2" },
];
const USUAL_WEIGHT = 5; // of a turn that is switched on

for (const one of TURNS) {
  const sign = one.turn < 0 ? "\u2212" : one.turn % 4 ? "+" : "";
  one.key = `turn${one.turn}`; // in the view
  one.name = C.TURN_NAMES[one.turn];
  one.short = `${sign}${(360 / C.NUM_FRAMES) * Math.abs(one.turn)}°`;
  one.style = `stroke="${one.color}" stroke-dasharray="${one.dashes}"`;
}

// ---------------------------------------------------------------- the view, and the address

const PLANE = 3.6; // half the side of the latent plane that is shown
const VIEW = { // default, lowest, highest, and, if only some numbers are allowed, their distance
  d: [100, 2, 100, 98],
  exact: [0, 0, 1, 1], // 1: sample with the exact flow
  scale: [1, 0.2, 3], // standard deviation of the latents; that of the noise is 1
  steps: [C.STEPS, 1, 100, 1],
  step: [0, 0, 100, 1],
  seed: [3, 0, 999999, 1], // of the noise
  fresh: [1, 0, 999999, 1], // of the fresh noise that the noise part is swapped for
  parts: [0, 0, 1, 1], // 1: the parts of the state are open
  frame: [0, 0, C.NUM_FRAMES - 1, 1], // which frame is large; 0 is all seven
  x: [0.45, -C.RANGE, C.RANGE], y: [0.3, -C.RANGE, C.RANGE], // the square of frame 0
  ax: [-0.45, -C.RANGE, C.RANGE], ay: [0.35, -C.RANGE, C.RANGE], // square A
  bx: [0.4, -C.RANGE, C.RANGE], by: [-0.4, -C.RANGE, C.RANGE], // square B
  mix: [0.5, 0, 1], // B's share
  px: [0, -PLANE, PLANE], py: [0, -PLANE, PLANE], // the point in the latent plane
};
for (const { turn, key } of TURNS) { // how often, compared with the other turns; 0 is never
  VIEW[key] = [Math.abs(turn) === 1 ? USUAL_WEIGHT : 0, 0, 10, 1];
}
const DEFAULT = Object.fromEntries(Object.entries(VIEW).map(([name, [value]]) => [name, value]));
let view = { ...DEFAULT };

// What the learned flow was trained with, and so cannot change. The exact flow can.
const TRAINED = Object.fromEntries(
  ["scale", ...TURNS.map(({ key }) => key)].map((name) => [name, DEFAULT[name]]));

/** Whether all of a view is allowed. */
function isGood(candidate) {
  const radius = Math.hypot(candidate.x, candidate.y);
  const inRange = Object.entries(candidate).every(([name, value]) => {
    const [, lowest, highest, distance] = Object.hasOwn(VIEW, name) ? VIEW[name] : [];
    return value >= lowest && value <= highest && !(distance && (value - lowest) % distance);
  });
  const asTrained = Object.entries(TRAINED).every(([name, value]) => candidate[name] === value);
  return inRange && candidate.step <= candidate.steps && (candidate.exact || asTrained) &&
    TURNS.some(({ key }) => candidate[key] > 0) &&
    radius > C.RANGE / 4 - 0.002 && radius < C.RANGE + 0.002;
}

/** Go to the view that stands behind the # of an address. */
function readAddress(hash) {
  const entries = [...new URLSearchParams(hash.slice(1))];
  const numbers = entries.map(([name, text]) => [name, text.trim() ? Number(text) : NaN]);
  const candidate = { ...DEFAULT, ...Object.fromEntries(numbers) };
  byId("note").hidden = isGood(candidate);
  byId("note").textContent =
    `The address ends in something that isn't a view (${hash}). Here is the first one.`;
  byId("switched").textContent = "";
  view = isGood(candidate) ? candidate : { ...DEFAULT };
  goTo(view.step);
}

/** Change the address: "pushState" so that one can go back, "replaceState" otherwise. A page in a
 * sandboxed frame, as notebooks use them, has no address of its own, and may not. */
function setAddress(method, hash) {
  try {
    history[method](null, "", hash);
  } catch {
    // then the view can't be linked, but all else works
  }
}

let addressTimer;
function writeAddress() {
  clearTimeout(addressTimer); // browsers refuse too many changes of the address
  addressTimer = setTimeout(() => {
    const changed = Object.entries(view).filter(([name, value]) => value !== DEFAULT[name]);
    setAddress("replaceState", `#${new URLSearchParams(changed)}`);
  }, 200);
}

/** A click on a link to a view. The browser would follow it too, but not in a sandboxed frame. */
function followLink(event) {
  const hash = event.target.closest?.("a[href^='#']")?.getAttribute("href");
  if (!hash || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  setAddress("pushState", hash);
  openView(hash);
}

function openView(hash) {
  readAddress(hash);
  const shown = byId(view.parts ? "parts" : "player");
  shown.scrollIntoView({ behavior: "smooth", block: view.parts ? "start" : "nearest" });
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

/** The turns that a view allows, each with its prior probability. */
function possibleTurns(given) {
  const turns = TURNS.filter(({ key }) => given[key] > 0);
  const total = sum(turns.map(({ key }) => given[key]));
  return turns.map((one) => ({ ...one, prior: given[one.key] / total }));
}

/** Begin to sample a video; goOn() takes the steps. */
function beginSample(given, firstCenter, noise) {
  const { network } = networks[given.d];
  const space = networks[given.d].space.withScale(given.scale);
  const turns = possibleTurns(given);
  const circle = space.encode(circlePlaces(firstCenter));
  const truth = new ExactFlow(circle, turns.map(({ turn }) => turn), turns.map((one) => one.prior));
  const times = Array.from({ length: given.steps }, (_, k) => k / given.steps);
  const meanAt = given.exact
    ? (x, k) => truth.posteriorMean(x, times[k])
    : network.posteriorMeanAt(circle.subarray(0, given.d), times);
  const walk = eulerSteps(meanAt, noise, given.steps);
  return { space, turns, circle, truth, walk, states: [], means: [], shares: [] };
}

/** Sample on to this step. Of each step are kept: the state, the posterior mean, and the share of
 * each possible turn in it. */
function goOn(sample, step) {
  const { walk, truth, states, means, shares } = sample;
  while (states.length <= step) {
    const [state, mean] = walk.next().value;
    states.push(state);
    means.push(mean);
    shares.push(truth.shares(mean));
  }
  return sample;
}

/** What make() gives; made anew only if the key has changed since the last time. */
const remembered = {};
function remember(name, key, make) {
  if (remembered[name]?.key !== key) remembered[name] = { key, value: make() };
  return remembered[name].value;
}

const noiseOf = (seed) => randomNormal(seed, (C.NUM_FRAMES - 1) * view.d);

/** The video that is shown, sampled up to this step: the last one, or fewer to save time. */
function currentSample(step = view.steps) {
  const { d, exact, scale, x, y, seed, steps } = view;
  const weights = TURNS.map(({ key }) => view[key]);
  const sample = remember("sample", [d, exact, scale, x, y, seed, steps, weights].join(), () =>
    beginSample(view, [x, y], noiseOf(seed)));
  return goOn(sample, step);
}

/** Frames 0 to 7 of the step that is shown; "states" or "means". */
const decoded = new WeakMap(); // latents of a step -> frames 1 to 7
function currentFrames(readout) {
  const sample = currentSample(view.step);
  const latents = sample[readout][view.step];
  if (!decoded.has(latents)) decoded.set(latents, sample.space.decode(latents));
  return [render([view.x, view.y]), ...decoded.get(latents)];
}

/** The parts of the state that is shown, as frames 1 to 7: the noise part; the running mean, divided
 * by the weight k/N that it has in the state; and the state with fresh noise. */
function currentParts() {
  const sample = currentSample();
  return remember("parts", [remembered.sample.key, view.step, view.fresh].join(), () => {
    const { noise, running } = stateParts(sample, view.step, view.steps);
    const t = view.step / view.steps;
    const fresh = noiseOf(1e6 + view.fresh).map((value) => (1 - t) * value); // no other seed has it
    return {
      noise: sample.space.decode(noise),
      running: t > 0 ? sample.space.decode(running.map((value) => value / t)) : [], // 0/0 at step 0
      swapped: sample.space.decode(add(running, fresh)),
    };
  });
}

// ---------------------------------------------------------------- pictures

const FRAMES = Array.from({ length: C.NUM_FRAMES - 1 }, (_, i) => i + 1);
const EDGE = 1 + C.PIXEL / 2; // a picture shows the plane from -EDGE to EDGE
const BLACK = new Float64Array(C.FRAME_SIZE ** 2);

/** Draw a frame, clipped to [0, 1], and an SVG drawing on top of it. The frame is grey, unless there
 * is a second one: then it is the green light, and the second one the red and the blue. */
function drawFrame(picture, frame, overlay = "", second = frame) {
  const [canvas, svg] = picture.children;
  const image = new ImageData(C.FRAME_SIZE, C.FRAME_SIZE);
  for (let i = 0; i < frame.length; i++) {
    image.data[4 * i] = image.data[4 * i + 2] = 255 * second[i]; // a clamped array: 0 to 255
    image.data[4 * i + 1] = 255 * frame[i];
    image.data[4 * i + 3] = 255; // opaque
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  svg.innerHTML = overlay;
}

const circle = ([x, y], radius, style) =>
  `<circle cx="${x}" cy="${y}" r="${radius}" class="${style}"/>`;
const line = (points, style, attributes = "") =>
  `<polyline points="${points.join(" ")}" class="${style}" ${attributes}/>`;
const text = ([x, y], words, style = "") =>
  `<text x="${x}" y="${y}" class="${style}">${words}</text>`;

/** Outline where the square of a frame truly is, for each possible turn. Where turns meet, one
 * outline lies inside the other. */
function outlines(frame) {
  const { turns } = currentSample(view.step);
  const centers = circlePlaces([view.x, view.y]);
  return turns.map(({ turn, style }, k) => {
    const place = placeOf(turn, frame);
    const met = turns.slice(0, k).filter((other) => placeOf(other.turn, frame) === place).length;
    const [x, y] = centers[place];
    const half = C.HALF_WIDTH + 0.02 + 0.05 * met;
    return `<rect x="${x - half}" y="${-y - half}" width="${2 * half}" height="${2 * half}"
      ${style}/>`;
  }).join("");
}

/** Which possible turns a frame cannot tell apart: turns a and b meet in it if (a - b) * frame is a
 * multiple of 8. Groups of two or more. */
function meetingTurns(turns, frame) {
  const meet = (a, b) => placeOf(a.turn - b.turn, frame) === 0;
  const groups = turns.map((a) => turns.filter((b) => meet(a, b)));
  return groups.filter((group, i) => group.length > 1 && group[0] === turns[i]);
}

/** "a", "a and b", "a, b and c". */
const list = (words) => words.join(", ").replace(/, ([^,]*)$/, " and $1");

/** The same in words: "Frame 4 can't tell apart +45° and −45°." */
function tellMeetings(turns) {
  if (turns.length < 2) return "";
  const framesOf = new Map(); // the groups in words -> frames
  for (const frame of FRAMES) {
    const groups = meetingTurns(turns, frame).map((group) => list(group.map(({ short }) => short)));
    if (groups.length === 0) continue;
    const words = groups.join("; nor ");
    framesOf.set(words, [...(framesOf.get(words) ?? []), frame]);
  }
  const sentences = [...framesOf].map(([words, frames]) =>
    `${frames.length > 1 ? "Frames" : "Frame"} ${list(frames)} can't tell apart ${words}.`);
  return sentences.join(" ") || "Every frame tells the possible turns apart.";
}

function drawFirst() {
  const rings = [C.RANGE / 4, C.RANGE].map((radius) => circle([0, 0], radius, "ring"));
  drawFrame(byId("first"), render([view.x, view.y]), rings.join(""));
  moveHandle("first", view.x / EDGE, view.y / EDGE);
}

/** Draw a strip, "states" or "means", and its large picture. */
function drawStrip(readout) {
  const frames = currentFrames(readout);
  all(`#${readout} button`).forEach((button, i) => {
    drawFrame(button.firstChild, frames[i], i ? outlines(i) : "");
    button.setAttribute("aria-pressed", i > 0 && i === view.frame);
  });
  const overlaid = frames[0].map((_, pixel) => Math.max(...FRAMES.map((i) => frames[i][pixel])));
  drawFrame(byId(`${readout}Large`), view.frame ? frames[view.frame] : overlaid,
    view.frame ? outlines(view.frame) : "");
}

function drawParts() {
  byId("parts").open = view.parts === 1;
  if (!view.parts) return;
  const { noise, running, swapped } = currentParts();
  const states = currentFrames("states").slice(1);
  const pictures = (strip) => all(`#${strip} .frame`);
  pictures("noisePart").forEach((picture, i) => drawFrame(picture, noise[i]));
  pictures("runningMean").forEach((picture, i) => drawFrame(picture, running[i] ?? BLACK));
  pictures("swapped").forEach((picture, i) => drawFrame(picture, swapped[i], "", states[i]));
  byId("noMean").hidden = view.step > 0;
}

/** The shares of the possible turns over the steps, the speciation time, and where we are. */
function drawPlot() {
  const { turns, shares, truth } = currentSample();
  const at = (step, share) => [30 + (320 * step) / view.steps, 170 - 130 * share];
  const speciation = truth.speciationTime() * view.steps;
  byId("plot").innerHTML =
    [0, 0.5, 1].map((share) => line([at(0, share), at(view.steps, share)], "axis") +
      text([24, at(0, share)[1] + 4], share, "end")).join("") +
    text([30, 194], "step 0") + text([350, 194], `step ${view.steps}`, "end") +
    (turns.length < 2 ? "" : // nothing to decide
      line([at(speciation, 1.15), at(speciation, 0)], "time") +
      text([at(speciation, 0)[0] + 4, 16], `speciation time, step ${speciation.toFixed(1)}`)) +
    turns.map(({ style }, k) => line(shares.map((all, step) => at(step, all[k])), "", style) +
      circle(at(view.step, shares[view.step][k]), 5, "now")).join("");
  byId("legend").innerHTML = turns.map(({ style, name }, k) =>
    `<li>${swatch(style)} ${name} <b>${shares[view.step][k].toFixed(2)}</b></li>`).join("");
}

/** A short piece of a turn's line, as a legend has it. */
const swatch = (style) => `<svg class="swatch" viewBox="0 0 36 16" aria-hidden="true">
  ${line([[2, 8], [34, 8]], "", style)}</svg>`;

// ---------------------------------------------------------------- latent plane and mixing

/** Encode a grid of squares, row by row, so that the page can be used meanwhile. */
const grid = []; // 21 rows of 21 latents
async function encodeGrid() {
  const axis = Array.from({ length: 21 }, (_, i) => C.RANGE * (i / 10 - 1));
  for (const y of axis) {
    await new Promise((done) => setTimeout(done, 20));
    const latents = networks[2].space.encode(axis.map((x) => [x, y]));
    grid.push(axis.map((_, i) => latents.subarray(2 * i, 2 * i + 2)));
  }
  change({});
}

/** How much is shown: latents up to PLANE, and more if they are scaled to be wider. */
const planeZoom = () => Math.max(1, view.scale);

function drawPlane() {
  byId("noPlane").hidden = view.d === 2;
  byId("plane").hidden = view.d !== 2;
  if (view.d !== 2) return;
  const { space, turns, circle: places, states, means } = currentSample();
  const at = ([x, y]) => [x / planeZoom(), -y / planeZoom()];
  const latent = (latents, i) => at(latents.subarray(2 * i, 2 * i + 2));
  const rows = grid.map((row) => row.map(([x, y]) => at([view.scale * x, view.scale * y])));
  const net = [...rows, ...rows.map((_, i) => rows.map((row) => row[i]))];
  const possible = new Set(turns.flatMap(({ turn }) => FRAMES.map((i) => placeOf(turn, i))));
  const rings = [...possible].map((place) => circle(latent(places, place), 0.2, "place"));
  const walkers = FRAMES.map((i) => {
    const [x, y] = latent(states[view.step], i - 1);
    return line([[x, y], latent(means[view.step], i - 1)], "curve") +
      circle([x, y], 0.13, "dot") + text([x, y + 0.06], i, "middle");
  });
  const [x, y] = [view.px, -view.py];
  const cross =
    line([[x - 0.15, y], [x + 0.15, y]], "now") + line([[x, y - 0.15], [x, y + 0.15]], "now");
  byId("latents").innerHTML =
    [...net.map((points) => line(points, "axis")), ...rings, ...walkers, cross].join("");
  moveHandle("pointer", view.px / PLANE, view.py / PLANE);
  const point = Float64Array.of(view.px * planeZoom(), view.py * planeZoom());
  drawFrame(byId("probe"), space.decode(point)[0]);
}

function drawMix() {
  const { ax, ay, bx, by, mix } = view;
  remember("mix", [ax, ay, bx, by, mix].join(), () => {
    drawFrame(byId("a"), render([ax, ay]));
    drawFrame(byId("b"), render([bx, by]));
    moveHandle("a", ax / EDGE, ay / EDGE);
    moveHandle("b", bx / EDGE, by / EDGE);
    for (const d of [2, 100]) {
      const { space } = networks[d];
      const [a, b] = [[ax, ay], [bx, by]].map((center) => space.encode([center]));
      const mixed = a.map((z, i) => (1 - mix) * z + mix * b[i]);
      drawFrame(byId(`mix${d}`), space.decode(mixed)[0]);
    }
  });
}

/** Put the handle of a picture, by which a finger drags, over its point; x and y in [-1, 1]. */
function moveHandle(id, x, y) {
  const handle = byId(id).querySelector(".handle");
  handle.style.left = `${50 + 50 * x}%`;
  handle.style.top = `${50 - 50 * y}%`;
}

// ---------------------------------------------------------------- words and controls

/** The likeliest turn, and what is to be said about it. */
function verdict() {
  const { turns, shares } = currentSample(view.step);
  const order = turns.map(({ name }, k) => [shares[view.step][k], name]).sort(([a], [b]) => b - a);
  const [[share, name], [nextShare] = [0]] = order;
  if (share > 0.95) return `decided: ${name}`;
  return share - nextShare < 0.2 ? "undecided" : `leans to ${name} (share ${share.toFixed(2)})`;
}

function describe() {
  byId("status").innerHTML =
    `Step <b>${view.step}</b> of ${view.steps}, <i>t</i> = ${(view.step / view.steps).toFixed(2)}:
    <b>${verdict()}</b>`;
  for (const which of all(".which")) {
    which.textContent = view.frame ? `frame ${view.frame}` : "all seven frames on top of each other";
  }
  byId("meetings").textContent = tellMeetings(currentSample().turns);
  byId("play").textContent = playTimer ? "Pause" : "Play";
  for (const input of all("input")) {
    const value = view[input.name];
    if (input.name === "step") input.max = view.steps;
    if (input.type === "radio") input.checked = Number(input.value) === value;
    else if (input.type === "checkbox") input.checked = value > 0;
    else if (input !== document.activeElement || input.type === "range") input.value = value;
  }
  const priors = new Map(currentSample().turns.map(({ key, prior }) => [key, prior]));
  for (const output of all("output")) {
    const isTurn = output.name.startsWith("turn");
    const prior = Math.round(100 * (priors.get(output.name) ?? 0));
    output.textContent = isTurn ? `${prior} %` : view[output.name];
  }
}

/** One row of controls for each possible turn. */
function makeTurnControls() {
  byId("turns").innerHTML = TURNS.map(({ key, name, short, style }) => `<div class="turn">
    <input type="checkbox" name="${key}" aria-label="${name}" title="${name}">
    ${swatch(style)} <span aria-hidden="true">${short}</span>
    <input type="range" name="${key}" min="0" max="10" aria-label="weight of ${name}">
    <output name="${key}"></output></div>`).join("");
}

// ---------------------------------------------------------------- drawing it all

// What is drawn, in this order. Each has an animation frame of its own: so the first picture needn't
// wait for the last one.
const DRAWINGS = [
  drawFirst,
  () => drawStrip("states"),
  () => {
    drawStrip("means");
    drawPlot();
    describe();
    drawPlane();
    drawMix();
    drawParts();
    writeAddress();
  },
];

/** Change the view, and draw it: now, or when the drawing that is under way is done. */
let drawing, changed;
function change(values) {
  Object.assign(view, values);
  changed = true;
  drawing ??= requestAnimationFrame(() => draw(0));
}

function draw(i) {
  if (i === 0) changed = false;
  drawing = undefined;
  if (i + 1 < DRAWINGS.length) drawing = requestAnimationFrame(() => draw(i + 1));
  else if (changed) change({});
  DRAWINGS[i]();
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
  const highest = Math.max(...currentSample(view.step).shares[view.step]);
  playTimer = setTimeout(playOn, 70 + 380 * clip(2 * (1 - highest)));
}

function playOrPause() {
  if (playTimer) return goTo(view.step);
  if (view.step === view.steps) goTo(0);
  playTimer = setTimeout(playOn, 300);
  change({});
}

// ---------------------------------------------------------------- mouse, touch and keyboard

function onInput({ target: { name, type, value, checked } }) {
  if (name === "step") return goTo(Number(value));
  if (!Object.hasOwn(VIEW, name) || value === "") return;
  const values = { [name]: Number(value) };
  if (type === "checkbox") values[name] = checked ? USUAL_WEIGHT : 0;
  if (name === "steps") values.step = Math.round((view.step / view.steps) * value); // the same t
  let said = "";
  if (name in TRAINED && !view.exact) {
    values.exact = 1;
    said = "Switched to the exact flow: the network was trained at scale 1, with its two turns.";
  }
  if (name === "exact" && !values.exact) {
    const back = Object.keys(TRAINED).some((key) => view[key] !== TRAINED[key]);
    if (back) said = "Back to scale 1 and the two turns that the network was trained with.";
    Object.assign(values, TRAINED);
  }
  if (!TURNS.some(({ key }) => ({ ...view, ...values })[key])) {
    said = "One turn must stay possible.";
  }
  if (name === "exact" || said) byId("switched").textContent = said;
  change(isGood({ ...view, ...values }) ? values : {}); // {}: put the control back
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
function onKey(event) {
  const { key } = event;
  const target = event.target instanceof Element ? event.target : document.body; // not the document
  const [dx, dy] = ARROWS[key] ?? [0, 0];
  const point = target.dataset.point;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (point !== undefined && (dx || dy)) {
    movePoint(point, view[`${point}x`] + C.PIXEL * dx, view[`${point}y`] + C.PIXEL * dy);
  } else if (target.matches("input:not([name=step])")) return; // they have their own keys
  else if (key === " " && !target.matches("button, a, summary")) playOrPause();
  else if (dx) goTo(view.step + dx);
  else return;
  event.preventDefault();
}

/** Move a point to where the pointer is. A mouse drags from anywhere, and the point in the latent
 * plane follows it anyway. A finger drags by the handle only, or taps: elsewhere it scrolls. */
function onPointer({ target, type, pointerId, pointerType, clientX, clientY }) {
  const element = target.closest?.("[data-point]"); // the document has no closest
  if (!element) return;
  const point = element.dataset.point;
  const isMouse = pointerType === "mouse";
  if (type === "pointerdown" && (isMouse || target.matches(".handle"))) {
    element.setPointerCapture(pointerId);
  }
  const follows = type === "click" || (point === "p" && isMouse);
  if (!follows && !element.hasPointerCapture(pointerId)) return;
  const edge = point === "p" ? PLANE : EDGE;
  const box = element.getBoundingClientRect();
  movePoint(point, edge * ((2 * (clientX - box.left)) / box.width - 1),
    edge * (1 - (2 * (clientY - box.top)) / box.height));
}

// ---------------------------------------------------------------- start

const anySeed = () => Math.floor(1000 * Math.random());

function makePictures() {
  for (const strip of all(".strip")) {
    const given = strip.matches("#states, #means");
    strip.innerHTML = (given ? [0, ...FRAMES] : FRAMES).map((i) => given
      ? `<button aria-label="frame ${i}"><span class="frame"></span>${i || "0, given"}</button>`
      : `<div><span class="frame"></span>${i}</div>`).join("");
    strip.querySelectorAll("button").forEach((button, i) =>
      button.addEventListener("click", () => change({ frame: view.frame === i ? 0 : i })));
  }
  for (const picture of all(".frame")) {
    picture.innerHTML = `<canvas width="${C.FRAME_SIZE}" height="${C.FRAME_SIZE}"></canvas>
      <svg viewBox="${-EDGE} ${-EDGE} ${2 * EDGE} ${2 * EDGE}"></svg>`;
  }
  for (const picture of all("[data-point]")) {
    picture.insertAdjacentHTML("beforeend", `<span class="handle"></span>`);
  }
}

async function start() {
  for (const [d, packed] of Object.entries(NETWORKS)) {
    const weights = await unpack(packed);
    const space = new LatentSpace(new Autoencoder(weights), weights.mean.data, weights.std.data);
    networks[d] = { space, network: new FlowNetwork(weights) };
  }
  makeTurnControls();
  makePictures();
  byId("play").addEventListener("click", playOrPause);
  byId("back").addEventListener("click", () => goTo(view.step - 1));
  byId("next").addEventListener("click", () => goTo(view.step + 1));
  byId("newNoise").addEventListener("click", () => change({ seed: anySeed() }));
  byId("toPlane").addEventListener("click", () => {
    view.d = 2;
    drawPlane(); // now, so that it can have the focus, which the button loses
    byId("pointer").focus();
    change({});
  });
  byId("freshNoise").addEventListener("click", () => change({ fresh: anySeed() }));
  byId("parts").firstElementChild.addEventListener("click", (event) => {
    event.preventDefault(); // drawParts() opens and closes them, as the view says
    change({ parts: 1 - view.parts });
  });
  addEventListener("input", onInput);
  addEventListener("change", ({ target: { type, name }, target }) => {
    if (type === "number") target.value = view[name]; // what wasn't allowed goes
  });
  addEventListener("keydown", onKey);
  for (const type of ["pointerdown", "pointermove", "click"]) addEventListener(type, onPointer);
  addEventListener("click", followLink);
  // writeAddress() may have changed the address again before this event arrives
  addEventListener("hashchange", ({ newURL }) => openView(new URL(newURL).hash));
  readAddress(location.hash);
  for (const drawing of DRAWINGS) drawing();
  document.querySelector("main").hidden = false;
  await encodeGrid();
}

start().catch((error) => {
  byId("note").hidden = false;
  byId("note").textContent = `This browser can't run the page: ${error.message}`;
});
