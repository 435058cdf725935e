"""What a state is made of: measured on states and frames whose answer is known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import changed

from analyze import SweepSettings
from data import possible_orbits, render
from flow import possible_futures, posterior_mean
from sample import Samples, euler_steps
from study import measures, state
from study.measures import FRAMES
from study.question import read_numbers, write_numbers

N, D = 400, 6
WAYS = possible_orbits(np.array([[0.7, 0.1]]))[0]  # (2, 8, 2), both ways from one first centre


def two_videos(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """A taken and another video for each of N samples, (N, D) each, that are 4 apart and, as in the
    project, equally long."""
    torch.manual_seed(seed)
    middle, way = torch.randn(2, N, D)
    way -= (way * middle).sum(1, keepdim=True) / (middle**2).sum(1, keepdim=True) * middle
    half = 2 * way / way.norm(dim=1, keepdim=True)
    return middle + half, middle - half


def walked(seed: int = 0, steps: int = 50) -> state.BothWays:
    """Videos of the exact flow between two_videos(), each with the way that it took."""
    futures = torch.stack(two_videos(seed), dim=1)
    prior = torch.full((N, 2), 0.5)
    noise = torch.randn(N, D)
    walk = euler_steps(lambda x, t: posterior_mean(x, t, futures, prior), noise, steps)
    states, means = map(torch.stack, zip(*walk))
    took = (states[-1][:, None] - futures).norm(dim=2).argmin(1)
    i = torch.arange(N)
    nowhere = np.zeros((N, 8, 2))
    z_taken, z_other = futures[i, took], futures[i, 1 - took]
    samples = Samples(states, means)
    return state.BothWays(nowhere[:, :1], samples, z_taken, z_other, nowhere, nowhere)


# ---------------------------------------------------------------------------------------------
# In the latent


def test_share_by_hand():
    """The coefficient of the other video: also outside of 0 to 1, and whatever lies off
    the line."""
    taken, other = torch.tensor([[3.0, 1.0]]), torch.tensor([[-1.0, 1.0]])
    for latent, share in (
        ([3.0, 1.0], 0.0),
        ([-1.0, 1.0], 1.0),
        ([1.0, 9.0], 0.5),
        ([2.0, 0.0], 0.25),
        ([5.0, 1.0], -0.5),
    ):
        assert state.other_share(torch.tensor([latent]), taken, other).item() == share


def test_share_is_that_of_a_regression():
    """The same by least squares with coefficients that add up to 1."""
    taken, other = two_videos()
    latents = torch.randn(N, D)
    a, b = taken[0].numpy(), other[0].numpy()
    coefficient = np.linalg.lstsq((b - a)[:, None], latents[0].numpy() - a)[0]
    assert state.other_share(latents, taken, other)[0].item() == pytest.approx(
        *coefficient, abs=1e-5
    )


def test_a_state_is_its_noise_and_a_weighted_sum_of_posterior_means():
    """The formula in the docstring, with posterior means that are no flow at all: it would find a
    wrong share of the noise, or a shift of one step."""
    n_steps = 7
    torch.manual_seed(0)
    guesses = torch.randn(n_steps, 5, D)
    walk = euler_steps(
        lambda x, t: guesses[round(t[0].item() * n_steps)], torch.randn(5, D), n_steps
    )
    states, means = map(torch.stack, zip(*walk))
    t, noise_part, running_mean = state.take_apart(states)
    torch.testing.assert_close(noise_part + running_mean, states)
    for k in range(n_steps):
        weights = [(n_steps - k) / ((n_steps - j) * (n_steps - j - 1)) for j in range(k)]
        assert sum(weights) == pytest.approx(k / n_steps)
        expected = sum((w * means[j] for j, w in enumerate(weights)), torch.zeros(5, D))
        torch.testing.assert_close(running_mean[k], expected)
        torch.testing.assert_close(noise_part[k], (1 - k / n_steps) * states[0])
        assert t[k].item() == pytest.approx(k / n_steps)


def test_a_state_without_memory_lies_on_its_side():
    """It is t z + (1 - t) noise where that is on the side of the taken video, and its mirror image
    where it isn't; and so its share is what the normal distribution says."""
    taken, other = (z + 1 for z in two_videos())  # of different lengths, so that the middle counts
    fresh, t = torch.randn(N, D), torch.tensor([[[0.0]], [[0.3]], [[0.5]]])
    x = state.state_without_memory(t, taken, other, fresh)
    plain = t * taken + (1 - t) * fresh
    for k in (1, 2):
        share = state.other_share(x[k] / t[k], taken, other)
        before = state.other_share(plain[k] / t[k], taken, other)
        assert share.max() < 0.5 + 1e-5 and before.max() > 0.5
        torch.testing.assert_close(share, torch.minimum(before, 1 - before), atol=1e-5, rtol=0)
        same = before < 0.5
        torch.testing.assert_close(x[k][same], plain[k][same])
    # a mirror changes no length, seen from the middle; at t = 0 the noise itself is mirrored
    middle = (taken + other) / 2
    torch.testing.assert_close((x - t * middle).norm(dim=2), (plain - t * middle).norm(dim=2))
    assert ((x[0] * (taken - other)).sum(1) > -1e-4).all()


def test_shares_of_states_whose_answer_is_known():
    """Made of fresh noise and 0, 30 or 50 % of the other video: that is what has to be found. And
    the same with the parts: the noise part takes away what the running mean has too much."""
    taken, other = two_videos()
    t = torch.arange(51)[:, None, None] / 50
    noise = torch.randn(N, D)
    for share in (0.0, 0.3, 0.5):
        mix = (1 - share) * taken + share * other
        states = (1 - t) * noise + t * mix
        samples, nowhere = Samples(states, mix.expand(51, N, D)), np.zeros(0)
        videos = state.BothWays(nowhere, samples, taken, other, nowhere, nowhere)
        told = state.latent_shares(videos, torch.randn(N, D))
        assert np.isnan(told["state"][0]) and not np.isnan(told["posterior mean"]).any()
        np.testing.assert_allclose(told["running mean"][1:], share, atol=1e-4)
        np.testing.assert_allclose(told["posterior mean"], share, atol=1e-5)
        # of N videos: the noise along the way is 1/4 of the distance / sqrt(N), times (1 - t) / t
        assert told["state"][20] == pytest.approx(share, abs=4 * 0.25 * 1.5 / N**0.5)
        assert told["state"][50] == pytest.approx(share, abs=1e-5)
        np.testing.assert_allclose(
            told["state"][1:], (told["running mean"] + told["noise part"])[1:], atol=1e-4
        )
        assert told["undecided state"][20] == pytest.approx(0.5, abs=0.08)


def test_the_exact_flow_with_small_steps_has_no_memory():
    """Its states have the law of the state without memory, though the running mean alone would say
    that they hold much of the other direction: this is the trap."""
    videos = walked()
    told = state.latent_shares(videos, torch.randn(N, D))
    futures, prior = torch.stack([videos.z_taken, videos.z_other], dim=1), torch.full((N, 2), 0.5)

    def exact(x, t):
        return posterior_mean(x, t, futures, prior)

    small = state.shares_with_small_steps(videos, exact)
    as_before = state.shares_with_small_steps(videos, exact, finer=1)
    np.testing.assert_allclose(as_before[1:], told["state"][1:], atol=1e-4)
    assert small.shape == (51,) and np.isnan(small[0])
    for step in (10, 20, 30):
        assert small[step] == pytest.approx(told["state without memory"][step], abs=0.05)
        assert told["running mean"][step] > small[step] + 0.1
        assert told["noise part"][step] < -0.1
        assert told["undecided state"][step] > small[step] + 0.1


# ---------------------------------------------------------------------------------------------
# In the pictures


def test_extra_pixels_by_hand():
    """A state that shows the taken square, what is left of the noise, and what the flow has
    in mind: a mix-up of the four kinds of frames, of the videos or of the masks would change
    a share."""
    taken = np.array([[[0.0, -0.6]], [[0.0, -0.6]]])  # two videos of one frame
    left, right, low = (render(np.array([[xy]])) for xy in ([-0.6, 0.4], [0.6, 0.4], [0, -0.6]))
    state_frames = np.concatenate([left + right + low] * 2)
    at_step_0 = np.concatenate([left, 0 * left])  # only in the first video
    fresh_noise = np.concatenate([right + low, right])
    running_mean = np.concatenate([low, low + left + right])
    told = state.pixel_shares(state_frames, at_step_0, fresh_noise, running_mean, taken)
    assert told["extra pixels a frame"] == 2 * 9 * 9  # a grey edge of 0.5 isn't bright
    assert told["extra: at step 0"] == pytest.approx(0.25, abs=0.03)
    assert told["extra: at step 0, another video"] == pytest.approx(0.25, abs=0.03)
    assert told["extra: with fresh noise"] == pytest.approx(0.5, abs=0.03)
    assert told["extra: in the running mean"] == pytest.approx(0.5, abs=0.01)
    assert told["taken: with fresh noise"] == pytest.approx(0.5, abs=0.01)
    # the null looks at the other video: here it is all or nothing
    state_frames[1] = 0
    told = state.pixel_shares(state_frames, at_step_0, fresh_noise, running_mean, taken)
    assert told["extra: at step 0"] == pytest.approx(0.5, abs=0.03)
    assert told["extra: at step 0, another video"] == 0
    assert told["extra: in the running mean"] == 0
    fresh_noise[1] = left[0] + right[0]
    told = state.pixel_shares(state_frames, at_step_0, fresh_noise, running_mean, taken)
    assert told["extra: with fresh noise, another video"] == 1
    assert told["taken: with fresh noise"] == 1
    dim = 0.4 * np.ones_like(state_frames)
    told = state.pixel_shares(state_frames, dim, dim, dim, taken)
    assert told["extra: at step 0"] == told["extra: in the running mean"] == 0
    assert told["taken: with fresh noise"] == 0


def test_without_extra_pixels_there_is_no_share():
    """Not 0, and no warning: a grey edge of the taken square isn't an extra pixel."""
    taken = np.array([[[0.013, 0.027]]])
    frames = render(taken)
    told = state.pixel_shares(frames, frames, frames, frames, taken)
    assert told["extra pixels a frame"] == 0 and np.isnan(told["extra: at step 0"])
    assert told["taken: with fresh noise"] == 1


def test_squares_at_the_places():
    """A square at the taken place, one at the other place in half of the frames, and one at one of
    the six controls."""
    first = np.array([[0.7, 0.1]])
    nothing = torch.zeros(0)
    samples = Samples(nothing, nothing)
    videos = state.BothWays(first[:, None], samples, nothing, nothing, WAYS[:1], WAYS[1:])
    places = state.places_to_look_at(videos)
    assert places.shape == (1, 6, 8, 2)
    np.testing.assert_array_equal(places[0, :, 0], WAYS[0, FRAMES])
    np.testing.assert_array_equal(places[0, :, 1], WAYS[1, FRAMES])
    frames = render(places[:, :, 0])
    assert state.squares_at(frames, places)["blob at taken"] == 1
    frames[:, ::2] = render(places[:, ::2, 1])
    told = state.squares_at(frames, places)
    assert told["blob at taken"] == told["blob at other"] == 0.5 and told["blob at control"] == 0
    assert told["light at taken"] == pytest.approx(told["light at other"], abs=0.05)
    assert told["light at other"] > 0.4 and told["light at control"] < 0.02
    told = state.squares_at(render(places[:, :, 5]), places)
    assert told["blob at control"] == pytest.approx(1 / 6) and told["blob at other"] == 0


def test_places_are_read_from_a_finished_video():
    for i in (0, 1):
        places = state.places_of(render(WAYS[i]))
        np.testing.assert_allclose(places, WAYS[[i, 1 - i]], atol=0.01)


# ---------------------------------------------------------------------------------------------
# With trained networks


def sample_exact(space, first_frames):
    """sample_far(), of the exact flow."""
    both, fresh = state.sample_far(lambda x, t, given: 0 * x, space, first_frames)
    return both["exact"], fresh


@pytest.mark.parametrize("given_frames", [1, 2])
def test_parts_of_a_step(learned, given_frames):
    """On the exact flow: they add up, and each is held against the right thing; also where a second
    frame is given, and nothing is open."""
    space = changed(learned[1], given_frames=given_frames)
    videos, fresh = sample_exact(space, first_frames=60)
    again, _ = sample_exact(space, first_frames=60)
    torch.testing.assert_close(videos.samples.states, again.samples.states)
    futures, _ = possible_futures(space, videos.given_centers)
    end = videos.samples.states[-1]
    assert ((end - videos.z_taken).norm(dim=1) < (end - videos.z_other).norm(dim=1)).all()
    torch.testing.assert_close(videos.z_taken + videos.z_other, futures.sum(1))
    direct = space.encode(videos.taken[:, given_frames:]).flatten(1)
    torch.testing.assert_close(videos.z_taken, direct)
    assert not torch.allclose(fresh, videos.samples.states[0])

    parts = state.parts_of_step(videos, fresh, 20)
    t = 0.4
    torch.testing.assert_close(parts["noise part"], 0.6 * videos.samples.states[0])
    torch.testing.assert_close(parts["noise part"] + t * parts["running mean"], parts["state"])
    torch.testing.assert_close(
        parts["with fresh noise"], t * parts["running mean"] + 0.6 * fresh, atol=1e-5, rtol=0
    )
    torch.testing.assert_close(parts["undecided state"], parts["noise part"] + t * parts["middle"])
    torch.testing.assert_close(
        parts["undecided, with fresh noise"], 0.6 * fresh + t * parts["middle"]
    )
    told = state.squares_seen(videos, fresh, space, 50 - 1)
    assert told["posterior mean, blob at taken"] == 1
    assert told["frames 1 and 2, posterior mean, blob at taken"] == 1
    assert told["frames 1 and 2, state, as much light as the post"] == 0
    if given_frames == 2:  # the second frame shows the direction
        shares = state.latent_shares(videos, fresh)
        np.testing.assert_allclose(shares["posterior mean"], 0, atol=1e-5)
        np.testing.assert_allclose(shares["running mean"][1:], 0, atol=1e-4)


def test_light_of_each_video_by_hand():
    places = np.array(
        [[[0.5, 0.5], [-0.5, 0.0]], [[0.3, -0.3], [0.0, 0.0]]]
    )  # (2 videos, 2 frames)
    frames = render(places)
    np.testing.assert_allclose(measures.light_in_videos(frames, places), 1, atol=0.1)
    frames[0, 1] = 0
    half, full = measures.light_in_videos(frames, places)
    assert half == pytest.approx(full / 2, rel=0.1)
    np.testing.assert_array_equal(measures.light_in_videos(frames, -places)[0], 0)


def test_frames_1_and_2_are_looked_at_by_themselves(learned):
    """The places are those of the other direction, in these frames only."""
    space = learned[1]
    videos, fresh = sample_exact(space, first_frames=30)
    frames = render(videos.taken[:, 1:])
    frames[:, :2] = render(videos.other[:, 1:3])  # the other direction in frames 1 and 2
    shown = SimpleNamespace(settings=space.settings, decode=lambda z: torch.from_numpy(frames))
    told = state.squares_seen(videos, fresh, shown, 20)
    assert told["frames 1 and 2, state, blob at other"] == 1
    assert told["frames 1 and 2, state, as much light as the post"] == 1
    assert told["state, blob at other"] == pytest.approx(1 / 3)


def test_frames_that_are_given_are_not_looked_at(learned, monkeypatch):
    """The decoded frames begin with the first that isn't given, the places with frame 0."""
    space = changed(learned[1], given_frames=2)
    assert state.generated_frames(space) == [2, 3, 5, 6, 7]
    assert state.generated_frames(learned[1]) == FRAMES
    videos, fresh = sample_exact(space, first_frames=30)
    # of the finished state: no pixels off the taken square, but for the decoder's errors
    told = state.pixels_seen(videos, fresh, space, 50)
    assert told["extra pixels a frame"] < 2 and told["frame 4, extra pixels a frame"] < 2
    assert told["undecided, extra pixels a frame"] > 20
    assert told["taken: with fresh noise"] > 0.98  # at the end there is no noise left to be fresh
    asked = []
    monkeypatch.setattr(state, "pixel_shares", lambda *frames: asked.append(frames[-1]) or {})
    state.pixels_seen(videos, fresh, space, 50)
    frames = [[2, 3, 5, 6, 7], [4], [2, 3, 5, 6, 7]]  # of the state twice, and the undecided one
    for i, taken in enumerate(asked):
        np.testing.assert_array_equal(taken, videos.taken[:, frames[i]])
    assert len(asked) == 3


def test_cases_are_what_they_are_called(monkeypatch):
    """And pictures are kept of those that are drawn."""
    measured = {}

    def fake(function, cases, dask):
        measured.update(cases)
        return {name: [{"picture": 0} for _ in seeds] for name, seeds in cases.items()}

    monkeypatch.setattr(state, "measure", fake)
    runs = state.analysis(SweepSettings(seeds=2))
    for name, (first, second) in measured.items():
        assert name.startswith(f"d = {first.embed_dim}") and (first.seed, second.seed) == (0, 1)
        assert ("scale" in name) == (first.latent_scale < 1)
        assert first.latent_scale == 1 or f"scale {first.latent_scale}" in name
        assert ("two given frames" in name) == (first.given_frames == 2)
        assert all(("picture" in seed) == (name in state.PICTURED) for seed in runs[name])


def test_everything_is_kept_drawn_and_told(tiny, tmp_path):
    """The names that draw() and texts() ask for are those that are measured."""
    network, space = tiny
    first = state.state_of(network, space, first_frames=12)
    assert first["picture"].shape == (len(state.PICTURE_ROWS), 8, 51, 51)
    assert first["state, learned"].shape == (51,)
    second = {name: value for name, value in first.items() if name != "picture"}
    runs = {case: [first if case in state.PICTURED else second, second] for case in state.CASES}
    write_numbers(tmp_path, "state", runs, minutes=1)
    numbers, pictures, _ = read_numbers(tmp_path, "state")
    assert set(pictures) == set(state.PICTURED)
    assert state.draw(numbers, pictures).get_axes()
    told = state.texts(numbers)
    for table in ("table", "second table"):
        lines = told[table].splitlines()
        assert len(lines) <= 2 + 8 and len({line.count("|") for line in lines}) == 1
    share = 100 * first["state, learned"][20]
    assert told["state, d = 100, learned"].startswith(f"{share:.0f} %")
    assert told["learned minus small steps, d = 2"].endswith("± 0.0 points")
