"""The study's measures, on videos and forecasts whose answer is known; and its numbers as text."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import ROOT
from matplotlib.figure import Figure

from data import FrameSettings, grid_centers, orbits, render
from flow import FlowSettings, exact_flow
from study import benchmark, commitment, means, pictures, post_recipe, representing, tables, tearing
from study.benchmark import center_errors, centroids
from study.superposition import beside, blobs_at, contrast, light_at, taken_and_other, turned

CCW, CW = orbits(np.array([[0.7, 0.1]]))[0]  # both ways from one first centre, (8, 2) each


def test_blobs_at_places():
    two = render(np.array([-0.5, 0.0])) + render(np.array([0.5, 0.0]))
    frames = np.stack([two, render(np.array([0.5, 0.0]))])[None]
    places = np.broadcast_to([[-0.5, 0.05], [0.5, 0.0], [0.0, 0.5], [0.5, 0.11]], (1, 2, 4, 2))
    found, count = blobs_at(frames, places)
    np.testing.assert_array_equal(found, [[[1, 1, 0, 0], [0, 1, 0, 0]]])
    np.testing.assert_array_equal(count, [[2, 1]])


def test_contrast_of_known_videos():
    np.testing.assert_allclose(turned(np.array([[1.0, 0.0]]), 90), [[0, 1]], atol=1e-12)
    ccw, cw = render(CCW), render(CW)
    taken, other = (np.repeat(path[None], 2, axis=0) for path in (CCW, CW))

    def told(*videos):
        return contrast(np.stack(videos), taken, other)

    assert told(ccw, ccw) == [0, 0, 1, 0, 0, 0, 0]  # one direction each: nothing at the other place
    assert told(ccw, np.maximum(ccw, cw)) == [0.5, 0, 1, 0, 0.5, 0.5, 0]  # the second shows both
    assert told(cw, cw) == [1, 0, 0, 0, 0, 0, 0]
    beside = render(turned(CW, 22.5))  # each video at one of the two control places
    assert told(beside, beside) == [0, 0.5, 0, 0, 0, 0, 0]
    three = np.maximum.reduce([ccw, cw, render(-CCW)])  # frames 4 have two as well
    assert told(three, ccw) == [0.5, 0, 1, 0.5, 0.5, 0.5, 0]
    with_control = np.maximum(ccw, beside)
    assert told(with_control, ccw)[5:] == [0, 0.25]


def test_light_at_known_places():
    hard = FrameSettings(hard_edges=True)
    masks = render(beside(CCW[None], CW[None])[:, 1:4], hard)
    ccw, cw = (render(path[None, 1:4], hard) for path in (CCW, CW))
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


def test_carry_over_of_known_videos():
    noise = np.random.default_rng(0).random((4, 8, 51, 51))
    assert post_recipe.carry_over(noise, noise) == pytest.approx([1, 0], abs=0.02)
    swapped = noise[:, [0, 1, 3, 2, 4, 5, 7, 6]]
    assert post_recipe.carry_over(swapped, noise) == pytest.approx([0, 1], abs=0.02)


def test_the_velocity_mlp_of_the_trained_latents_learns(learned, monkeypatch):
    monkeypatch.setattr(post_recipe, "LENGTHS", (1, 1000))
    errors = []
    for network, space in post_recipe.train_mlp(learned[1].settings, scale=1.0):
        exact = exact_flow(space, np.array([[0.5, 0.3]] * 400), torch.zeros(400, dtype=int))
        z, t = exact.continuations[:, 0], torch.full((400, 1), 0.5)
        x = t * z + (1 - t) * torch.randn_like(z)
        mean = network(x, exact.given, t)
        torch.testing.assert_close(mean, x + 0.5 * network.velocity(x, exact.given, t))
        errors.append(((mean - exact.posterior_mean(x, t)) ** 2).mean().item())
    assert errors[1] < errors[0] / 3


def test_recipes_to_compare_with_are_chosen_by_their_finished_videos_alone():
    numbers = {}
    for k, name in enumerate(post_recipe.SCALES):
        errors = [9.0, 9.0, 9.0, 1.96 * (1.6, 1.4, 1.1, 1.6)[k]]
        state = np.zeros((4, len(post_recipe.STEPS), 7))
        state[3, post_recipe.STEPS.index(20), :2] = [0.1 * k, 0.01 * k]
        case = {"centre error": {"mean": errors}, "state": {"mean": state.tolist()}}
        numbers[f"d = 100, MLP, {name}"] = case
    told = post_recipe.about_as_accurate(numbers)
    assert told["cases"] == [("d = 100, MLP, scale 2", 3), ("d = 100, MLP, scale 1", 3)]
    assert told["nearest"] == ("d = 100, MLP, scale 2", 2)  # the control has no longer one
    assert told["other"] == pytest.approx([0.1, 0.2])
    assert told["controls"] == pytest.approx([0.01, 0.02])


def test_a_straight_mirrored_cut_is_told_from_scattered_folds():
    areas, ring = np.ones((2, 20, 20))
    areas[:, 12:] = ring[7:13, 7:13] = -1
    assert tearing.straightness(areas) == 1 and tearing.straightness(ring) < 0.95
    assert tearing.straightness(np.tri(20) - 0.5) > 0.95  # a diagonal cut
    assert tearing.straightness(np.random.default_rng(0).choice([-1, 1], (20, 20))) < 0.7


def test_reliability_of_known_forecasts():
    # told 0.25 and right in 1 of 4; told 0.75 and right in 1 of 2
    predicted = np.array([0.25] * 4 + [0.75] * 2)
    error, bins = representing.reliability(predicted, np.array([1, 0, 0, 0, 1, 0]))
    np.testing.assert_allclose(bins[[2, 7]], [[4, 1, 1], [2, 1.5, 1]])
    assert bins.sum() == pytest.approx(4 + 2 + 2 + 2.5) and error == pytest.approx(0.5 / 6)


def test_ccw_fraction_and_speciation_time_by_hand():
    exact = SimpleNamespace(continuations=torch.tensor([[[3.0, 1.0], [-1.0, 1.0]]]))  # 4 apart
    for mean, q in ([3.0, 1.0], 1.0), ([-1.0, 1.0], 0.0), ([1.0, 7.0], 0.5), ([5.0, 0.0], 1.5):
        assert representing.ccw_fraction(exact, torch.tensor([mean])).item() == q
    assert representing.speciation_time(exact).item() == pytest.approx(1 / 3)


def test_calibration_of_the_trained_flow(learned, monkeypatch):
    told = representing.calibration(learned[1].settings)
    assert told["exact error"] < 0.06  # what 1000 labels leave to chance
    assert told["q error"] < 0.08 and told["q at 0"] == pytest.approx(0.5, abs=0.05)
    # a flow that believes the opposite is told apart
    network, space = learned
    wrong = lambda x, given, t: -network(x, given, t)
    monkeypatch.setattr(representing.flow, "load_or_train", lambda _: (wrong, space))
    assert representing.calibration(space.settings)["q error"] > 0.2


def test_additivity_of_known_decoders(monkeypatch):
    """A decoder whose latents are frames, so that it draws the mean of two; and one whose latents
    are centres, so that it draws one square in between."""

    def told(encode, decode):
        coder = SimpleNamespace(encode=encode, decode=decode)
        monkeypatch.setattr(representing.autoencoder, "load_or_train", lambda _: coder)
        return representing.additivity(FlowSettings())

    mean = told(lambda frames: frames.flatten(1), lambda latents: latents.reshape(-1, 51, 51))
    assert mean["additivity error"] == pytest.approx(0, abs=1e-10) and mean["midpoints"] == 1
    between = told(
        lambda frames: torch.from_numpy(centroids(frames.numpy())).float(),
        lambda latents: torch.from_numpy(render(latents.numpy())),
    )
    # |m - a/2 - b/2|^2 / |a/2 - b/2|^2 = 6 / 2 quarters of a square where none of them overlap
    assert 2 < between["additivity error"] <= 3.01 and between["midpoints"] == 0


def test_entropy_and_halfway():
    values = commitment.entropy(torch.tensor([0.5, 0.0, 1.0, 0.11, -0.2, 1.3])).tolist()
    assert values == pytest.approx([1, 0, 0, 0.49992, 0, 0], abs=1e-4)
    assert commitment.halfway([0.0, 0.1, 0.2], [1.0, 0.6, 0.2]) == pytest.approx(0.125)
    assert commitment.halfway([0.0, 0.1], [1.0, 0.9]) == 1.0
    assert commitment.halfway([0.0, 0.1], [0.4, 0.2]) == 0.0


def test_the_trained_flow_decides_at_the_speciation_time(learned):
    told = commitment.measure_commitment(learned[1].settings)
    exact, learned_time = told["halfway"]
    assert told["t_S"] == pytest.approx(0.3, abs=0.05)
    assert exact == pytest.approx(told["t_S"], abs=0.05)
    assert learned_time == pytest.approx(exact, abs=0.03)
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


def test_numbers_are_found_and_put_in():
    runs = {"a b": [{"x": [1.0, 0.2], "y": 4.0}, {"x": [1.0, 0.3], "y": 6.0}]}
    numbers = json.loads(json.dumps(means(runs, keep="y"), default=np.ndarray.tolist))
    assert numbers["a b"]["y"]["seeds"] == [4, 6] and "seeds" not in numbers["a b"]["x"]
    everything = {"one": numbers | {"c": [1, 7], "a d": {"y": 2}}, "table": {"t": "| 1 |"}}
    for mark, told in (
        ("one/a b/x/mean/1 = %.2f", "0.25"),
        ("one/c/1 = %d %%", "7 %"),
        ("one/a b/y", "5.000 (1.414)"),
        ("one/a b/x/1", "0.250 (0.071)"),
        ("one/a b/x", "100.0 / 25.0"),
        ("one/a */y", "5.000, 2.000"),
        ("table t", "\n\n| 1 |\n\n"),
    ):
        filled = tables.filled(f"x <!--{mark}-->old<!--/--> y", everything)
        assert filled == f"x <!--{mark}-->{told}<!--/--> y"
    for path in ("one/nothing", "two/a b", "one/c/9", "one/c/x", "one/a b/x/2"):
        with pytest.raises(ValueError, match="no JSON file holds"):
            tables.filled(f"<!--{path} = %d-->1<!--/-->", everything)


def test_readme_and_results_say_what_the_json_files_say():
    """If this fails, `python -m study.tables` fills them in again."""
    everything = tables.read(ROOT / "figures")
    for page in (ROOT / "README.md", ROOT / "study" / "RESULTS.md"):
        assert tables.MARK.search(page.read_text())
        assert tables.filled(page.read_text(), everything) == page.read_text()
    for name in everything["table"]:
        assert f"<!--table {name}-->" in page.read_text()


def test_the_frames_of_a_picture_are_read_back(tmp_path):
    frames = render(orbits(np.array([[0.6, 0.2]]))[0, 0])
    figure = Figure((10.6, 5.3))
    for plot, frame in zip(figure.subplots(2, 4).ravel(), frames):
        plot.imshow(frame, cmap="gray")
    figure.savefig(tmp_path / "video.png", dpi=200)
    np.testing.assert_allclose(pictures.read_frames(tmp_path / "video.png"), frames, atol=0.1)


def test_a_picture_of_a_video_that_shows_both_directions():
    ccw, cw = render(CCW), render(CW)
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


def test_what_is_said_of_the_posts_pictures_is_what_was_measured():
    told = json.loads((ROOT / "figures" / "pictures.json").read_text())
    assert post_recipe.POST_ERROR == round(told["d = 100"]["step 50, px from the orbit, median"], 2)
    warps = tuple(told[f"range {range_}"]["warp"] for range_ in tearing.RANGES)
    assert tearing.POST_WARP == warps
