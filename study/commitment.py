"""When is the direction decided?

    python -m study.commitment      # out/commitment.png and .json

The noise shrinks as 1 - t while the two possible videos move apart as t delta; at the speciation
time t_S = 1 / (1 + |delta| / 2) (arXiv:2402.18491) each is one standard deviation of the noise from
the middle between them. Two things are measured.

On noisy true videos: the cross-entropy, how many bits the true direction costs under q, the learned
share, and under the exact posterior. It is 1 while nothing is known, and 0 once all is. A flow that
is sure of the wrong direction pays for it. (The entropy of q itself would call that decided.) What
is told is the time at which it falls below half a bit.

On the sampler's own path, where the noise of step 0 has settled everything: the noise that is
left in the state of step k is replaced by fresh noise, and sampled on. How often does the
direction stay?

All times belong to latents of a stated scale; at d = 2 and range 0.8 the post's spread by about 5,
by the axes of its figure. For the exact posterior, that about half a bit is open at t_S nearly
follows from what t_S is; what is tested is the learned flow.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from torch import Tensor

from analyze import BLUE, GREEN, GREY, SweepSettings, measure
from data import new_figure, random_first_centers
from flow import (
    FlowNetwork,
    FlowSettings,
    LatentSpace,
    loss_by_time,
    possible_futures,
    posterior,
    posterior_mean,
    speciation_time,
    trained_flow,
)
from sample import Flow, euler_steps, random_given_centers, random_noise, sample
from study.measures import both_flows, ccw_fraction, study_stream, true_videos
from study.question import Numbers, Pictures, Runs, command, markdown_table, spread

STEPS = 50
TIMES = [k / STEPS for k in range(45)]
CLIP = (
    1e-3  # shares are kept this far from 0 and 1, so that no single video costs more than 10 bits
)
DIMS = (2, 8, 100)
SCALES = (0.5, 5.0)  # at d = 2; the last one as the post's raw latents have
LENGTHS = (100, 300)
BRANCH_STEPS = (0, 1, 2, 3, 4, 6, 8, 10, 13, 16, 20, 25, 30)
BRANCHES = 32
BRANCHED = ("d = 2", "d = 100")
ON_THE_RIGHT = ("d = 2, scale 5.0",)  # labels in the figure


def cross_entropy(p_ccw: Tensor, is_ccw: Tensor) -> float:
    """How many bits the true direction costs on average: the mean of -log2 of the share that it was
    given, once this is clipped to [CLIP, 1 - CLIP].

    Args:
        p_ccw: (n,), the share that counter-clockwise was given, about 0 to 1.
        is_ccw: (n,), booleans, the truth.
    """
    p = p_ccw.clamp(CLIP, 1 - CLIP)
    return -torch.where(is_ccw, p, 1 - p).log2().mean().item()


def halfway(times: Sequence[float], values: Sequence[float]) -> float:
    """The first time at which the curve is below 1/2, interpolated; 1, the end, if never."""
    below = int(np.argmax(np.array(values) < 0.5))
    if values[below] >= 0.5:
        return 1.0
    before = max(below - 1, 0)
    return float(np.interp(0.5, [values[below], values[before]], [times[below], times[before]]))


@torch.no_grad()
def decided(network: FlowNetwork, space: LatentSpace) -> dict[str, Any]:
    """On 1000 noisy true videos: t_S, and when the cross-entropy of the direction falls below half
    a bit, under the exact posterior and under q of the learned flow; and the "mean excess" loss."""
    settings = space.settings
    rng = study_stream(settings.seed, "commitment")
    first_centers = random_first_centers(1000, rng, settings.center_range)
    videos = true_videos(space, first_centers, rng)
    z, is_ccw = videos.z, torch.from_numpy(videos.is_ccw)
    noise = torch.from_numpy(rng.standard_normal(z.shape, dtype=np.float32))
    exact_bits, learned_bits = [], []
    for time in TIMES:
        t = torch.full((len(z), 1), time)
        x = t * z + (1 - t) * noise
        exact = posterior(x, t, videos.futures, videos.prior)[:, 0]
        q = ccw_fraction(network(x, t, videos.given), videos.futures)
        exact_bits.append(cross_entropy(exact, is_ccw))
        learned_bits.append(cross_entropy(q, is_ccw))
    return {
        "t_S": speciation_time(videos.futures).mean().item(),
        "half a bit, exact": halfway(TIMES, exact_bits),
        "half a bit, learned": halfway(TIMES, learned_bits),
        "mean excess": np.mean(loss_by_time(network, space)["excess"]),
    }


@torch.no_grad()
def branches(network: FlowNetwork, space: LatentSpace) -> dict[str, np.ndarray]:
    """Of 32 sampled videos, the state of each of BRANCH_STEPS is taken apart into posterior mean
    and noise, the noise is drawn anew BRANCHES times, and each is sampled on from there; by the
    learned and by the exact flow, with the same noise.

    Returns:
        "kept, exact" and "kept, learned": for each of BRANCH_STEPS the share that takes the
            direction of the first time, (13,).
    """
    rng = study_stream(space.settings.seed, "branches")
    given_centers = random_given_centers(space.settings, 32, rng)
    start = random_noise(space, 32, rng)
    fresh = [random_noise(space, 32 * BRANCHES, rng) for _ in BRANCH_STEPS]
    # everything of the 32 videos, BRANCHES times
    parts = (*possible_futures(space, given_centers), space.encode(given_centers))
    futures, prior, given = (part.repeat_interleave(BRANCHES, 0) for part in parts)
    given = given.flatten(1)
    branching: dict[str, Flow] = {
        "exact": lambda x, t: posterior_mean(x, t, futures, prior),
        "learned": lambda x, t: network(x, t, given),
    }

    def is_ccw(x: Tensor) -> Tensor:
        return ccw_fraction(x, futures) > 0.5

    flows, kept = both_flows(network, space, given_centers), {}
    for name, flow in branching.items():
        samples = sample(flows[name], start, STEPS)
        first = is_ccw(samples.states[-1].repeat_interleave(BRANCHES, 0))
        shares = []
        for k, noise in zip(BRANCH_STEPS, fresh, strict=True):
            mean = samples.posterior_means[k].repeat_interleave(BRANCHES, 0)
            x = k / STEPS * mean + (1 - k / STEPS) * noise
            *_, (end, _) = euler_steps(flow, x, STEPS, start=k)
            shares.append((is_ccw(end) == first).float().mean().item())
        kept[f"kept, {name}"] = np.array(shares)
    return kept


def measure_decided(settings: FlowSettings) -> dict[str, Any]:
    """decided() of the flow of these settings."""
    return decided(*trained_flow(settings))


def measure_both(settings: FlowSettings) -> dict[str, Any]:
    """decided(), and the shares of branches() that keep their direction."""
    network, space = trained_flow(settings)
    return decided(network, space) | branches(network, space)


def analysis(settings: SweepSettings) -> Runs:
    """Over dimension, latent scale and training length."""
    cases = {f"d = {dim}": settings.flows(embed_dim=dim) for dim in DIMS}
    for scale in SCALES:
        cases[f"d = 2, scale {scale}"] = settings.flows(embed_dim=2, latent_scale=scale)
    for dim in (2, 100):
        for length in LENGTHS:
            name = f"d = {dim}, {length} steps"
            cases[name] = settings.flows(embed_dim=dim, flow_steps=length)
    branched = {name: cases[name] for name in BRANCHED}
    others = {name: jobs for name, jobs in cases.items() if name not in BRANCHED}
    runs = measure(measure_both, branched, settings.dask)
    runs |= measure(measure_decided, others, settings.dask)
    return {name: runs[name] for name in cases}


def draw(numbers: Numbers, pictures: Pictures) -> Figure:
    """Predicted against measured times, with named points; and the branches that keep their way."""
    figure = new_figure(8.3, 4.6)
    line, branching = figure.subplots(1, 2)
    line.plot([2, 30], [2, 30], color=GREY, lw=1, label="as predicted")
    timed = {name: value for name, value in numbers.items() if not name.endswith("steps")}
    x = [STEPS * value["t_S"]["mean"] for value in timed.values()]
    for which, look, color in (("exact", "s", GREY), ("learned", "o", BLUE)):
        y = [STEPS * value[f"half a bit, {which}"]["mean"] for value in timed.values()]
        line.plot(x, y, look, color=color, label=which)
    for name, *point in zip(timed, x, y, strict=True):  # y of the learned flow
        side, offset = ("left", 8) if name in ON_THE_RIGHT else ("right", -8)
        line.annotate(name, point, (offset, -3), textcoords="offset points", ha=side)
    line.set(xlabel="predicted: $t_S$, in steps of 50", ylabel="direction decided, in steps of 50")
    line.set_title("Half a bit is left at $t_S$; in the learned\nflow at large d a little later")
    line.set(xscale="log", yscale="log", xlim=(0.4, 60), ylim=(2, 30))
    for axis in (line.xaxis, line.yaxis):
        axis.set_ticks([3, 5, 10, 20], ["3", "5", "10", "20"])
        axis.set_minor_locator(NullLocator())
    line.legend()
    for name, color in zip(BRANCHED, (GREEN, BLUE), strict=True):
        for which, look, label in (("exact", "--", None), ("learned", "o-", name)):
            kept = numbers[name][f"kept, {which}"]
            branching.errorbar(
                BRANCH_STEPS,
                kept["mean"],
                kept["std"],
                fmt=look,
                ms=3,
                lw=1.2,
                color=color,
                label=label,
            )
        for times, marker in ((1, "*"), (2, "X")):
            step = STEPS * times * numbers[name]["t_S"]["mean"]
            here = np.interp(step, BRANCH_STEPS, kept["mean"], right=np.nan)  # of the learned flow
            branching.plot(step, here, marker, ms=10, color=color)
    branching.plot([], [], "k--", lw=1.2, label="the same, exact flow")
    branching.plot([], [], "k*", ms=10, label="at $t_S$")
    branching.plot([], [], "kX", ms=10, label="at twice $t_S$")
    branching.set(xlabel="sampling step k whose noise is drawn anew")
    branching.set(ylabel="share that keeps the direction")
    branching.set_title("Fresh noise still turns some videos at $t_S$,\nfewer at twice that time")
    branching.legend(loc="lower right")
    return figure


def texts(numbers: Numbers) -> dict[str, str]:
    """A table of the times, and some of them for the text."""
    rows = [
        [
            case,
            spread(value["t_S"], "%.3f"),
            spread(value["half a bit, exact"], "%.3f"),
            spread(value["half a bit, learned"], "%.3f"),
        ]
        for case, value in numbers.items()
        if case not in ("d = 2, 300 steps", "d = 100, 300 steps", "d = 2, scale 0.5")
    ]
    head = ["case", "t_S", "half a bit left, exact flow", "half a bit left, learned flow"]
    told = {"table": markdown_table(head, rows)}
    for case in ("d = 2", "d = 100"):
        time = numbers[case]["t_S"]["mean"]
        told |= {f"t_S, {case}": f"{time:.2f}", f"step of t_S, {case}": f"{STEPS * time:.0f}"}
        told[f"half a bit, {case}"] = f"{numbers[case]['half a bit, learned']['mean']:.2f}"
    return told


if __name__ == "__main__":
    command("commitment", analysis, draw)
