"""When is the direction decided?

    python -m study.commitment      # figures/commitment.png and .json

The noise shrinks as 1 - t while the two possible videos move apart as t delta; at the speciation
time t_S = 1 / (1 + |delta| / 2) (arXiv:2402.18491) each is one standard deviation of the noise from
the middle between them. Measured is when the entropy of the direction, given a noisy true video,
falls to half a bit: of the exact posterior, and of q for the learned flow. Varied are the embedding
dimension, the scale of the latents and the length of the training.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

import flow
from analyze import BLUE, GREY, ORANGE, SweepSettings, count_blobs, measure, over_seeds, write
from data import random_first_centers, run
from flow import FlowSettings, exact_flow, interpolate
from sample import sample

TIMES = [k / 50 for k in range(45)]
DIMS = (2, 8, 32, 100)
SCALES = (0.5,)
LENGTHS = (100, 300)


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
    """When the direction is decided.

    Returns:
        "curves", the mean entropy over TIMES of the exact posterior and of the learned share q, on
        1000 noisy true videos, (2, times), and "halfway", when each falls below half a bit; "t_S";
        "several at step 20", of 100 generated videos the shares with two or more squares of frames
        1 and 2 in the posterior mean, of the same frames in the state, and of frames 4 in the
        state; and the "mean excess" loss of the flow.
    """
    network, space, losses = flow.load_or_train(settings)
    rng, n = np.random.default_rng((settings.seed, 9)), 1000
    centers = random_first_centers(n, rng, settings.range)
    direction = torch.from_numpy((rng.random(n) >= settings.ccw_share).astype(int))
    exact = exact_flow(space, centers, direction)
    z = exact.continuations[torch.arange(n), direction]
    noise = torch.from_numpy(rng.standard_normal(z.shape, dtype=np.float32))
    curves: list[list[float]] = [[], []]
    for time in TIMES:
        t = torch.full((n, 1), time)
        x = interpolate(z, noise, t)
        q = exact.ccw_fraction(network(x, exact.given, t).detach())
        curves[0].append(entropy(exact.posterior(x, t)[:, 0]).mean().item())
        curves[1].append(entropy(q).mean().item())
    samples = sample(network, space, 100, rng)
    mean, state = (
        count_blobs(space.decode(latents[20]).numpy()) >= 2
        for latents in (samples.posterior_means, samples.states)
    )
    return {
        "t_S": exact.decision_time().mean().item(),
        "curves": curves,
        "halfway": [halfway(TIMES, curve) for curve in curves],
        "several at step 20": [mean[:, :2].mean(), state[:, :2].mean(), state[:, 3].mean()],
        "mean excess": float(np.mean(losses["excess"])),
    }


def analysis(settings: SweepSettings) -> tuple[dict[str, Any], Figure]:
    """Over dimension, latent scale and training length."""
    cases = {f"d = {dim}": settings.flows(embed_dim=dim) for dim in DIMS}
    for dim in (2, 100):
        for scale in SCALES:
            name = f"d = {dim}, scale {scale}"
            cases[name] = settings.flows(embed_dim=dim, latent_scale=scale)
        for length in LENGTHS:
            name = f"d = {dim}, {length} steps"
            cases[name] = settings.flows(embed_dim=dim, flow_steps=length)
    runs = measure(measure_commitment, cases, settings.dask)
    numbers: dict[str, Any] = {name: over_seeds(seeds) for name, seeds in runs.items()}
    return numbers, draw(numbers, settings.flow_steps)


def draw(numbers: dict[str, Any], flow_steps: int) -> Figure:
    """Predicted against measured times, with named points; and the length of the training."""
    figure = Figure((8.5, 4), layout="constrained")
    line, training = figure.subplots(1, 2)
    line.plot([0, 25], [0, 25], color=GREY, lw=1, label="as predicted")
    for i, (label, marker, color) in enumerate((("exact", "s", GREY), ("learned", "o", BLUE))):
        for name, value in numbers.items():
            if name.endswith("steps"):
                continue
            x, y = 50 * value["t_S"]["mean"], 50 * value["halfway"]["mean"][i]
            line.plot(x, y, marker, color=color, label=label if name == "d = 2" else None)
            if i:
                side, offset = ("left", 8) if "scale" in name else ("right", -8)
                line.annotate(
                    name, (x, y), (offset, -3), textcoords="offset points", ha=side, fontsize=8
                )
    line.set(xlabel="predicted: $t_S$, in steps of 50", ylabel="direction decided, in steps of 50")
    line.set(title="One formula tells when it is decided", xlim=(-3, 36))
    line.legend()
    for dim, color in ((2, BLUE), (100, ORANGE)):
        lengths = {n: f"d = {dim}, {n} steps" for n in LENGTHS} | {flow_steps: f"d = {dim}"}
        y, std = (
            [50 * numbers[name]["halfway"][kind][1] for name in lengths.values()]
            for kind in ("mean", "std")
        )
        training.errorbar(
            list(lengths), y, std, fmt="o-", ms=4, color=color, label=f"d = {dim}, learned"
        )
        exact = 50 * numbers[f"d = {dim}"]["halfway"]["mean"][0]
        training.axhline(exact, color=color, ls="--", label=f"d = {dim}, exact")
    training.set(xscale="log", xlabel="training steps of the flow")
    training.set(ylabel="direction decided, in steps of 50")
    training.set(title="A flow that is trained less decides later")
    training.legend()
    return figure


def main(settings: SweepSettings) -> None:
    """Write the figure and the numbers."""
    write(analysis, settings, "commitment")


if __name__ == "__main__":
    run(main, SweepSettings)
