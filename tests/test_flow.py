"""The exact flow against direct sums and Monte Carlo; what the training draws."""

import numpy as np
import pytest
import torch
from conftest import tiny_settings

import flow
from data import orbits, random_first_centers, render
from flow import TrueLaw, interpolate, random_latent_videos, random_times, true_law


def make_law(z_ccw, z_cw, prior=0.5, n=1, dtype=torch.float64) -> TrueLaw:
    """The law of n equal videos with these two continuations."""
    z_ccw, z_cw = [torch.tensor([z], dtype=dtype).expand(n, -1) for z in (z_ccw, z_cw)]
    return TrueLaw(
        torch.zeros(n, 1, dtype=dtype), z_ccw, z_cw, torch.full((n, 1), prior, dtype=dtype)
    )


LAWS = {
    "symmetric": ([1.0, 0.5], [-1.0, -0.5], 0.5),
    "different norms": ([2.0, 1.0], [0.3, -0.4], 0.5),
    "prior 0.8": ([1.0, 0.5], [-1.0, -0.5], 0.8),
    "both": ([2.0, 1.0], [0.3, -0.4], 0.8),
}
laws = pytest.mark.parametrize("parts", LAWS.values(), ids=LAWS.keys())


def density(x, mean, deviation):
    """Density of N(mean, deviation^2 I) at x, up to a factor that all atoms share."""
    return torch.exp(-((x - mean) ** 2).sum(1, keepdim=True) / (2 * deviation**2))


def draw(law, t, seed):
    """Noise a random one of each video's two continuations: z and x_t."""
    generator = torch.Generator().manual_seed(seed)
    like = {"generator": generator, "dtype": law.prior.dtype}
    n = len(law.prior)
    direction = (torch.rand(n, **like) >= law.prior[:, 0]).long()
    z = law.continuation(direction)
    return z, interpolate(z, torch.randn(z.shape, **like), t)


# ---------------------------------------------------------------- the exact flow


@laws
@pytest.mark.parametrize("t", [0.0, 0.1, 0.3, 0.6, 0.8])
def test_posterior_is_bayes_rule(parts, t):
    law = make_law(*parts, n=200)
    time = torch.full((200, 1), t, dtype=torch.float64)
    _, x = draw(law, time, seed=0)
    ccw = law.prior * density(x, t * law.z_ccw, 1 - t)
    cw = (1 - law.prior) * density(x, t * law.z_cw, 1 - t)
    torch.testing.assert_close(law.posterior(x, time), ccw / (ccw + cw), rtol=0, atol=1e-9)


@laws
def test_posterior_mean_and_loss_follow_from_the_posterior(parts):
    law = make_law(*parts, n=50)
    t = torch.full((50, 1), 0.3, dtype=torch.float64)
    _, x = draw(law, t, seed=1)
    p = law.posterior(x, t)
    mean = p * law.z_ccw + (1 - p) * law.z_cw
    torch.testing.assert_close(law.posterior_mean(x, t), mean)
    # The loss that is left is the variance of z - eps = (z - x) / (1 - t) around its mean.
    variance = p * (law.z_ccw - mean) ** 2 + (1 - p) * (law.z_cw - mean) ** 2
    torch.testing.assert_close(law.irreducible_loss(x, t), (variance / 0.49).mean(1))


@laws
@pytest.mark.parametrize("t", [0.1, 0.4])
def test_velocity_is_the_mean_of_sampled_velocities(parts, t):
    """E[z - eps | x_t near x] over a million sampled pairs, with no formula for the posterior."""
    n, radius = 1_000_000, 0.1
    law = make_law(*parts, n=n)
    time = torch.full((n, 1), t, dtype=torch.float64)
    z, x_t = draw(law, time, seed=2)
    velocity = z - (x_t - t * z) / (1 - t)
    between = t * (law.z_ccw[:1] + law.z_cw[:1]) / 2
    for offset in ([0.0, 0.0], [0.4, 0.2], [-0.3, 0.3]):
        x = between + torch.tensor([offset], dtype=torch.float64)
        near = ((x_t - x) ** 2).sum(1) < radius**2
        # Within the small disc v is close to linear, so compare at the mean of the points in it.
        here = x_t[near].mean(0, keepdim=True)
        exact = (law.posterior_mean(here, time[:1])[0] - here[0]) / (1 - t)
        sampled = velocity[near]
        error = 4 * sampled.std(0) / len(sampled) ** 0.5 + 0.01
        assert len(sampled) > 1000
        assert ((sampled.mean(0) - exact).abs() < error).all()


@laws
@pytest.mark.parametrize("t", [0.05, 0.3, 0.6])
def test_irreducible_loss_is_the_loss_of_the_exact_flow(parts, t):
    n = 200_000
    law = make_law(*parts, n=n)
    time = torch.full((n, 1), t, dtype=torch.float64)
    z, x = draw(law, time, seed=3)
    loss = ((law.posterior_mean(x, time) - z) ** 2).mean(1) / (1 - t) ** 2
    difference = loss - law.irreducible_loss(x, time)
    assert abs(difference.mean()) < 4 * difference.std() / n**0.5
    # And no other prediction does better: here the exact one, shaded towards the mean.
    worse = law.posterior_mean(x, time) * 0.9
    assert ((worse - z) ** 2).mean(1).mean() / (1 - t) ** 2 > loss.mean()


def test_with_the_direction_known_the_posterior_is_certain():
    for prior, end in [(1.0, "z_ccw"), (0.0, "z_cw")]:
        law = make_law([1.0, 0.5], [-1.0, -0.5], prior, n=100, dtype=torch.float32)
        for t in (0.0, 0.5, 0.99):
            time = torch.full((100, 1), t)
            _, x = draw(law, time, seed=4)
            assert torch.equal(law.posterior_mean(x, time), getattr(law, end))
            assert (law.irreducible_loss(x, time) == 0).all()


@pytest.fixture(scope="module")
def space(checkpoints):
    """The latent space of the tiny trained flow."""
    return flow.load_or_train(tiny_settings(checkpoints))[1]


def with_settings(space, **changes):
    """The same latents seen by a flow of other settings."""
    settings = tiny_settings(space.settings.checkpoint_dir, **changes)
    return flow.LatentSpace(space.autoencoder, space.mean, space.std, settings)


@pytest.mark.parametrize("given", [1, 2])
def test_true_law_holds_the_two_true_continuations(space, given):
    space = with_settings(space, given_frames=given, ccw_share=0.8)
    first = random_first_centers(5, np.random.default_rng(0), 0.8)
    direction = torch.tensor([0, 1, 1, 0, 1])
    law = true_law(space, first, direction)
    path = orbits(first)
    for i in range(5):
        ccw, cw = [space.encode(path[i, d]).flatten() for d in (0, 1)]
        taken = (ccw, cw)[direction[i]]
        close = {"rtol": 1e-4, "atol": 1e-5}
        torch.testing.assert_close(law.given[i], taken[:given], **close)
        torch.testing.assert_close(law.z_ccw[i], ccw[given:], **close)
        torch.testing.assert_close(law.z_cw[i], cw[given:], **close)
        torch.testing.assert_close(law.continuation(direction)[i], taken[given:], **close)
    known = 1.0 - direction[:, None].float()
    expected = known if given == 2 else torch.full((5, 1), 0.8)
    assert torch.equal(law.prior, expected)


# ---------------------------------------------------------------- latents


def test_latents_are_standardised_to_the_scale(space, quick_flow, monkeypatch):
    for scale in (1.0, 3.0):
        settings = tiny_settings(space.settings.checkpoint_dir, latent_scale=scale)
        _, scaled = flow.train(settings, space.autoencoder)
        # The rings that train() drew for itself.
        first = random_first_centers(64, np.random.default_rng((0, 2)), 0.8)
        latents = scaled.encode(orbits(first)[:, 0])
        assert latents.mean().item() == pytest.approx(0, abs=1e-3 * scale)
        assert latents.std().item() == pytest.approx(scale, rel=1e-3)


def test_encode_then_decode_is_the_autoencoder(space):
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
    rings = torch.arange(3.0)[:, None] * 100 + torch.arange(8.0)  # (3, 8), all distinct
    torch.manual_seed(0)
    n = 6000
    videos = random_latent_videos(rings[..., None], n, share)[..., 0]
    ring, place = videos.div(100, rounding_mode="floor"), videos % 100
    assert (ring == ring[:, :1]).all()  # a video never changes its ring
    step = place.diff(dim=1) % 8
    assert (step == step[:, :1]).all()
    assert set(step.unique().tolist()) <= {1, 7}
    ccw = (step[:, 0] == 1).float().mean().item()
    assert abs(ccw - share) <= 4 * (share * (1 - share) / n) ** 0.5
    for values, kinds in [(ring[:, 0], 3), (place[:, 0], 8)]:  # all equally often
        counts = values.long().bincount(minlength=kinds)
        assert len(counts) == kinds
        assert (counts - n / kinds).abs().max() < 5 * (n / kinds) ** 0.5


def test_random_times_follow_the_documented_mixture():
    torch.manual_seed(0)
    n = 100_000
    t = random_times(n)[:, 0]
    assert 0 <= t.min() and t.max() <= 1
    for edge in (0.01, 0.1, 0.3, 0.5, 0.9):
        expected = 0.7 * edge + 0.3 * edge ** (1 / 3)
        deviation = (expected * (1 - expected) / n) ** 0.5
        assert abs((t < edge).float().mean().item() - expected) < 4 * deviation


def test_path_goes_straight_from_noise_to_data():
    z, noise = torch.tensor([[3.0, -1.0]]), torch.tensor([[1.0, 1.0]])
    points = [interpolate(z, noise, torch.tensor([[t]])) for t in (0.0, 0.25, 1.0)]
    expected = torch.tensor([[[1.0, 1.0]], [[1.5, 0.5]], [[3.0, -1.0]]])
    torch.testing.assert_close(torch.stack(points), expected)


# ---------------------------------------------------------------- evaluation


class Shifted(torch.nn.Module):
    """Predicts the exact posterior mean plus a constant, so that the excess is known."""

    def __init__(self, shift):
        super().__init__()
        self.shift, self.law = shift, None

    def forward(self, x, given, t):
        return self.law.posterior_mean(x, t) + self.shift


def test_loss_is_irreducible_plus_excess(space, monkeypatch):
    network = Shifted(0.1)

    def remembered(*arguments):
        network.law = true_law(*arguments)
        return network.law

    monkeypatch.setattr(flow, "true_law", remembered)
    result = flow.evaluate(network, space)
    delta = (network.law.z_ccw - network.law.z_cw).abs().max().item()
    for t, loss, irreducible, excess in zip(*result.values(), strict=True):
        weights = 1 / (1 - (t + 0.0475 * np.linspace(-1, 1, 1001))).clip(0.05) ** 2
        assert excess == pytest.approx(0.01 * weights.mean(), rel=0.05)
        # 2048 videos; a coordinate's error is at most delta / (1 - t), and mostly less.
        bound = 4 * (delta**2 / 2 + 0.1 * delta) * weights.mean() / 2048**0.5
        assert abs(loss - irreducible - excess) < min(bound, 0.2 * (1 + loss))
    assert result["t"] == pytest.approx(np.linspace(0.0725, 0.9275, 10))


def test_irreducible_loss_of_the_trained_flow_is_that_of_its_law(checkpoints):
    """The loss of any network is irreducible + excess, up to sampling error: here a barely trained one."""
    _, _, checkpoint = flow.load_or_train(tiny_settings(checkpoints))
    metrics = checkpoint["metrics"]
    for loss, irreducible, excess in zip(
        metrics["loss"], metrics["irreducible"], metrics["excess"], strict=True
    ):
        assert loss == pytest.approx(irreducible + excess, rel=0.06)
    assert metrics["irreducible"][-1] < 0.1 * metrics["irreducible"][0]
