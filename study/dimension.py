"""How many squares does a frame show, over the embedding dimension?

    python -m study.dimension      # out/dimension.png and .json

The null is decoded noise. Some cases show on what "one square" depends besides d: a decoder with
two hidden layers at d = 100, latents that are much smaller than the noise at d = 2, and the plain
decoder at both, whose weight decay doesn't depend on d.
"""

from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from analyze import BLUE, GREEN, GREY, ORANGE, RECIPES, SweepSettings, count_blobs, measure
from data import random_stream
from flow import FlowNetwork, FlowSettings, LatentSpace, trained_flow
from sample import random_given_centers, sample
from study import command, means

DIMS = (2, 3, 4, 8, 16, 32, 64, 100)
DEEP, SMALL = "d = 100, two hidden layers", "d = 2, latent scale 0.3"


def count_squares(network: FlowNetwork, space: LatentSpace) -> dict[str, Any]:
    """Shares of the frames 1 to 7 of 40 videos with exactly one square: in the state at some steps,
    at the "worst step", the one with the fewest, and in fresh decoded noise, the "null"."""
    rng = random_stream(space.settings.seed, "counting")
    samples = sample(network, space, random_given_centers(space.settings, 40, rng), rng)
    noise = torch.from_numpy(rng.standard_normal(samples.states[0].shape, dtype=np.float32))

    def one_square(latents: torch.Tensor) -> float:
        return (count_blobs(space.decode(latents).numpy()) == 1).mean()

    one = [one_square(state) for state in samples.states]
    return {
        "steps 0, 5, 10": np.mean([one[0], one[5], one[10]]),
        "worst step": min(one),
        "step 10": one[10],
        "step 50": one[50],
        "null": one_square(noise),
    }


def measure_squares(settings: FlowSettings) -> dict[str, Any]:
    """count_squares() of the flow of these settings."""
    return count_squares(*trained_flow(settings))


def analysis(settings: SweepSettings) -> tuple[dict[str, Any], Figure]:
    """Over d, and the other cases."""
    cases = {f"{dim}": settings.flows(embed_dim=dim) for dim in DIMS}
    cases[DEEP] = settings.flows(embed_dim=100, hidden_layers=2)
    cases[SMALL] = settings.flows(embed_dim=2, latent_scale=0.3)
    for dim in (2, 100):
        cases[f"d = {dim}, plain"] = settings.flows(embed_dim=dim, **RECIPES["plain"])
    numbers = means(measure(measure_squares, cases, settings.dask))
    return numbers, draw(numbers)


def draw(numbers: dict[str, Any]) -> Figure:
    """Share of frames with one square, over the embedding dimension."""
    figure = Figure((8.3, 4), layout="constrained")
    plot = figure.subplots()
    for name, label, color in (
        ("steps 0, 5, 10", "state, steps 0, 5 and 10", BLUE),
        ("step 50", "finished video, step 50", GREEN),
        ("null", "decoded noise", GREY),
    ):
        values = [numbers[f"{dim}"][name] for dim in DIMS]
        mean, std = ([value[kind] for value in values] for kind in ("mean", "std"))
        plot.errorbar(DIMS, mean, std, fmt="o-", ms=4, capsize=2, color=color, label=label)
    for name, dim, marker in ((DEEP, 107, "^"), (SMALL, 2, "v")):  # 107, to stand beside 100
        mean, std = (numbers[name]["null"][kind] for kind in ("mean", "std"))
        label = f"decoded noise, {name}"
        plot.errorbar(dim, mean, std, fmt=marker, color=ORANGE, mfc="none", ms=9, label=label)
    plot.set(xscale="log", xlabel="embedding dimension d", ylim=(-0.02, 1.05))
    plot.set(ylabel="share of frames with one square")
    plot.set_title(
        "Early states show about what decoded noise shows: one square at d = 2,\n"
        "and also at d = 100, if the decoder has two hidden layers"
    )
    plot.set_xticks(DIMS, [str(dim) for dim in DIMS])
    plot.minorticks_off()
    plot.legend()
    return figure


if __name__ == "__main__":
    command(analysis, "dimension")
