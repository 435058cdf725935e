"""On the way to its place, does a square move or fade?

    python -m study.motion      # out/motion.png, .json, .csv and .npz

The post says that at d = 2 "the motion happens directly in physical space", and that d = 2 and
d = 100 "use very different algorithms". What would such a motion be? A sampler carries its state
along a nearly straight line through the latent space, at every d: the noise shrinks, and the
running mean of what the flow expects grows. What one sees on such a line is up to the code, that
is, to which latents belong to which pictures. There are two extremes. If the latent of a square is
an affine map of its centre, then the points of a straight line belong to squares at the places
between, and the square moves. If the decoder adds, then a point of the line is drawn as the mix of
both ends: one square fades out, another one fades in, and nothing is ever between. So it could also
be that the flow does the same at every d, and that all the difference lies in the code.

We look for light at the middle of the way, and count it so that a cross-fade gives 0 and a moving
square gives 1:

    index = (light - light of the cross-fade)
            / (light of a true square there - light of the cross-fade)

All light is the mean brightness under a square at the middle, and the sums over all ways are
divided, not each way by itself. It is asked twice.

The code alone, without any flow: two squares at random places, 0.8 apart (then the square between
them shares at most 9 % of its area with each), and the straight line between their latents, at a
quarter, a half, and three quarters. The same halfway for other distances, from 0.3 to 1.2. The
reach of a code is the distance at which the index halfway falls below a half. Up to there a square
moves, beyond it fades.

The flow's own way: a frame whose decoded noise shows exactly one blob, and whose finished frame
shows exactly one at least 0.8 away. The light is the most that the middle has at any of the 51
steps, and that of a cross-fade is the larger one of the two ends. The same for the exact flow,
which shows what is due to the code and not to what a network has learned. In frame 4, and in no
other, both directions have the same place. There the flow isn't undecided, and the way is
straighter. Besides, of the latent, how much longer the path of a state is than the straight line
from its start to its end; and of the frames, how far the place with the most light jumps at once.

All this was fixed before a result was seen, except for one thing: at first there were only the
distances 0.8 and 0.5, and after one seed had shown that they differ much, the other distances and
the reach were added. The null is the same index at a place off the way, the middle mirrored through
the middle of the frame: light there would be a general glow, and no motion. (Only ways are used
where a square there touches nothing that belongs to the way.) The controls with a known answer are
in the tests: a decoder that draws a square at the two numbers that it is given has the index 1, and
one that takes pixels for latents has 0. A control that is trained, too: autoencoders without the
blur, some of which fold the latent plane. There a straight line may run through the wrong places.
What would refute the post: an index near 1 at d = 100, or near 0 at d = 2. What would refute that
it is the number d that matters: an index near 1 at d = 100 with hidden layers, or in between for an
ordinary decoder at d = 2.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.ndimage import uniform_filter

from analyze import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RECIPES,
    RED,
    SweepSettings,
    count_blobs,
    find_blobs,
    measure,
    measure_grid,
)
from autoencoder import Autoencoder, AutoencoderSettings, encode_squares, trained_autoencoder
from data import (
    FRAME_SIZE,
    PIXEL,
    FrameSettings,
    new_figure,
    possible_orbits,
    random_stream,
    render,
    tile,
)
from flow import FlowSettings, LatentSpace, trained_flow
from sample import Samples, nearest_orbits, random_given_centers, random_noise, sample
from study.measures import both_flows, study_stream
from study.question import Numbers, Pictures, Runs, autoencoders, command, markdown_table, spread

SIDE = 2 * FrameSettings.half_width  # of a square: 0.4
DISTANCES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.2)  # of two squares
FAR = 0.8  # the distance that the comparisons are made at, and the least one of a way of the flow
FRACTIONS = (0.25, 0.5, 0.75)  # of the way
HALF = FRACTIONS.index(0.5)
WAYS = 120  # for each distance
VIDEOS = 200
MOST_WAYS = 40  # that are looked at, of those that the sampled videos have
WINDOW = 11  # pixels: a square's 10 and one more, so that the window has a middle pixel
# The way that the figure shows, and at which fractions
SHOWN_WAY = np.array([[-0.4, 0.3], [0.4, 0.3]])
SHOWN_FRACTIONS = (0.0, 0.25, 0.5, 0.75, 1.0)

# The changes of the settings for each case: those with a flow, and those of which the code
# alone counts
WITH_FLOW: dict[str, dict[str, Any]] = {
    "d = 2": {"embed_dim": 2},
    "d = 16": {"embed_dim": 16},
    "d = 100": {"embed_dim": 100},
    "d = 100, two hidden": {"embed_dim": 100, "hidden_layers": 2},
    "plain, d = 2": {"embed_dim": 2, **RECIPES["plain"]},
    "plain, d = 100": {"embed_dim": 100, **RECIPES["plain"]},
}
CODE_ONLY: dict[str, dict[str, Any]] = {
    "d = 4": {"embed_dim": 4},
    "d = 2, no blur": {"embed_dim": 2, **RECIPES["no blur"]},
}


# ---------------------------------------------------------------------------------------------
# Light at a place


def light_at_place(frames: np.ndarray, places: np.ndarray) -> np.ndarray:
    """How bright it is where a square would be: the mean brightness, 0 to 1, of each frame
    (n, 51, 51) under a square at its own place (n, 2): (n,)."""
    masks = render(places)
    return (np.clip(frames, 0, 1) * masks).sum((1, 2)) / masks.sum((1, 2))


def motion_index(light: np.ndarray, faded: np.ndarray, true: np.ndarray) -> float:
    """0 if there is as much light as in a cross-fade, 1 if as much as with a true square.

    Args:
        light: (n,), the light at a place of each way.
        faded: (n,), what a cross-fade would have there.
        true: (n,), what a square there has, encoded and decoded.
    """
    if len(light) == 0:  # nothing to measure
        return np.nan
    return float((light - faded).sum() / (true - faded).sum())


def apart(place: np.ndarray, *others: np.ndarray) -> np.ndarray:
    """Whether squares at these places (n, 2) are a side away from those at all the others, (n, 2)
    each: they share at most 9 % of their areas then. Booleans (n,)."""
    distances = [np.linalg.norm(place - other, axis=1) for other in others]
    return np.min(distances, axis=0) >= SIDE - 1e-9


def random_ways(
    n: int, length: float, rng: np.random.Generator, center_range: float
) -> tuple[np.ndarray, np.ndarray]:
    """Starts and ends (n, 2) of n straight ways of this length, both uniform in the range of the
    centres. A square at the mirrored middle is apart from those at the start, middle and end."""
    tries = 200 * n  # in a small range, few are good
    start = rng.uniform(-center_range, center_range, (tries, 2))
    angle = rng.uniform(0, 2 * np.pi, tries)
    end = start + length * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    middle = (start + end) / 2
    good = (np.abs(end) <= center_range).all(1) & apart(-middle, start, middle, end)
    return start[good][:n], end[good][:n]


# ---------------------------------------------------------------------------------------------
# The code alone


@torch.no_grad()
def straight_line(
    model: Autoencoder, settings: AutoencoderSettings, start: np.ndarray, end: np.ndarray, f: float
) -> dict[str, float]:
    """What is drawn on the straight line between the latents of two squares, at the fraction f of
    it, for squares at start and end, (n, 2) both.

    Returns:
        "on the way": the index at the place which is at the fraction f between start and end.
        "off the way": the same at the mirror image of that place, the null.
        "one square": the share of the frames that show exactly one blob, less than half a side from
            that place.
    """
    a, b = (encode_squares(model, places, settings) for places in (start, end))  # (n, d)
    at_start, at_end = model.decode(a).numpy(), model.decode(b).numpy()
    frames = model.decode((1 - f) * a + f * b).numpy()
    between = (1 - f) * start + f * end

    def index_at(places: np.ndarray) -> float:
        faded = (1 - f) * light_at_place(at_start, places) + f * light_at_place(at_end, places)
        true = model.decode(encode_squares(model, places, settings)).numpy()
        return motion_index(light_at_place(frames, places), faded, light_at_place(true, places))

    blobs = [find_blobs(frame) for frame in frames]
    one = [
        len(found) == 1 and np.linalg.norm(found[0] - place) < SIDE / 2
        for found, place in zip(blobs, between, strict=True)
    ]
    on, off = index_at(between), index_at(-between)
    return {"on the way": on, "off the way": off, "one square": sum(one) / len(one)}


def reach(distances: Sequence[float], index: np.ndarray) -> float:
    """The first distance at which the index is below a half, interpolated; the largest one if it is
    never."""
    below = np.flatnonzero(index < 0.5)
    if len(below) == 0:
        return distances[-1]
    i = below[0]
    if i == 0:
        return distances[0]
    return float(np.interp(0.5, index[[i, i - 1]], [distances[i], distances[i - 1]]))


@torch.no_grad()
def straight_lines(model: Autoencoder, settings: AutoencoderSettings) -> dict[str, Any]:
    """straight_line() of random ways, WAYS for each distance.

    Returns:
        "code, on the way", "code, off the way", "code, one square": halfway, for each of
            DISTANCES (8,).
        "code, fractions": the index on the way at each of FRACTIONS (3,), at the distance FAR.
        "code, reach": the distance up to which squares move.
        "picture": the frames of SHOWN_WAY at SHOWN_FRACTIONS, (5, 51, 51).
    """
    rng = study_stream(settings.seed, "midpoints")
    ways = {length: random_ways(WAYS, length, rng, settings.center_range) for length in DISTANCES}
    halfway = [straight_line(model, settings, *ways[length], 0.5) for length in DISTANCES]
    results: dict[str, Any] = {
        f"code, {name}": np.array([result[name] for result in halfway]) for name in halfway[0]
    }
    on_the_way = [straight_line(model, settings, *ways[FAR], f)["on the way"] for f in FRACTIONS]
    first, last = encode_squares(model, SHOWN_WAY, settings)
    line = torch.stack([(1 - f) * first + f * last for f in SHOWN_FRACTIONS])
    return results | {
        "code, fractions": np.array(on_the_way),
        "code, reach": reach(DISTANCES, results["code, on the way"]),
        "picture": model.decode(line).numpy(),
    }


# ---------------------------------------------------------------------------------------------
# The flow's own way


def brightest_place(frames: np.ndarray) -> np.ndarray:
    """Where a square would have the most light under it, to a pixel: (..., 51, 51) -> x and y
    (..., 2). (The window is WINDOW pixels wide.)"""
    around = uniform_filter(np.clip(frames, 0, 1), WINDOW, mode="constant", axes=(-2, -1))
    brightest = around.reshape(*frames.shape[:-2], -1).argmax(-1)
    row, column = np.divmod(brightest, FRAME_SIZE)
    return np.stack([column * PIXEL - 1, 1 - row * PIXEL], axis=-1)


@torch.no_grad()
def own_ways(samples: Samples, given_centers: np.ndarray, space: LatentSpace) -> dict[str, Any]:
    """How a square comes to its place while videos are sampled, with the squares of their given
    frames at given_centers (n, 1, 2).

    Returns:
        "on the way", "off the way": the index at the middle and at the mirrored middle,
            of all ways.
        "frame 4: on the way": the same of those of frame 4.
        "one square": the share of the frames on a way that show one blob at every step.
        "largest jump": from one step to the next, of the place with the most light; the median over
            the ways, in pixels.
        "path over chord": how much longer the path of the state is than the straight line from its
            first to its last point, at least 1; the mean over all videos.
        "ways": how many were looked at, at most MOST_WAYS.
    """
    moves = samples.states.diff(dim=0).norm(dim=2).sum(0)  # (n,)
    chord = (samples.states[-1] - samples.states[0]).norm(dim=1)

    noise, finished = (space.decode(samples.states[k]).numpy() for k in (0, -1))  # (n, 7, 51, 51)
    orbits = possible_orbits(given_centers[:, 0])[:, :, 1:]  # (n, 2, 7, 2)
    taken, _ = nearest_orbits(finished, orbits)
    other = orbits[np.arange(len(orbits)), 1 - taken]  # (n, 7, 2), in the direction not taken
    both_one = (count_blobs(noise) == 1) & (count_blobs(finished) == 1)
    video, frame = np.nonzero(both_one)  # each (m,); frame 0 is here the first generated one
    start, end = (
        np.array([find_blobs(each)[0] for each in frames[video, frame]]).reshape(-1, 2)
        for frames in (noise, finished)
    )
    middle, not_taken = (start + end) / 2, other[video, frame]
    # the other direction's square might shine at the middle or at its mirror image, too
    good = np.linalg.norm(end - start, axis=1) >= FAR
    good &= apart(middle, not_taken) & apart(-middle, start, middle, end, not_taken)
    used = np.flatnonzero(good)[:MOST_WAYS]
    video, frame, middle = video[used], frame[used], middle[used]

    ways, steps = len(middle), len(samples.states)
    results = {"path over chord": (moves / chord).mean().item(), "ways": ways}
    if ways == 0:  # as with networks that were hardly trained
        nothing = ("on the way", "off the way", "frame 4: on the way", "one square", "largest jump")
        return results | dict.fromkeys(nothing, np.nan)
    per_frame = samples.states.unflatten(2, (-1, space.settings.embed_dim))  # (51, n, 7, d)
    states = per_frame[:, video, frame]  # (51, ways, d)
    frames = space.decode(states.flatten(0, 1)).numpy()  # (51 ways, 1, 51, 51)
    frames = frames.reshape(steps, ways, FRAME_SIZE, FRAME_SIZE)

    def index_at(places: np.ndarray, which: np.ndarray) -> float:
        """The index at these places (ways, 2), of some of the ways."""
        light = np.array([light_at_place(step, places) for step in frames])  # (51, ways)
        true = light_at_place(space.decode(space.encode(places[:, None])).numpy()[:, 0], places)
        faded = np.maximum(light[0], light[-1])
        return motion_index(light.max(0)[which], faded[which], true[which])

    everywhere = np.full(ways, True)
    brightest = brightest_place(frames)  # (51, ways, 2)
    jumps = np.linalg.norm(np.diff(brightest, axis=0), axis=2).max(0) / PIXEL  # (ways,)
    return results | {
        "on the way": index_at(middle, everywhere),
        "off the way": index_at(-middle, everywhere),
        "frame 4: on the way": index_at(middle, frame + 1 == 4),
        "one square": (count_blobs(frames) == 1).all(0).mean(),
        "largest jump": np.median(jumps),
    }


# ---------------------------------------------------------------------------------------------
# The question


def measure_code(settings: AutoencoderSettings) -> dict[str, Any]:
    """straight_lines() of the autoencoder of these settings; at d = 2 also "folds", whether any
    cell of its grid of latents is turned over, 0 or 1."""
    results = straight_lines(trained_autoencoder(settings), settings)
    if settings.embed_dim == 2:
        results["folds"] = float(measure_grid(settings)["fold"] > 0)
    return results


def measure_code_and_flow(settings: FlowSettings) -> dict[str, Any]:
    """measure_code(), and own_ways() of the learned and of the exact flow."""
    network, space = trained_flow(settings)
    results = measure_code(settings)
    rng = random_stream(settings.seed, "counting")
    given_centers = random_given_centers(settings, VIDEOS, rng)
    noise = random_noise(space, VIDEOS, rng)
    for which, flow in both_flows(network, space, given_centers).items():
        told = own_ways(sample(flow, noise), given_centers, space)
        results |= {f"{which}, {name}": x for name, x in told.items()}
    return results


def analysis(settings: SweepSettings) -> Runs:
    """The code and the flow of six cases, and the code alone of two more."""
    with_flow = {name: settings.flows(**changes) for name, changes in WITH_FLOW.items()}
    code_only = {name: autoencoders(settings, **changes) for name, changes in CODE_ONLY.items()}
    return measure(measure_code_and_flow, with_flow, settings.dask) | measure(
        measure_code, code_only, settings.dask
    )


def draw(numbers: Numbers, pictures: Pictures) -> Figure:
    """Film strips of straight lines in the latent; the index over the distance of the two squares;
    and each seed's index halfway at the distance 0.8, and on the flow's own way."""
    figure = new_figure(10.5, 9.6)
    (films, curves), (code, flow) = figure.subplots(2, 2)

    shown = {"d = 2": GREEN, "d = 16": ORANGE, "d = 100": BLUE, "d = 100, two hidden": RED}
    rows = np.concatenate([pictures[name] for name in shown])
    image = tile(rows, across=len(SHOWN_FRACTIONS))
    films.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest", origin="upper")
    cell = FRAME_SIZE + 1
    centers = [cell * (i + 0.5) for i in range(len(SHOWN_FRACTIONS))]
    films.set_xticks(centers, ["one\nsquare", "1/4", "1/2", "3/4", "other\nsquare"])
    films.set_yticks(centers[: len(shown)], [name.replace(", ", ",\n") for name in shown])
    films.tick_params(length=0)
    films.set_title(
        "A straight line between two latents moves a square\n"
        "at d = 2, and fades it at d = 16 and 100 (seed 0)"
    )

    looks = [("-", name, color) for name, color in shown.items()]
    looks += [("--", "plain, d = 2", GREEN), ("--", "plain, d = 100", BLUE)]
    for line, name, color in looks:
        value = numbers[name]["code, on the way"]
        low, high = value["mean"] - value["std"], value["mean"] + value["std"]
        curves.plot(DISTANCES, value["mean"], line, marker="o", ms=3, color=color, label=name)
        curves.fill_between(DISTANCES, low, high, color=color, alpha=0.15, lw=0)
    off = numbers["d = 2"]["code, off the way"]["mean"]
    curves.plot(DISTANCES, off, ":", color="black", label="d = 2, off the way (null)")
    curves.axhline(1, color=GREY, lw=0.8, zorder=0)
    curves.set(xlabel="distance of the two squares (a square's side is 0.4)", ylim=(-0.2, 1.1))
    curves.set_ylabel("index halfway (0: cross-fade, 1: motion)")
    curves.set_title(
        "The code alone: how far apart may two\nsquares be for one to move to the other?"
    )
    curves.legend(fontsize=8)

    def dots(
        plot: Axes, names: list[str], result: str, look: str, color: str, shift: float, label: str
    ) -> None:
        """One dot for each seed, case by case from the top. Of a curve, that at the
        distance FAR."""
        for i, name in enumerate(names):
            x = numbers[name][result]["seeds"]
            if x.ndim == 2:
                x = x[:, DISTANCES.index(FAR)]
            plot.plot(x, np.full(len(x), i + shift), look, ms=5, alpha=0.7, color=color)
        plot.plot([], [], look, color=color, label=label)

    order = ["d = 2", "d = 4", "d = 16", "d = 100", "d = 100, two hidden", "plain, d = 2"]
    order += ["plain, d = 100", "d = 2, no blur"]
    dots(code, order, "code, off the way", "x", GREY, 0.2, "off the way (the null)")
    dots(code, order, "code, on the way", "o", BLUE, 0, "at the middle")
    for i, name in enumerate(order):
        if "folds" in numbers[name]:
            folds = numbers[name]["folds"]["seeds"] > 0
            x = numbers[name]["code, on the way"]["seeds"][folds, DISTANCES.index(FAR)]
            code.plot(x, np.full(len(x), i), "o", ms=9, mfc="none", mec="black")
    code.plot([], [], "o", ms=9, mfc="none", mec="black", label="the latent grid folds")
    code.set_title(
        "The code alone, squares 0.8 apart: hidden\nlayers and recipe count, not d alone"
    )

    with_flow = [name for name in order if name in WITH_FLOW]
    dots(flow, with_flow, "exact, on the way", "s", ORANGE, -0.25, "exact flow, at the middle")
    dots(flow, with_flow, "learned, on the way", "o", BLUE, -0.1, "learned flow, at the middle")
    dots(
        flow, with_flow, "learned, frame 4: on the way", "^", GREEN, 0.1, "the same, frame 4 alone"
    )
    dots(
        flow, with_flow, "learned, off the way", "x", GREY, 0.25, "learned, off the way (the null)"
    )
    flow.set_title(
        "While a video is sampled: the exact flow\nmoves and fades squares just as the learned one"
    )

    for plot, names in ((code, order), (flow, with_flow)):
        for x in (0, 1):
            plot.axvline(x, color=GREY, lw=0.8, zorder=0)
        plot.set_yticks(range(len(names)), [name.replace(", ", ",\n") for name in names])
        plot.set(ylim=(len(names) - 0.5, -0.5), xlim=(-0.3, 1.3))
        plot.set_xlabel("index (0: cross-fade, 1: motion)")
        plot.legend(fontsize=8)
    return figure


def texts(numbers: Numbers) -> dict[str, str]:
    """The indices of each case, and a table."""
    told, rows = {}, []
    far = DISTANCES.index(FAR)

    def at_far(value: dict[str, Any]) -> dict[str, Any]:
        """Of a curve over the distances, the value at FAR."""
        return {key: x[..., far] for key, x in value.items()}

    for name, case in numbers.items():
        told[f"{name}: code"] = spread(at_far(case["code, on the way"]))
        told[f"{name}: code, off the way"] = spread(at_far(case["code, off the way"]))
        told[f"{name}: reach"] = spread(case["code, reach"])
        row = [name, *(told[f"{name}: {x}"] for x in ("code", "code, off the way", "reach"))]
        if name in WITH_FLOW:
            for result in ("on the way", "off the way", "path over chord"):
                told[f"{name}: learned, {result}"] = spread(case[f"learned, {result}"])
            told[f"{name}: largest jump"] = spread(case["learned, largest jump"], "%.0f")
            row += [told[f"{name}: learned, {x}"] for x in ("on the way", "off the way")]
            row += [told[f"{name}: largest jump"], told[f"{name}: learned, path over chord"]]
        else:
            row += ["–"] * 4
        rows.append(row)

    no_blur = numbers["d = 2, no blur"]
    folds = no_blur["folds"]["seeds"] > 0
    index = no_blur["code, on the way"]["seeds"][:, far]
    told["no blur: seeds that fold"] = f"{folds.sum()} of {len(folds)}"
    for name, which in (("folded", folds), ("not folded", ~folds)):
        told[f"no blur: {name}"] = f"{index[which].mean():.2f}" if which.any() else "–"
    head = (
        "code",
        "index halfway",
        "off the way (null)",
        "squares move up to this distance",
        "the flow's own way: index",
        "off that way (null)",
        "largest jump, px",
        "path over straight line",
    )
    told["table"] = markdown_table(head, rows)
    return told


if __name__ == "__main__":
    command("motion", analysis, draw)
