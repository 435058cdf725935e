"""Stage 1 of 5: the data. Videos of one white square that travels on a circle, in NumPy, after the
post by Ziming Liu (2026) that this repo rebuilds.

    python data.py --gif data.gif        # sixteen videos, side by side; takes a second

A frame is a 51 x 51 grey image of the plane; the middles of its outer pixels lie at -1 and 1. x
grows to the right and y upwards, so "counter-clockwise" means what you see on the screen. In a
video the centre of the square runs along a circle around the origin, 45 degrees a frame; radius,
starting angle and direction are random. Eight frames close the circle, so a video, its cyclic
shifts and its reversals all show the same eight images.

Given frame 0, the radius and the angle can be read off. Only the direction is open:
that one bit is what this project is about.
"""

import secrets
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import tyro
from scipy.ndimage import gaussian_filter1d

FRAME_SIZE = 51  # pixels per side; their centres lie at linspace(-1, 1, 51)
PIXEL = 2 / (FRAME_SIZE - 1)  # distance between pixel centres, 0.04
NUM_FRAMES = 8
ANGLE_STEP = 2 * np.pi / NUM_FRAMES  # 45 degrees


def check_range(low: float, high: float, **settings: float) -> None:
    """Raise ValueError unless these settings lie in low to high (NaN is refused too)."""
    for name, value in settings.items():
        if not low <= value <= high:
            option = name.replace("_", "-")
            raise ValueError(f"--{option} must lie in {low} to {high}, not {value}")


# tyro turns these classes into the command lines; the texts under the fields are the --help.
@dataclass(frozen=True)
class FrameSettings:
    """What a frame looks like."""

    range: float = 0.8
    """Centres lie in [-range, range] in x and y; circles have radii from range/4 to range."""
    half_width: float = 0.2
    """Half the side of the square, at least half a pixel, 0.02; 0.2 is 5 pixels."""
    hard_edges: bool = False
    """Black and white pixels only, as in the post; else grey ones at the edges."""

    def __post_init__(self) -> None:
        check_range(PIXEL / 2, 1, range=self.range, half_width=self.half_width)
        if self.range + self.half_width > 1 + 1e-9:
            raise ValueError("the square leaves the frame: --range + --half-width is more than 1")


@dataclass(frozen=True)
class DataSettings(FrameSettings):
    """Write videos of the kind that the flow trains on."""

    gif: Path = Path("data.gif")
    """Where to write sixteen looping videos."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_output(self.gif, ".gif")


def render(
    centers: np.ndarray, settings: FrameSettings = FrameSettings(), blur: float = 0.0
) -> np.ndarray:
    """Draw one white square per centre: (..., 2), x and y in [-1, 1] -> frames (..., 51, 51),
    float32 in [0, 1], whose rows run from y = 1 down to y = -1.

    A pixel is as bright as the share of its area that the square covers (with hard_edges, fully
    if its middle is in the square). A square is the product of two intervals, so a frame is the
    outer product of two 1-D coverages. blur is the standard deviation, in pixels, of a Gaussian
    blur (for the autoencoder's training), a product too. Light blurred over the border is lost.
    """
    offset = np.asarray(centers, dtype=np.float64)[..., None] - np.linspace(-1, 1, FRAME_SIZE)
    coverage = np.clip((settings.half_width - np.abs(offset)) / PIXEL + 0.5, 0, 1)  # (..., 2, 51)
    if settings.hard_edges:  # 1e-9: of two opposite edges on pixel middles, one counts
        coverage = (np.abs(offset - 1e-9) <= settings.half_width).astype(np.float64)
    if blur > 0:
        coverage = gaussian_filter1d(coverage, blur, mode="constant")
    along_x, along_y = np.moveaxis(coverage.astype(np.float32), -2, 0)
    return along_y[..., ::-1, None] * along_x[..., None, :]  # reversed: the top row is y = 1


def grid_centers(range_: float, side: int = 21) -> np.ndarray:
    """Centres of a square grid, x and y in [-range_, range_]: (side, side, 2), indexed [y, x]."""
    axis = np.linspace(-range_, range_, side)
    return np.stack(np.meshgrid(axis, axis), axis=-1)


def random_first_centers(n: int, rng: np.random.Generator, range_: float) -> np.ndarray:
    """Centres (n, 2) of n first frames: radius uniform in [range_/4, range_], angle uniform."""
    radius, angle = rng.uniform(range_ / 4, range_, n), rng.uniform(0, 2 * np.pi, n)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)


def orbits(first_centers: np.ndarray) -> np.ndarray:
    """Both videos that start at each centre (n, 2), the true answers to "what comes next?": centres
    (n, 2, 8, 2) as [video, direction, frame, (x, y)]; direction 0 is counter-clockwise, 1
    clockwise."""
    start = first_centers[:, 0] + 1j * first_centers[:, 1]
    turn = ANGLE_STEP * np.arange(NUM_FRAMES)
    path = start[:, None, None] * np.exp(1j * np.stack([turn, -turn]))
    return np.stack([path.real, path.imag], axis=-1)


# From here on: files and the command line, for all stages. Skip it at first.


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder, moved over `path` at the end, so that an
    interruption never leaves half a file."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def tile(frames: np.ndarray, across: int) -> np.ndarray:
    """Lay n images (n, 51, 51), or n videos (n, 8, 51, 51) frame by frame, out in rows, a grey line
    above and left of each: uint8 (..., height, width). Values are clipped to [0, 1]."""
    frames = np.pad(frames, [(0, -len(frames) % across)] + [(0, 0)] * (frames.ndim - 1))  # black
    line = [(0, 0)] * (frames.ndim - 2) + [(1, 0), (1, 0)]
    framed = np.pad(np.clip(frames, 0, 1), line, constant_values=0.4)
    rows = [np.concatenate(framed[i : i + across], -1) for i in range(0, len(framed), across)]
    return (255 * np.concatenate(rows, axis=-2)).round().astype(np.uint8)


def write_gif(path: Path, videos: np.ndarray) -> None:
    """Write videos (n, 8, 51, 51) in [0, 1] as one looping GIF, side by side and enlarged."""
    images = tile(videos, across=int(np.ceil(np.sqrt(len(videos)))))
    enlarged = images.repeat(3, axis=-1).repeat(3, axis=-2)
    with replacing(path) as temporary:
        iio.imwrite(temporary, enlarged, extension=".gif", duration=250, loop=0)


def check_output(path: Path, suffix: str) -> None:
    """Raise OSError unless a file of this kind can be written there: found out by trying, before
    the work and not after it."""
    if path.suffix.lower() != suffix or path.is_dir():
        raise OSError(f"{path} must be the name of a {suffix} file")
    try:
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as problem:
        raise OSError(f"{path} can't be written: {problem.strerror}") from None


def run(main: Callable[[Any], None], settings_type: Any) -> None:
    """Call main with the settings of the command line. tyro reports bad settings; a file that
    can't be used, a missing package or a diverged training is one line. Then the exit status is 2,
    after Ctrl-C 130."""
    try:
        main(tyro.cli(settings_type))
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept", file=sys.stderr)
        sys.exit(130)
    except (OSError, ImportError, FloatingPointError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(2)


def main(settings: DataSettings) -> None:
    """Write a GIF of random videos."""
    rng, n = np.random.default_rng(0), 16
    both = orbits(random_first_centers(n, rng, settings.range))
    centers = both[np.arange(n), rng.integers(2, size=n)]  # (n, 8, 2), in a random direction
    write_gif(settings.gif, render(centers, settings))
    print(f"{settings.gif}: {n} videos of {NUM_FRAMES} frames")


if __name__ == "__main__":
    run(main, DataSettings)
