// The networks of autoencoder.py and flow.py and the sampler of sample.py, in plain JavaScript: in
// the same order and the same words. Only what runs a trained network is here, no training.
//
// Arrays are flat, in torch's order: an image (channels, size, size) is a Float64Array of
// channels * size * size numbers, a video latent (7, d) one of 7 * d. A weight has its "data" and
// its "shape", and the name that it has in the checkpoint. CONSTANTS comes from the Python modules.

const C = CONSTANTS;
const ANGLE_STEP = (2 * Math.PI) / C.NUM_FRAMES;

// ---------------------------------------------------------------- data.py

/** Draw one white square: (51, 51) in [0, 1], the top row is y = 1. A pixel is as bright as the
 * share of its area that the square covers: the product of the shares along x and along y. */
function render([x, y]) {
  const coverage = (center, pixel) => {
    const distance = Math.abs(center - (-1 + C.PIXEL * pixel));
    return Math.min(1, Math.max(0, (C.HALF_WIDTH - distance) / C.PIXEL + 0.5));
  };
  const frame = new Float64Array(C.FRAME_SIZE ** 2);
  for (let row = 0; row < C.FRAME_SIZE; row++) {
    const along_y = coverage(y, C.FRAME_SIZE - 1 - row);
    for (let column = 0; column < C.FRAME_SIZE; column++) {
      frame[row * C.FRAME_SIZE + column] = along_y * coverage(x, column);
    }
  }
  return frame;
}

/** Both videos that start at a centre: [counter-clockwise, clockwise], eight centres each. */
function orbits([x, y]) {
  const radius = Math.hypot(x, y);
  const start = Math.atan2(y, x);
  return [ANGLE_STEP, -ANGLE_STEP].map((turn) =>
    Array.from({ length: C.NUM_FRAMES }, (_, i) => [
      radius * Math.cos(start + i * turn),
      radius * Math.sin(start + i * turn),
    ]),
  );
}

// ---------------------------------------------------------------- layers

/** torch.nn.Linear on each row of x: y = W x + b, W (n_out, n_in). Nearly all of the time is spent
 * here, so four outputs and two rows are summed side by side, which a processor does faster than
 * one by one. Where there is no fourth output or second row, the last one is done again. */
function linear(x, weight, bias) {
  const [n_out, n_in] = weight.shape;
  const rows = x.length / n_in;
  const y = new Float64Array(rows * n_out);
  for (let o = 0; o < n_out; o += 4) {
    const last = n_out - 1;
    const o1 = Math.min(o + 1, last), o2 = Math.min(o + 2, last), o3 = Math.min(o + 3, last);
    const matrixRow = (k) => weight.data.subarray(k * n_in, (k + 1) * n_in);
    const w0 = matrixRow(o), w1 = matrixRow(o1), w2 = matrixRow(o2), w3 = matrixRow(o3);
    for (let row = 0; row < rows; row += 2) {
      const next = Math.min(row + 1, rows - 1);
      const a = row * n_in, b = next * n_in;
      let a0 = 0, a1 = 0, a2 = 0, a3 = 0, b0 = 0, b1 = 0, b2 = 0, b3 = 0;
      for (let i = 0; i < n_in; i++) {
        const xa = x[a + i], xb = x[b + i];
        const v0 = w0[i], v1 = w1[i], v2 = w2[i], v3 = w3[i];
        a0 += xa * v0, a1 += xa * v1, a2 += xa * v2, a3 += xa * v3;
        b0 += xb * v0, b1 += xb * v1, b2 += xb * v2, b3 += xb * v3;
      }
      const ya = row * n_out, yb = next * n_out;
      y[ya + o] = a0, y[ya + o1] = a1, y[ya + o2] = a2, y[ya + o3] = a3;
      y[yb + o] = b0, y[yb + o1] = b1, y[yb + o2] = b2, y[yb + o3] = b3;
    }
  }
  if (bias) for (let i = 0; i < y.length; i++) y[i] += bias.data[i % n_out];
  return y;
}

/** Which pixels each patch covers. A small image has one patch of kernel x kernel pixels of a big
 * image for each of its pixels: [patch * kernel^2 + tap] = pixel of the big one, -1 outside. */
function patchPixels(small, big, kernel, stride, padding) {
  const pixels = [];
  for (let y = 0; y < small; y++) {
    for (let x = 0; x < small; x++) {
      for (let i = 0; i < kernel; i++) {
        for (let j = 0; j < kernel; j++) {
          const [row, column] = [y * stride - padding + i, x * stride - padding + j];
          const inside = row >= 0 && row < big && column >= 0 && column < big;
          pixels.push(inside ? row * big + column : -1);
        }
      }
    }
  }
  return Int32Array.from(pixels);
}

/** The transpose of a matrix (rows, columns). */
function transposed(x, rows, columns) {
  const y = new Float64Array(x.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      y[column * rows + row] = x[row * columns + column];
    }
  }
  return y;
}

/** torch.nn.Conv2d: the same linear layer on each patch of the big image gives one pixel, with all
 * its channels, of the small one. Its weight (out, in, kernel, kernel) is one row per output. */
function conv2d(weight, bias, big, small, stride, padding) {
  const [n_out, n_in, kernel] = weight.shape;
  const pixels = patchPixels(small, big, kernel, stride, padding);
  const taps = kernel ** 2;
  const matrix = { data: weight.data, shape: [n_out, n_in * taps] };
  return (image) => {
    const patches = new Float64Array(small ** 2 * n_in * taps);
    for (let at = 0, p = 0; p < small ** 2; p++) {
      for (let channel = 0; channel < n_in; channel++) {
        for (let tap = 0; tap < taps; tap++, at++) {
          const pixel = pixels[p * taps + tap];
          if (pixel >= 0) patches[at] = image[channel * big ** 2 + pixel];
        }
      }
    }
    return transposed(linear(patches, matrix, bias), small ** 2, n_out);
  };
}

/** torch.nn.ConvTranspose2d, the same backwards: a linear layer turns one pixel, with all its
 * channels, of the small image into a patch of the big one, and patches add up where they
 * overlap. Its weight is (in, out, kernel, kernel). */
function convTranspose2d(weight, bias, small, big, stride, padding) {
  const [n_in, n_out, kernel] = weight.shape;
  const pixels = patchPixels(small, big, kernel, stride, padding);
  const taps = kernel ** 2;
  const data = transposed(weight.data, n_in, n_out * taps);
  const matrix = { data, shape: [n_out * taps, n_in] };
  return (image) => {
    const patches = linear(transposed(image, n_in, small ** 2), matrix);
    const result = new Float64Array(n_out * big ** 2);
    bias.data.forEach((value, o) => result.fill(value, o * big ** 2, (o + 1) * big ** 2));
    for (let at = 0, p = 0; p < small ** 2; p++) {
      for (let channel = 0; channel < n_out; channel++) {
        for (let tap = 0; tap < taps; tap++, at++) {
          const pixel = pixels[p * taps + tap];
          if (pixel >= 0) result[channel * big ** 2 + pixel] += patches[at];
        }
      }
    }
    return result;
  };
}

const concat = (...parts) => Float64Array.from(parts.flatMap((part) => [...part]));
const silu = (x) => x.map((value) => value / (1 + Math.exp(-value)));
const add = (x, y) => x.map((value, i) => value + y[i]);

// ---------------------------------------------------------------- autoencoder.py

/** x + conv(SiLU(conv(SiLU(x)))), (32, 7, 7) -> the same. */
function residualBlock(weights, name) {
  const [conv1, conv2] = ["conv1", "conv2"].map((conv) =>
    conv2d(weights[`${name}.${conv}.weight`], weights[`${name}.${conv}.bias`],
      C.MAP_SIZE, C.MAP_SIZE, 1, 1));
  return (x) => add(x, conv2(silu(conv1(silu(x)))));
}

/** Frames (51, 51) <-> latents (d). The numbers in the names count the layers of nn.Sequential. */
class Autoencoder {
  constructor(weights) {
    const middle = 2 * C.MAP_SIZE - 1; // 13
    const layer = (make, name, ...sizes) =>
      make(weights[`${name}.weight`], weights[`${name}.bias`], ...sizes);
    const fullyConnected = (weight, bias) => (x) => linear(x, weight, bias);
    this.encoder = [
      layer(conv2d, "encoder.0", C.FRAME_SIZE, middle, 4, 2), // 51 -> 13
      silu,
      layer(conv2d, "encoder.2", middle, C.MAP_SIZE, 2, 1), // 13 -> 7
      silu,
      layer(fullyConnected, "encoder.5"),
    ];
    this.decoder = [
      layer(fullyConnected, "decoder.0"),
      ...[2, 3, 4, 5].map((i) => residualBlock(weights, `decoder.${i}`)),
      layer(convTranspose2d, "decoder.7", C.MAP_SIZE, middle, 2, 1), // 7 -> 13
      layer(convTranspose2d, "decoder.9", middle, C.FRAME_SIZE, 4, 2), // 13 -> 51
    ];
  }

  /** Frame (51, 51) in [0, 1] -> latent (d). */
  encode(frame) {
    return this.encoder.reduce((x, layer) => layer(x), frame);
  }

  /** Latent (d) -> frame (51, 51), clipped to [0, 1] but for a leak. */
  decode(latent) {
    return this.decoder.reduce((x, layer) => layer(x), latent).map((x) => {
      const clipped = Math.min(1, Math.max(0, x));
      return clipped + C.LEAK * (x - clipped);
    });
  }
}

// ---------------------------------------------------------------- flow.py

/** The autoencoder's latents, moved and scaled to mean 0 and standard deviation 1. */
class LatentSpace {
  constructor(weights) {
    this.autoencoder = new Autoencoder(weights);
    this.mean = weights.mean.data;
    this.std = weights.std.data;
  }

  /** Centres (k) -> the latents (k, d) of their frames. */
  encode(centers) {
    return centers.flatMap((center) =>
      Array.from(this.autoencoder.encode(render(center)), (z, i) =>
        (z - this.mean[i]) / this.std[i]));
  }

  /** Latents (k, d) -> k frames (51, 51). */
  decode(latents) {
    const d = this.mean.length;
    return Array.from({ length: latents.length / d }, (_, i) => {
      const latent = Float64Array.from(latents.slice(i * d, (i + 1) * d));
      return this.autoencoder.decode(latent.map((z, j) => z * this.std[j] + this.mean[j]));
    });
  }
}

/** LayerNorm without weights: mean 0 and variance 1 over all of x. */
function norm(x) {
  const mean = x.reduce((sum, value) => sum + value, 0) / x.length;
  const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
  return x.map((value) => (value - mean) / Math.sqrt(variance + 1e-5));
}

/** Predicts the posterior mean E[z | x_t, given frame]. */
class FlowNetwork {
  constructor(weights) {
    this.layer = (name, x) => linear(x, weights[`${name}.weight`], weights[`${name}.bias`]);
  }

  /** x (7 d), given (d), t a number -> posterior mean (7 d). */
  posteriorMean(x, given, t) {
    const angle = Array.from({ length: C.TIME_FREQUENCIES }, (_, i) => Math.PI * t * (i + 1));
    const context = concat(given, [t], angle.map(Math.sin), angle.map(Math.cos));
    let modulation = silu(this.layer("modulation.0", context));
    modulation = silu(this.layer("modulation.2", modulation));
    modulation = this.layer("modulation.4", modulation);
    const part = (i) => modulation.subarray(i * C.WIDTH, (i + 1) * C.WIDTH);
    const modulate = (y, scale, shift) => y.map((value, i) => value * (1 + scale[i]) + shift[i]);
    // flow.py divides x by t * scale + 1 - t, which is 1 at the latent scale 1
    let h = this.layer("input", concat(x, context));
    h = add(h, this.layer("fc2", silu(this.layer("fc1", modulate(norm(h), part(0), part(1))))));
    h = modulate(norm(h), part(2), part(3));
    return this.layer("out", concat(h, context));
  }
}

/** The optimal flow, given frame 0: two possible continuations, and how probable they were. */
class ExactFlow {
  constructor(space, firstCenter, ccwShare) {
    const [ccw, cw] = orbits(firstCenter).map((centers) => space.encode(centers));
    const d = space.mean.length;
    this.given = ccw.slice(0, d);
    this.continuations = [ccw.slice(d), cw.slice(d)]; // counter-clockwise, clockwise
    this.prior = [ccwShare, 1 - ccwShare];
    this.delta = this.continuations[0].map((z, i) => z - this.continuations[1][i]);
    this.deltaSquared = this.delta.reduce((sum, value) => sum + value ** 2, 0);
  }

  /** P(continuation | x_t = x), by Bayes' rule for the Gaussians N(t z_k, (1 - t)^2 I). */
  posterior(x, t) {
    const logits = this.continuations.map((z, k) => {
      const distance = x.reduce((sum, value, i) => sum + (value - t * z[i]) ** 2, 0);
      return Math.log(this.prior[k]) - distance / (2 * (1 - t) ** 2);
    });
    const largest = Math.max(...logits);
    const exponentials = logits.map((logit) => Math.exp(logit - largest)); // softmax
    return exponentials.map((e) => e / (exponentials[0] + exponentials[1]));
  }

  /** E[z | x_t = x]: the two continuations, weighted. */
  posteriorMean(x, t) {
    const [p_ccw, p_cw] = this.posterior(x, t);
    const [ccw, cw] = this.continuations;
    return Float64Array.from(x, (_, i) => p_ccw * ccw[i] + p_cw * cw[i]);
  }

  /** q: where on the line from clockwise (0) to counter-clockwise (1) a posterior mean lies. */
  ccwFraction(mean) {
    const cw = this.continuations[1];
    return mean.reduce((sum, m, i) => sum + (m - cw[i]) * this.delta[i], 0) / this.deltaSquared;
  }

  /** t_S = 1 / (1 + |delta| / 2). */
  decisionTime() {
    return 1 / (1 + Math.sqrt(this.deltaSquared) / 2);
  }
}

// ---------------------------------------------------------------- sample.py

/** Euler steps along the velocity (posterior mean - x) / (1 - t), from the noise, t = 0, to t = 1:
 * states and posterior means of the steps 0, 1, ... steps. At the last step they are the same. */
function eulerSteps(posteriorMean, noise, steps) {
  const [states, means] = [[], []];
  let x = Float64Array.from(noise);
  for (let k = 0; k < steps; k++) {
    const mean = posteriorMean(x, k / steps);
    states.push(x);
    means.push(mean);
    x = x.map((value, i) => value + (mean[i] - value) / (steps - k));
  }
  return { states: [...states, x], means: [...means, x] };
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
  const deflated = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
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
