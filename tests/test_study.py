"""The study's measures, on videos and forecasts whose answer is known; and its numbers as text."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import ROOT
from matplotlib.figure import Figure

from data import FrameSettings, grid_centers, orbits, render
from flow import exact_flow, interpolate
from study import benchmark, commitment, pictures, post_recipe, representing, tables, tearing
from study.benchmark import center_errors, centroids
from study.commitment import entropy, halfway
from study.representing import reliability
from study.superposition import beside, blob_near, contrast, light_at, taken_and_other, turned
from study.tearing import straightness


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


def test_light_at_known_places(both):
    hard = FrameSettings(hard_edges=True)
    taken, other = (path[None] for path in both)
    masks = render(beside(taken, other)[:, 1:4], hard)
    ccw, cw = render(both, hard)[:, None, 1:4]
    np.testing.assert_allclose(light_at(ccw, masks)[[0, 3]], [0, 1], atol=1e-6)
    np.testing.assert_allclose(light_at(ccw / 4 + cw / 2, masks)[[0, 3]], [0.5, 0.25], atol=1e-6)


def test_the_direction_taken_is_the_nearer_one():
    centers = np.array([[0.7, 0.0], [0.3, 0.0], [0.0, 0.6]])
    ends = torch.tensor([[0.9], [0.9], [-0.4]])  # counter-clockwise is 1, clockwise -1
    exact = SimpleNamespace(continuations=torch.tensor([[[1.0], [-1.0]]] * 3))
    samples = SimpleNamespace(given_centers=centers[:, None], states=ends[None], exact=exact)
    far, taken, other = taken_and_other(samples)
    both = orbits(centers)
    np.testing.assert_array_equal(far, [0, 2])  # the radius of the second is small
    np.testing.assert_array_equal(taken, [both[0, 0], both[2, 1]])
    np.testing.assert_array_equal(other, [both[0, 1], both[2, 0]])


def test_carry_over_of_known_videos(both):
    noise = np.random.default_rng(0).random((4, 8, 51, 51))
    assert post_recipe.carry_over(noise, noise) == pytest.approx([1, 0], abs=0.02)
    swapped = noise[:, [0, 1, 3, 2, 4, 5, 7, 6]]
    assert post_recipe.carry_over(swapped, noise) == pytest.approx([0, 1], abs=0.02)


def test_the_velocity_mlp_of_the_trained_latents_learns(learned, monkeypatch):
    monkeypatch.setattr(post_recipe, "LENGTHS", (1, 1000))
    monkeypatch.setattr(post_recipe, "WIDTH", 128)
    errors = []
    for network, space in post_recipe.train_mlp(learned[1].settings, scale=1.0):
        flow_ = exact_flow(space, np.array([[0.5, 0.3]] * 400), torch.zeros(400, dtype=int))
        z = flow_.continuations[:, 0]
        t = torch.full((400, 1), 0.5)
        x = interpolate(z, torch.randn_like(z), t)
        velocity = network.velocity(x, flow_.given, t)
        mean = network(x, flow_.given, t)
        torch.testing.assert_close(mean, x + 0.5 * velocity)
        errors.append(((mean - flow_.posterior_mean(x, t)) ** 2).mean().item())
    assert errors[1] < errors[0] / 3


def test_a_straight_mirrored_cut_is_told_from_scattered_folds():
    areas = np.ones((20, 20))
    areas[:, 12:] = -1
    assert straightness(areas) == 1
    assert straightness(np.tri(20) - 0.5) > 0.95  # a diagonal cut
    scattered = np.random.default_rng(0).choice([-1, 1], (20, 20))
    assert straightness(scattered) < 0.7
    ring = np.ones((20, 20))
    ring[7:13, 7:13] = -1
    assert straightness(ring) < 0.95


def test_reliability_of_known_forecasts():
    # told 0.25 and right in 1 of 4; told 0.75 and right in 1 of 2
    predicted = np.array([0.25] * 4 + [0.75] * 2)
    error, bins = reliability(predicted, np.array([1, 0, 0, 0, 1, 0]))
    np.testing.assert_allclose(bins[[2, 7]], [[4, 1, 1], [2, 1.5, 1]])
    assert bins.sum() == pytest.approx(4 + 2 + 2 + 2.5)
    assert error == pytest.approx(0.5 / 6)


def test_calibration_of_the_trained_flow(learned, monkeypatch):
    told = representing.calibration(learned[1].settings)
    assert told["exact error"] < 0.06  # what 1000 labels leave to chance
    assert told["q error"] < 0.08
    assert told["q at 0"] == pytest.approx(0.5, abs=0.05)
    # a flow that believes the opposite is told apart
    network, space, losses = learned
    wrong = lambda x, given, t: -network(x, given, t)
    monkeypatch.setattr(representing.flow, "load_or_train", lambda _: (wrong, space, losses))
    assert representing.calibration(space.settings)["q error"] > 0.2


def test_additivity_of_known_decoders(monkeypatch):
    """A decoder that draws the mean of two frames, and one that draws one square in between."""
    settings = representing.FlowSettings()

    class Additive:
        """Latents are the frames themselves."""

        def encode(self, frames):
            return frames.flatten(1)

        def decode(self, latents):
            return latents.reshape(-1, 51, 51)

    monkeypatch.setattr(representing.autoencoder, "load_or_train", lambda _: (Additive(), 0.0))
    told = representing.additivity(settings)
    assert told["additivity error"] == pytest.approx(0, abs=1e-10) and told["midpoints"] == 1
    assert told["midpoint brightness"] == pytest.approx(0.5, abs=1e-3)

    class Between(Additive):
        """Latents are the centres."""

        def encode(self, frames):
            return torch.from_numpy(centroids(frames.numpy())).float()

        def decode(self, latents):
            return torch.from_numpy(render(latents.numpy()))

    monkeypatch.setattr(representing.autoencoder, "load_or_train", lambda _: (Between(), 0.0))
    told = representing.additivity(settings)
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


def test_fresh_noise_changes_the_direction_early_and_not_late(learned):
    for kept in commitment.measure_branches(learned[1].settings)["kept"]:  # exact, learned
        assert kept[0] == pytest.approx(0.5, abs=0.1) and kept[-1] > 0.95


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


def test_the_frames_of_a_picture_are_read_back(tmp_path):
    frames = render(orbits(np.array([[0.6, 0.2]]))[0, 0])
    figure = Figure((10.6, 5.3))
    for plot, frame in zip(figure.subplots(2, 4).ravel(), frames):
        plot.imshow(frame, cmap="gray")
    figure.savefig(tmp_path / "video.png", dpi=200)
    np.testing.assert_allclose(pictures.read_frames(tmp_path / "video.png"), frames, atol=0.1)


def test_a_picture_of_a_video_that_shows_both_directions(both):
    ccw, cw = render(both)
    told = pictures.measure_video(ccw, np.maximum(ccw, cw), ccw)
    assert told["step 50, px from the orbit, median"] == pytest.approx(0, abs=0.01)
    assert told["extra blobs at the other place"] == 6 and told["extra blobs in frame 4"] == 0
    other, controls, taken = told["light at other, controls, taken"]
    assert other > 0.9 and taken > 0.9 and controls < 0.3


def test_latents_of_a_picture_with_missing_dots():
    centers = grid_centers(0.8)
    latents = centers @ np.array([[2.0, 1.0], [0.0, 3.0]])
    latents[3, 4] = np.nan
    told = pictures.measure_latents(latents, centers)
    assert told["dots of 441"] == 440 and told["cells of 400"] == 396
    assert told["warp"] == pytest.approx(0, abs=1e-9) and told["fold"] == 0


def test_recipes_to_compare_with_are_chosen_by_their_finished_videos_alone():
    numbers = {}
    for k, name in enumerate(post_recipe.SCALES):
        errors = [9.0, 9.0, 9.0, 1.96 * (1.4 if k == 1 else 1.1 if k == 2 else 1.6)]
        state = np.zeros((4, len(post_recipe.STEPS), 5))
        state[3, post_recipe.STEPS.index(20), :2] = [0.1 * k, 0.01 * k]
        numbers[f"d = 100, MLP, {name}"] = {
            "centre error": {"mean": errors},
            "state": {"mean": state.tolist()},
        }
    told = post_recipe.about_as_accurate(numbers)
    assert told["cases"] == [("d = 100, MLP, scale 2", 3), ("d = 100, MLP, scale 1", 3)]
    assert told["nearest"] == ("d = 100, MLP, scale 2", 2)  # the control has no longer one
    assert told["other"] == pytest.approx([0.1, 0.2])
    assert told["controls"] == pytest.approx([0.01, 0.02])


def test_what_is_said_of_the_posts_pictures_is_what_was_measured():
    told = json.loads((ROOT / "figures" / "pictures.json").read_text())
    assert post_recipe.POST_ERROR == round(told["d = 100"]["step 50, px from the orbit, median"], 2)
    warps = tuple(told[f"range {range_}"]["warp"] for range_ in tearing.RANGES)
    assert tearing.POST_WARP == warps
