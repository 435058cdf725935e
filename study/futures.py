"""More than two futures, even and uneven.

    python -m study.futures      # out/futures.png, .json, .csv and .npz

The post's videos have two futures that are equally probable. Its guess is that a code with many
numbers can hold several possibilities at once, as a probability distribution. A coin is the
smallest possible test of that. A flow that has learned distributions should do as well with three
or four futures, and with futures that are not equally probable. It could be otherwise: the
network might spread its videos evenly where they should be uneven, mix the futures when there are
more than two, or keep only the likelier ones. And its decoder might show fewer squares than there
are futures.

So flows are trained on two, three and four turns. Four things are measured.

1. What comes out. 400 videos of the learned flow and 400 of the exact flow, from the same first
   frames and the same noise: how many are right, and how often each turn is taken. Two lists of
   shares are compared by their total variation distance: half the sum of the absolute differences,
   which is the share of videos that would have to take another turn for the lists to agree. The
   null is chance: how far apart two samples of 400 are that are both drawn from the prior. That the
   exact flow is the yardstick, and not the prior alone, has a reason: with 50 Euler steps even the
   exact flow misses the prior a little. That is checked with 2000 videos of an 80/20 prior, and
   with the exact flow in 500 steps as the positive control, which should come back to 80 %.

2. What the posterior mean holds. The exact posterior mean is a weighted mean of the possible
   futures, and the weights are the posterior. So the learned one is written as a weighted mean of
   the futures, as well as that is possible, on true videos with noise added, and its weights are
   compared with the exact posterior. The null is a network that always answers with the prior.

3. What one sees of it: the squares in the posterior mean of step 0, where nothing is decided. Only
   those frames count in which all futures have different places, and in which squares drawn there
   are separate pieces: so a perfect picture would show all of them. The null is decoded noise. The
   controls are the average of the possible frames (pixel by pixel), which says what can be seen of
   a rare future at all, and frame 4, in which some futures have the same place.

4. How bright a square is for its probability. The decoder alone, without any flow, draws
   p z_1 + (1 - p) z_2 for the latents of two squares. If it blended the two pictures, the first
   square would have the brightness p.

Fixed before the first look: the learned shares count as those of the exact flow if their distance
is no larger than the null; the posterior mean holds the distribution if its weights are at most
half as far from the exact posterior as the prior is; a picture shows a future if its square is a
piece of its own. What would refute that the flow has learned distributions is a distance larger
than the null, or weights as far off as the prior's.

Two things were added after a first look at one seed: the squares that are counted without the
decoder's clip, and that the brightness is moved and scaled to be 0 at p = 0 and 1 at p = 1.
"""

from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from analyze import BLUE, GREEN, GREY, ORANGE, SweepSettings, count_blobs, measure
from autoencoder import LEAK, Autoencoder, AutoencoderSettings, encode_squares, trained_autoencoder
from data import (
    NUM_FRAMES,
    distinct_turns,
    draw_film_strip,
    new_figure,
    possible_orbits,
    random_first_centers,
    random_stream,
    random_videos,
    render,
)
from flow import (
    FlowNetwork,
    FlowSettings,
    LatentSpace,
    places,
    possible_futures,
    posterior,
    speciation_time,
    trained_flow,
)
from sample import (
    Samples,
    decode_videos,
    euler_steps,
    is_right,
    nearest_orbits,
    random_given_centers,
    random_noise,
    sample,
)
from study.measures import FRAMES, MIN_RADIUS, MOSTLY_CCW, both_flows, study_stream
from study.question import (
    Numbers,
    Pictures,
    Runs,
    autoencoders,
    command,
    difference,
    markdown_table,
    percent,
    spread,
)

DIMS = (2, 100)
FUTURES: dict[str, tuple[int, ...]] = {  # what they are called -> turns
    "two even": (1, -1),
    "two, 80/20": MOSTLY_CCW,
    "three even": (1, -1, 2),
    "four even": (1, -1, 2, -2),
    "four uneven": (1, 1, 1, 1, -1, -1, 2, -2),  # 50, 25, 12.5 and 12.5 %
}
LONGER = "four even, trained twice as long"  # at d = 100 only
PROBABILITIES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
VIDEOS = 400


# ---------------------------------------------------------------------------------------------
# Small tools


def different_frames(turns: np.ndarray) -> list[int]:
    """The frames in which the futures of all these turns (k,) have different places."""
    place = places(torch.zeros(len(turns), dtype=torch.long), torch.from_numpy(turns))  # (k, 8)
    return [i for i in range(NUM_FRAMES) if len(set(place[:, i].tolist())) == len(turns)]


def total_variation(a: Any, b: Any) -> Any:
    """The total variation distance, 0 to 1, of two lists of shares, NumPy or torch: (..., k) twice
    -> (...)."""
    return abs(a - b).sum(-1) / 2


def distances_by_chance(
    probability: np.ndarray, n: int, rng: np.random.Generator
) -> dict[str, float]:
    """How far the shares in samples of n are from one another by chance alone, if each of the n
    takes one of the k outcomes with this probability (k,). Means over 2000 repetitions.

    Returns:
        "two samples": the mean total variation distance of one sample from another one.
        "sample to prior": that of a sample from the probability itself.
    """
    one, other = rng.multinomial(n, probability, size=(2, 2000)) / n  # (2000, k) each
    return {
        "two samples": total_variation(one, other).mean(),
        "sample to prior": total_variation(one, probability).mean(),
    }


def nearest_future(latents: Tensor, futures: Tensor) -> np.ndarray:
    """Which of its possible futures (n, k, D) each video (n, D) is nearest to: (n,)."""
    return (latents[:, None] - futures).norm(dim=2).argmin(1).numpy()


def weights_of(mean: Tensor, futures: Tensor) -> Tensor:
    """Write a posterior mean as a weighted mean of the possible futures: the weights (n, k) whose
    sum is 1 and for which sum_k w_k z_k is nearest to it. A weight may come out a little under 0.

    That the sum is 1 leaves k - 1 weights to be found. With w_k = 1 - (w_1 + ... + w_(k-1)),

        mean - z_k = sum over j < k of w_j (z_j - z_k)

    is an ordinary least-squares problem.

    Args:
        mean: (n, D); futures: (n, k, D).
    """
    last = futures[:, -1]
    from_last = (futures[:, :-1] - last[:, None]).transpose(1, 2)  # (n, D, k - 1)
    first = torch.linalg.lstsq(from_last, (mean - last)[:, :, None]).solution[:, :, 0]
    return torch.cat([first, 1 - first.sum(1, keepdim=True)], dim=1)


# ---------------------------------------------------------------------------------------------
# 1. What comes out


def sample_both(
    network: FlowNetwork, space: LatentSpace, n: int
) -> tuple[np.ndarray, dict[str, Samples]]:
    """n videos of the "learned" and of the "exact" flow, from the same first frames and noise.

    Returns:
        Where the squares of the given frames are, (n, given_frames, 2); and the videos of each.
    """
    rng = random_stream(space.settings.seed, "counting")
    given_centers = random_given_centers(space.settings, n, rng)
    noise = random_noise(space, n, rng)
    flows = both_flows(network, space, given_centers)
    return given_centers, {name: sample(flow, noise) for name, flow in flows.items()}


def outcomes(
    given_centers: np.ndarray, both: dict[str, Samples], space: LatentSpace
) -> dict[str, Any]:
    """What the finished videos are. Which turn a video took is asked of its latents: it is the one
    whose true video is nearest. (So each video has a turn, also one that isn't right.)

    Returns:
        For learned and exact each, as "right, learned" and so on:
            "right": the share of videos that are right.
            "pixels off": the median distance of the square from its place, in pixels.
            "shares": of the videos, for each turn, (k,).
            "to prior": the total variation distance of the shares from the prior.
        "prior": (k,).
        "learned to exact": the total variation distance between their shares.
        "same turn": the share of the videos for which both take the same turn.
        "same turn by chance": what it would be if they had nothing but their shares in common.
        "two samples", "sample to prior": the nulls, see distances_by_chance().
    """
    turns, prior = distinct_turns(space.settings.turns)
    n = len(given_centers)
    futures, _ = possible_futures(space, given_centers)
    orbits = possible_orbits(given_centers[:, 0], turns)[:, :, 1:]  # (n, k, 7, 2)
    told: dict[str, Any] = {"prior": prior}
    taken = {}
    for name, samples in both.items():
        finished = samples.states[-1]
        _, distance = nearest_orbits(space.decode(finished).numpy(), orbits)
        taken[name] = nearest_future(finished, futures)
        shares = np.bincount(taken[name], minlength=len(turns)) / n
        told[f"right, {name}"] = is_right(distance).mean()
        told[f"pixels off, {name}"] = np.median(distance)
        told[f"shares, {name}"] = shares
        told[f"to prior, {name}"] = total_variation(shares, prior)
    learned, exact = told["shares, learned"], told["shares, exact"]
    told["learned to exact"] = total_variation(learned, exact)
    told["same turn"] = (taken["learned"] == taken["exact"]).mean()
    told["same turn by chance"] = (learned * exact).sum()
    return told | distances_by_chance(prior, n, random_stream(space.settings.seed, "counting"))


@torch.no_grad()
def ccw_of_many(network: FlowNetwork, space: LatentSpace, n: int = 2000) -> dict[str, Any]:
    """How many of n videos run counter-clockwise (the first turn), to one part in a hundred; by
    their latents.

    Returns:
        "learned", "exact": the shares, from the same first frames and noise, in 50 Euler steps.
        "exact, 500 steps": the same in 500.
        "learned - exact", "exact - prior": the differences, in standard errors of a share of n
            videos, sqrt(p (1 - p) / n) with p the prior.
        "same turn": the share of the videos for which learned and exact take the same turn.
    """
    settings = space.settings
    rng = random_stream(settings.seed, "counting")
    given_centers = random_given_centers(settings, n, rng)
    noise = random_noise(space, n, rng)
    flows = both_flows(network, space, given_centers)
    walks = {
        "learned": euler_steps(flows["learned"], noise, 50),
        "exact": euler_steps(flows["exact"], noise, 50),
        "exact, 500 steps": euler_steps(flows["exact"], noise, 500),
    }
    futures, _ = possible_futures(space, given_centers)
    is_ccw = {}
    for name, walk in walks.items():
        for state, _ in walk:  # only the last one is needed
            finished = state
        is_ccw[name] = nearest_future(finished, futures) == 0
    told: dict[str, Any] = {name: ccw.mean() for name, ccw in is_ccw.items()}
    p = distinct_turns(settings.turns)[1][0]
    error = (p * (1 - p) / n) ** 0.5
    told["learned - exact"] = (told["learned"] - told["exact"]) / error
    told["exact - prior"] = (told["exact"] - p) / error
    told["same turn"] = (is_ccw["learned"] == is_ccw["exact"]).mean()
    return told


# ---------------------------------------------------------------------------------------------
# 2. What the posterior mean holds


@torch.no_grad()
def in_the_latent(network: FlowNetwork, space: LatentSpace, n: int = 1000) -> dict[str, Any]:
    """How far the weights of the futures in the learned posterior mean are from the exact
    posterior: on n true videos with noise added, radius above MIN_RADIUS, at times that are uniform
    up to twice t_S of the closest two futures (at most 0.9), where the turn is being decided.

    Returns:
        "weights to exact": the mean total variation distance of the weights from the posterior.
        "prior to exact": the same of the prior, the null.
        "weights at t = 0": their mean, which should be the prior, (k,).
        "off the futures": how far the posterior mean is from any weighted mean of the futures, as a
            share of the distance between the closest two.
        "condition": the condition number of the least-squares problem, its mean; near 1 is good.
    """
    settings = space.settings
    rng = study_stream(settings.seed, "calibration")
    first_centers = random_first_centers(4 * n, rng, settings.center_range)
    first_centers = first_centers[np.linalg.norm(first_centers, axis=1) > MIN_RADIUS][:n]
    _, taken = random_videos(first_centers, *distinct_turns(settings.turns), rng)
    futures, prior = possible_futures(space, first_centers[:, None])
    z = futures[torch.arange(len(futures)), torch.from_numpy(taken)]
    given = space.encode(first_centers[:, None]).flatten(1)
    noise = torch.from_numpy(rng.standard_normal(z.shape, dtype=np.float32))
    uniform = torch.from_numpy(rng.random((len(z), 1), dtype=np.float32))
    t_s = speciation_time(futures)[:, None]
    t = (2 * t_s).clamp_max(0.9) * uniform
    x = t * z + (1 - t) * noise

    exact = posterior(x, t, futures, prior)
    mean = network(x, t, given)
    weights = weights_of(mean, futures)
    left_over = (mean - (weights[:, :, None] * futures).sum(1)).norm(dim=1)
    closest = 2 * (1 / t_s[:, 0] - 1)  # t_S = 1 / (1 + distance / 2)
    from_last = futures[:, :-1] - futures[:, -1:]
    return {
        "weights to exact": total_variation(weights, exact).mean().item(),
        "prior to exact": total_variation(prior, exact).mean().item(),
        "weights at t = 0": weights_of(network(noise, 0 * t, given), futures).mean(0).numpy(),
        "off the futures": (left_over / closest).mean().item(),
        "condition": torch.linalg.cond(from_last).mean().item(),
    }


# ---------------------------------------------------------------------------------------------
# 3. What one sees


@torch.no_grad()
def decode_without_clip(space: LatentSpace, latents: Tensor) -> np.ndarray:
    """Decode latents (m, d) of single frames without the decoder's clip, which makes all that is
    darker than black black: frames (m, 51, 51). Each is moved and scaled so that its background,
    the median pixel, is 0, and its brightest pixel 1."""
    own = latents / space.settings.latent_scale * space.std + space.mean
    decode = space.autoencoder.decode
    frames = torch.cat([decode(batch, leak=1) for batch in own.split(128)]).numpy()
    above = frames - np.median(frames, axis=(1, 2), keepdims=True)
    return above / above.max((1, 2), keepdims=True)


def squares_at_step_0(
    given_centers: np.ndarray, both: dict[str, Samples], space: LatentSpace
) -> dict[str, Any]:
    """How many squares are seen at step 0. They are counted in the frames in which all k futures
    have different places, if squares drawn at these places are k pieces.

    Returns:
        "frames": the share of such frames that qualify.
        "squares, learned", "squares, exact": the mean number in the posterior mean.
        "squares, average": that in the average of the possible frames, weighted with the prior.
        "squares, noise": that in decoded noise, the null.
        "squares, no clip": that in the exact posterior mean, decoded without the clip.
        "all, learned" and so on: the share of the frames that show exactly k.
        "frame 4, learned", "frame 4, exact": the mean number in frame 4, where futures meet; with a
            radius above MIN_RADIUS.
        "places in frame 4": how many there are.
    """
    settings = space.settings
    turns, prior = distinct_turns(settings.turns)
    first_centers = given_centers[:, 0]
    orbits = possible_orbits(first_centers, turns)  # (n, k, 8, 2)
    differ = different_frames(turns)
    drawn = render(orbits[:, :, differ], settings)  # (n, k, frames, 51, 51)
    separate = count_blobs(drawn.max(1)) == len(turns)  # (n, frames)
    far = np.linalg.norm(first_centers, axis=1) > MIN_RADIUS

    def per_frame(latents: Tensor) -> Tensor:
        """(n, 7 d) -> (n, 7, d): of frames 1 to 7."""
        return latents.reshape(len(latents), NUM_FRAMES - 1, -1)

    def decoded(latents: Tensor) -> np.ndarray:
        """Latents (m, d) of single frames -> (m, 51, 51)."""
        return space.decode(latents[:, None])[:, 0].numpy()

    def where_separate(latents: Tensor) -> Tensor:
        """Of latents (n, 7 d) those of the frames that qualify: (m, d)."""
        frames = per_frame(latents)[:, [i - 1 for i in differ]]  # frame 0 is given
        return frames[torch.from_numpy(separate)]

    exact = where_separate(both["exact"].posterior_means[0])
    shown = {
        "average": np.einsum("nkfhw,k->nfhw", drawn, prior)[separate],
        "noise": decoded(where_separate(both["exact"].states[0])),
        "learned": decoded(where_separate(both["learned"].posterior_means[0])),
        "exact": decoded(exact),
        "no clip": decode_without_clip(space, exact),
    }
    told: dict[str, Any] = {"frames": separate.mean()}
    for name, frames in shown.items():
        count = count_blobs(frames)
        told[f"squares, {name}"] = count.mean()
        told[f"all, {name}"] = (count == len(turns)).mean()
    for name, samples in both.items():
        frame_4 = per_frame(samples.posterior_means[0])[torch.from_numpy(far), 3]
        told[f"frame 4, {name}"] = count_blobs(decoded(frame_4)).mean()
    told["places in frame 4"] = len({4 * int(turn) % NUM_FRAMES for turn in turns})
    return told


def picture(given_centers: np.ndarray, both: dict[str, Samples], space: LatentSpace) -> np.ndarray:
    """The learned flow's posterior mean at step 0 and its finished video, (2, 8, 51, 51): of the
    video whose possible squares are furthest apart, that is, the one with the largest radius."""
    samples = both["learned"]
    which = np.linalg.norm(given_centers[:, 0], axis=1).argmax()
    latents = torch.stack([samples.posterior_means[0, which], samples.states[-1, which]])
    return decode_videos(space, given_centers[[which, which]], latents)


# ---------------------------------------------------------------------------------------------
# 4. How bright is a square for its probability?


@torch.no_grad()
def brightness(
    model: Autoencoder, settings: AutoencoderSettings, leak: float = LEAK, n: int = 100
) -> dict[str, Any]:
    """What the decoder draws for p z_1 + (1 - p) z_2, where z_1 and z_2 are the latents of a square
    that runs counter-clockwise and of one that runs clockwise: in the six FRAMES in which they
    differ, for n first frames with a radius above MIN_RADIUS.

    Args:
        leak: how much of what lies outside of [0, 1] the decoder lets through. 1 is no clip at all,
            and then the brightness isn't clipped here either.

    Returns:
        "raw light": for each of PROBABILITIES the mean brightness at the place of the first square.
        "light": the same, moved and scaled so that it is 0 at p = 0, where only the second square
            is there, and 1 at p = 1. A blend of the two pictures gives p.
        "two squares": for each of them the share of the frames that show exactly two.
    """
    rng = study_stream(settings.seed, "midpoints")
    first_centers = random_first_centers(4 * n, rng, settings.center_range)
    first_centers = first_centers[np.linalg.norm(first_centers, axis=1) > MIN_RADIUS][:n]
    both = possible_orbits(first_centers)[:, :, FRAMES]  # (n, 2, 6, 2)
    latents = encode_squares(model, both, settings)  # (n, 2, 6, d)
    z_1, z_2 = latents[:, 0].flatten(0, 1), latents[:, 1].flatten(0, 1)  # (6 n, d)
    squares = render(both[:, 0].reshape(-1, 2), settings)  # (6 n, 51, 51)

    def light(frames: np.ndarray) -> float:
        """Mean brightness at the place of the first square."""
        if leak < 1:
            frames = np.clip(frames, 0, 1)
        return (frames * squares).sum() / squares.sum()

    lights, two = [], []
    for p in PROBABILITIES:
        mixed = p * z_1 + (1 - p) * z_2
        frames = torch.cat([model.decode(batch, leak) for batch in mixed.split(128)]).numpy()
        lights.append(light(frames))
        two.append((count_blobs(frames) == 2).mean())
    raw = np.array(lights)
    scaled = (raw - raw[0]) / (raw[-1] - raw[0])
    return {"raw light": raw, "light": scaled, "two squares": np.array(two)}


# ---------------------------------------------------------------------------------------------
# All of it


def measure_futures(settings: FlowSettings) -> dict[str, Any]:
    """What comes out, what the posterior mean holds, and what one sees, of one flow."""
    network, space = trained_flow(settings)
    given_centers, both = sample_both(network, space, VIDEOS)
    return (
        outcomes(given_centers, both, space)
        | in_the_latent(network, space)
        | squares_at_step_0(given_centers, both, space)
        | {"picture": picture(given_centers, both, space)}
    )


def measure_many(settings: FlowSettings) -> dict[str, Any]:
    """ccw_of_many() of the flow of these settings."""
    return ccw_of_many(*trained_flow(settings))


def measure_brightness(settings: AutoencoderSettings) -> dict[str, Any]:
    """brightness() of the autoencoder of these settings."""
    return brightness(trained_autoencoder(settings), settings)


def measure_brightness_without_clip(settings: AutoencoderSettings) -> dict[str, Any]:
    """The same without the decoder's clip."""
    return brightness(trained_autoencoder(settings), settings, leak=1)


def many(dim: int) -> str:
    """The case of the 2000 videos."""
    return f"d = {dim}, 80 % ccw with 2000 videos"


def analysis(settings: SweepSettings) -> Runs:
    """Two to four futures, at d = 2 and 100; and the decoder alone."""
    cases = {
        f"d = {dim}, {name}": settings.flows(embed_dim=dim, turns=turns)
        for dim in DIMS
        for name, turns in FUTURES.items()
    }
    cases[f"d = 100, {LONGER}"] = settings.flows(
        embed_dim=100, turns=FUTURES["four even"], flow_steps=2 * settings.flow_steps
    )
    uneven = {many(dim): settings.flows(embed_dim=dim, turns=MOSTLY_CCW) for dim in DIMS}
    clipped = {f"d = {dim}, decoder alone": autoencoders(settings, embed_dim=dim) for dim in DIMS}
    unclipped = {"d = 100, decoder without its clip": autoencoders(settings, embed_dim=100)}
    return (
        measure(measure_futures, cases, settings.dask)
        | measure(measure_many, uneven, settings.dask)
        | measure(measure_brightness, clipped, settings.dask)
        | measure(measure_brightness_without_clip, unclipped, settings.dask)
    )


def draw_shares(plot: Axes, numbers: Numbers) -> None:
    """The share of each turn: for each kind of futures a group, in it for each turn the prior as a
    line, and the shares of the learned and of the exact flow at both d."""
    position, middles = 0.0, []
    label = "{}".format  # so that only the first group is named in the legend
    for name in FUTURES:
        prior = numbers[f"d = 2, {name}"]["prior"]["mean"]
        at = position + np.arange(len(prior))
        middles.append(at.mean())
        plot.hlines(prior, at - 0.42, at + 0.42, color="black", lw=1.2, label=label("prior"))
        for dim, color, side in ((2, GREEN, -0.2), (100, BLUE, 0.2)):
            value = numbers[f"d = {dim}, {name}"]
            for which, look, shift in (("exact", "s", -0.08), ("learned", "o", 0.08)):
                share = value[f"shares, {which}"]
                plot.errorbar(
                    at + side + shift,
                    share["mean"],
                    share["std"],
                    fmt=look,
                    ms=5,
                    lw=1,
                    capsize=2,
                    color=color,
                    mfc="white" if which == "exact" else color,
                    label=label(f"d = {dim}, {which}"),
                )
        label = "_{}".format  # matplotlib leaves out labels that begin with an underscore
        position += len(prior) + 0.8
    plot.set_xticks(middles, list(FUTURES))
    plot.tick_params(axis="x", length=0)
    plot.set(ylim=(0, 0.9), ylabel="share of 400 videos")
    plot.legend(ncols=3, loc="upper right")


def draw(numbers: Numbers, pictures: Pictures) -> Figure:
    """The shares of the turns; squares against futures; brightness against probability; and what
    four futures look like."""
    figure = new_figure(11, 9.4)
    parts: Any = figure.subfigures(3, height_ratios=(1, 1.25, 0.6))
    top, middle, bottom = parts
    shares = top.subplots()
    draw_shares(shares, numbers)
    shares.set_title("How often each turn is taken: the learned flow, the exact one, and the prior")

    squares, light = middle.subplots(1, 2)
    names = [name for name in FUTURES if name != "two, 80/20"]
    x = np.arange(len(names))
    futures = [len(numbers[f"d = 2, {name}"]["prior"]["mean"]) for name in names]
    squares.hlines(futures, x - 0.4, x + 0.4, color="black", lw=1.2, label="number of futures")
    looks: list[tuple[int, str, str, str]] = [
        (2, "learned", GREEN, "o"),
        (100, "exact", BLUE, "s"),
        (100, "learned", BLUE, "o"),
        (100, "no clip", BLUE, "x"),
        (100, "average", ORANGE, "x"),
        (100, "noise", GREY, "^"),
    ]
    said = {
        "no clip": "d = 100, exact, no clip",
        "average": "average of the frames",
        "noise": "d = 100, decoded noise",
    }
    for i, (dim, which, color, look) in enumerate(looks):
        values = [numbers[f"d = {dim}, {name}"][f"squares, {which}"] for name in names]
        squares.errorbar(
            x + 0.11 * (i - 2.5),
            [value["mean"] for value in values],
            [value["std"] for value in values],
            fmt=look,
            color=color,
            mfc="white" if which == "exact" else color,
            capsize=2,
            label=said.get(which, f"d = {dim}, {which}"),
        )
    squares.set_xticks(x, names)
    squares.set(ylim=(0, 5.9), ylabel="mean number of squares")
    squares.set_title("Squares in the posterior mean at step 0")
    squares.legend(ncols=2, loc="upper left", fontsize=8)

    light.plot([0, 1], [0, 1], color=GREY, lw=1, label="a blend of both pictures")
    for case, color, look in (
        ("d = 2, decoder alone", GREEN, "o-"),
        ("d = 100, decoder alone", BLUE, "o-"),
        ("d = 100, decoder without its clip", BLUE, "x--"),
    ):
        value = numbers[case]["light"]
        label = case.replace(", decoder alone", "").replace("decoder ", "")
        light.errorbar(
            PROBABILITIES, value["mean"], value["std"], fmt=look, color=color, label=label
        )
    light.set(xlabel="p, the weight of a square's latent", ylabel="brightness at its place")
    light.set_title("How bright the decoder draws a square of weight p")
    light.legend()

    films: Any = bottom.subplots(1, 2)
    for plot, dim in zip(films, DIMS, strict=True):
        frames = pictures[f"d = {dim}, four even"]
        rows = frames / frames.max((2, 3), keepdims=True).clip(0.1, 1)  # dark frames brighter
        title = f"d = {dim}, four even futures (seed 0)"
        draw_film_strip(plot, rows, ["posterior mean,\nstep 0", "finished"], title)
        plot.set_xticks(plot.get_xticks(), range(NUM_FRAMES))
        plot.set_xlabel("frame (dark ones are drawn brighter)")
    return figure


def texts(numbers: Numbers) -> dict[str, str]:
    """Single numbers, and two tables: what comes out, and what the posterior mean holds
    and shows."""
    told = {}
    for case, value in numbers.items():
        if "weights to exact" in value:
            told[f"{case}: right, learned"] = percent(value["right, learned"])
            told[f"{case}: squares, exact"] = spread(value["squares, exact"])
            for name in ("learned to exact", "two samples", "weights to exact", "prior to exact"):
                told[f"{case}: {name}"] = spread(value[name], "%.3f")
    for dim in DIMS:
        value = numbers[many(dim)]
        for name in ("learned", "exact"):
            told[f"{many(dim)}: {name}"] = f"{100 * value[name]['mean']:.1f} %"
        told[f"{many(dim)}: learned - exact"] = spread(value["learned - exact"], "%.1f")
    longer, usual = (numbers[f"d = 100, {name}"] for name in (LONGER, "four even"))
    gain, error = difference(longer["right, learned"], usual["right, learned"])
    told["right: twice as long - usual"] = f"{100 * gain:.1f} ± {100 * error:.1f}"
    for case, value in numbers.items():
        if "light" in value:
            for i, p in enumerate(PROBABILITIES):
                told[f"{case}: light at p = {p:g}"] = f"{value['light']['mean'][i]:.2f}"

    names = [*FUTURES, LONGER]

    def row(name: str, *columns: tuple[str, int, str]) -> list[str]:
        """A line of a table: for each (result, d, form) its mean, if that case was measured."""
        cells = [name]
        for result, dim, form in columns:
            value = numbers.get(f"d = {dim}, {name}")
            cells.append(form % value[result]["mean"] if value else "")
        return cells

    told["table"] = markdown_table(
        (
            "futures",
            *(f"videos right, d = {dim}" for dim in DIMS),
            *(f"same turn as the exact flow, d = {dim}" for dim in DIMS),
            *(f"distance of the shares from the exact flow's, d = {dim}" for dim in DIMS),
            "by chance, two samples of the prior",
        ),
        (
            row(
                name,
                *(("right, learned", dim, "%.3f") for dim in DIMS),
                *(("same turn", dim, "%.2f") for dim in DIMS),
                *(("learned to exact", dim, "%.3f") for dim in DIMS),
                ("two samples", 100, "%.3f"),
            )
            for name in names
        ),
    )
    told["second table"] = markdown_table(
        (
            "futures",
            *(f"weights, distance from the exact posterior, d = {dim}" for dim in DIMS),
            *(f"always the prior, d = {dim}" for dim in DIMS),
            *(f"squares at step 0, d = {dim}" for dim in DIMS),
            "exact flow, d = 100",
            "average of the frames",
        ),
        (
            row(
                name,
                *(("weights to exact", dim, "%.3f") for dim in DIMS),
                *(("prior to exact", dim, "%.3f") for dim in DIMS),
                *(("squares, learned", dim, "%.2f") for dim in DIMS),
                ("squares, exact", 100, "%.2f"),
                ("squares, average", 100, "%.2f"),
            )
            for name in names
        ),
    )
    return told


if __name__ == "__main__":
    command("futures", analysis, draw)
