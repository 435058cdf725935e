"""What does one see of an average?

    python -m study.seen      # out/seen.png, .json and .npz

At step 0 nothing is decided, and a flow that is trained with squared error answers with the mean of
both videos, at any d. That is a theorem. What one sees of it is what the decoder makes of the
midpoint of two latents: two squares, or one in between, or none.

Measure: the share of frames with exactly two squares, in decoded midpoints and in the learned
flow's posterior mean of step 0 (the exact flow's is the midpoint). Null: decoded noise, which is
the state of step 0. Controls: one and two fully connected layers more, and a plain recipe.
What would refute it: two squares at step 0 where midpoints show one, or the other way round. And
that d alone decides is refuted if at one d some decoders show two squares and others one.

Four measures tell why. How far the decoder without its clip is a sum: R^2 of the drawn midpoint by
the mean of both drawn frames. Whether a square moves or fades on the straight line between two
latents: the light halfway, 0 as in a cross-fade, 1 as with a square there; null: a place off the
way. How alike the latents of two squares are over their distance, beside coordinates and pixels.
And how many units have a field, as place cells do; null: a random rotation of the code.

Fixed beforehand: all but that a field mustn't touch the border, which came after a look at seed 0,
and R^2, which was added when the shares were known. Two squares at step 0 of d = 100 was a
criterion when our recipe was chosen, so it is no result; the plain one's is. That one more layer
matters was known when its cases were chosen.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import ndimage
from torch import Tensor

from analyze import BLUE, GREEN, GREY, ORANGE, RECIPES, SweepSettings, count_blobs
from autoencoder import Autoencoder, encode_squares
from data import (
    FRAME_SIZE,
    FrameSettings,
    grid_centers,
    new_figure,
    possible_orbits,
    random_first_centers,
    random_stream,
    render,
    tile,
)
from flow import FlowNetwork, FlowSettings, LatentSpace, trained_flow, training_circles
from sample import learned_flow, random_given_centers, random_noise
from study.measures import APART, FRAMES, SKY, light_in_videos, study_stream
from study.question import (
    Key,
    Numbers,
    Pictures,
    command,
    markdown_table,
    measured,
    paired,
    percent,
    spread,
)

SIDE = 2 * FrameSettings.half_width  # of a square: 0.4
FAR = 0.8  # how far apart the squares are between which one moves or fades
DISTANCES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.2)  # for the likeness
FIELD = 0.2  # a field covers less than this share of the plane
MIDDLE = slice(13, 38)  # rows and columns of the pixels in the middle of a frame
# The curves of the figure: those of d = 2 and of d = 100 without more layers
CURVES = {
    "d = 2": (GREEN, "-"),
    "d = 100": (BLUE, "-"),
    "plain, d = 2": (GREEN, "--"),
    "plain, d = 100": (BLUE, "--"),
}
SHOWN = np.array([[-0.65, 0.12]])  # the first centre whose frames 1 and 2 the figure shows

CASES: dict[tuple[Key, ...], dict[str, Any]] = {  # recipe and d -> changes of the settings
    ("ours", 2): {"embed_dim": 2},
    ("ours", 8): {"embed_dim": 8},
    ("ours", 100): {"embed_dim": 100},
    ("one hidden", 100): {"embed_dim": 100, "hidden_layers": 1},
    ("two hidden", 100): {"embed_dim": 100, "hidden_layers": 2},
    ("plain", 2): {"embed_dim": 2, **RECIPES["plain"]},
    ("plain", 100): {"embed_dim": 100, **RECIPES["plain"]},
    ("plain, one hidden", 100): {"embed_dim": 100, "hidden_layers": 1, **RECIPES["plain"]},
}


# ---------------------------------------------------------------------------------------------
# How many squares?


def square_shares(frames: np.ndarray) -> np.ndarray:
    """The shares of frames (..., 51, 51) with 0, 1, 2, and 3 or more squares: (4,). Those with 0
    are blank: nothing in them is both bright and large enough."""
    count = count_blobs(frames).ravel()
    return np.bincount(count.clip(max=3), minlength=4) / len(count)


def explained(values: Tensor, predicted: Tensor) -> float:
    """R^2: the share of the variance of values (n, ...) over the n that predictions of the same
    shape explain. It is negative if they predict worse than the mean does."""
    left = ((values - predicted) ** 2).sum()
    return (1 - left / ((values - values.mean(0)) ** 2).sum()).item()


@torch.no_grad()
def midpoints(model: Autoencoder, settings: FlowSettings) -> dict[str, Any]:
    """What the decoder draws of the midpoint of two latents, those of the squares in both
    directions: in frames 1 to 3 of 400 first frames, those with a radius above APART.

    Returns:
        "midpoint": square_shares() of the decoded midpoints.
        "sum": how far the decoder, without its clip, draws the mean of two latents as the mean of
            the two frames: R^2. It is 1 for a sum.
    """
    rng = study_stream(settings.seed, "midpoints")
    first_centers = random_first_centers(400, rng, settings.center_range)
    first_centers = first_centers[np.linalg.norm(first_centers, axis=1) > APART]
    pairs = possible_orbits(first_centers)[:, :, 1:4].swapaxes(0, 1).reshape(2, -1, 2)
    a, b = encode_squares(model, pairs, settings)  # (n, d) each
    at_a, at_b, at_middle = (model.decode(z, leak=1) for z in (a, b, (a + b) / 2))
    return {
        "midpoint": square_shares(model.decode((a + b) / 2).numpy()),
        "sum": explained(at_middle, (at_a + at_b) / 2),
    }


@torch.no_grad()
def at_step_0(network: FlowNetwork, space: LatentSpace) -> np.ndarray:
    """square_shares() of the learned posterior mean of step 0, in the frames in which the two
    directions differ; of 200 first frames, those with a radius above APART."""
    rng = random_stream(space.settings.seed, "counting")
    given_centers = random_given_centers(space.settings, 200, rng)
    given_centers = given_centers[np.linalg.norm(given_centers[:, 0], axis=1) > APART]
    noise = random_noise(space, len(given_centers), rng)
    mean = learned_flow(network, space, given_centers)(noise, torch.zeros(len(noise), 1))
    frames = space.decode(mean).numpy()  # frames 1 to 7
    return square_shares(frames[:, [i - 1 for i in FRAMES]])


def decoded_noise(space: LatentSpace) -> np.ndarray:
    """square_shares() of 1000 frames that are decoded from normal noise."""
    rng = random_stream(space.settings.seed, "counting")
    noise = rng.standard_normal((1000, 1, space.settings.embed_dim), dtype=np.float32)
    return square_shares(space.decode(torch.from_numpy(noise)).numpy())


# ---------------------------------------------------------------------------------------------
# Does a square move or fade?


def light_under(frames: np.ndarray, places: np.ndarray) -> np.ndarray:
    """How bright it is where a square would be: the mean brightness, 0 to 1, of each of the frames
    (n, 51, 51) under a square at its own place (n, 2): (n,)."""
    return light_in_videos(frames[:, None], places[:, None])


def motion_index(light: np.ndarray, faded: np.ndarray, true: np.ndarray) -> float:
    """0 if there is as much light as in a cross-fade, and 1 if as much as with a true square. The
    sums over all ways are divided, not each way by itself.

    Args:
        light: (n,), the light at a place of each way.
        faded: (n,), what a cross-fade would have there.
        true: (n,), what a square there has, encoded and decoded.
    """
    return float((light - faded).sum() / (true - faded).sum())


def random_ways(n: int, rng: np.random.Generator, center_range: float) -> np.ndarray:
    """Starts and ends of n straight ways of the length FAR, anywhere in the range of the centres:
    (2, n, 2). A square at the mirrored middle overlaps none at the start, middle and end."""
    tries = 200 * n  # in a small range few are good
    start = rng.uniform(-center_range, center_range, (tries, 2))
    angle = rng.uniform(0, 2 * np.pi, tries)
    end = start + FAR * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    middle = (start + end) / 2
    gaps = [np.abs(-middle - place).max(1) for place in (start, middle, end)]  # along x or y
    good = (np.abs(end) <= center_range).all(1) & (np.min(gaps, axis=0) >= SIDE)
    return np.stack([start[good][:n], end[good][:n]])


@torch.no_grad()
def halfway(model: Autoencoder, settings: FlowSettings, ways: np.ndarray) -> dict[str, float]:
    """The index halfway between the latents of two squares, at the start and at the end of ways (2,
    n, 2): "on the way", at the middle, and "off the way", at its mirror image, the null."""
    a, b = encode_squares(model, ways, settings)  # (n, d) each
    at_start, at_end, frames = (model.decode(z).numpy() for z in (a, b, (a + b) / 2))

    def index_at(places: np.ndarray) -> float:
        faded = (light_under(at_start, places) + light_under(at_end, places)) / 2
        true = model.decode(encode_squares(model, places, settings)).numpy()
        return motion_index(light_under(frames, places), faded, light_under(true, places))

    middle = ways.mean(0)
    return {"on the way": index_at(middle), "off the way": index_at(-middle)}


# ---------------------------------------------------------------------------------------------
# What kind of code is it?
#
# The latents are standardised as the flow sees them: over the training videos each of the d numbers
# has mean 0 and standard deviation 1.


def random_pairs(
    n: int,
    rng: np.random.Generator,
    center_range: float,
    distances: Sequence[float] | np.ndarray = DISTANCES,
) -> np.ndarray:
    """Centres of n pairs of squares for each of the distances: (distances, n, 2, 2), indexed
    [distance, pair, first or second, (x, y)]. The first is where a square of a video may be, and
    the second lies in a random direction from it, inside of the range of the centres."""
    pairs = []
    for distance in distances:
        first = random_first_centers(20 * n, rng, center_range)  # not all are used
        angle = rng.uniform(0, 2 * np.pi, len(first))
        second = first + distance * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        inside = np.abs(second).max(1) <= center_range
        pairs.append(np.stack([first, second], axis=1)[inside][:n])
    return np.stack(pairs)


def likeness(codes: np.ndarray) -> np.ndarray:
    """The mean cosine between the codes of two squares: (distances, n, 2, d) -> (distances,)."""
    lengths = np.linalg.norm(codes, axis=-1).clip(1e-12)
    products = (codes[:, :, 0] * codes[:, :, 1]).sum(-1)
    return (products / lengths.prod(-1)).mean(1, dtype=np.float64)


def share_with_field(responses: np.ndarray) -> float:
    """The share of the units that have a field: that respond with more than half of their maximum
    in a single piece of the plane, which covers less than FIELD of it and doesn't touch its border.
    (Coordinates would have one in a corner.)

    Args:
        responses: (21, 21, units), to a grid of squares. They are counted from each unit's median,
            with the sign that makes the largest deviation from it positive.
    """
    deviation = np.moveaxis(responses - np.median(responses, axis=(0, 1)), -1, 0)
    high, low = deviation.max((1, 2), keepdims=True), deviation.min((1, 2), keepdims=True)
    maps = np.where(high >= -low, deviation, -deviation)
    active = maps > np.maximum(high, -low) / 2  # (units, 21, 21)
    one_piece = np.array([ndimage.label(each, np.ones((3, 3)))[1] == 1 for each in active])
    inside = active[:, 1:-1, 1:-1].sum((1, 2)) == active.sum((1, 2))
    return (one_piece & inside & (active.mean((1, 2)) < FIELD)).mean()


def random_rotation(d: int, rng: np.random.Generator) -> np.ndarray:
    """A random orthogonal matrix (d, d), all directions equally probable."""
    q, r = np.linalg.qr(rng.standard_normal((d, d)))
    return q * np.sign(np.diag(r))  # without the signs some rotations would be more probable


# ---------------------------------------------------------------------------------------------
# The question


def measure_case(settings: FlowSettings) -> dict[str, Any]:
    """All measures of one network; and "picture", the decoded midpoints of frames 1 and 2 of the
    videos that begin at SHOWN, (2, 51, 51)."""
    network, space = trained_flow(settings)
    model = space.autoencoder
    ways = random_ways(120, study_stream(settings.seed, "midpoints"), settings.center_range)
    rng = random_stream(settings.seed, "counting")
    pairs = random_pairs(200, rng, settings.center_range)
    units = space.encode(grid_centers(settings.center_range)).numpy()  # (21, 21, d)
    shown = encode_squares(model, possible_orbits(SHOWN)[0, :, 1:3], settings)  # (2, 2, d)
    return {
        **midpoints(model, settings),
        "step 0": at_step_0(network, space),
        "decoded noise": decoded_noise(space),
        "halfway": halfway(model, settings, ways),
        "likeness": likeness(space.encode(pairs).numpy()),
        "fields": share_with_field(units),
        "fields, rotated": share_with_field(units @ random_rotation(settings.embed_dim, rng)),
        "picture": model.decode(shown.mean(0)).detach().numpy(),
    }


def measure_controls(settings: FlowSettings) -> dict[str, Any]:
    """The likeness of "coordinates" and of "pixels" (less their mean), for the same pairs; and the
    share of the "pixels with a field", in the middle of the frame: all should have one."""
    rng = random_stream(settings.seed, "counting")
    pairs = random_pairs(200, rng, settings.center_range)
    mean = render(training_circles(settings)[:256]).mean((0, 1)).ravel()
    grid = render(grid_centers(settings.center_range))[:, :, MIDDLE, MIDDLE]
    return {
        "coordinates": likeness(pairs),
        "pixels": likeness(render(pairs).reshape(*pairs.shape[:-1], -1) - mean),
        "pixels with a field": share_with_field(grid.reshape(*grid.shape[:2], -1)),
    }


def analysis(settings: SweepSettings) -> tuple[Numbers, Pictures]:
    """All cases, and what their codes are compared with."""
    cases = {path: settings.flows(**changes) for path, changes in CASES.items()}
    numbers, pictures = measured(measure_case, cases, settings.dask)
    controls, _ = measured(measure_controls, {("controls",): settings.flows()}, settings.dask)
    return numbers | controls, pictures


# ---------------------------------------------------------------------------------------------
# What it looks like


def by_name(numbers: Numbers) -> dict[str, dict[str, Any]]:
    """The results of the CASES, by the names that they have in the figure and the table."""
    return {
        f"d = {d}" if recipe == "ours" else f"{recipe}, d = {d}": numbers[str(recipe)][str(d)]
        for recipe, d in CASES
    }


def draw_likeness(plot: Axes, numbers: Numbers) -> None:
    """How alike the latents of two squares are, over their distance: means over the seeds."""
    plot.axvline(SIDE, color=GREY, lw=0.8, ls=":")
    plot.text(SIDE + 0.02, -0.9, "side of\na square", fontsize=8, color=GREY)
    for name, color in (("coordinates", GREY), ("pixels", SKY)):
        mean = numbers["controls"][name].mean(0)
        plot.plot(DISTANCES, mean, color=color, lw=6, alpha=0.45, label=name)
    for name, (color, line) in CURVES.items():
        mean = by_name(numbers)[name]["likeness"].mean(0)
        plot.plot(DISTANCES, mean, line, color=color, lw=1.5, label=name)
    plot.set(xlabel="distance of the two squares", ylabel="mean cosine", ylim=(-1, 1.05))
    plot.set_title("How alike two squares' latents are", fontsize=10)
    plot.legend(fontsize=8, handlelength=1.6, labelspacing=0.25)


def draw_shares(plot: Axes, numbers: Numbers) -> None:
    """The share of frames with two squares in each case, a dot for each seed: in the midpoint of
    two latents, and in the posterior mean of step 0."""
    for name, told, shift, look, color in (
        ("midpoint", "midpoint", -0.15, "o", BLUE),
        ("step 0", "posterior mean of step 0", 0.15, "s", ORANGE),
    ):
        for i, case in enumerate(by_name(numbers).values()):
            two = 100 * case[name][:, 2]
            plot.plot(two, np.full(len(two), i + shift), look, ms=5, alpha=0.6, color=color)
        plot.plot([], [], look, color=color, label=told)
    names = [name.replace(", d", ",\nd") for name in by_name(numbers)]
    plot.set_yticks(range(len(names)), names, fontsize=8)
    plot.set(xlim=(-4, 104), ylim=(len(CASES) - 0.4, -1.6))
    plot.set_xlabel("% of the frames (each seed a dot)")
    plot.grid(axis="y", lw=0.4)
    plot.set_title("Frames with two squares", fontsize=10)
    plot.legend(fontsize=8, loc="upper center", ncols=2, columnspacing=0.8, handletextpad=0)


def draw_midpoints(plot: Axes, pictures: Pictures, names: Iterable[str]) -> None:
    """The midpoints of the same two squares, decoded by each of the codes with these names."""
    squares = render(possible_orbits(SHOWN)[0, :, 1:3]).max(0)  # (2, 51, 51)
    decoded = [pictures["/".join(map(str, path))] for path in CASES]
    rows = np.stack([squares, *decoded], axis=1)  # (2, 9, 51, 51)
    image = tile(rows.reshape(-1, FRAME_SIZE, FRAME_SIZE), across=rows.shape[1])
    plot.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest", origin="upper")
    middles = (FRAME_SIZE + 1) * (np.arange(rows.shape[1]) + 0.5)
    labels = [
        "the two\nsquares",
        *(name.replace(", d", ",\nd").replace(" hid", "\nhid") for name in names),
    ]
    plot.set_xticks(middles, labels, fontsize=8)
    plot.set_yticks(middles[:2], ["frame 1", "frame 2"], fontsize=8)
    plot.tick_params(length=0)
    plot.set_title("The midpoint of two squares' latents, decoded (seed 0)", fontsize=10)


def draw(numbers: Numbers, pictures: Pictures) -> Figure:
    """Likeness, shares of two squares, and decoded midpoints."""
    figure = new_figure(8.3, 7.2)
    figure.suptitle("What one sees of an average is what the decoder makes of a midpoint")
    parts: Any = figure.subfigures(2, 1, height_ratios=(1.9, 1))
    left, right = parts[0].subplots(1, 2)
    draw_likeness(left, numbers)
    draw_shares(right, numbers)
    draw_midpoints(parts[1].subplots(), pictures, by_name(numbers))
    return figure


# ---------------------------------------------------------------------------------------------
# What the pages tell


def table(numbers: Numbers) -> str:
    """A row for each case."""
    head = ["code", "two squares in the midpoint", "two squares at step 0"]
    head += ["noise: 0 / 1 / 2 / 3+ squares, %", "a sum: R²", "0 fades, 1 moves"]
    head += [f"alike at {SIDE}", "units with a field; rotated"]
    rows = []
    for name, case in by_name(numbers).items():
        shares = [percent(case[which][:, 2]) for which in ("midpoint", "step 0")]
        noise = " / ".join(f"{share:.0f}" for share in 100 * case["decoded noise"].mean(0))
        alike = case["likeness"][:, DISTANCES.index(SIDE)]
        values = (case["sum"], case["halfway"]["on the way"], alike)
        fields = f"{percent(case['fields'])}; {percent(case['fields, rotated'])}"
        rows.append([name, *shares, noise, *map(spread, values), fields])
    return markdown_table(head, rows)


def texts(numbers: Numbers) -> dict[str, str]:
    """The table, and the numbers that are told in the text."""
    cases = list(by_name(numbers).values())
    two, _, hundred, hidden, _, plain_2, plain, plain_hidden = cases  # in the order of CASES
    controls, touching = numbers["controls"], DISTANCES.index(SIDE)
    apart = [(case["step 0"] - case["midpoint"])[:, 2].mean() for case in cases]
    off = [case["halfway"]["off the way"].mean() for case in cases]
    by_d = paired(100 * plain["midpoint"][:, 2], 100 * plain_2["midpoint"][:, 2], "%+.0f")
    return {
        "table": table(numbers),
        "step 0 and midpoint differ by at most": f"{100 * max(map(abs, apart)):.0f}",
        "step 0, d = 100": percent(hundred["step 0"][:, 2]),
        "step 0, plain, d = 2": percent(plain_2["step 0"][:, 2]),
        "step 0, plain, d = 100": percent(plain["step 0"][:, 2]),
        "midpoint, plain, d = 100": percent(plain["midpoint"][:, 2]),
        "midpoint, plain, one hidden": percent(plain_hidden["midpoint"][:, 2]),
        "midpoint, plain, d = 100 - d = 2": by_d,
        "several in noise, d = 100": percent(hundred["decoded noise"][:, 2:].sum(1)),
        "several in noise, plain, d = 100": percent(plain["decoded noise"][:, 2:].sum(1)),
        "several in noise, one hidden": percent(hidden["decoded noise"][:, 2:].sum(1)),
        "blank noise, one hidden": percent(hidden["decoded noise"][:, 0]),
        "blank midpoints, one hidden": percent(hidden["midpoint"][:, 0]),
        "index, d = 2": spread(two["halfway"]["on the way"]),
        "index, d = 100": spread(hundred["halfway"]["on the way"]),
        "index, plain, d = 2": spread(plain_2["halfway"]["on the way"]),
        "index off the way, at most": f"{max(off):.2f}",
        "sum, d = 100": spread(hundred["sum"]),
        "alike, pixels": spread(controls["pixels"][:, touching]),
        "fields, d = 100": percent(hundred["fields"]),
        "fields, pixels": percent(controls["pixels with a field"]),
    }


if __name__ == "__main__":
    command("seen", analysis, draw)
