"""What is measured in the post's pictures, and in samples by the same code: on frames whose squares
are known."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from analyze import count_blobs
from data import grid_centers, possible_orbits, render
from study import pictures
from study.measures import FRAMES
from study.pictures import extra_pixels

CCW, CW = possible_orbits(np.array([[0.7, 0.1]]))[0]  # both ways from one first centre, (8, 2) each


def test_the_frames_of_a_picture_are_read_back(tmp_path):
    frames = render(possible_orbits(np.array([[0.6, 0.2]]))[0, 0])
    figure = Figure((10.6, 5.3))
    for plot, frame in zip(figure.subplots(2, 4).ravel(), frames):
        plot.imshow(frame, cmap="gray")
    figure.savefig(tmp_path / "video.png", dpi=200)
    np.testing.assert_allclose(pictures.read_frames(tmp_path / "video.png"), frames, atol=0.1)


def test_outlines_are_the_blobs_of_a_frame():
    """Two squares, a bow with a hole in its rows, and a speck that is too small to count."""
    frame = render(np.array([-0.5, 0.3])) + 0.7 * render(np.array([0.5, 0.3]))
    frame += 0.4 * render(np.array([0.5, -0.5]))  # too faint
    frame[40:43, 10:20] = 1
    frame[37:40, [10, 19]] = 1
    blobs = pictures.outlines(frame)
    assert len(blobs) == count_blobs(frame[None])[0] == 3
    np.testing.assert_allclose(blobs[0]["center"], [-0.5, 0.3], atol=0.03)
    np.testing.assert_array_equal(pictures.filled(blobs) > 0, frame >= 0.5)
    assert [37, 10, 10] in blobs[2]["rows"] and [37, 19, 19] in blobs[2]["rows"]
    frame[0, 0:3] = 1
    assert pictures.filled(pictures.outlines(frame))[0, 0] == 0


def test_a_picture_of_a_video_that_shows_both_directions():
    ccw, cw = render(CCW), render(CW)
    told = pictures.measure_video(ccw, np.maximum(ccw, cw), ccw)
    assert told["px off"] == pytest.approx(0, abs=0.01)
    assert told["at the taken place"] == {"0": 6, "20": 6, "50": 6}
    assert told["at the other place"] == {"0": 0, "20": 6, "50": 0}
    assert told["extra squares"]["at the other place"] == 6
    assert told["extra squares"]["in frame 4"] == told["extra squares"]["at a control"] == 0
    np.testing.assert_array_equal(told["extra squares"]["frame"], FRAMES)
    for light in told["light"].values():
        assert light["at the other place"] > 0.9 and light["at the taken place"] > 0.9
        assert light["at the controls"] < 0.05
        assert light["turned circles with as much"] == 1  # itself
    assert told["extra pixels"]["at step 0"] == 0
    assert told["squares"]["20"].tolist() == [2, 2, 2, 1, 2, 2, 2]
    assert [len(frame) for frame in told["blobs"]["20"]] == [1, 2, 2, 2, 1, 2, 2, 2]


def test_a_picture_of_a_video_with_something_at_a_control_place():
    """Half a circle off; in frames 2 and 6 that is the other place."""
    ccw, turned_around = render(CCW), render(-CCW)
    told = pictures.measure_video(turned_around, np.maximum(ccw, turned_around), ccw)
    assert told["extra squares"]["at the other place"] == 2
    assert told["extra squares"]["at a control"] == 4
    assert told["extra squares"]["in frame 4"] == 1
    light = {name: value["at the other place"] for name, value in told["light"].items()}
    assert light["all six"] == pytest.approx(1 / 3, abs=0.05)
    assert light["frames 1 and 2"] == pytest.approx(1 / 2, abs=0.05)
    assert light["frames 3, 5, 6, 7"] == pytest.approx(1 / 4, abs=0.05)
    assert told["extra pixels"]["at step 0"] == 1
    assert told["extra pixels"]["in other frames"] < 0.1


def test_extra_pixels_come_from_step_0_or_they_do_not():
    """Of two videos at once, so that a mix-up of them would be seen."""
    taken, other = render(CCW[1:]), render(CW[1:])
    start = np.stack([other, taken])  # the extra squares were there; only the others were
    middle = np.stack([np.maximum(taken, other)] * 2)
    told = extra_pixels(start, middle, np.stack([CCW] * 2))
    np.testing.assert_array_equal(told["at step 0"], [1, 0])
    # the second one's step 0 has the same squares in another order
    assert told["in other frames"][0] < 0.1 < told["in other frames"][1]
    # six frames have an extra square, of about 100 pixels; in frame 4 it is the taken one
    np.testing.assert_allclose(told["in a frame"], 6 / 7 * 100, rtol=0.05)
    still = np.stack([np.broadcast_to(render(np.array([0.0, 0.0])), (7, 51, 51))])
    told = extra_pixels(still, np.maximum(still, taken), CCW[None])
    assert told["at step 0"] == 1 and told["in other frames"] == 1  # a static pattern
    faint = extra_pixels(start[:1], np.maximum(taken, 0.4 * other)[None], CCW[None])
    assert faint["in a frame"] == faint["at step 0"] == 0


def test_likeness_is_that_of_the_same_frame():
    frames = render(CCW[1:])
    same = pictures.correlations(frames, frames)
    np.testing.assert_allclose(np.diag(same), 1)
    assert pictures.correlations(0 * frames, frames).max() == 0
    assert same[0, 1] < 0.4 and np.diag(pictures.correlations(frames[::-1], frames))[0] < 0.1


def test_ghosts_are_light_far_from_the_taken_place():
    taken, other = render(CCW[1:]), render(CW[1:])
    beside = render(CCW[1:] + [0.1, 0.0])  # off by 2.5 pixels: no ghost
    assert pictures.ghosts(beside, CCW[1:]) == 0
    ghost = pictures.ghosts(np.maximum(taken, 0.25 * other), CCW[1:])
    assert ghost == pytest.approx(6 / 7 * 0.25 / 1.25, rel=0.02)  # not in frame 4


def test_latents_of_a_picture_with_missing_dots():
    centers = grid_centers(0.8)
    latents = centers @ np.array([[2.0, 1.0], [0.0, 3.0]])
    latents[3, 4] = np.nan
    told = pictures.measure_latents(latents, centers)
    assert told["dots of 441"] == 440 and told["cells of 400"] == 396
    assert told["warp"] == pytest.approx(0, abs=1e-9) and told["fold"] == 0


def test_what_is_kept_of_the_pictures_agrees_with_itself():
    """The outlines drawn again show as many squares as were counted, and the post's are told."""
    for video in pictures.post().values():
        for step, counts in video["squares"].items():
            drawn = np.array([pictures.filled(blobs) for blobs in video["blobs"][step]])
            assert count_blobs(drawn)[1:].tolist() == counts
