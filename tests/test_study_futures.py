"""More than two futures: the measures on data whose answer is known."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import changed

from analyze import over_seeds
from autoencoder import LEAK
from data import distinct_turns, possible_orbits, random_first_centers, render
from flow import FlowSettings, possible_futures, posterior, posterior_mean
from sample import Samples
from study import futures

FOUR = (1, -1, 2, -2)
UNEVEN = futures.FUTURES["four uneven"]


class Pixels:
    """An autoencoder that changes nothing: its latents are the pixels. So the mean of latents is
    the average of the frames."""

    def encode(self, frames):
        return frames.flatten(1)

    def decode(self, latents, leak=LEAK):
        return latents.reshape(-1, 51, 51)


class PixelSettings(FlowSettings):
    """Settings that allow as many numbers a frame as it has pixels."""

    def __post_init__(self):
        pass


@pytest.fixture(scope="module")
def pixels():
    """Four futures in the space of pixels."""
    settings = PixelSettings(embed_dim=51 * 51, turns=FOUR)
    return futures.LatentSpace(
        Pixels(), torch.zeros(1), torch.ones(1), settings
    )  # mean and standard deviation that change nothing


def finished(space, first_centers, taken) -> Samples:
    """Samples that are true videos of these turns (numbered), and whose posterior mean at step 0 is
    the prior's."""
    given_centers = first_centers[:, None]
    possible, prior = possible_futures(space, given_centers)
    end = possible[torch.arange(len(taken)), torch.tensor(taken)]
    mean = (prior[:, :, None] * possible).sum(1)
    return Samples(torch.stack([0 * end, end]), torch.stack([mean, end]))


# ---------------------------------------------------------------------------------------------
# Small tools


@pytest.mark.parametrize(
    "turns, frames",
    [
        ((1, -1), [1, 2, 3, 5, 6, 7]),
        ((1, -1, 2), [1, 2, 3, 5, 6, 7]),
        (FOUR, [1, 3, 5, 7]),  # in frame 2 the turns 2 and -2 meet, in frame 4 also 1 and -1
        ((4, 0), [1, 3, 5, 7]),
        ((0, 1, -1, 2, -2, 3, -3, 4), [1, 3, 5, 7]),
    ],
)
def test_frames_in_which_all_futures_differ(turns, frames):
    assert futures.different_frames(np.array(turns)) == frames


def test_frames_differ_as_the_orbits_do():
    for turns in ((1, -1), (1, -1, 2), FOUR, (1, -3), (0, 3, 4)):
        orbits = possible_orbits(np.array([[0.7, 0.1]]), turns)[0].round(6)  # (k, 8, 2)
        differ = [i for i in range(8) if len(np.unique(orbits[:, i], axis=0)) == len(turns)]
        assert futures.different_frames(np.array(turns)) == differ


def test_total_variation_by_hand():
    a, b = np.array([[0.5, 0.5, 0.0], [1, 0, 0]]), np.array([[0.25, 0.25, 0.5], [0, 0, 1]])
    np.testing.assert_allclose(futures.total_variation(a, b), [0.5, 1])
    tensors = futures.total_variation(torch.tensor(a), torch.tensor(b))
    torch.testing.assert_close(tensors, torch.tensor([0.5, 1.0], dtype=torch.float64))


def test_distances_by_chance_of_a_coin():
    """The share of heads in n throws has the standard deviation 1 / (2 sqrt(n)), and a normal
    number is sqrt(2 / pi) standard deviations from its mean on average."""
    told = futures.distances_by_chance(np.array([0.5, 0.5]), 400, np.random.default_rng(0))
    assert told["sample to prior"] == pytest.approx((2 / np.pi) ** 0.5 / 40, rel=0.05)
    assert told["two samples"] == pytest.approx((2 / np.pi) ** 0.5 / 40 * 2**0.5, rel=0.05)
    sure = futures.distances_by_chance(np.array([1.0, 0.0]), 400, np.random.default_rng(0))
    assert sure == {"two samples": 0, "sample to prior": 0}


def test_weights_of_known_mixtures():
    """Also of one that has a weight below 0; and what is at right angles to all mixtures, or how
    far the futures are from zero, changes nothing."""
    torch.manual_seed(0)
    possible = torch.randn(3, 4, 20) + 5
    weights = torch.tensor([[0.1, 0.2, 0.3, 0.4], [1, 0, 0, 0], [0.6, 0.6, 0.1, -0.3]])
    mean = (weights[:, :, None] * possible).sum(1)
    torch.testing.assert_close(futures.weights_of(mean, possible), weights, atol=1e-4, rtol=0)
    from_last = (possible[:, :-1] - possible[:, -1:]).transpose(1, 2)
    q, _ = torch.linalg.qr(from_last)
    off = torch.randn(3, 20, 1)
    off = (off - q @ (q.transpose(1, 2) @ off))[:, :, 0]
    got = futures.weights_of(mean + 3 * off, possible)
    torch.testing.assert_close(got, weights, atol=1e-3, rtol=0)
    # with a sum that isn't 1 the nearest mixture is meant: halfway between 1 and -1 is 0
    line = torch.tensor([[[1.0, 1.0], [-1.0, 1.0]]])
    zero = futures.weights_of(torch.tensor([[0.0, 0.0]]), line)
    torch.testing.assert_close(zero, torch.tensor([[0.5, 0.5]]))


def test_weights_of_the_exact_posterior_mean_are_the_posterior():
    torch.manual_seed(0)
    possible = torch.randn(50, 4, 14)
    prior = torch.tensor([[0.5, 0.25, 0.125, 0.125]]).repeat(50, 1)
    x, t = torch.randn(50, 14), torch.full((50, 1), 0.3)
    weights = futures.weights_of(posterior_mean(x, t, possible, prior), possible)
    torch.testing.assert_close(weights, posterior(x, t, possible, prior), atol=1e-4, rtol=0)


# ---------------------------------------------------------------------------------------------
# What comes out


def test_both_flows_get_the_same_first_frames_and_noise(tiny):
    given_centers, both = futures.sample_both(tiny[0], tiny[1], 5)
    learned, exact = both["learned"], both["exact"]
    torch.testing.assert_close(learned.states[0], exact.states[0])
    assert not torch.equal(learned.states[-1], exact.states[-1])
    again, _ = possible_futures(tiny[1], given_centers)
    assert (exact.states[-1][:, None] - again).norm(dim=2).min(1).values.max() < 1e-3


def test_outcomes_of_known_videos(pixels):
    space = changed(pixels, turns=UNEVEN)
    first = random_first_centers(8, np.random.default_rng(0), 0.8)
    both = {
        "learned": finished(space, first, [0, 0, 0, 0, 1, 1, 2, 2]),
        "exact": finished(space, first, [0, 0, 0, 1, 1, 2, 2, 3]),
    }
    both["learned"].states[-1][7] = space.encode(np.full((1, 7, 2), 0.3)).flatten()  # a wrong one
    told = futures.outcomes(first[:, None], both, space)
    np.testing.assert_allclose(told["prior"], [0.5, 0.25, 0.125, 0.125])
    assert told["right, learned"] == 7 / 8 and told["right, exact"] == 1
    assert told["pixels off, exact"] < 0.01 and told["same turn"] == 5 / 8
    np.testing.assert_allclose(told["shares, exact"], [0.375, 0.25, 0.25, 0.125])
    assert told["to prior, exact"] == pytest.approx(0.125)
    learned = told["shares, learned"]
    assert learned.sum() == pytest.approx(1) and learned[0] >= 0.5
    assert told["learned to exact"] == pytest.approx(abs(learned - told["shares, exact"]).sum() / 2)
    assert told["same turn by chance"] == pytest.approx(learned @ told["shares, exact"])
    chance = futures.distances_by_chance(told["prior"], 8, np.random.default_rng(1))
    assert told["two samples"] == pytest.approx(chance["two samples"], rel=0.1)


def test_ccw_of_many(learned):
    """Flows that know all: one that is the exact flow, and one that always runs clockwise."""
    _, space = learned
    space = changed(space, turns=(1, 1, 1, 1, -1))
    rng = futures.random_stream(space.settings.seed, "counting")
    possible, prior = possible_futures(
        space, futures.random_given_centers(space.settings, 300, rng)
    )

    told = futures.ccw_of_many(
        lambda x, t, given: posterior_mean(x, t, possible, prior), space, n=300
    )
    assert told["learned"] == told["exact"] and told["same turn"] == 1
    assert told["learned - exact"] == 0
    assert told["exact"] == pytest.approx(0.8, abs=0.07)
    assert told["exact, 500 steps"] == pytest.approx(0.8, abs=0.07)
    assert told["exact - prior"] == pytest.approx((told["exact"] - 0.8) / (0.16 / 300) ** 0.5)

    told = futures.ccw_of_many(lambda x, t, given: possible[:, 1], space, n=300)
    assert told["learned"] == 0 and told["same turn"] == pytest.approx(1 - told["exact"])
    assert told["learned - exact"] == pytest.approx(-told["exact"] / (0.16 / 300) ** 0.5)


# ---------------------------------------------------------------------------------------------
# What the posterior mean holds


def test_weights_in_the_latent_of_known_flows(learned):
    """The exact flow holds the posterior, and one that answers with the prior is as far off as the
    null; what is added off the futures is told apart."""
    _, space = learned
    space = changed(space, turns=UNEVEN)
    n = 100
    rng = futures.study_stream(space.settings.seed, "calibration")
    first = random_first_centers(4 * n, rng, 0.8)
    first = first[np.linalg.norm(first, axis=1) > futures.MIN_RADIUS][:n]
    possible, prior = possible_futures(space, first[:, None])
    prior_mean = (prior[:, :, None] * possible).sum(1)

    exact = futures.in_the_latent(
        lambda x, t, given: posterior_mean(x, t, possible, prior), space, n
    )
    assert exact["weights to exact"] < 1e-3 and exact["prior to exact"] > 0.2
    assert exact["off the futures"] < 1e-4 and 1 <= exact["condition"] < 10
    expected = distinct_turns(UNEVEN)[1]
    np.testing.assert_allclose(exact["weights at t = 0"], expected, atol=1e-4)

    blind = futures.in_the_latent(lambda x, t, given: prior_mean, space, n)
    assert blind["weights to exact"] == pytest.approx(blind["prior to exact"], abs=1e-4)
    assert blind["prior to exact"] == pytest.approx(exact["prior to exact"])

    first_only = futures.in_the_latent(lambda x, t, given: possible[:, 0], space, n)
    np.testing.assert_allclose(first_only["weights at t = 0"], [1, 0, 0, 0], atol=1e-4)
    assert first_only["weights to exact"] > exact["prior to exact"] / 2
    off = futures.in_the_latent(lambda x, t, given: prior_mean + 1, space, n)
    assert off["off the futures"] > 0.1


def test_the_noisy_videos_span_the_times_at_which_the_turn_is_decided(learned):
    """Up to twice t_S: there the posterior is everything between the prior and certainty."""
    _, space = learned
    seen = []

    def network(x, t, given):
        seen.append(t)
        return torch.zeros_like(x)

    futures.in_the_latent(network, changed(space, turns=FOUR), 100)
    times, at_0 = seen
    assert at_0.abs().max() == 0
    t_s = futures.speciation_time(
        possible_futures(changed(space, turns=FOUR), np.array([[[0.7, 0.0]]]))[0]
    )
    assert times.mean() == pytest.approx(t_s.item(), rel=0.25)
    assert 1.5 * t_s < times.max() <= 0.9


# ---------------------------------------------------------------------------------------------
# What one sees


@pytest.mark.parametrize(
    "turns, expected", [((1, -1), 2), ((1, -1, 2), 3), (FOUR, 4), ((1, 1, 1, 1, -1), 1)]
)
def test_squares_of_pictures_that_add(pixels, turns, expected):
    """The mean of pixels shows all futures if they are even, and only the likelier one at 80 %."""
    space = changed(pixels, turns=turns)
    first = random_first_centers(60, np.random.default_rng(0), 0.8)
    videos = finished(space, first, [0] * 60)
    both = {"learned": videos, "exact": videos}
    told = futures.squares_at_step_0(first[:, None], both, space)
    for name in ("learned", "exact", "average", "no clip"):
        assert told[f"squares, {name}"] == pytest.approx(expected, abs=0.15)
    assert told["squares, learned"] == told["squares, average"]
    assert told["all, learned"] == (0 if expected == 1 else pytest.approx(1, abs=0.15))
    assert told["squares, noise"] == 0  # black frames
    places = {(1, -1): 1, (1, -1, 2): 2, FOUR: 2}.get(turns, 1)
    assert told["places in frame 4"] == places
    if turns != (1, -1, 2):  # there the rarer one is exactly half as bright
        assert told["frame 4, learned"] == places == told["frame 4, exact"]


def test_squares_of_one_future_alone(pixels):
    """The learned flow and the exact one aren't mixed up, nor step 0 and the finished video."""
    first = random_first_centers(60, np.random.default_rng(0), 0.8)
    videos = finished(pixels, first, [2] * 60)
    decided = Samples(videos.states, videos.states[[1, 0]])
    both = {"learned": decided, "exact": videos}
    told = futures.squares_at_step_0(first[:, None], both, pixels)
    assert told["squares, learned"] == 1 and told["all, learned"] == 0
    assert told["squares, exact"] > 3.8 and told["squares, no clip"] > 3.8
    assert told["frame 4, learned"] == 1 and told["frame 4, exact"] == 2
    assert 0.05 < told["frames"] < 0.6


def test_only_frames_count_in_which_squares_would_be_separate(pixels):
    """On a small circle all four squares overlap."""
    first = np.array([[0.8, 0.0], [0.3, 0.0], [0.3, 0.1]])
    videos = finished(pixels, first, [0, 0, 0])
    both = {"learned": videos, "exact": videos}
    told = futures.squares_at_step_0(first[:, None], both, pixels)
    separate = futures.count_blobs(
        render(possible_orbits(first[:1], FOUR)[:, :, [1, 3, 5, 7]]).max(1)
    )
    assert told["frames"] == pytest.approx((separate == 4).sum() / 12)


def test_decoding_without_the_clip_shows_what_is_darker_than_black(space_100):
    """A faint square on a background that is far below black."""
    dark = SimpleNamespace(decode=lambda z, leak: torch.from_numpy(0.2 * square - 0.5) * leak)
    square = render(np.array([[0.3, 0.0], [0.0, 0.5]]))
    space = replace(space_100, autoencoder=dark)
    frames = futures.decode_without_clip(space, torch.zeros(2, 100))
    np.testing.assert_allclose(frames, square, atol=1e-6)
    # the latents are moved and scaled back to the autoencoder's own
    own = space_100.autoencoder.encode(torch.from_numpy(square))
    drawn = space_100.autoencoder.decode(own, leak=1).detach().numpy()
    drawn -= np.median(drawn, axis=(1, 2), keepdims=True)
    frames = futures.decode_without_clip(space_100, space_100.standardize(own))
    expected = drawn / drawn.max((1, 2), keepdims=True)
    np.testing.assert_allclose(frames, expected, atol=1e-3)


def test_the_picture_is_that_of_the_largest_circle(pixels):
    first = np.array([[0.5, 0.0], [0.0, 0.8], [0.6, 0.0]])
    learned, exact = (finished(pixels, first, [k, k, k]) for k in (3, 0))
    frames = futures.picture(first[:, None], {"learned": learned, "exact": exact}, pixels)
    assert frames.shape == (2, 8, 51, 51)
    orbits = possible_orbits(first[1:2], FOUR)[0]
    np.testing.assert_allclose(frames[1], render(orbits[3]), atol=1e-6)
    np.testing.assert_allclose(frames[0, 1:], render(orbits[:, 1:]).mean(0), atol=1e-6)


# ---------------------------------------------------------------------------------------------
# How bright


def test_brightness_of_a_decoder_that_blends():
    told = futures.brightness(Pixels(), FlowSettings(), n=20)
    np.testing.assert_allclose(told["light"], futures.PROBABILITIES, atol=1e-5)
    np.testing.assert_array_equal(np.flatnonzero(told["two squares"] > 0.5), [3])
    assert told["raw light"][0] < 0.1 and 0.9 < told["raw light"][-1] <= 1


def test_brightness_with_and_without_a_clip():
    """A decoder that is a blend before its clip, from -1 to 2 instead of from 0 to 1."""

    class Steep(Pixels):
        def decode(self, latents, leak=LEAK):
            x = 3 * super().decode(latents) - 1
            return x.clamp(0, 1) + leak * (x - x.clamp(0, 1))

    clipped = futures.brightness(Steep(), FlowSettings(), n=20)
    assert clipped["light"][1] < 0.05 and clipped["light"][5] > 0.95
    assert clipped["raw light"].min() >= 0 and clipped["raw light"].max() <= 1
    free = futures.brightness(Steep(), FlowSettings(), leak=1, n=20)
    np.testing.assert_allclose(free["light"], futures.PROBABILITIES, atol=1e-4)
    assert free["raw light"][0] < -0.7 and free["raw light"][-1] > 1.5


# ---------------------------------------------------------------------------------------------
# All of it


@pytest.fixture(scope="module")
def numbers_and_pictures(tiny):
    """The results of all cases, of tiny networks and a few videos."""
    network, space = tiny
    cases = {}
    names = [(dim, name) for dim in futures.DIMS for name in futures.FUTURES]
    for dim, name in [*names, (100, futures.LONGER)]:
        turns = futures.FUTURES.get(name, FOUR)
        one = changed(space, turns=turns)
        given_centers, both = futures.sample_both(network, one, 20)
        cases[f"d = {dim}, {name}"] = (
            futures.outcomes(given_centers, both, one)
            | futures.in_the_latent(network, one, 20)
            | futures.squares_at_step_0(given_centers, both, one)
            | {"picture": futures.picture(given_centers, both, one)}
        )
    uneven = changed(space, turns=futures.MOSTLY_CCW)
    for dim in futures.DIMS:
        cases[futures.many(dim)] = futures.ccw_of_many(network, uneven, 20)
        cases[f"d = {dim}, decoder alone"] = futures.brightness(Pixels(), FlowSettings(), n=3)
    cases["d = 100, decoder without its clip"] = futures.brightness(Pixels(), FlowSettings(), n=3)
    pictures = {name: value["picture"] for name, value in cases.items() if "picture" in value}
    return {name: over_seeds([value, value]) for name, value in cases.items()}, pictures


def test_figure_and_texts(numbers_and_pictures):
    numbers, pictures = numbers_and_pictures
    figure = futures.draw(numbers, pictures)
    assert len(figure.axes) == 5
    told = futures.texts(numbers)
    assert all(isinstance(text, str) and text for text in told.values())
    for name in ("table", "second table"):
        lines = told[name].splitlines()
        assert len(lines) == 2 + len(futures.FUTURES) + 1
        assert len({line.count("|") for line in lines}) == 1
    line = next(line for line in told["table"].splitlines() if line.startswith("| three even"))
    value = numbers["d = 100, three even"]["right, learned"]["mean"]
    assert line.split("|")[3].strip() == f"{value:.3f}"


def test_the_cases_and_their_settings(monkeypatch):
    """Which networks are measured by what, without measuring."""
    measured = {}
    monkeypatch.setattr(
        futures,
        "measure",
        lambda function, cases, dask: measured.setdefault(function.__name__, cases),
    )
    futures.analysis(futures.SweepSettings(seeds=2, flow_steps=30))
    cases = measured["measure_futures"]
    assert len(cases) == 11 and {len(seeds) for seeds in cases.values()} == {2}
    assert cases["d = 2, two, 80/20"][1].turns == (1, 1, 1, 1, -1)
    assert cases["d = 100, four uneven"][0].turns == (1, 1, 1, 1, -1, -1, 2, -2)
    longer = cases[f"d = 100, {futures.LONGER}"][0]
    assert (longer.flow_steps, longer.turns, longer.embed_dim) == (60, FOUR, 100)
    assert {s.turns for s in measured["measure_many"][futures.many(100)]} == {(1, 1, 1, 1, -1)}
    assert measured["measure_brightness"]["d = 100, decoder alone"][0].embed_dim == 100
