"""Does the latent plane fold when neighbours overlap less?

    python -m study.overlap      # figures/overlap.png and .json

The post suspects that the overlap of nearby images decides. Squares overlap the less, the larger
range / half width is, so that ratio is varied for two sizes of the square, without blur, for this
repo's recipe and for an ordinary decoder. A seed folds if any cell of its latent grid is turned over.
"""

from typing import Any

from matplotlib.figure import Figure

from analyze import BLUE, ORANGE, RECIPES, SweepSettings, measure, measure_grid, over_seeds, write
from data import run

# range / half width: (range, half width)
OVERLAPS = {ratio: [(ratio / 10, 0.1), (ratio / 5, 0.2)] for ratio in (1, 2, 4)}


def analysis(settings: SweepSettings) -> tuple[dict[str, Any], Figure]:
    """The grid measures of every pair, and how many seeds fold at each ratio."""
    cases = {
        f"{recipe}, {ratio}, range {range_}": settings.flows(
            range=range_, half_width=half_width, **RECIPES[recipe]
        )
        for recipe in ("no blur", "plain")
        for ratio, pairs in OVERLAPS.items()
        for range_, half_width in pairs
    }
    runs = measure(measure_grid, cases, settings.dask)
    numbers: dict[str, Any] = {name: over_seeds(seeds) for name, seeds in runs.items()}
    numbers["folds"] = {
        recipe: {
            f"{ratio}": [
                sum(run["fold"] > 0 for run in runs[f"{recipe}, {ratio}, range {range_}"])
                for range_, _ in pairs
            ]
            for ratio, pairs in OVERLAPS.items()
        }
        for recipe in ("no blur", "plain")
    }
    return numbers, draw(numbers["folds"], settings.seeds)


def draw(folds: dict[str, dict[str, list[int]]], seeds: int) -> Figure:
    """Seeds that fold, over range / half width."""
    figure = Figure((8.5, 4), layout="constrained")
    plot = figure.subplots()
    for recipe, color in (("no blur", BLUE), ("plain", ORANGE)):
        ratios = [int(ratio) for ratio in folds[recipe]]
        shifted = [ratio + 0.03 * (recipe == "plain") for ratio in ratios]  # lines may coincide
        for counts, size, look in zip(zip(*folds[recipe].values()), (0.1, 0.2), ("o--", "s-")):
            plot.plot(shifted, counts, look, color=color, label=f"{recipe}, half width {size}")
    plot.set(xlabel="range / half width", xticks=ratios)
    plot.set(ylabel=f"seeds that fold, of {seeds}")
    plot.set_title("The larger range / half width, the oftener the plane folds")
    plot.legend()
    return figure


def main(settings: SweepSettings) -> None:
    """Write the figure and the numbers."""
    write(analysis, settings, "overlap")


if __name__ == "__main__":
    run(main, SweepSettings)
