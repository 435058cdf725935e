"""Frames and videos against what a ruler says."""

import imageio.v3 as iio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import (
    FRAME_SIZE,
    NUM_FRAMES,
    PIXEL,
    FrameSettings,
    grid_centers,
    orbits,
    random_first_centers,
    random_videos,
    render,
    replacing,
    tile,
    write_gif,
)

PIXELS = np.linspace(-1, 1, FRAME_SIZE)
inside = st.floats(-0.8, 0.8)
centers = st.tuples(inside, inside)
# A ring that stays in the frame: radius and angle of the first centre.
starts = st.builds(
    lambda r, a: np.array([r * np.cos(a), r * np.sin(a)]),
    st.floats(0.2, 0.8),
    st.floats(0, 2 * np.pi),
)


def centroid(frame: np.ndarray) -> np.ndarray:
    """Brightness centroid (x, y), y upwards."""
    frame = frame.astype(float)
    x, y = (frame.sum(0) * PIXELS).sum(), (frame.sum(1) * PIXELS[::-1]).sum()
    return np.array([x, y]) / frame.sum()


# ---------------------------------------------------------------- frames


@given(centers, st.floats(0.02, 0.2))
def test_brightness_is_area_in_pixels(center, half_width):
    frame = render(np.array(center), FrameSettings(half_width=half_width))
    # A pixel at the border reaches half a pixel out of [-1, 1], so nothing is cut off.
    assert frame.sum(dtype=float) == pytest.approx((2 * half_width / PIXEL) ** 2, rel=1e-5)
    assert frame.min() >= 0 and frame.max() <= 1


@given(centers)
def test_centroid_is_the_centre(center):
    assert centroid(render(np.array(center))) == pytest.approx(center, abs=1e-6)


def test_square_of_whole_pixels_by_hand():
    # Half width 2.5 pixels around pixel (row 25 - 5, column 25 + 10): 5 x 5 full pixels, no grey.
    frame = render(np.array([10 * PIXEL, 5 * PIXEL]), FrameSettings(half_width=0.1))
    expected = np.zeros((FRAME_SIZE, FRAME_SIZE))
    expected[18:23, 33:38] = 1
    np.testing.assert_allclose(frame, expected, atol=1e-6)


def test_up_is_up_and_right_is_right():
    up, right = render(np.array([[0, 0.6], [0.6, 0]]))
    assert up[:25].sum() == up.sum()  # row 0 is the top of the picture
    assert right[:, 26:].sum() == right.sum()


@given(centers)
def test_hard_edges(center):
    frame = render(np.array(center), FrameSettings(hard_edges=True))
    assert set(np.unique(frame)) == {0, 1}
    # Lit are the pixels whose centres the square covers (away from the edge, where it is a matter of rounding).
    x, y = np.abs(PIXELS - center[0]), np.abs(PIXELS[::-1] - center[1])
    outer = np.maximum(y[:, None], x[None])
    sure = np.abs(outer - 0.2) > 1e-6
    np.testing.assert_array_equal(frame[sure], (outer < 0.2)[sure])


def test_a_hard_edge_on_the_middle_of_a_pixel_includes_it():
    assert render(np.zeros(2), FrameSettings(hard_edges=True)).sum() == 11**2


@pytest.mark.parametrize("hard_edges", [False, True])
@given(center=st.tuples(st.floats(-0.4, 0.4), st.floats(-0.4, 0.4)))
def test_whole_pixel_moves_shift_the_frame(center, hard_edges):
    settings = FrameSettings(hard_edges=hard_edges)
    # A hard edge on a pixel's centre is a matter of rounding: stay off it.
    center = np.round(np.array(center) / PIXEL) * PIXEL + 0.3 * PIXEL
    frame, moved = render(np.stack([center, center + PIXEL * np.array([4, -7])]), settings)
    np.testing.assert_allclose(moved, np.roll(frame, (7, 4), (0, 1)), atol=1e-6)


@given(centers)
def test_mirrored_and_turned_centres_give_mirrored_and_turned_frames(center):
    x, y = center
    frame, mirrored, upside_down, turned = render(np.array([[x, y], [-x, y], [x, -y], [-y, x]]))
    np.testing.assert_allclose(mirrored, frame[:, ::-1], atol=1e-6)
    np.testing.assert_allclose(upside_down, frame[::-1], atol=1e-6)
    np.testing.assert_allclose(turned, np.rot90(frame), atol=1e-6)  # counter-clockwise


def test_many_frames_at_once_are_the_single_frames():
    grid = grid_centers(0.8, side=3)
    many = render(grid)
    for i in np.ndindex(3, 3):
        np.testing.assert_array_equal(many[i], render(grid[i]))


# ---------------------------------------------------------------- blur


def test_blurred_frame_keeps_its_light_and_its_place():
    center = np.array([0.1, -0.2])
    sharp, blurred = render(center), render(center, blur=2.0)
    assert blurred.sum(dtype=float) == pytest.approx(sharp.sum(dtype=float), rel=1e-4)
    assert centroid(blurred) == pytest.approx(center, abs=1e-4)
    assert blurred.max() < sharp.max()


def test_blur_has_the_stated_width():
    # Variances add: that of a blurred square is the square's plus the blur's.
    frames = [render(np.zeros(2), blur=b).astype(float) for b in (0.0, 3.0)]
    x = np.arange(FRAME_SIZE) - 25
    sharp, blurred = [(f.sum(0) * x**2).sum() / f.sum() for f in frames]
    assert blurred - sharp == pytest.approx(9, rel=1e-3)


def test_blur_at_the_border_loses_light_but_does_not_wrap_around():
    frame = render(np.array([0.8, 0.0]), blur=4.0)
    assert 0.5 * 100 < frame.sum() < 0.95 * 100
    assert frame[:, :10].max() < 1e-6


# ---------------------------------------------------------------- videos


@given(starts)
def test_orbit_returns_after_eight_frames(start):
    for direction, turn in enumerate([np.pi / 4, -np.pi / 4]):
        path = orbits(start[None])[0, direction]
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        # Each frame, the first after the last included, is the one before turned by 45 degrees.
        np.testing.assert_allclose(path @ rotation.T, np.roll(path, -1, 0), atol=1e-12)
        np.testing.assert_allclose(path[0], start, atol=1e-12)


@given(starts)
def test_the_two_directions_mirror_each_other(start):
    ccw, cw = orbits(start[None])[0]
    axis = start / np.linalg.norm(start)
    mirrored = 2 * (ccw @ axis)[:, None] * axis - ccw
    np.testing.assert_allclose(cw, mirrored, atol=1e-12)
    np.testing.assert_allclose(cw[1:], ccw[:0:-1], atol=1e-12)  # the ring, run backwards


@given(starts)
def test_directions_share_frames_0_and_4_only(start):
    ccw, cw = orbits(start[None])[0]
    apart = np.linalg.norm(ccw - cw, axis=1)
    np.testing.assert_allclose(apart[[0, 4]], 0, atol=1e-12)
    np.testing.assert_allclose(ccw[4], -start, atol=1e-12)
    assert (apart[[1, 2, 3, 5, 6, 7]] > 0.2).all()


def test_counter_clockwise_as_seen_on_the_screen():
    # From the right edge (3 o'clock) counter-clockwise goes up first (12 o'clock in frame 2).
    ccw, cw = render(orbits(np.array([[0.7, 0.0]]))[0])
    assert ccw[2][:15].sum() > 99 and cw[2][-15:].sum() > 99


def test_radius_and_angle_as_documented():
    first = random_first_centers(20_000, np.random.default_rng(0), 0.6)
    radius, angle = np.hypot(*first.T), np.arctan2(first[:, 1], first[:, 0])
    assert 0.15 <= radius.min() < 0.16 and 0.59 < radius.max() <= 0.6
    for values, low, high in [(radius, 0.15, 0.6), (angle, -np.pi, np.pi)]:
        counts, _ = np.histogram(values, 10, (low, high))
        assert np.abs(counts - 2000).max() < 5 * np.sqrt(2000)  # uniform


def test_half_of_the_videos_run_counter_clockwise():
    videos = random_videos(4000, np.random.default_rng(1), 0.8)
    (x0, y0), (x1, y1) = videos[:, 0].T, videos[:, 1].T
    assert abs((x0 * y1 - y0 * x1 > 0).mean() - 0.5) < 4 * 0.5 / np.sqrt(4000)


def test_videos_are_one_of_the_two_true_orbits():
    videos = random_videos(50, np.random.default_rng(2), 0.8)
    both = orbits(videos[:, 0])
    error = np.abs(videos[:, None] - both).max((2, 3)).min(1)
    assert error.max() < 1e-12


def test_same_seed_same_videos_bit_for_bit():
    first, again, other = [random_videos(5, np.random.default_rng(seed), 0.8) for seed in (3, 3, 4)]
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_grid_is_indexed_y_x():
    grid = grid_centers(0.4, side=5)
    np.testing.assert_allclose(grid[0, -1], [0.4, -0.4])
    np.testing.assert_allclose(grid[3, 1], [-0.2, 0.2])


# ---------------------------------------------------------------- files


def test_tile_by_hand():
    light, dark = np.ones((FRAME_SIZE,) * 2), np.zeros((FRAME_SIZE,) * 2)
    image = tile(np.stack([light, dark, light]), across=2)
    assert image.shape == (104, 104) and image.dtype == np.uint8
    assert (image[1:52, 1:52] == 255).all()
    assert (image[1:52, 53:104] == 0).all()
    assert (image[53:104, 1:52] == 255).all()
    assert (image[53:104, 53:104] == 0).all()  # the empty place
    for line in (0, 52):
        assert (image[line] == 102).all() and (image[:, line] == 102).all()


def test_tile_clips_and_rounds():
    frames = np.stack([np.full((FRAME_SIZE,) * 2, v) for v in (-0.5, 0.501, 1.7)])
    image = tile(frames, across=3)
    assert [image[25, 26 + 52 * i] for i in range(3)] == [0, 128, 255]


def test_gif_shows_the_videos(tmp_path):
    videos = render(random_videos(3, np.random.default_rng(5), 0.8))
    path = tmp_path / "videos.gif"
    write_gif(path, videos)
    gif = iio.imread(path, index=None, mode="L")
    assert gif.shape == (NUM_FRAMES, 312, 312)
    small = gif[:, 1::3, 1::3].astype(int)  # the middles of the 3 x 3 blocks
    expected = tile(videos, across=2)
    assert np.abs(small - expected).max() <= 2  # a GIF has 256 colours
    np.testing.assert_array_equal(gif[:, ::3, ::3], gif[:, 2::3, 2::3])
    properties = iio.immeta(path)
    assert properties["loop"] == 0 and properties["duration"] == 250


def test_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "file.gif"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_bytes(b"half of the n")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_may_write_the_same_file_at_once(tmp_path):
    path = tmp_path / "file.gif"
    with replacing(path) as slow:
        slow.write_bytes(b"first")
        with replacing(path) as fast:
            fast.write_bytes(b"second")
        assert path.read_bytes() == b"second"
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]
