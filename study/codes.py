"""Is it the code that decides how far a flow carries the rule? Codes that are formulas.

This is a part of the question in study/reach.py, which measures and draws it. With autoencoders the
code, the decoder, the autoencoder's weight decay and the readout change together. So they are taken
away: the flow's own network and recipe, on codes that are formulas of the square's centre.

Measure: a code's length is the distance of two squares at which the mean cosine of their codes
falls to 1/2. Its reach is how far beyond the trained radii, 0.2 to 0.5, the share of videos with no
frame more than 1.5 pixels off falls below 1/2, by the nearest code; at most 0.275. Each number of a
code has mean 0 and standard deviation 1 over all circles, trained or not, since numbers that are
nearly constant over the trained ones would blow up beyond them. So the learned codes' flows are
trained again here.
Null: the nearest trained circle, which is right up to 0.06 beyond.
Codes: waves, place cells, and pointed cells, which no prototype has seen, chosen since at equal
length they are rough where the others are smooth. Each has 100 numbers and six widths, which were
chosen by their lengths, before any training. Controls: coordinates, lifted to 100 numbers, warped.
Prediction: a straight line, reach over length, is fitted to the 18 means, and then predicts the
learned codes from their lengths; its null is the mean reach of the 18.

Fixed beforehand, for seeds 5 to 9, which nobody has measured:
Must hold: in each family reach grows with length, and codes of a length of 0.12 or less reach less
than 0.10. Refuted by a family whose six means have a Spearman correlation under 0.8, or by such a
short code that reaches 0.10.
Expected: the widest place cells reach as far as lifted coordinates, the means at most 0.04 apart;
pointed cells lie within 0.04 of the line that is fitted to the other two families. If not, length
isn't what decides, or not alone. And the line predicts the learned codes better than its null does,
by the root mean square.
Known from a prototype with seeds 0 to 2, and so no prediction: codes of equal length differ, and
inwards coordinates are among the worst.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from analyze import RECIPES, SweepSettings
from autoencoder import encode_squares, trained_autoencoder
from data import PIXEL, grid_centers, possible_orbits, random_stream
from flow import FlowNetwork, FlowSettings, LatentSpace, latent_videos, train, training_circles
from sample import is_right, learned_flow, random_noise, sample
from study.measures import study_stream
from study.question import Key, Numbers, markdown_table, measured, paired, spread
from study.seen import likeness, random_pairs

# The radii that are left out of the training; all circles have 0.2 to 0.8
UNSEEN = {"outwards": (0.5, 0.8), "inwards": (0.2, 0.5), "gap": (0.4, 0.6)}
STARTS = 24  # first frames on each circle that is tested
GRID = 161  # squares along each side of the grid of codes: a quarter of a pixel apart
# The circles that are tested here. Of outwards and of inwards the trained ones end at EDGE, and on
# either side of it lie the same distances.
EDGE = 0.5
RADII = np.linspace(0.225, 0.775, 23)
BEYOND = np.linspace(0, 0.275, 12)
TOLD = (0.05, 0.1, 0.15, 0.2)  # those of BEYOND whose errors are told
DISTANCES = np.linspace(0, 0.7, 21)  # of two squares, for the length
PAIRS = 800  # for each of the distances
FIRST_SEED = 5

Code = tuple[str, float]  # a family and a width; or else a name, or a recipe, and d
WIDTHS = {  # of which the lengths are about 0.10, 0.17, 0.24, 0.31, 0.38 and 0.45
    "waves": (0.085, 0.15, 0.22, 0.3, 0.45, 1.2),
    "place cells": (0.055, 0.11, 0.17, 0.24, 0.34, 0.7),
    "pointed cells": (0.03, 0.085, 0.14, 0.215, 0.36, 2.0),
}
FAMILIES = {family: [(family, width) for width in widths] for family, widths in WIDTHS.items()}
BY_WIDTH: list[Code] = [code for family in FAMILIES.values() for code in family]
COORDINATES: Code = ("coordinates", 2)
LIFTED: Code = ("lifted", 100)
# Coordinates, and five ways to warp them: centres (..., 2) -> codes (..., 2)
FLAT: dict[Code, Callable[[np.ndarray], np.ndarray]] = {
    COORDINATES: lambda centers: centers,
    ("r²", 2): lambda centers: centers * np.linalg.norm(centers, axis=-1, keepdims=True),
    ("√r", 2): lambda centers: (
        centers / np.linalg.norm(centers, axis=-1, keepdims=True).clip(1e-9) ** 0.5
    ),
    ("x + 2 x³", 2): lambda centers: centers + 2 * centers**3,
    ("tanh 2 x", 2): lambda centers: np.tanh(2 * centers),
    ("y + x²", 2): lambda centers: centers + centers[..., :1] ** 2 * [0, 1],
}
LEARNED: dict[Code, dict[str, Any]] = {  # and how their settings differ from the defaults
    ("ours", 2): {"embed_dim": 2},
    ("ours", 8): {"embed_dim": 8},
    ("ours", 100): {"embed_dim": 100},
    ("two hidden", 100): {"embed_dim": 100, "hidden_layers": 2},
    ("plain", 2): {"embed_dim": 2, **RECIPES["plain"]},
    ("plain", 100): {"embed_dim": 100, **RECIPES["plain"]},
}
TORN: Code = ("plain", 2)  # its plane is torn
WIDEST_WAVES, WIDEST_CELLS = FAMILIES["waves"][-1], FAMILIES["place cells"][-1]


# ---------------------------------------------------------------------------------------------
# Codes


@dataclass(frozen=True)
class CodeSettings(FlowSettings):
    """A flow in one of these codes."""

    code: Code = COORDINATES


def lifting_matrix(rows: int, columns: int, rng: np.random.Generator) -> Tensor:
    """A random matrix (rows, columns) with orthonormal rows."""
    q, _ = np.linalg.qr(rng.standard_normal((columns, rows)))
    return torch.from_numpy(q.T.astype(np.float32))


def from_cells(centers: np.ndarray, center_range: float) -> np.ndarray:
    """How far centres (..., 2) are from the middles of 10 x 10 cells: (..., 100)."""
    cells = grid_centers(center_range, 10).reshape(-1, 2)
    return np.linalg.norm(centers[..., None, :] - cells, axis=-1)


def formula(settings: CodeSettings) -> Callable[[np.ndarray], np.ndarray]:
    """The code of these settings: a function from centres (..., 2) to codes (..., d)."""
    name, number = settings.code
    size = settings.center_range
    rng = study_stream(settings.seed, "codes")
    if name == "waves":
        waves = rng.standard_normal((2, settings.embed_dim)) / number
        shift = rng.uniform(0, 2 * np.pi, settings.embed_dim)
        return lambda centers: np.cos(centers @ waves + shift)
    if name == "place cells":
        return lambda centers: np.exp(-(from_cells(centers, size) ** 2) / (2 * number**2))
    if name == "pointed cells":
        return lambda centers: np.exp(-from_cells(centers, size) / number)
    if settings.code == LIFTED:
        matrix = lifting_matrix(2, settings.embed_dim, rng).numpy()
        return lambda centers: centers @ matrix
    if settings.code in FLAT:
        return FLAT[settings.code]
    model = trained_autoencoder(settings)
    return lambda centers: encode_squares(model, centers, settings).numpy()


@dataclass(frozen=True, kw_only=True)
class CodeSpace(LatentSpace):
    """The latent space of a formula. Nothing can be decoded in it."""

    formula: Callable[[np.ndarray], np.ndarray]
    autoencoder: Any = None

    def encode(self, centers: np.ndarray) -> Tensor:
        """Centres (n, frames, 2) -> latents (n, frames, d)."""
        return self.standardize(torch.from_numpy(self.formula(centers)).float())


def all_circles(center_range: float) -> np.ndarray:
    """Centres (60, 72, 2) on circles of all radii, from center_range / 4 on, all equally weighted.
    They are the same for each seed, so that nothing depends on which circles were drawn."""
    share = (np.arange(60) + 0.5) / 60
    radius = center_range * (1 + 3 * share[:, None, None]) / 4
    angle = np.radians(5 * np.arange(72))
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def code_space(settings: CodeSettings) -> CodeSpace:
    """The code of these settings, standardised over all circles."""
    code = formula(settings)
    own = torch.from_numpy(code(all_circles(settings.center_range))).float()
    return CodeSpace(mean=own.mean((0, 1)), std=own.std((0, 1)), settings=settings, formula=code)


# ---------------------------------------------------------------------------------------------
# How far is a square from where it should be?


class Snapping:
    """The codes of a grid of squares in a latent space, to look up which is nearest."""

    def __init__(self, space: LatentSpace) -> None:
        grid = grid_centers(space.settings.center_range, GRID)
        self.centers = grid.reshape(-1, 2)
        self.codes = torch.cat([space.encode(row[None])[0] for row in grid])  # (161 * 161, d)

    def nearest(self, latents: Tensor) -> np.ndarray:
        """The centres (n, frames, 2) of the squares whose codes are nearest to latents (n, frames *
        d). No decoder takes part: what is found is where the square of this code is."""
        each = latents.reshape(-1, self.codes.shape[1])
        index = torch.cat([torch.cdist(some, self.codes).argmin(1) for some in each.split(256)])
        return self.centers[index.numpy()].reshape(len(latents), -1, 2)


def errors(found: np.ndarray, first_centers: np.ndarray) -> np.ndarray:
    """How far off squares found at (n, 7, 2) in frames 1 to 7 are, in pixels (n, 7), after frames 0
    with squares at (n, 2). A video is compared with the direction that it is nearer to."""
    both = possible_orbits(first_centers)[:, :, 1:]  # (n, 2, 7, 2)
    distance = np.linalg.norm(found[:, None] - both, axis=-1) / PIXEL  # (n, 2, 7)
    taken = distance.mean(2).argmin(1)
    return distance[np.arange(len(found)), taken]


def sampled(
    network: FlowNetwork, space: LatentSpace, radii: np.ndarray, starts: int
) -> tuple[np.ndarray, Tensor]:
    """Sample a video from random starts on circles of each of these radii.

    Returns:
        The first centres (radii * starts, 2), and the finished latents (radii * starts, 7 * d).
    """
    rng = random_stream(space.settings.seed, "counting")
    angle = np.radians(rng.uniform(0, 360, (len(radii), starts)))
    first = (radii[:, None, None] * np.stack([np.cos(angle), np.sin(angle)], -1)).reshape(-1, 2)
    flow = learned_flow(network, space, first[:, None])
    return first, sample(flow, random_noise(space, len(first), rng)).states[-1]


# ---------------------------------------------------------------------------------------------
# Length and reach


def falls_below_half(x: np.ndarray, y: np.ndarray) -> float:
    """The x (n,), in increasing order, at which y (n,) first falls below 1/2, on straight lines
    from point to point; the last x, if y never does."""
    below = np.flatnonzero(y < 0.5)
    if len(below) == 0:
        return x[-1]
    i = below[0]
    return x[0] if i == 0 else np.interp(0.5, [y[i], y[i - 1]], [x[i], x[i - 1]])


def length(space: LatentSpace) -> float:
    """The distance of two squares at which the mean cosine of their codes falls to 1/2."""
    rng = random_stream(space.settings.seed, "counting")
    pairs = random_pairs(PAIRS, rng, space.settings.center_range, DISTANCES)
    return falls_below_half(DISTANCES, likeness(space.encode(pairs).numpy()))


def carried(network: FlowNetwork, space: LatentSpace, starts: int = STARTS) -> dict[str, Any]:
    """How far a flow that was trained outwards or inwards carries the rule.

    Returns:
        "reach": where beyond the trained circles the share of right videos falls below 1/2.
        "trained px": the median error on the trained circles, in pixels.
        "px": the median errors at the distances TOLD beyond the trained circles.
    """
    first, finished = sampled(network, space, RADII, starts)
    distance = errors(Snapping(space).nearest(finished), first)
    right = is_right(distance).reshape(len(RADII), -1).mean(1)
    px = distance.reshape(len(RADII), -1)  # (radii, starts * 7)
    if space.settings.unseen_radii == UNSEEN["inwards"]:
        right, px = right[::-1], px[::-1]  # from the trained circles on
    edge = len(RADII) - len(BEYOND)
    told = [edge + int(np.abs(BEYOND - beyond).argmin()) for beyond in TOLD]
    return {
        "reach": falls_below_half(BEYOND, right[edge:]),
        "trained px": np.median(px[: edge + 1]),
        "px": np.median(px[told], axis=1),
    }


def measure_by_hand(settings: CodeSettings) -> dict[str, Any]:
    """The "length" of a code, and carried() of a flow in it. (The flow is trained each time: its
    checkpoint would have the name of another one.)"""
    space = code_space(settings)
    circles = space.encode(training_circles(settings))
    torch.manual_seed(settings.seed)  # as train_flow() does
    network = FlowNetwork(settings)
    train(network, latent_videos(circles, settings), settings)
    return {"length": length(space), **carried(network, space)}


def code_settings(
    settings: SweepSettings, code: Code, unseen: str, changes: dict[str, Any]
) -> list[CodeSettings]:
    """The settings of a flow in this code for each seed. The prototypes had the seeds 0 to 2, and
    the other flows of reach have 0 to 4: so the seeds here begin behind them."""
    flows = settings.flows(unseen_radii=UNSEEN[unseen], **changes)
    return [
        CodeSettings(**vars(each) | {"seed": each.seed + FIRST_SEED}, code=code) for each in flows
    ]


def analysis(settings: SweepSettings) -> Numbers:
    """Family, name or recipe -> width or d -> "outwards" or "inwards" -> what
    measure_by_hand() gives."""
    changes: dict[Code, dict[str, Any]] = {
        **{code: {"embed_dim": 100} for code in (*BY_WIDTH, LIFTED)},
        **{code: {"embed_dim": 2} for code in FLAT},
        **LEARNED,
    }
    cases: dict[tuple[Key, ...], list[Any]] = {
        (*code, "outwards"): code_settings(settings, code, "outwards", changes[code])
        for code in changes
    }
    for code in (LIFTED, WIDEST_CELLS, WIDEST_WAVES):
        cases[*code, "inwards"] = code_settings(settings, code, "inwards", changes[code])
    numbers, _ = measured(measure_by_hand, cases, settings.dask)
    return numbers


# ---------------------------------------------------------------------------------------------
# What reach tells of it


def kept(numbers: Numbers, code: Code, what: str, unseen: str = "outwards") -> np.ndarray:
    """Of the numbers those of one code, (seeds, ...)."""
    return numbers[code[0]][str(code[1])][unseen][what]


def means(numbers: Numbers, codes: Iterable[Code]) -> tuple[np.ndarray, np.ndarray]:
    """The lengths and the reaches outwards of these codes, means over the seeds: (codes,) both."""
    pairs = [[kept(numbers, code, what).mean() for what in ("length", "reach")] for code in codes]
    lengths, reaches = np.transpose(pairs)
    return lengths, reaches


def fitted_line(numbers: Numbers, codes: Iterable[Code]) -> np.poly1d:
    """The straight line from length to reach that fits the means of these codes best, by least
    squares."""
    return np.poly1d(np.polyfit(*means(numbers, codes), 1))


def misses(numbers: Numbers) -> tuple[np.ndarray, np.ndarray]:
    """By how much the reaches of the six LEARNED codes exceed what the line predicts from their
    lengths, and what the null does, the mean reach of the codes BY_WIDTH: (6, seeds) both."""
    line, (_, reaches) = fitted_line(numbers, BY_WIDTH), means(numbers, BY_WIDTH)
    length, reach = (
        np.stack([kept(numbers, code, what) for code in LEARNED]) for what in ("length", "reach")
    )
    return reach - line(length), reach - reaches.mean()


def root_mean_square(misses: np.ndarray) -> str:
    """Of the mean misses of each code, (codes, seeds), as text."""
    return f"{np.sqrt((misses.mean(1) ** 2).mean()):.3f}"


def table(numbers: Numbers) -> str:
    """A row for the narrowest and the widest codes of each family, coordinates and lifted ones."""
    ends = [family[i] for family in FAMILIES.values() for i in (0, -1)]
    rows = []
    for code in (*ends, COORDINATES, LIFTED):
        name = f"{code[0]}, {code[1]} wide" if code in ends else code[0]
        px = [kept(numbers, code, "trained px"), *kept(numbers, code, "px").T]
        values = [kept(numbers, code, "length"), *px, kept(numbers, code, "reach")]
        forms = ["%.2f", *["%.2f"] * len(px), "%.3f"]
        rows.append([name, *(spread(x, form) for x, form in zip(values, forms, strict=True))])
    told = [f"px at {EDGE + beyond:.2f}" for beyond in TOLD]
    return markdown_table(["code", "length", "px, trained", *told, "reach"], rows)


def texts(numbers: Numbers) -> dict[str, str]:
    """The table, and the numbers that are told in the text."""
    lengths, reaches = means(numbers, BY_WIDTH)
    smooth = fitted_line(numbers, FAMILIES["waves"] + FAMILIES["place cells"])
    pointed_length, pointed_reach = means(numbers, FAMILIES["pointed cells"])
    off = pointed_reach - smooth(pointed_length)
    by_line, by_null = misses(numbers)
    cells, lifted = (kept(numbers, code, "reach") for code in (WIDEST_CELLS, LIFTED))
    _, warped = means(numbers, [code for code in FLAT if code != COORDINATES])
    whole = [code != TORN for code in LEARNED]
    _, place_reach = means(numbers, FAMILIES["place cells"])
    behind = (place_reach - pointed_reach)[1:-1]  # the families have about the same lengths

    def grows(family: str) -> str:
        return f"{spearmanr(*means(numbers, FAMILIES[family])).statistic:.2f}"

    def inwards(code: Code) -> str:
        return spread(kept(numbers, code, "reach", "inwards"), "%.3f")

    def learned(code: Code) -> str:
        return spread(kept(numbers, code, "reach"), "%.3f")

    return {
        "by hand, table": table(numbers),
        "by hand, Spearman, waves": grows("waves"),
        "by hand, Spearman, place cells": grows("place cells"),
        "by hand, Spearman, pointed cells": grows("pointed cells"),
        "by hand, up to length 0.12 at most": f"{reaches[lengths <= 0.12].max():.3f}",
        "by hand, widest place cells minus lifted": paired(cells, lifted, "%+.3f"),
        "by hand, pointed off the others' line": f"{off.min():+.3f} to {off.max():+.3f}",
        "by hand, at least": f"{reaches.min():.2f}",
        "by hand, at most": f"{reaches.max():.2f}",
        "by hand, warped, at least": f"{warped.min():.2f}",
        "by hand, warped, at most": f"{warped.max():.2f}",
        "by hand, pointed behind place cells": f"{behind.min():.2f} to {behind.max():.2f}",
        "by hand, reach, d = 2": learned(("ours", 2)),
        "by hand, reach, d = 100": learned(("ours", 100)),
        "by hand, reach, two hidden": learned(("two hidden", 100)),
        "by hand, missed, root mean square": root_mean_square(by_line),
        "by hand, missed by the null, root mean square": root_mean_square(by_null),
        "by hand, missed, without the torn": root_mean_square(by_line[whole]),
        "by hand, missed by the null, without the torn": root_mean_square(by_null[whole]),
        "by hand, inwards, lifted": inwards(LIFTED),
        "by hand, inwards, widest place cells": inwards(WIDEST_CELLS),
        "by hand, inwards, widest waves": inwards(WIDEST_WAVES),
    }
