"""How far does it carry the rule beyond its training? Circles that the flow has never seen.

    python -m study.reach      # out/reach.png and .json

The post asks whether video models have learned physics. Here physics is one rule: the square stays
on its circle. So circles are left out of the flow's training (the autoencoder has seen squares
everywhere: it is the flow that is asked), and then it is given first frames on them.

Measure: how far the square is from its true place, in pixels, by the middle of the bright pixels,
since faint light pulls the middle of all light away from a square that is where it should be. It is
taken from what the decoder draws, and once more after each latent was snapped to the nearest code
of a square, on a grid of 161 x 161. Some decoders draw one square of anything; what differs after
the snapping isn't their clean-up.
Null: the nearest trained circle, the best answer of a flow that only knows its videos.
Controls: the code of d = 2 written with 100 numbers; d = 100 with two hidden layers; the plain
recipe; the right latents, decoded, which show what the decoders can do.
Why? study/codes.py takes decoders away altogether, and makes the codes by hand.
Refuted is "the code decides, not the number of numbers" if the lifted code does as d = 100 does,
and "coordinates go further outwards" if d = 100, with or without two layers, is as near, snapped.

Fixed before any measurement: radii, starts, 0.65 and 0.35 as the radii to compare at, and 1.5
pixels as the limit of "right". Not so: the bright pixels (the middle of all light was fixed, and
given up after a look), the radius 0.70, and the snapping (three seeds of it were seen before).
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from analyze import BLUE, GREEN, GREY, ORANGE, RED, SweepSettings
from autoencoder import LEAK, Autoencoder, trained_autoencoder
from data import PIXEL, new_figure, possible_orbits
from flow import FlowNetwork, FlowSettings, LatentSpace, latent_space, train_flow, trained_flow
from sample import centers_of_light, is_right
from study import codes
from study.codes import (
    COORDINATES,
    FAMILIES,
    FLAT,
    LEARNED,
    LIFTED,
    STARTS,
    TORN,
    UNSEEN,
    Code,
    Snapping,
    errors,
    lifting_matrix,
    sampled,
)
from study.measures import SKY, study_stream
from study.question import (
    Key,
    Numbers,
    Pictures,
    command,
    deviation,
    markdown_table,
    measured,
    paired,
    percent,
    spread,
)

# The circles that are tested
RADII = np.array([0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75])

# Outwards go all of them and the lifted one; to save time, elsewhere only these
ELSEWHERE: dict[str, list[Code]] = {
    "inwards": [("ours", 2), ("ours", 8), ("ours", 100), ("two hidden", 100)],
    "gap": [("ours", 2), ("ours", 100), ("two hidden", 100)],
}


# ---------------------------------------------------------------------------------------------
# How far is a square from where it should be?


def bright_middles(frames: np.ndarray) -> np.ndarray:
    """The middle of the bright pixels of frames (..., 51, 51): (..., 2), x and y. A pixel weighs
    what it has above half of the brightest one, so that one at the limit hardly counts. (A black
    frame has its middle at 0, 0.)"""
    clipped = np.clip(frames, 0, 1)
    return centers_of_light(clipped - clipped.max((-2, -1), keepdims=True) / 2)


def null(radii: np.ndarray, unseen: str) -> np.ndarray:
    """The error in pixels of an answer on the nearest circle that was trained: radii (n,) -> (n,),
    0 for those that were trained. All places of a circle turn alike, so it is the same in each
    frame: the difference of the two radii."""
    low, high = UNSEEN[unseen]
    everything = FlowSettings.center_range / 4, FlowSettings.center_range
    edges = [edge for edge in (low, high) if edge not in everything]
    distance = np.abs(radii[:, None] - edges).min(1)
    return np.where((low <= radii) & (radii <= high), distance, 0) / PIXEL


# ---------------------------------------------------------------------------------------------
# The same code in more numbers


class Lifted(Autoencoder):
    """The code of another autoencoder, standardised, times a matrix that makes more numbers of it.

    The matrix has orthonormal rows: it rotates the plane of d = 2 into a space of more dimensions,
    where distances and angles stay as they were. (A flow then standardises each number, which
    stretches the plane a little.) Coordinates stay coordinates. So what depends on the number of
    numbers changes, and what depends on the shape of the code doesn't.
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


def lifted_autoencoder(settings: FlowSettings) -> Lifted:
    """The code of d = 2, lifted to the dimension of these settings."""
    flat = replace(settings, embed_dim=2)
    space, _ = latent_space(trained_autoencoder(flat), flat)
    rng = study_stream(settings.seed, "calibration")
    return Lifted(space, lifting_matrix(2, settings.embed_dim, rng))


# ---------------------------------------------------------------------------------------------
# Measuring


def by_radius(distance: np.ndarray) -> dict[str, np.ndarray]:
    """Of errors (radii * starts, 7) in pixels, for each radius: "px", their median, and "right",
    the share of the videos with no frame more than 1.5 pixels off; (radii,) both."""
    right = is_right(distance).reshape(len(RADII), -1)
    return {"px": np.median(distance.reshape(len(RADII), -1), axis=1), "right": right.mean(1)}


@torch.no_grad()
def carried(network: FlowNetwork, space: LatentSpace, starts: int = STARTS) -> dict[str, Any]:
    """Sample a video from random starts on each of the RADII, and measure its errors.

    Returns:
        by_radius() of what is "decoded" and "snapped"; and of the "answer", the right latents
        (counter-clockwise), decoded.
    """
    first, finished = sampled(network, space, RADII, starts)
    answer = space.encode(possible_orbits(first)[:, 0, 1:])

    def decoded(latents: Tensor) -> np.ndarray:
        return bright_middles(space.decode(latents).numpy())

    found = {
        "decoded": decoded(finished),
        "snapped": Snapping(space).nearest(finished),
        "answer": decoded(answer),
    }
    return {name: by_radius(errors(middles, first)) for name, middles in found.items()}


def measure_code(settings: FlowSettings) -> dict[str, Any]:
    """carried() of the flow of these settings."""
    return carried(*trained_flow(settings))


def measure_lifted(settings: FlowSettings) -> dict[str, Any]:
    """carried() of a flow on the lifted code. (It is trained each time: its checkpoint would have
    the name of another one.)"""
    return carried(*train_flow(lifted_autoencoder(settings), settings))


def analysis(settings: SweepSettings) -> tuple[Numbers, Pictures]:
    """Recipe -> d -> "outwards", "inwards" or "gap" -> what carried() gives; and the numbers of
    "codes made by hand"."""
    cases: dict[tuple[Key, ...], list[Any]] = {
        (*code, unseen): settings.flows(unseen_radii=radii, **LEARNED[code])
        for unseen, radii in UNSEEN.items()
        for code in ELSEWHERE.get(unseen, LEARNED)
    }
    lifted = settings.flows(unseen_radii=UNSEEN["outwards"], embed_dim=LIFTED[1])
    numbers, _ = measured(measure_code, cases, settings.dask)
    more, _ = measured(measure_lifted, {(*LIFTED, "outwards"): lifted}, settings.dask)
    by_hand = {"codes made by hand": codes.analysis(settings)}
    return numbers | more | by_hand, {}


def kept(numbers: Numbers, code: Code, unseen: str, readout: str, kind: str = "px") -> np.ndarray:
    """Of the numbers those of one flow, (seeds, radii)."""
    return numbers[code[0]][str(code[1])][unseen][readout][kind]


def at(values: np.ndarray, radius: float) -> np.ndarray:
    """Of values (seeds, radii) those of one radius, (seeds,)."""
    return values[:, np.isclose(RADII, radius)][:, 0]


# ---------------------------------------------------------------------------------------------
# The figure and the texts

NAMES: dict[Code, str] = {
    ("ours", 2): "d = 2",
    LIFTED: "d = 2, lifted to 100",
    ("ours", 8): "d = 8",
    ("two hidden", 100): "d = 100, two hidden",
    ("ours", 100): "d = 100",
    ("plain", 2): "plain, d = 2",
    ("plain", 100): "plain, d = 100",
}
LOOKS: dict[Code, dict[str, Any]] = {
    ("ours", 2): {"color": GREEN, "lw": 2},
    LIFTED: {"color": GREEN, "ls": "--"},
    ("ours", 8): {"color": ORANGE},
    ("two hidden", 100): {"color": RED},
    ("ours", 100): {"color": BLUE, "lw": 2},
    ("plain", 2): {"color": GREEN, "ls": ":"},
    ("plain", 100): {"color": BLUE, "ls": ":"},
}
PURPLE = "#CC79A7"  # of Okabe and Ito, too
FAMILY_LOOKS: dict[str, dict[str, Any]] = {
    "waves": {"color": SKY, "marker": "o"},
    "place cells": {"color": PURPLE, "marker": "s"},
    "pointed cells": {"color": GREY, "marker": "^"},
}
SHORT_NAMES: dict[Code, str] = {  # of the learned codes, beside their stars
    ("ours", 2): "2",
    ("ours", 8): "8",
    ("ours", 100): "100",
    ("two hidden", 100): "two hidden",
    ("plain", 2): "plain 2",
    ("plain", 100): "plain 100",
}
NULL = "null: the nearest trained circle"


def draw_errors(plot: Axes, numbers: Numbers, unseen: str, readout: str) -> None:
    """The error of each code over the radius, with a band of one standard deviation over the seeds
    for our two, and that of the null."""
    low, high = UNSEEN[unseen]
    for code, look in LOOKS.items():
        if unseen in numbers[code[0]][str(code[1])]:
            px = kept(numbers, code, unseen, readout)
            mean, std = px.mean(0), deviation(px)
            plot.plot(RADII, mean, label=NAMES[code], **look)
            if code in (("ours", 2), ("ours", 100)):
                plot.fill_between(
                    RADII, mean - std, mean + std, color=look["color"], alpha=0.2, lw=0
                )
    radii = np.linspace(low, high, 31)
    plot.plot(radii, null(radii, unseen), color="black", lw=1, ls="-.", label=NULL)
    for band in ((0.2, low), (high, 0.8)):
        plot.axvspan(*band, color=GREY, alpha=0.2, lw=0)
    plot.set(xlabel="radius (grey: trained)", ylim=(0, 5))


def draw_codes(plot: Axes, numbers: Numbers) -> None:
    """Reach over length, of codes made by hand and of learned ones, and the line from one to the
    other. Bars are one standard deviation over the seeds."""
    for family, look in FAMILY_LOOKS.items():
        lengths, reaches = codes.means(numbers, FAMILIES[family])
        bars = [deviation(codes.kept(numbers, code, "reach")) for code in FAMILIES[family]]
        plot.errorbar(lengths, reaches, bars, ls="", ms=5, elinewidth=1, label=family, **look)
    others = {"warped": [*FLAT][1:], "lifted": [LIFTED], "coordinates": [COORDINATES]}
    for (name, some), marker in zip(others.items(), "xDo", strict=True):
        plot.plot(*codes.means(numbers, some), marker, color="black", mfc="none", ms=4, label=name)
    for code, name in SHORT_NAMES.items():
        (length,), (reach,) = codes.means(numbers, [code])
        color = LOOKS[code]["color"]
        plot.plot(length, reach, "*", color=color, mec="black", mew=0.5, ms=10, zorder=3)
        place = (-14, 7) if code == ("ours", 100) else (5, -8)
        plot.annotate(name, (length, reach), place, textcoords="offset points", fontsize=8)
    plot.plot([], [], "*", color="white", mec="black", ms=10, label="learned")
    line, ends = codes.fitted_line(numbers, codes.BY_WIDTH), np.array([0.05, 0.5])
    plot.plot(ends, line(ends), color="black", lw=1, label="line through the three families")
    _, reaches = codes.means(numbers, codes.BY_WIDTH)
    plot.axhline(reaches.mean(), color="black", lw=1, ls="--", label="their mean reach")
    plot.set(xlim=(0.05, 0.56), ylim=(0, 0.3), ylabel="reach: half of the videos are right up to")
    plot.set_xlabel("length: two squares half alike")
    plot.set_title("outwards: codes made by hand", fontsize=10)


def draw(numbers: Numbers, pictures: Pictures) -> Figure:
    """The snapped errors over the radius, outwards and inwards; and the codes made by hand."""
    figure = new_figure(8.3, 4.8)
    figure.suptitle(
        "d = 2 goes further outwards than d = 100, and less far inwards. Codes made by hand go\n"
        "further if squares are alike over longer distances, which doesn't predict learned codes",
        fontsize=11,
    )
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 1.2))
    for plot, unseen, radii in ((left, "outwards", (0.4, 0.75)), (middle, "inwards", (0.2, 0.6))):
        draw_errors(plot, numbers, unseen, "snapped")
        plot.set_title(f"{unseen}, nearest codes", fontsize=10)
        plot.set_xlim(radii)
    middle.sharey(left)
    middle.tick_params(labelleft=False)
    left.set_ylabel("median error, pixels")
    draw_codes(right, numbers["codes made by hand"])
    errors_told, codes_told = left.get_legend_handles_labels(), right.get_legend_handles_labels()
    figure.legend(*errors_told, loc="outside lower left", ncols=2, fontsize=8)
    figure.legend(*codes_told, loc="outside lower right", ncols=2, fontsize=8)
    return figure


COLUMNS = (
    ("outwards", "decoded", 0.65),
    ("outwards", "snapped", 0.65),
    ("outwards", "decoded", 0.7),
    ("outwards", "snapped", 0.7),
    ("inwards", "decoded", 0.35),
    ("inwards", "snapped", 0.35),
    ("gap", "decoded", 0.5),
)


def table(numbers: Numbers) -> str:
    """The errors in pixels at the compared radii, one row a code."""
    head = [
        "pixels off",
        *(f"{unseen}, {radius}: {readout}" for unseen, readout, radius in COLUMNS),
    ]
    rows = []
    for code, name in NAMES.items():
        measured_here = numbers[code[0]][str(code[1])]
        cells = [
            spread(at(kept(numbers, code, unseen, readout), radius))
            if unseen in measured_here
            else "–"
            for unseen, readout, radius in COLUMNS
        ]
        rows.append([name, *cells])
    nulls = [f"{null(np.array([radius]), unseen)[0]:.2f}" for unseen, _, radius in COLUMNS]
    return markdown_table(head, [*rows, [NULL, *nulls]])


# What the pages tell in words, besides the table: pixels of one code,
PIXELS: dict[str, tuple[Code, str, str, float]] = {
    "d = 2 at 0.65": (("ours", 2), "outwards", "snapped", 0.65),
    "lifted at 0.65": (LIFTED, "outwards", "snapped", 0.65),
    "d = 8 at 0.65": (("ours", 8), "outwards", "snapped", 0.65),
    "d = 8 at 0.65, decoded": (("ours", 8), "outwards", "decoded", 0.65),
    "d = 100 at 0.65": (("ours", 100), "outwards", "snapped", 0.65),
    "d = 100 at 0.70": (("ours", 100), "outwards", "snapped", 0.7),
    "d = 100 at 0.70, decoded": (("ours", 100), "outwards", "decoded", 0.7),
    "plain d = 2 within its circles": (("plain", 2), "outwards", "snapped", 0.35),
    "plain d = 2 at 0.65": (("plain", 2), "outwards", "snapped", 0.65),
    "d = 2 inwards": (("ours", 2), "inwards", "snapped", 0.35),
    "d = 100 inwards": (("ours", 100), "inwards", "snapped", 0.35),
    "two hidden inwards": (("two hidden", 100), "inwards", "snapped", 0.35),
}
# of one minus another, paired by seed (snapped),
PAIRS: dict[str, tuple[Code, Code, str, float]] = {
    "d = 100 minus d = 2 at 0.65": (("ours", 100), ("ours", 2), "outwards", 0.65),
    "lifted minus d = 2 at 0.65": (LIFTED, ("ours", 2), "outwards", 0.65),
    "lifted minus d = 100 at 0.65": (LIFTED, ("ours", 100), "outwards", 0.65),
    "two hidden minus d = 2 at 0.65": (("two hidden", 100), ("ours", 2), "outwards", 0.65),
    "two hidden minus d = 2 at 0.70": (("two hidden", 100), ("ours", 2), "outwards", 0.7),
}
# and shares of videos with no frame more than 1.5 pixels off
SHARES: dict[str, tuple[Code, str, str, float]] = {
    "d = 2, right, snapped at 0.65": (("ours", 2), "outwards", "snapped", 0.65),
    "d = 8, right, decoded at 0.65": (("ours", 8), "outwards", "decoded", 0.65),
    "d = 8, right, snapped at 0.65": (("ours", 8), "outwards", "snapped", 0.65),
    "d = 100, right, decoded at 0.65": (("ours", 100), "outwards", "decoded", 0.65),
    "d = 100, right, snapped at 0.65": (("ours", 100), "outwards", "snapped", 0.65),
}


def texts(numbers: Numbers) -> dict[str, str]:
    """The table and what the pages tell."""

    def told(code: Code, unseen: str, readout: str, radius: float, kind: str = "px") -> np.ndarray:
        return at(kept(numbers, code, unseen, readout, kind), radius)

    result = {"table": table(numbers)}
    result |= {name: spread(told(*what)) for name, what in PIXELS.items()}
    result |= {name: percent(told(*what, "right")) for name, what in SHARES.items()}
    for name, (a, b, unseen, radius) in PAIRS.items():
        one, other = (told(code, unseen, "snapped", radius) for code in (a, b))
        result[name] = paired(one, other)
    d2, d100 = (told(("ours", d), "outwards", "snapped", 0.65) for d in (2, 100))
    result["d = 100 over d = 2 at 0.65"] = spread(d100 / d2, "%.1f")
    result["null at 0.65"] = f"{null(np.array([0.65]), 'outwards')[0]:.2f}"
    answers = [kept(numbers, code, "outwards", "answer").max() for code in NAMES if code != TORN]
    result["the right latents, decoded, at most"] = f"{max(answers):.2f}"
    torn = kept(numbers, TORN, "outwards", "answer").max()
    result["the right latents, decoded by plain d = 2, at most"] = f"{torn:.2f}"
    return result | codes.texts(numbers["codes made by hand"])


if __name__ == "__main__":
    command("reach", analysis, draw)
