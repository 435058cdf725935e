"""Are the extra squares the other direction?

    python -m study.superposition      # figures/superposition.png and .json

Counted are blobs at the place where the square would be if it went the other way. The negative
control is a place beside it, where neither direction comes; the positive control is the place that
the video does take; the null is decoded noise. Frame 4 is the same for both directions, so it must
not show a second square. Beside the blobs stands the light at the same places, which needs no
threshold.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import flow
from analyze import BLUE, GREY, ORANGE, RECIPES, SweepSettings, find_blobs, measure
from data import FRAME_SIZE, PIXEL, orbits, render, tile
from flow import FlowSettings
from sample import Samples, decode_videos, sample
from study import command, means

STEPS = [*range(11), 12, 15, 20, 25, 30, 40, 50]
VIDEOS = 600  # first frames a seed, of which 42 % have a radius above MIN_RADIUS
# A blob "is at" a place that is closer than a quarter of a side. Control places are 22.5 degrees
# off, and from radius 0.55 on the neighbourhoods of places and controls don't touch.
TOLERANCE, MIN_RADIUS = 0.1, 0.55
FRAMES = [1, 2, 3, 5, 6, 7]  # where the two directions differ; in frame 4 they meet
SKY = "#56B4E9"  # the lighter blue of Okabe and Ito, for outlines on black
PLACES = {"other place": ORANGE, "controls beside it": GREY, "taken place": BLUE}


def turned(places: np.ndarray, degrees: float) -> np.ndarray:
    """Places (..., 2) turned around the origin, counter-clockwise."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return places @ np.array([[c, s], [-s, c]])


def beside(taken: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Places (..., 4, 2): the other one, the controls to either side of it, and the taken one."""
    return np.stack([other, turned(other, 22.5), turned(other, -22.5), taken], axis=-2)


def blobs_at(frames: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Is there a blob whose middle is closer than TOLERANCE to a place?

    Args:
        frames: (n, f, 51, 51).
        places: (n, f, k, 2), for each frame k places.

    Returns:
        Booleans (n, f, k); and how many blobs each frame has, (n, f).
    """
    flat = places.reshape(-1, *places.shape[-2:])
    frame, center = find_blobs(frames.reshape(-1, FRAME_SIZE, FRAME_SIZE))
    near = np.linalg.norm(flat[frame] - center[:, None], axis=-1) < TOLERANCE
    found = np.zeros(flat.shape[:2], dtype=bool)
    np.logical_or.at(found, frame, near)
    count = np.bincount(frame, minlength=len(flat)).reshape(frames.shape[:2])
    return found.reshape(places.shape[:-1]), count


def contrast(
    frames: np.ndarray, taken: np.ndarray, other: np.ndarray, shown: Sequence[int] = FRAMES
) -> list[float]:
    """Seven shares: of frames 1-3, 5-7 with a blob at the other direction's place, at the controls
    beside it (mean of both), and at the taken place; of frames 4, and of frames 1-3, 5-7, with two
    or more blobs; of frames 1-3, 5-7 with one at the taken place and one at the other, and with one
    at the taken place and one at a control (mean of both).

    Args:
        frames: (n, 8, 51, 51).
        taken, other: centres of the direction that the videos take, and of the other, (n, 8, 2).
        shown: the frames that count, in place of 1-3, 5-7.
    """
    found, count = blobs_at(frames, beside(taken, other))
    found, several = found[:, shown], (count > 1).mean(0)
    near, both = (x.mean((0, 1)) for x in (found, found & found[..., 3:]))
    shares = [near[0], near[1:3].mean(), near[3], several[4], several[shown].mean()]
    return [*shares, both[0], both[1:3].mean()]


def light_at(frames: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Mean brightness of frames (n, f, 51, 51) under each mask (n, f, k, 51, 51), where a square
    would be: (k,)."""
    light = np.einsum("nfhw,nfkhw->k", np.clip(frames, 0, 1), masks)
    return light / masks.sum((0, 1, 3, 4))


def taken_and_other(samples: Samples) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The indices (n,) of the samples with radius above MIN_RADIUS, and their places (n, 8, 2) in
    the direction that they take, the one whose true video is nearer to the finished one, and in the
    other."""
    far = np.flatnonzero(np.linalg.norm(samples.given_centers[:, 0], axis=1) > MIN_RADIUS)
    distance = (samples.states[-1][:, None] - samples.exact.continuations).norm(dim=2)
    direction = distance.argmin(1).numpy()[far]
    both, n = orbits(samples.given_centers[far, 0]), np.arange(len(far))
    return far, both[n, direction], both[n, 1 - direction]


def measure_contrast(settings: FlowSettings) -> dict[str, Any]:
    """Blobs and light at the places, of VIDEOS first frames, those with radius above MIN_RADIUS.

    Returns:
        For "learned state", "learned mean" (the posterior mean), "exact state", "exact mean":
        contrast() at STEPS, (steps, 7); with " light" behind the name light_at() the other place,
        both controls and the taken place, (steps, 4); both for decoded noise, "null", (1, ...);
        and, as "picture", frames 1 to 7 of one video in the posterior mean at step 0 and in the
        state at steps 5, 10 and 20, and its places, the taken ones first.
    """
    network, space = flow.load_or_train(settings)
    result: dict[str, Any] = {}
    for which, used in (("exact", None), ("learned", network)):
        rng = np.random.default_rng((settings.seed, 5))
        samples = sample(used, space, VIDEOS, rng)
        noise = torch.from_numpy(rng.standard_normal(samples.states[:1].shape, dtype=np.float32))
        far, taken, other = taken_and_other(samples)
        given = samples.given_centers[far]
        masks = render(beside(taken, other)[:, FRAMES], settings)
        readouts = {"state": samples.states[STEPS], "mean": samples.posterior_means[STEPS]}
        if used is not None:
            readouts["null"] = noise
        for name, latents in readouts.items():
            blobs, light = [], []
            for x in latents:
                frames = decode_videos(space, given, x[far])
                blobs.append(contrast(frames, taken, other))
                light.append(light_at(frames[:, FRAMES], masks))
            result |= {f"{which} {name}": blobs, f"{which} {name} light": light}
    shown = [samples.posterior_means[0], *samples.states[[5, 10, 20]]]
    pictures = np.stack([space.decode(x[far[:1]])[0].numpy() for x in shown])
    return result | {"picture": (pictures, np.stack([taken[0], other[0]])[:, 1:])}


def draw_marked(plot: Axes, frames: np.ndarray, places: np.ndarray) -> None:
    """Draw frames (f, 51, 51) side by side, with the outlines of the taken and of the other place,
    (2, f, 2), in blue and dashed orange. A frame whose maximum is under 0.6 is shown brighter."""
    brightness = np.clip(frames.max((1, 2), keepdims=True), 0.1, 0.6) / 0.6
    image = tile(frames / brightness, across=len(frames))
    plot.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    shift = (FRAME_SIZE + 1) * np.arange(len(frames)) + 1
    for where, color, line in zip(places, (SKY, ORANGE), ("-", "--")):
        x, y = (where[:, 0] + 1) / PIXEL + shift, (1 - where[:, 1]) / PIXEL + 1
        for left, top in zip(x - 5, y - 5):
            corners = np.array([[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]) + [left, top]
            plot.plot(*corners.T, line, color=color, lw=1)
    plot.set(xticks=[], yticks=[])


def draw_places(plot: Axes, steps: Sequence[int], values: Any, **style: Any) -> None:
    """Draw the shares of frames with a blob at the other place, at the controls and at the taken
    place, the first three of values (steps, 3 or more), on an axis where 0.1 % can be seen."""
    for i, (place, color) in enumerate(PLACES.items()):
        line = np.maximum(np.array(values)[:, i], 1e-4)
        plot.plot(steps, line, color=color, **{"label": place} | style)
    plot.set(xlabel="sampling step", yscale="log", ylim=(1e-3, 1.3))
    plot.set_yticks([0.001, 0.01, 0.1, 1], ["0.1 %", "1 %", "10 %", "100 %"])


def analysis(settings: SweepSettings) -> tuple[dict[str, Any], Figure]:
    """The contrast for d = 100, this repo's decoder and the plain one."""
    cases = {
        "d = 100": settings.flows(embed_dim=100),
        "d = 100, plain": settings.flows(embed_dim=100, **RECIPES["plain"]),
    }
    runs = measure(measure_contrast, cases, settings.dask)
    numbers = means(runs)
    return {"steps": STEPS, "contrast": numbers}, draw(numbers, *runs["d = 100"][0]["picture"])


def draw(numbers: dict[str, Any], frames: np.ndarray, places: np.ndarray) -> Figure:
    """One video with both places marked; blobs at the places in posterior mean and state."""
    figure = Figure((8.3, 8), layout="constrained")
    axes = figure.subplot_mosaic([["film"] * 2, ["mean", "state"]], height_ratios=[1.25, 1])
    axes["film"].set_axis_off()
    axes["film"].set_title(
        "d = 100, one video: the posterior mean shows both directions first, the state shows noise\n"
        "(blue: the place it will take, orange: the other; dark frames are brightened)"
    )
    names = ("posterior mean,\nstep 0", "state, step 5", "state, step 10", "state, step 20")
    for i, (row, name) in enumerate(zip(frames, names)):
        plot = axes["film"].inset_axes((0.12, 0.755 - 0.25 * i, 0.88, 0.235))
        draw_marked(plot, row, places)
        plot.set_ylabel(name, rotation=0, ha="right", va="center")
    middle = (FRAME_SIZE + 1) * (np.arange(7) + 0.5)
    plot.set_xticks(middle, [f"frame {i}" for i in range(1, 8)])
    plot.tick_params(length=0)
    value = numbers["d = 100"]
    for readout in ("mean", "state"):
        learned = value[f"learned {readout}"]
        draw_places(axes[readout], STEPS, value[f"exact {readout}"]["mean"], ls=":", label=None)
        draw_places(axes[readout], STEPS, learned["mean"])
        for i, color in enumerate(PLACES.values()):
            band = learned["mean"][:, i] + np.array([[-1], [1]]) * learned["std"][:, i]
            axes[readout].fill_between(STEPS, *band, color=color, alpha=0.2, lw=0)
    axes["mean"].set(
        ylabel="frames with a square there", title="The posterior mean starts with both"
    )
    axes["state"].set_title("The state shows the other rarely")
    axes["mean"].plot([], [], "k:", label="the same, exact flow")
    axes["mean"].plot([], [], "k--", lw=0.8, label="the same, decoded noise")
    for share, color in zip(value["learned null"]["mean"][0], (ORANGE, GREY)):
        axes["state"].axhline(share, color=color, lw=0.8, ls="--")
    figure.legend(*axes["mean"].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


if __name__ == "__main__":
    command(analysis, "superposition")
