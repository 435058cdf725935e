"""The figures: numbers in, pictures out. Plotting code only; analyze.py says what is plotted."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import matplotlib
import numpy as np

from data import FRAME_SIZE, grid_centers
from experiments import STEPS, TIMES
from files import replacing, tile
from settings import Commitment

matplotlib.use("Agg")
from matplotlib import pyplot as plt

# Okabe and Ito's colours, told apart by colour-blind readers too
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#888888"
plt.rcParams.update({"font.size": 9, "axes.titlesize": 9, "legend.fontsize": 7.5})


def save(path: Path, figure: Any) -> None:
    """Write a figure, white behind it, so that it can be read on a dark page too."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130, metadata={"Software": None})
    plt.close(figure)


def spread(plot: Any, x: Any, value: dict[str, Any], *place: int, **look: Any) -> None:
    """Means over seeds with bars of one standard deviation; `place` are the last indices."""
    mean, std = np.array(value["mean"]), np.array(value["std"])
    for i in place:
        mean, std = mean[..., i], std[..., i]
    plot.errorbar(x, mean, std, capsize=2, **look)


# ---------------------------------------------------------------- blobs


def draw_blobs(steps: dict[str, Any], strips: dict[int, Sequence[np.ndarray]]) -> Any:
    """A film strip, and the shares of frames with 0, 1, 2, 3+ squares, for each dimension."""
    size = (10, 2.5 * len(steps))
    figure, axes = plt.subplots(
        len(steps), 3, figsize=size, layout="constrained", width_ratios=[2, 1, 1], squeeze=False
    )
    for (film, *plots), (dim, strip) in zip(axes, strips.items(), strict=True):
        value = steps[str(dim)]
        film.imshow(
            tile(np.concatenate(strip), across=len(strip[0])), cmap="gray", vmin=0, vmax=255
        )
        middles = (FRAME_SIZE + 1) * (np.arange(len(strip[0])) + 0.5)
        film.set_yticks(middles[: len(strip)], ["step 0", "step 20", "step 50"])
        film.set_xticks(middles, range(len(strip[0])))
        film.tick_params(length=0)
        film.set(title=f"d = {dim}: the state, decoded", xlabel="frame (0 is given)")
        for plot, readout in zip(plots, ("state", "posterior_mean"), strict=True):
            draw_shares(plot, value[readout])
            null = value["null"]["mean"][1]
            plot.axhline(null, color=BLUE, ls=":", label="1 square, null: decoded noise")
            plot.set_title(f"d = {dim}: {readout.replace('_', ' ')}")
    axes[0, 1].legend(loc="center right")
    return figure


def draw_shares(plot: Any, share: dict[str, Any]) -> None:
    """Shares of frames with 0, 1, 2, 3+ squares over the steps, and their spread."""
    mean, std = np.array(share["mean"]), np.array(share["std"])
    for k, color in enumerate((GREY, BLUE, ORANGE, RED)):
        label = ("no square", "1 square", "2 squares", "3 or more")[k]
        plot.plot(mean[:, k], color=color, label=label)
        low, high = mean[:, k] - std[:, k], mean[:, k] + std[:, k]
        plot.fill_between(range(len(mean)), low, high, color=color, alpha=0.25, lw=0)
    plot.set(xlabel="sampling step", ylabel="share of frames 1 to 7", ylim=(-0.02, 1.05))


def draw_dims(sweep: dict[str, Any]) -> Any:
    """Share of frames with one square, over the embedding dimension."""
    figure, plot = plt.subplots(figsize=(7, 3.4), layout="constrained")
    looks = {
        "steps 0, 5, 10": ("state, steps 0, 5 and 10", BLUE),
        "step 50": ("finished video, step 50", GREEN),
        "null": ("null: decoded noise", GREY),
    }
    dims = [int(dim) for dim in sweep]
    for name, (label, color) in looks.items():
        value = {kind: [sweep[dim][name][kind] for dim in sweep] for kind in ("mean", "std")}
        spread(plot, dims, value, fmt="o-", ms=4, color=color, label=label)
    plot.set(xscale="log", xlabel="embedding dimension d", ylim=(-0.02, 1.05))
    plot.set(ylabel="share of frames with one square")
    plot.set_xticks(dims, [str(dim) for dim in dims])
    plot.minorticks_off()
    plot.legend()
    return figure


# ---------------------------------------------------------------- geometry


def draw_geometry(grids: dict[tuple[str, float, float], np.ndarray]) -> Any:
    """The latent grid of seed 0 for each recipe (down) and range (across), coloured by the true
    x and the true y."""
    recipes = list(dict.fromkeys(recipe for recipe, _, _ in grids))
    ranges = list(dict.fromkeys(range_ for _, range_, _ in grids))
    shape = (len(recipes), 2 * len(ranges))
    size = (max(1.7 * shape[1], 4), 1.8 * shape[0])
    figure, axes = plt.subplots(*shape, figsize=size, layout="constrained", squeeze=False)
    for (recipe, range_, _), latents in grids.items():
        for i, name in enumerate("xy"):
            plot = axes[recipes.index(recipe), 2 * ranges.index(range_) + i]
            for lines in (latents, latents.swapaxes(0, 1)):
                plot.plot(lines[..., 0], lines[..., 1], color=GREY, lw=0.4, zorder=1)
            color = grid_centers(range_)[..., i]
            plot.scatter(*latents.T, c=color.T, s=3, cmap="viridis", zorder=2)
            plot.set(xticks=[], yticks=[])
            if recipe == recipes[0]:
                plot.set_title(f"range {range_}, colour: {name}")
        if range_ == ranges[0]:
            axes[recipes.index(recipe), 0].set_ylabel(recipe)
    return figure


def draw_overlap(cases: list[dict[str, Any]]) -> Any:
    """Warp, fold and tear, without blur, against range / half width (above) and against the range
    (below)."""
    figure, axes = plt.subplots(2, 3, figsize=(10, 5), layout="constrained")
    for case in cases:
        if case["recipe"] != "no blur":
            continue
        places = {"range / half width": case["range"] / case["half width"], "range": case["range"]}
        for row, (label, x) in zip(axes, places.items(), strict=True):
            for plot, name in zip(row, ("warp", "fold", "tear"), strict=True):
                seeds = np.array(case[name]["seeds"])
                plot.plot([x] * len(seeds), seeds, "o", color=BLUE, ms=2.5, alpha=0.5)
                plot.plot(x, seeds.mean(), "_", color=RED, ms=12)
                plot.set(xlabel=label, ylabel=name, yscale="log" if name == "tear" else "linear")
    return figure


# ---------------------------------------------------------------- superposition


def draw_superposition(numbers: dict[str, Any]) -> Any:
    """Contrast for each dimension and readout, calibration, and the decoder alone."""
    figure, axes = plt.subplots(2, 3, figsize=(10, 5.6), layout="constrained")
    dims = list(numbers["calibration"])[: len(numbers["calibration"]) // 2]
    for row, dim in zip(axes, dims, strict=False):
        for plot, readout in zip(row, ("state", "posterior_mean"), strict=False):
            draw_contrast(plot, numbers["contrast"][dim], readout)
            plot.set_title(f"{dim.replace('dim', 'd =')}: {readout.replace('_', ' ')}")
    axes[0, 0].legend()
    plot = axes[0, 2]
    plot.plot([0, 1], [0, 1], color=GREY, lw=1)
    for name, marker in ((dims[-1], "o"), (f"{dims[-1]}, 80 % ccw", "s")):
        for key, color in (("exact", GREY), ("q", BLUE), ("brightness", ORANGE)):
            curve = np.array(numbers["calibration"][name][key]["curve"])
            label = f"{key}{name.removeprefix(dims[-1])}"
            plot.plot(*curve[curve.any(1)].T, marker, color=color, ms=3.5, label=label)
    plot.set(xlabel="predicted share of counter-clockwise", ylabel="how often it was right")
    plot.set_title(f"{dims[-1].replace('dim', 'd =')}: calibration")
    plot.legend(loc="upper left", fontsize=6.5, handletextpad=0, borderpad=0.2)
    plot = axes[1, 2]
    for name, value in numbers["additivity"].items():
        dim, _, network = name.removeprefix("dim ").partition(", ")
        looks = {"": ("o", BLUE), "two hidden layers": ("s", RED)}
        marker, color = looks.get(network, ("D", GREEN))
        first = name == next(iter(numbers["additivity"]))
        told = network or ("this repo" if first else None)
        spread(plot, int(dim), value, 0, fmt=marker, ms=4, color=color, label=told)
    plot.set(xscale="log", xlabel="embedding dimension d", ylabel="relative additivity error")
    plot.set_title("the decoder alone")
    plot.legend()
    return figure


def draw_contrast(plot: Any, values: dict[str, Any], readout: str) -> None:
    """Blobs at the other direction's place and at control places, over the steps."""
    for which, color in (("learned", BLUE), ("exact", ORANGE)):
        value = values[f"{which} {readout}"]
        for column, style, label in ((0, "-", "the other place"), (1, ":", "control places")):
            spread(plot, STEPS, value, column, ls=style, color=color, label=f"{which}, {label}")
    null = values["null"]["mean"][0]
    plot.axhline(null, color=GREY, lw=1, label="null: decoded noise")
    plot.set(xlabel="sampling step", ylabel="frames with a blob there", ylim=(-0.02, 1.02))


# ---------------------------------------------------------------- commitment


def draw_commitment(numbers: dict[str, Any], ends: list[int], settings: Commitment) -> Any:
    """Entropy over time, predicted against measured commitment, and training length."""
    figure, (curves, line, training) = plt.subplots(1, 3, figsize=(10, 3.3), layout="constrained")
    decided = "direction decided (H = 1/2 bit), t"
    for dim, color in zip(ends, (BLUE, ORANGE), strict=False):
        value, name = numbers[f"dim {dim}"], f"d = {dim}"
        mean, std = np.array(value["curves"]["mean"]), np.array(value["curves"]["std"])
        for i, (label, style) in enumerate((("exact", "--"), ("learned", "-"))):
            curves.plot(TIMES, mean[i], style, color=color, label=f"{name}, {label}")
            low, high = mean[i] - std[i], mean[i] + std[i]
            curves.fill_between(TIMES, low, high, color=color, alpha=0.2, lw=0)
        curves.axvline(value["t_S"]["mean"], color=color, ls=":", label=f"{name}, $t_S$")
        lengths = {n: f"dim {dim}, steps {n}" for n in sorted(settings.lengths)}
        lengths[settings.flow_steps] = f"dim {dim}"
        late = [numbers[case]["halfway"] for case in lengths.values()]
        value = {kind: [each[kind] for each in late] for kind in ("mean", "std")}
        spread(
            training, list(lengths), value, 1, fmt="o-", ms=4, color=color, label=f"{name}, learned"
        )
        exact = value["mean"][-1][0]
        training.axhline(exact, color=color, ls="--", label=f"{name}, exact")
    curves.set(xlabel="t", ylabel="H(direction | $x_t$), bits")
    curves.legend()
    line.plot([0, 0.5], [0, 0.5], color=GREY, lw=1)
    for i, (label, marker, color) in enumerate((("exact", "s", GREY), ("learned", "o", BLUE))):
        for name, value in numbers.items():
            if not isinstance(value, dict) or "steps" in name:
                continue
            seen = label if name == f"dim {ends[0]}" else None
            look = {"fmt": marker, "ms": 4, "color": color, "alpha": 0.8, "label": seen}
            spread(line, value["t_S"]["mean"], value["halfway"], i, **look)
    line.set(xlabel="predicted: $t_S = 1 / (1 + |\\delta| / 2)$", ylabel=decided)
    line.set_title("all dims and latent scales")
    line.legend()
    training.set(xscale="log", xlabel="training steps of the flow", ylabel=decided)
    training.legend()
    return figure


# ---------------------------------------------------------------- the opening picture


def save_opening(path: Path, videos: dict[int, np.ndarray]) -> None:
    """An animation over the steps: dimensions side by side, the state above the posterior mean.

    Args:
        videos: dim -> frames (2, steps + 1, frames, 51, 51), see measure_steps().
    """
    steps = next(iter(videos.values())).shape[1] - 1
    images = []
    for k in range(steps + 1):
        figure, axes = plt.subplots(
            2, len(videos), figsize=(8.4, 2.7), layout="constrained", facecolor="black"
        )
        for i, (dim, frames) in enumerate(videos.items()):
            column = axes[:, i]
            for plot, name, film in zip(column, ("state", "posterior mean"), frames, strict=True):
                plot.imshow(
                    tile(film[k], across=len(film[k])),
                    cmap="gray",
                    vmin=0,
                    vmax=255,
                    interpolation="nearest",
                )
                plot.set(xticks=[], yticks=[])
                if i == 0:
                    plot.set_ylabel(name, color="white")
            column[0].set_title(f"d = {dim}", color="white")
        figure.supxlabel(f"step {k} of {steps}", color="white", fontsize=9)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=100)
        plt.close(figure)
        images.append(iio.imread(buffer.getvalue(), mode="L"))
    # slow where the direction is decided at d = 100, then faster; the end stays
    durations = [400] * 6 + [150] * (steps - 6) + [2500]
    with replacing(path) as temporary:
        data = iio.imwrite(
            "<bytes>", np.stack(images), extension=".gif", duration=durations, loop=0
        )
        temporary.write_bytes(data)
