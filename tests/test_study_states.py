"""What is in a half-finished state: on states, frames and lights whose answer is known."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from autoencoder import encode_squares
from data import possible_orbits, render
from flow import FlowSettings, posterior_mean, training_circles
from sample import euler_steps
from study import pictures, recipes, states
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


def test_an_undecided_state_lies_halfway():
    """If both videos are the same one, it is a state of that: t z + (1 - t) noise."""
    noise, z = torch.randn(2, 1, D)
    state = states.undecided_state(noise, z, z)
    torch.testing.assert_close((state - (1 - T) * noise) / T, z)


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
    assert told["bright at step 0"] == 0
    told = states.look_at(nothing, videos, frames, Shown(frames))
    assert told["bright at step 0"] == 1


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
    assert told["both groups at once"][0] == pytest.approx(one**2)


# ---------------------------------------------------------------------------------------------
# Recipes: the autoencoder of a notebook, and what is done to its latents


def test_the_notebooks_autoencoder_has_no_clip():
    """Its decoder can go far below 0 and above 1: ours would leak a hundredth of it."""
    model = recipes.Notebook(FlowSettings(embed_dim=3))
    frames = torch.from_numpy(render(CCW))
    latents = model.encode(frames)
    assert latents.shape == (8, 3) and model.decode(latents).shape == frames.shape
    for shift in (-3, 3):
        with torch.no_grad():
            model.decoder[-1].bias.fill_(shift)
        assert (model.decode(latents) / shift > 0.5).all()


def test_the_kl_term_by_hand():
    """Of a normal distribution with mean 2 and variance e in each of three numbers it is
    3 (4 + e - 1 - 1) / 2. The decoder gets samples of it, and afterwards the mean."""
    model = recipes.NotebookWithKL(FlowSettings(embed_dim=3))
    with torch.no_grad():
        for layer, value in ((model.encoder[-1], 2.0), (model.log_variance, 1.0)):
            layer.weight.zero_()
            layer.bias.fill_(value)
    frames = torch.from_numpy(render(np.zeros((1000, 2))))
    latents, divergence = model.latents_in_training(frames)
    assert divergence.item() == pytest.approx(3 * (4 + np.e - 2) / 2, rel=1e-5)
    assert latents.mean().item() == pytest.approx(2, abs=0.12)
    assert latents.std().item() == pytest.approx(np.e**0.5, abs=0.12)
    assert (model.encode(frames) == 2).all()
    assert recipes.Notebook.latents_in_training(model, frames)[1] == 0


def test_a_notebooks_training_fits_its_frames(monkeypatch):
    """Its steps are in proportion to the autoencoder's: 4000 of 4000 where that has 460 of 460."""
    usual = FlowSettings.autoencoder_steps
    assert [recipes.in_proportion(4000, steps, usual) for steps in (460, 46, 0)] == [4000, 400, 1]
    monkeypatch.setattr(recipes, "NOTEBOOK_STEPS", 12)
    settings, steps = FlowSettings(hard_edges=True), []

    def decode(self, latents, leak=0):
        steps.append(len(latents))
        return self.decoder(latents)[:, 0]

    monkeypatch.setattr(recipes.Notebook, "decode", decode)
    model = recipes.train_notebook(recipes.Notebook, settings)
    assert steps == 12 * [64]
    torch.manual_seed(settings.seed)  # what it began with
    untrained, frames = recipes.Notebook(settings), torch.from_numpy(render(CCW, settings))
    before, after = (
        ((m.decode(m.encode(frames)) - frames) ** 2).mean() for m in (untrained, model)
    )
    assert after < before - 1e-4


def test_treatments_of_the_latents(few_orbits, monkeypatch):
    """Stable Diffusion's factor leaves mean and shape as they are; one spread brings all numbers
    together to standard deviation 1; only the scale 0.3 takes the mean away, of each number."""
    torch.manual_seed(0)
    model, settings = recipes.Notebook(FlowSettings(embed_dim=3)), FlowSettings(embed_dim=3)
    with torch.no_grad():
        model.encoder[-1].bias += torch.tensor([2.0, 0.0, -1.0])
        model.encoder[-1].weight *= torch.tensor([[1.0], [10.0], [3.0]])
    circles = training_circles(settings)
    own = encode_squares(model, circles, settings)
    of = {
        treatment: recipes.treated(model, settings, treatment)
        for treatment in ("x 0.18215", "raw", "one spread", "scale 0.3")
    }
    encoded = {treatment: space.encode(circles) for treatment, space in of.items()}
    torch.testing.assert_close(encoded["x 0.18215"], 0.18215 * own)
    torch.testing.assert_close(encoded["raw"], own)
    torch.testing.assert_close(encoded["one spread"], own / own.std())
    torch.testing.assert_close(encoded["scale 0.3"].mean((0, 1)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(encoded["scale 0.3"].std((0, 1)), torch.full((3,), 0.3))
    for treatment, space in of.items():
        frames = space.decode(encoded[treatment][:1])
        torch.testing.assert_close(frames[0], model.decode(own[0]), atol=1e-4, rtol=1e-4)

    # how wide they are, as it is told; of two videos, since only the latents matter
    monkeypatch.setattr(recipes, "VIDEOS", 2)
    told = recipes.statistics_of(of["scale 0.3"], {"exact": None})
    assert told["spread"].item() == pytest.approx(0.3, rel=1e-3)
    assert told["exact"]["px off"]["tally"].sum() == 2
    told = recipes.statistics_of(of["raw"], {})
    assert told["spread"].item() == pytest.approx(own.var((0, 1)).mean().item() ** 0.5, rel=1e-3)


# ---------------------------------------------------------------------------------------------
# Recipes: statistics, densities and the rule


def test_statistics_of_the_posts_video():
    """Each stands where its name says, as its pictures show."""
    told = recipes.statistics(pictures.post()["100"])
    assert list(told) == list(recipes.STATISTICS)
    assert told["frames with several squares, step 0"] == 7
    assert told["frames with several squares, step 20"] == 7
    assert told["frames with one square, step 20"] == 0
    assert told["frames with one square, step 50"] == 6
    assert told["squares in frame 4, step 20"] == 3
    assert told["frames with a square at the taken place, step 20"] == 3
    assert told["extra pixels, bright at step 0"] == 0.709
    assert told["extra pixels, bright in other frames"] == 0.362
    assert told["likeness to step 0"] == 0.552 and told["likeness to other frames"] == 0.199
    assert told["light at the other place, frames 1 and 2"] == 0.262
    assert told["light at the other place, all six"] == 0.137
    assert told["px off"] == 1.961 and told["ghosts"] == 0.069
    told = recipes.statistics(pictures.post()["2"])
    assert told["frames with one square, step 0"] == 7
    assert told["frames with several squares, step 20"] == 1
    assert told["frames with a square at the taken place, step 20"] == 0


def test_the_post_and_samples_are_measured_alike():
    """Of one video, by what measures the post's pictures and by what measures samples. At step 20
    it has the taken square in each frame and the other one in all but frame 1."""
    ccw, cw = render(CCW), render(CW)
    middle = np.clip(0.8 * ccw + 0.6 * cw, 0, 1)
    middle[1] = ccw[1]
    video = 0.7 * cw + 0.6 * ccw, middle, np.roll(ccw, 1, axis=-1)
    of_post, of_samples = pictures.measure_video(*video), pictures.measure_sample(*video)
    told = recipes.statistics(of_samples)
    assert recipes.statistics(of_post) == told
    assert 0.4 < told["light at the other place, all six"] < 0.6 and 0.5 < told["px off"] < 1.5
    assert told["frames with a square at the taken place, step 20"] == 6


def test_densities_that_are_known():
    """A normal one, which the kernel widens, and two heaps of which one is four times as large."""
    share, quantiles = "extra pixels, bright at step 0", norm.ppf((np.arange(4000) + 0.5) / 4000)
    width = (0.1**2 + 0.05**2) ** 0.5
    tallied = recipes.tally(share, 0.5 + 0.1 * quantiles)
    for at in (0.5, 0.63, 0.2):
        (dense,) = recipes.density(share, tallied, np.array([at]))
        assert dense == pytest.approx(norm.pdf(at, 0.5, width), rel=0.05)
        expected = norm.pdf(at, 0.5, width) / norm.pdf(0.5, 0.5, width)
        assert recipes.ratio(share, tallied, at) == pytest.approx(expected, rel=0.05)
    heaps = np.concatenate([2 + 0.5 * quantiles, *4 * [9 + 0.5 * quantiles]])
    tallied = recipes.tally("px off", heaps)
    assert recipes.ratio("px off", tallied, 2) == pytest.approx(0.25, rel=0.02)
    assert recipes.ratio("px off", tallied, 9) == pytest.approx(1, abs=0.01)
    assert recipes.ratio("px off", tallied, 5.5) < recipes.REJECTS


def test_a_counts_probability_by_hand():
    """Six videos with 7 frames and three with 6, and a half for each of 0 to 7: 13 in all."""
    several = "frames with several squares, step 20"
    tallied = recipes.tally(several, np.array([7, 7, 7, 6, 7, 6, 7, 6, 7]))
    assert tallied.tolist() == [0, 0, 0, 0, 0, 0, 3, 6]
    dense = recipes.density(several, tallied, np.array([7, 6, 0]))
    np.testing.assert_allclose(dense, [6.5 / 13, 3.5 / 13, 0.5 / 13])
    assert recipes.ratio(several, tallied, 6) == pytest.approx(3.5 / 6.5)
    assert recipes.ratio(several, tallied, 2) == pytest.approx(0.5 / 6.5)
    few = recipes.tally(several, np.array([2, 1, 2]))
    kept = recipes.whole({"tally": np.array([0 * few, few], dtype=float)})["tally"]
    assert kept.tolist() == [[0, 0, 0], [0, 1, 2]] and kept.dtype == int
    for at in (2, 7):  # what is empty in all seeds is possible all the same
        told = [recipes.density(several, x, np.array([at]))[0] for x in (few, kept.sum(0))]
        assert told[0] == told[1] == pytest.approx({2: 2.5, 7: 0.5}[at] / 7)


def test_values_fall_into_the_nearest_cell():
    tallied = recipes.tally("px off", np.array([0.0, 0.07, 0.08, 0.29, 99.0]))  # 0.15 wide
    assert tallied[:3].tolist() == [2, 1, 1] and tallied[-1] == 1 and tallied.sum() == 5
    assert recipes.cells("px off")[[0, 2, -1]].tolist() == pytest.approx([0, 0.3, 15])


def like_the_post(dim: str, seeds: int = 5) -> dict:
    """Numbers of a flow whose videos all have the post's values; 125 for each seed."""
    shown = recipes.statistics(pictures.post()[dim])
    return {
        which: {
            "mean": np.full(seeds, value),
            "tally": np.array(seeds * [recipes.tally(which, np.full(125, value))]),
        }
        for which, value in shown.items()
    }


def shift(found: dict, which: str, value: float, seeds: int = 5) -> None:
    """Give all videos of the first seeds another value."""
    found[which]["tally"][:seeds] = recipes.tally(which, np.full(125, value))


def test_a_statistic_rejects_a_mixture_of_seeds():
    """One seed in five that is as the post is enough: then its density is a quarter of the largest.
    By themselves the four others reject."""
    for which, other in (("px off", 8.0), ("frames with one square, step 20", 7)):
        found = like_the_post("100")
        assert recipes.rejections(found, "100") == []
        shift(found, which, other, seeds=4)
        assert recipes.ratio_to_the_post(found, "100", which) == pytest.approx(0.25, rel=0.1)
        assert recipes.rejections(found, "100") == []
        assert recipes.rejecting_seeds(found, "100", which) == 4
        shift(found, which, other)
        assert recipes.rejections(found, "100") == [which]
        told = recipes.cell(found, "100", which)
        assert told.startswith("**") and told.endswith(", 5**")


def test_the_verdict_is_on_what_was_not_expected():
    numbers = {
        "notebook": {
            dim: {"x 0.18215": {flow: like_the_post(dim) for flow in recipes.FLOWS}}
            for dim in ("100", "2")
        }
    }
    of = {dim: numbers["notebook"][dim]["x 0.18215"] for dim in ("100", "2")}
    shift(of["100"]["exact"], "px off", 0.3)
    shift(of["2"]["learned"], "px off", 0.3)
    shift(of["100"]["learned"], "extra pixels, bright in other frames", 0.0)
    shift(of["2"]["MLP"], "likeness to step 0", 0.0)  # another network isn't the recipe's fault
    assert recipes.unexpected(numbers) == []
    shift(of["2"]["learned"], "extra pixels, bright in other frames", 0.6)
    shift(of["100"]["exact"], "likeness to step 0", 0.0)
    assert recipes.unexpected(numbers) == [
        "likeness to step 0 (d = 100, the exact flow)",
        "extra pixels, bright in other frames (d = 2, ours)",
    ]
