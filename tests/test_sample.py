"""The Euler sampler against closed formulas, and the files it writes."""

import dataclasses

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from conftest import TINY, tiny_settings

import flow
import sample as sampling
from data import orbits, random_first_centers, render
from files import tile
from flow import true_law
from sample import sample, sample_batches, write_npz
from settings import SampleSettings


def whole_path(*arguments):
    """All states and all posterior means that sample() yields, stacked."""
    return tuple(map(torch.stack, zip(*sample(*arguments), strict=True)))


def batches_of(settings, network, space):
    """The given centres of each batch, and its states and posterior means at all steps, stacked."""
    all_steps = dataclasses.replace(settings, show_steps=tuple(range(settings.steps + 1)))
    for given, path in sample_batches(all_steps, network, space):
        yield given, *map(torch.stack, zip(*path.values(), strict=True))


# ---------------------------------------------------------------- the sampler


@pytest.mark.parametrize("steps", [1, 2, 7, 50])
def test_constant_posterior_mean_is_a_straight_line(steps):
    torch.manual_seed(0)
    noise, goal = torch.randn(2, 4, 3, dtype=torch.float64)
    states, means = whole_path(lambda x, t: goal, noise, steps)
    k = torch.arange(steps + 1)[:, None, None]
    torch.testing.assert_close(states, noise + k / steps * (goal - noise))
    torch.testing.assert_close(means, goal.expand(steps + 1, -1, -1))


def test_linear_posterior_mean_is_a_product():
    # Mean a x: each step multiplies x by 1 + (a - 1) / (steps (1 - t)), t = k / steps.
    steps, a = 20, 0.6
    noise = torch.tensor([[1.0, -2.0]], dtype=torch.float64)
    states, means = whole_path(lambda x, t: a * x, noise, steps)
    factors = [1 + (a - 1) / (steps - k) for k in range(steps)]
    expected = np.cumprod([1.0, *factors])[:, None, None] * noise.numpy()
    np.testing.assert_allclose(states.numpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(means[:-1].numpy(), a * expected[:-1], rtol=1e-6)


def test_last_step_lands_on_the_posterior_mean():
    # Whatever the field, the step from t = 1 - 1/steps to 1 goes all the way.
    noise = torch.linspace(-1, 1, 6).reshape(2, 3)
    states, means = whole_path(lambda x, t: torch.sin(3 * x) + t, noise, 9)
    torch.testing.assert_close(states[-1], means[-2])
    assert torch.equal(states[-1], means[-1])
    assert torch.equal(states[0], noise)


def test_posterior_mean_is_asked_at_the_right_times():
    asked = []

    def posterior_mean(x, t):
        asked.append((x.clone(), t.clone()))
        return x * 0

    states, _ = whole_path(posterior_mean, torch.ones(3, 2), 4)
    for k, (x, t) in enumerate(asked):
        assert torch.equal(x, states[k])
        assert torch.equal(t, torch.full((3, 1), k / 4))
    assert len(asked) == 4


# ---------------------------------------------------------------- whole videos


@pytest.fixture(scope="module")
def trained(checkpoints):
    """Network and latent space of the tiny flow."""
    return flow.load_or_train(tiny_settings(checkpoints))[:2]


def settings_for(checkpoints, tmp_path, **changes) -> SampleSettings:
    """Sample settings at tiny size that write an npz."""
    tiny = dataclasses.asdict(tiny_settings(checkpoints))
    few = {"npz": tmp_path / "out.npz", "num_videos": 5, "steps": 4}
    return SampleSettings(**tiny | few | changes)


def with_settings(space, settings):
    """The same latents seen by a flow of other settings."""
    return dataclasses.replace(space, settings=settings)


def test_exact_flow_ends_on_a_true_video(checkpoints, trained, tmp_path):
    network, space = trained
    settings = settings_for(checkpoints, tmp_path, flow="exact", num_videos=100, steps=50)
    ((given, states, _),) = batches_of(settings, network, space)
    law = true_law(space, given[:, 0], torch.zeros(100, dtype=torch.long))
    ends = torch.stack([law.z_ccw, law.z_cw])
    distance = (states[-1] - ends).norm(dim=2)  # (2, n)
    # Both directions are drawn; each video is one of them, up to a few that hesitate to the end.
    assert 20 < (distance[0] < distance[1]).sum() < 80
    apart = (law.z_ccw - law.z_cw).norm(dim=1)
    assert ((distance.min(0).values < 1e-3 * apart).float().mean()) > 0.95


@pytest.mark.parametrize("share, end", [(1.0, "z_ccw"), (0.0, "z_cw")])
def test_exact_flow_with_certain_prior(checkpoints, trained, tmp_path, share, end):
    network, space = trained
    settings = settings_for(checkpoints, tmp_path, flow="exact", ccw_share=share)
    space = with_settings(space, settings)
    ((given, states, _),) = batches_of(settings, network, space)
    law = true_law(space, given[:, 0], torch.zeros(5, dtype=torch.long))
    torch.testing.assert_close(states[-1], getattr(law, end), rtol=1e-5, atol=1e-5)


def test_exact_flow_with_two_given_frames_keeps_the_direction(checkpoints, trained, tmp_path):
    network, space = trained
    settings = settings_for(checkpoints, tmp_path, flow="exact", given_frames=2, num_videos=20)
    space = with_settings(space, settings)
    ((given, states, _),) = batches_of(settings, network, space)
    (x0, y0), (x1, y1) = given[:, 0].T, given[:, 1].T
    direction = (x0 * y1 - y0 * x1 < 0).astype(int)  # 0 is counter-clockwise
    assert 0 < direction.sum() < 20
    path = orbits(given[:, 0])[np.arange(20), direction]
    np.testing.assert_allclose(given[:, 1], path[:, 1], atol=1e-12)
    expected = space.encode(path[:, 2:]).flatten(1)
    torch.testing.assert_close(states[-1], expected, rtol=1e-4, atol=1e-4)


def test_learned_flow_is_the_networks_own_prediction(checkpoints, trained, tmp_path):
    network, space = trained
    settings = settings_for(checkpoints, tmp_path)
    ((given, states, means),) = batches_of(settings, network, space)
    first = space.encode(given[:, 0])
    with torch.no_grad():
        for k in range(4):
            predicted = network(states[k], first, torch.full((5, 1), k / 4))
            torch.testing.assert_close(means[k], predicted, rtol=1e-4, atol=1e-5)


def test_given_frames_are_fresh_ones_and_noise_is_standard(checkpoints, trained, tmp_path):
    network, space = trained
    settings = settings_for(checkpoints, tmp_path, num_videos=700, steps=1)
    batches = list(batches_of(settings, network, space))
    assert [len(given) for given, _, _ in batches] == [256, 256, 188]
    given = np.concatenate([given[:, 0] for given, _, _ in batches])
    assert len(np.unique(given, axis=0)) == 700
    training = random_first_centers(flow.NUM_RINGS, np.random.default_rng((0, 2)), 0.8)
    assert not np.isin(given[:, 0], training[:, 0]).any()
    noise = torch.cat([states[0] for _, states, _ in batches])
    assert noise.mean().item() == pytest.approx(0, abs=4 / noise.numel() ** 0.5)
    assert noise.std().item() == pytest.approx(1, abs=3 / noise.numel() ** 0.5)
    assert len(noise.unique()) > 0.99 * noise.numel()  # batches don't repeat the noise


# ---------------------------------------------------------------- arrays


def test_arrays_of_the_npz(checkpoints, trained, tmp_path):
    network, space = trained
    settings = settings_for(checkpoints, tmp_path, show_steps=(0, 3, 4))
    write_npz(settings, network, space, settings.npz)
    ((given, states, means),) = batches_of(settings, network, space)
    with np.load(settings.npz, allow_pickle=False) as arrays:
        assert {name: (a.shape, a.dtype.kind) for name, a in arrays.items()} == {
            "frames": ((5, 8, 51, 51), "f"),
            "first_centers": ((5, 2), "f"),
            "show_steps": ((3,), "i"),
            "state_frames": ((3, 5, 8, 51, 51), "f"),
            "posterior_mean_frames": ((3, 5, 8, 51, 51), "f"),
        }
        assert arrays["frames"].dtype == np.float32
        assert arrays["show_steps"].tolist() == [0, 3, 4]
        frames, centers = arrays["frames"], arrays["first_centers"]
        np.testing.assert_array_equal(centers, given[:, 0])
        # The first frame is the given one, drawn and not decoded, in every readout.
        for name in ("frames", "state_frames", "posterior_mean_frames"):
            first = arrays[name][..., 0, :, :]
            expected = np.broadcast_to(render(centers), first.shape)
            np.testing.assert_array_equal(first, expected)
        # The others are decoded states and posterior means; at the last step all is one.
        for name, kind in [("state_frames", states), ("posterior_mean_frames", means)]:
            for i, k in enumerate((0, 3, 4)):
                decoded = space.decode(kind[k]).numpy()
                np.testing.assert_array_equal(arrays[name][i, :, 1:], decoded)
            np.testing.assert_array_equal(arrays[name][-1], frames)
    assert list(tmp_path.iterdir()) == [settings.npz]


def test_arrays_do_not_depend_on_how_they_were_batched_to_disk(
    checkpoints, trained, tmp_path, monkeypatch
):
    monkeypatch.setattr(sampling, "BATCH_SIZE", 2)
    network, space = trained
    settings = settings_for(checkpoints, tmp_path, show_steps=(0, 4))
    write_npz(settings, network, space, settings.npz)
    batches = list(batches_of(settings, network, space))
    assert [len(given) for given, _, _ in batches] == [2, 2, 1]
    with np.load(settings.npz) as arrays:
        for i, k in [(0, 0), (1, 4)]:
            expected = [space.decode(states[k]).numpy() for _, states, _ in batches]
            np.testing.assert_array_equal(
                arrays["state_frames"][i, :, 1:], np.concatenate(expected)
            )
        np.testing.assert_array_equal(
            arrays["first_centers"], np.concatenate([g[:, 0] for g, _, _ in batches])
        )


def test_fewer_videos_are_the_first_ones_in_whole_batches(
    checkpoints, trained, tmp_path, monkeypatch
):
    monkeypatch.setattr(sampling, "BATCH_SIZE", 2)
    network, space = trained
    few, many = [
        list(batches_of(settings_for(checkpoints, tmp_path, num_videos=n), network, space))
        for n in (4, 5)
    ]
    for (given, states, means), (given_2, states_2, means_2) in zip(few, many):
        np.testing.assert_array_equal(given, given_2)
        assert torch.equal(states, states_2) and torch.equal(means, means_2)


def test_two_given_frames_are_drawn_and_the_rest_is_decoded(checkpoints, trained, tmp_path):
    _, space = trained
    settings = settings_for(checkpoints, tmp_path, given_frames=2, flow="exact")
    network, space = flow.FlowNetwork(settings), with_settings(space, settings)
    write_npz(settings, network, space, settings.npz)
    ((given, states, _),) = batches_of(settings, network, space)
    with np.load(settings.npz) as arrays:
        frames = arrays["frames"]
    assert frames.shape == (5, 8, 51, 51)
    np.testing.assert_array_equal(frames[:, :2], render(given))
    np.testing.assert_array_equal(frames[:, 2:], space.decode(states[-1]).numpy())


# ---------------------------------------------------------------- the command


def arguments(checkpoints, tmp_path, *more):
    """A tiny command line that writes to tmp_path/out.*."""
    few = ["--num-videos", "3", "--steps", "5"]
    return [*TINY, *few, "--checkpoint-dir", str(checkpoints), *more]


def test_gif_shows_the_generated_videos(checkpoints, command, tmp_path):
    outputs = ["--gif", f"{tmp_path}/o.gif", "--npz", f"{tmp_path}/o.npz"]
    status, _, err = command(sampling, SampleSettings, *arguments(checkpoints, tmp_path, *outputs))
    assert status == 0, err
    gif = iio.imread(tmp_path / "o.gif", index=None, mode="L")[:, 1::3, 1::3]
    with np.load(tmp_path / "o.npz") as arrays:
        expected = tile(arrays["frames"], across=2)
    assert np.abs(gif.astype(int) - expected).max() <= 2


def test_png_is_the_film_strip(checkpoints, command, tmp_path):
    outputs = ["--png", f"{tmp_path}/o.png", "--npz", f"{tmp_path}/o.npz"]
    outputs += ["--show-steps", "0", "2", "5"]
    status, _, err = command(sampling, SampleSettings, *arguments(checkpoints, tmp_path, *outputs))
    assert status == 0, err
    strip = iio.imread(tmp_path / "o.png")
    with np.load(tmp_path / "o.npz") as arrays:
        rows = [*arrays["state_frames"][:, 0], *arrays["posterior_mean_frames"][:, 0]]
    # Three steps of the state, then three of the posterior mean; eight frames across, twice enlarged.
    assert strip.shape == (6 * 52 * 2, 8 * 52 * 2)
    for row, frames in enumerate(rows):
        for column, frame in enumerate(frames):
            top, left = 2 * (52 * row + 1), 2 * (52 * column + 1)
            shown = strip[top : top + 102 : 2, left : left + 102 : 2].astype(int)
            # A batch of one frame is summed in another order: off by one grey level at most.
            assert np.abs(shown - 255 * frame.clip(0, 1)).max() <= 1


def test_default_steps_shown(checkpoints, tmp_path):
    assert settings_for(checkpoints, tmp_path, steps=50).shown() == (0, 20, 50)
    assert settings_for(checkpoints, tmp_path, steps=1).shown() == (0, 0, 1)
    chosen = settings_for(checkpoints, tmp_path, show_steps=(4, 1))
    assert chosen.shown() == (4, 1)


def test_outputs_are_the_same_bytes_twice(checkpoints, command, tmp_path):
    """GIF, PNG and arrays; the seed of the samples changes them."""
    files = {}
    for name, seed in [("a", "7"), ("b", "7"), ("c", "8")]:
        outputs = ["--seed", seed]
        for kind in ("gif", "png", "npz"):
            outputs += [f"--{kind}", f"{tmp_path}/{name}.{kind}"]
        line = arguments(checkpoints, tmp_path, *outputs)
        status, _, err = command(sampling, SampleSettings, *line)
        assert status == 0, err
        files[name] = {kind: (tmp_path / f"{name}.{kind}").read_bytes() for kind in ("gif", "png")}
        with np.load(tmp_path / f"{name}.npz") as arrays:
            files[name] |= {key: array.tobytes() for key, array in arrays.items()}
    assert files["a"] == files["b"]
    different = {key for key in files["a"] if files["a"][key] != files["c"][key]}
    assert different == set(files["a"]) - {"show_steps"}


def test_other_steps_same_noise(checkpoints, trained, tmp_path):
    """More steps refine the same videos: first frames and noise stay."""
    network, space = trained
    runs = [
        next(sample_batches(settings_for(checkpoints, tmp_path, steps=n), network, space))
        for n in (2, 9)
    ]
    np.testing.assert_array_equal(runs[0][0], runs[1][0])
    assert torch.equal(runs[0][1][0][0], runs[1][1][0][0])
