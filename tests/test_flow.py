"""The exact flow against Bayes' rule and Monte Carlo; what the training draws and weighs."""

import numpy as np
import pytest
import torch
from conftest import FEW, changed

import autoencoder
import flow
from data import orbits, random_first_centers
from flow import ExactFlow, FlowNetwork, FlowSettings, exact_flow, random_latent_videos


def make_exact(z, prior, n) -> ExactFlow:
    """The optimal flow of n equal videos with these continuations."""
    continuations = torch.tensor(z, dtype=torch.float64).expand(n, -1, -1)
    priors = torch.tensor(prior, dtype=torch.float64).expand(n, -1)
    return ExactFlow(torch.zeros(n, 1), continuations, priors)


@pytest.mark.parametrize("t", [0.0, 0.3, 0.8])
def test_posterior_is_bayes_rule(t):
    torch.manual_seed(0)
    exact = make_exact([[1.0, 0.5], [-1.0, -0.5], [0.2, 1.5]], [0.2, 0.5, 0.3], n=200)
    time, x = torch.full((200, 1), t, dtype=torch.float64), torch.randn(200, 2).double()
    weights = []
    for k in range(3):
        normal = torch.distributions.Normal(t * exact.continuations[:, k], 1 - t)
        weights.append(exact.prior[:, k] * normal.log_prob(x).sum(1).exp())
    expected = torch.stack(weights, dim=1)
    expected /= expected.sum(1, keepdim=True)
    torch.testing.assert_close(exact.posterior(x, time), expected, rtol=0, atol=1e-9)
    mean = (expected[:, :, None] * exact.continuations).sum(1)
    torch.testing.assert_close(exact.posterior_mean(x, time), mean)


def test_latents_are_the_autoencoders_moved_and_scaled(tiny):
    space, centers = tiny[1], 0.7 * orbits(np.array([[0.3, 0.9], [0.5, -0.1]]))[:, 0]
    raw = autoencoder.encode_centers(space.coder, centers, space.settings)
    latents = space.encode(centers)
    torch.testing.assert_close(latents, (raw - space.mean) / space.unit)
    expected = space.coder.decode(raw.flatten(0, 1)).reshape(2, 8, 51, 51)
    torch.testing.assert_close(space.decode(latents.flatten(1)), expected.detach())


@pytest.mark.parametrize("given", [1, 2])
def test_exact_flow_holds_the_two_true_continuations(tiny, given):
    space = changed(tiny[1], given_frames=given, ccw_share=0.8)
    first = random_first_centers(5, np.random.default_rng(0), 0.8)
    direction = torch.tensor([0, 1, 1, 0, 1])
    exact = exact_flow(space, first, direction)
    both = space.encode(orbits(first))  # (5, 2, 8, 1)
    taken = both[torch.arange(5), direction, :given].flatten(1)
    prior = torch.eye(2)[direction] if given == 2 else torch.tensor([[0.8, 0.2]] * 5)
    close = {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(exact.continuations, both[:, :, given:].flatten(2), **close)
    torch.testing.assert_close(exact.given, taken, **close)
    torch.testing.assert_close(exact.prior, prior)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.8])
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


def test_the_network_at_another_latent_scale_is_the_same_one_scaled():
    """At t = 0 x is noise, of size 1 at any scale, and at t = 1 it is data."""
    torch.manual_seed(0)
    one, other = (FlowNetwork(FlowSettings(latent_scale=scale)) for scale in (1.0, 3.0))
    other.load_state_dict(one.state_dict())
    x, given = torch.randn(4, 14), torch.randn(4, 2)
    for t, size in ((0.0, 1), (1.0, 3)):
        time = torch.full((4, 1), t)
        torch.testing.assert_close(other(size * x, 3 * given, time), 3 * one(x, given, time))


def test_the_networks_block_starts_as_the_identity_and_the_context_scales_and_shifts_it():
    torch.manual_seed(0)
    network = FlowNetwork(FlowSettings())
    inputs = torch.randn(4, 14), torch.randn(4, 2), torch.rand(4, 1)
    outputs = [network(*inputs)]
    first = network.modulation[0].weight.detach() ** 2
    assert first[:, :2].sum(1).mean().item() == pytest.approx(2**2, rel=0.3)
    assert first[:, 2:].max() <= 1 / 11 + 1e-6  # torch's own start
    with torch.no_grad():
        network.fc1.weight.mul_(2)
        assert torch.equal(network(*inputs), outputs[0])
        network.fc2.weight.normal_()
        for modulation in network.modulation[-1].bias.chunk(4):  # two scales, two shifts
            outputs.append(network(*inputs))
            modulation.add_(1)
            assert (network(*inputs) - outputs[-1]).abs().max() > 0.01
        for parameter in network.modulation[-1].parameters():
            parameter.zero_()  # scale and shift nothing: the features pass all the same
        plain = network(*inputs)
        network.fc1.weight.mul_(2)
        assert (network(*inputs) - plain).abs().max() > 0.01


def test_random_times_crowd_at_both_ends():
    torch.manual_seed(0)
    n = 100_000
    t = flow.random_times(n)[:, 0]
    assert 0 <= t.min() and t.max() <= 1
    for edge in (0.01, 0.1, 0.3, 0.5, 0.9):
        expected = 0.25 * edge ** (1 / 3) + 0.75 * (1 - (1 - edge) ** 0.5)
        deviation = (expected * (1 - expected) / n) ** 0.5
        assert abs((t < edge).float().mean().item() - expected) < 4 * deviation


@pytest.mark.parametrize("given_frames", [1, 2])
def test_the_training_step(tiny, few_orbits, monkeypatch, given_frames):
    """It sees standardised latents, and its gradient is that of the velocity's error,
    |mean - z|^2 / max(1 - t, floor)^2."""
    seen, drawn = [], []

    class Zero(FlowNetwork):
        """Predicts 0, but for a bias whose gradient tells the weights of the loss."""

        def forward(self, x, given, t):
            seen.append((x.detach(), given.detach(), t, self))
            return 0 * super().forward(x, given, t) + self.out.bias

    def remembered(orbit_latents, *rest):
        drawn.append((orbit_latents, random_latent_videos(orbit_latents, *rest)))
        return drawn[-1][1]

    monkeypatch.setattr(flow, "FlowNetwork", Zero)
    monkeypatch.setattr(flow.torch.optim.AdamW, "step", lambda self, closure=None: None)
    monkeypatch.setattr(flow, "random_latent_videos", remembered)
    settings = changed(tiny[1], given_frames=given_frames, latent_scale=3.0, flow_steps=1).settings
    _, space = flow.train(settings, tiny[1].coder)
    (latents, video), (x, given, t, network) = drawn[0], seen[0]
    first = random_first_centers(FEW, np.random.default_rng((0, 2)), 0.8)
    torch.testing.assert_close(space.encode(orbits(first)[:, 0]), latents)
    assert latents.mean().item() == pytest.approx(0, abs=1e-3)
    assert latents.std().item() == pytest.approx(3, rel=1e-3)
    torch.testing.assert_close(given, video[:, :given_frames].flatten(1))
    z = video[:, given_frames:].flatten(1)
    noise = (x - t * z) / (1 - t)
    assert abs(noise[t[:, 0] < 0.9].std().item() - 1) < 0.2  # on the path from noise to this video
    error = network.out.bias.detach() - z
    expected = (2 * error / (1 - t).clamp_min(flow.LOSS_FLOOR) ** 2).sum(0) / z.numel()
    torch.testing.assert_close(network.out.bias.grad, expected, rtol=1e-3, atol=1e-5)


class Answering(torch.nn.Module):
    """In place of the network: predicts the exact posterior mean plus a constant."""

    def forward(self, x, given, t):
        assert torch.equal(given, self.exact.given)
        return self.exact.posterior_mean(x, t) + 0.1


def test_loss_is_irreducible_plus_a_known_excess(tiny, monkeypatch):
    network = Answering()

    def remembered(*arguments):
        network.exact = exact_flow(*arguments)
        return network.exact

    monkeypatch.setattr(flow, "exact_flow", remembered)
    losses = flow.loss_by_time(network, changed(tiny[1], ccw_share=0.9))
    assert losses["t"] == pytest.approx(np.linspace(0.0725, 0.9275, 10))
    # near t = 0 all that is known is the prior, whose variance is 0.9 * 0.1
    ccw, cw = network.exact.continuations.unbind(1)
    assert 0.06 < losses["irreducible"][0] / ((ccw - cw) ** 2).mean() < 0.14
    for t, loss, irreducible, excess in zip(*losses.values(), strict=True):
        nearby = 1 - (t + 0.0475 * np.linspace(-1, 1, 1001))
        weights = 1 / nearby.clip(flow.METRIC_FLOOR) ** 2
        assert excess == pytest.approx(0.01 * weights.mean(), rel=0.05)
        assert loss == pytest.approx(irreducible + excess, rel=0.25, abs=0.05)
