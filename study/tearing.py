"""When does the latent plane tear?

    python -m study.tearing      # out/tearing.png, .json and .csv

The post finds a clean grid at range 0.2, a warped one at 0.4 and two sections at 0.8, once each,
and suspects that the overlap of nearby images decides. Squares overlap the less, the larger range /
half width is. Here is every recipe at these ranges, with ten seeds at the largest (twice --seeds),
where it is a matter of chance whether a plane folds. To tell the range from range / half width
there are squares of half the size, too: at range 0.4, which is four of their half widths. A seed
folds if any cell of its latent grid is turned over. It is "cut straight" if one straight line
through the plane of true centres separates turned cells from others: two sections, one of them
mirrored, as in the post's figure. Squares with hard edges are measured at the largest range alone.
(In the grid of range 0.2 neighbours are half a pixel apart; with hard edges many look the same, and
cells between them have no sign but by chance.)
"""

from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from analyze import (
    BLUE,
    GREEN,
    ORANGE,
    RECIPES,
    RED,
    SweepSettings,
    cell_areas,
    measure,
    measure_grid,
)
from autoencoder import AutoencoderSettings
from data import grid_centers, new_figure
from study.question import Numbers, Pictures, Runs, autoencoders, command, markdown_table

RANGES = (0.2, 0.4, 0.8)  # with a half width of 0.2, so range / half width is 1, 2, 4
HARD_EDGES = {**RECIPES["plain"], "hard_edges": True}
SMALL_RECIPES = ("no blur", "plain")  # those that tear by themselves
SMALL = {"half_width": 0.1, "center_range": 0.4}  # range / half width is 4 again
# What python -m study.pictures measures in the post's own figures: one seed each, fold 0, 0, 0.49
POST_WARP = (0.012, 0.065, 0.310)


def straightness(areas: np.ndarray) -> float:
    """How well a straight line separates grid cells of positive from those of negative signed area,
    (20, 20): the mean of the two shares on the right side, 0.5 to 1, for the best of 36 x 41
    lines."""
    middle = grid_centers(1.0, len(areas)).reshape(-1, 2)
    angle = 2 * np.pi * np.arange(36) / 36
    along = middle @ np.stack([np.cos(angle), np.sin(angle)])  # (cells, angles)
    beyond = along[:, :, None] > np.linspace(-1.4, 1.4, 41)  # (cells, angles, offsets)
    positive = areas.ravel() > 0
    return float(((beyond[positive].mean(0) + (~beyond)[~positive].mean(0)) / 2).max())


def measure_tearing(settings: AutoencoderSettings) -> dict[str, Any]:
    """measure_grid(), and "folds" and "cut straight", 0 or 1: any cell is turned over; at least 5 %
    are, and their straightness() is at least 0.95."""
    result = measure_grid(settings)
    areas = cell_areas(result.pop("picture"))
    cut = result["fold"] >= 0.05 and straightness(areas) >= 0.95
    return result | {"folds": float(result["fold"] > 0), "cut straight": float(cut)}


def analysis(settings: SweepSettings) -> Runs:
    """Every recipe at three ranges, with twice as many seeds at the largest one; there hard edges,
    too; and small squares for the two recipes that tear by themselves."""
    many = replace(settings, seeds=min(100, 2 * settings.seeds))
    cases = {}
    for recipe, changes in RECIPES.items():
        for center_range in RANGES:
            seeds = many if center_range == max(RANGES) else settings
            jobs = autoencoders(seeds, center_range=center_range, **changes)
            cases[f"{recipe}, range {center_range}"] = jobs
    cases["plain, hard edges, range 0.8"] = autoencoders(many, center_range=0.8, **HARD_EDGES)
    for recipe in SMALL_RECIPES:
        jobs = autoencoders(many, **SMALL, **RECIPES[recipe])
        cases[f"{recipe}, small squares, range 0.4"] = jobs
    return measure(measure_tearing, cases, settings.dask)


def draw(numbers: Numbers, pictures: Pictures) -> Figure:
    """Share of the seeds that fold, and every seed's warp, over range / half width."""
    figure = new_figure(8.3, 5)
    folding, warping = figure.subplots(1, 2)

    def draw_warps(case: dict[str, Any], x: float, **look: Any) -> None:
        warps = case["warp"]["seeds"]
        warping.plot([x] * len(warps), warps, ms=3, alpha=0.5, ls="", **look)

    colors = {"no blur": BLUE, "blur": GREEN, "plain": ORANGE}
    for i, (recipe, color) in enumerate(colors.items()):
        x = 1.05 ** (i - 1.5) * np.array([1, 2, 4])  # side by side: lines may coincide
        cases = [numbers[f"{recipe}, range {center_range}"] for center_range in RANGES]
        y = [case["folds"]["mean"] for case in cases]
        folding.plot(x, y, "o-", color=color, label=recipe)
        for at, case in zip(x, cases, strict=True):
            draw_warps(case, at, color=color, marker="o")
    for i, recipe in enumerate(SMALL_RECIPES):
        case, x = numbers[f"{recipe}, small squares, range 0.4"], 4 * 1.05 ** (i + 1.5)
        look = {"color": colors[recipe], "marker": "s", "mfc": "none"}
        label = f"{recipe}, squares of half the size"
        folding.plot(x, case["folds"]["mean"], ls="", label=label, **look)
        draw_warps(case, x, **look)
    case, x = numbers["plain, hard edges, range 0.8"], 4 * 1.05**3.5
    folding.plot(x, case["folds"]["mean"], "X", color=RED, label="plain, hard edges")
    draw_warps(case, x, color=RED, marker="X")

    folding.set(ylabel="share of the seeds that fold")
    folding.set_title("The less squares overlap, the more\nseeds fold; blur mostly prevents it")
    warping.plot([1, 2, 4], POST_WARP, "k*", ms=10)
    warping.set(yscale="log", ylabel="warp, each seed")
    warping.set_title("The post's warps (stars) lie among\nthose of the plain decoder")
    for plot in (folding, warping):
        plot.set(xscale="log", xlabel="range / half width")
        plot.set_xticks([1, 2, 4], ["1", "2", "4"])
        plot.minorticks_off()
    warping.set_yticks([0.003, 0.01, 0.03, 0.1, 0.3], ["0.003", "0.01", "0.03", "0.1", "0.3"])
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def texts(numbers: Numbers) -> dict[str, str]:
    """A table with a row for each recipe; how many seeds fold at four half widths; and the warps of
    plain."""
    own = {}
    rows = []
    recipes = {recipe: [f"{recipe}, range {r}" for r in RANGES] for recipe in RECIPES}
    # of the others only the last column was measured
    recipes["plain, hard edges"] = ["", "", "plain, hard edges, range 0.8"]
    for recipe in SMALL_RECIPES:
        name = f"{recipe}, squares of half the size"
        recipes[name] = ["", "", f"{recipe}, small squares, range 0.4"]
    for recipe, names in recipes.items():
        cases = [numbers.get(name) for name in names]
        seeds = len(numbers[names[-1]]["warp"]["seeds"])
        folds = [f"{100 * case['folds']['mean']:.0f} %" if case else "–" for case in cases]
        warps = [f"{case['warp']['mean']:.3f}" if case else "–" for case in cases]
        cut = f"{100 * numbers[names[-1]]['cut straight']['mean']:.0f} %"
        rows.append([recipe, *folds, *warps, cut])
        folded = round(seeds * numbers[names[-1]]["folds"]["mean"])
        own[f"seeds that fold, {recipe}"] = f"{folded} of {seeds}"
    head = ["recipe", "seeds that fold, range 1", "2", "4 half widths"]
    head += ["mean warp, range 1", "2", "4 half widths", "seeds cut straight, 4"]
    plain = [numbers[name]["warp"]["mean"] for name in recipes["plain"]]
    own["warps, plain"] = ", ".join(f"{warp:.3f}" for warp in plain)
    return own | {"table": markdown_table(head, rows)}


if __name__ == "__main__":
    command("tearing", analysis, draw)
