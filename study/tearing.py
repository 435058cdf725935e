"""When does the latent plane tear?

    python -m study.tearing      # out/tearing.png, .json and .csv

The post finds a clean grid at range 0.2, a warped one at 0.4 and two sections at 0.8, once each,
and suspects that the overlap of nearby images decides. Squares overlap the less, the larger range /
half width is. Here is every recipe at these ranges, with 20 seeds at the largest (four times --seeds,
so that rates can be told apart), and squares of half the size at half the range. A seed folds if any cell of its latent
grid is turned over. It is "cut straight" if one straight line through the plane of true centres
separates turned cells from others: two sections, one of them mirrored, as in the post's figure. With
hard edges neighbours half a pixel apart, in the grid of range 0.2, look the same, and cells between
them have no sign but by chance.
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
from data import grid_centers
from study.question import Numbers, Pictures, Runs, command, markdown_table

TEAR_RECIPES = RECIPES | {"plain, hard edges": {**RECIPES["plain"], "hard_edges": True}}
SMALL_RECIPES = ("no blur", "plain")  # those that tear by themselves
RANGES = (0.2, 0.4, 0.8)  # with a half width of 0.2, so range / half width is 1, 2, 4
# What python -m study.pictures measures in the post's own figures: one seed each, fold 0, 0, 0.49
POST_WARP = (0.012, 0.065, 0.310)


def straightness(areas: np.ndarray) -> float:
    """How well a straight line separates grid cells of positive from those of negative signed area,
    (20, 20): for the best of 36 x 41 lines, the mean of the two shares on the right side, 0.5 to 1."""
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
    """Every recipe at three ranges, with four times as many seeds at the largest one, where it is a
    matter of chance whether a plane folds; small squares for the two recipes that tear by themselves.
    """
    many = replace(settings, seeds=min(100, 4 * settings.seeds))
    cases = {}
    for recipe, changes in TEAR_RECIPES.items():
        for center_range in RANGES:
            seeds = many if center_range == max(RANGES) else settings
            flows = seeds.flows(center_range=center_range, **changes)
            cases[f"{recipe}, range {center_range}"] = flows
    for recipe in SMALL_RECIPES:
        for half in (center_range / 2 for center_range in RANGES):
            name = f"{recipe}, half width 0.1, range {half}"
            cases[name] = settings.flows(center_range=half, half_width=0.1, **RECIPES[recipe])
    return measure(measure_tearing, cases, settings.dask)


def draw(numbers: Numbers, pictures: Pictures) -> Figure:
    """Share of the seeds that fold, and every seed's warp, over range / half width."""
    figure = Figure((8.3, 5), layout="constrained")
    folding, warping = figure.subplots(1, 2)
    colors = zip(TEAR_RECIPES, (BLUE, GREEN, ORANGE, RED), strict=True)
    for i, (recipe, color) in enumerate(colors):
        x = 1.05 ** (i - 1.5) * np.array([1, 2, 4])  # side by side: lines may coincide
        cases = [numbers[f"{recipe}, range {center_range}"] for center_range in RANGES]
        y = [case["folds"]["mean"] for case in cases]
        hard = int("hard" in recipe)
        label = recipe + hard * " (x: neighbours that look the same)"
        folding.plot(x[hard:], y[hard:], "o-", color=color, label=label)
        folding.plot(x[:hard], y[:hard], "x", color=color)
        for at, case in zip(x, cases, strict=True):
            warps = case["warp"]["seeds"]
            warping.plot([at] * len(warps), warps, "o", ms=3, color=color, alpha=0.5)
        if recipe in SMALL_RECIPES:
            small = [numbers[f"{recipe}, half width 0.1, range {r / 2}"] for r in RANGES]
            y = [case["folds"]["mean"] for case in small]
            label = f"{recipe}, squares of half the size"
            folding.plot(x, y, "s:", mfc="none", color=color, label=label)
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
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def texts(numbers: Numbers) -> dict[str, str]:
    """A table with a row for each recipe; how many seeds fold; and the warps of plain."""
    rows = []
    for recipe in TEAR_RECIPES:
        cases = [numbers[f"{recipe}, range {center_range}"] for center_range in RANGES]
        rows.append([recipe, *(f"{100 * case['folds']['mean']:.0f} %" for case in cases)])
        rows[-1] += [f"{case['warp']['mean']:.3f}" for case in cases]
        rows[-1].append(f"{100 * cases[-1]['cut straight']['mean']:.0f} %")
    for recipe in SMALL_RECIPES:
        cases = [numbers[f"{recipe}, half width 0.1, range {r / 2}"] for r in RANGES]
        rows.append([f"{recipe}, squares of half the size"])
        rows[-1] += [f"{100 * case['folds']['mean']:.0f} %" for case in cases]
        rows[-1] += [f"{case['warp']['mean']:.3f}" for case in cases]
        rows[-1].append(f"{100 * cases[-1]['cut straight']['mean']:.0f} %")
    head = ["recipe", "seeds that fold, range 1", "2", "4 half widths"]
    head += ["mean warp, range 1", "2", "4 half widths", "seeds cut straight, 4"]
    plain = [numbers[f"plain, range {r}"]["warp"]["mean"] for r in RANGES]
    own = {"table": markdown_table(head, rows)}
    own["warps, plain"] = ", ".join(f"{warp:.3f}" for warp in plain)
    for recipe in TEAR_RECIPES:
        case = numbers[f"{recipe}, range 0.8"]
        seeds = len(case["warp"]["seeds"])
        own[f"seeds that fold, {recipe}"] = f"{round(seeds * case['folds']['mean'])} of {seeds}"
    return own


if __name__ == "__main__":
    command("tearing", analysis, draw)
