"""Frames and videos against what a ruler says."""

import math

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import centroid
from hypothesis import given
from hypothesis import strategies as st

import data
from data import FRAME_SIZE, PIXEL, FrameSettings, grid_centers, orbits, render, replacing, tile

PIXELS = np.linspace(-1, 1, FRAME_SIZE)
places = st.tuples(st.floats(-0.8, 0.8), st.floats(-0.8, 0.8))


@given(places, st.floats(0.02, 0.2))
def test_a_square_has_the_stated_area_and_place(center, half_width):
    frame = render(np.array(center), FrameSettings(half_width=half_width))
    # A pixel at the border reaches half a pixel out of [-1, 1], so nothing is cut off.
    assert frame.sum(dtype=float) == pytest.approx((2 * half_width / PIXEL) ** 2, rel=1e-5)
    assert frame.min() >= 0 and frame.max() <= 1
    assert centroid(frame) == pytest.approx(center, abs=PIXEL / 4)


@given(places)
def test_hard_edges(center):
    frame = render(np.array(center), FrameSettings(hard_edges=True))
    assert set(np.unique(frame)) == {0, 1}
    # Lit are the pixels whose middles lie in the square; on the edge it is a matter of rounding.
    x, y = np.abs(PIXELS - center[0]), np.abs(PIXELS[::-1] - center[1])
    outer = np.maximum(y[:, None], x[None])
    sure = np.abs(outer - 0.2) > 1e-6
    np.testing.assert_array_equal(frame[sure], (outer < 0.2)[sure])
    # where edges lie on middles of pixels too: every square is 10 pixels wide
    on_pixels = render(grid_centers(0.8), FrameSettings(hard_edges=True))
    np.testing.assert_array_equal(on_pixels.sum((-2, -1)), np.full((21, 21), 10**2))


def test_blur_keeps_light_and_place_and_has_the_stated_width():
    sharp, blurred = (render(np.array([0.1, -0.2]), blur=b).astype(float) for b in (0.0, 3.0))
    assert blurred.sum() == pytest.approx(sharp.sum(), rel=1e-4)
    assert centroid(blurred) == pytest.approx([0.1, -0.2], abs=1e-4)
    # Variances add: that of a blurred square is the square's plus the blur's.
    x = (PIXELS - 0.1) / PIXEL
    before, after = ((frame.sum(0) * x**2).sum() / frame.sum() for frame in (sharp, blurred))
    assert after - before == pytest.approx(9, rel=1e-3)


def test_blur_at_the_border_loses_light_but_does_not_wrap_around():
    sharp, frame = (render(np.array([0.8, 0.0]), blur=b) for b in (0.0, 4.0))
    kept = [0.5 + 0.5 * math.erf((50.5 - column) / (4 * 2**0.5)) for column in range(51)]
    assert frame.sum() == pytest.approx((sharp.sum(0) * kept).sum(), rel=0.01)
    assert frame[:, :10].max() < 1e-6


def test_grid_is_indexed_y_x():
    grid = data.grid_centers(0.4, side=5)
    np.testing.assert_allclose(grid[0, -1], [0.4, -0.4])
    np.testing.assert_allclose(grid[3, 1], [-0.2, 0.2])


@given(st.floats(0.2, 0.8), st.floats(0, 2 * np.pi))
def test_each_frame_of_an_orbit_is_the_one_before_turned_by_45_degrees(radius, angle):
    start = radius * np.array([np.cos(angle), np.sin(angle)])
    for direction, turn in enumerate([np.pi / 4, -np.pi / 4]):  # counter-clockwise first
        path = orbits(start[None])[0, direction]
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        np.testing.assert_allclose(path[0], start, atol=1e-12)
        np.testing.assert_allclose(path @ rotation.T, np.roll(path, -1, 0), atol=1e-12)


def test_radius_and_angle_of_first_frames_are_uniform():
    first = data.random_first_centers(20_000, np.random.default_rng(0), 0.6)
    radius, angle = np.hypot(*first.T), np.arctan2(first[:, 1], first[:, 0])
    assert 0.15 <= radius.min() < 0.16 and 0.59 < radius.max() <= 0.6
    for values, low, high in [(radius, 0.15, 0.6), (angle, -np.pi, np.pi)]:
        counts, _ = np.histogram(values, 10, (low, high))
        assert np.abs(counts - 2000).max() < 5 * np.sqrt(2000)


def test_shown_videos_are_true_orbits_in_either_direction(monkeypatch, tmp_path):
    drawn = []
    monkeypatch.setattr(data, "render", lambda centers, settings: drawn.append(centers))
    monkeypatch.setattr(data, "write_gif", lambda path, videos: None)
    data.main(data.DataSettings(gif=tmp_path / "out.gif"))
    videos = drawn[0]  # (16, 8, 2)
    error = np.abs(videos[:, None] - orbits(videos[:, 0])).max((2, 3))
    assert error.min(1).max() < 1e-12
    assert 0 < (error[:, 0] < error[:, 1]).sum() < len(videos) == 16


def test_tile_by_hand():
    frames = [np.full((FRAME_SIZE,) * 2, light) for light in (1.7, -0.5, 0.501)]
    image = tile(np.stack(frames), across=2)
    assert image.shape == (104, 104) and image.dtype == np.uint8
    assert (image[1:52, 1:52] == 255).all()
    assert (image[1:52, 53:104] == 0).all()
    assert (image[53:104, 1:52] == 128).all()
    assert (image[53:104, 53:104] == 0).all()  # the empty place
    for line in (0, 52):
        assert (image[line] == 102).all() and (image[:, line] == 102).all()


def test_gif_shows_the_videos(tmp_path):
    videos = render(orbits(np.array([[0.5, 0.3], [0.1, -0.4], [-0.7, 0.2]]))[:, 0])
    path = tmp_path / "videos.gif"
    data.write_gif(path, videos)
    gif = iio.imread(path, index=None, mode="L")
    assert gif.shape == (data.NUM_FRAMES, 312, 312)
    small = gif[:, 1::3, 1::3].astype(int)  # the middles of the 3 x 3 blocks
    assert np.abs(small - tile(videos, across=2)).max() <= 2  # a GIF has 256 colours
    np.testing.assert_array_equal(gif[:, ::3, ::3], gif[:, 2::3, 2::3])
    properties = iio.immeta(path)
    assert properties["loop"] == 0 and properties["duration"] == 250


def test_two_may_write_the_same_file_at_once_and_one_may_fail(tmp_path):
    path = tmp_path / "file.gif"
    with replacing(path) as slow:
        slow.write_bytes(b"first")
        with replacing(path) as fast:
            fast.write_bytes(b"second")
            number = fast.stat().st_ino
        assert path.stat().st_ino == number  # moved there whole, and not copied
        with pytest.raises(RuntimeError), replacing(path) as failing:
            failing.write_bytes(b"half of the thi")
            raise RuntimeError
        assert path.read_bytes() == b"second"
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]
