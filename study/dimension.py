"""How many squares does a frame show, over the embedding dimension?

python -m study.dimension      # figures/dimension.png and .json
"""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from analyze import BLUE, GREEN, GREY, SweepSettings, measure, measure_blobs, over_seeds, write
from data import run

DIMS = (2, 3, 8, 32, 100)


def analysis(settings: SweepSettings) -> tuple[dict[str, Any], Figure]:
    """The share of frames with one square: early, at its lowest, in the end, and in noise."""
    cases = {f"{dim}": settings.flows(embed_dim=dim) for dim in DIMS}
    runs = measure(measure_blobs, cases, settings.dask)
    numbers = {}
    for dim, seeds in runs.items():
        one = [np.array(run["state"])[:, 1] for run in seeds]  # over the steps 0 to 50
        null = [run["null"][1] for run in seeds]
        numbers[dim] = over_seeds(
            [
                {
                    "steps 0, 5, 10": steps[[0, 5, 10]].mean(),
                    "worst step": steps.min(),
                    "step 10": steps[10],
                    "step 50": steps[50],
                    "null": noise,
                }
                for steps, noise in zip(one, null)
            ]
        )
    return numbers, draw(numbers)


def draw(numbers: dict[str, Any]) -> Figure:
    """Share of frames with one square, over the embedding dimension."""
    figure = Figure((8.5, 4), layout="constrained")
    plot = figure.subplots()
    looks = {
        "steps 0, 5, 10": ("state, steps 0, 5 and 10", BLUE),
        "step 50": ("finished video, step 50", GREEN),
        "null": ("null: decoded noise", GREY),
    }
    dims = [int(dim) for dim in numbers]
    for name, (label, color) in looks.items():
        mean, std = ([value[name][kind] for value in numbers.values()] for kind in ("mean", "std"))
        plot.errorbar(dims, mean, std, fmt="o-", ms=4, capsize=2, color=color, label=label)
    plot.set(xscale="log", xlabel="embedding dimension d", ylim=(-0.02, 1.05))
    plot.set(ylabel="share of frames with one square")
    plot.set_title(
        "One square always at d = 2, often several at large d: early states follow decoded noise"
    )
    plot.set_xticks(dims, [str(dim) for dim in dims])
    plot.minorticks_off()
    plot.legend()
    return figure


def main(settings: SweepSettings) -> None:
    """Write the figure and the numbers."""
    write(analysis, settings, "dimension")


if __name__ == "__main__":
    run(main, SweepSettings)
