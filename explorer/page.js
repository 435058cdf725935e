// The page: what is shown is one object, the view; it stands in the address behind the #, so every
// view can be linked. Whatever changes it calls change(), which draws the square of frame 0 at once
// and all else in pieces, so that a pointer never waits for more than one piece.

const byId = (id) => document.getElementById(id);
const all = (selector) => [...document.querySelectorAll(selector)];

// ---------------------------------------------------------------- the possible turns

// In eighths of a circle per frame, from half a turn to standing still and on to the other side.
// Colours that colour-blind readers can tell apart too (after Okabe and Ito, a little lighter, for
// black): warm ones are counter-clockwise, cool ones clockwise. Each turn also has its own dashes.
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

const PLACES = ["player", "both", "post", "parts", "plane", "mixing"]; // sections that draw
const PLANE = 3.6; // half the side of the latent plane that is shown
const VIEW = { // default, lowest, highest, and, if only some numbers are allowed, their distance
  d: [100, 2, 100, 98],
  exact: [0, 0, 1, 1], // 1: sample with the exact flow
  scale: [1, 0.2, 3], // standard deviation of the latents; that of the noise is 1
  steps: [C.STEPS, 1, 100, 1],
  step: [0, 0, 100, 1],
  seed: [3, 0, 999999, 1], // of the noise
  both: [0, 0, C.STEPS, 1], // the step at which d = 100 and d = 2 stand side by side
  fresh: [1, 0, 999999, 1], // of the noise that the post's step 20 gets in place of its own
  parts: [0, 0, 1, 1], // 1: the parts of the state are open
  frame: [-1, -1, C.NUM_FRAMES - 1, 1], // which frame is large; -1 is all of them
  at: [0, 0, PLACES.length - 1, 1], // the place that was used last, where a link opens
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
let view = { ...DEFAULT }; // what was asked for
let shown = view; // what is drawn: the same, or what was asked for a moment ago

// What the learned flow was trained with, and so cannot change. The exact flow can.
const TRAINED = Object.fromEntries(
  ["scale", ...TURNS.map(({ key }) => key)].map((name) => [name, DEFAULT[name]]));

/** A number of the view from a text. No setting needs more than three digits behind the point. */
const toNumber = (text) => (text.trim() ? Number(Number(text).toFixed(3)) : NaN);

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
  const numbers = entries.map(([name, text]) => [name, toNumber(text)]);
  const candidate = { ...DEFAULT, ...Object.fromEntries(numbers) };
  if (candidate.parts && !("at" in Object.fromEntries(entries))) {
    candidate.at = PLACES.indexOf("parts"); // older links
  }
  byId("note").hidden = isGood(candidate);
  byId("note").textContent =
    `The address ends in something that isn't a view (${hash}). Here is the first one.`;
  byId("switched").textContent = "";
  view = isGood(candidate) ? candidate : { ...DEFAULT };
  const folded = ["exact", "steps", ...Object.keys(TRAINED)];
  if (folded.some((name) => view[name] !== DEFAULT[name])) byId("settings").open = true;
  stop();
  change({});
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
  clearTimeout(addressTimer);
  addressTimer = undefined;
  const changed = Object.entries(view).filter(([name, value]) =>
    value !== DEFAULT[name] || (name === "at" && view.parts)); // see readAddress()
  setAddress("replaceState", `#${new URLSearchParams(changed)}`);
}

/** Write it soon: browsers refuse too many changes of the address. What ends a gesture writes it at
 * once; see listen(). */
function writeAddressSoon() {
  addressTimer ??= setTimeout(writeAddress, 350);
}

/** A click on a link to a view. The browser would follow it too, but not in a sandboxed frame. */
function followLink(event) {
  const hash = event.target.closest?.("a[href^='#']")?.getAttribute("href");
  if (!hash || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  setAddress("pushState", hash);
  openView(hash);
}

const prefersLessMotion = matchMedia("(prefers-reduced-motion: reduce)");

/** Go to a view, and to the place that it shows. */
function openView(hash, behavior = prefersLessMotion.matches ? "auto" : "smooth") {
  readAddress(hash);
  byId(PLACES[view.at]).scrollIntoView({ behavior, block: view.at ? "start" : "nearest" });
}

/** Remember the place that is used, for a link to it. */
function usePlace(element) {
  const at = PLACES.indexOf(element.closest(PLACES.map((id) => `#${id}`).join())?.id);
  if (at >= 0) view.at = at;
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

/** Move a point by a pixel, as a key does. The square of frame 0 jumps over the inner circle. */
function stepPoint(prefix, dx, dy) {
  let [x, y] = [view[`${prefix}x`], view[`${prefix}y`]];
  do {
    x += C.PIXEL * dx;
    y += C.PIXEL * dy;
  } while (prefix === "" && Math.hypot(x, y) < C.RANGE / 4 - 0.002);
  movePoint(prefix, x, y);
}

// ---------------------------------------------------------------- sampling
//
// Whatever takes longer is a generator that yields after each piece of work, some milliseconds.

const networks = {}; // d -> { space, network }, filled at the start

/** The turns that a view allows, each with its prior probability. */
function possibleTurns(given) {
  const turns = TURNS.filter(({ key }) => given[key] > 0);
  const total = sum(turns.map(({ key }) => given[key]));
  return turns.map((one) => ({ ...one, prior: given[one.key] / total }));
}

/** All that sampling needs besides the noise. */
function prepare(given, firstCenter) {
  const { network } = networks[given.d];
  const space = networks[given.d].space.withScale(given.scale);
  const turns = possibleTurns(given);
  const circle = space.encode(circlePlaces(firstCenter));
  const truth = new ExactFlow(circle, turns.map(({ turn }) => turn), turns.map((one) => one.prior));
  const times = Array.from({ length: given.steps }, (_, k) => k / given.steps);
  const meanAt = given.exact
    ? (x, k) => truth.posteriorMean(x, times[k])
    : network.posteriorMeanAt(circle.subarray(0, given.d), times);
  return { space, turns, circle, truth, meanAt, steps: given.steps };
}

/** Begin to sample a video; goOn() takes the steps. */
function sampleFrom(prepared, noise) {
  const walk = eulerSteps(prepared.meanAt, noise, prepared.steps);
  return { ...prepared, walk, states: [], means: [], shares: [] };
}
const beginSample = (given, firstCenter, noise) => sampleFrom(prepare(given, firstCenter), noise);

/** Sample on to this step, a step at a time. Of each step are kept: the state, the posterior mean,
 * and the share of each possible turn in it. */
function* sampling(sample, step) {
  const { walk, truth, states, means, shares } = sample;
  while (states.length <= step) {
    const [state, mean] = walk.next().value;
    states.push(state);
    means.push(mean);
    shares.push(truth.shares(mean));
    yield;
  }
}

/** The same without a break. */
function goOn(sample, step) {
  for (const _ of sampling(sample, step));
  return sample;
}

/** What make() gives; made anew only if the key has changed since the last time. */
const remembered = {};
function remember(name, key, make) {
  if (remembered[name]?.key !== key) remembered[name] = { key, value: make() };
  return remembered[name].value;
}

const noiseOf = (seed, d) => randomNormal(seed, (C.NUM_FRAMES - 1) * d);

/** What a video depends on, but for the noise. */
const keyOf = (given) =>
  [...["d", "exact", "scale", "x", "y", "steps"], ...TURNS.map(({ key }) => key)]
    .map((name) => given[name]).join();

/** The video of a view, for one place of the page. */
function sampleOf(place, given) {
  const prepared = remember(`${place}, prepared`, keyOf(given), () =>
    prepare(given, [given.x, given.y]));
  return remember(place, `${keyOf(given)} ${given.seed}`, () =>
    sampleFrom(prepared, noiseOf(given.seed, given.d)));
}

/** The video in the player. */
const currentSample = () => sampleOf("player", shown);

/** Which turn a sample takes in the end: its index among the possible ones. */
function endOf({ shares }) {
  const last = shares.at(-1);
  return last.indexOf(Math.max(...last));
}

/** The shares over the steps of twenty videos with other noise. The list fills bit by bit. */
const OTHERS = 20;
const otherShares = () => remember("others", `${keyOf(shown)} ${shown.seed}`, () => []);
function* sampleOthers() {
  const { meanAt, steps, truth } = currentSample();
  const others = otherShares();
  while (others.length < OTHERS) {
    const noise = noiseOf(shown.seed + 1 + others.length, shown.d);
    const other = sampleFrom({ meanAt, steps, truth }, noise);
    yield* sampling(other, steps);
    others.push(other.shares);
    drawOthers();
  }
}

/** The same frame 0 at d = 100 and at d = 2, with the learned flow. The noise of d = 2 is the first
 * one from the seed on with which it goes the same way in the end. */
const found = {}; // key of the video at d = 100, seed at d = 2
function* sampleBoth() {
  const { x, y } = shown;
  const at100 = sampleOf("both100", { ...DEFAULT, x, y, seed: shown.seed });
  yield* sampling(at100, C.STEPS);
  const { key } = remembered.both100;
  for (let seed = found.key === key ? found.seed : shown.seed; ; seed++) {
    const at2 = sampleOf("both2", { ...DEFAULT, d: 2, x, y, seed });
    yield* sampling(at2, C.STEPS);
    if (endOf(at2) === endOf(at100) || seed > shown.seed + 50) {
      Object.assign(found, { key, seed });
      return [at100, at2];
    }
  }
}

/** The post's step 20: narrow latents, and their exact flow. */
const POST_STEP = 20;
const postSample = () => sampleOf("post",
  { ...DEFAULT, d: 100, exact: 1, scale: 0.3, x: shown.x, y: shown.y, seed: shown.seed });

/** That step's state with fresh noise: (7 d). */
function swappedState() {
  const sample = goOn(postSample(), POST_STEP);
  return remember("swapped", `${remembered.post.key} ${shown.fresh}`, () => {
    const { running } = stateParts(sample, POST_STEP, C.STEPS);
    const fresh = noiseOf(1e6 + shown.fresh, 100); // no other seed has it
    return running.map((value, i) => value + (1 - POST_STEP / C.STEPS) * fresh[i]);
  });
}

/** The parts of the state in the player: the noise part, and the running mean, divided by the
 * weight k/N that it has in the state; at step 0 that is 0/0, and there is none. */
function currentParts() {
  const sample = goOn(currentSample(), shown.step);
  return remember("parts", `${remembered.player.key} ${shown.step}`, () => {
    const { noise, running } = stateParts(sample, shown.step, shown.steps);
    const t = shown.step / shown.steps;
    return { noise, running: t > 0 ? running.map((value) => value / t) : undefined };
  });
}

/** Frames 1 to 7 of a video latent, one at a time. They are kept as long as the latent is. */
const decoded = new WeakMap();
function* decoding(space, latents) {
  const d = latents.length / FRAMES.length;
  if (!decoded.has(latents)) decoded.set(latents, []);
  const frames = decoded.get(latents);
  while (frames.length < FRAMES.length) {
    const i = frames.length;
    frames.push(space.decode(latents.subarray(i * d, (i + 1) * d))[0]);
    yield;
  }
  return frames;
}

// ---------------------------------------------------------------- pictures

const FRAMES = Array.from({ length: C.NUM_FRAMES - 1 }, (_, i) => i + 1);
const EDGE = 1 + C.PIXEL / 2; // a picture shows the plane from -EDGE to EDGE
const BLACK = new Float64Array(C.FRAME_SIZE ** 2);

/** Write only what has changed: a screen reader may read out again whatever is written. */
function write(element, words) {
  if (element.textContent !== words) element.textContent = words;
}
const written = new WeakMap(); // element -> the HTML in it
function writeHTML(element, html) {
  if (written.get(element) !== html) element.innerHTML = html;
  written.set(element, html);
}

/** Draw a frame, clipped to [0, 1], and an SVG drawing on top of it. The frame is grey, unless
 * there is a second one: then it is the green light, and the second one the red and the blue. */
function drawFrame(picture, frame, overlay = "", second = frame) {
  const [canvas, svg] = picture.children;
  const image = new ImageData(C.FRAME_SIZE, C.FRAME_SIZE);
  for (let i = 0; i < frame.length; i++) {
    image.data[4 * i] = image.data[4 * i + 2] = 255 * second[i]; // a clamped array: 0 to 255
    image.data[4 * i + 1] = 255 * frame[i];
    image.data[4 * i + 3] = 255; // opaque
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  writeHTML(svg, overlay);
}

const circle = ([x, y], radius, style) =>
  `<circle cx="${x}" cy="${y}" r="${radius}" class="${style}"/>`;
const line = (points, style, attributes = "") =>
  `<polyline points="${points.join(" ")}" class="${style}" ${attributes}/>`;
const text = ([x, y], words, style = "") =>
  `<text x="${x}" y="${y}" class="${style}">${words}</text>`;

/** Outline where the square of a frame would be, for each possible turn. Where turns meet, one
 * outline lies inside the other. */
function outlines(turns, frame) {
  const centers = circlePlaces([shown.x, shown.y]);
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

/** The square of frame 0, wherever it is shown, and where its handle is. */
function drawFirst() {
  const rings = [C.RANGE / 4, C.RANGE].map((radius) => circle([0, 0], radius, "ring"));
  const frame = render([view.x, view.y]);
  for (const id of ["first", "firstBoth"]) {
    drawFrame(byId(id), frame, rings.join(""));
    moveHandle(id, view.x, view.y, EDGE);
  }
}

/** Draw frames 0 to 7 or 1 to 7 into a strip, and outline these turns. */
function fillStrip(id, frames, turns = [], second = []) {
  const pictures = all(`#${id} .frame`);
  const first = FRAMES.length + 1 - frames.length; // 0 or 1
  frames.forEach((frame, i) => drawFrame(pictures[i], frame,
    first + i > 0 ? outlines(turns, first + i) : "", second[i]));
}

// ---------------------------------------------------------------- the player

const large = {}; // "states" or "means" -> frames 0 to 7, for the large pictures
let loopedFrame = 0;

function* drawPlayer() {
  const sample = currentSample();
  const { space, states, means } = sample;
  yield* sampling(sample, shown.step);
  const state = yield* decoding(space, states[shown.step]);
  const mean = yield* decoding(space, means[shown.step]);
  drawReadout("states", state);
  drawReadout("means", mean);
  yield* sampling(sample, shown.steps);
  drawPlot(sample);
  drawOthers();
  tell(sample);
}

/** A strip, "states" or "means", and its large picture. */
function drawReadout(readout, frames) {
  large[readout] = [render([shown.x, shown.y]), ...frames];
  fillStrip(readout, large[readout], currentSample().turns);
  all(`#${readout} button`).forEach((button, i) =>
    button.setAttribute("aria-pressed", i === shown.frame));
  drawLarge(readout);
}

/** Whether the large pictures play the finished video. */
const isLooping = () => shown.step === shown.steps && shown.frame < 0 && !prefersLessMotion.matches;

/** The frame that was picked; else the finished video, frame by frame, or all frames 1 to 7 on top
 * of each other. */
function drawLarge(readout) {
  const [, ...frames] = large[readout];
  const frame = isLooping() ? loopedFrame : shown.frame;
  const overlaid = () => frames[0].map((_, pixel) => Math.max(...frames.map((f) => f[pixel])));
  drawFrame(byId(`${readout}Large`), frame < 0 ? overlaid() : large[readout][frame],
    frame > 0 ? outlines(currentSample().turns, frame) : "");
}

function playLoop() {
  if (!isLooping() || drawing || !large.means) return;
  loopedFrame = (loopedFrame + 1) % C.NUM_FRAMES;
  drawLarge("states");
  drawLarge("means");
}

/** A place in the plot. */
const inPlot = (step, share) => [30 + (320 * step) / shown.steps, 156 - 124 * share];
const shareCurve = (shares, k, style) =>
  line(shares.map((all, step) => inPlot(step, all[k])), "", style);
const tellShare = (share) => (Math.round(100 * share) / 100 || 0).toFixed(2).replace("-", "\u2212");

/** The shares of the possible turns over the steps, the speciation time, and where we are. */
function drawPlot({ turns, shares, truth }) {
  const speciation = truth.speciationTime() * shown.steps;
  const names = turns.map(({ style, short, name }, k) => {
    const few = turns.length < 3;
    const [x, y] = few ? [30, 194 + 16 * k] : [4 + 120 * (k % 3), 194 + 16 * Math.floor(k / 3)];
    return line([[x, y - 4], [x + 20, y - 4]], "", style) +
      text([x + 25, y], `${few ? name : short} ${tellShare(shares[shown.step][k])}`);
  });
  writeHTML(byId("curves"),
    [0, 0.5, 1].map((share) => line([inPlot(0, share), inPlot(shown.steps, share)], "axis") +
      text([24, inPlot(0, share)[1] + 4], share, "end")).join("") +
    text([30, 174], "step 0") + text([350, 174], `step ${shown.steps}`, "end") +
    (turns.length < 2 ? "" : // nothing to decide
      line([inPlot(speciation, 1.15), inPlot(speciation, 0)], "time") +
      text([inPlot(speciation, 0)[0] + 4, 16], `speciation time, step ${speciation.toFixed(1)}`)) +
    turns.map(({ style }, k) => shareCurve(shares, k, style) +
      circle(inPlot(shown.step, shares[shown.step][k]), 5, "now")).join("") + names.join(""));
  byId("plot").setAttribute("aria-label", `Share of each turn in the posterior mean, at step ${
    shown.step}: ${turns.map(({ name }, k) => `${name} ${tellShare(shares[shown.step][k])}`)}`);
}

/** Behind them, pale: the share of the first turn in other videos, each in the colour of the turn
 * that it takes in the end. */
function drawOthers() {
  const [others, { turns }] = [otherShares(), currentSample()];
  writeHTML(byId("others"), others.map((shares) =>
    shareCurve(shares, 0, turns[endOf({ shares })].style)).join(""));
  const count = others.filter((shares) => endOf({ shares }) === 0).length;
  write(byId("otherWays"), others.length < OTHERS ? "" :
    `Of these ${OTHERS} videos, ${count} go ${turns[0].name}.`);
}

/** A short piece of a turn's line, as a legend has it. */
const swatch = (style) => `<svg class="swatch" viewBox="0 0 36 16" aria-hidden="true">
  ${line([[2, 8], [34, 8]], "", style)}</svg>`;

/** The likeliest turn, and what is to be said about it. */
function verdict({ turns, shares }, step) {
  const order = turns.map(({ name }, k) => [shares[step][k], name]).sort(([a], [b]) => b - a);
  const [[share, name], [nextShare] = [0]] = order;
  if (share > 0.95) return `decided: ${name}`;
  return share - nextShare < 0.2 ? "undecided" : `leans to ${name}, ${tellShare(share)}`;
}

/** The words that depend on the video in the player. */
function tell(sample) {
  const words = verdict(sample, shown.step);
  write(byId("stepNumber"), `Step ${shown.step} of ${shown.steps}:`);
  write(byId("verdict"), words);
  document.querySelector("[name=step]").setAttribute("aria-valuetext", `${shown.step}, ${words}`);
  for (const which of all(".which")) {
    write(which, isLooping() ? "the finished video"
      : shown.frame < 0 ? "all frames overlaid" : `frame ${shown.frame}`);
  }
  write(byId("meetings"), tellMeetings(sample.turns));
}

// ---------------------------------------------------------------- the tour

const LOOKS = { 100: "both answers at once", 2: "one in between" }; // the average of two videos

function* drawBoth() {
  const turns = possibleTurns(DEFAULT);
  const places = circlePlaces([shown.x, shown.y]);
  turns.forEach(({ turn, style }, k) => {
    const frames = FRAMES.map((i) => render(places[placeOf(turn, i)]));
    fillStrip(`future${k}`, frames, [{ turn, style }]);
  });
  const samples = yield* sampleBoth();
  for (const [i, d] of [100, 2].entries()) {
    const { space, means } = samples[i];
    const frames = yield* decoding(space, means[shown.both]);
    fillStrip(`mean${d}`, [render([shown.x, shown.y]), ...frames], turns);
    const words = verdict(samples[i], shown.both);
    write(byId(`verdict${d}`), words === "undecided" ? `${words}: ${LOOKS[d]}` : words);
  }
  byId("bothStep").setAttribute("aria-valuetext", `${shown.both}; d = 100 ${
    verdict(samples[0], shown.both)}; d = 2 ${verdict(samples[1], shown.both)}`);
}

function* drawPost() {
  const sample = postSample();
  yield* sampling(sample, POST_STEP);
  const states = yield* decoding(sample.space, sample.states[POST_STEP]);
  fillStrip("postState", states, sample.turns);
  fillStrip("postMean", yield* decoding(sample.space, sample.means[POST_STEP]), sample.turns);
  fillStrip("swapped", yield* decoding(sample.space, swappedState()), [], states);
  write(byId("postVerdict"), verdict(sample, POST_STEP));
}

// ---------------------------------------------------------------- what goes further

function* drawParts() {
  if (!shown.parts) return;
  const { space } = currentSample();
  const { noise, running } = currentParts();
  fillStrip("noisePart", yield* decoding(space, noise));
  fillStrip("runningMean", running ? yield* decoding(space, running) : FRAMES.map(() => BLACK));
}

/** A grid of squares, encoded row by row. */
const grid = []; // 21 rows of 21 latents
function* encodeGrid() {
  const axis = Array.from({ length: 21 }, (_, i) => C.RANGE * (i / 10 - 1));
  while (grid.length < axis.length) {
    const latents = networks[2].space.encode(axis.map((x) => [x, axis[grid.length]]));
    grid.push(axis.map((_, i) => latents.subarray(2 * i, 2 * i + 2)));
    yield;
  }
}

function* drawPlane() {
  yield* encodeGrid();
  const zoom = Math.max(1, shown.scale); // what is shown: more, if latents are scaled to be wider
  const at = ([x, y]) => [x / zoom, -y / zoom];
  const rows = grid.map((row) => row.map(([x, y]) => at([shown.scale * x, shown.scale * y])));
  const net = [...rows, ...rows.map((_, i) => rows.map((row) => row[i]))];
  const video = shown.d === 2 ? videoInPlane(at) : [];
  const [x, y] = [shown.px, -shown.py];
  const cross =
    line([[x - 0.15, y], [x + 0.15, y]], "now") + line([[x, y - 0.15], [x, y + 0.15]], "now");
  writeHTML(byId("latents"),
    [...net.map((points) => line(points, "axis")), ...video, cross].join(""));
  moveHandle("pointer", shown.px, shown.py, PLANE);
  const space = networks[2].space.withScale(shown.scale);
  drawFrame(byId("probe"), space.decode(Float64Array.of(shown.px * zoom, shown.py * zoom))[0]);
}

/** The places where the square can be, and the state's frames, each with a line to its mean. */
function videoInPlane(at) {
  const { turns, circle: places, states, means } = goOn(currentSample(), shown.step);
  const latent = (latents, i) => at(latents.subarray(2 * i, 2 * i + 2));
  const possible = new Set(turns.flatMap(({ turn }) => FRAMES.map((i) => placeOf(turn, i))));
  const rings = [...possible].map((place) => circle(latent(places, place), 0.2, "place"));
  const walkers = FRAMES.map((i) => {
    const [x, y] = latent(states[shown.step], i - 1);
    return line([[x, y], latent(means[shown.step], i - 1)], "curve") +
      circle([x, y], 0.13, "dot") + text([x, y + 0.06], i, "middle");
  });
  return [...rings, ...walkers];
}

let mixed; // what is drawn
function* drawMix() {
  const { ax, ay, bx, by, mix } = shown;
  if (mixed === [ax, ay, bx, by, mix].join()) return;
  drawFrame(byId("a"), render([ax, ay]));
  drawFrame(byId("b"), render([bx, by]));
  moveHandle("a", ax, ay, EDGE);
  moveHandle("b", bx, by, EDGE);
  for (const d of [2, 100]) {
    const { space } = networks[d];
    const [a, b] = [[ax, ay], [bx, by]].map((center) => space.encode([center]));
    drawFrame(byId(`mix${d}`), space.decode(a.map((z, i) => (1 - mix) * z + mix * b[i]))[0]);
    yield;
  }
  mixed = [ax, ay, bx, by, mix].join();
}

/** Put the handle of a picture, by which a finger drags, over its point, and say where that is. The
 * picture shows the plane from -edge to edge. */
function moveHandle(id, x, y, edge) {
  const handle = byId(id).querySelector(".handle");
  handle.style.left = `${50 + (50 * x) / edge}%`;
  handle.style.top = `${50 - (50 * y) / edge}%`;
  byId(id).setAttribute("aria-valuenow", x);
  byId(id).setAttribute("aria-valuetext", `x ${x.toFixed(2)}, y ${y.toFixed(2)}`);
}

// ---------------------------------------------------------------- controls

/** Let all controls show the view. */
function showControls() {
  write(byId("play"), playing === "step" ? "Pause" : "Play");
  write(byId("playBoth"), playing === "both" ? "Pause" : "Play");
  byId("parts").open = view.parts === 1;
  byId("toPlane").disabled = view.d === 2;
  for (const input of all("input")) {
    const value = view[input.name];
    if (input.name === "step") input.max = view.steps;
    if (input.type === "radio") input.checked = Number(input.value) === value;
    else if (input.type === "checkbox") input.checked = value > 0;
    else if (input === held?.slider) continue;
    else if (input !== document.activeElement || input.type === "range") input.value = value;
  }
  const priors = new Map(possibleTurns(view).map(({ key, prior }) => [key, prior]));
  for (const element of all("[data-value]")) {
    const name = element.dataset.value;
    const prior = Math.round(100 * (priors.get(name) ?? 0));
    write(element, name.startsWith("turn") ? `${prior} %` : String(view[name]));
  }
}

/** One row of controls for each possible turn. */
function makeTurnControls() {
  byId("turns").innerHTML = TURNS.map(({ key, name, short, style }) => `<div class="turn">
    <input type="checkbox" name="${key}" aria-label="${name}" title="${name}">
    ${swatch(style)} <span aria-hidden="true">${short}</span>
    <input type="range" name="${key}" min="0" max="10" aria-label="weight of ${name}">
    <b data-value="${key}"></b></div>`).join("");
}

// ---------------------------------------------------------------- drawing it all

const DRAWINGS = { // by place
  player: drawPlayer,
  both: drawBoth,
  post: drawPost,
  parts: drawParts,
  plane: drawPlane,
  mixing: drawMix,
};
const PIECE = 2; // milliseconds after which the browser may do other things
const QUIET = 120; // milliseconds without a change, after which is drawn what isn't seen now

let changes = 0; // of the view, so far
let settled; // the one for which all is drawn
let drawing = false; // whether what is on the screen is being drawn

/** Change the view. The square of frame 0 and the controls follow at once. */
function change(values) {
  Object.assign(view, values);
  changes += 1;
  writeAddressSoon();
  try {
    drawFirst();
    showControls();
  } catch (error) {
    complain(error);
  }
  if (!drawing) draw();
}

/** Draw what is on the screen, again and again until the view has stopped changing; after a while
 * the rest, which gives up as soon as the view changes. */
async function draw() {
  drawing = true;
  let drawn, near;
  while (drawn !== changes) {
    await otherThings(); // such as more changes, or scrolling to another place
    drawn = changes;
    shown = { ...view };
    near = PLACES.filter(isOnScreen);
    await inPieces(near.map((place) => DRAWINGS[place]));
  }
  drawing = false;
  await new Promise((done) => setTimeout(done, QUIET));
  const isOver = () => drawn !== changes;
  const rest = PLACES.filter((place) => !near.includes(place));
  await inPieces([sampleOthers, ...rest.map((place) => DRAWINGS[place])], isOver);
  if (!isOver()) settled = drawn;
}

function isOnScreen(id) {
  const { top, bottom } = byId(id).getBoundingClientRect();
  return bottom > 0 && top < innerHeight;
}

/** Run these drawings, and let the browser do other things in between. */
async function inPieces(drawings, isOver = () => false) {
  for (const begin of drawings) {
    try {
      const pieces = begin();
      for (let isDone = false; !isDone; ) {
        await otherThings();
        if (isOver()) return;
        const end = performance.now() + PIECE;
        while (!isDone && performance.now() < end) isDone = pieces.next().done;
      }
    } catch (error) {
      complain(error);
    }
  }
}

/** Wait until the browser has done what waits: a pointer, a key, a frame of the screen. What a
 * message does is a task of its own after these; a timer would come some milliseconds later. */
const messages = new MessageChannel();
const waiting = [];
messages.port1.onmessage = () => waiting.shift()();
const otherThings = () => new Promise((done) => {
  waiting.push(done);
  messages.port2.postMessage(null);
});

function complain(error) {
  byId("note").hidden = false;
  write(byId("note"), `Something could not be drawn: ${error.message}`);
}

// ---------------------------------------------------------------- playing

let playing; // what is playing: "step", the player, or "both", both dims side by side
let playTimer;

/** For those who hear the page: where playing begins, when the video is decided, and the end. */
const announce = (words) => write(byId("said"), words);

const lastStep = (name) => (name === "step" ? view.steps : C.STEPS);

function stop() {
  clearTimeout(playTimer);
  playing = undefined;
}

function goTo(step, name = "step") {
  stop();
  change({ [name]: Math.min(lastStep(name), Math.max(0, step)) });
}

/** One step on, and the next one after a while: in the player the longer, the less is decided. */
function playOn() {
  const [name, step] = [playing, view[playing] + 1];
  if (name === "both") {
    playTimer = setTimeout(playOn, 140);
  } else {
    const sample = goOn(sampleOf("player", view), step);
    const now = verdict(sample, step);
    if (now.startsWith("decided") && !verdict(sample, step - 1).startsWith("decided")) {
      announce(`Step ${step}, ${now}.`);
    }
    playTimer = setTimeout(playOn, 70 + 380 * clip(2 * (1 - Math.max(...sample.shares[step]))));
  }
  if (step >= lastStep(name)) {
    stop();
    announce(`Step ${step}, the end. The video is finished.`);
  }
  change({ [name]: step });
}

function playOrPause(name) {
  if (playing === name) {
    announce(`Paused at step ${view[name]}.`);
    return goTo(view[name], name);
  }
  stop();
  if (view[name] === lastStep(name)) change({ [name]: 0 });
  playing = name;
  announce(`Playing, from step ${view[name]} of ${lastStep(name)}.`);
  playTimer = setTimeout(playOn, 300);
  change({});
}

// ---------------------------------------------------------------- mouse, touch and keyboard

// A finger that is going to scroll may touch a slider, which jumps there at once. So what it does
// to a slider counts only when it has moved sideways or is lifted; if the page scrolls, it doesn't.
let held; // { slider, x }

function onTouchedSlider({ type, target, pointerType, clientX }) {
  if (type === "pointerdown") {
    const isSlider = pointerType === "touch" && target.matches?.("input[type=range]");
    held = isSlider ? { slider: target, x: clientX } : undefined;
  } else if (held && type === "pointercancel") {
    held = undefined;
    showControls(); // puts the slider back
  } else if (held && (type === "pointerup" || Math.abs(clientX - held.x) > 8)) {
    const { slider } = held;
    held = undefined;
    if (Number(slider.value) !== view[slider.name]) onInput({ target: slider });
  }
}

function onInput({ target }) {
  const { name, type, value, checked } = target;
  if (target === held?.slider) return;
  usePlace(target);
  if (name === "step" || name === "both") return goTo(Number(value), name);
  if (!Object.hasOwn(VIEW, name) || value === "") return;
  const values = { [name]: toNumber(value) };
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
  if (name === "exact" || said) write(byId("switched"), said);
  change(isGood({ ...view, ...values }) ? values : {}); // {}: put the control back
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
function onKey(event) {
  const { key } = event;
  const target = event.target instanceof Element ? event.target : document.body; // not the document
  const [dx, dy] = ARROWS[key] ?? [0, 0];
  const point = target.dataset.point;
  const name = target.closest("#both") ? "both" : "step";
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (point !== undefined && (dx || dy)) stepPoint(point, dx, dy);
  else if (target.matches("input:not([name=step]):not([name=both])")) return; // their own keys
  else if (key === " " && !target.matches("button, a, summary")) playOrPause(name);
  else if (dx) goTo(view[name] + dx, name);
  else return;
  usePlace(target);
  event.preventDefault();
}

/** Move a point to where the pointer is. A mouse drags from anywhere, and the point in the latent
 * plane follows it anyway. A finger drags by the handle only, or taps: elsewhere it scrolls. */
function onPointer({ target, type, button, pointerId, pointerType, clientX, clientY }) {
  const element = target.closest?.("[data-point]"); // the document has no closest
  if (!element) return;
  const point = element.dataset.point;
  const isMouse = pointerType === "mouse";
  if (type === "pointerdown" && button === 0 && (isMouse || target.matches(".handle"))) {
    element.setPointerCapture(pointerId);
  }
  const follows = type === "click" || (point === "p" && isMouse);
  if (!follows && !element.hasPointerCapture(pointerId)) return;
  const edge = point === "p" ? PLANE : EDGE;
  const box = element.getBoundingClientRect();
  usePlace(element);
  movePoint(point, edge * ((2 * (clientX - box.left)) / box.width - 1),
    edge * (1 - (2 * (clientY - box.top)) / box.height));
}

// ---------------------------------------------------------------- start

const anySeed = () => Math.floor(1000 * Math.random());

function makePictures() {
  const meeting = FRAMES.find((i) => meetingTurns(possibleTurns(DEFAULT), i).length);
  for (const strip of all(".strip")) {
    const isButton = strip.matches("#states, #means");
    const withFirst = isButton || strip.matches("#mean100, #mean2");
    const frames = withFirst ? [0, ...FRAMES] : FRAMES;
    strip.innerHTML = frames.map((i) => {
      const inside = `<span class="frame"></span>
        <span class="number" aria-hidden="true">${i || "0, given"}</span>`;
      if (isButton) return `<button aria-label="frame ${i}">${inside}</button>`;
      const isMarked = i === meeting && strip.closest("#comparison");
      return `<div class="${isMarked ? "meeting" : ""}">${inside}</div>`;
    }).join("");
    strip.querySelectorAll("button").forEach((button, i) =>
      button.addEventListener("click", () => change({ frame: view.frame === i ? -1 : i })));
  }
  for (const frame of all(".frame")) {
    frame.innerHTML = `<canvas width="${C.FRAME_SIZE}" height="${C.FRAME_SIZE}"></canvas>
      <svg viewBox="${-EDGE} ${-EDGE} ${2 * EDGE} ${2 * EDGE}"></svg>`;
  }
  for (const point of all("[data-point]")) {
    const [, lowest, highest] = VIEW[`${point.dataset.point}x`];
    point.setAttribute("aria-valuemin", lowest);
    point.setAttribute("aria-valuemax", highest);
    point.insertAdjacentHTML("beforeend", `<span class="handle"></span>`);
  }
}

function listen() {
  const onClick = (id, act) => byId(id).addEventListener("click", act);
  const stepBy = (by) => () => {
    goTo(view.step + by);
    const sample = goOn(sampleOf("player", view), view.step);
    announce(`Step ${view.step}, ${verdict(sample, view.step)}.`);
  };
  onClick("play", () => playOrPause("step"));
  onClick("playBoth", () => playOrPause("both"));
  onClick("back", stepBy(-1));
  onClick("next", stepBy(1));
  onClick("newNoise", () => change({ seed: anySeed() }));
  onClick("freshNoise", () => change({ fresh: anySeed() }));
  onClick("toPlane", () => {
    byId("pointer").focus();
    change({ d: 2 });
  });
  byId("parts").firstElementChild.addEventListener("click", (event) => {
    event.preventDefault(); // showControls() opens and closes them, as the view says
    change({ parts: 1 - view.parts });
  });
  addEventListener("click", ({ target }) => {
    if (target.matches?.("button, button *, summary")) usePlace(target);
  });
  addEventListener("input", onInput);
  addEventListener("change", ({ target: { type, name }, target }) => {
    if (type === "number") target.value = view[name]; // what wasn't allowed goes
  });
  addEventListener("keydown", onKey);
  for (const type of ["pointerdown", "pointermove", "pointerup", "pointercancel"]) {
    addEventListener(type, onTouchedSlider);
  }
  for (const type of ["pointerdown", "pointermove", "click"]) addEventListener(type, onPointer);
  addEventListener("click", followLink);
  // what was done last isn't lost if the page is loaded again
  for (const type of ["click", "change", "pointerup", "keyup"]) {
    addEventListener(type, writeAddress);
  }
  // writeAddress() may have changed the address again before this event arrives; so it isn't read,
  // and written again: otherwise the next change of it might be none, and bring no event
  addEventListener("hashchange", ({ newURL }) => {
    openView(new URL(newURL).hash);
    writeAddress();
  });
}

async function start() {
  byId("note").hidden = false;
  write(byId("note"), "Unpacking the networks \u2026");
  for (const [d, packed] of Object.entries(NETWORKS)) {
    const weights = await unpack(packed);
    const space = new LatentSpace(new Autoencoder(weights), weights.mean.data, weights.std.data);
    networks[d] = { space, network: new FlowNetwork(weights) };
  }
  makeTurnControls();
  makePictures();
  listen();
  document.querySelector("main").hidden = false;
  if (location.hash) openView(location.hash, "auto");
  else readAddress("");
  setInterval(playLoop, 300);
}

start().catch((error) => {
  byId("note").hidden = false;
  byId("note").textContent = `This browser can't run the page: ${error.message}`;
});
