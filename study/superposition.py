"""Are the extra squares the other direction?

    python -m study.superposition      # figures/superposition.png and .json

Counted are blobs at the place where the square would be if it went the other way. The negative
control is a place beside it, where neither direction comes; the positive control is the place that
the video does take; the null is decoded noise. Frame 4 is the same for both directions, so it must
not show a second square. Then: is the share of a direction in the posterior mean calibrated, and
does the decoder draw the mean of two latents as two squares?
"""

from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

import flow
from analyze import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RECIPES,
    RED,
    SweepSettings,
    count_blobs,
    find_blobs,
    measure,
    over_seeds,
    write,
)
from autoencoder import AutoencoderSettings, encode_centers, load_or_train
from data import orbits, random_first_centers, render, run
from flow import FlowSettings, LatentSpace, exact_flow, interpolate
from sample import decode_videos, sample

STEPS = [0, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50]
DIMS = (2, 3, 8, 32, 100)
# A blob "is at" a place that is closer than a quarter of a side. Control places are 22.5 degrees
# off, and from radius 0.55 on the neighbourhoods of places and controls don't touch.
TOLERANCE, MIN_RADIUS = 0.1, 0.55
APART = 0.4  # from this radius on, the squares of the two directions don't touch either
FRAMES = [1, 2, 3, 5, 6, 7]  # where the two directions differ; in frame 4 they meet


# ---------------------------------------------------------------- blobs at places


def turned(places: np.ndarray, degrees: float) -> np.ndarray:
    """Places (..., 2) turned around the origin, counter-clockwise."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return places @ np.array([[c, s], [-s, c]])


def blob_near(frames: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Is there a blob whose middle is closer than TOLERANCE to a place?

    Args:
        frames: (n, f, 51, 51).
        places: (n, f, k, 2), for each frame k places.

    Returns:
        (n, f, k) booleans.
    """
    flat = places.reshape(-1, *places.shape[-2:])
    frame, center = find_blobs(frames.reshape(-1, *frames.shape[-2:]))
    near = np.linalg.norm(flat[frame] - center[:, None], axis=-1) < TOLERANCE
    found = np.zeros(flat.shape[:2], dtype=bool)
    np.logical_or.at(found, frame, near)
    return found.reshape(places.shape[:-1])


def contrast(frames: np.ndarray, taken: np.ndarray, other: np.ndarray) -> list[float]:
    """Five shares: of frames 1-3, 5-7 with a blob at the other direction's place, at the controls
    beside it (mean of both), and at the taken place; of frames 4, and of frames 1-3, 5-7, with two
    or more blobs.

    Args:
        frames: (n, 8, 51, 51).
        taken, other: centres of the direction that the videos take, and of the other, (n, 8, 2).
    """
    places = np.stack([other, turned(other, 22.5), turned(other, -22.5), taken], axis=2)
    near = blob_near(frames[:, FRAMES], places[:, FRAMES]).mean((0, 1))
    several = (count_blobs(frames) > 1).mean(0)
    return [near[0], near[1:3].mean(), near[3], several[4], several[FRAMES].mean()]


def measure_contrast(settings: FlowSettings) -> dict[str, Any]:
    """contrast() at STEPS, (steps, 5), of the learned and the exact flow, in the state and in the
    posterior mean, and of decoded noise, the "null"; 200 videos, of which those with radius above
    MIN_RADIUS count (about 42 %). The direction taken is the one whose true video is nearer to the
    finished one. "second square": shares of frames with one, and with two or more squares, radius
    above APART, in the learned posterior mean, (steps, 2)."""
    network, space, _ = flow.load_or_train(settings)
    result: dict[str, Any] = {}
    for which in ("exact", "learned"):
        rng = np.random.default_rng((settings.seed, 5))
        samples = sample(network if which == "learned" else None, space, 200, rng)
        centers = samples.given_centers[:, 0]
        radius = np.linalg.norm(centers, axis=1)
        distance = (samples.states[-1][:, None] - samples.exact.continuations).norm(dim=2)
        direction, both = distance.argmin(1).numpy(), orbits(centers)
        n, far = np.arange(len(both)), radius > MIN_RADIUS
        taken, other = both[n, direction][far], both[n, 1 - direction][far]
        for name, latents in (("state", samples.states), ("mean", samples.posterior_means)):
            frames = {k: decode_videos(space, samples, latents[k]) for k in STEPS}
            result[f"{which} {name}"] = [contrast(frames[k][far], taken, other) for k in STEPS]
    counts = [count_blobs(frames[k][radius > APART][:, FRAMES]) for k in STEPS]
    result["second square"] = [[(count == 1).mean(), (count >= 2).mean()] for count in counts]
    noise = torch.from_numpy(rng.standard_normal(samples.states[0].shape, dtype=np.float32))
    result["null"] = contrast(decode_videos(space, samples, noise)[far], taken, other)
    return result


def measure_second_square(settings: FlowSettings) -> dict[str, Any]:
    """Only the "second square" at step 0, of generated frames where the directions differ, (2,)."""
    network, space, _ = flow.load_or_train(settings)
    samples = sample(network, space, 200, np.random.default_rng((settings.seed, 5)))
    far = np.linalg.norm(samples.given_centers[:, 0], axis=1) > APART
    generated = [i for i in FRAMES if i >= settings.given_frames]
    frames = decode_videos(space, samples, samples.posterior_means[0])[far][:, generated]
    count = count_blobs(frames)
    return {"second square": [[(count == 1).mean(), (count >= 2).mean()]]}


# ---------------------------------------------------------------- calibration


def reliability(predicted: np.ndarray, label: np.ndarray) -> tuple[float, np.ndarray]:
    """Is what is told p, right in a share p of the cases?

    Args:
        predicted: (n,), NaN where nothing is told.
        label: (n,), 0 or 1.

    Returns:
        The expected calibration error over ten bins of the prediction; and for each bin the count,
        the sum of the predictions and the sum of the labels, (10, 3).
    """
    known = np.isfinite(predicted)
    bins = np.clip((10 * predicted[known]).astype(int), 0, 9)
    values = (np.ones(known.sum()), predicted[known], label[known])
    sums = np.stack([np.bincount(bins, value, minlength=10) for value in values], axis=1)
    return float(np.abs(sums[:, 1] - sums[:, 2]).sum() / max(known.sum(), 1)), sums


def brightness_fraction(space: LatentSpace, latents: Tensor, both: np.ndarray) -> np.ndarray:
    """Light at the counter-clockwise places over the light at both, (n,), frames 1-3, 5-7; NaN
    where there is less than one pixel of light.

    Args:
        latents: (n, D), of frames 1 to 7.
        both: (n, 2, 8, 2), the places of both directions; light is summed over a square there.
    """
    frames = space.decode(latents).clamp(0, 1).numpy()[:, [i - 1 for i in FRAMES]]
    masks = render(both[:, :, FRAMES], space.settings)
    light = (frames[:, None] * masks).sum((2, 3, 4))
    total = light.sum(1)
    return np.where(total > 1, light[:, 0] / np.maximum(total, 1e-9), np.nan)


def calibration(settings: FlowSettings) -> dict[str, Any]:
    """1000 noisy videos x_t with known direction, radius above MIN_RADIUS, t uniform up to twice
    t_S (at most 0.9): reliability() of the exact posterior, of q, the counter-clockwise fraction of
    the learned posterior mean, and of the brightness at the counter-clockwise places in it; and
    "at t = 0", the means of q and brightness (no light counts as 1/2)."""
    network, space, _ = flow.load_or_train(settings)
    rng = np.random.default_rng((settings.seed, 7))
    first = random_first_centers(4000, rng, settings.range)
    centers = first[np.linalg.norm(first, axis=1) > MIN_RADIUS][:1000]
    n = len(centers)
    ccw = rng.random(n) < settings.ccw_share
    direction = torch.from_numpy((~ccw).astype(int))
    exact = exact_flow(space, centers, direction)
    z = exact.continuations[torch.arange(n), direction]
    noise = torch.from_numpy(rng.standard_normal(z.shape, dtype=np.float32))
    uniform = torch.from_numpy(rng.random((n, 1), dtype=np.float32))
    result: dict[str, Any] = {}
    for times in (2 * exact.decision_time()[:, None].clamp_max(0.45) * uniform, 0 * uniform):
        x = interpolate(z, noise, times)
        mean = network(x, exact.given, times).detach()
        told = {"exact": exact.posterior(x, times)[:, 0].numpy()}
        told |= {"q": exact.ccw_fraction(mean).numpy()}
        told |= {"brightness": brightness_fraction(space, mean, orbits(centers))}
        if not result:
            for name, predicted in told.items():
                error, bins = reliability(predicted, ccw)
                result |= {f"{name} error": error, f"{name} bins": bins}
    light = np.nan_to_num(told["brightness"], nan=0.5)
    return result | {"at t = 0": [told["q"].mean(), light.mean()]}


# ---------------------------------------------------------------- the decoder alone


def additivity(settings: AutoencoderSettings) -> dict[str, Any]:
    """Relative additivity error of the midpoint of two latents, |dec(a/2 + b/2) - dec(a)/2 -
    dec(b)/2|^2 / |dec(a)/2 - dec(b)/2|^2, for squares of the two directions (400 first frames,
    radius above APART); the share of "midpoints" that show exactly two squares; and the "midpoint
    brightness", the light of the midpoint at both places over that of each square alone at its own:
    1/2 if the decoder is additive."""
    model, _ = load_or_train(settings)
    first = random_first_centers(400, np.random.default_rng((settings.seed, 8)), settings.range)
    first = first[np.linalg.norm(first, axis=1) > APART]
    both = orbits(first)[:, :, [1, 2, 3]].swapaxes(0, 1).reshape(2, -1, 2)
    a, b = encode_centers(model, both, settings)
    with torch.no_grad():
        middle, half_a, half_b = (model.decode(z) for z in ((a + b) / 2, a, b))
        half_a, half_b = half_a / 2, half_b / 2
    error = ((middle - half_a - half_b) ** 2).sum((1, 2)) / ((half_a - half_b) ** 2).sum((1, 2))
    at_a, at_b = (torch.from_numpy(render(places, settings)) for places in both)
    alone = 2 * (half_a * at_a + half_b * at_b).sum((1, 2))
    return {
        "additivity error": error.mean().item(),
        "midpoints": (count_blobs(middle.numpy()) == 2).mean(),
        "midpoint brightness": ((middle * (at_a + at_b)).sum((1, 2)) / alone).mean().item(),
    }


# ---------------------------------------------------------------- numbers and figure


def analysis(settings: SweepSettings) -> tuple[dict[str, Any], Figure]:
    """Contrast, calibration and the decoder, for d = 2 and 100, and controls."""
    main = {f"d = {dim}": settings.flows(embed_dim=dim) for dim in (2, 100)}
    deep = {"d = 100, two hidden layers": settings.flows(embed_dim=100, hidden_layers=2)}
    plain = {"d = 100, plain": settings.flows(embed_dim=100, **RECIPES["plain"])}
    given = {
        f"d = {dim}, two given frames": settings.flows(embed_dim=dim, given_frames=2)
        for dim in (2, 100)
    }
    skewed = {
        f"d = {dim}, 80 % ccw": settings.flows(embed_dim=dim, ccw_share=0.8) for dim in (2, 100)
    }
    decoders = {f"d = {dim}": settings.flows(embed_dim=dim) for dim in DIMS} | deep | plain
    numbers: dict[str, Any] = {"steps": STEPS}
    for name, function, cases in (
        ("contrast", measure_contrast, main | deep | plain),
        ("second square", measure_second_square, given),
        ("calibration", calibration, main | skewed),
        ("decoder", additivity, decoders),
    ):
        runs = measure(function, cases, settings.dask)
        numbers[name] = {case: over_seeds(seeds) for case, seeds in runs.items()}
    return numbers, draw(numbers)


def draw(numbers: dict[str, Any]) -> Figure:
    """Blobs at the places in the posterior mean and in the state, calibration, and the decoders."""
    figure = Figure((8.5, 7.5), layout="constrained")
    (mean, state), (calibrated, decoders) = figure.subplots(2, 2)
    contrast = numbers["contrast"]["d = 100"]
    for plot, readout in ((mean, "mean"), (state, "state")):
        for which, color in (("exact", ORANGE), ("learned", BLUE)):
            value = contrast[f"{which} {readout}"]
            for i, style in enumerate(("o-", "x:", "--")):
                label = f"{which}: {('the other place', 'controls', 'the taken place')[i]}"
                y, error = value["mean"][:, i], value["std"][:, i]
                plot.errorbar(STEPS, y, error, fmt=style, ms=4, color=color, label=label)
        plot.set(xlabel="sampling step", ylabel="share of frames with a blob there")
    mean.set_title("d = 100: the posterior mean\nstarts with both directions")
    mean.legend(fontsize=8)
    null = contrast["null"]["mean"][0]
    line = state.axhline(null, color=GREY, label="null: the other place in decoded noise")
    state.legend(handles=[line], fontsize=8)
    state.set_title("d = 100: the state shows the place\nthat is taken, and the other one rarely")
    state.set(yscale="log", ylim=(1e-3, 1.2))
    calibrated.plot([0, 1], [0, 1], color=GREY, lw=1)
    for dim, color in ((2, GREEN), (100, BLUE)):
        for name, marker in ((f"d = {dim}", "o"), (f"d = {dim}, 80 % ccw", "s")):
            count, predicted, label = numbers["calibration"][name]["q bins"]["seeds"].sum(0).T
            x, y = predicted / np.maximum(count, 1), label / np.maximum(count, 1)
            calibrated.plot(x[count > 0], y[count > 0], marker, color=color, ms=5, label=name)
    calibrated.set(xlabel="q, told share of counter-clockwise", ylabel="how often it was")
    calibrated.set_title("The told share is nearly right\nat d = 2 and at d = 100")
    calibrated.legend()
    for name, value in numbers["decoder"].items():
        dim, _, kind = name.removeprefix("d = ").partition(", ")
        marker, hue = {"": ("o", BLUE), "two hidden layers": ("s", RED)}.get(kind, ("D", GREEN))
        shown = kind or ("this repo" if dim == "2" else None)
        y, error = value["midpoints"]["mean"], value["midpoints"]["std"]
        decoders.errorbar(int(dim), y, error, fmt=marker, ms=5, color=hue, label=shown)
    decoders.set(xscale="log", xlabel="embedding dimension d", ylim=(-0.03, 1.03))
    decoders.set(ylabel="midpoints with two squares")
    decoders.set_title("Midpoints of latents show two squares\nif d is large, the decoder shallow")
    decoders.legend()
    return figure


def main(settings: SweepSettings) -> None:
    """Write the figure and the numbers."""
    write(analysis, settings, "superposition")


if __name__ == "__main__":
    run(main, SweepSettings)
