"""The exact flow against direct sums and Monte Carlo; what the training draws."""

import dataclasses

import numpy as np
import pytest
import torch
from conftest import TINY

import flow
from data import orbits, random_first_centers, render
from flow import (
    ExactFlow,
    FlowSettings,
    exact_flow,
    interpolate,
    random_latent_videos,
    random_times,
)


def make_exact(*z, prior=None, n=1, dtype=torch.float64) -> ExactFlow:
    """The optimal flow of n equal videos with these continuations."""
    prior = prior or [1 / len(z)] * len(z)
    continuations = torch.tensor(z, dtype=dtype).expand(n, -1, -1)
    priors = torch.tensor(prior, dtype=dtype).expand(n, -1)
    return ExactFlow(torch.zeros(n, 1, dtype=dtype), continuations, priors)


CASES = {
    "symmetric": {"z": ([1.0, 0.5], [-1.0, -0.5])},
    "different norms": {"z": ([2.0, 1.0], [0.3, -0.4])},
    "prior 0.8": {"z": ([2.0, 1.0], [0.3, -0.4]), "prior": [0.8, 0.2]},
    "three": {"z": ([1.0, 0.5], [-1.0, -0.5], [0.2, 1.5]), "prior": [0.2, 0.5, 0.3]},
}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def make(case, n):
    return make_exact(*case["z"], prior=case.get("prior"), n=n)


def draw(exact, t, seed):
    """Noise a random one of each video's continuations: z and x_t."""
    torch.manual_seed(seed)
    n = len(exact.prior)
    z = exact.continuations[torch.arange(n), torch.multinomial(exact.prior, 1)[:, 0]]
    return z, interpolate(z, torch.randn_like(z), t)


# ---------------------------------------------------------------- the exact flow


@every_case
@pytest.mark.parametrize("t", [0.0, 0.1, 0.3, 0.8])
def test_posterior_is_bayes_rule(case, t):
    exact = make(case, n=200)
    time = torch.full((200, 1), t, dtype=torch.float64)
    _, x = draw(exact, time, seed=0)
    weights = []
    for k in range(len(case["z"])):
        normal = torch.distributions.Normal(t * exact.continuations[:, k], 1 - t)
        weights.append(exact.prior[:, k] * normal.log_prob(x).sum(1).exp())
    expected = torch.stack(weights, dim=1)
    expected /= expected.sum(1, keepdim=True)
    torch.testing.assert_close(exact.posterior(x, time), expected, rtol=0, atol=1e-9)
    mean = (expected[:, :, None] * exact.continuations).sum(1)
    torch.testing.assert_close(exact.posterior_mean(x, time), mean)


@every_case
@pytest.mark.parametrize("t", [0.1, 0.4])
def test_velocity_is_the_mean_of_sampled_velocities(case, t):
    """E[z - eps | x_t near x] over sampled pairs, with no formula for the posterior."""
    n, radius = 400_000, 0.15
    exact = make(case, n=n)
    time = torch.full((n, 1), t, dtype=torch.float64)
    z, x_t = draw(exact, time, seed=2)
    velocity = z - (x_t - t * z) / (1 - t)
    between = t * exact.continuations[:1].mean(1)
    for offset in ([0.0, 0.0], [0.4, 0.2]):
        x = between + torch.tensor([offset], dtype=torch.float64)
        near = ((x_t - x) ** 2).sum(1) < radius**2
        # Within the small disc v is close to linear, so compare at the mean of the points in it.
        here = x_t[near].mean(0, keepdim=True)
        v = (exact.posterior_mean(here, time[:1])[0] - here[0]) / (1 - t)
        sampled = velocity[near]
        error = 4 * sampled.std(0) / len(sampled) ** 0.5 + 0.02
        assert len(sampled) > 1000
        assert ((sampled.mean(0) - v).abs() < error).all()


@every_case
@pytest.mark.parametrize("t", [0.05, 0.3, 0.6])
def test_irreducible_loss_is_the_loss_of_the_exact_flow(case, t):
    n = 100_000
    exact = make(case, n=n)
    time = torch.full((n, 1), t, dtype=torch.float64)
    z, x = draw(exact, time, seed=3)
    loss = ((exact.posterior_mean(x, time) - z) ** 2).mean(1) / (1 - t) ** 2
    difference = loss - exact.irreducible_loss(x, time)
    assert abs(difference.mean()) < 4 * difference.std() / n**0.5
    # And no other prediction does better: here the exact one, shaded towards the mean.
    worse = exact.posterior_mean(x, time) * 0.9
    assert ((worse - z) ** 2).mean(1).mean() / (1 - t) ** 2 > loss.mean()


def test_a_single_continuation_is_certain():
    exact = make_exact([1.0, 0.5], n=50, dtype=torch.float32)
    x, t = torch.randn(50, 2), torch.full((50, 1), 0.3)
    assert torch.equal(exact.posterior_mean(x, t), exact.continuations[:, 0])
    assert (exact.irreducible_loss(x, t) == 0).all()


def test_ccw_fraction_and_decision_time_by_hand():
    exact = make_exact([3.0, 1.0], [-1.0, 1.0])  # 4 apart
    for mean, q in ([3.0, 1.0], 1.0), ([-1.0, 1.0], 0.0), ([1.0, 7.0], 0.5), ([5.0, 0.0], 1.5):
        assert exact.ccw_fraction(torch.tensor([mean], dtype=torch.float64)).item() == q
    assert exact.decision_time().item() == pytest.approx(1 / 3)


@pytest.mark.parametrize("given", [1, 2])
def test_exact_flow_holds_the_two_true_continuations(tiny, given):
    settings = dataclasses.replace(tiny[1].settings, given_frames=given, ccw_share=0.8)
    space = dataclasses.replace(tiny[1], settings=settings)
    first = random_first_centers(5, np.random.default_rng(0), 0.8)
    direction = torch.tensor([0, 1, 1, 0, 1])
    exact = exact_flow(space, first, direction)
    path = orbits(first)
    close = {"rtol": 1e-4, "atol": 1e-5}
    for i in range(5):
        for k in (0, 1):
            latents = space.encode(path[i, k]).flatten()
            torch.testing.assert_close(exact.continuations[i, k], latents[given:], **close)
        taken = space.encode(path[i, direction[i]]).flatten()
        torch.testing.assert_close(exact.given[i], taken[:given], **close)
        known = torch.eye(2)[direction[i]]
        torch.testing.assert_close(
            exact.prior[i], known if given == 2 else torch.tensor([0.8, 0.2])
        )


# ---------------------------------------------------------------- latents


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_latents_are_standardised_to_the_scale(tiny, few_orbits, scale):
    settings = dataclasses.replace(tiny[1].settings, latent_scale=scale)
    _, space = flow.train(settings, tiny[1].autoencoder)
    # the orbits that train() drew for itself
    first = random_first_centers(64, np.random.default_rng((0, 2)), 0.8)
    latents = space.encode(orbits(first)[:, 0])
    assert latents.mean().item() == pytest.approx(0, abs=1e-3 * scale)
    assert latents.std().item() == pytest.approx(scale, rel=1e-3)


def test_encode_then_decode_is_the_autoencoder(tiny):
    space = tiny[1]
    centers = orbits(random_first_centers(3, np.random.default_rng(1), 0.8))[:, 0]
    frames = torch.from_numpy(render(centers.reshape(-1, 2)))
    with torch.no_grad():
        model = space.autoencoder
        expected = model.decode(model.encode(frames)).reshape(3, 8, 51, 51)
    # Decoding undoes the scaling, and flattened videos come apart in the right order.
    decoded = space.decode(space.encode(centers).flatten(1))
    torch.testing.assert_close(decoded, expected, rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------- training draws


@pytest.mark.parametrize("share", [0.0, 0.5, 0.8, 1.0])
def test_latent_videos_are_rotations_and_reversals(share):
    latents = torch.arange(3.0)[:, None] * 100 + torch.arange(8.0)  # (3, 8), all distinct
    torch.manual_seed(0)
    n = 6000
    videos = random_latent_videos(latents[..., None], n, share)[..., 0]
    orbit, place = videos.div(100, rounding_mode="floor"), videos % 100
    assert (orbit == orbit[:, :1]).all()  # a video never changes its orbit
    step = place.diff(dim=1) % 8
    assert (step == step[:, :1]).all()
    assert set(step.unique().tolist()) <= {1, 7}
    ccw = (step[:, 0] == 1).float().mean().item()
    assert abs(ccw - share) <= 4 * (share * (1 - share) / n) ** 0.5
    for values, kinds in [(orbit[:, 0], 3), (place[:, 0], 8)]:  # all equally often
        counts = values.long().bincount(minlength=kinds)
        assert len(counts) == kinds
        assert (counts - n / kinds).abs().max() < 5 * (n / kinds) ** 0.5


def test_random_times_follow_the_documented_mixture():
    torch.manual_seed(0)
    n = 100_000
    t = random_times(n)[:, 0]
    assert 0 <= t.min() and t.max() <= 1
    for edge in (0.01, 0.1, 0.3, 0.5, 0.9):
        expected = 0.35 * edge ** (1 / 3) + 0.65 * (1 - (1 - edge) ** 0.5)
        deviation = (expected * (1 - expected) / n) ** 0.5
        assert abs((t < edge).float().mean().item() - expected) < 4 * deviation


def test_the_training_sees_latents_of_the_stated_scale(tiny, monkeypatch, few_orbits):
    seen = []

    def remembered(orbit_latents, *rest):
        seen.append(orbit_latents)
        return random_latent_videos(orbit_latents, *rest)

    monkeypatch.setattr(flow, "random_latent_videos", remembered)
    flow.train(FlowSettings(**TINY, latent_scale=3.0), tiny[1].autoencoder)
    assert seen[0].std((0, 1)).tolist() == pytest.approx([3.0], rel=1e-4)
    assert seen[0].mean().item() == pytest.approx(0, abs=1e-4)


def test_path_goes_straight_from_noise_to_data():
    z, noise = torch.tensor([[3.0, -1.0]]), torch.tensor([[1.0, 1.0]])
    points = [interpolate(z, noise, torch.tensor([[t]])) for t in (0.0, 0.25, 1.0)]
    expected = torch.tensor([[[1.0, 1.0]], [[1.5, 0.5]], [[3.0, -1.0]]])
    torch.testing.assert_close(torch.stack(points), expected)


# ---------------------------------------------------------------- the training's loss


class Answering(torch.nn.Module):
    """In place of the network: predicts the exact posterior mean plus a constant."""

    def __init__(self, exact, shift):
        super().__init__()
        self.exact, self.shift = exact, shift

    def forward(self, x, given, t):
        assert torch.equal(given, self.exact.given)
        return self.exact.posterior_mean(x, t) + self.shift


def test_loss_is_irreducible_plus_a_known_excess(tiny, monkeypatch):
    made = []

    def remembered(*arguments):
        made.append(exact_flow(*arguments))
        network.exact = made[0]
        return made[0]

    network = Answering(None, 0.1)
    monkeypatch.setattr(flow, "exact_flow", remembered)
    losses = flow.loss_by_time(network, tiny[1])
    for t, loss, irreducible, excess in zip(*losses.values(), strict=True):
        weights = 1 / (1 - (t + 0.0475 * np.linspace(-1, 1, 1001))).clip(0.05) ** 2
        assert excess == pytest.approx(0.01 * weights.mean(), rel=0.05)
        assert loss == pytest.approx(irreducible + excess, rel=0.25, abs=0.05)


def test_training_weighs_the_error_as_that_of_the_velocity(tiny, few_orbits, monkeypatch):
    """The gradient that the first step sees is that of |mean - z|^2 / max(1 - t, 0.2)^2."""
    seen = []

    class Zero(flow.FlowNetwork):
        """Predicts 0, but for a bias whose gradient tells the weights of the loss."""

        def forward(self, x, given, t):
            seen.append((x.detach(), given.detach(), t, self))
            return 0 * super().forward(x, given, t) + self.out.bias

    monkeypatch.setattr(flow, "FlowNetwork", Zero)
    monkeypatch.setattr(flow.torch.optim.AdamW, "step", lambda self, closure=None: None)
    videos = []
    draw = random_latent_videos
    monkeypatch.setattr(
        flow, "random_latent_videos", lambda *a: videos.append(draw(*a)) or videos[-1]
    )
    flow.train(dataclasses.replace(tiny[1].settings, flow_steps=1), tiny[1].autoencoder)
    (x, given, t, network), (video,) = seen[0], videos
    z = video[:, 1:].flatten(1)
    torch.testing.assert_close(given, video[:, 0])
    noise = (x - t * z) / (1 - t)
    assert abs(noise.std().item() - 1) < 0.2  # x_t is on the path from noise to this video
    error = network.out.bias.detach() - z
    expected = (2 * error / (1 - t).clamp_min(0.2) ** 2).sum(0) / z.numel()
    torch.testing.assert_close(network.out.bias.grad, expected, rtol=1e-3, atol=1e-5)
