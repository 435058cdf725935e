"""When is the direction decided?

    python -m study.commitment      # figures/commitment.png and .json

The noise shrinks as 1 - t while the two possible videos move apart as t delta; at the speciation
time t_S = 1 / (1 + |delta| / 2) (arXiv:2402.18491) each is one standard deviation of the noise from
the middle between them. Two things are measured. On noisy true videos: when the entropy of the
direction falls to half a bit, by the exact posterior and by q of the learned flow. On the sampler's
own path, where the noise of step 0 has settled everything: replace the noise that is left in the
state of step k by fresh noise, sample on, and see how often the direction stays.

All times belong to latents of a stated scale; at d = 2 and range 0.8 the post's spread by about 5, by
the axes of its figure. For the exact posterior the entropy at t_S is about half a bit by definition
of t_S; what is tested is the learned flow.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from torch import Tensor

import flow
from analyze import BLUE, GREEN, GREY, ORANGE, SweepSettings, measure
from data import random_first_centers
from flow import ExactFlow, FlowNetwork, FlowSettings, LatentSpace, exact_flow
from sample import euler_steps, sample
from study import command, means
from study.representing import ccw_fraction, speciation_time

TIMES = [k / 50 for k in range(45)]
DIMS = (2, 8, 32, 100)
SCALES = ((2, 0.5), (2, 5.0), (100, 0.7))  # d and latent scale; the last two as raw latents have
LENGTHS = (100, 300)
BRANCH_STEPS = (0, 1, 2, 3, 4, 6, 8, 10, 13, 16, 20, 25, 30)
BRANCHES = 32
BRANCHED = ("d = 2", "d = 2, scale 5.0", "d = 100", "d = 100, scale 0.7")
ON_THE_RIGHT = ("d = 32", "d = 2, scale 5.0")  # labels in the figure


def entropy(p: Tensor) -> Tensor:
    """Entropy of a coin with probability p, in bits; p outside of [0, 1] counts as 0 or 1."""
    p = p.clamp(1e-12, 1 - 1e-7)  # float32 has nothing nearer to 1, so the logarithms are finite
    return -(p * p.log2() + (1 - p) * (1 - p).log2())


def halfway(times: Sequence[float], values: Sequence[float]) -> float:
    """The first time at which the curve is below 1/2, interpolated; 1, the end, if never."""
    below = int(np.argmax(np.array(values) < 0.5))
    if values[below] >= 0.5:
        return 1.0
    before = max(below - 1, 0)
    return float(np.interp(0.5, [values[below], values[before]], [times[below], times[before]]))


def measure_commitment(settings: FlowSettings) -> dict[str, Any]:
    """On 1000 noisy true videos, when the mean entropy of the direction falls below half a bit, by
    the exact posterior and by the learned share q: "halfway", (2,); "t_S"; and the "mean excess"
    loss of the flow."""
    network, space = flow.load_or_train(settings)
    rng, n = np.random.default_rng((settings.seed, 9)), 1000
    centers = random_first_centers(n, rng, settings.range)
    direction = torch.from_numpy((rng.random(n) >= settings.ccw_share).astype(int))
    exact = exact_flow(space, centers, direction)
    z = exact.continuations[torch.arange(n), direction]
    noise = torch.from_numpy(rng.standard_normal(z.shape, dtype=np.float32))
    curves: list[list[float]] = [[], []]
    for time in TIMES:
        t = torch.full((n, 1), time)
        x = t * z + (1 - t) * noise
        q = ccw_fraction(exact, network(x, exact.given, t).detach())
        for curve, p in zip(curves, (exact.posterior(x, t)[:, 0], q)):
            curve.append(entropy(p).mean().item())
    return {
        "t_S": speciation_time(exact).mean().item(),
        "halfway": [halfway(TIMES, curve) for curve in curves],
        "mean excess": np.mean(flow.loss_by_time(network, space)["excess"]),
    }


@torch.no_grad()
def branches(network: FlowNetwork | None, space: LatentSpace) -> list[float]:
    """The state of each of BRANCH_STEPS is taken apart into posterior mean and noise, the noise is
    drawn anew BRANCHES times, and each is sampled on from there, by the network or, if None, by the
    exact flow: the share of 32 videos' branches that take the direction of the first time."""
    rng = np.random.default_rng((space.settings.seed, 13))
    samples = sample(network, space, 32, rng)
    parts = (samples.exact.given, samples.exact.continuations, samples.exact.prior)
    exact = ExactFlow(*(part.repeat_interleave(BRANCHES, 0) for part in parts))

    def posterior_mean(x: Tensor, t: Tensor) -> Tensor:
        return network(x, exact.given, t) if network else exact.posterior_mean(x, t)

    def is_ccw(x: Tensor) -> Tensor:
        return ccw_fraction(exact, x) > 0.5

    first = is_ccw(samples.states[-1].repeat_interleave(BRANCHES, 0))
    kept = []
    for k in BRANCH_STEPS:
        mean = samples.posterior_means[k].repeat_interleave(BRANCHES, 0)
        noise = torch.from_numpy(rng.standard_normal(mean.shape, dtype=np.float32))
        x = k / 50 * mean + (1 - k / 50) * noise
        *_, (end, _) = euler_steps(posterior_mean, x, 50, start=k)
        kept.append((is_ccw(end) == first).float().mean().item())
    return kept


def measure_branches(settings: FlowSettings) -> dict[str, Any]:
    """The shares "kept" of branches(), by the exact and by the learned flow, (2, steps)."""
    network, space = flow.load_or_train(settings)
    return {"kept": [branches(None, space), branches(network, space)]}


def analysis(settings: SweepSettings) -> tuple[dict[str, Any], Figure]:
    """Over dimension, latent scale and training length."""
    cases = {f"d = {dim}": settings.flows(embed_dim=dim) for dim in DIMS}
    for dim, scale in SCALES:
        name = f"d = {dim}, scale {scale}"
        cases[name] = settings.flows(embed_dim=dim, latent_scale=scale)
    branched = {name: jobs for name, jobs in cases.items() if name in BRANCHED}
    for dim in (2, 100):
        for length in LENGTHS:
            name = f"d = {dim}, {length} steps"
            cases[name] = settings.flows(embed_dim=dim, flow_steps=length)
    numbers = means(measure(measure_commitment, cases, settings.dask))
    for name, value in means(measure(measure_branches, branched, settings.dask)).items():
        numbers[name] |= value
    return numbers, draw(numbers)


def draw(numbers: dict[str, Any]) -> Figure:
    """Predicted against measured times, with named points; and the branches that keep their way."""
    figure = Figure((8.3, 4.6), layout="constrained")
    line, branching = figure.subplots(1, 2)
    line.plot([2, 30], [2, 30], color=GREY, lw=1, label="as predicted")
    timed = {name: value for name, value in numbers.items() if not name.endswith("steps")}
    x = [50 * value["t_S"]["mean"] for value in timed.values()]
    for i, (which, look, color) in enumerate((("exact", "s", GREY), ("learned", "o", BLUE))):
        y = [50 * value["halfway"]["mean"][i] for value in timed.values()]
        line.plot(x, y, look, color=color, label=which)
    for name, *point in zip(timed, x, y):
        side, offset = ("left", 8) if name in ON_THE_RIGHT else ("right", -8)
        line.annotate(name, point, (offset, -3), textcoords="offset points", ha=side)
    line.set(xlabel="predicted: $t_S$, in steps of 50", ylabel="direction decided, in steps of 50")
    line.set_title("Half a bit is left at $t_S$; in the learned\nflow at large d a little later")
    line.set(xscale="log", yscale="log", xlim=(0.4, 60), ylim=(2, 30))
    for axis in (line.xaxis, line.yaxis):
        axis.set_ticks([3, 5, 10, 20], ["3", "5", "10", "20"])
        axis.set_minor_locator(NullLocator())
    line.legend()
    for name, color in zip(BRANCHED, (GREEN, ORANGE, BLUE, GREY)):
        kept = numbers[name]["kept"]
        for mean, std, look, label in zip(kept["mean"], kept["std"], ("--", "o-"), (None, name)):
            branching.errorbar(
                BRANCH_STEPS, mean, std, fmt=look, ms=3, lw=1.2, color=color, label=label
            )
        mean = kept["mean"][1]
        for times, marker in ((1, "*"), (2, "X")):
            step = 50 * times * numbers[name]["t_S"]["mean"]
            here = np.interp(step, BRANCH_STEPS, mean, right=np.nan)
            branching.plot(step, here, marker, ms=10, color=color)
    branching.plot([], [], "k--", lw=1.2, label="the same, exact flow")
    branching.plot([], [], "k*", ms=10, label="at $t_S$")
    branching.plot([], [], "kX", ms=10, label="at twice $t_S$")
    branching.set(xlabel="sampling step k whose noise is drawn anew")
    branching.set(ylabel="share that keeps the direction")
    branching.set_title("Fresh noise still turns some videos at $t_S$,\nfewer at twice that time")
    branching.legend(loc="lower right")
    return figure


if __name__ == "__main__":
    command(analysis, "commitment")
