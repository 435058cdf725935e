"""What several questions of the study share: where a square may be, and what is measured there.

Two videos begin with the same first frame, and a sampled video takes one of them. So in each frame
there are two places to look at: the taken place, where the square is in the direction that the
video took in the end, and the other place, where it would be in the other direction. In frame 4,
half a circle later, the two are the same. A square at the other place may be there by chance, as
decoded noise has squares anywhere. So we need control places: places of the same circle that belong
to neither direction.

Everything here is about the two turns of the post, 45 degrees counter-clockwise and clockwise.
"""

from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor, nn

from analyze import ORANGE, find_blobs
from data import (
    FRAME_SIZE,
    NUM_FRAMES,
    PIXEL,
    FrameSettings,
    distinct_turns,
    possible_orbits,
    random_videos,
    render,
    tile,
)
from flow import LatentSpace, possible_futures
from sample import Flow, exact_flow, learned_flow

# The frames in which the two directions differ: all but frame 0, which is given, and frame 4.
FRAMES = [1, 2, 3, 5, 6, 7]
# From this radius on, the squares of the two directions don't touch.
APART = 0.4
# From this one on, squares at two of the circle's eight places share at most 7 % of their area.
MIN_RADIUS = 0.55
# A blob is at a place if its middle is nearer to it than a quarter of a square's side.
TOLERANCE = 0.1
MOSTLY_CCW = (1, 1, 1, 1, -1)  # turns: 80 % of the videos run counter-clockwise
SKY = "#56B4E9"  # the lighter blue of Okabe and Ito, for outlines on black

# The study's own streams of random numbers, besides those of data.py, which has 1 to 6
STREAMS = {
    "calibration": 7,
    "midpoints": 8,
    "commitment": 9,
    "flatness": 10,
    "benchmark": 11,
    "branches": 13,
    "codes": 14,
}


def study_stream(seed: int, purpose: str) -> np.random.Generator:
    """The random numbers for one of the purposes in STREAMS."""
    return np.random.default_rng((seed, STREAMS[purpose]))


# ---------------------------------------------------------------------------------------------
# Places


def turned(places: np.ndarray, degrees: float) -> np.ndarray:
    """Places (..., 2), turned around the origin, counter-clockwise."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return places @ np.array([[c, s], [-s, c]])


def control_places(first_centers: np.ndarray) -> np.ndarray:
    """Places of the circle where neither direction has its square, for each of the six FRAMES.

    A circle has eight places, 45 degrees apart. In each of these frames the two directions have one
    of them each, and the other six are the controls: they are at least 45 degrees from both.

    Args:
        first_centers: (n, 2), centres in frame 0.

    Returns:
        Centres (n, 6, 6, 2), indexed [video, one of FRAMES, control, (x, y)].
    """
    circle = possible_orbits(first_centers, [1])[:, 0]  # (n, 8, 2), place by place
    controls = []
    for frame in FRAMES:
        taken_or_other = (frame, NUM_FRAMES - frame)
        free = [place for place in range(NUM_FRAMES) if place not in taken_or_other]
        controls.append(circle[:, free])
    return np.stack(controls, axis=1)


def blobs_at(frames: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Whether a frame has a blob whose middle is nearer than TOLERANCE to a place.

    Args:
        frames: (n, f, 51, 51).
        places: (n, f, k, 2), k places for each frame.

    Returns:
        Booleans (n, f, k).
    """
    found = np.zeros(places.shape[:-1], dtype=bool)
    for index in np.ndindex(frames.shape[:2]):
        middles = find_blobs(frames[index])  # (blobs, 2)
        distance = np.linalg.norm(places[index][:, None] - middles, axis=-1)  # (k, blobs)
        found[index] = (distance < TOLERANCE).any(1)
    return found


def stretched(frames: np.ndarray) -> np.ndarray:
    """Frames (..., 51, 51) at full contrast, in [0, 1]: the median, which is the background,
    becomes 0 and the brightest pixel 1. That is how study/pictures.py reads the post's
    pictures, whose frames were stretched from black to white one by one. A frame of one
    brightness becomes black."""
    background = np.median(frames, axis=(-2, -1), keepdims=True)
    height = frames.max((-2, -1), keepdims=True) - background
    return np.clip((frames - background) / np.maximum(height, 1e-6), 0, 1)


def light_at(frames: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """How bright it is where a square would be: the mean brightness of frames (n, f, 51, 51) under
    masks (n, f, k, 51, 51), which are drawn squares, for each of the k places: (k,)."""
    light = np.einsum("nfhw,nfkhw->k", np.clip(frames, 0, 1), masks)
    return light / masks.sum((0, 1, 3, 4))


def light_in_videos(frames: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The mean brightness of each video, frames (n, f, 51, 51), where squares at places (n, f, 2),
    one in each frame, would be: (n,)."""
    masks = render(places)
    return (np.clip(frames, 0, 1) * masks).sum((1, 2, 3)) / masks.sum((1, 2, 3))


def draw_marked(plot: Axes, frames: np.ndarray, places: np.ndarray) -> None:
    """Draw frames side by side, and outline the taken place in blue and the other one in dashed
    orange. A frame whose maximum is under 0.6 is drawn brighter.

    Args:
        frames: (f, 51, 51).
        places: (2, f, 2), the taken places first.
    """
    brightness = np.clip(frames.max((1, 2), keepdims=True), 0.1, 0.6) / 0.6
    image = tile(frames / brightness, across=len(frames))
    plot.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest", origin="upper")
    half = FrameSettings.half_width / PIXEL
    outline = half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]])
    for centers, color, line in zip(places, (SKY, ORANGE), ("-", "--"), strict=True):
        for i, (x, y) in enumerate(centers):
            column = (x + 1) / PIXEL + 1 + i * (FRAME_SIZE + 1)  # tile() adds a line to each frame
            row = (1 - y) / PIXEL + 1
            plot.plot(column + outline[:, 0], row + outline[:, 1], line, color=color, lw=1)
    plot.set(xticks=[], yticks=[])


# ---------------------------------------------------------------------------------------------
# Both flows


def both_flows(
    network: nn.Module, space: LatentSpace, given_centers: np.ndarray
) -> dict[str, Flow]:
    """The "learned" and the "exact" flow of videos whose given frames have their squares at
    given_centers (n, given_frames, 2)."""
    return {
        "learned": learned_flow(network, space, given_centers),
        "exact": exact_flow(space, given_centers),
    }


# ---------------------------------------------------------------------------------------------
# Which direction does the flow believe in?


@dataclass(frozen=True)
class TrueVideos:
    """n true videos whose direction is known, and the answer key of the exact flow for them."""

    z: Tensor  # (n, D), the latents of the frames that aren't given
    given: Tensor  # (n, given_frames * d), the latents of those that are
    futures: Tensor  # (n, 2, D), counter-clockwise first
    prior: Tensor  # (n, 2)
    is_ccw: np.ndarray  # (n,), whether the video runs counter-clockwise


def true_videos(
    space: LatentSpace, first_centers: np.ndarray, rng: np.random.Generator
) -> TrueVideos:
    """A true video for each of these first centres (n, 2); rng draws its direction."""
    turns, probability = distinct_turns(space.settings.turns)
    assert turns.tolist() == [1, -1]
    centers, taken = random_videos(first_centers, turns, probability, rng)
    given_centers = centers[:, : space.settings.given_frames]
    futures, prior = possible_futures(space, given_centers)
    z = futures[torch.arange(len(futures)), torch.from_numpy(taken)]
    return TrueVideos(z, space.encode(given_centers).flatten(1), futures, prior, taken == 0)


def ccw_fraction(mean: Tensor, futures: Tensor) -> Tensor:
    """q, the share of counter-clockwise in a posterior mean.

    It is the place of the posterior mean along the line from the clockwise future, 0, to the
    counter-clockwise one, 1; what lies off the line doesn't count. The exact posterior mean is on
    the line, and its q is the exact posterior of counter-clockwise.

    Args:
        mean: (n, D), posterior means.
        futures: (n, 2, D), counter-clockwise first, as possible_futures() has them.

    Returns:
        q (n,), about 0 to 1.
    """
    ccw, cw = futures.unbind(1)
    delta = ccw - cw
    return ((mean - cw) * delta).sum(1) / (delta**2).sum(1)
