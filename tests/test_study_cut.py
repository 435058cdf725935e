"""Cutting the past: on flows of which it is known whether they need it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from data import render
from flow import FlowSettings, possible_futures, posterior, posterior_mean
from sample import euler_steps, exact_flow, random_given_centers
from study import cut
from study.measures import MOSTLY_CCW, study_stream
from study.question import read_numbers, write_numbers

SCALE = 5.0  # of the coordinates: the direction is decided at about step 8


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(cut, "VIDEOS", 250)
    monkeypatch.setattr(cut, "DECODED", 20)


def space_of_coordinates(**changes):
    """A latent space whose latents are the squares' centres, times SCALE."""
    return SimpleNamespace(
        settings=FlowSettings(embed_dim=2, **changes),
        encode=lambda centers: torch.from_numpy(SCALE * centers).float(),
        decode=lambda z: torch.from_numpy(render(z.reshape(len(z), -1, 2).numpy() / SCALE)),
    )


def cuts(space, make_flow=exact_flow):
    """cuts() of random videos. make_flow() makes their flow, from the space and given centres."""
    rng = study_stream(0, "branches")
    given_centers = random_given_centers(space.settings, cut.VIDEOS, rng)
    return cut.cuts(make_flow(space, given_centers), space, given_centers, rng)


class Forgetful:
    """A flow with a memory: exact as long as it is handed the states that it made itself. Where it
    finds another one, it has lost the thread, and predicts the middle of the frame."""

    def __init__(self, space, given_centers):
        self.exact = exact_flow(space, given_centers)
        self.expected, self.lost = torch.zeros(0), False

    def __call__(self, x, t):
        mean = self.exact(x, t)
        at_the_start = t[0, 0] == 0
        self.lost = not at_the_start and (self.lost or not torch.equal(x, self.expected))
        if self.lost:
            mean = 0 * mean
        self.expected = x + (mean - x) / (cut.STEPS - round(t[0, 0].item() * cut.STEPS))
        return mean


def test_cut_state_by_hand():
    z, noise = torch.tensor([[1.0, 2.0]]), torch.tensor([[10.0, -10.0]])
    torch.testing.assert_close(cut.cut_state(z, 0, noise), noise)
    torch.testing.assert_close(cut.cut_state(z, 10, noise), torch.tensor([[8.2, -7.6]]))
    torch.testing.assert_close(cut.cut_state(z, 50, noise), z)


def test_choices_by_hand():
    p, uniform = torch.tensor([0.9, 0.6, 0.4, -0.1, 1.2]), torch.tensor([0.7, 0.62, 0.3, 0.0, 1.0])
    exact = torch.tensor([0.6, 0.7, 0.2, 0.1, 0.9])
    told = cut.choose_ccw(p, exact, torch.full((5,), 0.65), uniform)
    assert told["posterior"].tolist() == [True, False, True, False, True]
    assert told["exact posterior"].tolist() == [False, True, False, True, False]
    assert told["coin"].tolist() == [False, False, True, True, False]
    assert told["likelier"].tolist() == [True, True, False, False, True]
    assert told["blind"].tolist() == [False, True, True, True, False]


def test_the_exact_flow_needs_nothing_but_the_posterior(few):
    result = cuts(space_of_coordinates(turns=MOSTLY_CCW))
    assert result["uncut: right"] == 1 and (result["cut: right"] == 1).all()
    assert result["uncut: px"] < 0.1 and (result["cut: px"] < 0.1).all()
    assert result["every step: right"] == 1 and result["every step: px"] < 0.1
    assert result["uncut: ccw"] == pytest.approx(0.8, abs=0.08)
    np.testing.assert_allclose(result["posterior: ccw"], 0.8, atol=0.08)
    np.testing.assert_allclose(result["mean q"], 0.8, atol=0.08)  # its own states know the odds
    assert result["mean q"][0] == pytest.approx(0.8, abs=1e-4)
    for name in ("ccw", "same", "as chosen"):  # the exact flow's own posterior is the exact one
        np.testing.assert_allclose(
            result[f"exact posterior: {name}"], result[f"posterior: {name}"], atol=0.01
        )
    drawn = result["every step, exact posterior: ccw"]
    assert drawn == pytest.approx(result["every step, posterior: ccw"], abs=0.03)


def test_what_the_choice_of_the_direction_does(few):
    """At step 0 there is none; the likelier one raises the share; a blind one keeps it and loses
    the video's own direction, which the posterior holds the better the later the cut."""
    result = cuts(space_of_coordinates(turns=MOSTLY_CCW))
    for name in ("ccw", "same"):
        first = [result[f"{choice}: {name}"][0] for choice in cut.CHOICES]
        assert first == [first[0]] * 5
    assert result["every step, likelier: ccw"] > result["uncut: ccw"] + 0.05
    assert result["every step, posterior: ccw"] == pytest.approx(0.8, abs=0.08)
    assert result["every step, blind: ccw"] == pytest.approx(0.8, abs=0.08)
    assert result["every step, coin: ccw"] == pytest.approx(0.5, abs=0.1)
    np.testing.assert_allclose(result["coin: ccw"][-2:], 0.5, atol=0.1)
    np.testing.assert_allclose(result["blind: ccw"][-3:], 0.8, atol=0.08)
    np.testing.assert_allclose(result["blind: same"][-3:], 0.68, atol=0.1)  # 0.8^2 + 0.2^2
    assert result["posterior: same"][-1] == 1 and result["likelier: same"][-1] == 1
    assert result["posterior: same"][0] < 0.8
    for choice in cut.CHOICES:
        assert result[f"{choice}: as chosen"][-1] == 1
    assert result["blind: as chosen"][0] < 0.8


def test_a_flow_with_a_memory_is_found_out(few):
    result = cuts(space_of_coordinates(), Forgetful)
    assert result["uncut: right"] == 1
    assert result["cut: right"][0] == 1  # a cut at step 0 is a new start
    assert (result["cut: right"][1:] < 0.1).all() and (result["cut: px"][1:] > 4).all()
    assert result["every step: right"] < 0.1
    assert result["uncut: ccw"] == pytest.approx(0.5, abs=0.1)


def test_the_networks_own_share_is_drawn_from(few):
    """Not the exact posterior: a network that is sure of clockwise draws clockwise."""

    def sure(space, given_centers):
        futures, _ = possible_futures(space, given_centers)
        return lambda x, t: futures[:, 1]

    result = cuts(space_of_coordinates(), sure)
    for name in ("uncut: ccw", "posterior: ccw", "likelier: ccw", "blind: ccw"):
        assert np.all(result[name] == 0)
    np.testing.assert_array_equal(result["posterior: as chosen"], 1)
    np.testing.assert_allclose(result["mean q"], 0, atol=1e-6)
    np.testing.assert_allclose(result["blind: as chosen"], 0.5, atol=0.12)
    # The exact posterior doesn't know how sure the network is, until the states lean, too.
    assert result["exact posterior: as chosen"][0] == pytest.approx(0.5, abs=0.12)
    assert result["exact posterior: as chosen"][-1] == 1


def test_the_share_of_the_exact_flow_is_the_posterior():
    """And it is that of the state at the step of the cut."""
    space = space_of_coordinates(turns=MOSTLY_CCW)
    futures, prior = possible_futures(space, np.array([[[0.5, 0.2]], [[0.1, -0.3]]]))
    x = torch.randn((2, 14), generator=torch.Generator().manual_seed(0))
    walk = euler_steps(lambda x, t: posterior_mean(x, t, futures, prior), x, cut.STEPS)
    for k, (state, mean) in enumerate(walk):
        if k < cut.STEPS:
            t = torch.full((2, 1), k / cut.STEPS)
            exact = posterior(state, t, futures, prior)[:, 0]
            torch.testing.assert_close(cut.ccw_fraction(mean, futures), exact)


def test_the_mean_is_over_all_cut_steps_of_each_seed():
    value = {"seeds": np.array([[0.5] * 6 + [1.2], [0.7] * 6 + [1.4]]), "mean": None}
    np.testing.assert_allclose(cut.over_cuts(value)["seeds"], [0.6, 0.8])


def test_figure_and_texts(tmp_path, monkeypatch):
    monkeypatch.setattr(cut, "VIDEOS", 40)
    result = cuts(space_of_coordinates(turns=MOSTLY_CCW))
    seeds = []
    for extra in (0.0, 0.2):
        seed = {f"{which}, {name}": x for which in cut.FLOWS for name, x in result.items()}
        seed["learned, posterior: ccw"] = seed["learned, uncut: ccw"] - np.full(7, extra)
        seeds.append(seed)
    runs = {f"d = {dim}, {prior}": seeds for prior in cut.PRIORS for dim in cut.DIMS}
    write_numbers(tmp_path, "cut", runs, 1)
    numbers, pictures, _ = read_numbers(tmp_path, "cut")
    assert len(cut.draw(numbers, pictures).get_axes()) == 4
    told = cut.texts(numbers)
    assert told["d = 2, even: learned, ccw, cut"] == "-10.0 ± 10.0"
    assert told["d = 2, even: learned, ccw, cut at 5"] == "-10.0 ± 10.0"
    assert told["one cut, most"] == "10.0"
    assert told["d = 2, even: exact, ccw, cut"].endswith("± 0.0")
    assert len(told["table"].splitlines()) == 2 + 8
