"""Frames and videos against what a ruler says."""

import math
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import centroid
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

import data
from data import (
    FRAME_SIZE,
    PIXEL,
    FrameSettings,
    distinct_turns,
    grid_centers,
    ordered_turns,
    possible_orbits,
    random_first_centers,
    random_stream,
    render,
    tile,
    turn_name,
)

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


TURNS = {
    0: "standing still",
    1: "45° counter-clockwise",
    -1: "45° clockwise",
    2: "90° counter-clockwise",
    -2: "90° clockwise",
    3: "135° counter-clockwise",
    -3: "135° clockwise",
    4: "180°",
}


def test_turns_have_names():
    assert {turn: turn_name(turn) for turn in TURNS} == TURNS


@given(st.floats(0.2, 0.8), st.floats(0, 2 * np.pi), st.permutations(list(TURNS)))
def test_each_frame_of_an_orbit_is_the_one_before_turned(radius, angle, turns):
    """By as many eighths of a circle as the turn says, counter-clockwise if it is positive."""
    start = radius * np.array([np.cos(angle), np.sin(angle)])
    paths = possible_orbits(np.stack([[0.5, 0.0], start]), turns)
    assert paths.shape == (2, 8, 8, 2)
    for path, turn in zip(paths[1], turns, strict=True):
        a = np.deg2rad(45 * turn)
        rotation = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
        np.testing.assert_allclose(path[0], start, atol=1e-12)
        np.testing.assert_allclose(path @ rotation.T, np.roll(path, -1, 0), atol=1e-12)


def test_the_two_usual_turns_as_seen_on_the_screen():
    """From the right, counter-clockwise goes to the upper right, and first rows are at the top."""
    videos = render(possible_orbits(np.array([[0.6, 0.0]])))[0]
    upper, lower = slice(0, 25), slice(26, 51)
    for video, half, other in zip(videos, (upper, lower), (lower, upper), strict=True):
        assert video[1, half, 26:].sum() == pytest.approx(100, rel=1e-3)
        assert video[1, other].sum() < 5


def test_naming_a_turn_twice_makes_it_twice_as_probable():
    for named, turns, probability in [
        ((1, -1), [1, -1], [1 / 2, 1 / 2]),
        ((1, 1, 1, -1), [1, -1], [3 / 4, 1 / 4]),
        ((-1, 2, -1), [-1, 2], [2 / 3, 1 / 3]),  # in the order of their first mention
        ((4,), [4], [1]),
    ]:
        told = distinct_turns(named)
        assert told[0].tolist() == turns and told[0].dtype.kind == "i"
        assert told[1].tolist() == pytest.approx(probability)


def test_ordered_turns():
    for named, ordered in [
        ((-1, 1), (1, -1)),
        ((-1, 1, -1, 1), (1, 1, -1, -1)),  # as often as they are named
        ((3, 4, -3, 0, -2, 2, -1, 1), (0, 1, -1, 2, -2, 3, -3, 4)),
        ((1,) * 50, (1,) * 50),
    ]:
        assert ordered_turns(named) == ordered
    for named, told in [
        ((), "1 to 50 turns, not 0"),
        ((1, 5), "must lie in -3 to 4, not 5"),
        ((-4,), "must lie in -3 to 4, not -4"),  # it is the same as 4
        ((1,) * 51, "1 to 50 turns, not 51"),
    ]:
        with pytest.raises(ValueError, match=told):
            ordered_turns(named)


def test_random_videos_take_each_turn_as_often_as_it_is_probable():
    n, rng = 4000, np.random.default_rng(0)
    first = random_first_centers(n, rng, 0.8)
    turns, probability = np.array([1, -2, 3]), np.array([0.5, 0.2, 0.3])
    centers, taken = data.random_videos(first, turns, probability, rng)
    np.testing.assert_allclose(centers[:, 0], first)
    orbits = possible_orbits(first, turns)
    for i, share in enumerate(probability):
        np.testing.assert_allclose(centers[taken == i], orbits[taken == i, i])
        assert abs((taken == i).mean() - share) < 4 * (share * (1 - share) / n) ** 0.5


@pytest.mark.parametrize(
    ("unseen", "bands"),
    [
        (None, [(0.15, 0.6)]),
        ((0.3, 0.4), [(0.15, 0.3), (0.4, 0.6)]),
        ((0.15, 0.3), [(0.3, 0.6)]),  # at the lower end
        ((0.5, 0.6), [(0.15, 0.5)]),  # at the upper one
    ],
)
def test_radius_and_angle_of_first_frames_are_uniform(unseen, bands):
    """The radius in the bands that are left: within each, and over all of them."""
    first = random_first_centers(20_000, np.random.default_rng(0), 0.6, unseen)
    radius, angle = np.hypot(*first.T), np.arctan2(first[:, 1], first[:, 0])
    counts, _ = np.histogram(angle, 10, (-np.pi, np.pi))
    assert np.abs(counts - 2000).max() < 5 * np.sqrt(2000)
    width = sum(high - low for low, high in bands)
    for low, high in bands:
        inside = radius[(low <= radius) & (radius <= high)]
        assert inside.min() < low + 0.001 and inside.max() > high - 0.001
        expected = 20_000 * (high - low) / width / 10
        counts, _ = np.histogram(inside, 10, (low, high))
        assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)
        radius = radius[(radius < low) | (high < radius)]
    assert len(radius) == 0


def test_random_numbers_depend_on_the_seed_and_the_purpose():
    streams = [(0, "sampling"), (7, "sampling"), (0, "counting"), (0, "flow test")]
    drawn = {random_stream(*stream).random() for stream in streams}
    assert len(drawn) == len(streams)
    assert random_stream(0, "sampling").random() in drawn


@pytest.mark.parametrize(("turns", "often"), [((1, -1), (4, 12)), ((2, -1, -1, -1), (1, 7))])
def test_shown_videos_are_true_orbits_of_the_turns(turns, often, monkeypatch, tmp_path, capsys):
    shown = []
    monkeypatch.setattr(data, "write_gif", lambda path, videos: shown.append(videos))
    data.main(data.DataSettings(gif=tmp_path / "out.gif", turns=turns, center_range=0.6))
    centers = centroid(shown[0])  # (16, 8, 2)
    assert len(centers) == 16
    ways, _ = distinct_turns(turns)
    error = np.abs(centers[:, None] - possible_orbits(centers[:, 0], ways)).max((2, 3))
    assert error.min(1).max() < PIXEL / 2
    assert often[0] <= (error.argmin(1) == 0).sum() <= often[1]
    radius = np.hypot(*centers[:, 0].T)
    assert radius.min() > 0.14 and radius.max() < 0.61
    told = capsys.readouterr().out
    assert "16 videos" in told and all(turn_name(turn) in told for turn in turns)


def test_the_futures_of_one_first_frame(monkeypatch, tmp_path, capsys):
    """data.py --png, with the turns in their order."""
    strips = []

    def remembered(plot, rows, labels, title):
        strips.append((rows, labels, title))
        draw_film_strip(plot, rows, labels, title)

    draw_film_strip = data.draw_film_strip
    monkeypatch.setattr(data, "draw_film_strip", remembered)
    path = tmp_path / "futures.png"
    data.main(data.DataSettings(gif=tmp_path / "o.gif", png=path, turns=(-2, 1, 1), half_width=0.1))
    [(rows, labels, title)] = strips
    assert labels == ["45° counter-clockwise", "90° clockwise"]
    centers = centroid(rows)  # (2, 8, 2)
    assert rows[0, 0].sum() == pytest.approx(25, rel=1e-3)  # --half-width holds here, too
    np.testing.assert_array_equal(rows[0, 0], rows[1, 0])
    np.testing.assert_allclose(centers, possible_orbits(centers[0, :1], [1, -2])[0], atol=PIXEL / 2)
    assert "2 possible videos" in title and "2 possible videos" in capsys.readouterr().out
    height, width, _ = iio.imread(path).shape
    assert width > 2 * height > 400


def test_tile_by_hand():
    frames = [np.full((FRAME_SIZE,) * 2, light) for light in (1.7, -0.5, 0.501)]
    image = tile(np.stack(frames), across=2)
    assert image.shape == (104, 104) and image.dtype == np.uint8
    assert (image[1:52, 1:52] == 255).all()
    assert (image[1:52, 53:104] == 0).all()
    assert (image[53:104, 1:52] == 128).all()
    assert (image[52:104, 52:104] == 0).all()  # the empty place
    for line in (image[0], image[:, 0], image[:53, 52], image[52, :53]):
        assert (line[:-1] == 102).all()  # grey, above and left of each


def test_videos_are_tiled_frame_by_frame():
    videos = np.random.default_rng(0).random((3, 8, FRAME_SIZE, FRAME_SIZE))
    image = tile(videos, across=2)
    assert image.shape == (8, 104, 104)
    for i in range(8):
        np.testing.assert_array_equal(image[i], tile(videos[:, i], across=2))


def test_a_film_strip_has_its_labels_beside_the_frames():
    rows = 0.6 * render(possible_orbits(np.array([[0.5, 0.3]])))[0]
    plot = Figure().subplots()
    data.draw_film_strip(plot, rows, ["above", "below"], "both")
    [image] = plot.get_images()
    np.testing.assert_array_equal(image.get_array(), tile(rows.reshape(-1, 51, 51), across=8))
    assert image.norm(0) == 0 and image.norm(255) == 1  # not stretched to what is there
    assert plot.get_title() == "both"
    for axis, texts in [
        (plot.yaxis, ["above", "below"]),
        (plot.xaxis, [f"frame {i}" for i in range(8)]),
    ]:
        assert [label.get_text() for label in axis.get_ticklabels()] == texts
        middles = 26 + 52 * np.arange(len(texts))  # of the frames: a line, then 51 pixels
        assert np.abs(axis.get_ticklocs() - middles).max() <= 1


def test_gif_shows_the_videos(tmp_path):
    first_centers = np.array([[0.5, 0.3], [0.1, -0.4], [-0.7, 0.2]])
    videos = render(possible_orbits(first_centers)[:, 0])
    path = tmp_path / "videos.gif"
    data.write_gif(path, videos)
    gif = iio.imread(path, index=None, mode="L")
    assert gif.shape == (data.NUM_FRAMES, 312, 312)
    small = gif[:, 1::3, 1::3].astype(int)  # the middles of the 3 x 3 blocks
    assert np.abs(small - tile(videos, across=2)).max() <= 2  # a GIF has 256 colours
    np.testing.assert_array_equal(gif[:, ::3, ::3], gif[:, 2::3, 2::3])
    properties = iio.immeta(path)
    assert properties["loop"] == 0 and properties["duration"] == 250


def test_two_may_write_the_same_file_at_once(tmp_path, monkeypatch):
    path, usual = tmp_path / "file.gif", Path.write_bytes

    def slow(temporary, content):
        usual(temporary, content)
        if content == b"first":  # while this one is written, another one is
            data.write_file(path, b"second")
            assert path.read_bytes() == b"second"

    monkeypatch.setattr(Path, "write_bytes", slow)
    data.write_file(path, b"first")
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]
