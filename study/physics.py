"""Has it learned physics? Circles and starts that the flow has never seen.

    python -m study.physics      # out/physics.png, .json, .csv and .npz

The post begins with the question whether video models have truly learned physics. Here physics is
one rule: the square stays on its circle, and goes an eighth of it per frame. A flow that has
learned the rule can apply it to a circle that it was never trained on. A flow that has learned
nothing but its training videos will answer with one of those, such as the nearest. So circles are
left out of the flow's training, and then it has to continue a first frame on one of them. The
autoencoder has seen squares at all places: what is tested is the flow alone.

What is left out, one flow for each:

    all        nothing (the positive control: these flows should be right everywhere)
    gap        radii 0.4 to 0.6, between two bands that are seen
    outside    radii 0.5 to 0.8, so that the flow has to go outwards
    inside     radii 0.2 to 0.5, so that it has to go inwards
    sector     frames 0 with their square in one sector of 45 degrees. Exactly one of the eight
               places of each circle is in it: no video starts there, but all videos pass
               through it.

A prototype with a single seed led to this hypothesis: every code bridges a gap; outwards a code
that consists of coordinates (d = 2) goes further than one that is like place cells (d = 100), and
inwards it is the other way round. But these two codes differ in the number of dimensions as well as
in their geometry. The control that tells one from the other is the code of d = 2, lifted to 100
numbers by a matrix. If the number of dimensions matters, it behaves like d = 100; if the geometry
does, like d = 2. And as the autoencoder's weight decay grows with d, there is the plain recipe,
where it doesn't.

What could fool us, and what stands against it:

    the decoder     may draw badly where the flow was right. The exact flow on the same first frames
                    shows how well these decoders can draw the answer.
    the nearest     A video that is right may be 1.5 pixels off. So even a flow that answers each
    circle          first frame with the nearest circle of its training (or nearest start, for the
                    sector) is right up to 0.06 beyond the band. This clamp is the null, and it is
                    measured in the same way as the flows.
    faint light     may move the centre of light although the square is where it should be. So the
                    error is also measured on the bright pixels alone. (That was planned, but the
                    share that is right by them was added after a first look at seed 0.)
    the width       In 100 numbers of standard deviation 1 the same two coordinates stand out from
                    the noise seven times more than in two numbers. So there is a second lifted
                    code, "narrow", whose standard deviation is that much smaller (for "outside").

Fixed before looking at the outcomes: the radii below; "right" as in sample.py; the reach, which is
how far beyond the trained band at least half of the videos are right, and its excess over the
clamp's; and the comparisons in PAIRS, paired by seed, at the radius 0.65 for "outside" and at 0.35
for "inside", both 0.15 beyond the band. (48 starts on each circle had been planned; 24 are
measured.) The hypothesis is refuted if the lifted code is nearer to d = 100 than to d = 2 there, or
if d = 2 isn't ahead outwards or d = 100 not inwards.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from analyze import BLUE, GREEN, GREY, ORANGE, RECIPES, SweepSettings, count_blobs, measure
from autoencoder import LEAK, Autoencoder, trained_autoencoder
from data import NUM_FRAMES, PIXEL, distinct_turns, new_figure, possible_orbits, random_stream
from flow import (
    BATCH_SIZE,
    FlowNetwork,
    FlowSettings,
    LatentSpace,
    latent_space,
    places,
    train,
    train_flow,
    trained_flow,
    training_circles,
)
from sample import (
    Flow,
    centers_of_light,
    decode_videos,
    is_right,
    learned_flow,
    nearest_orbits,
    random_noise,
    sample,
)
from study.measures import SKY, both_flows, draw_marked, study_stream
from study.question import (
    Numbers,
    Pictures,
    Runs,
    command,
    difference,
    markdown_table,
    percent,
    spread,
)

# The radii and the number of starts that are tested
RADII = np.array([0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75])
STARTS = 24
# The radii that are left out of the training
HOLD_OUTS = {"all": None, "gap": (0.4, 0.6), "outside": (0.5, 0.8), "inside": (0.2, 0.5)}
# No training video starts from this angle up to 45 degrees more
SECTOR = 0.0
SECTOR_WIDTH = 360 / NUM_FRAMES

CODES: dict[str, dict[str, Any]] = {
    "d = 2": {"embed_dim": 2},
    "d = 8": {"embed_dim": 8},
    "d = 100": {"embed_dim": 100},
    "d = 2, plain": {"embed_dim": 2, **RECIPES["plain"]},
    "d = 100, plain": {"embed_dim": 100, **RECIPES["plain"]},
}
LIFTED, NARROW = "d = 2 lifted to 100", "d = 2 lifted to 100, narrow"
# So narrow that the variances of all 100 numbers add up to 2, as they do at d = 2
NARROW_SCALE = (2 / 100) ** 0.5
ALL_CODES = (*CODES, LIFTED)
# What is compared, the first minus the second
PAIRS = (
    ("d = 2", "d = 100"),
    (LIFTED, "d = 100"),
    (LIFTED, "d = 2"),
    ("d = 2, plain", "d = 100, plain"),
)
COMPARED_AT = {"outside": 0.65, "inside": 0.35}
# The first frame of the video that the figure shows
PICTURED = 0.65 * np.array([np.cos(np.radians(20)), np.sin(np.radians(20))])


# ---------------------------------------------------------------------------------------------
# The same code in more numbers


class Lifted(Autoencoder):
    """The code of another autoencoder, standardised and written with more numbers: times a matrix.

    With orthonormal rows the matrix is a rotation into a space of more dimensions, where all
    latents lie in a plane: distances and angles stay as they are. A flow then standardises each of
    the 100 numbers on its own, which stretches the plane a little, by factors between the largest
    and the smallest of stretches(). So in all it is a linear map, and not exactly a rotation. Every
    straight line stays straight, and coordinates stay coordinates.
    """

    def __init__(self, space: LatentSpace, matrix: Tensor) -> None:
        """space: the code that is lifted; matrix: (d, more), with orthonormal rows."""
        nn.Module.__init__(self)  # without the layers of an autoencoder: there is one already
        self.space = space
        self.matrix = matrix

    def encode(self, frames: Tensor) -> Tensor:
        """Frames (n, 51, 51) -> latents (n, more)."""
        return self.space.standardize(self.space.autoencoder.encode(frames)) @ self.matrix

    def decode(self, latents: Tensor, leak: float = LEAK) -> Tensor:
        """Latents (n, more) -> frames (n, 51, 51). What lies off the plane is dropped."""
        own = latents @ self.matrix.T * self.space.std + self.space.mean
        return self.space.autoencoder.decode(own, leak)


def lifting_matrix(rows: int, columns: int, rng: np.random.Generator) -> Tensor:
    """A random matrix (rows, columns) with orthonormal rows."""
    q, _ = np.linalg.qr(rng.standard_normal((columns, rows)))
    return torch.from_numpy(q.T.astype(np.float32))


def lifted_autoencoder(settings: FlowSettings) -> Lifted:
    """The code of d = 2, lifted to the dimension of these settings."""
    flat = replace(settings, embed_dim=2, latent_scale=1.0)
    space, _ = latent_space(trained_autoencoder(flat), flat)
    rng = study_stream(settings.seed, "calibration")
    return Lifted(space, lifting_matrix(2, settings.embed_dim, rng))


# ---------------------------------------------------------------------------------------------
# Leaving a sector out


def place_in_sector(settings: FlowSettings) -> Tensor:
    """Which of the eight places of each training circle lies in the sector: (circles,), integers 0
    to 7."""
    first = training_circles(settings)[:, 0]  # (circles, 2)
    # Place 0 is at this angle, and each further place at 45 degrees more.
    angle = np.degrees(np.arctan2(first[:, 1], first[:, 0]))
    places_beyond = np.floor((angle - SECTOR) / SECTOR_WIDTH).astype(int)
    return torch.from_numpy(-places_beyond % NUM_FRAMES)


def videos_without_sector(circles: Tensor, settings: FlowSettings) -> Iterator[Tensor]:
    """As flow.latent_videos(), but a start is one of the seven places that follow the one that is
    left out."""
    left_out = place_in_sector(settings)
    turns, probability = map(torch.from_numpy, distinct_turns(settings.turns))
    while True:
        circle = torch.randint(len(circles), (BATCH_SIZE,))
        start = (left_out[circle] + torch.randint(1, NUM_FRAMES, (BATCH_SIZE,))) % NUM_FRAMES
        turn = turns[torch.searchsorted(probability.cumsum(0), torch.rand(BATCH_SIZE))]
        yield circles[circle[:, None], places(start, turn)]


def train_without_sector(
    autoencoder: Autoencoder, settings: FlowSettings
) -> tuple[FlowNetwork, LatentSpace]:
    """As flow.train_flow(), but no video starts in the sector."""
    space, circles = latent_space(autoencoder, settings)
    torch.manual_seed(settings.seed)
    network = FlowNetwork(settings)
    train(network, videos_without_sector(circles, settings), settings)
    return network, space


# ---------------------------------------------------------------------------------------------
# First frames to test, and the nearest ones that were trained on


def on_circles(degrees: np.ndarray) -> np.ndarray:
    """Centres (11, n, 2) on the circles of RADII, at these angles (11, n)."""
    angle = np.radians(degrees)
    return RADII[:, None, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def nearest_seen_radii(radii: np.ndarray, settings: FlowSettings) -> np.ndarray:
    """Of each radius, the nearest one that the flow of these settings was trained on."""
    if settings.unseen_radii is None:
        return radii
    smallest, largest = settings.center_range / 4, settings.center_range
    low, high = settings.unseen_radii
    edges = np.array([edge for edge in (low, high) if smallest < edge < largest])
    nearest = edges[np.abs(radii[..., None] - edges).argmin(-1)]
    return np.where((low < radii) & (radii < high), nearest, radii)


def nearest_seen_starts(degrees: np.ndarray) -> np.ndarray:
    """Of each angle, the nearest one outside of the sector."""
    into = (degrees - SECTOR) % 360  # how far it is beyond the sector's first edge
    edge = np.where(into < SECTOR_WIDTH / 2, SECTOR, SECTOR + SECTOR_WIDTH)
    return np.where(into < SECTOR_WIDTH, edge, degrees)


# ---------------------------------------------------------------------------------------------
# How right are the videos, and how do they fail?


def errors(frames: np.ndarray, first_centers: np.ndarray) -> dict[str, np.ndarray]:
    """How far generated frames are from the true ones, in the direction that the video took.

    Args:
        frames: (n, 7, 51, 51), frames 1 to 7.
        first_centers: (n, 2), where the squares of frames 0 are.

    Returns:
        "right": (n,), booleans, see is_right().
        "error, px": (n, 7), distance of the centre of light from the true place.
        "bright, right" and "bright, error, px": the same of those pixels alone that are at least
            half as bright as the brightest one of their frame.
        "radius error, px": (n, 7); negative if the centre of light is inside of the circle.
        "angle error, degrees": (n, 7); positive if it is ahead of the true place.
        "square lost": (n, 7), whether a frame shows no square or several.
    """
    both, videos = possible_orbits(first_centers)[:, :, 1:], np.arange(len(frames))
    took, distance = nearest_orbits(frames, both)
    true = both[videos, took]  # (n, 7, 2)
    centers = centers_of_light(frames)
    bright = np.where(frames >= frames.max((2, 3), keepdims=True) / 2, frames, 0)
    _, bright_distance = nearest_orbits(bright, true[:, None])
    # the angle from the true place to the centre of light, counter-clockwise
    along = (true * centers).sum(-1)
    across = true[..., 0] * centers[..., 1] - true[..., 1] * centers[..., 0]
    turn = np.where(took == 0, 1, -1)[:, None]
    return {
        "right": is_right(distance),
        "error, px": distance,
        "bright, right": is_right(bright_distance),
        "bright, error, px": bright_distance,
        "radius error, px": (np.linalg.norm(centers, axis=-1) - np.linalg.norm(true, axis=-1))
        / PIXEL,
        "angle error, degrees": turn * np.degrees(np.arctan2(across, along)),
        "square lost": count_blobs(frames) != 1,
    }


def generalisation(
    network: FlowNetwork,
    space: LatentSpace,
    first_centers: np.ndarray,
    nearest_seen: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Sample a video from each first frame, and measure its errors.

    Args:
        first_centers: (radii, n, 2), n starts on each of some circles.
        nearest_seen: (radii, n, 2), the nearest ones that were trained on.

    Returns:
        For each radius, (radii,): "right", "bright, right" and "square lost", as shares; the
        medians over all frames of what else errors() gives; "exact, right" and "exact, error, px",
        of the exact flow; and "clamp, right" and "clamp, error, px", of the circle of nearest_seen,
        without any decoder.
    """
    radii = len(first_centers)
    flat = first_centers.reshape(-1, 2)

    def by_radius(values: np.ndarray) -> np.ndarray:
        """The share of True, or else the median: (radii * n, ...) -> (radii,)."""
        rows = values.reshape(radii, -1)
        return rows.mean(1) if rows.dtype == bool else np.median(rows, axis=1)

    def finished(flow: Flow) -> np.ndarray:
        """The frames 1 to 7 of the finished videos."""
        samples = sample(flow, random_noise(space, len(flat), rng))
        return space.decode(samples.states[-1]).numpy()

    flows = both_flows(network, space, flat[:, None])
    result = {name: by_radius(x) for name, x in errors(finished(flows["learned"]), flat).items()}
    _, exact = nearest_orbits(finished(flows["exact"]), possible_orbits(flat)[:, :, 1:])
    # All places of a circle turn with the first one, so the clamp is equally far off in each frame.
    clamp = np.linalg.norm(nearest_seen.reshape(-1, 2) - flat, axis=1, keepdims=True) / PIXEL
    for name, distance in (("exact", exact), ("clamp", clamp)):
        result[f"{name}, right"] = by_radius(is_right(distance))
        result[f"{name}, error, px"] = by_radius(distance)
    return result


def reach(beyond: np.ndarray, right: np.ndarray) -> float:
    """How far beyond the trained band at least half of the videos are right. Radii that are equally
    far beyond count together, and between those that were tested the share is interpolated.

    Args:
        beyond: (radii,), how far each radius is beyond the band; 0 if it was trained on.
        right: (radii,), the share of the videos that are right.

    Returns:
        The distance at which the share falls below a half: 0 if it never is a half, and the largest
        distance that was tested if it never falls below.
    """
    distances = np.unique(beyond.round(9))
    share = np.array([right[np.isclose(beyond, distance)].mean() for distance in distances])
    below = np.flatnonzero(share < 0.5)
    if len(below) == 0:
        return float(distances[-1])
    if below[0] == 0:
        return 0.0
    i = below[0]
    return float(np.interp(0.5, [share[i], share[i - 1]], [distances[i], distances[i - 1]]))


# ---------------------------------------------------------------------------------------------
# The five hold-outs


def unseen_circles(
    network: FlowNetwork, space: LatentSpace, starts: int = STARTS
) -> dict[str, Any]:
    """generalisation() on all RADII, from random starts.

    Returns:
        Besides: "reach", "bright, reach" and "clamp, reach", see reach()
        (if circles were left out); and "picture", the video from PICTURED, (8, 51, 51).
    """
    settings = space.settings
    rng = random_stream(settings.seed, "counting")
    degrees = rng.uniform(0, 360, (len(RADII), starts))
    first_centers = on_circles(degrees)
    nearest = nearest_seen_radii(RADII, settings)
    nearest_seen = first_centers * (nearest / RADII)[:, None, None]
    result = generalisation(network, space, first_centers, nearest_seen, rng)
    if settings.unseen_radii is not None:
        for name in ("", "bright, ", "clamp, "):
            result[f"{name}reach"] = reach(np.abs(RADII - nearest), result[f"{name}right"])
    given = PICTURED[None, None]
    noise = random_noise(space, 1, rng)
    latents = sample(learned_flow(network, space, given), noise).states[-1]
    return result | {"picture": decode_videos(space, given, latents)[0]}


def unseen_starts(network: FlowNetwork, space: LatentSpace, starts: int = STARTS) -> dict[str, Any]:
    """generalisation() from starts in the sector. And as a control, with "seen starts, " before the
    name, what is right from starts outside of it."""
    rng = random_stream(space.settings.seed, "counting")
    size = (len(RADII), starts)
    unseen = rng.uniform(SECTOR, SECTOR + SECTOR_WIDTH, size)
    nearest_seen = on_circles(nearest_seen_starts(unseen))
    result = generalisation(network, space, on_circles(unseen), nearest_seen, rng)
    seen = on_circles(rng.uniform(SECTOR + SECTOR_WIDTH, SECTOR + 360, size))
    control = generalisation(network, space, seen, seen, rng)
    return result | {f"seen starts, {name}": control[name] for name in ("right", "error, px")}


def measure_circles(settings: FlowSettings) -> dict[str, Any]:
    """unseen_circles() of the flow of these settings."""
    return unseen_circles(*trained_flow(settings))


def measure_lifted_circles(settings: FlowSettings) -> dict[str, Any]:
    """unseen_circles() of a flow on the lifted code. (It is trained each time: its checkpoint would
    have the name of another one.)"""
    return unseen_circles(*train_flow(lifted_autoencoder(settings), settings))


def measure_sector(settings: FlowSettings) -> dict[str, Any]:
    """unseen_starts() of a flow that is trained now, without the sector."""
    return unseen_starts(*train_without_sector(trained_autoencoder(settings), settings))


def measure_lifted_sector(settings: FlowSettings) -> dict[str, Any]:
    """The same on the lifted code."""
    return unseen_starts(*train_without_sector(lifted_autoencoder(settings), settings))


def analysis(settings: SweepSettings) -> Runs:
    """Six codes times five hold-outs, and the narrow lifted code for going outwards."""
    circles, sector, lifted = {}, {}, {}
    for hold_out, unseen_radii in HOLD_OUTS.items():
        for code, changes in CODES.items():
            name = f"{code}, {hold_out}"
            circles[name] = settings.flows(unseen_radii=unseen_radii, **changes)
        lifted[f"{LIFTED}, {hold_out}"] = settings.flows(embed_dim=100, unseen_radii=unseen_radii)
    lifted[f"{NARROW}, outside"] = settings.flows(
        embed_dim=100, unseen_radii=HOLD_OUTS["outside"], latent_scale=NARROW_SCALE
    )
    for code, changes in CODES.items():
        sector[f"{code}, sector"] = settings.flows(**changes)
    lifted_sector = {f"{LIFTED}, sector": settings.flows(embed_dim=100)}
    return (
        measure(measure_circles, circles, settings.dask)
        | measure(measure_lifted_circles, lifted, settings.dask)
        | measure(measure_sector, sector, settings.dask)
        | measure(measure_lifted_sector, lifted_sector, settings.dask)
    )


# ---------------------------------------------------------------------------------------------
# The figure and the texts

LOOKS: dict[str, dict[str, Any]] = {
    "d = 2": {"color": GREEN, "lw": 2.5},
    LIFTED: {"color": ORANGE, "lw": 2.5, "ls": "--"},
    "d = 100": {"color": BLUE, "lw": 2.5},
    "d = 8": {"color": SKY},
    "d = 2, plain": {"color": GREEN, "ls": ":"},
    "d = 100, plain": {"color": BLUE, "ls": ":"},
}
FILMED = ("d = 2", LIFTED, "d = 100")


def trained_bands(hold_out: str) -> Iterator[tuple[float, float]]:
    """The bands of radii that are trained on."""
    low, high = HOLD_OUTS[hold_out] or (0.8, 0.8)
    for band in ((0.2, low), (high, 0.8)):
        if band[0] < band[1]:
            yield band


def draw_errors(plot: Axes, numbers: Numbers, hold_out: str) -> None:
    """The error of each code over the radius, and that of the clamp."""
    for band in trained_bands(hold_out):
        plot.axvspan(*band, color=GREY, alpha=0.2, lw=0)
    plot.axhline(1.5, color="black", lw=0.8)
    for code, look in LOOKS.items():
        mean = numbers[f"{code}, {hold_out}"]["error, px"]["mean"]
        plot.plot(RADII, mean, marker="o", ms=3, label=code, **look)
    clamp = np.array(numbers[f"d = 2, {hold_out}"]["clamp, error, px"]["mean"])
    off = clamp > 0
    label = "null: the nearest trained circle"
    plot.plot(RADII[off], clamp[off], "s--", color="black", ms=3, lw=1, label=label)
    plot.set(
        yscale="log",
        xlabel="radius of the circle (grey: trained)",
        xlim=(0.2, 0.8),
        ylim=(0.03, 30),
    )
    plot.set_yticks([0.1, 1, 10], ["0.1", "1", "10"])


def draw(numbers: Numbers, pictures: Pictures) -> Figure:
    """The errors over the radius for three hold-outs, and a video of each of three codes."""
    figure = new_figure(11, 8.8)
    curves, films = figure.subfigures(2, 1, height_ratios=[5, 3.8], squeeze=False)[:, 0]
    plots = curves.subplots(1, 3, sharey=True, width_ratios=[3, 3, 2])
    titles = {
        "outside": "Outwards coordinates go furthest,\nalso if written as 100 numbers",
        "inside": "Inwards d = 8, in between,\ngoes furthest of these codes",
        "gap": "In a gap videos are right,\nbut not all with plain, d = 2",
    }
    for plot, (hold_out, title) in zip(plots, titles.items(), strict=True):
        draw_errors(plot, numbers, hold_out)
        plot.set_title(title)
    plots[0].set_ylabel("median error of the square's place, pixels")
    plots[0].text(0.21, 1.6, "1.5 pixels: right up to here", fontsize=8)
    handles, labels = plots[0].get_legend_handles_labels()
    curves.legend(handles, labels, loc="outside lower center", ncols=4)

    films.suptitle(
        "A circle of radius 0.65 after training on radii up to 0.5 (seed 0; outlined: where the\n"
        "square should be in the direction it took, and dashed in the other one)"
    )
    both = possible_orbits(PICTURED[None])  # (1, 2, 8, 2)
    for plot, code in zip(films.subplots(len(FILMED), 1), FILMED, strict=True):
        frames = pictures[f"{code}, outside"]
        (took,), _ = nearest_orbits(frames[None], both)
        draw_marked(plot, frames, both[0, [took, 1 - took]])
        plot.set_ylabel(code.replace(" lifted", "\nlifted"), rotation=0, ha="right", va="center")
    return figure


def at(value: dict[str, Any], radius: float) -> dict[str, Any]:
    """Of a result for each radius, that of one."""
    i = int(np.flatnonzero(np.isclose(RADII, radius))[0])
    return {key: np.array(x)[..., i] for key, x in value.items()}


def over_radii(value: dict[str, Any]) -> dict[str, Any]:
    """Of a result for each radius, the mean over the radii."""
    seeds = np.array(value["seeds"]).mean(1)
    std = seeds.std(ddof=1) if len(seeds) > 1 else 0.0
    return {"mean": seeds.mean(), "std": std, "seeds": seeds}


COLUMNS = (
    ("gap", 0.5), ("outside", 0.55), ("outside", 0.65), ("outside", 0.75),
    ("inside", 0.45), ("inside", 0.35), ("inside", 0.25),
)  # fmt: skip


def texts(numbers: Numbers) -> dict[str, str]:
    """The table; the comparisons of PAIRS; and of each code what is in no table, such as what the
    bright pixels alone say."""

    def share(code: str, result: str) -> list[str]:
        cells = [at(numbers[f"{code}, {hold_out}"][result], r) for hold_out, r in COLUMNS]
        cells.append(over_radii(numbers[f"{code}, sector"][result]))
        return [f"{100 * cell['mean']:.0f} ({100 * cell['std']:.0f})" for cell in cells]

    head = ["videos right, %", *(f"{hold_out}, {r}" for hold_out, r in COLUMNS), "sector"]
    rows = [[code, *share(code, "right")] for code in ALL_CODES]
    rows.append(["null: nearest that was trained", *share("d = 2", "clamp, right")])
    result = {"table": markdown_table(head, rows)}

    for hold_out, radius in COMPARED_AT.items():
        null = numbers[f"d = 2, {hold_out}"]["clamp, reach"]
        result[f"{hold_out}: reach of the null"] = f"{null['mean']:.3f}"
        for a, b in PAIRS:
            one, other = numbers[f"{a}, {hold_out}"], numbers[f"{b}, {hold_out}"]
            name = f"{hold_out}: {a} minus {b}"
            for right in ("right", "bright, right"):
                mean, error = difference(at(one[right], radius), at(other[right], radius))
                result[f"{name}, {right}"] = f"{100 * mean:+.0f} ± {100 * error:.0f} points"
            mean, error = difference(one["reach"], other["reach"])
            result[f"{name}, reach"] = f"{mean:+.3f} ± {error:.3f}"
        for code in ALL_CODES:
            case = numbers[f"{code}, {hold_out}"]
            for name in ("right", "bright, right"):
                result[f"{code}, {hold_out}: {name}"] = percent(at(case[name], radius))
            name = "bright, error, px"
            result[f"{code}, {hold_out}: {name}"] = spread(at(case[name], radius))
    narrow = at(numbers[f"{NARROW}, outside"]["right"], COMPARED_AT["outside"])
    result[f"{NARROW}, outside: right"] = percent(narrow)
    for code in ALL_CODES:
        result[f"{code}, all: right"] = percent(over_radii(numbers[f"{code}, all"]["right"]))
        result[f"{code}, sector: right"] = percent(over_radii(numbers[f"{code}, sector"]["right"]))
    return result


if __name__ == "__main__":
    command("physics", analysis, draw)
