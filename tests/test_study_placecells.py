"""Coordinates or place cells: codes, units and predictors whose answer is known."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import tiny_settings

from analyze import SweepSettings, over_seeds
from data import FrameSettings, grid_centers, render
from flow import FlowSettings
from study import placecells
from study.placecells import DIMS, DISTANCES, FITTED, LIMITS, NULL

FRAMES = FrameSettings()
GRID = grid_centers(0.8)  # (21, 21, 2)


def rng():
    return np.random.default_rng(0)


# ---------------------------------------------------------------------------------------------
# The kernel


def test_pairs_have_their_distance_and_stay_inside():
    pairs = placecells.random_pairs(100, rng(), 0.8)
    assert pairs.shape == (len(DISTANCES), 100, 2, 2)
    distance = np.linalg.norm(pairs[:, :, 0] - pairs[:, :, 1], axis=-1)
    np.testing.assert_allclose(distance, np.array(DISTANCES)[:, None].repeat(100, 1))
    assert np.abs(pairs).max() <= 0.8
    radius = np.linalg.norm(pairs[:, :, 0], axis=-1)
    assert radius.min() >= 0.2 and radius.max() <= 0.8  # first ones are places of videos
    angle = np.arctan2(*(pairs[0, :, 1] - pairs[0, :, 0]).T)
    assert abs(np.exp(1j * angle).mean()) < 0.3  # in all directions


def test_cosines_by_hand():
    same, right = [[1.0, 2.0], [3.0, 6.0]], [[1.0, 0.0], [0.0, 5.0]]
    opposite, half = [[1.0, 0.0], [-2.0, 0.0]], [[1.0, 0.0], [1.0, 3**0.5]]
    codes = np.array([[same, same], [right, right], [same, opposite], [half, half]])
    np.testing.assert_allclose(placecells.mean_cosine(codes), [1, 0, 0, 0.5], atol=1e-12)


def test_decay_length():
    distances = np.array(DISTANCES)
    assert placecells.decay_length(1 - distances) == pytest.approx(0.5)
    assert placecells.decay_length(1 - 2 * distances) == pytest.approx(0.25)  # between two
    assert placecells.decay_length(0 * distances) == pytest.approx(0.025)  # before the first
    assert placecells.decay_length(0 * distances + 0.9) == DISTANCES[-1]  # never
    again = np.where(distances > 0.6, 0.9, 1 - distances)
    assert placecells.decay_length(again) == pytest.approx(0.5)  # the first time


# ---------------------------------------------------------------------------------------------
# Fields


def bump(x: float, y: float, width: float) -> np.ndarray:
    """The response of a place cell, (21, 21)."""
    return np.exp(-((GRID - [x, y]) ** 2).sum(-1) / (2 * width**2))


def fields(*responses: np.ndarray) -> dict[str, float]:
    return placecells.count_fields(np.stack(responses, axis=-1))


def test_place_cells_have_a_field_of_either_sign_and_with_any_shift():
    counts = fields(bump(0, 0, 0.1), 7 - 3 * bump(0.3, -0.2, 0.15), -5 + bump(-0.4, 0.3, 0.1))
    assert [counts[f"fields, {limit}"] for limit in LIMITS] == [1, 1, 1]
    assert counts["pieces"] == 1


def test_no_fields_in_maps_in_silence_and_in_two_places():
    """A map along any direction, also a bent one; a unit that never responds; and a unit that
    responds in two places."""
    angle = np.radians(15 * np.arange(24))
    ramps = np.moveaxis(GRID @ np.stack([np.cos(angle), np.sin(angle)]), -1, 0)
    counts = fields(*ramps, *ramps**3, 0 * bump(0, 0, 1))
    assert [counts[f"fields, {limit}"] for limit in LIMITS] == [0, 0, 0]
    two = fields(bump(-0.4, 0, 0.1) + bump(0.4, 0, 0.1))
    assert two["pieces"] == 2 and two["fields, 30 %"] == two["fields or corners, 30 %"] == 0


def test_a_corner_of_a_map_counts_only_if_borders_may_be_touched():
    diagonal = fields(GRID.sum(-1))  # above half of its maximum in an eighth of the plane
    assert [diagonal[f"fields, {limit}"] for limit in LIMITS] == [0, 0, 0]
    assert [diagonal[f"fields or corners, {limit}"] for limit in LIMITS] == [0, 1, 1]


@pytest.mark.parametrize("side", [(0, 8), (20, 8), (8, 0), (8, 20)])
def test_each_border_counts(side):
    at_the_border = np.zeros((21, 21))
    at_the_border[side] = 1
    counts = fields(at_the_border)
    assert counts["fields, 10 %"] == 0 and counts["fields or corners, 10 %"] == 1


def test_how_large_a_field_may_be():
    """A block of 9 x 9 cells is 18 % of the grid, of 11 x 11 27 %; half of the units are such."""
    blocks = [np.zeros((21, 21)) for _ in range(2)]
    blocks[0][6:15, 6:15] = 1
    blocks[1][5:16, 5:16] = 1
    counts = fields(*blocks)
    assert [counts[f"fields, {limit}"] for limit in LIMITS] == [0, 0.5, 1]


def test_more_than_half_of_the_maximum_and_corners_connect():
    steps = np.zeros((21, 21))
    steps[10, 10], steps[11, 11], steps[5, 5], steps[15, 5] = 1.0, 0.6, 0.4, 0.4
    counts = fields(steps)
    assert counts["pieces"] == 1 and counts["fields, 10 %"] == 1


def test_random_rotations():
    matrices = np.stack([placecells.random_rotation(3, g) for g in rng().spawn(600)])
    np.testing.assert_allclose(
        matrices @ matrices.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (600, 3, 3)), atol=1e-12
    )
    assert abs(matrices[:, 0, 0].mean()) < 0.1  # no direction is preferred
    np.testing.assert_allclose((matrices**2).mean(0), 1 / 3, atol=0.05)


# ---------------------------------------------------------------------------------------------
# Affine R^2 and participation ratio


def test_affine_r2():
    centers = rng().uniform(-1, 1, (4000, 2))
    straight = centers @ np.array([[1.0, 2.0, 0.0], [0.0, 1.0, -3.0]]) + [1, 2, 3]
    assert placecells.affine_r2(centers, straight) == pytest.approx(1)
    hill = (centers**2).sum(1, keepdims=True)
    assert placecells.affine_r2(centers, hill) == pytest.approx(0, abs=0.01)
    # one coordinate with variance 1/3 and noise with twice as much: a third is explained
    noise = np.random.default_rng(1).normal(0, (2 / 3) ** 0.5, 4000)
    both = np.column_stack([centers[:, 0], noise])
    assert placecells.affine_r2(centers, both) == pytest.approx(1 / 3, abs=0.02)


def test_participation_ratio():
    n = 20000
    normal = rng().standard_normal((n, 3))
    lifted = normal @ placecells.random_rotation(10, rng())[:3] + 5  # three of ten directions
    assert placecells.participation_ratio(lifted) == pytest.approx(3, rel=0.01)
    unequal = normal[:, :2] * [2**0.5, 1]  # variances 2 and 1: (2 + 1)^2 / (4 + 1)
    assert placecells.participation_ratio(unequal) == pytest.approx(1.8, rel=0.02)
    assert placecells.participation_ratio(normal[:, :1]) == pytest.approx(1)


# ---------------------------------------------------------------------------------------------
# Codes


def test_controls():
    """The map is a map and has no field; the pixels have fields, and are no map; and their cosine
    falls off within a square's side."""
    settings = FlowSettings()
    a_map = placecells.measure_map(settings)
    assert a_map["affine R2"] == pytest.approx(1)
    assert a_map["participation ratio"] == pytest.approx(2, rel=0.05)
    assert all(a_map[f"fields, {limit}"] == 0 for limit in LIMITS)
    assert a_map["kernel"][0] > 0.98 and a_map["kernel"][-1] < -0.5

    pixels = placecells.measure_pixels(settings)
    assert pixels["fields, 10 %"] == 1 and pixels["rotated: fields, 10 %"] < 0.5
    assert pixels["affine R2"] < 0.2
    assert pixels["kernel"][0] > 0.85 and abs(pixels["kernel"][5:]).max() < 0.15
    assert pixels["participation ratio"] > 15


def test_a_rotation_changes_neither_kernel_nor_participation_ratio():
    rotation = placecells.random_rotation(6, rng())
    widths = np.linspace(0.1, 0.5, 6)

    def code(centers):
        return np.exp(-((centers[..., :1] - widths) ** 2 + centers[..., 1:] ** 2)) - 0.5

    own = placecells.measure_code(code, FRAMES, rng())
    turned = placecells.measure_code(lambda centers: code(centers) @ rotation, FRAMES, rng())
    for name in ("kernel", "decay length", "affine R2", "participation ratio"):
        np.testing.assert_allclose(own[name], turned[name], rtol=1e-6)
    assert own["picture"].shape == (4, 21, 21)
    np.testing.assert_allclose(own["picture"].min((1, 2)), 0)
    np.testing.assert_allclose(own["picture"].max((1, 2)), 1)


def test_fields_are_looked_for_in_the_named_units():
    def code(centers):  # one place cell and three coordinates
        cell = np.exp(-(centers**2).sum(-1) / 0.02)
        x, y = centers[..., 0], centers[..., 1]
        return np.stack([x, y, cell, x + y], axis=-1)

    measured = placecells.measure_code(code, FRAMES, rng(), np.array([2]))
    assert measured["fields, 20 %"] == 1 and measured["picture"].shape == (1, 21, 21)
    assert placecells.measure_code(code, FRAMES, rng())["fields, 20 %"] == 0.25


def test_pixel_code():
    mean = np.full(51 * 51, 0.25, dtype=np.float32)
    code = placecells.pixel_code(FRAMES, mean)(GRID)
    assert code.shape == (21, 21, 51 * 51)
    np.testing.assert_allclose(code[3, 4].reshape(51, 51) + 0.25, render(GRID[3, 4]), atol=1e-6)


def test_pca_is_that_of_the_singular_values():
    data = rng().standard_normal((200, 5)) * [1, 2, 3, 4, 5] + 7
    directions, std = placecells.pca(data, 2)
    centred = data - data.mean(0)
    _, singular, rows = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(std, singular[:2] / 199**0.5)
    np.testing.assert_allclose(abs(rows[:2] @ directions), np.eye(2), atol=1e-9)
    np.testing.assert_allclose((centred @ directions / std).std(0, ddof=1), 1)


def test_decoded_noise_is_counted():
    """A decoder that draws two squares for positive first numbers and one square for all others:
    half and half. And its noise has standard deviation 1 in each number."""
    one, two = (
        torch.from_numpy(render(np.array(c)).sum(0)) for c in ([[0, 0]], [[0, 0.6], [0, -0.6]])
    )
    seen = []

    def decode(latents):
        seen.append(latents)
        return torch.where(latents[:, 0, None, None] > 0, two, one)[:, None]

    space = SimpleNamespace(decode=decode, settings=FlowSettings(embed_dim=50))
    result = placecells.one_square(space, rng())
    positive = (seen[0][:, 0] > 0).float().mean().item()
    assert result["several squares"] == pytest.approx(positive)
    assert result["one square"] == pytest.approx(1 - positive) and 0.4 < positive < 0.6
    assert seen[0].shape[0] >= 300
    assert seen[0].std().item() == pytest.approx(1, abs=0.03)


def test_latents_are_measured(tmp_path, few_orbits, monkeypatch):
    """All results of a tiny autoencoder, standardised: the covariance of three numbers has trace 3;
    and the encoder's own latents are measured before that."""
    monkeypatch.setattr(placecells, "NUM_PAIRS", 10)
    monkeypatch.setattr(placecells, "NUM_CIRCLES", 64)
    monkeypatch.setattr(placecells, "NUM_NOISE", 20)
    given = {}

    def spy(codes):
        given[len(given)] = codes
        return original(codes)

    original = placecells.participation_ratio
    monkeypatch.setattr(placecells, "participation_ratio", spy)
    settings = tiny_settings(tmp_path, embed_dim=3)
    result = placecells.measure_latents(settings)
    assert np.trace(np.cov(given[0].T)) == pytest.approx(3, rel=0.2)
    assert np.trace(np.cov(given[1].T)) < 1
    assert result["d"] == 3 and result["kernel"].shape == (len(DISTANCES),)
    assert 0 <= result["one square"] + result["several squares"] <= 1
    assert "midpoints with two" in result and "participation ratio, own" in result
    pickle.dumps(placecells.measure_latents)


def test_cases(tmp_path, monkeypatch):
    asked = {}

    def measure(function, cases, dask):
        asked[function.__name__] = cases
        return cases

    monkeypatch.setattr(placecells, "measure", measure)
    placecells.analysis(SweepSettings(checkpoint_dir=tmp_path))
    cases = asked["measure_latents"]
    assert set(FITTED) < set(cases) and len(cases) == 22
    for case, flows in cases.items():
        assert [flow.seed for flow in flows] == [0, 1, 2, 3, 4]
        assert case.split(",")[0] == f"d = {flows[0].embed_dim}"
        depth = {"one": 1, "two": 2}.get(case.split()[-3], 0) if "hidden" in case else 0
        assert flows[0].hidden_layers == depth
        assert flows[0].plain == ("plain" in case)
        assert flows[0].blur == (0 if "plain" in case else 9)


# ---------------------------------------------------------------------------------------------
# Predictors


def test_straight_lines_through_points_in_any_order():
    x, y = np.array([3.0, 1.0, 2.0, 1.0]), np.array([30.0, 0.0, 20.0, 20.0])
    at = np.array([0.0, 1.0, 1.5, 2.5, 9.0])  # the two points at 1 have the mean 10
    np.testing.assert_allclose(placecells.interpolate(x, y, at), [10, 10, 15, 25, 30])


def result_of(rng, d: int, ratio: float, two: float, one: float) -> dict:
    """Measured results, of which only those that predict matter."""
    names = [f"{kind}, {limit}" for kind in ("fields", "fields or corners") for limit in LIMITS]
    names += ["pieces", "decay length", "affine R2", "participation ratio, own", "several squares"]
    numbers = {name: rng.random() for name in [*names, *(f"rotated: {name}" for name in names)]}
    return numbers | {
        "d": d,
        "participation ratio": ratio,
        "midpoints with two": two,
        "one square": one,
        "one square, shaped noise": one / 2,
        "kernel": np.exp(-np.array(DISTANCES)) + 0.01 * rng.random(),
        "picture": rng.random((min(d, 4), 21, 21)),
    }


def made_up(truth, seeds=5):
    """Numbers and pictures as kept: in each case and seed the share with one square is a function
    of d, the participation ratio and the midpoints, truth(d, ratio, two)."""
    draws = np.random.default_rng(3)
    runs = {}
    cases = {f"d = {dim}": dim for dim in DIMS}
    for suffix in ("one hidden layer", "two hidden layers", "plain", "plain, one hidden layer"):
        cases |= {
            f"d = {dim}, {suffix}": dim for dim in (2, 24, 100)
        }  # 24: between two fitted ones
    for case, dim in cases.items():
        runs[case] = []
        for _ in range(seeds):
            ratio = dim**0.6 if case in FITTED else draws.uniform(2, 10)
            two = 1 - 1 / dim if case in FITTED else draws.uniform(0.5, 0.99)
            one = truth(dim, ratio, two)
            runs[case].append(result_of(draws, dim, ratio, two, one))
    for case in ("pixels", "map", "PCA, d = 2", "PCA, d = 10", "PCA, d = 100"):
        runs[case] = [result_of(draws, 2, 2.0, 0.5, 0.5) for _ in range(seeds)]
        for each in runs[case]:
            for name in ("one square, shaped noise", "several squares", "midpoints with two"):
                del each[name]
            del each["d"], each["one square"]
    pictures = {case: each[0]["picture"] for case, each in runs.items()}
    return {case: over_seeds(each) for case, each in runs.items()}, pictures


LAWS = {
    "d": lambda d, ratio, two: 1 - np.log(d) / 10,
    "participation ratio": lambda d, ratio, two: 1 - np.log(ratio) / 5,
    "midpoints": lambda d, ratio, two: 1 - 0.7 * two,
}


@pytest.mark.parametrize("right", LAWS)
def test_the_right_predictor_wins(right):
    numbers, _ = made_up(LAWS[right])
    errors = placecells.prediction_errors(numbers)
    assert placecells.winner(errors) == right
    for name, error in errors.items():
        assert (error["mean"] < 1e-9) == (name == right)
        assert len(error["seeds"]) == 5
        assert not set(error["by case"]) & {*FITTED, "pixels", "map"}
        assert len(error["by case"]) == 12
    if right != "d":  # not exactly 0: the logarithm of a mean isn't the mean of the logarithms
        assert errors[right]["of means"] < 0.05 < errors["d"]["of means"]


def test_errors_by_hand():
    """All fitted cases have d as the logarithm wants it; two are predicted, from two seeds."""
    numbers = {}
    for dim in DIMS:
        y = np.array([1 - np.log(dim) / 10, 0.5])  # the second seed's share doesn't depend on d
        value = {"mean": y.mean(), "seeds": y}
        constant = {"mean": dim, "seeds": np.array([dim, dim])}
        other = {"mean": 0.5, "seeds": np.array([0.5, 0.5])}
        numbers[f"d = {dim}"] = {
            "one square": value,
            "d": constant,
            "participation ratio": constant,
            "midpoints with two": other,
        }
    for case, y in (("a", np.array([0.9, 0.7])), ("b", np.array([0.5, 0.2]))):
        one = {"mean": 1.0, "seeds": np.ones(2)}  # d = 1: before the first, clamped
        numbers[case] = {
            "one square": {"mean": y.mean(), "seeds": y},
            "d": one,
            "participation ratio": one,
            "midpoints with two": {"mean": 0.0, "seeds": np.zeros(2)},
        }
    errors = placecells.prediction_errors(numbers)
    first = 1 - np.log(2) / 10
    by_seed = [(abs(first - 0.9) + abs(first - 0.5)) / 2, (0.2 + 0.3) / 2]
    np.testing.assert_allclose(errors["d"]["seeds"], by_seed)
    assert errors["d"]["mean"] == pytest.approx(np.mean(by_seed))
    assert errors["d"]["std"] == pytest.approx(np.std(by_seed, ddof=1))
    middle = (first + 0.5) / 2
    assert errors["d"]["by case"] == pytest.approx({"a": middle - 0.8, "b": middle - 0.35})
    assert errors["d"]["of means"] == pytest.approx((abs(middle - 0.8) + abs(middle - 0.35)) / 2)
    mean = np.mean([(1 - np.log(dim) / 10 + 0.5) / 2 for dim in DIMS])
    assert errors[NULL]["by case"] == pytest.approx({"a": mean - 0.8, "b": mean - 0.35})
    # all midpoints are the same, so their curve is the mean, too
    assert errors["midpoints"]["by case"] == pytest.approx(errors[NULL]["by case"])


def test_nobody_wins_by_chance():
    def error(*seeds):
        return {"seeds": np.array(seeds), "mean": np.mean(seeds)}

    good, noisy = error(0.10, 0.11, 0.10, 0.12, 0.10), error(0.05, 0.30, 0.04, 0.33, 0.06)
    bad = error(0.30, 0.33, 0.30, 0.34, 0.31)
    clear = {"d": bad, "participation ratio": good, "midpoints": bad, NULL: bad}
    assert placecells.winner(clear) == "participation ratio"
    assert placecells.winner(clear | {"midpoints": noisy}) is None
    assert placecells.winner(clear | {NULL: good}) is None  # no better than the null


# ---------------------------------------------------------------------------------------------
# Figure and texts


def test_figure_and_texts():
    numbers, pictures = made_up(LAWS["participation ratio"])
    figure = placecells.draw(numbers, pictures)
    figure.canvas.draw()
    texts = placecells.texts(numbers)
    assert texts["winner"] == "participation ratio"
    shaped = numbers["d = 100"]["one square, shaped noise"]["mean"]
    assert texts["one square, shaped noise, d = 100"].startswith(f"{100 * shaped:.0f} %")
    for name in ("table", "second table"):
        rows = texts[name].splitlines()
        assert len(rows) <= 10 and len({row.count("|") for row in rows}) == 1
        assert all(len(cell.split()) <= 20 for row in rows for cell in row.split("|"))
    index = DISTANCES.index(0.4)
    kernel = numbers["d = 2"]["kernel"]
    at = f"{kernel['mean'][index]:.2f} ({kernel['std'][index]:.2f})"
    assert texts["kernel at 0.4, d = 2"] == at
    turned = numbers["d = 100"]["rotated: fields, 20 %"]["mean"]
    assert texts["rotated: fields, 20 %, d = 100"].startswith(f"{100 * turned:.0f} %")
    assert "| participation ratio | 0.01 | 0.00 (0.00) | 9 of 12 |" in texts["second table"]


def test_shaped_noise_lies_where_the_latents_are(space_100):
    """A decoder that is bright wherever a latent leaves the directions that latents have: with
    normal noise it always is, with shaped noise never."""
    generator = np.random.default_rng(0)
    centers = placecells.random_places(space_100.settings, generator)
    latents = space_100.encode(centers).flatten(0, -2)
    _, _, directions = torch.linalg.svd(latents - latents.mean(0), full_matrices=False)
    rare = directions[-20:]  # hardly any latent goes there

    class Space:
        settings = space_100.settings
        encode = space_100.encode

        @staticmethod
        def decode(z):
            frames = torch.zeros(len(z), 51, 51)
            frames[:, 10:20, 10:20] = 1
            leaves = (z @ rare.T).norm(dim=1) > 2
            frames[leaves, 30:40, 30:40] = 1
            return frames

    assert placecells.one_square(Space, generator)["one square"] < 0.1
    assert placecells.one_square_of_shaped_noise(Space, generator) > 0.9
