// The networks of autoencoder.py and flow.py and the sampler of sample.py, in plain JavaScript: in
// the same order and the same words. Only what runs a trained network is here, no training.
//
// Arrays are flat: a video latent (7, d) is 7 * d numbers. An image is (size, size, channels): the
// channels of a pixel lie side by side, where torch has channels first. A weight has its "data",
// its "shape", and the name that it has in the checkpoint. CONSTANTS comes from the Python modules.

const C = CONSTANTS;

const clip = (value) => Math.min(1, Math.max(0, value));
const sum = (x) => x.reduce((total, value) => total + value, 0);
const dot = (x, y) => x.reduce((total, value, i) => total + value * y[i], 0);
const subtract = (x, y) => x.map((value, i) => value - y[i]);

function concat(...parts) {
  const all = new Float64Array(sum(parts.map((part) => part.length)));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

// ---------------------------------------------------------------- data.py

/** Draw one white square: (51, 51) in [0, 1]. A pixel is as bright as the share of its area that
 * the square covers: the product of the shares along x and along y. */
function render([x, y]) {
  const pixels = Array.from({ length: C.FRAME_SIZE }, (_, i) => -1 + C.PIXEL * i);
  const coverage = (center) =>
    pixels.map((pixel) => clip((C.HALF_WIDTH - Math.abs(center - pixel)) / C.PIXEL + 0.5));
  const along_x = coverage(x);
  const along_y = coverage(y).reverse(); // the top row is y = 1
  return Float64Array.from(along_y.flatMap((share) => along_x.map((other) => share * other)));
}

/** The eight places of the circle that a centre lies on, counter-clockwise, this one first. */
function circlePlaces([x, y]) {
  return Array.from({ length: C.NUM_FRAMES }, (_, i) => {
    const angle = (2 * Math.PI * i) / C.NUM_FRAMES;
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
    return [x * cos - y * sin, x * sin + y * cos];
  });
}

/** At which of these places, 0 to 7, a video with this turn (in eighths of a circle per frame) has
 * its square in this frame. */
function placeOf(turn, frame) {
  const place = (turn * frame) % C.NUM_FRAMES;
  return place < 0 ? place + C.NUM_FRAMES : place;
}

// ---------------------------------------------------------------- layers
//
// Each layer takes a batch: n images or n vectors, one after the other in a flat array.

/** torch.nn.SiLU: x / (1 + exp(-x)). */
function silu(x) {
  const y = new Float64Array(x.length);
  for (let i = 0; i < x.length; i++) y[i] = x[i] / (1 + Math.exp(-x[i]));
  return y;
}

function add(x, y) {
  const total = new Float64Array(x.length);
  for (let i = 0; i < x.length; i++) total[i] = x[i] + y[i];
  return total;
}

/** torch.nn.Linear on each row of x (rows, n_in): y = W x + b, W (n_out, n_in). Nearly all of the
 * time is spent here. So several sums grow side by side, which share the numbers that are loaded:
 * four outputs of two rows, or eight outputs of a row that is left over. Where there are no more
 * outputs, the last one is summed again. */
function linear(x, W, bias) {
  const n_out = bias.length;
  const n_in = Math.floor(W.length / n_out);
  const rows = Math.floor(x.length / n_in);
  const paired = rows - (rows % 2);
  const y = new Float64Array(rows * n_out);
  for (let o = 0; o < n_out; o += 4) {
    const last = n_out - 1;
    const o1 = Math.min(o + 1, last), o2 = Math.min(o + 2, last), o3 = Math.min(o + 3, last);
    const w0 = o * n_in, w1 = o1 * n_in, w2 = o2 * n_in, w3 = o3 * n_in;
    for (let row = 0; row < paired; row += 2) {
      const a = row * n_in, b = a + n_in;
      let a0 = bias[o], a1 = bias[o1], a2 = bias[o2], a3 = bias[o3];
      let b0 = a0, b1 = a1, b2 = a2, b3 = a3;
      for (let i = 0; i < n_in; i++) {
        const xa = x[a + i], xb = x[b + i];
        const v0 = W[w0 + i], v1 = W[w1 + i], v2 = W[w2 + i], v3 = W[w3 + i];
        a0 += xa * v0, a1 += xa * v1, a2 += xa * v2, a3 += xa * v3;
        b0 += xb * v0, b1 += xb * v1, b2 += xb * v2, b3 += xb * v3;
      }
      const ya = row * n_out, yb = ya + n_out;
      y[ya + o] = a0, y[ya + o1] = a1, y[ya + o2] = a2, y[ya + o3] = a3;
      y[yb + o] = b0, y[yb + o1] = b1, y[yb + o2] = b2, y[yb + o3] = b3;
    }
  }
  if (rows > paired) linearRow(x.subarray(paired * n_in), W, bias, y.subarray(paired * n_out));
  return y;
}

/** The same for a single row x (n_in), into y (n_out). */
function linearRow(x, W, bias, y) {
  const [n_in, last] = [x.length, y.length - 1];
  for (let o = 0; o <= last; o += 8) {
    const o1 = Math.min(o + 1, last), o2 = Math.min(o + 2, last), o3 = Math.min(o + 3, last);
    const o4 = Math.min(o + 4, last), o5 = Math.min(o + 5, last), o6 = Math.min(o + 6, last);
    const o7 = Math.min(o + 7, last);
    const w0 = o * n_in, w1 = o1 * n_in, w2 = o2 * n_in, w3 = o3 * n_in;
    const w4 = o4 * n_in, w5 = o5 * n_in, w6 = o6 * n_in, w7 = o7 * n_in;
    let y0 = bias[o], y1 = bias[o1], y2 = bias[o2], y3 = bias[o3];
    let y4 = bias[o4], y5 = bias[o5], y6 = bias[o6], y7 = bias[o7];
    for (let i = 0; i < n_in; i++) {
      const v = x[i];
      y0 += v * W[w0 + i], y1 += v * W[w1 + i], y2 += v * W[w2 + i], y3 += v * W[w3 + i];
      y4 += v * W[w4 + i], y5 += v * W[w5 + i], y6 += v * W[w6 + i], y7 += v * W[w7 + i];
    }
    y[o] = y0, y[o1] = y1, y[o2] = y2, y[o3] = y3;
    y[o4] = y4, y[o5] = y5, y[o6] = y6, y[o7] = y7;
  }
}

/** Where torch.Tensor.permute takes each number of a tensor of this shape from. */
function permutation(shape, order) {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
  const backwards = [...order].reverse();
  return Int32Array.from({ length: strides[0] * shape[0] }, (_, at) => {
    let from = 0;
    for (const axis of backwards) {
      from += (at % shape[axis]) * strides[axis];
      at = Math.floor(at / shape[axis]);
    }
    return from;
  });
}

/** A layer that takes some numbers of each item (of `size` numbers) in a new order. */
function take(from, size) {
  return (x) => {
    const n = Math.floor(x.length / size);
    const y = new Float64Array(n * from.length);
    for (let item = 0, at = 0; item < n; item++) {
      for (let i = 0; i < from.length; i++, at++) y[at] = x[item * size + from[i]];
    }
    return y;
  };
}

/** Each pixel of a small image has a patch of kernel x kernel pixels in a big one: the numbers of
 * those pixels, patch by patch, -1 where they lie outside. */
function patchPixels(small, big, kernel, stride, padding) {
  return Int32Array.from({ length: (small * kernel) ** 2 }, (_, at) => {
    const [patch, tap] = [Math.floor(at / kernel ** 2), at % kernel ** 2];
    const row = Math.floor(patch / small) * stride - padding + Math.floor(tap / kernel);
    const column = (patch % small) * stride - padding + (tap % kernel);
    const inside = row >= 0 && row < big && column >= 0 && column < big;
    return inside ? row * big + column : -1;
  });
}

/** torch.nn.Conv2d: one linear layer turns each patch of the big image, with all its channels, into
 * a pixel of the small one. The weight is (out, in, kernel, kernel). */
function conv2d(weight, bias, big, small, stride, padding) {
  const [, n_in, kernel] = weight.shape;
  const pixels = patchPixels(small, big, kernel, stride, padding);
  const W = take(permutation(weight.shape, [0, 2, 3, 1]), weight.data.length)(weight.data);
  const size = big ** 2 * n_in;
  let patches = []; // kept, since making such large arrays anew takes time
  return (images) => {
    const n = Math.floor(images.length / size);
    const length = n * pixels.length * n_in;
    if (patches.length !== length) patches = new Float64Array(length); // outside it stays 0
    for (let image = 0, at = 0; image < n; image++) {
      for (let pixel = 0; pixel < pixels.length; pixel++, at += n_in) {
        if (pixels[pixel] < 0) continue;
        const from = image * size + pixels[pixel] * n_in;
        for (let i = 0; i < n_in; i++) patches[at + i] = images[from + i];
      }
    }
    return linear(patches, W, bias.data);
  };
}

/** torch.nn.ConvTranspose2d, the same backwards: a linear layer turns each pixel of the small image
 * into a patch of the big one, and patches add up where they overlap. The weight is (in, out,
 * kernel, kernel). */
function convTranspose2d(weight, bias, small, big, stride, padding) {
  const [, n_out, kernel] = weight.shape;
  const pixels = patchPixels(small, big, kernel, stride, padding);
  const W = take(permutation(weight.shape, [2, 3, 1, 0]), weight.data.length)(weight.data);
  const noBias = new Float64Array(n_out * kernel ** 2);
  const size = big ** 2 * n_out;
  return (images) => {
    const patches = linear(images, W, noBias);
    const n = Math.floor(patches.length / (pixels.length * n_out));
    const result = new Float64Array(n * size);
    for (let at = 0; at < result.length; at++) result[at] = bias.data[at % n_out];
    for (let image = 0, at = 0; image < n; image++) {
      for (let pixel = 0; pixel < pixels.length; pixel++, at += n_out) {
        if (pixels[pixel] < 0) continue;
        const to = image * size + pixels[pixel] * n_out;
        for (let o = 0; o < n_out; o++) result[to + o] += patches[at + o];
      }
    }
    return result;
  };
}

// ---------------------------------------------------------------- autoencoder.py

/** x + conv(SiLU(conv(SiLU(x)))), (7, 7, 32) -> the same. */
function residualBlock(layer, name) {
  const conv1 = layer(conv2d, `${name}.conv1`, C.MAP_SIZE, C.MAP_SIZE, 1, 1);
  const conv2 = layer(conv2d, `${name}.conv2`, C.MAP_SIZE, C.MAP_SIZE, 1, 1);
  return (x) => add(x, conv2(silu(conv1(silu(x)))));
}

/** torch.nn.PixelShuffle(4): the 16 numbers of each of 14 x 14 places become 4 x 4 pixels. Of the
 * 56 x 56 pixels the middle, 51 x 51, is kept. */
function pixelShuffle() {
  const from = Int32Array.from({ length: C.FRAME_SIZE ** 2 }, (_, at) => {
    const [y, x] = [Math.floor(at / C.FRAME_SIZE) + 2, (at % C.FRAME_SIZE) + 2];
    return ((y >> 2) * 14 + (x >> 2)) * 16 + (y % 4) * 4 + (x % 4);
  });
  return take(from, 14 * 14 * 16);
}

/** Frames (n, 51, 51) <-> latents (n, d). The numbers in the names count the layers of
 * nn.Sequential. */
class Autoencoder {
  constructor(weights) {
    const middle = 2 * C.MAP_SIZE - 1; // 13
    const [places, numbers] = [C.MAP_SIZE ** 2, C.MAP_SIZE ** 2 * C.CHANNELS];
    const layer = (make, name, ...sizes) =>
      make(weights[`${name}.weight`], weights[`${name}.bias`], ...sizes);
    const fullyConnected = (weight, bias) => (x) => linear(x, weight.data, bias.data);
    this.encoder = [
      layer(conv2d, "encoder.0", C.FRAME_SIZE, middle, 4, 2), // 51 -> 13
      silu,
      layer(conv2d, "encoder.2", middle, C.MAP_SIZE, 2, 1), // 13 -> 7
      silu,
      take(permutation([places, C.CHANNELS], [1, 0]), numbers), // torch puts channels first
      layer(fullyConnected, "encoder.5"),
    ];
    this.decoder = [
      layer(fullyConnected, "decoder.0"),
      take(permutation([C.CHANNELS, places], [1, 0]), numbers),
      ...[2, 3, 4, 5].map((i) => residualBlock(layer, `decoder.${i}`)),
      layer(convTranspose2d, "decoder.7", C.MAP_SIZE, middle, 2, 1), // 7 -> 13
      layer(conv2d, "decoder.9", middle, middle + 1, 1, 1), // 13 -> 14
      pixelShuffle(), // 14 -> 56 -> 51
    ];
  }

  /** Frames (n, 51, 51) in [0, 1] -> latents (n, d). */
  encode(frames) {
    return this.encoder.reduce((x, layer) => layer(x), frames);
  }

  /** Latents (n, d) -> frames (n, 51, 51), clipped to [0, 1] but for a leak. */
  decode(latents) {
    const x = this.decoder.reduce((y, layer) => layer(y), latents);
    for (let i = 0; i < x.length; i++) x[i] = clip(x[i]) + C.LEAK * (x[i] - clip(x[i]));
    return x;
  }
}

// ---------------------------------------------------------------- flow.py

/** The autoencoder's latents, moved and scaled to mean 0 and this standard deviation. */
class LatentSpace {
  constructor(autoencoder, mean, std, scale = 1) {
    Object.assign(this, { autoencoder, mean, std, scale });
  }

  /** The same latents with another standard deviation. */
  withScale(scale) {
    return new LatentSpace(this.autoencoder, this.mean, this.std, scale);
  }

  /** n centres of squares -> latents (n, d) of their frames. */
  encode(centers) {
    const d = this.mean.length;
    const latents = this.autoencoder.encode(concat(...centers.map(render)));
    return latents.map((z, i) => (this.scale * (z - this.mean[i % d])) / this.std[i % d]);
  }

  /** Latents (n, d) -> n frames (51, 51). */
  decode(latents) {
    const [d, size] = [this.mean.length, C.FRAME_SIZE ** 2];
    const frames = this.autoencoder.decode(
      latents.map((z, i) => (z / this.scale) * this.std[i % d] + this.mean[i % d]));
    return Array.from({ length: latents.length / d }, (_, i) =>
      frames.subarray(i * size, (i + 1) * size));
  }
}

/** LayerNorm without weights: mean 0 and variance 1 over all of x. */
function norm(x) {
  const mean = sum(x) / x.length;
  const variance = sum(x.map((value) => (value - mean) ** 2)) / x.length;
  return x.map((value) => (value - mean) / Math.sqrt(variance + 1e-5));
}

/** Predicts the posterior mean E[z | x_t, given frame]. It was trained with latent scale 1. */
class FlowNetwork {
  constructor(weights) {
    this.layer = (name, x) =>
      linear(x, weights[`${name}.weight`].data, weights[`${name}.bias`].data);
  }

  /** For a given frame (d) and a list of times: a function from x (7 d) and the index of a time to
   * the posterior mean (7 d). What depends on x is computed step by step; what depends on the given
   * frame and the time alone is computed here for all times together, which is quicker. */
  posteriorMeanAt(given, times) {
    const contexts = times.map((t) => {
      const angle = Array.from({ length: C.TIME_FREQUENCIES }, (_, i) => Math.PI * t * (i + 1));
      return concat(given, [t], angle.map(Math.sin), angle.map(Math.cos));
    });
    let modulation = silu(this.layer("modulation.0", concat(...contexts)));
    modulation = silu(this.layer("modulation.2", modulation));
    modulation = this.layer("modulation.4", modulation);
    const modulate = (y, scale, shift) => y.map((value, i) => value * (1 + scale[i]) + shift[i]);
    return (x, k) => {
      const [scale_1, shift_1, scale_2, shift_2] = [0, 1, 2, 3].map((i) =>
        modulation.subarray((4 * k + i) * C.WIDTH, (4 * k + i + 1) * C.WIDTH));
      let h = this.layer("input", concat(x, contexts[k]));
      h = add(h, this.layer("fc2", silu(this.layer("fc1", modulate(norm(h), scale_1, shift_1)))));
      h = modulate(norm(h), scale_2, shift_2);
      return this.layer("out", concat(h, contexts[k]));
    };
  }
}

/** The exact flow, given frame 0: the possible futures, one for each turn, and their prior. */
class ExactFlow {
  /** circle (8, d): the latents of the eight places; turns and prior (k). */
  constructor(circle, turns, prior) {
    const d = circle.length / C.NUM_FRAMES;
    const latent = (place) => circle.subarray(place * d, (place + 1) * d);
    const frames = Array.from({ length: C.NUM_FRAMES - 1 }, (_, i) => i + 1);
    this.prior = prior;
    this.futures = turns.map((turn) => concat(...frames.map((i) => latent(placeOf(turn, i)))));
    // for shares():
    this.differences = this.futures.slice(1).map((z) => subtract(z, this.futures[0]));
    this.products = this.differences.map((a) => this.differences.map((b) => dot(a, b)));
  }

  /** P(z_k | x_t = x) for each future, by Bayes' rule for the Gaussians N(t z_k, (1 - t)^2 I). */
  posterior(x, t) {
    const logits = this.futures.map((z, k) => {
      let distanceSquared = 0;
      for (let i = 0; i < x.length; i++) distanceSquared += (x[i] - t * z[i]) ** 2;
      return Math.log(this.prior[k]) - distanceSquared / (2 * (1 - t) ** 2);
    });
    const highest = Math.max(...logits);
    const exponentials = logits.map((logit) => Math.exp(logit - highest)); // softmax
    return exponentials.map((value) => value / sum(exponentials));
  }

  /** E[z | x_t = x]: the futures, averaged with these probabilities. */
  posteriorMean(x, t) {
    return this.average(this.posterior(x, t));
  }

  /** The futures, averaged with these weights. */
  average(weights) {
    const mean = new Float64Array(this.futures[0].length);
    this.futures.forEach((z, k) => {
      for (let i = 0; i < mean.length; i++) mean[i] += weights[k] * z[i];
    });
    return mean;
  }

  /** Each future's share in a posterior mean: the weights, 1 in total, with which the average of the
   * futures comes nearest to it. For the exact flow these are the probabilities. With two futures
   * the first share is q: where on the line between them the posterior mean lies. */
  shares(mean) {
    const rest = subtract(mean, this.futures[0]);
    const others = solve(this.products, this.differences.map((a) => dot(a, rest)));
    return [1 - sum(others), ...others];
  }

  /** t_S = 1 / (1 + distance / 2), of the two futures nearest to each other; 0 if there is one. */
  speciationTime() {
    const distances = this.futures.flatMap((a, i) =>
      this.futures.slice(0, i).map((b) => Math.hypot(...subtract(a, b))));
    return 1 / (1 + Math.min(...distances) / 2);
  }
}

/** Solve the linear equations A x = b, A symmetric and positive definite, by elimination. */
function solve(A, b) {
  const rows = A.map((row, i) => [...row, b[i]]);
  rows.forEach((pivot, i) => {
    for (const row of rows) {
      if (row === pivot) continue;
      const factor = row[i] / pivot[i];
      for (let j = i; j < row.length; j++) row[j] -= factor * pivot[j];
    }
  });
  return rows.map((row, i) => row.at(-1) / row[i]);
}

// ---------------------------------------------------------------- sample.py

/** One Euler step along the velocity (mean - x) / (1 - t): with `left` steps left, a share 1 / left
 * of the way to the posterior mean. */
const eulerStep = (x, mean, left) => x.map((value, i) => value + (mean[i] - value) / left);

/** Euler steps from the noise, t = 0, to t = 1: yields the state and the posterior mean of the steps
 * 0, 1, ... steps. At the last step they are the same. meanAt(x, k) is the posterior mean of step k,
 * at t = k / steps. */
function* eulerSteps(meanAt, x, steps) {
  for (let k = 0; k < steps; k++) {
    const mean = meanAt(x, k);
    yield [x, mean];
    x = eulerStep(x, mean, steps - k);
  }
  yield [x, x];
}

/** The two parts that the state of a step is the sum of. Each Euler step is an average of the state
 * and the posterior mean, so what is left of the noise after k of N steps is (1 - k/N) of it; and
 * the rest, the running mean, is what the same steps make of 0 in place of the noise. It is an
 * average of the posterior means so far whose weights add up to k/N. */
function stateParts({ states, means }, step, steps) {
  const noise = states[0].map((value) => (1 - step / steps) * value);
  let running = new Float64Array(noise.length);
  for (let k = 0; k < step; k++) running = eulerStep(running, means[k], steps - k);
  return { noise, running };
}

/** n standard normal numbers. The same seed gives the same numbers, but not torch's: mulberry32
 * draws uniform ones, and Box and Muller's formula makes them normal. */
function randomNormal(seed, n) {
  let state = seed;
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
  return Float64Array.from({ length: n }, () =>
    Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()));
}

// ---------------------------------------------------------------- the checkpoint

/** Unpack what explorer/__main__.py packed: {name: {data, shape}}. Base64, deflated; in it the low
 * bytes of 16-bit integers, then the high bytes. A weight is its integer times a step. */
async function unpack({ layout, packed }) {
  const letters = atob(packed);
  const deflated = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) deflated[i] = letters.charCodeAt(i);
  const stream = new Blob([deflated]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const high = new Int8Array(bytes.buffer, bytes.length / 2);
  const weights = {};
  let at = 0;
  for (const [name, shape, step] of layout) {
    const data = new Float64Array(shape.reduce((product, size) => product * size, 1));
    for (let i = 0; i < data.length; i++, at++) data[i] = step * (bytes[at] + 256 * high[at]);
    weights[name] = { data, shape };
  }
  return weights;
}
