"""Coordinates or place cells: what kind of code is the latent, and what follows from it?

    python -m study.placecells      # out/placecells.png, .json and .csv

The post compares d = 2 with coordinates: two numbers say where the square is. And it compares
d = 100 with place cells, the neurons in an animal's brain of which each fires in one part of the
room. So far that is an image. It can be tested, because such codes differ in what one can measure.

If the latent is made of coordinates, an affine map leads from the centre of the square to the
latent (R^2 near 1), and far can be told from very far: the larger the distance between two squares,
the less alike are their latents. If it is made of place cells, every place has a few active units
of its own. Then two squares that don't overlap have nothing in common, however far apart they are.
So the first measure is the mean cosine between the latents of two squares, as a function of their
distance. It is called the kernel here. If it were the same for d = 2 and d = 100, the post would be
wrong.

But a kernel that falls off quickly need not be an achievement of the network. Pixels are place
cells themselves: each is white for squares nearby, and black for all others. So whatever passes on
the pixels has such a kernel, too. The same measures are therefore taken of the pixels, and of their
principal components (PCA).

A kernel belongs to the whole code. Place cells are single units, and so these are asked, too: a
unit has a field if it responds with more than half of its maximum in one connected piece of the
plane, and if that piece is small: under 20 % of the plane (10 % and 30 % are given, too). Pixels
are the positive control: all must have a field. Coordinates are the negative control: none may have
one. The null is a random rotation, which makes each unit a random mixture of all units and leaves
the kernel as it is. If the network's own units don't have fields more often than such mixtures, its
axes are nothing special. The limits were fixed beforehand, and turned out not to suffice: along a
diagonal, a coordinate is above half of its maximum in a corner only, which is an eighth of the
plane, and of the two units of seed 0 at d = 2, which are nearly coordinates, both passed even at 10
%. So it was added, after seed 0 had been looked at, that a field must not touch the border. (That
costs place cells near the border. The shares without this rule are kept, too, under "fields or
corners".)

Then there is the question what follows from the code. Decoded noise shows one square at d = 2, and
often several at d = 100, but hardly ever with two hidden layers. So what is it that counts? It may
be d. It may be the effective dimension: how many directions the code makes use of. The
participation ratio measures it, and hidden layers lower it. Or it may be what the decoder draws for
the midpoint of two latents. Each of the three is a predictor. On the autoencoders without hidden
layers the mean share of decoded noise with one square is written as a function of the predictor:
straight lines from point to point. This function then predicts all other cases, those with hidden
layers and those of the plain recipe. The error is the mean distance between the predicted share and
the measured one. The null predicts the same for every case, the mean of the fitted ones. A
predictor wins if its error, fitted and predicted seed by seed, is smaller than that of each other
one and of the null, by more than twice the standard error of the paired difference. The cases, the
function and the score were fixed beforehand.

All latents here are standardised as the flow sees them: over the frames of the training videos each
of the d numbers has mean 0 and standard deviation 1. This depends on the axes: dividing each number
by its own standard deviation makes weak units as loud as strong ones, and after a rotation it would
do something else. The participation ratio is therefore that of their correlation matrix; that of
the covariance of the encoder's own latents stands beside it.
"""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy import ndimage
from scipy.linalg import eigh

from analyze import BLUE, GREEN, GREY, ORANGE, RECIPES, RED, SweepSettings, count_blobs, measure
from autoencoder import encode_squares, trained_autoencoder
from data import (
    FRAME_SIZE,
    FrameSettings,
    grid_centers,
    new_figure,
    possible_orbits,
    random_first_centers,
    random_stream,
    render,
)
from flow import FlowSettings, LatentSpace, latent_space
from study.measures import SKY
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
from study.representing import midpoints

# A code: a function from centres (..., 2) to the numbers (..., d) that stand for a square there.
# They are centred: on average over the frames of the videos each is about 0.
Code = Callable[[np.ndarray], np.ndarray]

DIMS = (2, 3, 4, 8, 16, 32, 64, 100)
FITTED = [f"d = {dim}" for dim in DIMS]  # no hidden layers: the cases that the curves go through
DISTANCES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.2)  # a square's side is 0.4
LIMITS = {"10 %": 0.1, "20 %": 0.2, "30 %": 0.3}  # a field covers less than this of the plane
CENTRAL = slice(13, 38)  # rows and columns of the 25 x 25 pixels in the middle
NUM_CIRCLES = 256  # of eight frames each, for covariances
NUM_PAIRS = 200  # of squares, at each distance
NUM_NOISE = 400  # frames of decoded noise
SHOWN_UNITS = 4


# ---------------------------------------------------------------------------------------------
# The kernel: how alike are the codes of two squares?


def random_pairs(n: int, rng: np.random.Generator, center_range: float) -> np.ndarray:
    """Centres of n pairs of squares for each of the DISTANCES: (distances, n, 2, 2), indexed
    [distance, pair, first or second, (x, y)]. The first is where a square of a video may be, and
    the second lies in a random direction from it. A pair is drawn anew if the x or y of its second
    square would leave [-center_range, center_range]."""
    pairs = np.empty((len(DISTANCES), n, 2, 2))
    for i, distance in enumerate(DISTANCES):
        found = 0
        while found < n:
            first = random_first_centers(n, rng, center_range)
            angle = rng.uniform(0, 2 * np.pi, n)
            second = first + distance * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
            inside = np.abs(second).max(1) <= center_range
            both = np.stack([first, second], axis=1)[inside][: n - found]
            pairs[i, found : found + len(both)] = both
            found += len(both)
    return pairs


def mean_cosine(codes: np.ndarray) -> np.ndarray:
    """The mean cosine of the angle between two codes: (k, n, 2, d) -> (k,), in [-1, 1]."""
    lengths = np.linalg.norm(codes, axis=-1).clip(1e-12)  # (k, n, 2)
    products = (codes[:, :, 0] * codes[:, :, 1]).sum(-1)
    return (products / lengths.prod(-1)).mean(1, dtype=np.float64)


def decay_length(kernel: np.ndarray) -> float:
    """The distance at which the kernel (distances,) first falls under 1/2, on straight lines
    between the DISTANCES and from 1 at distance 0. If it never does: the last distance."""
    curve = zip((0.0, *DISTANCES), (1.0, *kernel), strict=True)
    for (near, before), (far, after) in itertools.pairwise(curve):
        if after < 0.5:
            return near + (far - near) * (before - 0.5) / (before - after)
    return DISTANCES[-1]


# ---------------------------------------------------------------------------------------------
# Fields: where does a single unit respond?


def response_maps(responses: np.ndarray) -> np.ndarray:
    """The responses (21, 21, units) of units to a grid of squares, counted from each one's median,
    and with the sign that makes the largest deviation from it positive."""
    deviation = responses - np.median(responses, axis=(0, 1))
    return np.where(deviation.max((0, 1)) >= -deviation.min((0, 1)), deviation, -deviation)


def count_fields(responses: np.ndarray) -> dict[str, float]:
    """Where units respond with more than half of their maximum: responses (21, 21, units).

    Returns:
        "pieces": in how many separate pieces of the grid, on average. (Places that touch, also at a
            corner, belong together.)
        "fields, 10 %" and so on, for each of the LIMITS: the share of the units with a field, which
            is a single piece that covers less than this of the grid and doesn't touch its border.
        "fields or corners, 10 %" and so on: the same, but the piece may touch the border.
    """
    maps = np.moveaxis(response_maps(responses), -1, 0)  # (units, 21, 21)
    active = maps > maps.max((1, 2), keepdims=True) / 2
    pieces = np.array([ndimage.label(each, np.ones((3, 3)))[1] for each in active])
    area = active.mean((1, 2))
    inside = active[:, 1:-1, 1:-1].sum((1, 2)) == active.sum((1, 2))
    result = {"pieces": pieces.mean()}
    for name, limit in LIMITS.items():
        small = (pieces == 1) & (area < limit)
        result[f"fields, {name}"] = (small & inside).mean()
        result[f"fields or corners, {name}"] = small.mean()
    return result


def random_rotation(d: int, rng: np.random.Generator) -> np.ndarray:
    """A random orthogonal matrix (d, d), all directions equally probable. It turns a code, and
    perhaps mirrors it, and leaves all lengths and angles."""
    q, r = np.linalg.qr(rng.standard_normal((d, d)))
    return q * np.sign(np.diag(r))  # without the signs some rotations would be more probable


# ---------------------------------------------------------------------------------------------
# How much of a map is it, and how many directions does it use?


def affine_r2(centers: np.ndarray, codes: np.ndarray) -> float:
    """R^2 of the best affine map from centres (n, 2) to codes (n, d): the share of their variance,
    summed over the d numbers, that it explains. 1 means that the code is a map."""
    inputs = np.column_stack([centers, np.ones(len(centers))])
    affine, *_ = np.linalg.lstsq(inputs, codes)
    residual = codes - inputs @ affine
    return float(1 - (residual**2).sum() / ((codes - codes.mean(0)) ** 2).sum())


def participation_ratio(codes: np.ndarray) -> float:
    """(sum of lambda)^2 / (sum of lambda^2), with the eigenvalues lambda of the covariance of codes
    (n, d). If k directions have the same variance and the others none, it is k; so it counts, with
    weights, the directions that are used. (The first sum is the trace of the covariance, and the
    second is that of its squared entries.)"""
    covariance = np.atleast_2d(np.cov(codes, rowvar=False))
    return float(np.trace(covariance) ** 2 / (covariance**2).sum())


def random_places(settings: FrameSettings, rng: np.random.Generator) -> np.ndarray:
    """Where the squares of videos are: the eight places of NUM_CIRCLES random circles, (n, 2)."""
    first_centers = random_first_centers(NUM_CIRCLES, rng, settings.center_range)
    return possible_orbits(first_centers, [1]).reshape(-1, 2)


def measure_code(
    code: Code, settings: FrameSettings, rng: np.random.Generator, units: np.ndarray | None = None
) -> dict[str, Any]:
    """Measure a code: everything but what a decoder makes of it. rng draws pairs, circles and the
    rotation. Fields are looked for in all units, or in those that are named (indices).

    Returns:
        "kernel": the mean cosine at each of the DISTANCES.
        "decay length": see decay_length().
        "affine R2", "participation ratio": over the frames of NUM_CIRCLES circles.
        "pieces", "fields, 10 %", and so on: see count_fields(); and "rotated: pieces" and so on:
            the same of the units after a random rotation of the code.
        "picture": the responses of the first units, (at most 4, 21, 21), each scaled to 0 to 1.
    """
    kernel = mean_cosine(code(random_pairs(NUM_PAIRS, rng, settings.center_range)))
    centers = random_places(settings, rng)
    codes = code(centers)
    responses = code(grid_centers(settings.center_range))
    if units is not None:
        responses = responses[..., units]
    rotated = count_fields(responses @ random_rotation(responses.shape[-1], rng))
    maps = np.moveaxis(response_maps(responses)[..., :SHOWN_UNITS], -1, 0)
    low, high = maps.min((1, 2), keepdims=True), maps.max((1, 2), keepdims=True)
    return {
        "kernel": kernel,
        "decay length": decay_length(kernel),
        "affine R2": affine_r2(centers, codes),
        "participation ratio": participation_ratio(codes),
        **count_fields(responses),
        **{f"rotated: {name}": value for name, value in rotated.items()},
        "picture": (maps - low) / (high - low).clip(1e-12),
    }


# ---------------------------------------------------------------------------------------------
# The codes


def pixel_code(settings: FrameSettings, mean: np.ndarray) -> Code:
    """The code that is the frame itself, 51 x 51 numbers, less a mean frame (51 * 51,)."""
    return lambda centers: render(centers, settings).reshape(*centers.shape[:-1], -1) - mean


def pca(frames: np.ndarray, d: int) -> tuple[np.ndarray, np.ndarray]:
    """The d principal components of frames (n, pixels): directions (pixels, d), the one with most
    variance first, and the standard deviation of the frames along each, (d,)."""
    covariance, pixels = np.cov(frames, rowvar=False, dtype=np.float64), frames.shape[1]
    variance, directions = eigh(covariance, subset_by_index=[pixels - d, pixels - 1])
    return directions[:, ::-1], variance[::-1] ** 0.5


def one_square(space: LatentSpace, rng: np.random.Generator) -> dict[str, float]:
    """What the decoder draws for normal noise: the shares of NUM_NOISE frames that show "one
    square" and "several squares"."""
    noise = rng.standard_normal((NUM_NOISE, space.settings.embed_dim), dtype=np.float32)
    count = count_blobs(space.decode(torch.from_numpy(noise)).numpy())
    return {"one square": (count == 1).mean(), "several squares": (count > 1).mean()}


def one_square_of_shaped_noise(space: LatentSpace, rng: np.random.Generator) -> float:
    """The same share "one square" for noise that has the covariance of the latents. Normal noise is
    as wide in all directions, and at d = 100 most of them are directions that no latent has."""
    latents = space.encode(random_places(space.settings, rng)).numpy()
    covariance = np.cov(latents, rowvar=False)
    zero = np.zeros(len(covariance))
    noise = rng.multivariate_normal(zero, covariance, NUM_NOISE, method="eigh").astype(np.float32)
    count = count_blobs(space.decode(torch.from_numpy(noise)).numpy())
    return float((count == 1).mean())


def measure_latents(settings: FlowSettings) -> dict[str, Any]:
    """measure_code() of the latents; also "d", "participation ratio, own" (before standardising),
    one_square(), "one square, shaped noise", and the midpoints() of the decoder."""
    space, _ = latent_space(trained_autoencoder(settings), settings)
    rng = random_stream(settings.seed, "counting")
    result = measure_code(lambda centers: space.encode(centers).numpy(), settings, rng)
    own = encode_squares(space.autoencoder, random_places(settings, rng), settings).numpy()
    return result | {
        "d": settings.embed_dim,
        "participation ratio, own": participation_ratio(own),
        **one_square(space, rng),
        "one square, shaped noise": one_square_of_shaped_noise(space, rng),
        **midpoints(space.autoencoder, settings),
    }


def orbit_frames(settings: FlowSettings) -> np.ndarray:
    """Frames of videos, (n, pixels), to centre the pixels on and to fit the PCA to."""
    places = random_places(settings, random_stream(settings.seed, "flow training"))
    return render(places, settings).reshape(-1, FRAME_SIZE**2)


def measure_pixels(settings: FlowSettings) -> dict[str, Any]:
    """measure_code() of the pixels; fields are looked for in the 25 x 25 in the middle."""
    code = pixel_code(settings, orbit_frames(settings).mean(0))
    middle = np.arange(FRAME_SIZE**2).reshape(FRAME_SIZE, FRAME_SIZE)[CENTRAL, CENTRAL].ravel()
    return measure_code(code, settings, random_stream(settings.seed, "counting"), middle)


def measure_pca(settings: FlowSettings) -> dict[str, Any]:
    """measure_code() of the first d principal components of the pixels, each divided by its
    standard deviation, as the latents are."""
    frames = orbit_frames(settings)
    directions, std = pca(frames, settings.embed_dim)
    pixels = pixel_code(settings, frames.mean(0))
    rng = random_stream(settings.seed, "counting")
    return measure_code(lambda centers: pixels(centers) @ (directions / std), settings, rng)


def measure_map(settings: FlowSettings) -> dict[str, Any]:
    """measure_code() of a map: the coordinates along 36 directions, 10 degrees apart. (Its
    cosines are those of x and y alone.)"""
    angle = np.radians(10 * np.arange(36))
    directions = np.stack([np.cos(angle), np.sin(angle)])  # (2, 36)
    rng = random_stream(settings.seed, "counting")
    return measure_code(lambda centers: centers @ directions, settings, rng)


def analysis(settings: SweepSettings) -> Runs:
    """All autoencoders, and the codes that they are compared with."""
    plain, names = RECIPES["plain"], {1: "one hidden layer", 2: "two hidden layers"}
    cases = {f"d = {dim}": settings.flows(embed_dim=dim) for dim in DIMS}
    for depth, dims in ((1, (4, 16, 100)), (2, (2, 4, 16, 100))):
        for dim in dims:
            flows = settings.flows(embed_dim=dim, hidden_layers=depth)
            cases[f"d = {dim}, {names[depth]}"] = flows
    for dim in (2, 8, 32, 100):
        cases[f"d = {dim}, plain"] = settings.flows(embed_dim=dim, **plain)
    for dim in (4, 16, 100):
        flows = settings.flows(embed_dim=dim, hidden_layers=1, **plain)
        cases[f"d = {dim}, plain, {names[1]}"] = flows
    # 2 and 100 were fixed beforehand. 10 was added after seed 0 had been looked at: the
    # participation ratio at d = 100 is about that.
    components = {f"PCA, d = {dim}": settings.flows(embed_dim=dim) for dim in (2, 10, 100)}
    return (
        measure(measure_latents, cases, settings.dask)
        | measure(measure_pixels, {"pixels": settings.flows()}, settings.dask)
        | measure(measure_pca, components, settings.dask)
        | measure(measure_map, {"map": settings.flows()}, settings.dask)
    )


# ---------------------------------------------------------------------------------------------
# Which number predicts how often decoded noise shows one square?

# name -> the result that predicts, and on which scale the straight lines are drawn
PREDICTORS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "d": ("d", np.log),
    "participation ratio": ("participation ratio", np.log),
    "midpoints": ("midpoints with two", np.asarray),
}
NULL = "their mean"  # of the fitted cases


def interpolate(x_fitted: np.ndarray, y_fitted: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Straight lines through the points (x_fitted, y_fitted) (k,), in the order of x, at x (m,):
    (m,). Points with the same x are replaced by their mean, and beyond the ends the lines go on
    horizontally."""
    distinct, which = np.unique(x_fitted, return_inverse=True)
    means = np.bincount(which, y_fitted) / np.bincount(which)
    return np.interp(x, distinct, means)


def predictions(numbers: Numbers, kind: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """What each predictor, and the null, say of the share with one square in the other cases.

    Args:
        numbers: case -> "d", "one square", ...
        kind: which value of a result, its mean over the seeds or that of one seed.

    Returns:
        predictor -> case -> predicted share minus measured share.
    """
    predicted_cases = [
        case for case, result in numbers.items() if "one square" in result and case not in FITTED
    ]

    def values(cases: list[str], result: str) -> np.ndarray:
        return np.array([float(kind(numbers[case][result])) for case in cases])

    y_fitted, y = values(FITTED, "one square"), values(predicted_cases, "one square")
    predicted = {NULL: np.full(len(y), y_fitted.mean())}
    for name, (result, scale) in PREDICTORS.items():
        x_fitted, x = scale(values(FITTED, result)), scale(values(predicted_cases, result))
        predicted[name] = interpolate(x_fitted, y_fitted, x)
    return {
        name: dict(zip(predicted_cases, (value - y).tolist(), strict=True))
        for name, value in predicted.items()
    }


def of_seed(i: int, value: dict[str, Any]) -> Any:
    """The value of one seed."""
    return value["seeds"][i]


def prediction_errors(numbers: Numbers) -> dict[str, dict[str, Any]]:
    """How well each predictor, and the null, predict.

    Returns:
        predictor -> "of means": the mean absolute error for the means over the seeds; "by case":
        predicted minus measured mean of each predicted case; "mean", "std" and "seeds": the mean
        absolute error if each seed is fitted and predicted on its own.
    """
    of_means = predictions(numbers, lambda value: value["mean"])
    seeds = len(numbers[FITTED[0]]["one square"]["seeds"])
    of_seeds = [predictions(numbers, partial(of_seed, i)) for i in range(seeds)]
    errors = {}
    for name, by_case in of_means.items():
        each = np.array([np.abs(list(one[name].values())).mean() for one in of_seeds])
        errors[name] = {
            "of means": float(np.abs(list(by_case.values())).mean()),
            "by case": by_case,
            "mean": each.mean(),
            "std": each.std(ddof=1) if seeds > 1 else 0.0,
            "seeds": each,
        }
    return errors


def winner(errors: dict[str, dict[str, Any]]) -> str | None:
    """The predictor whose error over the seeds is smaller than that of each other one and of the
    null, by more than twice the standard error of the paired difference; None if there is none."""
    best = min(PREDICTORS, key=lambda name: errors[name]["mean"])
    for name, error in errors.items():
        if name != best:
            mean, standard_error = difference(error, errors[best])
            if not mean > 2 * standard_error:
                return None
    return best


# ---------------------------------------------------------------------------------------------
# What it looks like, and the texts


def at_distance(value: dict[str, Any], distance: float) -> dict[str, Any]:
    """Of a kernel over the seeds the number at one of the DISTANCES."""
    i = DISTANCES.index(distance)
    return {"mean": value["mean"][i], "std": value["std"][i], "seeds": value["seeds"][:, i]}


def draw(numbers: Numbers, pictures: Pictures) -> Figure:
    """The kernels; the responses of a few units; and one square over the participation ratio."""
    figure = new_figure(11, 4.6)
    parts: Any = figure.subfigures(1, 3, width_ratios=(1.1, 0.75, 1.15))
    left, middle, right = parts

    kernels = left.subplots()
    kernels.axhline(0, color=GREY, lw=0.8)
    kernels.axvline(2 * FrameSettings.half_width, color=GREY, lw=0.8, ls=":")
    kernels.text(0.41, -0.85, "side of a square", fontsize=8, color=GREY)
    mean = numbers["map"]["kernel"]["mean"]
    kernels.plot(DISTANCES, mean, color=GREY, lw=6, alpha=0.4, label="coordinates")
    mean = numbers["PCA, d = 10"]["kernel"]["mean"]
    kernels.plot(DISTANCES, mean, color=SKY, lw=6, alpha=0.5, label="PCA of the pixels, d = 10")
    for case, color, line in (
        ("d = 2", GREEN, "o-"),
        ("d = 8", ORANGE, "s-"),
        ("d = 100, two hidden layers", RED, "^-"),
        ("d = 100", BLUE, "o-"),
        ("pixels", "black", "--"),
    ):
        mean, std = (numbers[case]["kernel"][kind] for kind in ("mean", "std"))
        look: dict[str, Any] = {"ms": 3.5, "capsize": 2, "color": color, "label": case}
        kernels.errorbar(DISTANCES, mean, std, fmt=line, **look)
    kernels.set(xlabel="distance of the two squares", ylabel="mean cosine", ylim=(-0.9, 1.05))
    kernels.set_title("How alike two squares' latents are:\nat d = 2 as with coordinates")
    kernels.legend(fontsize=8, loc="upper right")

    middle.suptitle("Each unit's response\nto the square's place")
    plots = middle.subplots(3, 2)
    units = [("d = 2", i) for i in range(2)] + [("d = 100", i) for i in range(4)]
    for plot, (case, unit) in zip(plots.ravel(), units, strict=True):
        plot.imshow(pictures[case][unit], origin="lower", cmap="viridis", vmin=0, vmax=1)
        plot.set(xticks=[], yticks=[])
        plot.set_title(f"{case}, unit {unit}", fontsize=9)

    plot = right.subplots()
    groups = {
        "no hidden layers": ("o", "black"),
        "one hidden layer": ("s", ORANGE),
        "two hidden layers": ("^", RED),
        "plain": ("x", BLUE),
        "plain, one hidden layer": ("D", GREEN),
    }
    for group, (marker, color) in groups.items():
        suffix = "" if group == "no hidden layers" else f", {group}"
        cases = [f"d = {dim}{suffix}" for dim in DIMS if f"d = {dim}{suffix}" in numbers]
        x, y = (
            {kind: [numbers[case][name][kind] for case in cases] for kind in ("mean", "std")}
            for name in ("participation ratio", "one square")
        )
        label = f"{group}: d = {', '.join(case.split(',')[0][4:] for case in cases)}"
        if group == "no hidden layers":
            label = "this decoder, d = 2 to 100"
            grid = np.geomspace(min(x["mean"]), max(x["mean"]), 300)
            curve = interpolate(np.log(x["mean"]), np.array(y["mean"]), np.log(grid))
            plot.plot(grid, curve, color=GREY, label="fitted, to predict the others")
        look = {"fmt": marker, "ms": 5, "elinewidth": 0.8, "color": color, "label": label}
        plot.errorbar(x["mean"], y["mean"], y["std"], x["std"], **look)
    plot.set(xscale="log", ylim=(0, 1.05), xlabel="participation ratio of the latents")
    plot.set(ylabel="decoded noise with one square")
    plot.set_xticks([2, 3, 4, 6, 8, 12], ["2", "3", "4", "6", "8", "12"])
    plot.minorticks_off()
    plot.set_title("One square goes with the effective\ndimension, but not for the plain decoder")
    plot.legend(fontsize=8, loc="lower left")
    return figure


def texts(numbers: Numbers) -> dict[str, str]:
    """What the pages tell: kernels, affine R^2, fields, and who predicts best."""
    result = {}
    for case in ("d = 2", "d = 100", "pixels", "map"):
        for distance in (0.2, 0.4):
            kernel = at_distance(numbers[case]["kernel"], distance)
            result[f"kernel at {distance}, {case}"] = spread(kernel)
    result["affine R2, d = 2"] = spread(numbers["d = 2"]["affine R2"])
    result["pieces, d = 100"] = spread(numbers["d = 100"]["pieces"], "%.1f")
    for case in ("d = 100", "pixels"):
        for name in ("fields, 20 %", "rotated: fields, 20 %"):
            result[f"{name}, {case}"] = percent(numbers[case][name])
    for case in ("d = 2", "d = 100"):
        for name in ("one square", "one square, shaped noise"):
            result[f"{name}, {case}"] = percent(numbers[case][name])

    errors = prediction_errors(numbers)
    result["winner"] = winner(errors) or "none"

    rows, field = [], "fields, 20 %"
    for case in (
        "d = 2",
        "d = 2, plain",
        "d = 8",
        "d = 100",
        "d = 100, one hidden layer",
        "d = 100, two hidden layers",
        "d = 100, plain",
        "pixels",
    ):
        value = numbers[case]
        rows.append(
            [
                case,
                spread(value["participation ratio"], "%.1f"),
                spread(value["affine R2"]),
                spread(at_distance(value["kernel"], 0.4)),
                f"{percent(value[field])}; {percent(value[f'rotated: {field}'])}",
                percent(value["one square"]) if "one square" in value else "–",
            ]
        )
    head = [
        "code",
        "participation ratio",
        "affine R²",
        "cosine at distance 0.4",
        "units with a field; after a rotation",
        "decoded noise with one square",
    ]
    result["table"] = markdown_table(head, rows)

    cases = list(errors[NULL]["by case"])
    rows = []
    for name, error in errors.items():
        nearest = [
            case
            for case in cases
            if abs(error["by case"][case]) == min(abs(e["by case"][case]) for e in errors.values())
        ]
        rows.append(
            [name, f"{error['of means']:.2f}", spread(error), f"{len(nearest)} of {len(cases)}"]
        )
    head = ["predicted from", "mean error", "seed by seed", "nearest of the four in"]
    result["second table"] = markdown_table(head, rows)
    return result


if __name__ == "__main__":
    command("placecells", analysis, draw)
