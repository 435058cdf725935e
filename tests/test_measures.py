"""The measures, on pictures, grids and curves whose answer is known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from data import grid_centers, orbits, render
from experiments import brightness_share, contrast, entropy
from measures import (
    blob_near,
    center_errors,
    centroids,
    count_blobs,
    find_blobs,
    grid_measures,
    halfway,
    over_seeds,
    reliability,
    shares,
    turned,
)
from settings import FrameSettings


def squares(*centers, brightness=(1.0, 1.0, 1.0)):
    """One frame with a square at each centre."""
    frames = [b * render(np.array(c)) for c, b in zip(centers, brightness, strict=False)]
    return np.max(frames, axis=0)


@pytest.mark.parametrize(
    ("frame", "count"),
    [
        (np.zeros((51, 51)), 0),
        (squares((0, 0)), 1),
        (squares((-0.5, 0), (0.5, 0)), 2),
        (squares((-0.5, 0.5), (0.5, 0.5), (0, -0.5)), 3),
        (squares((-0.2, 0), (0.2, 0)), 1),  # side by side: one blob
        (squares((-0.2, -0.2), (0.2, 0.2)), 1),  # corners touch: one blob
        (squares((-0.24, 0), (0.24, 0)), 2),  # a dark pixel between them
        (squares((-0.5, 0), (0.5, 0), brightness=(1, 0.49)), 1),
        (squares((-0.5, 0), (0.5, 0), brightness=(1, 0.51)), 2),
        (squares((-0.5, 0), (0.5, 0), brightness=(0.14, 0.14)), 0),  # unreadable
        (squares((-0.5, 0), (0.5, 0), brightness=(0.16, 0.16)), 2),
        (np.where(np.arange(51 * 51).reshape(51, 51) == 700, 1, squares((0.5, 0.5))), 1),
        (-squares((0, 0)), 0),
        (5 * squares((0, 0)) + 0.4, 1),  # clipped to [0, 1]
    ],
)
def test_blobs_are_counted(frame, count):
    assert count_blobs(frame) == count


def test_blobs_are_counted_frame_by_frame():
    # the same pixels bright in neighbouring frames must not join across frames
    frames = np.stack([squares((0, 0)), squares((0, 0)), np.zeros((51, 51))])
    both = np.stack([frames, frames[::-1]])
    np.testing.assert_array_equal(count_blobs(both), [[1, 1, 0], [0, 1, 1]])
    np.testing.assert_allclose(shares(count_blobs(both)), [1 / 3, 2 / 3, 0, 0])


def test_blob_positions():
    frame, center = find_blobs(np.stack([np.zeros((51, 51)), squares((-0.48, 0.2), (0.4, -0.52))]))
    np.testing.assert_array_equal(frame, [1, 1])
    np.testing.assert_allclose(
        center[center[:, 0].argsort()], [[-0.48, 0.2], [0.4, -0.52]], atol=0.021
    )


def test_blob_near_a_place():
    frames = np.stack([squares((-0.5, 0), (0.5, 0)), squares((0.5, 0))])
    places = np.broadcast_to([[-0.5, 0.05], [0.5, 0.0], [0.0, 0.5]], (2, 3, 2))
    expected = [[True, True, False], [False, True, False]]
    np.testing.assert_array_equal(blob_near(frames, places, 0.1), expected)


def test_centroid_and_center_error():
    both = orbits(np.array([[0.5, 0.1]]))  # (1, 2, 8, 2)
    np.testing.assert_allclose(centroids(render(both)), both, atol=1e-6)
    shifted = both[:, 1] + np.array([0.04, 0])  # clockwise, one pixel to the right
    errors, direction = center_errors(render(shifted), both)
    np.testing.assert_allclose(errors, 1, atol=1e-4)
    assert direction == 1


def test_an_affine_grid_is_plain():
    centers = grid_centers(0.8)
    latents = centers @ np.array([[2.0, 0.3], [-0.5, 1.0]]) + 7
    measures = grid_measures(latents, centers)
    assert measures["warp"] < 1e-12
    assert measures["fold"] == 0
    longest = np.hypot(2, 0.3) / np.median([np.hypot(2, 0.3), np.hypot(0.5, 1)])
    assert measures["tear"] == pytest.approx(longest)


def test_a_mirrored_half_folds_half_of_the_cells():
    centers = grid_centers(0.8)
    latents = np.stack([np.abs(centers[..., 0]), centers[..., 1]], axis=-1)
    assert grid_measures(latents, centers)["fold"] == 0.5


def test_a_cut_grid_is_torn_by_the_gap():
    centers = grid_centers(0.8)  # edges of 0.08
    latents = centers.copy()
    latents[:, 11:, 0] += 0.72  # the cut edges become ten times as long
    assert grid_measures(latents, centers)["tear"] == pytest.approx(10)


def test_warp_of_a_known_bend():
    centers = grid_centers(1.0)
    latents = centers.copy()
    latents[..., 1] += latents[..., 0] ** 2
    bend = centers[0, :, 0] ** 2
    expected = bend.var() / (2 * centers[..., 0].var() + bend.var())
    assert grid_measures(latents, centers)["warp"] == pytest.approx(expected)


def test_turned_is_counter_clockwise():
    np.testing.assert_allclose(turned(np.array([[1.0, 0.0]]), 90), [[0, 1]], atol=1e-12)


def test_entropy_and_halfway():
    values = entropy(torch.tensor([0.5, 0.0, 1.0, 0.11])).tolist()
    assert values == pytest.approx([1, 0, 0, 0.49992], abs=1e-4)
    assert halfway([0.0, 0.1, 0.2], [1.0, 0.6, 0.2]) == pytest.approx(0.125)
    assert halfway([0.0, 0.1], [1.0, 0.9]) == 1.0


@pytest.fixture
def two_ways():
    """A first centre's orbits (1, 2, 7, 2), and the frames 1 to 7 of both videos, (2, 7, 51, 51)."""
    both = orbits(np.array([[0.7, 0.1]]))[:, :, 1:]
    return both, render(both[0])


def as_space(frames):
    """A latent space in which every latent decodes as these frames (n, 7, 51, 51)."""
    decoded = torch.from_numpy(np.asarray(frames, dtype=np.float32))
    return SimpleNamespace(decode=lambda latents: decoded, settings=FrameSettings())


def test_contrast_of_known_videos(two_ways):
    both, (ccw, cw) = two_ways
    orbit = np.repeat(both[:, 1], 2, axis=0)  # the other direction is clockwise, in both videos

    def told(*frames):
        return contrast(as_space(frames), torch.zeros(2, 14), orbit)

    assert told(ccw, ccw) == [0, 0, 0, 0]  # one direction each: nothing at the other place
    assert told(ccw, np.maximum(ccw, cw)) == [0.5, 0, 0, 0.5]  # the second shows both
    assert told(cw, cw) == [1, 0, 0, 0]
    beside = render(turned(both[0, 1], 22.5))  # each video at one of the two control places
    assert told(beside, beside) == [0, 0.5, 0, 0]
    spread_out = np.maximum.reduce([ccw, cw, render(-both[0, 0])])  # frames 4 have two as well
    assert told(spread_out, ccw) == [0.5, 0, 0.5, 0.5]


def test_brightness_share_of_known_videos(two_ways):
    both, (ccw, cw) = two_ways
    for frames, share in ((ccw, 1.0), (cw, 0.0), (0.75 * ccw + 0.25 * cw, 0.75)):
        told = brightness_share(as_space([frames]), torch.zeros(1, 14), both)
        assert told.tolist() == pytest.approx([share], abs=1e-5)
    assert brightness_share(as_space([0 * ccw]), torch.zeros(1, 14), both).isnan().all()


def test_over_seeds():
    told = over_seeds([[1.0, 5.0], [3.0, 5.0]])
    assert told["mean"] == [2, 5] and told["seeds"] == [[1, 5], [3, 5]]
    assert told["std"] == pytest.approx([2**0.5, 0])
    assert over_seeds([4.0]) == {"mean": 4, "std": 0, "seeds": [4]}


def test_reliability_of_known_forecasts():
    # told 0.25 and right in 1 of 4; told 0.75 and right in 1 of 2; once there was no light to tell
    predicted = np.array([0.25] * 4 + [0.75] * 2 + [np.nan])
    label = np.array([1, 0, 0, 0, 1, 0, 1])
    curve, error = reliability([{"q": predicted, "label": label}], "q")
    np.testing.assert_allclose(curve[[2, 7]], [[0.25, 0.25], [0.75, 0.5]])
    assert not curve[[0, 1, 3, 4, 5, 6, 8, 9]].any()
    assert error["mean"] == pytest.approx(2 * 0.25 / 6)
