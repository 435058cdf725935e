"""The two pictures at the top of the README.

    python -m study.opening      # out/first.png and out/opening.gif

The first one is a still. It shows a first frame, the two places where the square may be two frames
later, and what the flow expects there before it has made its first step: the posterior mean of step
0, decoded, with d = 100 and with d = 2. The second one shows the same two videos over all of their
sampling steps.
"""

import io
from collections.abc import Sequence
from typing import Any

import imageio.v3 as iio
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from analyze import GREY, ORANGE, SweepSettings, measure
from data import (
    FRAME_SIZE,
    FrameSettings,
    check_output,
    new_figure,
    possible_orbits,
    random_stream,
    render,
    run,
    write_file,
)
from flow import FlowNetwork, FlowSettings, LatentSpace, trained_flow
from sample import decode_videos, learned_flow, random_noise, sample
from study.measures import SKY, draw_marked
from study.question import StudySettings

FIRST_CENTER = np.array([[-0.65, 0.12]])  # of both videos
SHOWN = 5  # frames 0 to 4
STILL = 2  # the frame that the still shows: half a circle lies between the two futures
NOISE = {100: 0, 2: 2}  # for each d the seed of the noise: with these both take the same direction
CCW, CW = 0, 1  # the places of the two directions in possible_orbits()
COLORS = (SKY, ORANGE)


def sample_steps(network: FlowNetwork, space: LatentSpace) -> dict[str, np.ndarray]:
    """Sample one video that begins at FIRST_CENTER.

    Returns:
        "state" and "posterior mean": frames 0 to 4 at steps 0 to 50, (51, 5, 51, 51).
    """
    given = FIRST_CENTER[:, None]  # (1, 1, 2): one video, one given frame
    noise = random_noise(space, 1, random_stream(NOISE[space.settings.embed_dim], "counting"))
    samples = sample(learned_flow(network, space, given), noise)
    given = given.repeat(len(samples.states), axis=0)  # decode all steps at once
    return {
        "state": decode_videos(space, given, samples.states[:, 0])[:, :SHOWN],
        "posterior mean": decode_videos(space, given, samples.posterior_means[:, 0])[:, :SHOWN],
    }


def measure_steps(settings: FlowSettings) -> dict[str, np.ndarray]:
    """sample_steps() of the flow of these settings."""
    return sample_steps(*trained_flow(settings))


def save(figure: Figure, dpi: int) -> bytes:
    """The figure as a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


# ---------------------------------------------------------------------------------------------
# The still

SIZE = np.array([8.3, 5.1])  # inches
WORDS: dict[str, Any] = {"color": "white", "fontsize": 11, "linespacing": 1.35}


def add_frame(figure: Figure, left: float, bottom: float, side: float, color: str) -> Any:
    """An empty Axes for one frame, with an edge of this colour. All lengths are in inches."""
    width, height = SIZE
    plot = figure.add_axes((left / width, bottom / height, side / width, side / height))
    plot.set(xticks=[], yticks=[])
    for edge in plot.spines.values():
        edge.set(color=color, lw=1.5)
    return plot


def draw_frame(plot: Any, frame: np.ndarray) -> None:
    """Draw a frame (51, 51). (A frame whose maximum isn't white is drawn brighter.)"""
    corners = (-1.02, 1.02, -1.02, 1.02)  # the pixels' outer edges
    plot.imshow(frame, cmap="gray", vmin=0, vmax=frame.max(), extent=corners, origin="upper")
    plot.set(xlim=corners[:2], ylim=corners[:2])


def add_arrow(
    figure: Figure, start: Sequence[float], end: Sequence[float], color: str, bend: float
) -> None:
    """An arrow from here to there, in inches."""
    arrow = FancyArrowPatch(
        tuple(start / SIZE),
        tuple(end / SIZE),
        transform=figure.transFigure,
        connectionstyle=f"arc3,rad={bend}",
        arrowstyle="-|>,head_width=4,head_length=7",
        lw=2,
        color=color,
    )
    figure.add_artist(arrow)


def draw_first(guesses: dict[str, np.ndarray]) -> Figure:
    """Draw the still.

    Args:
        guesses: "d = 100" and "d = 2" -> the posterior mean of step 0, frames (5, 51, 51).
    """
    figure = new_figure(*SIZE)
    figure.set_layout_engine("none")  # everything is where it is put
    figure.set_facecolor("black")
    orbits = possible_orbits(FIRST_CENTER)[0]  # (2, 8, 2): counter-clockwise and clockwise

    def say(x: float, y: float, text: str, **look: Any) -> None:
        figure.text(x / SIZE[0], y / SIZE[1], text, **WORDS | {"ha": "center"} | look)

    # Left: the first frame, and the circle that it tells.
    first = add_frame(figure, 0.15, 1.3, 2.2, GREY)
    draw_frame(first, render(FIRST_CENTER)[0])
    angle = np.linspace(0, 2 * np.pi, 200)
    radius = np.linalg.norm(FIRST_CENTER)
    first.plot(radius * np.cos(angle), radius * np.sin(angle), ":", color=GREY, lw=1)
    say(1.25, 3.6, "Frame 0 is given.")
    say(1.25, 0.47, "The square runs around\nthe dotted circle. Nobody\nsays in which direction.")

    # Middle: the two futures. Clockwise is the upper one, because the square starts on the left.
    say(4.0, 4.78, "Two frames later", fontsize=12)
    say(6.85, 4.78, "What the model expects at first", fontsize=12)
    for turn, bottom, words in ((CW, 2.5, "it may be here,"), (CCW, 0.15, "or it may be here.")):
        plot = add_frame(figure, 3.05, bottom, 1.9, COLORS[turn])
        draw_frame(plot, render(orbits[turn, STILL]))
        say(4.0, bottom + 1.98, words, color=COLORS[turn])
        bend = -0.25 if turn == CW else 0.25
        add_arrow(figure, (2.4, 2.4 - bend), (2.97, bottom + 0.95), COLORS[turn], bend)

    # Right: the guesses, with the places of both futures outlined.
    half = FrameSettings.half_width + 0.06
    corners = half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]])
    for (name, frames), bottom, words in zip(
        guesses.items(), (2.5, 0.15), ("both squares", "one square in between"), strict=True
    ):
        plot = add_frame(figure, 5.9, bottom, 1.9, GREY)
        draw_frame(plot, frames[STILL])
        for turn in (CCW, CW):
            edge = orbits[turn, STILL] + corners
            plot.plot(edge[:, 0], edge[:, 1], "--", color=COLORS[turn], lw=1.5)
        say(6.85, bottom + 1.98, f"{name} draws {words}.")
    return figure


# ---------------------------------------------------------------------------------------------
# The animation


def draw_step(videos: dict[str, dict[str, np.ndarray]], step: int) -> np.ndarray:
    """One image of the animation, (height, width, 3) uint8: the videos side by side, each with its
    state above its posterior mean."""
    figure = new_figure(8.3, 2.7)
    figure.set_facecolor("black")
    axes = figure.subplots(2, len(videos), squeeze=False, gridspec_kw={"wspace": 0.08})
    places = possible_orbits(FIRST_CENTER)[0, :, :SHOWN].copy()
    places[:, 0] = np.nan  # nothing is outlined in frame 0
    for column, (name, video) in zip(axes.T, videos.items(), strict=True):
        column[0].set_title(name, **WORDS)
        for plot, readout in zip(column, ("state", "posterior mean"), strict=True):
            draw_marked(plot, video[readout][step], places)
            if name == next(iter(videos)):
                plot.set_ylabel(readout.replace(" ", "\n"), **WORDS)
        middles = [(FRAME_SIZE + 1) * (i + 0.5) for i in range(SHOWN)]
        labels = ["frame 0\n(given)", *[f"frame {i}" for i in range(1, SHOWN)]]
        column[1].set_xticks(middles, labels, **WORDS | {"fontsize": 8})
        column[1].tick_params(length=0)
    text = (
        f"step {step} of 50.    Outlines: the square's places if it runs counter-clockwise (blue) "
        "or clockwise (orange)."
    )
    figure.supxlabel(text, **WORDS | {"fontsize": 9})
    return iio.imread(save(figure, dpi=100), mode="RGB")


def main(settings: SweepSettings) -> None:
    """Draw both pictures, of seed 0."""
    settings.out_dir.mkdir(parents=True, exist_ok=True)
    still, animation = settings.out_dir / "first.png", settings.out_dir / "opening.gif"
    check_output(still, ".png")
    check_output(animation, ".gif")
    cases = {f"d = {dim}": settings.flows(embed_dim=dim)[:1] for dim in (100, 2)}
    videos = {name: runs[0] for name, runs in measure(measure_steps, cases, settings.dask).items()}
    guesses = {name: video["posterior mean"][0] for name, video in videos.items()}
    write_file(still, save(draw_first(guesses), dpi=200))
    images = [draw_step(videos, step) for step in range(51)]
    # Step 0 is held. Then it is slow where the direction is decided at d = 100. The end stays.
    durations = [2000] + [400] * 6 + [150] * 43 + [2500]
    gif = iio.imwrite("<bytes>", np.stack(images), extension=".gif", duration=durations, loop=0)
    write_file(animation, gif)
    print(f"{still} and {animation}")


if __name__ == "__main__":
    run(main, StudySettings)
