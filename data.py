"""Stage 1 of 5: the data. Videos of one white square that travels on a circle.

    python data.py                       # writes data.gif, sixteen videos; takes a second
    python data.py --png futures.png     # one first frame and all the videos that begin with it

You need to know NumPy's broadcasting, and nothing else.

The project. Show a video model the first frame of a video and let it make up the rest. Where the
first frame doesn't settle what comes next, the model has to choose, and one would like to know what
it holds in mind until it has chosen. Real videos are too rich for that. So here a video is as
simple as possible, as in the blog post by Ziming Liu (2026) that this project rebuilds: one square
runs around a circle, an eighth of the circle from each frame to the next. The circle and the place
where it starts are random, and so is the direction.

Look at the first frame, and you know the circle (the square is on it, and its middle is the middle
of the picture) and the place. What you cannot know is the direction. So there are just two videos
that begin with this frame, and every question about what a model expects becomes a question about
one coin. Only one frame can be told without it: frame 4, half a circle later, shows the square
opposite to where it began, in both videos.

The five files, each of which uses the ones before it:

    data.py           draws the videos (you are here)
    autoencoder.py    squeezes each frame to d numbers, its latent, and draws it again
    flow.py           learns to turn noise into the latents of frames 1 to 7, given frame 0
    sample.py         generates videos, and shows the steps on the way
    analyze.py        counts squares, and maps the latents of a whole grid of squares
"""

import io
import math
import os
import secrets
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import tyro
from scipy.ndimage import gaussian_filter1d

# A frame is a 51 x 51 picture of the plane. x grows to the right and y grows upwards, and the
# centres of the outermost pixels lie at -1 and 1. So neighbouring pixel centres are 0.04 apart.
FRAME_SIZE = 51
PIXEL = 2 / (FRAME_SIZE - 1)
PIXEL_CENTERS = np.linspace(-1, 1, FRAME_SIZE)

# Eight frames, an eighth of a circle (45 degrees) from one to the next. So the ninth frame would be
# the first again, and a circle has eight places where its square can be.
NUM_FRAMES = 8
ANGLE_STEP = 2 * np.pi / NUM_FRAMES


# ---------------------------------------------------------------------------------------------
# What a frame looks like


def check_range(low: float, high: float, **settings: float) -> None:
    """Raise ValueError unless each of these settings lies in low to high; check_range(0, 1, x=2)
    says that --x must lie in 0 to 1. (Not-a-number is refused too.)"""
    for name, value in settings.items():
        if not low <= value <= high:
            option = name.replace("_", "-")
            raise ValueError(f"--{option} must lie in {low} to {high}, not {value}")


@dataclass(frozen=True)
class FrameSettings:
    """What a frame looks like. (The library tyro turns the fields of such a class into options of
    the command line, --half-width and so on, and the texts under them into their --help.)"""

    center_range: float = 0.8
    """Centres of squares lie in [-center_range, center_range], in x and in y."""
    half_width: float = 0.2
    """Half of the square's side. The default, 0.2, makes squares of 10 x 10 pixels."""
    hard_edges: bool = False
    """Draw every pixel either black or white, as in the post, instead of grey ones at the edges."""

    def __post_init__(self) -> None:
        check_range(PIXEL / 2, 1, half_width=self.half_width)  # at least one pixel wide
        check_range(PIXEL / 2, 1, center_range=self.center_range)
        if self.center_range + self.half_width > 1 + 1e-9:
            raise ValueError(
                "the square would leave the frame: --center-range plus --half-width is more than 1"
            )


def render(
    centers: np.ndarray, settings: FrameSettings = FrameSettings(), blur: float = 0.0
) -> np.ndarray:
    """Draw one white square on black for each centre.

    A square is all that lies both in an interval of x and in an interval of y. So the share of a
    pixel that it covers is the share along x times the share along y, and a frame is the outer
    product of two one-dimensional arrays.

    Args:
        centers: (..., 2), the x and y of each centre, in [-1, 1].
        settings: what the square looks like.
        blur: standard deviation of a Gaussian blur, in pixels. (Only the autoencoder's training
            uses it; autoencoder.py says what for.) Light that is blurred over the border is lost.

    Returns:
        Frames (..., 51, 51), float32 in [0, 1]. The first row is the top of the picture, y = 1.
    """
    cover_x = coverage(centers[..., 0], settings, blur)  # (..., 51), from left to right
    cover_y = coverage(centers[..., 1], settings, blur)[..., ::-1]  # from the top down
    return cover_y[..., :, None] * cover_x[..., None, :]


def coverage(middle: np.ndarray, settings: FrameSettings, blur: float) -> np.ndarray:
    """How much of each of the 51 pixels along one axis a square covers: middles (...) -> (..., 51),
    float32 in [0, 1]."""
    middle = np.asarray(middle, dtype=np.float64)[..., None]
    if settings.hard_edges:
        # A pixel is white if its centre lies between the square's edges. Edges may fall exactly on
        # pixel centres. Then only one of the two pixels may count, else that square would be wider
        # than others, and rounding errors mustn't decide which. So both edges are moved a little,
        # by more than a rounding error and less than anything one can see.
        low = middle - settings.half_width - 1e-9
        high = middle + settings.half_width - 1e-9
        share = ((low < PIXEL_CENTERS) & (PIXEL_CENTERS < high)).astype(np.float64)
    else:
        # A pixel reaches half a pixel to either side of its centre. If that centre lies more than
        # half a pixel inside of the square's edge, all of it is covered; if more than half a pixel
        # outside, nothing; and on the edge itself, one half.
        distance = np.abs(PIXEL_CENTERS - middle)
        inside = settings.half_width - distance  # how far from the edge; positive inside
        share = np.clip(inside / PIXEL + 0.5, 0, 1)
    if blur > 0:  # a Gaussian in x and y is a product, too, so each axis can be blurred on its own
        share = gaussian_filter1d(share, blur, mode="constant")
    return share.astype(np.float32)


# ---------------------------------------------------------------------------------------------
# Where the square is


def possible_orbits(
    first_centers: np.ndarray, turns: Sequence[int] | np.ndarray = (1, -1)
) -> np.ndarray:
    """All videos that could begin with a square here, one for each turn.

    A turn says how far the square goes from one frame to the next, in eighths of a circle;
    counter-clockwise, as seen on the screen, is positive. Frame i is the first one, rotated around
    the origin by turn times i eighths.

    Args:
        first_centers: (n, 2), centres in frame 0.
        turns: k integers. The two by default are counter-clockwise and clockwise.

    Returns:
        Centres (n, k, 8, 2), indexed [video, turn, frame, (x, y)].
    """
    angle = ANGLE_STEP * np.outer(turns, np.arange(NUM_FRAMES))  # (k, 8)
    x, y = first_centers[:, 0, None, None], first_centers[:, 1, None, None]  # (n, 1, 1)
    rotated_x = x * np.cos(angle) - y * np.sin(angle)
    rotated_y = x * np.sin(angle) + y * np.cos(angle)
    return np.stack([rotated_x, rotated_y], axis=-1)


def random_first_centers(
    n: int,
    rng: np.random.Generator,
    center_range: float,
    unseen_radii: tuple[float, float] | None = None,
) -> np.ndarray:
    """Centres (n, 2) of n first frames. The radius of the circle is uniform in [center_range / 4,
    center_range], and the angle is uniform. No radius lies between the two of unseen_radii, which
    lie in that range: so one can find out later what a flow makes of circles that it was never
    trained on."""
    smallest, largest = center_range / 4, center_range
    if unseen_radii is None:
        radius = rng.uniform(smallest, largest, n)
    else:
        # Cut the band out and push what lies beyond it together: the range is shorter by the band's
        # width. Draw from that range. Then push the radii from `low` on apart again, by that width.
        low, high = unseen_radii
        radius = rng.uniform(smallest, largest - (high - low), n)
        radius[radius >= low] += high - low
    angle = rng.uniform(0, 2 * np.pi, n)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)


def grid_centers(center_range: float, side: int = 21) -> np.ndarray:
    """The centres of a square grid, x and y in [-center_range, center_range]: (side, side, 2),
    indexed [y, x]."""
    axis = np.linspace(-center_range, center_range, side)
    return np.stack(np.meshgrid(axis, axis), axis=-1)


# ---------------------------------------------------------------------------------------------
# Which turns a video may take
#
# They are named as on the command line: with --turns 1 1 1 -1, three videos in four run
# counter-clockwise.


def distinct_turns(turns: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """The different ones (k,) among the named turns, and how probable each is (k,): naming one
    twice makes it twice as probable. (1, 1, 1, -1) gives [1, -1] and [0.75, 0.25]."""
    times = Counter(turns)  # in the order of their first mention
    return np.array(list(times)), np.array(list(times.values())) / len(turns)


def turn_name(turn: int) -> str:
    """A turn in words, such as "45° counter-clockwise"."""
    degrees = 360 / NUM_FRAMES * abs(turn)
    if degrees == 0:
        return "standing still"
    if degrees == 180:  # half a circle is the same either way
        return "180°"
    return f"{degrees:g}° {'counter-clockwise' if turn > 0 else 'clockwise'}"


def ordered_turns(turns: Sequence[int]) -> tuple[int, ...]:
    """The same turns in a fixed order, 0, 1, -1, 2, -2, 3, -3, 4: so the same turns are the same
    settings, in whatever order they were named. Raises ValueError if a turn isn't one of these (-4
    would be the same as 4), or if there are none or more than 50."""
    if not 1 <= len(turns) <= 50:  # they will be part of the name of a trained flow's file
        raise ValueError(f"--turns needs 1 to 50 turns, not {len(turns)}")
    for turn in turns:
        check_range(1 - NUM_FRAMES // 2, NUM_FRAMES // 2, turns=turn)
    return tuple(sorted(turns, key=lambda turn: (abs(turn), -turn)))


# ---------------------------------------------------------------------------------------------
# Random videos


def random_videos(
    first_centers: np.ndarray, turns: np.ndarray, probability: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Send the square of each first frame on its way, with a turn that is drawn at random.

    Args:
        first_centers: (n, 2), centres in frame 0.
        turns, probability: (k,), the possible turns and how probable each is, as distinct_turns()
            gives them.

    Returns:
        The centres of the squares, (n, 8, 2); and which of the k turns each video takes, integers
        (n,) from 0 to k - 1.
    """
    n = len(first_centers)
    taken = rng.choice(len(turns), size=n, p=probability)
    return possible_orbits(first_centers, turns)[np.arange(n), taken], taken


# ---------------------------------------------------------------------------------------------
# Plumbing, from here on: random numbers, pictures, files, and the command line, for all stages. A
# first reading can skip it.

# The text of each file that a training runs through, taken when Python imports it. It is kept with
# the trained network: so one can tell later whether the code that is there now has trained it.
SOURCES = {"data.py": Path(__file__).read_text(encoding="utf-8")}

# Who draws random numbers, and from which stream. With the same seed, different streams give
# different numbers, so that (for example) a flow is never tested on the circles that it was trained
# on.
STREAMS = {
    "autoencoder training": 1,  # autoencoder.py
    "autoencoder test": 6,
    "flow training": 2,  # flow.py
    "flow test": 3,
    "sampling": 4,  # sample.py
    "counting": 5,  # analyze.py
}


def random_stream(seed: int, purpose: str) -> np.random.Generator:
    """The random numbers for one of the purposes in STREAMS."""
    return np.random.default_rng((seed, STREAMS[purpose]))


def temporary_path(path: Path) -> Path:
    """A name beside this one under which a file is written at first."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def check_output(path: Path | None, suffix: str) -> None:
    """Raise OSError unless a file of this kind can be written there (or none is asked for). We find
    out by trying, and before the work rather than after it."""
    if path is None:
        return
    temporary = temporary_path(path)
    try:
        temporary.touch()
        temporary.unlink()
    except OSError as problem:
        raise OSError(f"{path} can't be written: {problem.strerror}") from None
    if path.suffix.lower() != suffix or path.is_dir():
        raise OSError(f"{path} must be the name of a {suffix} file")


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: it gets its name when all of it has been written. If that
    is interrupted, an older file of this name stays. Raises OSError if it can't be written."""
    temporary = temporary_path(path)
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as problem:
        raise OSError(f"{path} can't be written: {problem.strerror}") from None
    finally:
        temporary.unlink(missing_ok=True)


def tile(frames: np.ndarray, across: int) -> np.ndarray:
    """Lay pictures out in rows of `across`, with a grey line above and left of each.

    Args:
        frames: n pictures (n, 51, 51), or n videos (n, 8, 51, 51), in about [0, 1].

    Returns:
        One picture (height, width), or one video (8, height, width), uint8. Values outside [0, 1]
        are clipped, and empty places are black.
    """
    *video, height, width = frames.shape[1:]  # video is [8] or []
    rows = math.ceil(len(frames) / across)
    image = np.zeros((*video, rows * (height + 1), across * (width + 1)))
    for i, frame in enumerate(frames):
        top, left = i // across * (height + 1), i % across * (width + 1)
        place = image[..., top : top + height + 1, left : left + width + 1]
        place[...] = 0.4
        place[..., 1:, 1:] = np.clip(frame, 0, 1)
    return (255 * image).round().astype(np.uint8)


def write_gif(path: Path, videos: np.ndarray) -> None:
    """Write videos (n, 8, 51, 51), in about [0, 1], as one looping GIF, side by side, each pixel
    drawn as 3 x 3."""
    images = tile(videos, across=math.ceil(math.sqrt(len(videos))))
    enlarged = images.repeat(3, axis=-1).repeat(3, axis=-2)
    write_file(path, iio.imwrite("<bytes>", enlarged, extension=".gif", duration=250, loop=0))


def new_figure(width: float, height: float) -> Any:
    """An empty matplotlib Figure of this size in inches. It looks the same whatever the settings in
    somebody's matplotlibrc are, for they are reset to matplotlib's own."""
    import matplotlib  # here, because importing it takes long, and few commands draw
    from matplotlib.figure import Figure

    matplotlib.rcdefaults()
    return Figure((width, height), layout="constrained")


def draw_film_strip(plot: Any, rows: np.ndarray, labels: Sequence[str], title: str) -> None:
    """Draw videos (rows, 8, 51, 51), in about [0, 1], one below the other into a matplotlib Axes,
    the frames from left to right. Each row has a label."""
    image = tile(rows.reshape(-1, FRAME_SIZE, FRAME_SIZE), across=NUM_FRAMES)
    plot.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest", origin="upper")
    cell = FRAME_SIZE + 1
    plot.set_xticks(
        [cell * (i + 0.5) for i in range(NUM_FRAMES)], [f"frame {i}" for i in range(NUM_FRAMES)]
    )
    plot.set_yticks([cell * (i + 0.5) for i in range(len(rows))], labels)
    plot.tick_params(length=0)
    plot.set_title(title)


def write_figure(path: Path, figure: Any) -> None:
    """Write a matplotlib Figure as a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    write_file(path, buffer.getvalue())


def run(main: Callable[[Any], None], settings_type: Any) -> None:
    """Call main with the settings of the command line. tyro reports bad settings itself. A file
    that can't be used, a package that only some options need and that is missing, or a training
    that diverged is one line, and the exit status is 2; after Ctrl-C it is 130. An error in the
    code keeps its traceback."""
    # In this variable a notebook tells matplotlib how to show pictures, to all programs that are
    # started from it. That may not be installed here; and here pictures are only written to files.
    os.environ["MPLBACKEND"] = "agg"
    try:
        main(tyro.cli(settings_type))
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept", file=sys.stderr)
        sys.exit(130)
    except (OSError, ImportError, FloatingPointError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(2)


@dataclass(frozen=True)
class DataSettings(FrameSettings):
    """Write videos of the kind that the models are trained on."""

    turns: tuple[int, ...] = (1, -1)
    """Turns that a video may take, in eighths of a circle per frame, -3 to 4.
    Counter-clockwise is positive. Naming a turn twice makes it twice as probable."""
    gif: Path = Path("data.gif")
    """Where to write sixteen looping videos."""
    png: Path | None = None
    """Where to write one first frame and all its futures."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "turns", ordered_turns(self.turns))  # the class is frozen
        check_output(self.gif, ".gif")
        check_output(self.png, ".png")


def write_futures(path: Path, settings: DataSettings) -> None:
    """Write one first frame and all videos that begin with it as a PNG."""
    turns, _ = distinct_turns(settings.turns)
    first_center = np.array([[0.65, 0.4]]) * settings.center_range
    videos = render(possible_orbits(first_center, turns)[0], settings)  # (turns, 8, 51, 51)
    figure = new_figure(9.5, 0.9 + len(turns))
    labels = [turn_name(turn) for turn in turns]
    title = f"One frame 0, and the {len(turns)} possible videos that begin with it"
    draw_film_strip(figure.subplots(), videos, labels, title)
    write_figure(path, figure)


def main(settings: DataSettings) -> None:
    """Write a GIF of random videos, and the futures of one first frame if asked for."""
    n = 16
    rng = np.random.default_rng(0)
    turns, probability = distinct_turns(settings.turns)
    first_centers = random_first_centers(n, rng, settings.center_range)
    centers, _ = random_videos(first_centers, turns, probability, rng)  # (n, 8, 2)
    write_gif(settings.gif, render(centers, settings))
    names = " or ".join(turn_name(turn) for turn in turns)
    print(f"{settings.gif} shows {n} videos of {NUM_FRAMES} frames. From frame to frame: {names}.")
    if settings.png:
        write_futures(settings.png, settings)
        print(
            f"{settings.png} shows one frame 0, and what may follow: {len(turns)} possible videos."
        )


if __name__ == "__main__":
    run(main, DataSettings)
