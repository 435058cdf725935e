"""The exact flow against Bayes' rule; what the training draws and weighs; how the loss is told."""

import doctest
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import FEW, changed

import flow
from autoencoder import Autoencoder, encode_squares, learning_rate_factor
from data import grid_centers, possible_orbits, random_first_centers, random_stream
from flow import FlowNetwork, FlowSettings, LatentSpace, latent_videos, places, possible_futures

ALL_TURNS = (0, 1, -1, 2, -2, 3, -3, 4)
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def orbit(first_center, turn) -> np.ndarray:
    """The eight centres (8, 2): a point of the complex plane that is turned again and again."""
    x, y = first_center
    z = complex(x, y) * np.exp(1j * np.pi / 4 * turn) ** np.arange(8)
    return np.stack([z.real, z.imag], axis=-1)


# --- the exact flow


def test_the_example_by_hand_is_right():
    """The comment of "The exact flow", run as it is written."""
    lines = Path(flow.__file__).read_text(encoding="utf-8").splitlines()
    comments = "\n".join(line[1:] if line.startswith("#") else "" for line in lines)
    test = doctest.DocTestParser().get_doctest(comments, vars(flow).copy(), "flow.py", None, 0)
    printed = [example.want for example in test.examples if example.want]
    assert len(printed) >= 3
    assert doctest.DocTestRunner().run(test).failed == 0


def test_posterior_mean_and_velocity_are_those_of_bayes_rule():
    torch.manual_seed(0)
    n = 300
    futures = torch.randn(n, 3, 5).double()
    prior = torch.tensor([[0.2, 0.5, 0.3], [0.6, 0.0, 0.4]]).double().repeat(n // 2, 1)
    t = torch.tensor([0.0, 0.0, 0.3, 0.3, 0.8, 0.8]).double().repeat(n // 6)[:, None]
    x = torch.randn(n, 5).double()
    noise = torch.distributions.Normal(t[:, :, None] * futures, 1 - t[:, :, None])
    joint = prior * noise.log_prob(x[:, None]).sum(2).exp()
    expected = joint / joint.sum(1, keepdim=True)
    assert (expected[:, 1] == 0).sum() == n // 2
    told = flow.posterior(x, t, futures, prior)
    torch.testing.assert_close(told, expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(told[t[:, 0] == 0], prior[t[:, 0] == 0])
    mean = flow.posterior_mean(x, t, futures, prior)
    torch.testing.assert_close(mean, torch.einsum("nk,nkd->nd", expected, futures))
    # E[z - eps | x], where each future has its eps
    eps = (x[:, None] - t[:, None] * futures) / (1 - t[:, None])
    torch.testing.assert_close(
        flow.velocity(x, t, mean), torch.einsum("nk,nkd->nd", expected, futures - eps)
    )


def test_speciation_time_is_that_of_the_closest_two_futures():
    futures = torch.tensor(
        [[[0.0, 0.0], [30.0, 40.0], [3.0, 4.0]], [[1.0, 1.0], [1.0, 1.0], [0.0, 9.0]]]
    )
    assert flow.speciation_time(futures).tolist() == pytest.approx([1 / (1 + 5 / 2), 1])
    assert flow.speciation_time(futures[:, :2]).tolist() == pytest.approx([1 / (1 + 50 / 2), 1])
    assert flow.speciation_time(futures[:, :1]).tolist() == [0, 0]


# --- latents


@pytest.fixture(scope="module")
def untrained() -> LatentSpace:
    """Three numbers a frame, whose order and sizes matter; by an untrained autoencoder."""
    torch.manual_seed(0)
    settings = FlowSettings(embed_dim=3, flow_steps=1)
    model = Autoencoder(settings)
    own = encode_squares(model, grid_centers(0.8, 9), settings).flatten(0, 1)
    return LatentSpace(model, own.mean(0), own.std(0), settings)


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_latents_are_the_autoencoders_moved_and_scaled(untrained, scale):
    space = changed(untrained, latent_scale=scale)
    centers = np.stack([orbit((0.2, 0.6), 1)[:3], orbit((0.3, -0.1), -1)[:3]])  # (2, 3, 2)
    own = encode_squares(space.autoencoder, centers, space.settings)
    latents = space.encode(centers)
    torch.testing.assert_close(latents, scale * (own - space.mean) / space.std)
    torch.testing.assert_close(space.standardize(own), latents)
    expected = space.autoencoder.decode(own.flatten(0, 1)).detach().reshape(2, 3, 51, 51)
    for shaped in (latents, latents.flatten(1)):
        torch.testing.assert_close(space.decode(shaped), expected)


def test_places_by_hand():
    told = places(torch.tensor([0, 6, 2, 5, 7]), torch.tensor([1, 3, -1, 4, 0]))
    assert told.tolist() == [
        [0, 1, 2, 3, 4, 5, 6, 7],
        [6, 1, 4, 7, 2, 5, 0, 3],
        [2, 1, 0, 7, 6, 5, 4, 3],
        [5, 1, 5, 1, 5, 1, 5, 1],
        [7, 7, 7, 7, 7, 7, 7, 7],
    ]


@pytest.mark.parametrize("given", [1, 2])
def test_possible_futures_are_the_true_ones(untrained, given):
    """For every turn there is; a second given frame leaves a single one."""
    space = changed(untrained, turns=ALL_TURNS, given_frames=given)
    turns = space.settings.turns
    first = random_first_centers(5, np.random.default_rng(0), 0.8)
    orbits = np.array([[orbit(center, turn) for turn in turns] for center in first])
    true = space.encode(orbits.reshape(-1, 8, 2)).reshape(5, 8, 8, 3)
    for i, taken in enumerate(turns):
        futures, prior = possible_futures(space, orbits[:, i, :given])
        torch.testing.assert_close(futures, true[:, :, given:].flatten(2), **CLOSE)
        expected = torch.eye(8)[[i] * 5] if given == 2 else torch.full((5, 8), 1 / 8)
        torch.testing.assert_close(prior, expected, msg=f"turn {taken}")


@pytest.mark.parametrize("given", [1, 2])
def test_an_uneven_prior(untrained, given):
    space = changed(untrained, turns=(-1, 1, 1, 1, 1), given_frames=given)
    given_centers = np.stack([orbit((0.5, 0.3), 1), orbit((0.1, -0.4), -1)])[:, :given]
    _, prior = possible_futures(space, given_centers)
    torch.testing.assert_close(
        prior, torch.eye(2) if given == 2 else torch.tensor([[0.8, 0.2]] * 2)
    )


# --- the network


def test_the_network_at_another_latent_scale_is_the_same_one_scaled():
    """At t = 0 x is noise, of size 1 at any scale, and at t = 1 it is a video."""
    torch.manual_seed(0)
    one, other = (FlowNetwork(FlowSettings(latent_scale=scale)) for scale in (1.0, 3.0))
    other.load_state_dict(one.state_dict())
    x, given = torch.randn(4, 14), torch.randn(4, 2)
    for t, size in ((0.0, 1), (1.0, 3)):
        time = torch.full((4, 1), t)
        torch.testing.assert_close(other(size * x, time, 3 * given), 3 * one(x, time, given))


def test_the_networks_block_starts_as_the_identity_and_the_context_scales_and_shifts_it():
    torch.manual_seed(0)
    network = FlowNetwork(FlowSettings())
    x, t, given = torch.randn(4, 14), torch.rand(4, 1), torch.randn(4, 2)
    outputs = [network(x, t, given)]
    first = network.modulation[0].weight.detach() ** 2
    assert first[:, :2].sum(1).mean().item() == pytest.approx(2**2, rel=0.3)
    assert first[:, 2:].max() <= 1 / first.shape[1] + 1e-6  # torch's own start
    with torch.no_grad():
        network.fc1.weight.mul_(2)
        assert torch.equal(network(x, t, given), outputs[0])
        network.fc2.weight.normal_()
        for modulation in network.modulation[-1].bias.chunk(4):  # two scales, two shifts
            outputs.append(network(x, t, given))
            modulation.add_(1)
            assert (network(x, t, given) - outputs[-1]).abs().max() > 0.01
        for parameter in network.modulation[-1].parameters():
            parameter.zero_()  # scale and shift nothing: the features pass all the same
        plain = network(x, t, given)
        network.fc1.weight.mul_(2)
        assert (network(x, t, given) - plain).abs().max() > 0.01


@pytest.mark.parametrize("given_frames", [1, 2])
def test_the_network_sees_all_that_it_is_given(given_frames):
    torch.manual_seed(0)
    network = FlowNetwork(FlowSettings(embed_dim=3, given_frames=given_frames))
    inputs = (
        torch.randn(6, 24 - 3 * given_frames),
        torch.rand(6, 1),
        torch.randn(6, 3 * given_frames),
    )
    told = network(*inputs)
    assert told.shape == inputs[0].shape
    for i, values in enumerate(inputs):
        for number in range(values.shape[1]):
            other = values.clone()
            other[2, number] += 0.5  # of one video: the others mustn't notice
            differs = network(*inputs[:i], other, *inputs[i + 1 :]) - told
            assert differs[2].abs().max() > 1e-3
            assert differs[[0, 1, 3, 4, 5]].abs().max() < 1e-5


# --- the training


def test_random_times_crowd_at_both_ends():
    torch.manual_seed(0)
    n = 100_000
    t = flow.random_times(n)
    assert t.shape == (n, 1) and 0 <= t.min() and t.max() <= 1
    for edge in (0.01, 0.1, 0.3, 0.5, 0.9):
        expected = 0.25 * edge ** (1 / 3) + 0.75 * (1 - (1 - edge) ** 0.5)
        deviation = (expected * (1 - expected) / n) ** 0.5
        assert abs((t < edge).float().mean().item() - expected) < 4 * deviation


@pytest.mark.parametrize("stated", [{1: 1.0}, {1: 0.8, -1: 0.2}, {0: 0.1, 1: 0.2, -3: 0.3, 4: 0.4}])
def test_latent_videos_are_rotations(stated):
    latents = torch.arange(3.0)[:, None] * 100 + torch.arange(8.0)  # (3, 8), all distinct
    torch.manual_seed(0)
    n = 24 * flow.BATCH_SIZE
    named = [turn for turn, share in stated.items() for _ in range(round(10 * share))]
    settings = flow.FlowSettings(turns=tuple(named))
    batches = itertools.islice(latent_videos(latents[..., None], settings), n // flow.BATCH_SIZE)
    videos = torch.cat(list(batches))
    assert videos.shape == (n, 8, 1)
    circle, place = videos[..., 0].div(100, rounding_mode="floor"), videos[..., 0] % 100
    assert (circle == circle[:, :1]).all()  # a video never changes its circle
    step = place.diff(dim=1) % 8
    assert (step == step[:, :1]).all()
    # one after the other is as good as chance: no draw knows of another one
    joint = circle[:, 0] * 64 + place[:, 0] * 8 + step[:, 0]
    expected = {
        c * 64 + p * 8 + turn % 8: share / 24
        for turn, share in stated.items()
        for c in range(3)
        for p in range(8)
    }
    counts = joint.long().bincount(minlength=3 * 64)
    for value, count in enumerate(counts.tolist()):
        share = expected.get(value, 0)
        assert abs(count - n * share) <= 5 * (n * share) ** 0.5


@pytest.mark.parametrize("given_frames", [1, 2])
def test_the_training_step(tiny, few_orbits, monkeypatch, given_frames):
    """It sees standardised latents, and its gradient is that of the velocity's error,
    |mean - z|^2 / max(1 - t, floor)^2, of this step alone."""
    seen, drawn, rates = [], [], []

    class Zero(FlowNetwork):
        """Predicts 0, but for a bias whose gradient tells the weights of the loss."""

        def forward(self, x, t, given):
            seen.append((x.detach(), t, given.detach(), self))
            return 0 * super().forward(x, t, given) + self.out.bias

    def remembered(*arguments):
        for videos in latent_videos(*arguments):
            drawn.append((*arguments, videos))
            yield videos

    def idle(optimizer, closure=None):
        rates.append(optimizer.param_groups[0]["lr"])

    monkeypatch.setattr(flow, "FlowNetwork", Zero)
    monkeypatch.setattr(flow.torch.optim.AdamW, "step", idle)
    monkeypatch.setattr(flow, "latent_videos", remembered)
    changes = {"given_frames": given_frames, "latent_scale": 3.0, "turns": (1, 1, 1, -2)}
    settings = changed(tiny[1], **changes, flow_steps=3).settings
    _, space = flow.train_flow(tiny[1].autoencoder, settings)

    assert len(drawn) == len(seen) == 3 and (drawn[0][-1] != drawn[1][-1]).any()
    assert rates == pytest.approx(
        [flow.LEARNING_RATE * learning_rate_factor(k, 3) for k in range(3)]
    )
    (latents, told, video), (x, t, given, network) = drawn[-1], seen[-1]
    assert told == settings
    first = random_first_centers(FEW, random_stream(0, "flow training"), 0.8)
    torch.testing.assert_close(latents, space.encode(possible_orbits(first, [1])[:, 0]), **CLOSE)
    assert latents.mean().item() == pytest.approx(0, abs=1e-3)
    assert latents.std().item() == pytest.approx(3, rel=1e-3)
    n = len(x)
    assert n == flow.BATCH_SIZE

    torch.testing.assert_close(given, video[:, :given_frames].flatten(1))
    z = video[:, given_frames:].flatten(1)
    assert t.shape == (n, 1) and len(t.unique()) > 0.9 * n
    noise = ((x - t * z) / (1 - t))[t[:, 0] < 0.9]  # on the path from noise to this video
    assert abs(noise.mean().item()) < 0.2 and abs(noise.std().item() - 1) < 0.2
    error = network.out.bias.detach() - z
    expected = (2 * error / (1 - t).clamp_min(flow.FLOOR) ** 2).sum(0) / z.numel()
    torch.testing.assert_close(network.out.bias.grad, expected, rtol=1e-3, atol=1e-5)


@pytest.fixture
def encoded(monkeypatch):
    """The radii of all squares that flow.py encodes from now on."""
    radii = []

    def remembered(model, centers, settings):
        radii.extend(np.linalg.norm(centers, axis=-1).flatten())
        return encode_squares(model, centers, settings)

    monkeypatch.setattr(flow, "encode_squares", remembered)
    return radii


@pytest.mark.parametrize("band", [None, (0.4, 0.6), (0.5, 0.8), (0.2, 0.7)])
def test_unseen_radii_are_never_seen(untrained, few_orbits, encoded, band):
    """Neither in the training nor in the test of the loss; all other radii are, of the seed."""
    settings = changed(untrained, unseen_radii=band, seed=7).settings
    network, space = flow.train_flow(untrained.autoencoder, settings)
    first = random_first_centers(FEW, random_stream(7, "flow training"), 0.8, band)
    np.testing.assert_allclose(encoded[::8], np.linalg.norm(first, axis=1))
    own = encode_squares(space.autoencoder, possible_orbits(first, [1])[:, 0], settings)
    torch.testing.assert_close(space.mean, own.mean((0, 1)), **CLOSE)
    torch.testing.assert_close(space.std, own.std((0, 1)), **CLOSE)
    low, high = band or (0.9, 0.9)
    measures = [lambda: flow.mean_speciation_time(space), lambda: flow.loss_by_time(network, space)]
    for measure in (lambda: None, *measures):  # first what the training has encoded
        measure()
        radii = np.array(encoded)
        encoded.clear()
        assert len(radii) and not ((radii > low + 1e-9) & (radii < high - 1e-9)).any()
        counts, edges = np.histogram(radii, bins=6, range=(0.2, 0.8))
        for count, left, right in zip(counts, edges, edges[1:]):  # 0.2 to 0.3, and so on
            assert (count > 0) == (right < low + 0.01 or left > high - 0.01)


# --- the loss


class Answering(torch.nn.Module):
    """In place of the network: predicts the exact posterior mean plus a constant."""

    def __init__(self, space, monkeypatch):
        super().__init__()

        def remembered(space, given_centers):
            self.given = space.encode(given_centers).flatten(1)
            self.futures, self.prior = possible_futures(space, given_centers)
            return self.futures, self.prior

        monkeypatch.setattr(flow, "possible_futures", remembered)

    def forward(self, x, t, given):
        assert torch.equal(given, self.given)
        return flow.posterior_mean(x, t, self.futures, self.prior) + 0.1


@pytest.mark.parametrize(
    "changes",
    [
        {"turns": (1,) * 9 + (-1,)},
        {"turns": (1,)},
        {"given_frames": 2},
        {"turns": (0, 1, -1, 2, 4)},
    ],
)
def test_loss_is_irreducible_plus_a_known_excess(tiny, monkeypatch, changes):
    space = changed(tiny[1], **changes)
    network = Answering(space, monkeypatch)
    losses = flow.loss_by_time(network, space)
    assert list(losses) == ["t", "loss", "irreducible", "excess"]
    assert losses["t"] == pytest.approx(np.linspace(0.0725, 0.9275, 10))
    prior, futures = network.prior[0], network.futures
    if len(prior) == 1 or (prior == 1).any():  # nothing is left to guess
        assert max(losses["irreducible"]) < 1e-9
    else:  # near t = 0 all that is known is the prior
        variance = (prior[:, None] * (futures - (prior[:, None] * futures).sum(1, True)) ** 2).sum(
            1
        )
        assert 0.65 < losses["irreducible"][0] / variance.mean() < 1.5
    for t, loss, irreducible, excess in zip(*losses.values(), strict=True):
        nearby = 1 - (t + 0.0475 * np.linspace(-1, 1, 1001))
        weights = 1 / nearby.clip(0.05) ** 2
        assert excess == pytest.approx(0.01 * weights.mean(), rel=0.05)
        assert loss == pytest.approx(irreducible + excess, rel=0.25, abs=0.05)


@pytest.mark.parametrize("turns", [(1, -1), (2,)])
def test_the_picture_shows_the_losses_and_the_speciation_time(tiny, monkeypatch, tmp_path, turns):
    space, drawn, asked = changed(tiny[1], turns=turns), [], []
    write = flow.write_figure

    def remembered(path, figure):
        drawn.append(figure)
        write(path, figure)

    monkeypatch.setattr(flow, "write_figure", remembered)
    monkeypatch.setattr(
        flow, "possible_futures", lambda *a: asked.append(possible_futures(*a)) or asked[-1]
    )
    losses = {"t": [0.1, 0.5, 0.9], "loss": [3.0, 4.0, 5.0], "irreducible": [2.0, 1.0, 1.0]}
    losses["excess"] = [1.0, 3.0, 4.0]
    flow.write_losses(tmp_path / "losses.png", space, losses)
    assert (tmp_path / "losses.png").stat().st_size > 5000
    plot = drawn[0].axes[0]
    told = {line.get_label(): line.get_xydata().T.tolist() for line in plot.lines}
    for name, label in {"loss": "loss of the network", "excess": "excess"}.items():
        assert [x for key, x in told.items() if key.startswith(label)] == [
            [losses["t"], losses[name]]
        ]
    assert told["loss of the exact flow"] == [losses["t"], losses["irreducible"]]
    marks = [x for key, (x, _) in told.items() if "t_S" in key]
    futures = asked[0][0]
    if len(turns) == 1:
        assert marks == []
    else:
        t_s = (1 / (1 + (futures[:, 0] - futures[:, 1]).norm(dim=1) / 2)).mean().item()
        assert flow.mean_speciation_time(space) == pytest.approx(t_s)
        assert marks[0] == pytest.approx([t_s, t_s])
        assert futures.shape == (1024, 2, 7)
