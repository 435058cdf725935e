"""What the post's step 20 is compared with: on frames whose squares are known."""

import json

import numpy as np
import pytest
import torch
from conftest import ROOT

from analyze import SweepSettings, count_blobs, over_seeds
from data import possible_orbits, random_first_centers, random_stream, render
from flow import FlowSettings, training_circles
from study import step20
from study.measures import FRAMES, MIN_RADIUS, stretched
from study.step20 import MLPRecipe, PlainMLP, count_shares, place_shares

CCW, CW = possible_orbits(np.array([[0.7, 0.1]]))[0]  # both ways from one first centre, (8, 2) each
ONE, TWO = np.ones(7, dtype=int), np.full(7, 2)


# ---------------------------------------------------------------------------------------------
# Counting


def test_stretching_undoes_brightness_and_background():
    square = render(np.array([0.3, 0.1]))
    np.testing.assert_allclose(stretched(0.2 * square - 0.05), square, atol=1e-6)
    darker = np.minimum(square, 1) - 0.3 * render(
        np.array([-0.5, -0.5])
    )  # darker than the background
    np.testing.assert_allclose(stretched(darker), square, atol=1e-6)
    np.testing.assert_array_equal(stretched(np.full((2, 51, 51), 0.7)), np.zeros((2, 51, 51)))


def test_frames_are_stretched_one_by_one():
    frames = np.stack([render(np.array([0.3, 0.1])), 0.1 * render(np.array([0.3, 0.1]))])
    np.testing.assert_allclose(stretched(frames).max((1, 2)), 1, atol=1e-6)
    # 0.1 is unreadable for find_blobs() without it
    assert count_blobs(frames).tolist() == [1, 0] and count_blobs(stretched(frames)).tolist() == [
        1,
        1,
    ]


def test_shares_of_frames():
    count = np.array([[0, 1, 1, 2, 3, 1, 1]])
    shares = count_shares({0: count, 20: count, 50: count}, 2)
    assert shares["several at 20"] == pytest.approx(2 / 7)
    assert shares["one at 20"] == pytest.approx(4 / 7)  # a frame without a square is neither


def exceptions(kind: np.ndarray, otherwise: int, how_many: int) -> np.ndarray:
    """One video's counts (1, 7), of which so many are otherwise."""
    counts = kind.copy()
    counts[:how_many] = otherwise
    return counts[None]


@pytest.mark.parametrize(
    "dim, usual, otherwise, allowed",
    [
        (2, {0: ONE, 20: ONE, 50: ONE}, {0: 2, 20: 2, 50: 2}, {0: 0, 20: 1, 50: 0}),
        (100, {0: TWO, 20: TWO, 50: ONE}, {0: 1, 20: 1, 50: 2}, {0: 0, 20: 0, 50: 1}),
    ],
)
def test_as_the_post_allows_what_the_posts_video_has_and_no_more(dim, usual, otherwise, allowed):
    for step in step20.STEPS:
        for more, expected in ((0, 1.0), (1, 0.0)):
            counts = {
                each: exceptions(
                    usual[each], otherwise[each], allowed[each] + (more if each == step else 0)
                )
                for each in step20.STEPS
            }
            shares = count_shares(counts, dim)
            assert shares["as the post"] == expected
            assert shares[f"as the post at {step}"] == expected
            others = [shares[f"as the post at {each}"] for each in step20.STEPS if each != step]
            assert others == [1.0, 1.0]


def test_as_the_post_is_asked_of_each_video_at_all_steps():
    # each step is right in two of three videos, but only one video is right at all
    good, bad = TWO, ONE
    counts = {
        0: np.stack([good, good, bad]),
        20: np.stack([good, bad, good]),
        50: np.stack([ONE, ONE, ONE]),
    }
    shares = count_shares(counts, 100)
    assert shares["as the post at 0"] == shares["as the post at 20"] == pytest.approx(2 / 3)
    assert shares["as the post"] == pytest.approx(1 / 3)


# ---------------------------------------------------------------------------------------------
# Places


def places_of(start: np.ndarray, middle: np.ndarray, end: np.ndarray) -> dict[str, float]:
    """place_shares() of one video, of which frames 1 to 7 are given, that ran counter-clockwise."""
    frames = {0: start[None], 20: middle[None], 50: end[None]}
    return place_shares(frames, CCW[None], CW[None])


def test_places_of_a_finished_video():
    taken = render(CCW[1:])
    shares = places_of(taken, taken, taken)
    assert shares["taken at 20"] == shares["taken at 50"] == 1
    assert shares["other at 20"] == shares["control at 20"] == shares["ghosts"] == 0
    assert shares["extra pixels"] == shares["extra pixels from step 0"] == 0
    assert shares["likeness to step 0"] == pytest.approx(1)
    # in this video neighbouring frames' squares are apart, so other frames are slightly unlike
    assert -0.1 < shares["likeness, other frames"] < 0.1


def test_squares_at_the_other_and_at_the_control_places():
    taken, other = render(CCW[1:]), render(CW[1:])
    shares = places_of(taken, np.maximum(taken, other), other)
    assert shares["taken at 20"] == shares["other at 20"] == 1 and shares["control at 20"] == 0
    assert shares["taken at 50"] == 0
    opposite = np.maximum(taken, render(CCW[1:] @ -np.eye(2)))  # one of the six controls, but for
    shares = places_of(taken, opposite, taken)  # frames 2 and 6, where it is the other place
    assert shares["control at 20"] == pytest.approx(4 / 6 / 6)
    assert shares["other at 20"] == pytest.approx(2 / 6)


def test_extra_pixels_come_from_step_0_or_they_do_not():
    taken, other = render(CCW[1:]), render(CW[1:])
    seen = np.maximum(taken, other)
    here = places_of(other, seen, taken)  # the extra squares are those of step 0
    assert here["extra pixels from step 0"] == 1
    assert here["extra pixels, other frames"] < 0.1
    new = places_of(taken, seen, taken)  # step 0 has only the squares that aren't extra
    # frames with the same squares in another order
    assert new["extra pixels from step 0"] == 0 and new["extra pixels, other frames"] > 0.1
    # six frames have an extra square, of about 100 pixels; in frame 4 it is the taken one
    assert here["extra pixels"] == pytest.approx(6 / 7 * 100, rel=0.05)
    faint = places_of(other, np.maximum(taken, 0.4 * other), taken)
    assert faint["extra pixels"] == 0


def test_likeness_is_that_of_the_same_frame():
    start = render(CCW[1:])
    mixed = places_of(np.roll(start, 1, axis=0), start, start)
    assert mixed["likeness to step 0"] < 0.1
    # each frame is like one of six others
    assert mixed["likeness, other frames"] > 1 / 6 - 0.1
    black = places_of(np.zeros((7, 51, 51)), start, start)
    assert black["likeness to step 0"] == 0


def test_ghosts_are_light_far_from_the_taken_place():
    taken = render(CCW[1:])
    beside = render(CCW[1:] + [0.1, 0.0])  # off by 2.5 pixels: no ghost
    assert places_of(taken, taken, beside)["ghosts"] == 0
    other = render(CW[1:])
    ghost = places_of(taken, taken, np.maximum(taken, 0.25 * other))["ghosts"]
    assert ghost == pytest.approx(6 / 7 * 0.25 / 1.25, rel=0.02)  # not in frame 4


def test_away_from_by_hand():
    away = step20.away_from(np.array([0.6, 0.0]))
    assert away[25, 25] and not away[25, 31] and not away[25, 40]  # x = 0, 0.24, 0.6 at y = 0
    assert not away[16, 40] and away[14, 40]  # y = 0.36, 0.44
    assert step20.away_from(np.array([0.0, 0.6]))[40, 25]  # y = -0.6


# ---------------------------------------------------------------------------------------------
# The post, the ordinary networks, and all together


def test_the_posts_own_video_is_as_the_post():
    for dim, shown in step20.post().items():
        assert shown["as the post"] == 1
        told = json.loads((ROOT / "figures" / "pictures.json").read_text())[f"d = {dim}"]
        for step, (kind, at_least) in step20.POST_VIDEO[dim].items():
            counts = np.array(told[f"squares, step {step}"])
            same_kind = (counts == 1).sum() if kind == "one" else (counts >= 2).sum()
            assert same_kind == at_least


@pytest.mark.parametrize("recipe", [step20.Z_MLP, step20.VELOCITY_MLP])
def test_an_ordinary_network_gives_the_posterior_mean(recipe):
    settings = FlowSettings(embed_dim=3)
    network = PlainMLP(settings, recipe)
    x, given = torch.randn(5, 21), torch.randn(5, 3)
    t = torch.linspace(0, 1, 5)[:, None]
    mean = network(x, t, given)
    assert mean.shape == (5, 21)
    # at t = 1 a velocity network can't but say x; the other one can
    assert torch.equal(mean[-1], x[-1]) == recipe.predicts_velocity
    # all three inputs are used
    for changed in ((x + 1, t, given), (x, 0.9 * t, given), (x, t, given + 1)):
        assert not torch.allclose(network(*changed)[1] - changed[0][1], (mean - x)[1], atol=1e-6)


def test_velocity_network_is_solved_for_the_mean():
    network = PlainMLP(FlowSettings(embed_dim=1), step20.VELOCITY_MLP)
    with torch.no_grad():
        for weight in network.layers[-1].parameters():
            weight.zero_()
        network.layers[-1].bias += 2.0  # a velocity of 2 everywhere
    x, t = torch.zeros(1, 7), torch.tensor([[0.25]])
    assert network(x, t, torch.zeros(1, 1)).flatten().tolist() == [1.5] * 7  # 0 + 0.75 * 2


@pytest.mark.parametrize("velocity", [False, True])
def test_ordinary_networks_learn(tiny, velocity, few_orbits, monkeypatch):
    """After some steps the error of z is well under that of saying the mean, which is 0."""
    monkeypatch.setattr(step20, "VELOCITY_LEARNING_RATE", 5e-3)
    _, space = tiny
    settings = FlowSettings(embed_dim=1, flow_steps=150)
    circles = space.encode(training_circles(settings))
    network = step20.train_mlp(circles, settings, MLPRecipe((64,), velocity, 150))
    rng = random_stream(0, "flow test")
    centers = random_first_centers(200, rng, 0.8)
    z = space.encode(possible_orbits(centers, [1])[:, 0])  # (200, 8, 1)
    given, z = z[:, 0], z[:, 1:].flatten(1)
    t = torch.full((200, 1), 0.9)
    x = t * z + (1 - t) * torch.from_numpy(rng.standard_normal(z.shape, dtype=np.float32))
    with torch.no_grad():
        error = ((network(x, t, given) - z) ** 2).mean()
        untrained = ((x - z) ** 2).mean()
    assert error < 0.25 * (z**2).mean()
    assert velocity or error < untrained * 10


def test_compare_gives_both_flows_the_same_noise(learned, monkeypatch):
    _, space = learned
    monkeypatch.setattr(step20, "trained_flow", lambda settings: learned)
    told = step20.measure_flows(space.settings)
    mine, exact = told["this flow"], told["exact flow"]
    assert mine["several at 0"] == exact["several at 0"] and mine["one at 50"] == 1
    assert np.array_equal(mine["picture"][0], exact["picture"][0])
    assert mine["picture"].shape == (3, 8, 51, 51)
    assert mine["true video at its place"] == mine["taken at 50"] == 1
    assert mine["error, px"] < 0.3 and exact["error, px"] < 0.3
    assert mine["own spread"] == pytest.approx(space.std.pow(2).mean().sqrt().item())
    # the same, frame 0 is given, in a picture of a video with a large radius
    np.testing.assert_array_equal(mine["picture"][0, 0], mine["picture"][2, 0])
    rows, columns = np.nonzero(mine["picture"][0, 0] > 0.5)
    radius = np.hypot(columns.mean() - 25, rows.mean() - 25) * 0.04
    assert radius > MIN_RADIUS - 0.05


def fake_runs(monkeypatch) -> step20.Runs:
    """The runs of an analysis in which nothing is trained: its results are random."""
    rng = np.random.default_rng(0)

    def result(settings: FlowSettings) -> dict[str, object]:
        count = rng.integers(1, 3, (40, 7))
        shares = count_shares({0: count, 20: count, 50: np.ones_like(count)}, settings.embed_dim)
        frames = rng.random((2, 7, 51, 51))
        places = place_shares(
            {0: frames, 20: frames, 50: frames}, np.stack([CCW] * 2), np.stack([CW] * 2)
        )
        more = {"error, px": 0.1, "true video at its place": 1.0, "own spread": 5.0}
        return {**shares, **places, **more, "picture": rng.random((3, 8, 51, 51))}

    def measure(function, cases, dask):
        if function is step20.measure_flows:
            return {
                name: [{model: result(s) for model in ("this flow", "exact flow")} for s in seeds]
                for name, seeds in cases.items()
            }
        return {name: [result(s) for s in seeds] for name, seeds in cases.items()}

    monkeypatch.setattr(step20, "measure", measure)
    return step20.analysis(SweepSettings(seeds=2))


def test_analysis_covers_the_recipes_and_all_can_be_told(monkeypatch):
    runs = fake_runs(monkeypatch)
    recipes = {case.rpartition(", d = ")[0] for case in runs}
    assert len(recipes) == 2 * 2 * 5 + 2 + 1 + 1 and len(runs) == 2 * len(recipes)
    pictured = {case for case, seeds in runs.items() if "picture" in seeds[0]}
    assert pictured == {f"{recipe}, d = {dim}" for recipe in step20.PICTURED for dim in (2, 100)}
    numbers = {case: over_seeds(seeds) for case, seeds in runs.items()}
    told = step20.texts(numbers)
    assert told["recipes"] == "24"
    for name in ("table", "second table"):
        lines = told[name].splitlines()
        assert len(lines) <= 10 and len({line.count("|") for line in lines}) == 1
    pictures = {case: runs[case][0]["picture"] for case in pictured}
    step20.draw(numbers, pictures)


def test_settings_of_the_recipes(monkeypatch):
    asked = {}
    monkeypatch.setattr(
        step20, "measure", lambda function, cases, dask: asked.update(cases) or {}, raising=True
    )
    with pytest.raises(KeyError):
        step20.analysis(SweepSettings(seeds=1))
    job = asked["plain, hard edges/as it comes/2"][0]
    assert job.plain and job.hard_edges and job.blur == 0
    assert job.latent_scale == 5 and job.embed_dim == 2
    job = asked["this decoder/0.3/100"][0]
    assert not job.plain and not job.hard_edges and job.latent_scale == 0.3 and job.embed_dim == 100


def test_recipes_that_fit_must_fit_at_both_dims():
    chances = {"a": (0.9, 0.04), "b": (0.05, 0.9), "c": (0.5, 0.5), "d": (0.0, 1.0)}
    numbers = {
        f"{recipe}, d = {dim}": {"as the post": {"mean": chance}}
        for recipe, pair in chances.items()
        for dim, chance in zip((2, 100), pair, strict=True)
    }
    assert step20.recipes_that_fit(numbers) == ["c", "b"]


def test_six_frames_are_those_that_differ():
    assert FRAMES == [1, 2, 3, 5, 6, 7]
