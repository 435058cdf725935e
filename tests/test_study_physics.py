"""Physics: the measures tell flows that know the rule from flows that know circles."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

import flow
from analyze import SweepSettings, over_seeds
from autoencoder import Autoencoder
from data import PIXEL, random_first_centers, render
from flow import FlowSettings, LatentSpace
from sample import centers_of_light
from study import physics
from study.physics import RADII


class Coordinates(nn.Module):
    """An ideal code of d = 2: the latents are the centre of the square."""

    def encode(self, frames):
        return torch.from_numpy(centers_of_light(frames.numpy()).astype(np.float32))

    def decode(self, latents):
        return torch.from_numpy(render(latents.numpy()))


def coordinates(**settings):
    return LatentSpace(Coordinates(), torch.zeros(2), torch.ones(2), FlowSettings(**settings))


class Answering(nn.Module):
    """A flow on Coordinates that turns counter-clockwise, at once, on the circle that `answer`
    makes of the radii (n,) and the angles (n,), in degrees, of frame 0."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, x, t, given):
        x_0, y_0 = given.numpy().T
        radius, angle = self.answer(np.hypot(x_0, y_0), np.degrees(np.arctan2(y_0, x_0)))
        angle = np.radians(angle[:, None] + 45 * np.arange(1, 8))
        places = radius[:, None, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        return torch.from_numpy(places.reshape(len(x), 14).astype(np.float32))


PERFECT = Answering(lambda radius, angle: (radius, angle))


@pytest.mark.parametrize("unseen_radii", [(0.4, 0.6), (0.5, 0.8), (0.2, 0.5)])
def test_a_flow_that_knows_only_its_circles_is_found_out(unseen_radii):
    """Its reach is that of the null, and its error and that of its radius tell where it goes."""
    space = coordinates(unseen_radii=unseen_radii)
    nearest = Answering(lambda r, a: (physics.nearest_seen_radii(r, space.settings), a))
    result = physics.unseen_circles(nearest, space, starts=3)
    assert result["reach"] == result["clamp, reach"] == pytest.approx(0.075)
    np.testing.assert_array_equal(result["right"], result["clamp, right"])
    assert not result["right"].all()
    np.testing.assert_allclose(result["error, px"], result["clamp, error, px"], atol=0.01)
    off = physics.nearest_seen_radii(RADII, space.settings) - RADII
    np.testing.assert_allclose(result["radius error, px"], off / PIXEL, atol=0.01)
    np.testing.assert_allclose(result["angle error, degrees"], 0, atol=0.05)
    np.testing.assert_allclose(result["exact, error, px"], 0, atol=0.01)  # it isn't to blame
    assert (result["exact, right"] == 1).all()


def test_a_flow_that_knows_the_rule_reaches_everything():
    for unseen_radii, furthest in ((0.4, 0.6), 0.1), ((0.5, 0.8), 0.25), ((0.2, 0.5), 0.25):
        result = physics.unseen_circles(PERFECT, coordinates(unseen_radii=unseen_radii), starts=3)
        assert result["reach"] == pytest.approx(furthest)
        assert (result["right"] == 1).all() and (result["exact, right"] == 1).all()
        np.testing.assert_allclose(result["error, px"], 0, atol=0.01)
        np.testing.assert_allclose(result["exact, error, px"], 0, atol=0.01)
        assert (result["square lost"] == 0).all()
        assert result["picture"].shape == (8, 51, 51)
        np.testing.assert_allclose(
            centers_of_light(result["picture"][0]), physics.PICTURED, atol=1e-4
        )
    everything = physics.unseen_circles(PERFECT, coordinates(), starts=3)
    assert "reach" not in everything  # nothing was left out
    np.testing.assert_array_equal(everything["clamp, error, px"], 0)


def test_a_flow_that_knows_only_its_starts_is_found_out():
    space = coordinates()
    nearest = Answering(lambda r, a: (r, physics.nearest_seen_starts(a)))
    result = physics.unseen_starts(nearest, space, starts=20)
    np.testing.assert_array_equal(result["right"], result["clamp, right"])
    assert result["right"].mean() < 0.7
    np.testing.assert_allclose(result["error, px"], result["clamp, error, px"], atol=0.01)
    assert (result["seen starts, right"] == 1).all()
    np.testing.assert_allclose(result["seen starts, error, px"], 0, atol=0.01)
    assert (physics.unseen_starts(PERFECT, space, starts=3)["right"] == 1).all()


def test_how_it_fails_is_told_apart():
    """Circles too small, squares too far ahead, and each alone."""
    space = coordinates()
    small = physics.unseen_circles(Answering(lambda r, a: (0.9 * r, a)), space, starts=3)
    np.testing.assert_allclose(small["radius error, px"], -0.1 * RADII / PIXEL, atol=0.01)
    np.testing.assert_allclose(small["angle error, degrees"], 0, atol=0.05)
    ahead = physics.unseen_circles(Answering(lambda r, a: (r, a + 2)), space, starts=3)
    np.testing.assert_allclose(ahead["angle error, degrees"], 2, atol=0.05)
    np.testing.assert_allclose(ahead["radius error, px"], 0, atol=0.01)


def test_a_few_bad_videos_leave_the_median():
    space = coordinates()
    rare = Answering(lambda r, a: (np.where((0 < a) & (a < 45), r / 2, r), a))
    result = physics.unseen_circles(rare, space, starts=12)
    np.testing.assert_allclose(result["error, px"], 0, atol=0.01)
    assert 0.5 < result["right"].mean() < 0.95


def test_ahead_is_in_the_direction_of_the_video():
    """Clockwise videos whose square is 2 degrees further than it should be are ahead, too."""
    first = np.array([[0.6, 0.1], [-0.3, 0.4]])
    for turn in (1, -1):
        angle = np.radians(turn * (45 * np.arange(1, 8) + 2))
        x, y = first[:, :1], first[:, 1:]
        rotated = [x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)]
        result = physics.errors(render(np.stack(rotated, axis=-1)), first)
        np.testing.assert_allclose(result["angle error, degrees"], 2, atol=0.01)
        assert result["right"].all()


def test_lost_squares_and_faint_light():
    first = np.array([[0.6, 0.0]])
    true = physics.possible_orbits(first)[:, 0, 1:]
    frames = render(true)
    frames[0, 0] += 0.3 * render(-true[0, 0])  # faint light on the other side
    frames[0, 1] += render(-true[0, 1])  # a second square
    frames[0, 2] = 0  # none
    result = physics.errors(frames, first)
    np.testing.assert_array_equal(result["square lost"], [[0, 1, 1, 0, 0, 0, 0]])
    assert result["error, px"][0, 0] > 5 and result["bright, error, px"][0, 0] < 0.1
    assert result["bright, error, px"][0, 1] > 10
    assert not result["right"].any() and not result["bright, right"].any()
    true_again = physics.errors(np.concatenate([frames[:, :1], render(true[:, 1:])], axis=1), first)
    assert not true_again["right"].any() and true_again["bright, right"].all()


def test_nearest_circles_and_starts_by_hand():
    radii = np.array([0.25, 0.45, 0.5, 0.52, 0.75])
    for unseen, expected in (
        (None, radii),
        ((0.4, 0.6), [0.25, 0.4, 0.4, 0.6, 0.75]),
        ((0.5, 0.8), [0.25, 0.45, 0.5, 0.5, 0.5]),
        ((0.2, 0.5), [0.5, 0.5, 0.5, 0.52, 0.75]),
    ):
        found = physics.nearest_seen_radii(radii, FlowSettings(unseen_radii=unseen))
        np.testing.assert_allclose(found, expected)
    found = physics.nearest_seen_starts(np.array([-10.0, 10, 22, 23, 44, 50, 359, 361]))
    np.testing.assert_allclose(found, [-10, 0, 0, 45, 45, 50, 359, 0])


def test_hold_outs_leave_out_what_they_say():
    """And the bands that the figure shades are what is left."""
    assert {name: list(physics.trained_bands(name)) for name in physics.HOLD_OUTS} == {
        "all": [(0.2, 0.8)],
        "gap": [(0.2, 0.4), (0.6, 0.8)],
        "outside": [(0.2, 0.5)],
        "inside": [(0.5, 0.8)],
    }
    for hold_out, unseen in physics.HOLD_OUTS.items():
        first = random_first_centers(2000, np.random.default_rng(0), 0.8, unseen)
        radius = np.linalg.norm(first, axis=1)
        bands = list(physics.trained_bands(hold_out))
        within = [(low - 1e-9 <= radius) & (radius <= high + 1e-9) for low, high in bands]
        assert np.any(within, axis=0).all()
        for (low, high), which in zip(bands, within, strict=True):
            assert np.ptp(radius[which]) > 0.95 * (high - low)
        settings = FlowSettings(unseen_radii=unseen)
        np.testing.assert_allclose(physics.nearest_seen_radii(radius, settings), radius)


def test_reach_by_hand():
    beyond = np.array([0.1, 0.2, 0.0, 0.0, 0.3])
    for right, expected in (
        ([1, 1, 1, 1, 1], 0.3),  # never below a half
        ([1, 0.75, 1, 1, 0.25], 0.25),
        ([0, 0, 1, 1, 0], 0.05),
        ([0, 1, 1, 1, 1], 0.05),  # the first fall counts, and not what comes back
        ([1, 1, 0, 0, 1], 0.0),
        ([0, 0, 1, 0.5, 0], 0.1 / 3),  # two radii are equally far: 0.75 at distance 0
    ):
        assert physics.reach(beyond, np.array(right, dtype=float)) == pytest.approx(expected)
    # distances that differ by a rounding error are the same
    assert physics.reach(np.array([0.0, 0.1, 0.1 + 1e-15]), np.array([1, 0, 1.0])) == 0.1


# ---------------------------------------------------------------------------------------------
# The lifted code


@pytest.fixture
def plane():
    """The latent space of an autoencoder with d = 2 that isn't trained, since no test
    needs that."""
    torch.manual_seed(0)
    settings = FlowSettings()
    mean, std = torch.tensor([0.3, -0.2]), torch.tensor([0.5, 2.0])
    return LatentSpace(Autoencoder(settings), mean, std, settings)


def test_the_lifted_code_is_the_same_code(plane):
    """Encoded and decoded it draws what d = 2 draws, and distances are kept; a step off the plane
    changes nothing."""
    space = plane
    matrix = physics.lifting_matrix(2, 100, np.random.default_rng(0))
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(2), atol=1e-6, rtol=0)
    lifted = physics.Lifted(space, matrix)
    frames = torch.from_numpy(render(np.array([[0.5, 0.2], [-0.3, 0.7], [0.1, -0.6]])))
    with torch.no_grad():
        latents = lifted.encode(frames)
        standardised = space.standardize(space.autoencoder.encode(frames))
        assert latents.shape == (3, 100)
        distances = torch.cdist(standardised, standardised)
        torch.testing.assert_close(torch.cdist(latents, latents), distances)
        expected = space.autoencoder.decode(space.autoencoder.encode(frames))
        torch.testing.assert_close(lifted.decode(latents), expected, atol=1e-4, rtol=0)
        step = torch.randn(3, 100)
        step -= step @ matrix.T @ matrix
        torch.testing.assert_close(lifted.decode(latents + step), expected, atol=1e-4, rtol=0)


def test_the_lifted_code_as_a_flow_sees_it(plane, few_orbits, monkeypatch):
    """Each of its numbers has the standard deviation of --latent-scale; the plane is as wide as
    that of d = 2 if it is narrow; and it belongs to the d = 2 autoencoder of the same settings."""
    asked = []

    def trained(settings):
        asked.append(settings)
        return plane.autoencoder

    monkeypatch.setattr(physics, "trained_autoencoder", trained)
    settings = FlowSettings(
        embed_dim=100, unseen_radii=(0.5, 0.8), flow_steps=1, latent_scale=physics.NARROW_SCALE
    )
    lifted = physics.lifted_autoencoder(settings)
    assert {(each.embed_dim, each.seed) for each in asked} == {(2, 0)}
    assert lifted.space.settings.unseen_radii == (0.5, 0.8)
    _, space = flow.train_flow(lifted, settings)
    latents = space.encode(flow.training_circles(settings)).flatten(0, 1)
    torch.testing.assert_close(latents.std(0), torch.full((100,), physics.NARROW_SCALE))
    variances = torch.linalg.svdvals(latents - latents.mean(0)) ** 2 / len(latents)
    assert variances[:2].sum().item() == pytest.approx(2, abs=0.01)
    assert variances[2:].sum().item() < 1e-6
    other_seed = physics.lifted_autoencoder(replace(settings, seed=1))
    assert not torch.equal(other_seed.matrix, lifted.matrix)


# ---------------------------------------------------------------------------------------------
# The sector


def test_no_training_video_starts_in_the_sector(few_orbits, monkeypatch):
    """What the network is given as frame 0 is in all sectors but one. In the ordinary training it
    is in all."""
    given = []

    class Watched(flow.FlowNetwork):
        def forward(self, x, t, latents):
            given.append(latents.clone())
            return super().forward(x, t, latents)

    monkeypatch.setattr(flow, "FlowNetwork", Watched)
    monkeypatch.setattr(physics, "FlowNetwork", Watched)
    settings = FlowSettings(flow_steps=20)
    for train, expected in (
        (physics.train_without_sector, [0] + [1 / 7] * 7),
        (flow.train_flow, [1 / 8] * 8),
    ):
        given.clear()
        _, space = train(Coordinates(), settings)
        x, y = (torch.cat(given) * space.std + space.mean).numpy().T
        angle = np.degrees(np.arctan2(y, x)) % 360
        share = np.histogram(angle, np.arange(0, 361, 45))[0] / len(angle)
        np.testing.assert_allclose(share, expected, atol=0.02)


def test_the_videos_without_a_sector_are_videos(few_orbits):
    """They start at all other places, pass through the sector later on, run equally often in both
    directions, and use all circles."""
    settings = FlowSettings(seed=3)
    circles = torch.from_numpy(flow.training_circles(settings))
    torch.manual_seed(0)
    batches = itertools.islice(physics.videos_without_sector(circles, settings), 32)
    videos = torch.cat(list(batches)).numpy()
    angle = np.degrees(np.arctan2(videos[..., 1], videos[..., 0])) % 360  # (n, 8)
    assert angle[:, 0].min() >= 45
    share = np.array([np.histogram(a, np.arange(0, 361, 45))[0] for a in angle.T]) / len(angle)
    np.testing.assert_allclose(share[4], [1 / 7] * 4 + [0] + [1 / 7] * 3, atol=0.02)
    assert (share[[1, 2, 3, 5, 6, 7], 0] > 0.1).all()
    both = physics.possible_orbits(videos[:, 0])  # (n, 2, 8, 2)
    took = np.isclose(both, videos[:, None], atol=1e-6).all((2, 3))
    np.testing.assert_allclose(took.mean(0), 0.5, atol=0.02)
    assert took.any(1).all()
    assert len(np.unique(np.linalg.norm(videos[:, 0], axis=1).round(9))) == flow.NUM_ORBITS


# ---------------------------------------------------------------------------------------------
# Cases, figure and texts


@pytest.fixture
def runs(monkeypatch):
    """Two seeds of made-up results. "right" is (case + seed) %, at all radii; others are arrays."""
    measured = {}

    def measure(function, cases, dask):
        for name, settings in cases.items():
            assert name not in measured
            measured[name] = (function, settings)
        return {name: [made_up(name, seed) for seed in range(2)] for name in cases}

    def made_up(name, seed):
        hold_out = name.rsplit(", ", 1)[1]
        base = {"d = 2": 80, "d = 100": 20}.get(name.rsplit(", ", 1)[0], 50) / 100
        arrays = {
            "right": base + 0.01 * seed + np.where(RADII == 0.65, 0.1, 0),
            "error, px": RADII + seed,
            "bright, right": np.full(11, base),
            "bright, error, px": RADII,
            "radius error, px": -RADII,
            "angle error, degrees": RADII,
            "square lost": RADII / 10,
            "exact, right": np.ones(11),
            "exact, error, px": RADII / 10,
            "clamp, right": np.zeros(11),
            "clamp, error, px": np.clip(RADII - 0.5, 0, 1),
        }
        if hold_out == "sector":
            return arrays | {"seen starts, right": np.ones(11), "seen starts, error, px": RADII}
        if hold_out != "all":
            arrays |= {
                "reach": base / 4 + 0.01 * seed,
                "clamp, reach": 0.075,
                "bright, reach": base,
            }
        return arrays | {"picture": np.zeros((8, 51, 51))}

    monkeypatch.setattr(physics, "measure", measure)
    result = physics.analysis(SweepSettings(seeds=2))
    return result, measured


def test_the_cases(runs):
    result, measured = runs
    assert len(result) == 6 * 5 + 1
    for name, (function, (settings, second)) in measured.items():
        code, hold_out = name.rsplit(", ", 1)
        assert (settings.seed, second.seed) == (0, 1)
        assert settings.unseen_radii == physics.HOLD_OUTS.get(hold_out)
        lifted, sector = code.startswith("d = 2 lifted"), hold_out == "sector"
        expected = {
            (False, False): physics.measure_circles,
            (True, False): physics.measure_lifted_circles,
            (False, True): physics.measure_sector,
            (True, True): physics.measure_lifted_sector,
        }[lifted, sector]
        assert function is expected
        assert settings.embed_dim == (100 if "100" in code else 8 if "8" in code else 2)
        assert settings.plain == ("plain" in code)
        assert settings.latent_scale == pytest.approx(0.1414 if "narrow" in code else 1, abs=1e-3)


def test_each_measure_takes_its_own_flow(tmp_path, few_orbits, monkeypatch):
    """The lifted and the sector flows leave no checkpoint of a flow; the others do."""
    made = []
    for name in ("unseen_circles", "unseen_starts"):
        monkeypatch.setattr(physics, name, lambda network, space: {"space": space})
    without = physics.train_without_sector
    monkeypatch.setattr(physics, "train_without_sector", lambda *a: made.append(a) or without(*a))
    tiny = {"autoencoder_steps": 1, "flow_steps": 1, "checkpoint_dir": tmp_path}
    settings = FlowSettings(embed_dim=100, **tiny)
    for function, is_lifted, is_sector in (
        (physics.measure_sector, False, True),
        (physics.measure_lifted_circles, True, False),
        (physics.measure_lifted_sector, True, True),
    ):
        made.clear()
        space = function(settings)["space"]
        assert isinstance(space.autoencoder, physics.Lifted) == is_lifted
        assert bool(made) == is_sector
        assert space.settings == settings
    assert not list(tmp_path.glob("flow*"))
    assert isinstance(physics.measure_circles(settings)["space"].autoencoder, physics.Autoencoder)
    assert len(list(tmp_path.glob("flow*"))) == 1


def test_figure_and_texts(runs):
    result, _ = runs
    numbers = {name: over_seeds(seeds) for name, seeds in result.items()}
    pictures = {name: seeds[0]["picture"] for name, seeds in result.items() if "sector" not in name}
    assert isinstance(physics.draw(numbers, pictures), Figure)
    told = physics.texts(numbers)
    assert len(told["table"].splitlines()) <= 2 + 8
    assert len({line.count("|") for line in told["table"].splitlines()}) == 1
    rows = {line.split(" | ")[0]: line.split(" | ")[1:] for line in told["table"].splitlines()}
    assert [cell.split()[0] for cell in rows["| d = 2"]] == [
        "80",
        "80",
        "90",
        "80",
        "80",
        "80",
        "80",
        "81",
    ]
    assert told["outside: d = 2 minus d = 100, right"] == "+60 ± 0 points"
    assert told["inside: d = 2 lifted to 100 minus d = 2, right"] == "-30 ± 0 points"
    assert told["outside: d = 2 minus d = 100, reach"] == "+0.150 ± 0.000"
    assert told["outside: reach of the null"] == "0.075"
