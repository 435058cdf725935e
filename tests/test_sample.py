"""The Euler sampler against closed formulas, which way a video went, and the files it writes."""

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from conftest import TINY, changed

import sample as sampling
from data import PIXEL, draw_film_strip, possible_orbits, random_stream, render, tile
from flow import possible_futures, posterior_mean
from sample import (
    SampleSettings,
    centers_of_light,
    decode_videos,
    describe,
    euler_steps,
    exact_flow,
    given_centers_from,
    is_right,
    learned_flow,
    nearest_orbits,
    random_given_centers,
    random_noise,
    sample,
)


def rng(seed=0):
    return np.random.default_rng(seed)


# --- the sampler


def test_each_step_follows_the_velocity():
    def flow(x, t):
        assert t.shape == (2, 1)
        return torch.sin(3 * x) + t

    x = noise = torch.linspace(-1, 1, 6).reshape(2, 3)
    states, means = zip(*euler_steps(flow, noise, 9), strict=True)
    assert len(states) == 10
    for k in range(9):
        t = torch.full((2, 1), k / 9)
        torch.testing.assert_close(states[k], x)
        torch.testing.assert_close(means[k], flow(x, t))
        x = x + (flow(x, t) - x) / (1 - t) / 9
    torch.testing.assert_close(states[9], x)
    torch.testing.assert_close(states[9], means[8])
    assert torch.equal(means[9], states[9])
    later = list(euler_steps(flow, states[4], 9, start=4))
    for (state, mean), *expected in zip(later, states[4:], means[4:], strict=True):
        assert torch.equal(state, expected[0]) and torch.equal(mean, expected[1])
    samples = sample(flow, noise, 9)
    assert torch.equal(samples.states, torch.stack(states))
    assert torch.equal(samples.posterior_means, torch.stack(means))


@pytest.mark.parametrize(("turns", "share"), [((1, -1), 0.5), ((1, 1, 1, 1, -1), 0.8)])
def test_the_exact_flow_ends_on_a_true_video(tiny, turns, share):
    """Each turn as often as it should be, up to a few videos that hesitate to the end."""
    space, n = changed(tiny[1], turns=turns), 200
    given_centers = random_given_centers(space.settings, n, rng())
    samples = sample(exact_flow(space, given_centers), random_noise(space, n, rng(1)))
    futures, _ = possible_futures(space, given_centers)
    distance = (samples.states[-1][:, None] - futures).norm(dim=2)  # (n, 2)
    apart = (futures[:, 0] - futures[:, 1]).norm(dim=1)
    assert (distance.min(1).values < 1e-3 * apart).float().mean() > 0.95
    assert abs((distance[:, 0] < distance[:, 1]).float().mean().item() - share) < 0.12
    assert samples.states.shape == samples.posterior_means.shape == (51, n, 7)


@pytest.mark.parametrize("given_frames", [1, 2])
def test_the_network_sees_the_given_frames_and_nothing_of_the_futures(
    tiny, monkeypatch, given_frames
):
    def never(*_):
        pytest.fail("the futures were built")

    def network(x, t, given):
        seen.append((x, t, given))
        return torch.sin(x) + t + given[:, :1]

    seen, space = [], changed(tiny[1], given_frames=given_frames)
    given_centers = random_given_centers(space.settings, 6, rng())
    monkeypatch.setattr(sampling, "possible_futures", never)
    flow = learned_flow(network, space, given_centers)
    x, t = random_noise(space, 6, rng(1)), torch.full((6, 1), 0.3)
    mean = flow(x, t)
    given = space.encode(given_centers).reshape(6, given_frames)
    [told] = seen
    assert torch.equal(told[0], x) and torch.equal(told[1], t)
    torch.testing.assert_close(told[2], given)
    torch.testing.assert_close(mean, network(x, t, given))


def test_the_exact_flow_is_the_posterior_mean_of_what_may_follow(tiny):
    space = changed(tiny[1], turns=(1, 1, -1, 2))
    given_centers = random_given_centers(space.settings, 6, rng())
    x, t = random_noise(space, 6, rng(1)), torch.full((6, 1), 0.4)
    futures, prior = possible_futures(space, given_centers)
    expected = posterior_mean(x, t, futures, prior)
    torch.testing.assert_close(exact_flow(space, given_centers)(x, t), expected)


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_noise_is_standard(tiny, scale):
    """Whatever the scale of the latents."""
    space = changed(tiny[1], latent_scale=scale)
    noise = random_noise(space, 700, rng(1))
    assert noise.shape == (700, 7) and noise.dtype == torch.float32
    assert random_noise(changed(space, given_frames=2, embed_dim=3), 5, rng()).shape == (5, 18)
    assert noise.mean().item() == pytest.approx(0, abs=4 / noise.numel() ** 0.5)
    assert noise.std().item() == pytest.approx(1, abs=3 / noise.numel() ** 0.5)
    assert len(noise.unique()) > 0.99 * noise.numel()  # no video has the noise of another one
    assert not torch.equal(noise, random_noise(space, 700, rng(2)))


def test_two_given_frames_tell_the_turn(tiny):
    space = changed(tiny[1], given_frames=2, turns=(1, 1, 1, 1, -1))
    given_centers = random_given_centers(space.settings, 100, rng())
    samples = sample(exact_flow(space, given_centers), random_noise(space, 100, rng(1)), 4)
    (x0, y0), (x1, y1) = given_centers.T.swapaxes(0, 1)
    turn = (x0 * y1 - y0 * x1 < 0).astype(int)  # 0 is counter-clockwise
    path = possible_orbits(given_centers[:, 0])[np.arange(100), turn]
    expected = space.encode(path[:, 2:]).flatten(1)
    torch.testing.assert_close(samples.states[-1], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("given_frames", [1, 2])
def test_given_frames_are_drawn_and_the_others_decoded(tiny, given_frames):
    space = changed(tiny[1], given_frames=given_frames, half_width=0.12)
    given_centers = random_given_centers(space.settings, 3, rng())
    latents = torch.randn(3, 8 - given_frames)
    frames = decode_videos(space, given_centers, latents)
    assert frames.shape == (3, 8, 51, 51)
    drawn = render(given_centers, space.settings)
    np.testing.assert_array_equal(frames[:, :given_frames], drawn)
    np.testing.assert_array_equal(frames[:, given_frames:], space.decode(latents).numpy())


# --- first frames


def test_a_random_turn_leads_to_the_second_given_frame(tiny):
    first, n = np.tile([[0.3, 0.4]], (3000, 1)), 3000
    stated = {0: 1 / 6, 1: 3 / 6, -3: 2 / 6}
    settings = changed(tiny[1], given_frames=2, turns=(0, 1, 1, 1, -3, -3)).settings
    given_centers = given_centers_from(first, settings, rng())
    assert given_centers.shape == (n, 2, 2)
    np.testing.assert_allclose(given_centers[:, 0], first)
    z = given_centers @ [1, 1j]
    turn = np.angle(z[:, 1] / z[:, 0]) / (np.pi / 4)
    np.testing.assert_allclose(np.abs(z[:, 1]), 0.5)
    np.testing.assert_allclose(turn, turn.round(), atol=1e-9)
    for value, share in stated.items():
        deviation = (share * (1 - share) / n) ** 0.5
        assert abs((turn.round() == value).mean() - share) < 4 * deviation
    one = given_centers_from(first, changed(tiny[1]).settings, rng())
    np.testing.assert_allclose(one, first[:, None])


@pytest.mark.parametrize("band", [None, (0.3, 0.6)])
def test_videos_start_on_circles_of_any_radius(tiny, band):
    """Also on those that were left out of the training."""
    settings = changed(tiny[1], unseen_radii=band).settings
    given_centers = random_given_centers(settings, 6000, rng())
    assert given_centers.shape == (6000, 1, 2)
    radius = np.linalg.norm(given_centers[:, 0], axis=1)
    counts, _ = np.histogram(radius, bins=6, range=(0.2, 0.8))
    assert counts.sum() == 6000 and np.abs(counts - 1000).max() < 5 * 1000**0.5


# --- which way did it go?


def test_centers_of_light():
    frame = np.zeros((51, 51))
    frame[0, 50] = 1  # the top right
    assert centers_of_light(frame) == pytest.approx([1, 1])
    frame[0, 25] = 0.5
    assert centers_of_light(frame) == pytest.approx([2 / 3, 1])
    frame[50] = -3  # clipped
    frame[0, 50] = 7
    assert centers_of_light(frame) == pytest.approx([2 / 3, 1])
    assert centers_of_light(np.zeros((2, 51, 51))) == pytest.approx(np.zeros((2, 2)))
    centers = rng().uniform(-0.8, 0.8, (3, 4, 2))
    np.testing.assert_allclose(centers_of_light(render(centers)), centers, atol=1e-6)


def test_nearest_orbits_by_hand():
    orbits = possible_orbits(np.array([[0.6, 0.0], [0.1, -0.5], [0.3, 0.3]]), (1, -1, 2))
    taken = orbits[[0, 1, 2], [2, 1, 0]].copy()
    taken[1, 3, 0] += 3 * PIXEL  # in one frame: it is the nearest one all the same
    taken[1, 3, 1] -= 4 * PIXEL
    taken[2, :, 1] += PIXEL
    nearest, distance = nearest_orbits(render(taken), orbits)
    assert nearest.tolist() == [2, 1, 0]
    expected = np.zeros((3, 8))
    expected[1, 3], expected[2] = 5, 1
    np.testing.assert_allclose(distance, expected, atol=1e-4)


def test_a_video_is_right_if_no_frame_is_more_than_one_and_a_half_pixels_off():
    distance = np.full((4, 8), 1.5)
    distance[1, 6] = 1.5000001
    distance[2] = 0
    distance[3, 0] = np.nan
    assert is_right(distance).tolist() == [True, False, True, False]


def test_describe_by_hand():
    first = rng().uniform(0.2, 0.5, (9, 2))
    taken = possible_orbits(first, (1, -1, 4))[range(9), [0, 0, 1, 2, 2, 2, 0, 1, 1]]
    taken[5, :, 0] += 1.4 * PIXEL
    taken[6, 5, 0] += 1.6 * PIXEL  # wrong in just one frame
    frames = render(taken)
    frames[7] = 0.0
    frames[8] = frames[8, ::-1]
    given_centers = np.stack([first, taken[:, 1]], axis=1)
    assert describe(frames, given_centers, np.array([1, -1, 4])) == (
        "9 videos. 45° counter-clockwise: 2, 45° clockwise: 1, 180°: 3, "
        "none of these (a frame more than 1.5 pixels off): 3."
    )
    assert describe(frames[2:5], given_centers[2:5, :1], np.array([1])) == (
        "3 videos. 45° counter-clockwise: 0, none of these (a frame more than 1.5 pixels off): 3."
    )


# --- the files


@pytest.fixture
def write(checkpoints, tmp_path):
    """Run sample.py in this process; returns the arrays of the npz."""

    def run(name="o", **changes):
        outputs = {kind: tmp_path / f"{name}.{kind}" for kind in ("gif", "png", "npz")}
        few = {"num_videos": 5, "steps": 4, "checkpoint_dir": checkpoints}
        sampling.main(SampleSettings(**TINY | few | outputs | changes))
        with np.load(outputs["npz"], allow_pickle=False) as arrays:
            return dict(arrays)

    return run


@pytest.fixture
def drawn(monkeypatch):
    """Of each film strip: its title, the names of its rows, and its picture."""
    strips = []

    def remembered(plot, frames, labels, title):
        draw_film_strip(plot, frames, labels, title)
        names = [label.get_text() for label in plot.get_yticklabels()]
        strips.append((plot.get_title(), names, plot.get_images()[0].get_array()))

    monkeypatch.setattr(sampling, "draw_film_strip", remembered)
    return strips


@pytest.mark.parametrize("exact", [False, True])
def test_the_files_show_the_samples(write, tiny, tmp_path, capsys, exact):
    arrays = write(show_steps=(0, 3, 4), exact=exact)
    stream = random_stream(0, "sampling")
    given_centers = random_given_centers(tiny[1].settings, 5, stream)
    flow = exact_flow(tiny[1], given_centers)
    if not exact:
        flow = learned_flow(*tiny, given_centers)
    samples = sample(flow, random_noise(tiny[1], 5, stream), 4)
    assert arrays.keys() == {
        *("frames", "first_centers", "show_steps", "state_frames", "posterior_mean_frames")
    }
    assert arrays["show_steps"].tolist() == [0, 3, 4]
    np.testing.assert_array_equal(arrays["first_centers"], given_centers[:, 0])
    readouts = {"state_frames": samples.states, "posterior_mean_frames": samples.posterior_means}
    for name, latents in readouts.items():
        shown = [decode_videos(tiny[1], given_centers, latents[k]) for k in (0, 3, 4)]
        np.testing.assert_array_equal(arrays[name], shown)
        np.testing.assert_array_equal(arrays[name][-1], arrays["frames"])
    gif = iio.imread(tmp_path / "o.gif", index=None, mode="L")[:, 1::3, 1::3]
    assert np.abs(gif.astype(int) - tile(arrays["frames"], across=3)).max() <= 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.gif", "o.npz", "o.png"]
    wrote, told = capsys.readouterr().out.splitlines()
    assert wrote.startswith(f"The {'exact' if exact else 'learned'} flow wrote ")
    for name in ("o.gif", "o.npz", "o.png", "at steps 0, 3, 4 of 4"):
        assert name in wrote
    assert told == describe(arrays["frames"], given_centers, np.array([1, -1]))


def test_the_film_strip_names_its_rows(write, drawn):
    arrays = write(steps=10)
    assert [title for title, *_ in drawn] == ["state", "posterior mean"]
    for (_, names, image), name in zip(drawn, ("state_frames", "posterior_mean_frames")):
        assert names == ["step 0", "step 4", "step 10"]  # 0, 2/5 of all, and all
        np.testing.assert_array_equal(image, tile(arrays[name][:, 0].reshape(-1, 51, 51), 8))


def test_the_gif_over_the_steps(write, drawn, tmp_path, capsys):
    path = tmp_path / "steps.gif"
    arrays = write(png=None, steps_gif=path, steps=3, show_steps=(0, 1, 2, 3))
    assert "steps.gif" in capsys.readouterr().out
    assert len(drawn) == 4
    for k, (title, names, image) in enumerate(drawn):
        assert title == f"step {k} of 3" and names == ["state", "posterior\nmean"]
        rows = arrays["state_frames"][k, 0], arrays["posterior_mean_frames"][k, 0]
        np.testing.assert_array_equal(image, tile(np.concatenate(rows), 8))
    pictures = iio.imread(path, index=None)
    assert len(pictures) == 4 and pictures.std() > 10
    assert (pictures[0] != pictures[3]).any()
    durations = [iio.immeta(path, index=k)["duration"] for k in range(4)]
    assert durations[0] > durations[1] == durations[2] < durations[3]


def test_the_same_bits_twice_and_others_with_other_settings(write, tmp_path):
    first, again = write("a"), write("b")
    seed, exact, steps = write("c", sample_seed=8), write("d", exact=True), write("e", steps=9)
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
        assert name == "show_steps" or (array != seed[name]).any()
    for kind in ("gif", "png"):
        files = [(tmp_path / f"{name}.{kind}").read_bytes() for name in "abc"]
        assert files[0] == files[1] != files[2]
    # the same first frames and noise, then another way
    np.testing.assert_array_equal(first["state_frames"][0], exact["state_frames"][0])
    np.testing.assert_array_equal(first["state_frames"][0], steps["state_frames"][0])
    assert (first["frames"] != exact["frames"]).any() and (first["frames"] != steps["frames"]).any()


def test_all_videos_start_at_the_named_place(write, tiny, monkeypatch):
    space = changed(tiny[1], given_frames=2)
    monkeypatch.setattr(sampling, "trained_flow", lambda settings: (None, space))
    arrays = write(first_center=(0.3, -0.5), given_frames=2, exact=True, num_videos=40)
    np.testing.assert_array_equal(arrays["first_centers"], np.tile([0.3, -0.5], (40, 1)))
    noise = arrays["state_frames"][0, :, 2:]
    assert len(np.unique(noise[:, 0].reshape(40, -1), axis=0)) == 40
    second = centers_of_light(arrays["frames"][:, 1])
    both = possible_orbits(np.array([[0.3, -0.5]]))[0, :, 1]
    distance = np.linalg.norm(second[:, None] - both, axis=2)
    assert (distance.min(1) < 1e-6).all() and 8 < (distance[:, 0] < 1e-6).sum() < 32


def test_unseen_radii_are_told_apart(write, tiny, monkeypatch, capsys):
    space = changed(tiny[1], unseen_radii=(0.4, 0.6))
    monkeypatch.setattr(sampling, "trained_flow", lambda settings: (tiny[0], space))

    def decoded(space, given_centers, latents):
        """Counter-clockwise where circles were trained on, and standing still on the others."""
        radius = np.hypot(*given_centers[:, 0].T)
        turns = possible_orbits(given_centers[:, 0], [1, 0])
        return render(turns[range(len(radius)), ((0.4 < radius) & (radius < 0.6)).astype(int)])

    monkeypatch.setattr(sampling, "decode_videos", decoded)
    few = {"png": None, "gif": None, "unseen_radii": (0.4, 0.6), "steps": 1}

    arrays = write(**few, num_videos=30)
    _, trained, unseen = capsys.readouterr().out.splitlines()
    radius = np.linalg.norm(arrays["first_centers"], axis=1)
    inside = (radius > 0.4) & (radius < 0.6)
    for line, name, which, ccw in (
        (trained, "trained on", ~inside, (~inside).sum()),
        (unseen, "never seen in training", inside, 0),
    ):
        assert which.any() and line == (
            f"Circles {name}: {which.sum()} videos. 45° counter-clockwise: {ccw}, 45° clockwise: "
            f"0, none of these (a frame more than 1.5 pixels off): {which.sum() - ccw}."
        )

    # the smallest radius left out, and the smallest one above them
    for first_center, name in (((0.4, 0.0), "never seen in training"), ((0.6, 0.0), "trained on")):
        write(**few, first_center=first_center)
        _, line = capsys.readouterr().out.splitlines()
        assert line.startswith(f"Circles {name}: 5 videos.")
