"""When does the map fold?

    python -m study.folds      # out/folds.png and .json

With d = 2 the latents of a grid of squares should form a grid again. The post finds a clean one if
the centres lie within 0.2, a warped one within 0.4, and two sections within 0.8, one network each,
and suspects that the overlap of nearby images decides.

Measure: the warp of a latent grid (analyze.grid_measures), and how many seeds fold: any of the 400
cells is turned over. Three recipes at the post's ranges. Squares overlap the less, the larger range
over half width is; overlapping() says how much.
Interventions at the same range: squares twice as wide (0.6), half as wide (0.4), blurred at the
start of the training (0.8). Null: range alone decides, or chance, and none makes a difference.
Controls: hard edges, as the post has, and four times the training, since a map may be folded only
because the training ended too soon.
What would refute it: wide squares that fold in as many seeds as those of the usual width, or a
longer training that unfolds the map.

Fixed before any of their numbers was seen: wide squares fold in fewer seeds, if overlap is the
reason, and four times the training makes no difference. The other cases were known. Ten seeds
(twice --seeds) at range 0.8, where it is a matter of chance whether a plane folds, at 0.6, and for
small squares; else five.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analyze import BLUE, GREEN, ORANGE, RECIPES, SweepSettings, cell_areas, measure_grid
from autoencoder import AutoencoderSettings
from data import grid_centers, new_figure
from study.question import (
    Key,
    Numbers,
    Pictures,
    autoencoders,
    command,
    markdown_table,
    measured,
    spread,
)

RANGES = (0.2, 0.4, 0.8)  # the post's
HALF_WIDTH = AutoencoderSettings.half_width  # 0.2
FOLDING = ("no blur", "plain")  # the recipes that fold often
COLORS = {"no blur": BLUE, "blur": GREEN, "plain": ORANGE}
NAMES = {"no blur": "ours, but no blur", "blur": "ours", "plain": "plain"}
# What python -m study.pictures measures in the post's own figures, one network for each range
POST_WARP = (0.012, 0.065, 0.310)


# ---------------------------------------------------------------------------------------------
# What is measured


def overlapping(ratio: float) -> float:
    """The share of all pairs of squares that overlap, if their centres are drawn as in the
    training and reach to `ratio` half widths (at least 1).

    Two squares overlap if their centres are less than two half widths apart in x and in y. Measure
    lengths in half widths. Then two numbers between -ratio and ratio are less than 2 apart with
    probability 1 - (1 - 1 / ratio)^2, and x and y are independent.
    """
    return (1 - (1 - 1 / ratio) ** 2) ** 2


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


def measure_map(settings: AutoencoderSettings) -> dict[str, Any]:
    """Of the latent grid of these settings: its "warp"; the share of its cells that are "turned
    over"; whether it "folds", and whether it is "cut straight" into two sections, one of them
    mirrored, as in the post's figure (0 or 1): at least 5 % of the cells are turned over, and a
    line separates them from the others with a straightness() of at least 0.95."""
    grid = measure_grid(settings)
    cut = grid["fold"] >= 0.05 and straightness(cell_areas(grid["picture"])) >= 0.95
    return {
        "warp": grid["warp"],
        "turned over": grid["fold"],
        "folds": float(grid["fold"] > 0),
        "cut straight": float(cut),
    }


def analysis(settings: SweepSettings) -> tuple[Numbers, Pictures]:
    """Recipe -> half width -> range -> what measure_map() tells. Hard edges and the long training
    stand beside the recipes; both are plain."""
    many = replace(settings, seeds=min(100, 2 * settings.seeds))
    cases: dict[tuple[Key, ...], list[Any]] = {}

    def add(
        name: str, half_width: float, center_range: float, seeds: SweepSettings, **changes: Any
    ):
        squares = {"half_width": half_width, "center_range": center_range}
        cases[name, half_width, center_range] = autoencoders(seeds, **squares, **changes)

    for recipe, changes in RECIPES.items():
        for center_range in RANGES:
            seeds = many if center_range == max(RANGES) else settings
            add(recipe, HALF_WIDTH, center_range, seeds, **changes)
    for recipe in FOLDING:
        for half_width in (HALF_WIDTH, 2 * HALF_WIDTH):
            add(recipe, half_width, 0.6, many, **RECIPES[recipe])
        add(recipe, HALF_WIDTH / 2, 0.4, many, **RECIPES[recipe])
    plain = RECIPES["plain"]
    add("hard edges", HALF_WIDTH, 0.8, many, hard_edges=True, **plain)
    long = 4 * settings.autoencoder_steps
    add("four times as long", HALF_WIDTH, 0.8, many, **plain | {"autoencoder_steps": long})
    return measured(measure_map, cases, settings.dask)


# ---------------------------------------------------------------------------------------------
# Shares with so few seeds


def interval(folds: np.ndarray) -> tuple[float, float]:
    """Which shares are compatible with the seeds that fold, 0 or 1 each (seeds,): Wilson's 95 %
    interval. It needs no large numbers: none of ten seeds still allows 28 %."""
    n, share, z = len(folds), folds.mean(), 1.96
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * (share * (1 - share) / n + z**2 / (4 * n**2)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def difference(after: np.ndarray, before: np.ndarray) -> tuple[float, float, float]:
    """Share after - share before, and its 95 % interval, from the two interval()s (Newcombe's
    method): each end is as far away as the two ends that make it up are from their shares."""
    a, b = after.mean(), before.mean()
    (a_low, a_high), (b_low, b_high) = interval(after), interval(before)
    low = np.hypot(a - a_low, b_high - b)
    high = np.hypot(a_high - a, b - b_low)
    return a - b, a - b - low, a - b + high


def counted(folds: np.ndarray) -> str:
    """Seeds that fold, as text: "9 of 10"."""
    return f"{round(folds.sum())} of {len(folds)}"


# ---------------------------------------------------------------------------------------------
# The figure

Case = tuple[str, float, float]  # recipe, half width, range
# What is changed, the overlap or as a control something else; and the cases before and after it
CHANGES: dict[str, tuple[Case, Case]] = {
    "twice as wide, no blur": (("no blur", 0.2, 0.6), ("no blur", 0.4, 0.6)),
    "twice as wide, plain": (("plain", 0.2, 0.6), ("plain", 0.4, 0.6)),
    "half as wide, no blur": (("no blur", 0.2, 0.4), ("no blur", 0.1, 0.4)),
    "half as wide, plain": (("plain", 0.2, 0.4), ("plain", 0.1, 0.4)),
    "blur at first": (("no blur", 0.2, 0.8), ("blur", 0.2, 0.8)),
    "hard edges, plain": (("plain", 0.2, 0.8), ("hard edges", 0.2, 0.8)),
    "four times the training, plain": (("plain", 0.2, 0.8), ("four times as long", 0.2, 0.8)),
}


def of(numbers: Numbers, case: Case) -> Any:
    """The numbers of one case: "warp", "folds" and so on, each (seeds,)."""
    recipe, half_width, center_range = case
    return numbers[recipe][str(half_width)][str(center_range)]


def cases_by_overlap(recipe: str) -> list[Case]:
    """The cases of a recipe, those that overlap most first; of equals the usual width first."""
    squares = [(HALF_WIDTH, center_range) for center_range in RANGES]
    if recipe in FOLDING:
        squares += [(0.4, 0.6), (0.2, 0.6), (0.1, 0.4)]
    squares.sort(key=lambda square: round(square[1] / square[0], 6))  # a stable sort
    return [(recipe, *square) for square in squares]


def scatter(plot: Axes, numbers: Numbers, quantity: str) -> None:
    """Draw one point for each case, the share of seeds that fold with its interval, or all warps
    of the seeds, over range / half width. Circles: the usual squares; others have other sizes."""
    markers = {0.1: "v", 0.2: "o", 0.4: "s"}
    for i, (recipe, color) in enumerate(COLORS.items()):
        for case in cases_by_overlap(recipe):
            _, half_width, center_range = case
            # Side by side, for points may coincide
            x = center_range / half_width * 1.05 ** (i - 1 + 3 * (half_width == 0.1))
            values = of(numbers, case)[quantity]
            look: dict[str, Any] = {"color": color, "marker": markers[half_width], "ms": 5}
            if quantity == "folds":
                low, high = interval(values)
                share = values.mean()
                plot.errorbar(x, share, [[share - low], [high - share]], **look, lw=1)
            else:
                look["ms"] = 4
                plot.plot([x] * len(values), values, alpha=0.6, ls="", **look)
    ratios = [1, 1.5, 2, 3, 4]
    labels = [f"{ratio:g}\n{100 * overlapping(ratio):.0f} %" for ratio in ratios]
    plot.set(xscale="log", xlabel="range / half width; below: pairs that overlap")
    plot.set_xticks(ratios, labels)
    plot.minorticks_off()


def draw_folds(plot: Axes, numbers: Numbers) -> None:
    """The share of the seeds that fold."""
    scatter(plot, numbers, "folds")
    plot.set(ylim=(-0.03, 1.03), ylabel="share of the seeds that fold")
    for recipe, color in COLORS.items():
        plot.plot([], [], "o", color=color, label=NAMES[recipe])
    for marker, half_width in (("s", 0.4), ("o", 0.2), ("v", 0.1)):
        plot.plot([], [], marker, color="k", mfc="none", label=f"half width {half_width}")
    plot.legend(loc="upper left", fontsize=8)


def draw_warps(plot: Axes, numbers: Numbers) -> None:
    """The warp of each seed, and of the post's networks."""
    scatter(plot, numbers, "warp")
    plot.plot([1, 2, 4], POST_WARP, "k*", ms=10, label="the post")
    plot.set(yscale="log", ylabel="warp, each seed")
    plot.set_yticks([0.003, 0.01, 0.03, 0.1, 0.3], ["0.003", "0.01", "0.03", "0.1", "0.3"])
    plot.legend(loc="upper left", fontsize=8)


def draw_changes(plot: Axes, numbers: Numbers) -> None:
    """What each change does to the share of the seeds that fold."""
    labels = []
    for y, (what, (before, after)) in enumerate(CHANGES.items()):
        color = COLORS[before[0]]
        for case, shift, face in ((before, -0.17, "white"), (after, 0.17, color)):
            folds = of(numbers, case)["folds"]
            plot.plot(interval(folds), [y + shift] * 2, color=color, lw=1)
            plot.plot(folds.mean(), y + shift, "o", color=color, mfc=face, ms=5)
            plot.text(1.03, y + shift, counted(folds), va="center", fontsize=8)
        labels.append(f"{what} (range {before[2]})")
    plot.set_yticks(range(len(CHANGES)), labels)
    plot.set(xlim=(-0.02, 1.15), ylim=(len(CHANGES) - 0.5, -0.5))
    plot.set_xlabel("share of the seeds that fold: before (open circle), and after (full)")


def draw(numbers: Numbers, pictures: Pictures) -> Figure:
    """Association above, interventions below."""
    figure = new_figure(8.3, 6.8)
    above, below = figure.subfigures(2, 1, height_ratios=[1.15, 1])
    title = "Where fewer squares overlap, more seeds fold; wider or blurred squares fold less"
    figure.suptitle(title, fontsize=11)
    left, right = above.subplots(1, 2)
    draw_folds(left, numbers)
    draw_warps(right, numbers)
    draw_changes(below.subplots(), numbers)
    return figure


# ---------------------------------------------------------------------------------------------
# What the pages tell


def table(numbers: Numbers) -> str:
    """A row for each kind of square and range, with warps first and then the seeds that fold."""
    rows = []
    for squares, half_width, center_range, recipes in (
        ("range 0.2", 0.2, 0.2, ("no blur", "blur", "plain")),
        ("range 0.6, twice as wide", 0.4, 0.6, ("no blur", "", "plain")),
        ("range 0.4", 0.2, 0.4, ("no blur", "blur", "plain")),
        ("range 0.6", 0.2, 0.6, ("no blur", "", "plain")),
        ("range 0.8", 0.2, 0.8, ("no blur", "blur", "plain")),
        ("range 0.4, half as wide", 0.1, 0.4, ("no blur", "", "plain")),
        ("range 0.8, hard edges", 0.2, 0.8, ("", "", "hard edges")),
        ("range 0.8, four times the training", 0.2, 0.8, ("", "", "four times as long")),
    ):
        cases = [
            of(numbers, (recipe, half_width, center_range)) if recipe else None
            for recipe in recipes
        ]
        overlap = overlapping(center_range / half_width)
        warps = [spread(case["warp"], "%.3f") if case else "–" for case in cases]
        folds = [counted(case["folds"]) if case else "–" for case in cases]
        rows.append([squares, f"{100 * overlap:.0f} %", *warps, *folds])
    head = ["squares", "pairs that overlap", "warp, no blur", "blur", "plain"]
    return markdown_table(head + ["seeds that fold, no blur", "blur", "plain"], rows)


def points(after: np.ndarray, before: np.ndarray) -> str:
    """difference() as text, in points of the percentage, with its interval."""
    change, low, high = (100 * x for x in difference(after, before))
    return f"{change:+.0f} points [{low:+.0f}, {high:+.0f}]"


def texts(numbers: Numbers) -> dict[str, str]:
    """The table; in some cases how many seeds fold, are cut straight, and their mean warp; and by
    how much the changes change the share of the seeds that fold."""

    def folded(*case: Any) -> str:
        return counted(of(numbers, case)["folds"])

    def allowed(*case: Any) -> str:
        low, high = interval(of(numbers, case)["folds"])
        return f"{100 * low:.0f} to {100 * high:.0f} %"

    def cut(*case: Any) -> str:
        return counted(of(numbers, case)["cut straight"])

    def small(*case: Any) -> str:
        turned = of(numbers, case)["turned over"]
        return f"{((0 < turned) & (turned < 0.05)).sum()} of {(turned > 0).sum()}"

    def warp(*case: Any) -> str:
        return f"{of(numbers, case)['warp'].mean():.3f}"

    def change(what: str) -> str:
        before, after = (of(numbers, case)["folds"] for case in CHANGES[what])
        return points(after, before)

    return {
        "table": table(numbers),
        "plain": folded("plain", 0.2, 0.8),
        "plain, cut straight": cut("plain", 0.2, 0.8),
        "plain, small folds": small("plain", 0.2, 0.8),
        "no blur": folded("no blur", 0.2, 0.8),
        "blur": folded("blur", 0.2, 0.8),
        "blur, allowed": allowed("blur", 0.2, 0.8),
        "usual width, plain": folded("plain", 0.2, 0.6),
        "twice as wide, plain": folded("plain", 0.4, 0.6),
        "half as wide, plain": folded("plain", 0.1, 0.4),
        "half as wide, no blur": folded("no blur", 0.1, 0.4),
        "four times the training": folded("four times as long", 0.2, 0.8),
        "warp, usual width, plain": warp("plain", 0.2, 0.6),
        "warp, twice as wide, plain": warp("plain", 0.4, 0.6),
        "warps, plain": ", ".join(warp("plain", 0.2, center_range) for center_range in RANGES),
        "change, twice as wide, plain": change("twice as wide, plain"),
        "change, twice as wide, no blur": change("twice as wide, no blur"),
        "change, four times the training": change("four times the training, plain"),
    }


if __name__ == "__main__":
    command("folds", analysis, draw)
