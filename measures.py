"""What is measured on pictures, grids and curves. NumPy in, numbers out: no network here,
so that each measure can be tried on pictures whose answer is known (tests/test_measures.py).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from data import FRAME_SIZE, PIXEL

# ---------------------------------------------------------------- squares in a frame


def find_blobs(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the separate bright blobs of frames (n, 51, 51).

    Clip to [0, 1]; a frame whose maximum is under 0.15 is unreadable and has no blobs;
    keep the pixels of at least half of the maximum; a blob is a connected piece
    (corners connect) of at least 4 pixels.

    Returns:
        For each blob its frame's index (blobs,), and its middle (blobs, 2) as x and y.
    """
    peak = np.clip(frames, 0, 1).max(axis=(1, 2), keepdims=True)
    bright = (frames >= peak / 2) & (peak >= 0.15)
    within_a_frame = np.zeros((3, 3, 3))
    within_a_frame[1] = 1
    labels, _ = ndimage.label(bright, within_a_frame)
    frame, row, column = np.nonzero(labels)
    label = labels[frame, row, column]
    size = np.bincount(label)
    large = np.flatnonzero(size >= 4)
    in_frame, x, y = (  # a blob's pixels all lie in one frame, so the mean of the index is it
        np.bincount(label, pixel)[large] / size[large]
        for pixel in (frame, column * PIXEL - 1, 1 - row * PIXEL)
    )
    return in_frame.round().astype(int), np.stack([x, y], axis=-1)


def count_blobs(frames: np.ndarray) -> np.ndarray:
    """How many blobs each frame shows: (..., 51, 51) -> integers (...)."""
    stack = frames.reshape(-1, FRAME_SIZE, FRAME_SIZE)
    return np.bincount(find_blobs(stack)[0], minlength=len(stack)).reshape(frames.shape[:-2])


def blob_near(frames: np.ndarray, places: np.ndarray, tolerance: float) -> np.ndarray:
    """Is there a blob whose middle is closer than the tolerance to a place?

    Args:
        frames: (..., 51, 51).
        places: (..., k, 2), for each frame k places.

    Returns:
        (..., k) booleans.
    """
    stack, flat = (
        frames.reshape(-1, FRAME_SIZE, FRAME_SIZE),
        places.reshape(-1, *places.shape[-2:]),
    )
    frame, center = find_blobs(stack)
    near = np.linalg.norm(flat[frame] - center[:, None], axis=-1) < tolerance
    found = np.zeros(flat.shape[:2], dtype=bool)
    np.logical_or.at(found, frame, near)
    return found.reshape(places.shape[:-1])


def shares(counts: np.ndarray) -> np.ndarray:
    """Shares of the frames with 0, 1, 2, and 3 or more blobs, (4,)."""
    return np.bincount(np.minimum(counts, 3).ravel(), minlength=4) / counts.size


def centroids(frames: np.ndarray) -> np.ndarray:
    """Centre of brightness of each frame, (..., 51, 51) -> (..., 2), x and y in [-1, 1]."""
    light = np.clip(frames, 0, 1) + 1e-12
    axis = np.linspace(-1, 1, FRAME_SIZE)
    total = light.sum((-2, -1))
    x, y = (light.sum(-2) * axis).sum(-1), (light.sum(-1) * axis[::-1]).sum(-1)
    return np.stack([x / total, y / total], axis=-1)


def center_errors(frames: np.ndarray, true_orbits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each frame's centroid to where the square should be, on the nearer orbit.

    Args:
        frames: (n, f, 51, 51).
        true_orbits: both right answers, (n, 2, f, 2).

    Returns:
        Errors (n, f) in pixels, and the chosen direction (n,), one for the whole video.
    """
    distance = np.linalg.norm(centroids(frames)[:, None] - true_orbits, axis=-1) / PIXEL
    direction = distance.mean(-1).argmin(1)
    return distance[np.arange(len(frames)), direction], direction


def turned(places: np.ndarray, degrees: float) -> np.ndarray:
    """Places (..., 2) turned around the origin, counter-clockwise."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return places @ np.array([[c, s], [-s, c]])


# ---------------------------------------------------------------- a grid of latents


def grid_measures(latents: np.ndarray, centers: np.ndarray) -> dict[str, float]:
    """How far a latent grid is from a plain one.

    Args:
        latents, centers: (side, side, 2), indexed alike.

    Returns:
        warp: 1 - R^2 of the best affine map from centres to latents, 0 to 1.
        fold: share of grid cells whose signed area has the rarer sign, 0 to 0.5.
        tear: the longest grid edge over the median one, at least 1.
    """
    flat = latents.reshape(-1, 2)
    inputs = np.column_stack([centers.reshape(-1, 2), np.ones(len(flat))])
    residual = flat - inputs @ np.linalg.lstsq(inputs, flat)[0]
    warp = (residual**2).sum() / ((flat - flat.mean(0)) ** 2).sum()
    one, other = (latents[1:, 1:] - latents[:-1, :-1], latents[1:, :-1] - latents[:-1, 1:])
    area = one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]  # twice the cell's
    fold = min((area > 0).mean(), (area < 0).mean())
    edges = [np.linalg.norm(np.diff(latents, axis=axis), axis=-1).ravel() for axis in (0, 1)]
    lengths = np.concatenate(edges)
    return {
        "warp": float(warp),
        "fold": float(fold),
        "tear": float(lengths.max() / np.median(lengths)),
    }


# ---------------------------------------------------------------- curves and seeds


def halfway(times: Sequence[float], values: Sequence[float]) -> float:
    """The first time at which the curve is below 1/2, interpolated; 1, the end, if never."""
    below = int(np.argmax(np.array(values) < 0.5))
    if values[below] >= 0.5:
        return 1.0
    if below == 0:
        return times[0]
    return float(
        np.interp(0.5, [values[below], values[below - 1]], [times[below], times[below - 1]])
    )


def reliability(runs: list[dict[str, Any]], name: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Is what is told p, right in a share p of the cases?

    Args:
        runs: for each seed, predicted shares (n,) under this name, and "label" (n,), 0 or 1.

    Returns:
        (10, 2), in ten bins of the prediction its mean and the mean of the label, all seeds
        together; and over seeds the expected calibration error, the mean distance between the two
        (a prediction that is NaN doesn't count).
    """

    def binned(predicted: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, float]:
        known = np.isfinite(predicted)  # there may be no light to tell
        bins = np.clip((10 * predicted[known]).astype(int), 0, 9)
        count = np.bincount(bins, minlength=10)
        sums = [np.bincount(bins, values[known], minlength=10) for values in (predicted, label)]
        error = np.abs(sums[0] - sums[1]).sum() / max(count.sum(), 1)
        return np.stack(sums, axis=1) / np.maximum(count, 1)[:, None], float(error)

    errors = [binned(run[name], run["label"])[1] for run in runs]
    pooled = [np.concatenate([run[key] for run in runs]) for key in (name, "label")]
    return binned(*pooled)[0], over_seeds(errors)


def over_seeds(values: Any) -> dict[str, Any]:
    """Mean and standard deviation over the first axis, the seeds, and all values, as lists."""
    array = np.asarray(values, dtype=float)
    spread = array.std(0, ddof=1) if len(array) > 1 else np.zeros_like(array[0])
    return {"mean": array.mean(0).tolist(), "std": spread.tolist(), "seeds": array.tolist()}
