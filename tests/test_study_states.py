"""What is in a half-finished state: on states, frames and lights whose answer is known."""

import numpy as np
import pytest
import torch

from data import possible_orbits, render
from flow import FlowSettings, posterior_mean
from sample import euler_steps
from study import states
from study.states import T, other_share

N, D = 400, 14  # d = 2
CCW, CW = possible_orbits(np.array([[0.7, 0.1]]))[0]  # both ways from one first centre, (8, 2) each


def two_videos(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """A taken and another video for each of N samples, (N, D) each, that are 4 apart and, as in the
    project, equally long."""
    torch.manual_seed(seed)
    middle, way = torch.randn(2, N, D)
    way -= (way * middle).sum(1, keepdim=True) / (middle**2).sum(1, keepdim=True) * middle
    half = 2 * way / way.norm(dim=1, keepdim=True)
    return middle + half, middle - half


def walked(z_taken: torch.Tensor, z_other: torch.Tensor) -> states.Walked:
    """Videos of which only the two ways in the latent matter."""
    nowhere = np.zeros((N, 8, 2))
    return states.Walked({}, z_taken, z_other, nowhere, nowhere)


# ---------------------------------------------------------------------------------------------
# In the latent


def test_share_by_hand():
    """The other video's coefficient: also outside of 0 to 1, and whatever lies off the line."""
    taken, other = torch.tensor([[3.0, 1.0]]), torch.tensor([[-1.0, 1.0]])
    for latent, share in (
        ([3.0, 1.0], 0.0),
        ([-1.0, 1.0], 1.0),
        ([1.0, 9.0], 0.5),
        ([2.0, 0.0], 0.25),
        ([5.0, 1.0], -0.5),
    ):
        assert other_share(torch.tensor([latent]), taken, other).item() == share


def test_states_made_of_known_parts():
    """Of fresh noise and 0, 30 or 50 % of the other video, in all frames or in frames 1 and 2 only:
    that is what has to be found, in the state and in its running mean."""
    taken, other = two_videos()
    videos, noise = walked(taken, other), torch.randn(N, D)
    all_frames, two = "other direction's share", "other direction's share in frames 1 and 2"
    for share in (0.0, 0.3, 0.5):
        mix = (1 - share) * taken + share * other
        state = (1 - T) * noise + T * mix
        told = states.latent_shares(state / T, videos, dim=2)
        assert told[all_frames].item() == pytest.approx(share, abs=4 * 0.25 * 1.5 / N**0.5)
        told = states.latent_shares(states.running_mean(state, noise), videos, dim=2)
        assert told[all_frames].item() == pytest.approx(share, abs=1e-4)
        only_two = torch.cat([mix[:, :4], taken[:, 4:]], dim=1)
        told = states.latent_shares(only_two, videos, dim=2)
        assert told[two].item() == pytest.approx(share, abs=1e-4)
        assert told[all_frames].item() <= 0.6 * share + 1e-4
    undecided = states.undecided_state(noise, taken, other)
    assert other_share(undecided / T, taken, other).mean().item() == pytest.approx(0.5, abs=0.08)


def test_a_state_is_its_noise_and_a_weighted_sum_of_posterior_means():
    """The formula above running_mean(), with posterior means that are no flow at all: it would find
    a wrong share of the noise, or a shift of one step."""
    torch.manual_seed(0)
    guesses, noise = torch.randn(50, 5, D), torch.randn(5, D)
    steps = [x for x, _ in euler_steps(lambda x, t: guesses[round(50 * t[0].item())], noise, 50)]
    k = states.STEP
    weights = [(50 - k) / ((50 - j) * (50 - j - 1)) for j in range(k)]
    assert sum(weights) == pytest.approx(T)
    mean = sum(w * guesses[j] for j, w in enumerate(weights)) / T
    torch.testing.assert_close(states.running_mean(steps[k], noise), mean)


def test_the_exact_flow_has_no_memory():
    """With many small steps its states have the share of the state without memory, though their
    running mean alone would say that they hold much of the other direction: this is the trap."""
    futures, prior = torch.stack(two_videos(), dim=1), torch.full((N, 2), 0.5)
    noise, steps = torch.randn(N, D), 400
    walk = euler_steps(lambda x, t: posterior_mean(x, t, futures, prior), noise, steps)
    every = [x for x, _ in walk]
    took, i = (every[-1][:, None] - futures).norm(dim=2).argmin(1), torch.arange(N)
    z = futures[i, took], futures[i, 1 - took]
    state = every[round(T * steps)]
    without = states.state_without_memory(torch.randn(N, D), *z)
    share = other_share(state / T, *z).mean().item()
    assert share == pytest.approx(other_share(without / T, *z).mean().item(), abs=0.05)
    assert other_share(without / T, *z).max() < 0.5 + 1e-5  # it never crosses the middle
    assert other_share(states.running_mean(state, noise), *z).mean().item() > share + 0.1
    assert other_share(states.undecided_state(noise, *z) / T, *z).mean().item() > share + 0.1


# ---------------------------------------------------------------------------------------------
# In the picture


def test_frame_4_is_the_fourth_of_frames_1_to_7():
    counts = np.array([[1, 2, 3, 7, 1, 2, 3], [1, 2, 3, 9, 1, 2, 3]])
    told = states.frame_counts(counts)
    assert told["squares in frame 4"] == 8 and told["squares in the other frames"] == 2
    assert told["one square"] == 2 / 7 and told["several squares"] == 5 / 7


def test_a_walk_finds_the_direction_that_was_taken(tiny):
    """The exact flow ends on it, in the latent; and its square is where the latent says."""
    space = tiny[1]  # of one number a frame; how good the autoencoder is doesn't matter here
    given = np.array([[[0.7, 0.1]]]).repeat(20, axis=0)
    noise = torch.randn(20, 7)
    videos = states.walk(states.exact_flow(space, given), noise, given, space)
    torch.testing.assert_close(videos.states[50], videos.z_taken, atol=1e-3, rtol=0)
    torch.testing.assert_close(space.encode(videos.taken)[:, 1:].flatten(1), videos.z_taken)
    torch.testing.assert_close(space.encode(videos.other)[:, 1:].flatten(1), videos.z_other)
    assert {tuple(place) for place in videos.taken[:, 1]} == {tuple(CCW[1]), tuple(CW[1])}


class Shown:
    """A space that decodes any latents to these frames (n, 7, 51, 51)."""

    settings = FlowSettings(embed_dim=100, latent_scale=0.3)

    def __init__(self, frames):
        self.frames = frames

    def decode(self, latents):
        return torch.from_numpy(self.frames)


def test_light_of_a_state_is_that_at_the_other_place():
    """A state that shows the other direction in frames 1 and 2 and the taken one in the others."""
    taken, other = CCW[None], CW[None]
    frames = render(taken[:, 1:])
    frames[:, :2] = render(other[:, 1:3])
    nothing = torch.zeros(1, 700)
    videos = states.Walked({}, nothing, nothing + 1, taken, other)
    told = states.look_at(nothing, videos, 0 * frames, Shown(frames))
    light = told["light at the other place"]
    assert light["frames 1 and 2"] > 0.9 and light["frames 3, 5, 6, 7"] < 0.1
    assert told["extra pixels"]["at step 0"] == 0
    assert told["extra pixels"]["in a frame"] == pytest.approx(2 * 100 / 7, rel=0.2)
    # finished on these frames, frames 1 and 2 are off, and the median is not
    videos = states.Walked({50: nothing}, nothing, nothing + 1, taken, other)
    assert states.finished(videos, Shown(frames))["px off"] < 0.1


# ---------------------------------------------------------------------------------------------
# Densities


def test_two_densities_of_known_ratio():
    """Normal numbers around 0 and around 0.1, at 0.1: the ratio is known. A tail would say another
    thing: at a point between both means the densities are equal, whatever lies beyond it."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 0.1, (5, 4000, 1)), rng.normal(0.1, 0.1, (5, 4000, 1))
    width = 0.1**2 + states.KERNEL**2  # the kernel widens both
    ratio, low, high = states.times_as_probable(a, b, [0.1])
    assert ratio == pytest.approx(np.exp(-(0.1**2) / (2 * width)), rel=0.05)
    assert low < ratio < high < 1.2 * low
    assert states.times_as_probable(a, b, [0.05])[0] == pytest.approx(1, abs=0.05)
    assert (b > 0.05).mean() > 2 * (a > 0.05).mean()
    # in two independent numbers at once the ratios multiply
    both = [np.concatenate([x, rng.permutation(x, axis=1)], axis=2) for x in (a, b)]
    assert states.times_as_probable(*both, [0.1, 0.1])[0] == pytest.approx(ratio**2, rel=0.1)


def test_seeds_that_differ_widen_the_interval():
    rng = np.random.default_rng(0)
    b = rng.normal(0.1, 0.1, (5, 500, 1))
    same, shifted = b.copy(), b + np.linspace(-0.15, 0.15, 5)[:, None, None]
    assert states.times_as_probable(same, b, [0.1]).tolist() == [1, 1, 1]  # paired
    _, low, high = states.times_as_probable(shifted, b, [0.1])
    assert high / low > 1.3


def test_light_is_compared_at_the_posts_own():
    """A state whose videos all have the post's light, and one whose videos never have it."""
    light = states.post()["100"]["light"]
    post_like = {name: np.full((2, 3), light[name]["at the other place"]) for name in states.GROUPS}
    dark = {name: value + 0.1 for name, value in post_like.items()}
    told = states.compare_light(*({"light at the other place": each} for each in (post_like, dark)))
    one = np.exp(0.1**2 / (2 * states.KERNEL**2))
    assert told["frames 1 and 2"][0] == pytest.approx(one)
    assert told["all six"][0] == pytest.approx(one, rel=0.05)
    assert told["both groups at once"][0] == pytest.approx(one**2)
