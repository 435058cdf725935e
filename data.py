"""Stage 1 of 5: the data. Videos of one white square that travels on a circle (NumPy
only).

    python data.py --gif data.gif        # a tile of training videos; a second

A frame is a 51 x 51 grey image of the plane [-1, 1] x [-1, 1]: x grows to the right and
y upwards, so "counter-clockwise" means what you see on the screen. In a video the
centre of the square runs along a circle around the origin, 45 degrees a frame; radius,
starting angle and direction are random. Eight frames close the circle, so a video, its
cyclic shifts and its reversals all show the same ring of eight images.

Given frame 0, the radius and the angle can be read off. Only the direction is open:
that one bit is what this project is about.
"""

import contextlib
import glob
import io
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import imageio.v3 as iio
import numpy as np
import tyro

FRAME_SIZE = 51  # pixels per side; their centres lie at linspace(-1, 1, 51)
PIXEL = 2 / (FRAME_SIZE - 1)  # distance between pixel centres, 0.04
NUM_FRAMES = 8
ANGLE_STEP = 2 * np.pi / NUM_FRAMES  # 45 degrees


def require(condition: bool, message: str) -> None:
    """Raise ValueError(message) unless the condition holds; run_command() prints it."""
    if not condition:
        raise ValueError(message)


@dataclass(frozen=True)
class FrameSettings:
    """What a frame looks like."""

    range: float = 0.8
    """Centres lie in [-range, range] in x and y, and on circles of radius range/4 to
    range."""
    half_width: float = 0.2
    """Half the side of the square; 0.2 is 5 pixels."""
    hard_edges: bool = False
    """Light a pixel fully or not at all, as the frames of the original post look, and
    not by the covered share of its area."""

    def __post_init__(self) -> None:
        require(0 < self.range <= 1, f"--range must lie in (0, 1], not {self.range}")
        require(
            PIXEL / 2 <= self.half_width <= 1,
            f"--half-width must lie in [0.02, 1], not {self.half_width}",
        )
        require(
            self.range + self.half_width <= 1 + 1e-9,
            f"the square leaves the frame: --range {self.range} + --half-width {self.half_width} is more than 1",
        )


@dataclass(frozen=True)
class VideoSettings(FrameSettings):
    """What a video looks like."""

    ccw_share: float = 0.5
    """Share of the videos that run counter-clockwise."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            0 <= self.ccw_share <= 1,
            f"--ccw-share must lie in [0, 1], not {self.ccw_share}",
        )


# ---------------------------------------------------------------- frames


def render(
    centers: np.ndarray, settings: FrameSettings = FrameSettings(), blur: float = 0.0
) -> np.ndarray:
    """Draw one white square per centre.

    A pixel is as bright as the share of its area that the square covers. A square is
    the product of two intervals, so a frame is the outer product of two 1-D coverages,
    and a Gaussian blur can be applied to each of them.

    Args:
        centers: (..., 2), x and y in [-1, 1].
        settings: half width and kind of edge.
        blur: standard deviation of the blur in pixels, 0 for none (the
        autoencoder's training uses it).

    Returns:
        (..., 51, 51) float32 in [0, 1]; rows run from y = 1 down to y = -1.
    """
    pixels = np.linspace(-1, 1, FRAME_SIZE)
    distance = np.abs(
        np.asarray(centers, dtype=np.float64)[..., None] - pixels
    )  # (..., 2, 51)
    if settings.hard_edges:
        coverage = (distance <= settings.half_width + 1e-9).astype(np.float64)
    else:
        coverage = np.clip((settings.half_width - distance) / PIXEL + 0.5, 0, 1)
    if blur > 0:
        weights = np.exp(-0.5 * (np.arange(-FRAME_SIZE, FRAME_SIZE + 1) / blur) ** 2)
        index = np.arange(FRAME_SIZE)
        coverage = (
            coverage @ (weights / weights.sum())[FRAME_SIZE + index[:, None] - index]
        )
    columns, rows = coverage[..., 0, :], coverage[..., 1, ::-1]
    return (rows[..., :, None] * columns[..., None, :]).astype(np.float32)


def grid_centers(range_: float, side: int = 21) -> np.ndarray:
    """A square grid of centres in [-range_, range_]^2, shape (side, side, 2), indexed
    [y, x]."""
    axis = np.linspace(-range_, range_, side)
    return np.stack(np.meshgrid(axis, axis), axis=-1)


# ---------------------------------------------------------------- videos


def random_first_centers(n: int, rng: np.random.Generator, range_: float) -> np.ndarray:
    """Centres of n first frames, (n, 2): radius uniform in [range_/4, range_], angle
    uniform."""
    radius, angle = rng.uniform(range_ / 4, range_, n), rng.uniform(0, 2 * np.pi, n)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)


def orbits(first_centers: np.ndarray) -> np.ndarray:
    """Both videos that start at each centre: the true answers to "what comes after this
    frame?".

    Args:
        first_centers: (n, 2).

    Returns:
        Centres (n, 2, 8, 2) as [video, direction, frame, (x, y)]; direction 0 is
        counter-clockwise, 1 clockwise.
    """
    start = first_centers[:, 0] + 1j * first_centers[:, 1]
    turn = ANGLE_STEP * np.arange(NUM_FRAMES)
    path = start[:, None, None] * np.exp(1j * np.stack([turn, -turn]))
    return np.stack([path.real, path.imag], axis=-1)


def random_videos(
    n: int, rng: np.random.Generator, settings: VideoSettings = VideoSettings()
) -> np.ndarray:
    """Centres (n, 8, 2) of n training videos; render() makes the frames."""
    both = orbits(random_first_centers(n, rng, settings.range))
    return both[np.arange(n), (rng.random(n) >= settings.ccw_share).astype(int)]


# ---------------------------------------------------------------- for all stages


def fail(message: object, status: int = 2) -> NoReturn:
    """Print one line on stderr and exit."""
    print("error: " + " ".join(str(message).split()), file=sys.stderr)
    sys.exit(status)


def run_command(main: Callable[[Any], None], settings_type: Any) -> None:
    """Parse the command line into settings and run main(settings). What goes wrong is
    told in one line, exit status 2."""
    told = io.StringIO()
    description = (sys.modules["__main__"].__doc__ or "").partition("\n\n")[0]
    try:
        with contextlib.redirect_stderr(told):
            settings = tyro.cli(settings_type, description=description)
    except SystemExit as stop:
        if not stop.code:
            raise  # --help
        lines = told.getvalue().partition("│ ──")[0].splitlines()[1:]  # of tyro's box
        reason = " ".join(line.strip("│ ") for line in lines)
        reason = re.sub(r"^Error parsing [A-Z]\w*: ", "", reason)  # a class's name
        fail(f"{reason} (--help lists the settings)")
    except OSError as problem:  # a path that the system refuses to look up
        fail(problem)
    try:
        main(settings)
    except KeyboardInterrupt:
        fail("interrupted; what was finished is kept", status=130)
    except (ValueError, OSError) as problem:
        fail(problem)


def check_output(path: Path, suffix: str) -> None:
    """Raise ValueError unless a file of this type can be written at path, so that it is
    said before the work and not after it."""
    require(len(path.name) <= 200, f"{path.name[:20]}...: the name is too long")
    require(path.suffix.lower() == suffix, f"{path}: the name must end in {suffix}")
    require(path.parent.is_dir(), f"{path}: there is no folder {path.parent}")
    require(not path.is_dir(), f"{path} is a folder")
    require(
        os.access(path.parent, os.W_OK),
        f"{path}: the folder {path.parent} can't be written to",
    )


def is_running(pid: str) -> bool:
    """Whether there is a process of this id: its temporary files are no leftovers."""
    try:
        os.kill(int(pid), 0)
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


@contextlib.contextmanager
def replacing(path: Path):
    """Yield a temporary path in the same folder, moved over `path` at the end: a kill
    leaves the old file or the new one. Leftovers of killed processes are removed."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        pid, _, _ = leftover.name.removeprefix(f".{path.name}.").partition(".")
        if not is_running(pid):
            leftover.unlink(missing_ok=True)
    temporary = path.parent / f".{path.name}.{os.getpid()}.tmp"
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def tile(videos: np.ndarray, across: int) -> np.ndarray:
    """Lay frames out in rows with a grey line between them: (n, ..., 51, 51) in [0, 1]
    -> (..., height, width) uint8."""
    videos = np.pad(videos, [(0, -len(videos) % across)] + [(0, 0)] * (videos.ndim - 1))
    line = [(0, 0)] * (videos.ndim - 2) + [(1, 0), (1, 0)]
    framed = np.pad(np.clip(videos, 0, 1), line, constant_values=0.4)
    rows = [
        np.concatenate(framed[i : i + across], axis=-1)
        for i in np.arange(0, len(framed), across)
    ]
    return (255 * np.concatenate(rows, axis=-2)).round().astype(np.uint8)


def write_gif(path: Path, videos: np.ndarray) -> None:
    """Write videos (n, frames, 51, 51) in [0, 1] as one looping GIF, side by side and
    three times enlarged."""
    images = (
        tile(videos, across=int(np.ceil(np.sqrt(len(videos)))))
        .repeat(3, axis=-1)
        .repeat(3, axis=-2)
    )
    with replacing(path) as temporary:
        temporary.write_bytes(
            iio.imwrite("<bytes>", images, extension=".gif", duration=250, loop=0)
        )


# ---------------------------------------------------------------- python data.py


@dataclass(frozen=True)
class DataSettings(VideoSettings):
    """Show training videos."""

    gif: Path = Path("data.gif")
    """Where to write the tile of looping videos."""
    num_videos: int = 16
    """How many videos, 1 to 400."""
    seed: int = 0
    """Seed of the random videos."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            1 <= self.num_videos <= 400,
            f"--num-videos must lie in 1 to 400, not {self.num_videos}",
        )
        require(self.seed >= 0, f"--seed must not be negative, not {self.seed}")
        check_output(self.gif, ".gif")


def main(settings: DataSettings) -> None:
    """Write a GIF of random training videos."""
    centers = random_videos(
        settings.num_videos, np.random.default_rng(settings.seed), settings
    )
    write_gif(settings.gif, render(centers, settings))
    print(
        f"{settings.gif}: {settings.num_videos} training videos of {NUM_FRAMES} frames"
    )


if __name__ == "__main__":
    run_command(main, DataSettings)
