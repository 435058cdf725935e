"""What is measured on one trained network: each function takes the settings of one seed, loads the
checkpoint (analyze.py has trained it) and returns numbers. D = 7 d is the size of a video latent.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

import autoencoder
import flow
from autoencoder import encode_centers
from data import grid_centers, orbits, random_first_centers, render
from flow import FlowNetwork, LatentSpace, TrueLaw, interpolate, true_law
from measures import blob_near, count_blobs, grid_measures, halfway, shares, turned
from sample import predictor, sample
from settings import AutoencoderSettings, FlowSettings

# Of frames 1 to 7, those where the two directions differ, and the one where they meet
OTHER_FRAMES, FRAME_4 = [0, 1, 2, 4, 5, 6], 3
STEPS = [0, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50]
# A blob "is at" a place that is closer than a quarter of a side. Control places are 22.5 degrees
# off, and from radius 0.55 on the neighbourhoods of places and controls don't touch.
TOLERANCE, MIN_RADIUS = 0.1, 0.55
# From this radius on, the squares of the two directions don't touch either.
APART = 0.4
TIMES = [k / 50 for k in range(45)]


@dataclass(frozen=True)
class FreshSamples:
    """Videos sampled from first frames that were not trained on."""

    space: LatentSpace
    network: FlowNetwork
    law: TrueLaw
    centers: np.ndarray  # (n, 2), of the first frames
    states: Tensor  # (steps + 1, n, D)
    means: Tensor  # (steps + 1, n, D), posterior means


@torch.no_grad()
def fresh_samples(
    settings: FlowSettings, n: int, which: Literal["learned", "exact"] = "learned"
) -> FreshSamples:
    """Sample n videos in 50 steps with the "learned" or the "exact" flow."""
    network, space, _ = flow.load_or_train(settings)
    rng = np.random.default_rng((settings.seed, 5))
    torch.manual_seed(settings.seed)
    centers = random_first_centers(n, rng, settings.range)
    direction = (torch.rand(n) >= settings.ccw_share).long()
    law = true_law(space, centers, direction)
    path = list(sample(predictor(which, network, law), torch.randn_like(law.z_ccw), 50))
    states, means = (torch.stack([pair[i] for pair in path]) for i in (0, 1))
    return FreshSamples(space, network, law, centers, states, means)


# ---------------------------------------------------------------- blobs


def measure_blobs(settings: FlowSettings) -> dict[str, Any]:
    """Shares (4,) of frames 1 to 7 with 0, 1, 2, 3+ squares, in the "state" and "posterior_mean" of
    40 videos at each of the steps 0 to 50, and in decoded noise, the "null"; and "strips", the
    first video's frames 0 to 7 at steps 0, 20 and 50."""
    fresh = fresh_samples(settings, 40)

    def count(latents: Tensor) -> list[float]:
        return shares(count_blobs(fresh.space.decode(latents).numpy())).tolist()

    first = render(fresh.centers[0], settings)
    strips = [fresh.space.decode(fresh.states[k, :1])[0].numpy() for k in (0, 20, 50)]
    return {
        "state": [count(x) for x in fresh.states],
        "posterior_mean": [count(x) for x in fresh.means],
        "null": count(torch.randn_like(fresh.states[0])),
        "strips": [np.concatenate([first[None], strip]) for strip in strips],
    }


# ---------------------------------------------------------------- geometry


@torch.no_grad()
def measure_grid(settings: AutoencoderSettings) -> tuple[np.ndarray, dict[str, float]]:
    """The latents of the grid of centres, (21, 21, 2), and their measures; and "null", the share of
    1000 frames with one square, decoded from noise of the same mean and standard deviation."""
    model, _ = autoencoder.load_or_train(settings)
    torch.manual_seed(settings.seed)
    centers = grid_centers(settings.range)
    latents = encode_centers(model, centers, settings)
    noise = latents.mean((0, 1)) + latents.std((0, 1)) * torch.randn(1000, 2)
    null = float((count_blobs(model.decode(noise).numpy()) == 1).mean())
    return latents.numpy(), grid_measures(latents.numpy(), centers) | {"null": null}


# ---------------------------------------------------------------- superposition


def contrast(space: LatentSpace, latents: Tensor, orbit: np.ndarray) -> list[float]:
    """Four shares: of frames 1-3, 5-7 with a blob at the other direction's place, and at the two
    controls beside it (mean of both); of frames 4, and of frames 1-3, 5-7, with two or more blobs.

    Args:
        latents: (n, D).
        orbit: places in the direction that the video does not take, (n, 7, 2).
    """
    frames = space.decode(latents).numpy()
    places = np.stack([orbit, turned(orbit, 22.5), turned(orbit, -22.5)], axis=2)
    near = blob_near(frames[:, OTHER_FRAMES], places[:, OTHER_FRAMES], TOLERANCE).mean((0, 1))
    several = (count_blobs(frames) > 1).mean(0)
    return [near[0], near[1:].mean(), several[FRAME_4], several[OTHER_FRAMES].mean()]


def measure_contrast(settings: FlowSettings) -> dict[str, Any]:
    """contrast() at STEPS, (steps, 4), of both flows and readouts, and of decoded noise, the
    "null"; 200 videos, of which those with radius above MIN_RADIUS count (about 42 %). The other
    direction is the one whose true video is farther from the finished one."""
    result: dict[str, Any] = {}
    flows: tuple[Literal["learned", "exact"], ...] = ("learned", "exact")
    for which in flows:
        fresh = fresh_samples(settings, 200, which)
        far = np.flatnonzero(np.linalg.norm(fresh.centers, axis=1) > MIN_RADIUS)
        to_ccw = (fresh.states[-1] - fresh.law.z_ccw).norm(dim=1)
        other = (to_ccw < (fresh.states[-1] - fresh.law.z_cw).norm(dim=1)).long().numpy()
        orbit = orbits(fresh.centers)[np.arange(len(other)), other, 1:][far]
        for readout, samples in (("state", fresh.states), ("posterior_mean", fresh.means)):
            values = [contrast(fresh.space, samples[k, far], orbit) for k in STEPS]
            result[f"{which} {readout}"] = values
    result["null"] = contrast(fresh.space, torch.randn_like(fresh.states[0, far]), orbit)
    return result


@torch.no_grad()
def measure_calibration(settings: FlowSettings) -> dict[str, Any]:
    """1000 noisy videos x_t with known direction, radius above MIN_RADIUS, t uniform up to twice
    t_S (at most 0.9).

    Returns:
        Arrays (1000,): "label" (1 is counter-clockwise), the "exact" posterior, the
        learned share "q" = (posterior mean - z_cw).delta / |delta|^2, and the share of
        "brightness" at the counter-clockwise places of the decoded posterior mean; and
        "at_0", the means of q and brightness at t = 0 (no light counts as 1/2).
    """
    network, space, _ = flow.load_or_train(settings)
    rng = np.random.default_rng((settings.seed, 7))
    torch.manual_seed(settings.seed)
    first = random_first_centers(4000, rng, settings.range)
    centers = first[np.linalg.norm(first, axis=1) > MIN_RADIUS][:1000]
    n = len(centers)
    label = (torch.rand(n) < settings.ccw_share).long()
    law = true_law(space, centers, 1 - label)
    noise = torch.randn_like(law.z_ccw)
    t = 2 * law.signal_time()[:, None].clamp_max(0.45) * torch.rand(n, 1)

    def shares_of(t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = interpolate(law.continuation(1 - label), noise, t)
        mean = network(x, law.given, t)
        light = brightness_share(space, mean, orbits(centers)[:, :, 1:])
        return law.posterior(x, t)[:, 0], law.share(mean), light

    exact, q, brightness = shares_of(t)
    _, q_at_0, brightness_at_0 = shares_of(torch.zeros(n, 1))
    return {
        "label": label.numpy(),
        "exact": exact.numpy(),
        "q": q.numpy(),
        "brightness": brightness.numpy(),
        "at_0": [q_at_0.mean().item(), brightness_at_0.nan_to_num(0.5).mean().item()],
    }


def measure_second_square(settings: FlowSettings) -> list[list[float]]:
    """Learned posterior mean of 100 videos at STEPS, generated frames where the directions differ,
    radius above APART: shares with one square, and with two or more, (steps, 2)."""
    fresh = fresh_samples(settings, 100)
    far = np.linalg.norm(fresh.centers, axis=1) > APART
    frames = [i - settings.given_frames + 1 for i in OTHER_FRAMES if i + 1 >= settings.given_frames]
    counts = [
        count_blobs(fresh.space.decode(fresh.means[k, far]).numpy()[:, frames]) for k in STEPS
    ]
    return [[float((count == 1).mean()), float((count >= 2).mean())] for count in counts]


def brightness_share(space: LatentSpace, latents: Tensor, both: np.ndarray) -> Tensor:
    """Light at the counter-clockwise places over the light at both, (n,), frames 1-3, 5-7; NaN
    where there is less than one pixel of light.

    Args:
        latents: (n, D).
        both: (n, 2, 7, 2), the places of both directions; light is summed over a square there.
    """
    frames = space.decode(latents).clamp(0, 1)[:, OTHER_FRAMES]
    masks = torch.from_numpy(render(both[:, :, OTHER_FRAMES], space.settings))
    light = torch.stack([(frames * masks[:, i]).sum((1, 2, 3)) for i in (0, 1)], dim=1)
    return torch.where(light.sum(1) > 1, light[:, 0] / light.sum(1), torch.nan)


@torch.no_grad()
def measure_additivity(settings: AutoencoderSettings) -> list[float]:
    """The decoder alone: relative additivity error of the midpoint of two codes, |dec(a/2 + b/2) -
    dec(a)/2 - dec(b)/2|^2 / |dec(a)/2 - dec(b)/2|^2, for squares of the two directions (400 first
    frames, radius above APART), and the share of midpoints that show exactly two squares.
    """
    model, _ = autoencoder.load_or_train(settings)
    first = random_first_centers(400, np.random.default_rng((settings.seed, 8)), settings.range)
    first = first[np.linalg.norm(first, axis=1) > APART]
    both = orbits(first)[:, :, [1, 2, 3]].swapaxes(0, 1).reshape(2, -1, 2)
    a, b = encode_centers(model, both, settings)
    middle, half_a, half_b = (model.decode((a + b) / 2), model.decode(a) / 2, model.decode(b) / 2)
    error = ((middle - half_a - half_b) ** 2).sum((1, 2)) / ((half_a - half_b) ** 2).sum((1, 2))
    return [error.mean().item(), float((count_blobs(middle.numpy()) == 2).mean())]


# ---------------------------------------------------------------- commitment


def entropy(p: Tensor) -> Tensor:
    """Entropy of a coin with probability p, in bits; p outside of [0, 1] counts as 0 or 1."""
    p = p.clamp(1e-12, 1 - 1e-7)  # float32 has nothing nearer to 1, so the logarithms are finite
    return -(p * p.log2() + (1 - p) * (1 - p).log2())


@torch.no_grad()
def measure_commitment(settings: FlowSettings) -> dict[str, Any]:
    """When the direction is decided.

    Returns:
        "curves", the mean entropy over TIMES of the exact posterior and of the learned share q, on
        1000 noisy true videos, and "halfway", when each falls below half a bit; "t_S"; of 100
        generated videos at step 20, the shares with two or more squares of frames 1 and 2 in the
        posterior mean, of the same frames in the state, and of frames 4 in the state ("several at
        step 20"); and the "mean excess" loss of the flow.
    """
    network, space, checkpoint = flow.load_or_train(settings)
    rng, n = np.random.default_rng((settings.seed, 9)), 1000
    torch.manual_seed(settings.seed)
    direction = (torch.rand(n) >= settings.ccw_share).long()
    law = true_law(space, random_first_centers(n, rng, settings.range), direction)
    noise = torch.randn_like(law.z_ccw)
    curves: dict[str, list[float]] = {"exact": [], "learned": []}
    for time in TIMES:
        t = torch.full((n, 1), time)
        x = interpolate(law.continuation(direction), noise, t)
        curves["exact"].append(entropy(law.posterior(x, t)).mean().item())
        curves["learned"].append(entropy(law.share(network(x, law.given, t))).mean().item())
    fresh = fresh_samples(settings, 100)
    mean, state = (
        count_blobs(fresh.space.decode(x[20]).numpy()) >= 2 for x in (fresh.means, fresh.states)
    )
    several = [mean[:, :2].mean(), state[:, :2].mean(), state[:, FRAME_4].mean()]
    return {
        "t_S": law.signal_time().mean().item(),
        "curves": [curves["exact"], curves["learned"]],
        "halfway": [halfway(TIMES, curves["exact"]), halfway(TIMES, curves["learned"])],
        "several at step 20": [float(share) for share in several],
        "mean excess": float(np.mean(checkpoint["metrics"]["excess"])),
    }


# ---------------------------------------------------------------- the opening picture


def measure_steps(settings: FlowSettings) -> np.ndarray:
    """Frames 1 to 4 of one video at steps 0 to 50, (2, 51, 4, 51, 51): state, posterior mean. It is
    the first of the fresh samples with radius above MIN_RADIUS."""
    fresh = fresh_samples(settings, 20)
    i = int(np.argmax(np.linalg.norm(fresh.centers, axis=1) > MIN_RADIUS))
    return np.stack(
        [fresh.space.decode(x[:, i])[:, :4].numpy() for x in (fresh.states, fresh.means)]
    )
