"""When does the map fold: on maps that are folded by hand, and on shares that can be looked up."""

import numpy as np
import pytest
import torch

from autoencoder import AutoencoderSettings
from study import folds


def test_a_straight_mirrored_cut_is_told_from_scattered_folds():
    areas, ring = np.ones((2, 20, 20))
    areas[:, 12:] = ring[7:13, 7:13] = -1
    assert folds.straightness(areas) == 1 and folds.straightness(ring) < 0.95
    assert folds.straightness(np.tri(20) - 0.5) > 0.95  # a diagonal cut
    assert folds.straightness(np.random.default_rng(0).choice([-1, 1], (20, 20))) < 0.7


@pytest.fixture
def coded(monkeypatch):
    """measure_map() of a code by hand, a function from centres (..., 2) to latents (..., 2)."""

    def measure(code):
        def encode(model, centers, settings):
            return torch.from_numpy(code(centers))

        monkeypatch.setattr("analyze.trained_autoencoder", lambda settings: None)
        monkeypatch.setattr("analyze.encode_squares", encode)
        return folds.measure_map(AutoencoderSettings())

    return measure


def test_a_turned_and_stretched_grid_does_not_fold(coded):
    told = coded(lambda centers: centers @ np.array([[2.0, 1.0], [1.0, -1.0]]) + 3)
    assert told["warp"] == pytest.approx(0, abs=1e-12)
    assert told["turned over"] == told["folds"] == told["cut straight"] == 0


def test_a_sheet_folded_at_a_quarter_is_cut_straight(coded):
    """Folded along x = -0.4, that is behind 5 of 20 columns of cells."""

    def fold(centers):
        return np.stack([np.abs(centers[..., 0] + 0.4), centers[..., 1]], axis=-1)

    told = coded(fold)
    assert told["turned over"] == 0.25 and told["folds"] == told["cut straight"] == 1
    assert told["warp"] > 0.01


def test_a_corner_that_is_turned_over_folds_and_is_no_cut(coded):
    def turn(centers):
        latents = centers.copy()
        latents[0, 0] += 0.2  # neighbours are 0.08 apart
        return latents

    told = coded(turn)
    assert told["folds"] == 1 and told["turned over"] == 1 / 400 and told["cut straight"] == 0


def test_a_disc_that_is_turned_over_folds_and_is_no_cut(coded):
    """Inside of a circle the radius is mirrored."""

    def turn(centers):
        radius = np.linalg.norm(centers, axis=-1, keepdims=True)
        return centers * np.abs(radius - 0.45) / np.maximum(radius, 1e-9)

    told = coded(turn)
    assert told["folds"] == 1 and 0.1 < told["turned over"] < 0.4 and told["cut straight"] == 0


def test_a_bent_sheet_is_warped_but_does_not_fold(coded):
    told = coded(lambda centers: np.sinh(2 * centers))
    assert told["warp"] > 0.01 and told["folds"] == 0


@pytest.mark.parametrize("half_width, center_range", [(0.2, 0.2), (0.4, 0.6), (0.2, 0.8)])
def test_overlapping_pairs_are_as_many_as_one_draws(half_width, center_range):
    rng = np.random.default_rng(0)
    pairs = rng.uniform(-center_range, center_range, (100_000, 2, 2))
    overlap = (np.abs(pairs[:, 0] - pairs[:, 1]) < 2 * half_width).all(1).mean()
    assert folds.overlapping(center_range / half_width) == pytest.approx(overlap, abs=0.006)


def test_intervals_of_few_seeds():
    """Wilson's, as tables have them: 0 of 10, 9 of 10, 5 of 10."""
    for folded, low, high in ((0, 0, 0.2775), (9, 0.5958, 0.9821), (5, 0.2366, 0.7634)):
        found = folds.interval(np.array([1.0] * folded + [0.0] * (10 - folded)))
        assert found == pytest.approx((low, high), abs=2e-4)


def test_differences_of_few_seeds():
    """Newcombe's own example (1998, his method 10): 56 of 70 and 48 of 80 differ by 0.2, with an
    interval of 0.0524 to 0.3339."""
    first, second = np.repeat([1.0, 0.0], [56, 14]), np.repeat([1.0, 0.0], [48, 32])
    assert folds.difference(first, second) == pytest.approx((0.2, 0.0524, 0.3339), abs=2e-4)
    back = folds.difference(second, first)
    assert back == pytest.approx((-0.2, -0.3339, -0.0524), abs=2e-4)


def test_a_case_differs_from_its_pair_in_what_the_pair_is_about(monkeypatch):
    """The squares' size, and the length of the training; recipe, range and seeds are the same."""
    asked = {}
    monkeypatch.setattr(folds, "measured", lambda _, cases, dask: asked.update(cases) or ({}, {}))
    folds.analysis(folds.SweepSettings(seeds=2))
    usual, wide = asked["plain", 0.2, 0.6], asked["plain", 0.4, 0.6]
    assert [(each.half_width, each.center_range) for each in wide] == [(0.4, 0.6)] * 4
    assert [each.seed for each in wide] == [each.seed for each in usual] == [0, 1, 2, 3]
    assert all(each.plain and each.blur == 0 for each in wide + usual)
    long, short = asked["four times as long", 0.2, 0.8], asked["plain", 0.2, 0.8]
    assert [each.autoencoder_steps for each in long] == [4 * 460] * 4
    assert [each.autoencoder_steps for each in short] == [460] * 4
    assert long[0].plain and long[0].center_range == 0.8
    for before, after in folds.CHANGES.values():
        assert before in asked and after in asked
