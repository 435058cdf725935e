// The networks of autoencoder.py and flow.py and the sampler of sample.py, in plain JavaScript: in
// the same order and the same words. Only what runs a trained network is here, no training.
//
// Arrays are flat: a video latent (7, d) is 7 * d numbers. An image is (size, size, channels): the
// channels of a pixel lie side by side, where torch has channels first. A weight has its "data",
// its "shape", and the name that it has in the checkpoint. CONSTANTS comes from the Python modules.

const C = CONSTANTS;

const clip = (value) => Math.min(1, Math.max(0, value));
const silu = (x) => x.map((value) => value / (1 + Math.exp(-value)));
const add = (x, y) => x.map((value, i) => value + y[i]);
const sum = (x) => x.reduce((total, value) => total + value, 0);
const concat = (...parts) => Float64Array.from(parts.flatMap((part) => [...part]));

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

/** Both videos that start at a centre: [counter-clockwise, clockwise], eight centres each. */
function orbits([x, y]) {
  const [radius, start] = [Math.hypot(x, y), Math.atan2(y, x)];
  return [1, -1].map((direction) =>
    Array.from({ length: C.NUM_FRAMES }, (_, i) => {
      const angle = start + (direction * i * 2 * Math.PI) / C.NUM_FRAMES;
      return [radius * Math.cos(angle), radius * Math.sin(angle)];
    }),
  );
}

// ---------------------------------------------------------------- layers

/** torch.nn.Linear on each row of x (rows, n_in): y = W x + b, W (n_out, n_in). Nearly all of the
 * time is spent here. So four outputs of two rows are summed side by side: six numbers are loaded
 * for eight products. Where there is no fourth output or second row, the last is done again. */
function linear(x, W, bias) {
  const n_out = bias.length;
  const n_in = Math.floor(W.length / n_out);
  const rows = Math.floor(x.length / n_in);
  const y = new Float64Array(rows * n_out);
  for (let o = 0; o < n_out; o += 4) {
    const last = n_out - 1;
    const o1 = Math.min(o + 1, last), o2 = Math.min(o + 2, last), o3 = Math.min(o + 3, last);
    const w0 = o * n_in, w1 = o1 * n_in, w2 = o2 * n_in, w3 = o3 * n_in;
    for (let row = 0; row < rows; row += 2) {
      const next = Math.min(row + 1, rows - 1);
      const a = row * n_in, b = next * n_in;
      let a0 = bias[o], a1 = bias[o1], a2 = bias[o2], a3 = bias[o3];
      let b0 = a0, b1 = a1, b2 = a2, b3 = a3;
      for (let i = 0; i < n_in; i++) {
        const xa = x[a + i], xb = x[b + i];
        const v0 = W[w0 + i], v1 = W[w1 + i], v2 = W[w2 + i], v3 = W[w3 + i];
        a0 += xa * v0, a1 += xa * v1, a2 += xa * v2, a3 += xa * v3;
        b0 += xb * v0, b1 += xb * v1, b2 += xb * v2, b3 += xb * v3;
      }
      const ya = row * n_out, yb = next * n_out;
      y[ya + o] = a0, y[ya + o1] = a1, y[ya + o2] = a2, y[ya + o3] = a3;
      y[yb + o] = b0, y[yb + o1] = b1, y[yb + o2] = b2, y[yb + o3] = b3;
    }
  }
  return y;
}

/** torch.Tensor.permute: the axes of x in another order. */
function permute(x, shape, order) {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
  return x.map((_, at) => {
    let from = 0;
    for (const axis of order.toReversed()) {
      from += (at % shape[axis]) * strides[axis];
      at = Math.floor(at / shape[axis]);
    }
    return x[from];
  });
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
  const W = permute(weight.data, weight.shape, [0, 2, 3, 1]);
  return (image) => {
    const patches = new Float64Array(pixels.length * n_in);
    for (let at = 0; at < pixels.length; at++) {
      if (pixels[at] < 0) continue;
      for (let i = 0; i < n_in; i++) patches[at * n_in + i] = image[pixels[at] * n_in + i];
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
  const W = permute(weight.data, weight.shape, [2, 3, 1, 0]);
  const noBias = new Float64Array(n_out * kernel ** 2);
  return (image) => {
    const patches = linear(image, W, noBias);
    const result = new Float64Array(n_out * big ** 2).map((_, at) => bias.data[at % n_out]);
    for (let at = 0; at < pixels.length; at++) {
      if (pixels[at] < 0) continue;
      for (let o = 0; o < n_out; o++) result[pixels[at] * n_out + o] += patches[at * n_out + o];
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

/** torch.nn.PixelShuffle(4): the 16 numbers of each of 14 x 14 places become 4 x 4 pixels. */
function pixelShuffle(image) {
  return Float64Array.from({ length: C.FRAME_SIZE ** 2 }, (_, at) => {
    const [y, x] = [Math.floor(at / C.FRAME_SIZE) + 2, (at % C.FRAME_SIZE) + 2];
    return image[((y >> 2) * 14 + (x >> 2)) * 16 + (y % 4) * 4 + (x % 4)];
  });
}

/** Frames (51, 51) <-> latents (d). The numbers in the names count the layers of nn.Sequential. */
class Autoencoder {
  constructor(weights) {
    const middle = 2 * C.MAP_SIZE - 1; // 13
    const layer = (make, name, ...sizes) =>
      make(weights[`${name}.weight`], weights[`${name}.bias`], ...sizes);
    const fullyConnected = (weight, bias) => (x) => linear(x, weight.data, bias.data);
    this.encoder = [
      layer(conv2d, "encoder.0", C.FRAME_SIZE, middle, 4, 2), // 51 -> 13
      silu,
      layer(conv2d, "encoder.2", middle, C.MAP_SIZE, 2, 1), // 13 -> 7
      silu,
      (x) => permute(x, [C.MAP_SIZE ** 2, C.CHANNELS], [1, 0]), // torch puts channels first
      layer(fullyConnected, "encoder.5"),
    ];
    this.decoder = [
      layer(fullyConnected, "decoder.0"),
      (x) => permute(x, [C.CHANNELS, C.MAP_SIZE ** 2], [1, 0]),
      ...[2, 3, 4, 5].map((i) => residualBlock(layer, `decoder.${i}`)),
      layer(convTranspose2d, "decoder.7", C.MAP_SIZE, middle, 2, 1), // 7 -> 13
      layer(conv2d, "decoder.9", middle, middle + 1, 1, 1), // 13 -> 14
      pixelShuffle, // 14 -> 56, of which the middle, 51 x 51, is kept
    ];
  }

  /** Frame (51, 51) in [0, 1] -> latent (d). */
  encode(frame) {
    return this.encoder.reduce((x, layer) => layer(x), frame);
  }

  /** Latent (d) -> frame (51, 51), clipped to [0, 1] but for a leak. */
  decode(latent) {
    const x = this.decoder.reduce((y, layer) => layer(y), latent);
    return x.map((value) => clip(value) + C.LEAK * (value - clip(value)));
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

  /** Centre of a square -> latent (d) of its frame. */
  encode(center) {
    const latent = this.autoencoder.encode(render(center));
    return latent.map((z, i) => (z - this.mean[i]) / this.std[i]);
  }

  /** Latents (k, d) -> k frames (51, 51). */
  decode(latents) {
    const d = this.mean.length;
    return Array.from({ length: latents.length / d }, (_, i) => {
      const latent = latents.slice(i * d, (i + 1) * d);
      return this.autoencoder.decode(latent.map((z, j) => z * this.std[j] + this.mean[j]));
    });
  }
}

/** LayerNorm without weights: mean 0 and variance 1 over all of x. */
function norm(x) {
  const mean = sum(x) / x.length;
  const variance = sum(x.map((value) => (value - mean) ** 2)) / x.length;
  return x.map((value) => (value - mean) / Math.sqrt(variance + 1e-5));
}

/** Predicts the posterior mean E[z | x_t, given frame]. */
class FlowNetwork {
  constructor(weights) {
    this.layer = (name, x) =>
      linear(x, weights[`${name}.weight`].data, weights[`${name}.bias`].data);
  }

  /** x (7 d), given (d), t a number -> posterior mean (7 d). The latent scale is 1. */
  posteriorMean(x, given, t) {
    const angle = Array.from({ length: C.TIME_FREQUENCIES }, (_, i) => Math.PI * t * (i + 1));
    const context = concat(given, [t], angle.map(Math.sin), angle.map(Math.cos));
    let modulation = silu(this.layer("modulation.0", context));
    modulation = silu(this.layer("modulation.2", modulation));
    modulation = this.layer("modulation.4", modulation);
    const [scale_1, shift_1, scale_2, shift_2] = [0, 1, 2, 3].map((i) =>
      modulation.subarray(i * C.WIDTH, (i + 1) * C.WIDTH));
    const modulate = (y, scale, shift) => y.map((value, i) => value * (1 + scale[i]) + shift[i]);
    let h = this.layer("input", concat(x, context));
    h = add(h, this.layer("fc2", silu(this.layer("fc1", modulate(norm(h), scale_1, shift_1)))));
    h = modulate(norm(h), scale_2, shift_2);
    return this.layer("out", concat(h, context));
  }
}

/** The optimal flow, given frame 0: two possible continuations, and how probable they were. */
class ExactFlow {
  constructor(space, firstCenter, ccwShare) {
    const ccw = orbits(firstCenter)[0].map((center) => space.encode(center));
    this.given = ccw[0];
    this.continuations = [concat(...ccw.slice(1)), concat(...ccw.slice(1).reverse())];
    this.prior = [ccwShare, 1 - ccwShare];
    const [z_ccw, z_cw] = this.continuations;
    this.delta = z_ccw.map((z, i) => z - z_cw[i]);
    this.deltaSquared = sum(this.delta.map((value) => value ** 2));
  }

  /** P(continuation | x_t = x), by Bayes' rule for the Gaussians N(t z_k, (1 - t)^2 I). */
  posterior(x, t) {
    const logits = this.continuations.map((z, k) => {
      const distance = sum(x.map((value, i) => (value - t * z[i]) ** 2));
      return Math.log(this.prior[k]) - distance / (2 * (1 - t) ** 2);
    });
    const exponentials = logits.map((logit) => Math.exp(logit - Math.max(...logits))); // softmax
    return exponentials.map((value) => value / sum(exponentials));
  }

  /** E[z | x_t = x]: the two continuations, weighted. */
  posteriorMean(x, t) {
    const [p_ccw, p_cw] = this.posterior(x, t);
    const [z_ccw, z_cw] = this.continuations;
    return z_ccw.map((z, i) => p_ccw * z + p_cw * z_cw[i]);
  }

  /** q: where on the line from clockwise (0) to counter-clockwise (1) a posterior mean lies. */
  ccwFraction(mean) {
    const z_cw = this.continuations[1];
    return sum(mean.map((m, i) => (m - z_cw[i]) * this.delta[i])) / this.deltaSquared;
  }

  /** t_S = 1 / (1 + |delta| / 2). */
  speciationTime() {
    return 1 / (1 + Math.sqrt(this.deltaSquared) / 2);
  }
}

// ---------------------------------------------------------------- sample.py

/** Euler steps along the velocity (posterior mean - x) / (1 - t), from the noise, t = 0, to t = 1:
 * states and posterior means of the steps 0, 1, ... steps. At the last step they are the same. */
function eulerSteps(posteriorMean, x, steps) {
  const [states, means] = [[], []];
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
