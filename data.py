"""Stage 1 of 5: the data. Videos of one white square that travels on a circle, in NumPy.

    python data.py --gif data.gif        # a tile of training videos; a second

A frame is a 51 x 51 grey image of the plane; the middles of its outer pixels lie at -1 and 1. x
grows to the right and y upwards, so "counter-clockwise" means what you see on the screen. In a
video the centre of the square runs along a circle around the origin, 45 degrees a frame; radius,
starting angle and direction are random. Eight frames close the circle, so a video, its cyclic
shifts and its reversals all show the same ring of eight images.

Given frame 0, the radius and the angle can be read off. Only the direction is open:
that one bit is what this project is about.
"""

import numpy as np

from files import write_gif
from settings import DataSettings, FrameSettings, VideoSettings, read_command_line, run

FRAME_SIZE = 51  # pixels per side; their centres lie at linspace(-1, 1, 51)
PIXEL = 2 / (FRAME_SIZE - 1)  # distance between pixel centres, 0.04
NUM_FRAMES = 8
ANGLE_STEP = 2 * np.pi / NUM_FRAMES  # 45 degrees


# ---------------------------------------------------------------- frames


def render(
    centers: np.ndarray, settings: FrameSettings = FrameSettings(), blur: float = 0.0
) -> np.ndarray:
    """Draw one white square per centre.

    A pixel is as bright as the share of its area that the square covers (with hard_edges, fully
    if its middle is in the square). A square is the product of two intervals, so a frame is the
    outer product of two 1-D coverages, and a Gaussian blur can be applied to each of them.

    Args:
        centers: (..., 2), x and y in [-1, 1].
        settings: half width, in the same units, and kind of edge.
        blur: standard deviation of the blur in pixels, 0 for none (the autoencoder's training
            uses it). Light that is blurred over the border is lost.

    Returns:
        (..., 51, 51) float32 in [0, 1]; rows run from y = 1 down to y = -1.
    """
    pixels = np.linspace(-1, 1, FRAME_SIZE)
    distance = np.abs(np.asarray(centers, dtype=np.float64)[..., None] - pixels)  # (..., 2, 51)
    if settings.hard_edges:
        coverage = (distance <= settings.half_width + 1e-9).astype(np.float64)
    else:
        coverage = np.clip((settings.half_width - distance) / PIXEL + 0.5, 0, 1)
    if blur > 0:
        offsets = np.arange(-FRAME_SIZE, FRAME_SIZE + 1)
        gaussian = np.exp(-0.5 * (offsets / blur) ** 2)
        index = np.arange(FRAME_SIZE)
        smooth = (gaussian / gaussian.sum())[FRAME_SIZE + index[:, None] - index]  # pixel to pixel
        coverage = coverage @ smooth
    along_x, along_y = np.moveaxis(coverage.astype(np.float32), -2, 0)
    return along_y[..., ::-1, None] * along_x[..., None, :]  # reversed: the top row is y = 1


def grid_centers(range_: float, side: int = 21) -> np.ndarray:
    """A square grid of centres, x and y in [-range_, range_]: (side, side, 2), indexed [y, x], the
    lowest y first."""
    axis = np.linspace(-range_, range_, side)
    return np.stack(np.meshgrid(axis, axis), axis=-1)


# ---------------------------------------------------------------- videos


def random_first_centers(n: int, rng: np.random.Generator, range_: float) -> np.ndarray:
    """Centres (n, 2) of n first frames: radius uniform in [range_/4, range_], angle uniform."""
    radius, angle = rng.uniform(range_ / 4, range_, n), rng.uniform(0, 2 * np.pi, n)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)


def orbits(first_centers: np.ndarray) -> np.ndarray:
    """Both videos that start at each centre: the true answers to "what comes after this
    frame?".

    Args:
        first_centers: (n, 2), x and y.

    Returns:
        Centres (n, 2, 8, 2) as [video, direction, frame, (x, y)]; direction 0 is
        counter-clockwise, 1 clockwise. Frame 0 is the first centre itself.
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


# ---------------------------------------------------------------- python data.py


def main(settings: DataSettings) -> None:
    """Write a GIF of random training videos."""
    centers = random_videos(settings.num_videos, np.random.default_rng(settings.seed), settings)
    write_gif(settings.gif, render(centers, settings))
    print(f"{settings.gif}: {settings.num_videos} training videos of {NUM_FRAMES} frames")


if __name__ == "__main__":
    run(main, read_command_line(DataSettings))
