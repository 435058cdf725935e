"""What the questions of the study share: measures, on videos and forecasts whose answer is known;
numbers, and how they are kept and told; the two pages. And the benchmark."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from autoencoder import AutoencoderSettings, checkpoint_path, shared_settings, trained_autoencoder
from data import FrameSettings, possible_orbits, random_first_centers, render
from flow import FlowSettings, posterior, posterior_mean
from study import benchmark, measures, question
from study.measures import FRAMES, MIN_RADIUS, blobs_at, control_places, light_at
from study.question import (
    QuestionSettings,
    answer,
    markdown_table,
    measured,
    paired,
    percent,
    read_numbers,
    spread,
    stacked,
    write_numbers,
)

CCW, CW = possible_orbits(np.array([[0.7, 0.1]]))[0]  # both ways from one first centre, (8, 2) each


# ---------------------------------------------------------------------------------------------
# The shared measures


def test_blobs_at_places():
    two = render(np.array([-0.5, 0.0])) + render(np.array([0.5, 0.0]))
    black = np.zeros((51, 51), dtype=np.float32)
    frames = np.stack([two, render(np.array([0.5, 0.0])), black])[None]
    places = np.broadcast_to([[-0.5, 0.05], [0.5, 0.0], [0.0, 0.5], [0.5, 0.11]], (1, 3, 4, 2))
    np.testing.assert_array_equal(
        blobs_at(frames, places), [[[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]]
    )


def test_turned():
    np.testing.assert_allclose(measures.turned(np.array([[1.0, 0.0]]), 90), [[0, 1]], atol=1e-12)
    np.testing.assert_allclose(measures.turned(CCW[:-1], 45), CCW[1:], atol=1e-12)


def test_control_places_by_hand():
    places = control_places(np.array([[0.8, 0.0]]))[0].round(12) + 0.0  # no minus zero
    h = round(0.8 * 0.5**0.5, 12)
    expected = {  # in frame 1 the directions are at 45 and 315 degrees, in frame 2 at 90 and 270
        0: [(0.8, 0), (0, 0.8), (-h, h), (-0.8, 0), (-h, -h), (0, -0.8)],
        1: [(0.8, 0), (h, h), (-h, h), (-0.8, 0), (-h, -h), (h, -h)],
    }
    for i, centers in expected.items():
        assert {tuple(xy) for xy in places[i]} == set(centers)


def test_control_places_are_far_from_both_directions():
    """At least 45 degrees, on the same circle; and so their squares have hardly any light of
    either direction (two squares 22.5 degrees apart would share a third)."""
    first = random_first_centers(200, np.random.default_rng(0), 0.8)
    first = first[np.linalg.norm(first, axis=1) > MIN_RADIUS]
    controls = control_places(first)  # (n, 6, 6, 2)
    both = possible_orbits(first)[:, :, FRAMES]  # (n, 2, 6, 2)
    radius = np.linalg.norm(first, axis=1)
    np.testing.assert_allclose(
        np.linalg.norm(controls, axis=-1),
        np.broadcast_to(radius[:, None, None], (len(first), 6, 6)),
    )
    products = np.einsum("nfkc,ndfc->nfkd", controls, both) / radius[:, None, None, None] ** 2
    assert np.degrees(np.arccos(products.clip(-1, 1).max())) == pytest.approx(45)
    light = light_at(render(both[:, 0]), render(controls))
    assert light.max() < 0.01


def test_nothing_is_at_a_control_place_but_a_square_there():
    controls = control_places(CCW[:1])  # (1, 6, 6, 2)
    for path in (CCW, CW, (CCW + CW) / 2):
        assert not blobs_at(render(path)[None, FRAMES], controls).any()
    for k in range(6):
        found = blobs_at(render(controls[:, :, k]), controls)
        np.testing.assert_array_equal(found, np.broadcast_to(np.arange(6) == k, (1, 6, 6)))


def test_light_at_known_places():
    hard = FrameSettings(hard_edges=True)
    masks = render(np.stack([CW, CCW], axis=1)[None, 1:4], hard)  # (1, 3, 2, 51, 51)
    ccw, cw = (render(path[None, 1:4], hard) for path in (CCW, CW))
    np.testing.assert_allclose(light_at(ccw, masks), [0, 1], atol=1e-6)
    np.testing.assert_allclose(light_at(ccw / 4 + cw / 2, masks), [0.5, 0.25], atol=1e-6)


def test_true_videos_follow_their_prior(learned):
    space = learned[1]
    uneven = SimpleNamespace(
        settings=SimpleNamespace(turns=(1, 1, 1, 1, -1), given_frames=1), encode=space.encode
    )
    first = np.array([[0.5, 0.3]] * 400)
    videos = measures.true_videos(uneven, first, np.random.default_rng(0))
    torch.testing.assert_close(videos.prior, torch.tensor([[0.8, 0.2]] * 400))
    assert videos.is_ccw.mean() == pytest.approx(0.8, abs=0.06)
    ccw, cw = (space.encode(path[None]) for path in possible_orbits(first[:1])[0])
    for video in range(10):
        truth = ccw if videos.is_ccw[video] else cw
        torch.testing.assert_close(videos.z[video], truth[0, 1:].flatten())
        torch.testing.assert_close(videos.given[video], truth[0, 0])


def test_ccw_fraction_by_hand():
    futures = torch.tensor([[[3.0, 1.0], [-1.0, 1.0]]])
    for mean, q in ([3.0, 1.0], 1.0), ([-1.0, 1.0], 0.0), ([1.0, 7.0], 0.5), ([5.0, 0.0], 1.5):
        assert measures.ccw_fraction(torch.tensor([mean]), futures).item() == q


def test_ccw_fraction_of_the_exact_posterior_mean_is_the_posterior():
    torch.manual_seed(0)
    futures, prior = torch.randn(50, 2, 6), torch.tensor([[0.8, 0.2]] * 50)
    x, t = torch.randn(50, 6), torch.full((50, 1), 0.4)
    q = measures.ccw_fraction(posterior_mean(x, t, futures, prior), futures)
    torch.testing.assert_close(q, posterior(x, t, futures, prior)[:, 0], atol=1e-5, rtol=0)


# ---------------------------------------------------------------------------------------------
# The benchmark


def test_quality_of_the_trained_flow(learned):
    told = benchmark.quality(*learned, n=40)
    assert told["exact"]["videos right"] == 1 and told["learned"]["videos right"] > 0.95
    assert told["learned"]["one square, worst step"] > 0.99
    for flow in ("exact", "learned"):
        assert 0 < told[flow]["median centre error, px"] < 0.3
    assert 0 < told["spread inside squares"] < 0.05
    assert 0 < told["mean squared error"] < 1e-3 and 0 < told["mean excess loss"] < 0.05


def test_the_quality_of_a_flow_that_knows_nothing(learned):
    """It predicts the same whatever the first frame is, so that no video can be right."""
    _, space = learned

    def ignorant(x, t, given):
        return torch.zeros_like(x)

    told = benchmark.quality(ignorant, space, n=40)
    assert told["learned"]["videos right"] == 0
    assert told["learned"]["median centre error, px"] > 5
    assert told["mean excess loss"] > 0.5 and told["exact"]["videos right"] == 1


def test_the_networks_of_a_timed_run_are_kept_but_replace_none(tmp_path):
    settings = FlowSettings(
        autoencoder_steps=1, flow_steps=1, seed=5, checkpoint_dir=tmp_path / "own"
    )
    coder = shared_settings(settings, AutoencoderSettings)
    autoencoder, flow = checkpoint_path(coder), checkpoint_path(settings)
    settings.checkpoint_dir.mkdir()
    flow.write_text("of someone else")
    assert benchmark.seconds_from_nothing(settings) > 0
    assert sorted(settings.checkpoint_dir.iterdir()) == sorted([autoencoder, flow])
    trained_autoencoder(coder)  # it is that of these settings, or this would raise
    assert flow.read_text() == "of someone else"


# ---------------------------------------------------------------------------------------------
# Numbers, and how they are kept


def test_seeds_are_stacked_at_the_bottom():
    seeds = [{"exact": {20: 1.0}, "steps": [0, 1]}, {"exact": {20: 0.5}, "steps": [2, 3]}]
    numbers = stacked(seeds)
    assert list(numbers) == ["exact", "steps"] and list(numbers["exact"]) == ["20"]
    np.testing.assert_array_equal(numbers["exact"]["20"], [1, 0.5])
    np.testing.assert_array_equal(numbers["steps"], [[0, 1], [2, 3]])


@pytest.fixture
def two_seeds(monkeypatch):
    """What measured() makes of two cases with two seeds each, one by one and in this process."""

    def one_by_one(function, cases, dask):
        return {path: [function(job) for job in seeds] for path, seeds in cases.items()}

    def function(job):
        return {"right": {"far": job}, "picture": np.full((1, 2, 2), job)}

    monkeypatch.setattr(question, "measure", one_by_one)
    return measured(function, {("ours", 100): [0.4, 0.6], ("ours", 2): [1.0, 0.5]}, None)


def test_results_stand_where_their_case_says(two_seeds):
    numbers, frames = two_seeds
    assert list(numbers) == ["ours"] and list(numbers["ours"]) == ["100", "2"]
    np.testing.assert_array_equal(numbers["ours"]["100"]["right"]["far"], [0.4, 0.6])
    assert list(numbers["ours"]["2"]) == ["right"]  # the picture isn't a number
    assert list(frames) == ["ours/100", "ours/2"]
    np.testing.assert_array_equal(frames["ours/100"], np.full((1, 2, 2), 0.4))  # of seed 0


def test_numbers_are_kept_and_read_back(two_seeds, tmp_path):
    write_numbers(tmp_path, "name", *two_seeds, minutes=1.5)
    numbers, frames, cost = read_numbers(tmp_path, "name")
    assert cost["minutes"] == 1.5
    np.testing.assert_array_equal(numbers["ours"]["2"]["right"]["far"], [1.0, 0.5])
    np.testing.assert_allclose(frames["ours/100"], 0.4)
    write_numbers(tmp_path, "other", two_seeds[0], {}, minutes=0.1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "name.json",
        "name.npz",
        "other.json",
    ]
    assert read_numbers(tmp_path, "other")[1] == {}


def test_a_figure_is_drawn_again_from_what_was_kept(two_seeds, tmp_path):
    drawn = []

    def draw(numbers, frames):
        drawn.append((numbers["ours"]["2"]["right"]["far"].mean(), frames["ours/2"].shape))
        return Figure()

    def fail(settings):
        raise AssertionError("measured again")

    answer("name", lambda _: two_seeds, draw, QuestionSettings(out_dir=tmp_path))
    (tmp_path / "name.png").unlink()
    answer("name", fail, draw, QuestionSettings(out_dir=tmp_path, redraw=True))
    assert (tmp_path / "name.png").exists() and drawn == [(0.75, (1, 2, 2))] * 2
    with pytest.raises(FileNotFoundError, match="without --redraw first"):
        answer("other", fail, draw, QuestionSettings(out_dir=tmp_path, redraw=True))


# ---------------------------------------------------------------------------------------------
# Numbers as text


def test_texts_by_hand():
    values = np.array([0.4, 0.5, 0.6])
    assert spread(values) == "0.50 (0.10)" and percent(values) == "50 % (10)"
    assert paired(values, np.array([0.3, 0.5, 0.4])) == "+0.10 ± 0.06"  # pairs: 0.1, 0, 0.2
    assert spread(values[:1]) == "0.40 (0.00)"  # a single seed
    assert markdown_table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
