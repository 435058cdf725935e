"""The study's measures, on videos and forecasts whose answer is known; and its numbers as text."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import ROOT

from data import FrameSettings, orbits, render
from study import benchmark, commitment, superposition, tables
from study.benchmark import center_errors, centroids
from study.commitment import entropy, halfway
from study.superposition import blob_near, brightness_fraction, contrast, reliability, turned


def test_turned_is_counter_clockwise():
    np.testing.assert_allclose(turned(np.array([[1.0, 0.0]]), 90), [[0, 1]], atol=1e-12)


def test_blob_near_a_place():
    two = render(np.array([-0.5, 0.0])) + render(np.array([0.5, 0.0]))
    frames = np.stack([two, render(np.array([0.5, 0.0]))])[None]
    places = np.broadcast_to([[-0.5, 0.05], [0.5, 0.0], [0.0, 0.5], [0.5, 0.11]], (1, 2, 4, 2))
    expected = [[[True, True, False, False], [False, True, False, False]]]
    np.testing.assert_array_equal(blob_near(frames, places), expected)


@pytest.fixture
def both():
    """A first centre's orbits, (2, 8, 2)."""
    return orbits(np.array([[0.7, 0.1]]))[0]


def test_contrast_of_known_videos(both):
    ccw, cw = render(both)
    taken, other = (np.repeat(path[None], 2, axis=0) for path in both)

    def told(*videos):
        return contrast(np.stack(videos), taken, other)

    assert told(ccw, ccw) == [0, 0, 1, 0, 0]  # one direction each: nothing at the other place
    assert told(ccw, np.maximum(ccw, cw)) == [0.5, 0, 1, 0, 0.5]  # the second shows both
    assert told(cw, cw) == [1, 0, 0, 0, 0]
    beside = render(turned(both[1], 22.5))  # each video at one of the two control places
    assert told(beside, beside) == [0, 0.5, 0, 0, 0]
    three = np.maximum.reduce([ccw, cw, render(-both[0])])  # frames 4 have two as well
    assert told(three, ccw) == [0.5, 0, 1, 0.5, 0.5]


def test_brightness_fraction_of_known_videos(both):
    ccw, cw = render(both[:, 1:])
    for frames, share in ((ccw, 1.0), (cw, 0.0), (0.75 * ccw + 0.25 * cw, 0.75)):
        decoded = torch.from_numpy(frames[None])
        space = SimpleNamespace(decode=lambda _, d=decoded: d, settings=FrameSettings())
        assert brightness_fraction(space, None, both[None]) == pytest.approx([share], abs=1e-5)
    space = SimpleNamespace(decode=lambda _: torch.zeros(1, 7, 51, 51), settings=FrameSettings())
    assert np.isnan(brightness_fraction(space, None, both[None])).all()


def test_reliability_of_known_forecasts():
    # told 0.25 and right in 1 of 4; told 0.75 and right in 1 of 2; once there was no light to tell
    predicted = np.array([0.25] * 4 + [0.75] * 2 + [np.nan])
    error, bins = reliability(predicted, np.array([1, 0, 0, 0, 1, 0, 1]))
    np.testing.assert_allclose(bins[[2, 7]], [[4, 1, 1], [2, 1.5, 1]])
    assert bins.sum() == pytest.approx(4 + 2 + 2 + 2.5)
    assert error == pytest.approx(0.5 / 6)


def test_calibration_of_the_trained_flow(learned, monkeypatch):
    told = superposition.calibration(learned[1].settings)
    assert told["exact error"] < 0.06  # what 1000 labels leave to chance
    assert told["q error"] < 0.08
    assert told["at t = 0"][0] == pytest.approx(0.5, abs=0.05)
    # a flow that believes the opposite is told apart
    network, space, losses = learned
    wrong = lambda x, given, t: -network(x, given, t)
    monkeypatch.setattr(superposition.flow, "load_or_train", lambda _: (wrong, space, losses))
    assert superposition.calibration(space.settings)["q error"] > 0.2


def test_additivity_of_known_decoders(monkeypatch):
    """A decoder that draws the mean of two frames, and one that draws one square in between."""
    settings = superposition.FlowSettings()

    class Additive:
        """Latents are the frames themselves."""

        def encode(self, frames):
            return frames.flatten(1)

        def decode(self, latents):
            return latents.reshape(-1, 51, 51)

    monkeypatch.setattr(superposition, "load_or_train", lambda _: (Additive(), 0.0))
    told = superposition.additivity(settings)
    assert told["additivity error"] == pytest.approx(0, abs=1e-10) and told["midpoints"] == 1
    assert told["midpoint brightness"] == pytest.approx(0.5, abs=1e-3)

    class Between(Additive):
        """Latents are the centres."""

        def encode(self, frames):
            return torch.from_numpy(centroids(frames.numpy())).float()

        def decode(self, latents):
            return torch.from_numpy(render(latents.numpy()))

    monkeypatch.setattr(superposition, "load_or_train", lambda _: (Between(), 0.0))
    told = superposition.additivity(settings)
    # |m - a/2 - b/2|^2 / |a/2 - b/2|^2 = 6 / 2 quarters of a square where none of them overlap
    assert 2 < told["additivity error"] <= 3.01 and told["midpoints"] == 0
    assert told["midpoint brightness"] < 0.25


def test_entropy_and_halfway():
    values = entropy(torch.tensor([0.5, 0.0, 1.0, 0.11, -0.2, 1.3])).tolist()
    assert values == pytest.approx([1, 0, 0, 0.49992, 0, 0], abs=1e-4)
    assert halfway([0.0, 0.1, 0.2], [1.0, 0.6, 0.2]) == pytest.approx(0.125)
    assert halfway([0.0, 0.1], [1.0, 0.9]) == 1.0
    assert halfway([0.0, 0.1], [0.4, 0.2]) == 0.0


def test_commitment_of_the_trained_flow(learned):
    told = commitment.measure_commitment(learned[1].settings)
    exact, learned_time = told["halfway"]
    assert told["t_S"] == pytest.approx(0.3, abs=0.05)
    assert exact == pytest.approx(told["t_S"], abs=0.05)
    assert learned_time == pytest.approx(exact, abs=0.03)
    curve = np.array(told["curves"][0])
    assert curve[0] == pytest.approx(1) and curve[-1] < 0.01
    assert told["several at step 20"] == [0, 0, 0]


def test_centroid_and_center_error():
    both = orbits(np.array([[0.5, 0.1]]))  # (1, 2, 8, 2)
    np.testing.assert_allclose(centroids(render(both)), both, atol=1e-6)
    shifted = both[:, 1] + np.array([0.04, 0])  # clockwise, one pixel to the right
    errors, direction = center_errors(render(shifted), both)
    np.testing.assert_allclose(errors, 1, atol=1e-4)
    assert direction == 1


def test_quality_of_the_trained_flow(learned):
    told = benchmark.quality(learned[1].settings, n=40)
    assert told["exact: videos right"] == 1 and told["learned: videos right"] > 0.95
    assert told["one square, worst step"] > 0.99
    assert told["learned: step 0, one in frame 4"] == 1
    assert told["learned: step 0, two squares"] == 0
    assert 0.3 < told["learned: counter-clockwise"] < 0.7
    assert told["spread"] < 0.02


def test_a_number_is_found_and_put_in():
    everything = {"one": {"a b": {"mean": [1, 0.25]}, "c": [1, 7]}}
    for path, form, number in (("one/a b/mean/1", "%.1f", "0.2"), ("one/c/1", "%d %%", "7 %")):
        text = f"x <!--{path} = {form}-->old<!--/--> y"
        expected = f"x <!--{path} = {form}-->{number}<!--/--> y"
        assert tables.filled(text, everything) == expected
    for path in ("one/nothing", "two/a b", "one/c/9", "one/c/x"):
        with pytest.raises(ValueError, match="no JSON file holds"):
            tables.filled(f"<!--{path} = %d-->1<!--/-->", everything)


def test_readme_and_results_say_what_the_json_files_say():
    """If this fails, `python -m study.tables` fills them in again."""
    files = (ROOT / "figures").glob("*.json")
    everything = {path.stem: json.loads(path.read_text()) for path in files}
    text = (ROOT / "README.md").read_text()
    assert tables.filled(text, everything) == text
    assert tables.MARK.search(text)
    assert tables.results(everything) == (ROOT / "study" / "RESULTS.md").read_text()
