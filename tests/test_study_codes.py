"""Codes made by hand: their formulas, lengths and reaches, where these are known."""

import numpy as np
import pytest
import torch
from test_study_reach import Answering

from analyze import SweepSettings
from autoencoder import Autoencoder, encode_squares
from study import codes
from study.codes import (
    BEYOND,
    BY_WIDTH,
    COORDINATES,
    FAMILIES,
    FLAT,
    LEARNED,
    LIFTED,
    UNSEEN,
    WIDEST_CELLS,
    WIDEST_WAVES,
    CodeSettings,
    CodeSpace,
)


def space_of(code, d, **settings):
    return codes.code_space(CodeSettings(code=code, embed_dim=d, **settings))


# ---------------------------------------------------------------------------------------------
# Codes


def test_cells_by_hand():
    """The second cell from the left in the top row, and a square one width below it."""
    middle = np.array([-0.8 + 1.6 / 9, 0.8])
    for name, expected in (("place cells", -0.5), ("pointed cells", -1)):
        code = codes.formula(CodeSettings(code=(name, 0.3), embed_dim=100))
        here, below = code(np.stack([middle, middle - [0, 0.3]]))
        assert here.shape == (100,) and here.argmax() == 91 and here.max() == 1
        assert np.log(below[91]) == pytest.approx(expected)


def test_warped_coordinates_by_hand():
    x, y = 0.3, -0.4  # radius 0.5
    expected = {
        "coordinates": [x, y],
        "r²": [0.15, -0.2],
        "√r": [0.6 * 0.5**0.5, -0.8 * 0.5**0.5],
        "x + 2 x³": [0.354, -0.528],
        "tanh 2 x": [np.tanh(0.6), -np.tanh(0.8)],
        "y + x²": [0.3, -0.31],
    }
    assert list(FLAT) == [(name, 2) for name in expected]
    for code, values in zip(FLAT, expected.values(), strict=True):
        found = codes.formula(CodeSettings(code=code))(np.array([[x, y], [0, 0]]))
        np.testing.assert_allclose(found, [values, [0, 0]], atol=1e-12)


@pytest.fixture
def few_pairs(monkeypatch):
    """Lengths to a few hundredths, quickly."""
    monkeypatch.setattr(codes, "PAIRS", 60)


def test_length_of_many_waves(few_pairs):
    """Their kernel is exp(-r^2 / (2 width^2)), before anything is taken away: 1/2 at the width
    times the root of 2 ln 2."""
    settings = CodeSettings(code=("waves", 0.2), embed_dim=512)
    own = CodeSpace(
        mean=torch.zeros(1), std=torch.ones(1), settings=settings, formula=codes.formula(settings)
    )
    assert codes.length(own) == pytest.approx(0.2 * (2 * np.log(2)) ** 0.5, rel=0.04)


def test_families_are_chosen_by_their_lengths(few_pairs):
    """The six lengths of each go from about 0.1 in about equal steps, at another seed than theirs,
    and the limit for the short ones, 0.12, lies between the first two."""
    for family in FAMILIES.values():
        lengths = [codes.length(space_of(code, 100)) for code in family]
        assert lengths[0] == pytest.approx(0.1, abs=0.01) and lengths[-1] > 0.42
        assert np.diff(lengths) == pytest.approx(0.07, abs=0.03)
        assert lengths[0] < 0.12 < lengths[1]


def test_standardised_over_all_circles():
    """Each number, whatever is left out of the training and whatever the seed, and also in cells
    that no trained square comes near to."""
    radius, angle = np.meshgrid(np.linspace(0.2, 0.8, 200), 2 * np.pi * np.arange(100) / 100)
    centers = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    for code, d in (
        (("place cells", 0.11), 100),
        (("waves", 0.3), 100),
        (LIFTED, 100),
        (COORDINATES, 2),
    ):
        latents = space_of(code, d, unseen_radii=UNSEEN["outwards"]).encode(centers)
        assert latents.shape == (100, 200, d)
        np.testing.assert_allclose(latents.mean((0, 1)), 0, atol=0.05)
        np.testing.assert_allclose(latents.std((0, 1)), 1, atol=0.1)
    spaces = [space_of(("place cells", 0.11), 100, seed=seed) for seed in (5, 6)]
    torch.testing.assert_close(spaces[0].encode(centers[:9]), spaces[1].encode(centers[:9]))


def test_a_learned_code_is_its_autoencoders(monkeypatch):
    """Moved and scaled, and nothing else."""
    settings = CodeSettings(code=("ours", 8), embed_dim=8)
    model = Autoencoder(settings)
    monkeypatch.setattr(codes, "trained_autoencoder", lambda asked: model)
    monkeypatch.setattr(codes, "all_circles", lambda size: np.array([[[0.2, 0.1], [-0.5, 0.6]]]))
    centers = np.random.default_rng(0).uniform(-0.8, 0.8, (3, 2, 2))
    own = encode_squares(model, np.array([[0.2, 0.1], [-0.5, 0.6]]), settings)
    expected = (encode_squares(model, centers, settings) - own.mean(0)) / own.std(0)
    torch.testing.assert_close(codes.code_space(settings).encode(centers), expected)


# ---------------------------------------------------------------------------------------------
# Reach


def test_where_it_falls_below_half_by_hand():
    x = np.array([0.0, 1.0, 2.0, 3.0])
    assert codes.falls_below_half(x, np.array([1, 0.75, 0.25, 0.9])) == 1.5
    assert codes.falls_below_half(x, np.array([1, 0.5, 0.5, 0])) == 2
    assert codes.falls_below_half(x, np.array([1, 0.2, 0.8, 0.1])) == pytest.approx(1 - 0.3 / 0.8)
    assert codes.falls_below_half(x, np.array([0.4, 1, 1, 1])) == 0
    assert codes.falls_below_half(x, np.ones(4)) == 3


@pytest.mark.parametrize("unseen", ["outwards", "inwards"])
def test_reach_of_flows_that_are_known(unseen):
    """One turns frame 0 by 45 degrees. One answers with the nearest trained circle, and so is off
    by its distance: 1.5 pixels at 0.06, and the next circle that is tested is the first one
    where it is wrong. One is a pixel too far out everywhere."""
    space = space_of(COORDINATES, 2, unseen_radii=UNSEEN[unseen])
    scale = space.std[0].item()

    def result(answer):
        network = Answering(lambda radius: answer(radius * scale) / scale)
        return codes.carried(network, space, starts=2)

    turning = result(lambda radius: radius)
    assert turning["reach"] == BEYOND[-1] and turning["trained px"] < 0.2
    assert turning["px"].max() < 0.2
    out = result(lambda radius: radius + 0.04)
    assert out["reach"] == BEYOND[-1] and out["trained px"] == pytest.approx(1, abs=0.15)
    low, high = (0, 0.5) if unseen == "outwards" else (0.5, 1)
    null = result(lambda radius: radius.clip(low, high))
    assert null["reach"] == pytest.approx(0.06, abs=0.005) and null["trained px"] < 0.2
    np.testing.assert_allclose(null["px"], [1.25, 2.5, 3.75, 5], atol=0.2)


def test_a_flow_is_trained_on_its_circles_in_its_own_space(monkeypatch):
    """What it is trained on is coordinates, scaled as where it is tested, within 0.5."""
    seen = []
    monkeypatch.setattr(codes, "train", lambda network, videos, _: seen.append(next(videos)))
    monkeypatch.setattr(codes, "carried", lambda network, space: {"std": space.std})
    result = codes.measure_by_hand(CodeSettings(unseen_radii=UNSEEN["outwards"], seed=5))
    radius = (seen[0] * result["std"]).norm(dim=2)
    assert radius.shape == (256, 8) and 0.2 <= radius.min() < 0.21
    assert 0.49 < radius.max() <= 0.5 + 1e-6 and result["length"] == pytest.approx(0.49, abs=0.03)


def test_what_is_measured(monkeypatch):
    """Everything outwards, three codes inwards; seeds from 5 on."""
    asked = {}
    monkeypatch.setattr(codes, "measured", lambda function, cases, dask: (asked.update(cases), {}))
    codes.analysis(SweepSettings(seeds=2, flow_steps=7))
    outwards = [*BY_WIDTH, LIFTED, *FLAT, *LEARNED]
    inwards = [LIFTED, WIDEST_CELLS, WIDEST_WAVES]
    expected = [(*code, "outwards") for code in outwards] + [(*code, "inwards") for code in inwards]
    assert sorted(asked) == sorted(expected) and len(expected) == 34
    for (name, number, unseen), seeds in asked.items():
        assert [each.seed for each in seeds] == [5, 6]
        for each in seeds:
            assert each.code == (name, number) and each.flow_steps == 7
            assert each.unseen_radii == UNSEEN[unseen]
            d = 100 if (name, number) in (*BY_WIDTH, LIFTED) else number
            assert each.embed_dim == d and each.plain == (name == "plain")
            assert each.hidden_layers == (2 if name == "two hidden" else 0)


# ---------------------------------------------------------------------------------------------
# What is told


def made_up(line=lambda length: 0.05 + 0.4 * length, pointed=0.0, learned=0.0):
    """Numbers of two seeds whose means lie on a line, but for pointed cells and learned codes."""
    numbers = {}

    def put(code, length, reach, unseen="outwards"):
        apart = np.array([-0.01, 0.01])
        case = {"length": length + apart, "reach": reach + 3 * apart, "trained px": 0.1 + apart}
        case["px"] = np.array([1, 2, 3, 4]) + apart[:, None]
        numbers.setdefault(code[0], {}).setdefault(str(code[1]), {})[unseen] = case

    for name, family in FAMILIES.items():
        for i, code in enumerate(family):
            length = 0.1 + 0.07 * i
            put(code, length, line(length) + (pointed if name == "pointed cells" else 0))
    for code in FLAT:
        put(code, 0.49, 0.25)
    put(LIFTED, 0.49, line(0.45) - 0.02)
    for code in (LIFTED, WIDEST_CELLS, WIDEST_WAVES):
        put(code, 0.4, 0.11, "inwards")
    for i, code in enumerate(LEARNED):
        put(code, 0.2, line(0.2) + (-1) ** i * learned)
    return numbers


def test_the_line_and_its_misses():
    """The learned codes miss it by 0.03, up and down in turn; the null, the mean of the families,
    would predict the reach of length 0.275, and so they miss it by 0.03 more."""
    numbers = made_up(learned=0.03)
    np.testing.assert_allclose(codes.fitted_line(numbers, BY_WIDTH).coeffs, [0.4, 0.05])
    by_line, by_null = codes.misses(numbers)
    assert by_line.shape == by_null.shape == (6, 2)
    np.testing.assert_allclose(by_line.mean(1), [0.03, -0.03] * 3, atol=1e-12)
    np.testing.assert_allclose(by_null.mean(1), [0, -0.06] * 3, atol=1e-12)
    # by seed: the reach is 0.03 off its mean, the prediction from the seed's own length 0.004
    np.testing.assert_allclose(by_line[0], [0.03 - 0.026, 0.03 + 0.026])
    told = codes.texts(numbers)
    assert told["by hand, reach, d = 2"] == "0.160 (0.042)"
    assert told["by hand, missed, root mean square"] == "0.030"
    assert told["by hand, missed by the null, root mean square"] == "0.042"
    # plain d = 2 is one of those that the null predicts
    assert told["by hand, missed by the null, without the torn"] == "0.046"


def test_what_is_told_of_made_up_codes():
    told = codes.texts(made_up(pointed=0.02))
    assert told["by hand, pointed off the others' line"] == "+0.020 to +0.020"
    assert told["by hand, widest place cells minus lifted"] == "+0.020 ± 0.000"
    assert told["by hand, up to length 0.12 at most"] == "0.110"  # of pointed cells: 0.09 + 0.02
    assert told["by hand, inwards, lifted"] == "0.110 (0.042)"
    assert told["by hand, pointed behind place cells"] == "-0.02 to -0.02"
    assert told["by hand, Spearman, waves"] == "1.00"
    table = told["by hand, table"].splitlines()
    assert len(table) == 2 + 8
    assert table[2].startswith("| waves, 0.085 wide | 0.10 (0.01) | 0.10 (0.01) | 1.00 (0.01) |")
    assert table[9].startswith("| lifted | 0.49 (0.01) |")

    def falling_at_the_end(length):  # 1 2 3 4 6 5, so 1 - 6 * 2 / (6 * 35)
        return length if length < 0.41 else 0.35

    told = codes.texts(made_up(line=falling_at_the_end))
    assert told["by hand, Spearman, place cells"] == "0.94"
