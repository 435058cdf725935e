"""Representing is not showing: what the flow knows, and what its decoder draws of it.

    python -m study.representing      # figures/representing.png and .json

A flow that is trained by squared error outputs the mean over the possible videos, at any d. So the
share q that the posterior mean gives to one direction should be calibrated whatever d and decoder
are. Whether that mean is seen as two squares is up to the decoder alone: it is asked, without any
flow, what it draws for the midpoint of two latents, which is what a right flow outputs at step 0.
Both are measured for eight dimensions and for 0, 1 and 2 hidden layers before and behind the latent.
"""

from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

import autoencoder
import flow
from analyze import BLUE, GREEN, GREY, ORANGE, RECIPES, RED, SweepSettings, count_blobs, measure
from autoencoder import AutoencoderSettings, encode_centers
from data import orbits, random_first_centers
from flow import ExactFlow, FlowSettings, exact_flow
from sample import decode_videos, sample
from study import command, means
from study.superposition import FRAMES, MIN_RADIUS

DIMS = (2, 3, 4, 8, 16, 32, 64, 100)
DEPTHS = (0, 1, 2)
APART = 0.4  # from this radius on, the squares of the two directions don't touch


def ccw_fraction(exact: ExactFlow, mean: Tensor) -> Tensor:
    """q = (mean - z_cw) . delta / |delta|^2, (n,), delta = z_ccw - z_cw: where on the line from
    z_cw (0) to z_ccw (1) a posterior mean (n, D) lies. The exact one lies at its posterior."""
    z_ccw, z_cw = exact.continuations.unbind(1)
    delta = z_ccw - z_cw
    return ((mean - z_cw) * delta).sum(1) / (delta**2).sum(1)


def speciation_time(exact: ExactFlow) -> Tensor:
    """t_S = 1 / (1 + |delta| / 2), (n,), the speciation time (arXiv:2402.18491) of two points:
    each then is one standard deviation of the noise away from the middle between the two."""
    z_ccw, z_cw = exact.continuations.unbind(1)
    return 1 / (1 + (z_ccw - z_cw).norm(dim=1) / 2)


def reliability(predicted: np.ndarray, label: np.ndarray) -> tuple[float, np.ndarray]:
    """Is what is told p, right in a share p of the cases?

    Args:
        predicted: (n,), about 0 to 1.
        label: (n,), 0 or 1.

    Returns:
        The expected calibration error over ten bins of the prediction; and for each bin the count,
        the sum of the predictions and the sum of the labels, (10, 3).
    """
    bins = np.clip((10 * predicted).astype(int), 0, 9)
    values = (np.ones(len(predicted)), predicted, label)
    sums = np.stack([np.bincount(bins, value, minlength=10) for value in values], axis=1)
    return float(np.abs(sums[:, 1] - sums[:, 2]).sum() / len(predicted)), sums


def calibration(settings: FlowSettings) -> dict[str, Any]:
    """1000 noisy videos x_t with known direction, radius above MIN_RADIUS, t uniform up to twice
    t_S (at most 0.9): reliability() of the exact posterior and of q, the counter-clockwise fraction
    of the learned posterior mean; how far q is from the exact posterior, and how far ccw_share, all
    that one knows without x_t, is (means); and "q at 0", the mean of q at t = 0."""
    network, space = flow.load_or_train(settings)
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
    times = 2 * speciation_time(exact)[:, None].clamp_max(0.45) * uniform
    x = times * z + (1 - times) * noise
    with torch.no_grad():
        q = ccw_fraction(exact, network(x, exact.given, times))
        at_0 = ccw_fraction(exact, network(noise, exact.given, 0 * times))
    posterior = exact.posterior(x, times)[:, 0]
    exact_error, _ = reliability(posterior.numpy(), ccw)
    q_error, bins = reliability(q.numpy(), ccw)
    return {
        "exact error": exact_error,
        "q error": q_error,
        "q bins": bins,
        "q to exact": (q - posterior).abs().mean().item(),
        "prior to exact": (settings.ccw_share - posterior).abs().mean().item(),
        "q at 0": at_0.mean().item(),
    }


def second_square(settings: FlowSettings) -> dict[str, Any]:
    """What is "shown": of the generated frames where the directions differ, 200 videos, radius
    above APART, the shares with one, and with two or more squares in the posterior mean at step 0,
    (2,)."""
    network, space = flow.load_or_train(settings)
    samples = sample(network, space, 200, np.random.default_rng((settings.seed, 5)), steps=1)
    far = np.linalg.norm(samples.given_centers[:, 0], axis=1) > APART
    generated = [i for i in FRAMES if i >= settings.given_frames]
    frames = decode_videos(space, samples.given_centers[far], samples.posterior_means[0][far])
    count = count_blobs(frames[:, generated])
    return {"shown": [(count == 1).mean(), (count >= 2).mean()]}


def additivity(settings: AutoencoderSettings) -> dict[str, Any]:
    """Relative "additivity error" of the midpoint of two latents, |dec(a/2 + b/2) - dec(a)/2 -
    dec(b)/2|^2 / |dec(a)/2 - dec(b)/2|^2, for squares of the two directions (400 first frames,
    radius above APART); and the share of "midpoints" that show exactly two squares."""
    model = autoencoder.load_or_train(settings)
    first = random_first_centers(400, np.random.default_rng((settings.seed, 8)), settings.range)
    first = first[np.linalg.norm(first, axis=1) > APART]
    both = orbits(first)[:, :, [1, 2, 3]].swapaxes(0, 1).reshape(2, -1, 2)
    a, b = encode_centers(model, both, settings)
    with torch.no_grad():
        middle, at_a, at_b = (model.decode(z) for z in ((a + b) / 2, a, b))
    error = ((middle - at_a / 2 - at_b / 2) ** 2).sum((1, 2))
    return {
        "additivity error": (error / ((at_a - at_b) ** 2 / 4).sum((1, 2))).mean().item(),
        "midpoints": (count_blobs(middle.numpy()) == 2).mean(),
    }


def measure_all(settings: FlowSettings) -> dict[str, Any]:
    """All three, of one network."""
    return calibration(settings) | second_square(settings) | additivity(settings)


def analysis(settings: SweepSettings) -> tuple[dict[str, Any], Figure]:
    """Eight dimensions times three depths, and controls."""

    def grid(**changes: Any) -> dict[str, list[FlowSettings]]:
        return {
            f"d = {d}, {depth} hidden": settings.flows(embed_dim=d, hidden_layers=depth, **changes)
            for depth in DEPTHS
            for d in DIMS
        }

    plain = {
        f"d = {dim}, plain": settings.flows(embed_dim=dim, **RECIPES["plain"]) for dim in (2, 100)
    }
    given = {
        f"d = {d}, two given frames": settings.flows(embed_dim=d, given_frames=2) for d in (2, 100)
    }
    numbers = {
        "cases": means(measure(measure_all, grid() | plain, settings.dask)),
        "80 % ccw": means(measure(calibration, grid(ccw_share=0.8), settings.dask)),
        "two given frames": means(measure(second_square, given, settings.dask)),
    }
    return numbers, draw(numbers)


def draw(numbers: dict[str, Any]) -> Figure:
    """q against how often it was right, and what is seen against the decoder's midpoints."""
    figure = Figure((8.3, 4.4), layout="constrained")
    known, seen = figure.subplots(1, 2)
    for plot in (known, seen):
        plot.plot([0, 1], [0, 1], color=GREY, lw=1)
    for dim, color in ((2, GREEN), (100, BLUE)):
        for group, share, marker in (("cases", 50, "o"), ("80 % ccw", 80, "s")):
            bins = np.array(numbers[group][f"d = {dim}, 0 hidden"]["q bins"]["mean"])
            count, predicted, label = bins[bins[:, 0] > 10].T  # fewer in a bin say little
            name = f"d = {dim}, {share} % ccw"
            known.plot(predicted / count, label / count, marker, ms=5, color=color, label=name)
    known.set(xlabel="q, the posterior mean's share of counter-clockwise")
    known.set(ylabel="share that is counter-clockwise")
    known.set_title("Where q says 70 %, about 70 % are,\nat d = 2 and at d = 100")
    known.legend()
    for depth, color, marker in zip(DEPTHS, ("black", ORANGE, RED), "os^"):
        cases = [numbers["cases"][f"d = {dim}, {depth} hidden"] for dim in DIMS]
        x = [value["midpoints"]["mean"] for value in cases]
        y = [value["shown"]["mean"][1] for value in cases]
        seen.plot(x, y, marker, color=color, label=f"d = 2 to 100, {depth} hidden layers")
        if depth == 0:
            for dim, *point in zip(DIMS, x, y):
                if dim not in (3, 64):  # beside their neighbours
                    seen.annotate(f"{dim}", point, (6, -10), textcoords="offset points")
    cases = [numbers["cases"][f"d = {dim}, plain"] for dim in (2, 100)]
    x, y = ([value["midpoints"]["mean"] for value in cases], [v["shown"]["mean"][1] for v in cases])
    seen.plot(x, y, "x", color=BLUE, label="plain, d = 2 and 100")
    seen.set_xlim(-0.05, 1.12)
    seen.set(xlabel="decoder alone: midpoints with two squares")
    seen.set(ylabel="two squares in the posterior mean, step 0")
    seen.set_title("What is seen is what the decoder draws\nfor midpoints (numbers: d)")
    seen.legend()
    return figure


if __name__ == "__main__":
    command(analysis, "representing")
