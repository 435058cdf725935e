"""What is in a half-finished state?

    python -m study.states      # out/states.png, .json and .npz

Question. At d = 100 the post's frames show several squares at step 20 of 50, and it says of frames
1 and 2 that they appear to represent both directions at once. But a state is a video that noise is
mixed into. Are these squares the two directions, or what the decoder draws of the noise?

Measures. The squares in frame 4, where both directions have the same place, and in the other
frames. The share of the other direction, that which isn't taken in the end, in the latent. And the
light at its place in the picture, beside the post's.

Null: a state without memory, the taken video and fresh noise, which has decided. Positive control:
an undecided state, the average of both videos and the same noise, which shows what there would be
to see. Further controls: the exact flow, which has no misfit; step 0, which is nothing but noise;
an ordinary autoencoder, "plain"; latents as the encoder gives them, "raw".

Refuted would be "noise, and decided" by fewer squares in frame 4 than in the others, by a share
near the undecided state's, or by bright pixels that weren't bright at step 0.

Fixed beforehand: step 20, the brightness 0.5, circles of a radius above 0.55, the scales. Not
fixed: that the post is compared with the scale 0.3, which was found by looking at its picture with
seed 0; to look at frames 1 and 2 by themselves; the width of the kernel, KERNEL.

Which recipe made the post's pictures is asked in recipes.py, and measured here, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from analyze import ORANGE, SweepSettings, count_blobs
from autoencoder import trained_autoencoder
from data import FRAME_SIZE, NUM_FRAMES, draw_film_strip, new_figure, possible_orbits, random_stream
from flow import FlowNetwork, FlowSettings, LatentSpace, possible_futures, trained_flow
from sample import Flow, exact_flow, learned_flow, random_noise, sample
from study import recipes
from study.measures import light_in_videos, stretched
from study.pictures import GROUPS, STEPS, extra_pixels, filled, post
from study.question import (
    Key,
    Numbers,
    Pictures,
    command,
    markdown_table,
    measured,
    paired,
    percent,
)
from study.recipes import from_the_posts_frame, on_large_circles, treated

STEP = 20  # the post's half-finished state
T = STEP / 50  # its time
DIMS = (100, 2)
SHOWN = 0.3  # standard deviation of the latents (noise: 1) with which step 20 looks like the post's
RECIPES: dict[str, dict[str, Any]] = {"ours": {}, "plain": {"plain": True, "blur": 0.0}}
Case = tuple[str, int, float]  # recipe, d, scale
LEARNED: list[Case] = [("ours", 100, 0.3), ("ours", 100, 1.0), ("ours", 2, 0.3)]
LEARNED += [("plain", 100, 0.3)]
RAW = [("plain", 100), ("plain", 2)]  # with the exact flow alone, which needs no training
KERNEL = 0.05  # of brightness; see times_as_probable()


# ---------------------------------------------------------------------------------------------
# States of step 20: those of a flow, and two whose answer is known


@dataclass(frozen=True)
class Walked:
    """n videos that a flow has sampled, and both ways that each could have gone."""

    states: dict[int, Tensor]  # one of STEPS -> (n, D)
    z_taken: Tensor  # (n, D), the true video that the finished one is nearer to
    z_other: Tensor  # (n, D), the true video in the other direction
    taken: np.ndarray  # (n, 8, 2), where the square is in the taken direction
    other: np.ndarray  # (n, 8, 2), and in the other one


def walk(flow: Flow, noise: Tensor, given_centers: np.ndarray, space: LatentSpace) -> Walked:
    """Sample a video from each noise (n, D), and find out which way it took."""
    states = sample(flow, noise).states
    futures, _ = possible_futures(space, given_centers)
    both = possible_orbits(given_centers[:, 0])  # (n, 2, 8, 2)
    took = (states[-1][:, None] - futures).norm(dim=2).argmin(1).numpy()  # (n,)
    i = np.arange(len(noise))
    z = futures[i, took], futures[i, 1 - took]
    return Walked({step: states[step] for step in STEPS}, *z, both[i, took], both[i, 1 - took])


def undecided_state(noise: Tensor, z_taken: Tensor, z_other: Tensor) -> Tensor:
    """What the state would be if no step had decided anything: noise (n, D), and both videos in
    equal parts."""
    return (1 - T) * noise + T * (z_taken + z_other) / 2


def state_without_memory(fresh: Tensor, z_taken: Tensor, z_other: Tensor) -> Tensor:
    """What the state would be if nothing were left of its past: t z_taken + (1 - t) fresh noise (n,
    D). Where that lies nearer to the other video it is mirrored, as it would take the other
    direction. The exact flow's states have this law in the limit of many small steps."""
    way = z_other - z_taken
    x = T * z_taken + (1 - T) * fresh
    from_middle = x - T * (z_taken + z_other) / 2
    along = (from_middle * way).sum(1, keepdim=True) / (way**2).sum(1, keepdim=True)
    return x - 2 * along.clamp_min(0) * way


# ---------------------------------------------------------------------------------------------
# In the latent
#
# An Euler step is a weighted mean of the state and the posterior mean. So, whatever the network is,
# the state of step k of N is its first noise and a running mean of the posterior means m_j so far:
#
#     x_k = (1 - k/N) x_0 + sum over j < k of w_j m_j,      w_j = (N - k) / ((N - j) (N - j - 1))
#
# The running mean remembers the first, undecided steps. But the noise has chosen the direction,
# leans towards it, and makes up for most of that. So what counts is the share in the whole state.


def running_mean(state: Tensor, noise: Tensor) -> Tensor:
    """What a state of step 20 (n, D) is without its first noise, divided by the sum of the weights
    w_j, which is t."""
    return (state - (1 - T) * noise) / T


def other_share(latents: Tensor, z_taken: Tensor, z_other: Tensor) -> Tensor:
    """The other direction's share in latents (n, D): (n,). It is the b for which
    (1 - b) z_taken + b z_other comes nearest to the latent; it can lie outside of 0 to 1."""
    way = z_other - z_taken
    return ((latents - z_taken) * way).sum(1) / (way**2).sum(1)


def latent_shares(latents: Tensor, videos: Walked, dim: int) -> dict[str, Any]:
    """The other direction's share in latents (n, D), states that are divided by t: its mean in all
    frames, and in the numbers of frames 1 and 2 alone, which come first."""
    z = latents, videos.z_taken, videos.z_other
    two = (each[:, : 2 * dim] for each in z)
    return {
        "other direction's share": other_share(*z).mean(),
        "other direction's share in frames 1 and 2": other_share(*two).mean(),
    }


# ---------------------------------------------------------------------------------------------
# In the picture


def frame_counts(counts: np.ndarray) -> dict[str, Any]:
    """How many squares frame 4 and the six others show on average, from the counts (n, 7) of frames
    1 to 7."""
    return {
        "squares in frame 4": counts[:, 3].mean(),
        "squares in the other frames": np.delete(counts, 3, axis=1).mean(),
    }


def look_at(state: Tensor, videos: Walked, start: np.ndarray, space: LatentSpace) -> dict[str, Any]:
    """All that is measured of a state of step 20, (n, D), in the latent and in the picture. start:
    the frames of step 0, stretched. The light at the other place, (n,), is kept at SHOWN only."""
    middle = stretched(space.decode(state).numpy())
    results: dict[str, Any] = {
        **latent_shares(state / T, videos, space.settings.embed_dim),
        **frame_counts(count_blobs(middle)),
        "bright at step 0": extra_pixels(start, middle, videos.taken)["at step 0"].mean(),
    }
    if (space.settings.embed_dim, space.settings.latent_scale) == (100, SHOWN):
        results["light at the other place"] = {
            name: light_in_videos(middle[:, np.array(frames) - 1], videos.other[:, frames])
            for name, frames in GROUPS.items()
        }
    return results


# ---------------------------------------------------------------------------------------------
# Of each network


@torch.no_grad()
def states_of(space: LatentSpace, network: FlowNetwork | None) -> dict[str, Any]:
    """All that is measured of one network; of the exact flow alone if there is none.

    Returns:
        look_at() of the "learned" and the "exact" flow's state of step 20, of the "undecided" one
        and of that with "no memory"; and latent_shares() of the "running mean".
    """
    rng = random_stream(space.settings.seed, "counting")
    given = on_large_circles(space.settings, rng)
    noise, fresh = (random_noise(space, len(given), rng) for _ in range(2))
    flows = {"exact": exact_flow(space, given)}
    if network is not None:
        flows = {"learned": learned_flow(network, space, given), **flows}
    walked = {name: walk(flow, noise, given, space) for name, flow in flows.items()}
    first = next(iter(walked.values()))
    mean = running_mean(first.states[STEP], noise)
    z = first.z_taken, first.z_other
    start = stretched(space.decode(noise).numpy())
    return {
        **{name: look_at(each.states[STEP], each, start, space) for name, each in walked.items()},
        "undecided": look_at(undecided_state(noise, *z), first, start, space),
        "no memory": look_at(state_without_memory(fresh, *z), first, start, space),
        "running mean": latent_shares(mean, first, space.settings.embed_dim),
    }


def measure_learned(settings: FlowSettings) -> dict[str, Any]:
    """states_of() a trained flow; and for the figure "picture", from_the_posts_frame()."""
    network, space = trained_flow(settings)
    results = states_of(space, network)
    if (settings.latent_scale, settings.plain) == (SHOWN, False):
        results["picture"] = from_the_posts_frame(space, {"learned": network, "exact": None})
    return results


def measure_raw(settings: FlowSettings) -> dict[str, Any]:
    """The same with latents that nothing moves or scales."""
    return states_of(treated(trained_autoencoder(settings), settings, "raw"), None)


def analysis(settings: SweepSettings) -> tuple[Numbers, Pictures]:
    """recipe -> d -> scale -> states_of(). The scale "raw" is measure_raw(). And "recipes": see
    recipes.analysis()."""

    def flows(recipe: str, dim: int, scale: float = 1.0) -> list[FlowSettings]:
        return settings.flows(embed_dim=dim, latent_scale=scale, **RECIPES[recipe])

    learned: dict[tuple[Key, ...], Any] = {case: flows(*case) for case in LEARNED}
    raw: dict[tuple[Key, ...], Any] = {(*case, "raw"): flows(*case) for case in RAW}
    numbers, pictures = measured(measure_learned, learned, settings.dask)
    for recipe, dims in measured(measure_raw, raw, settings.dask)[0].items():
        for dim, scales in dims.items():
            numbers[recipe].setdefault(dim, {}).update(scales)
    numbers["recipes"], more = recipes.analysis(settings)
    return numbers, pictures | more


# ---------------------------------------------------------------------------------------------
# How probable is the post's light?
#
# How many states have more light than the post's picture is the wrong question, for it has neither
# more nor less than it has. What tells is how dense the states are there. And as the post speaks of
# frames 1 and 2 and shows all, both groups of frames are asked at once, too.


def times_as_probable(a: np.ndarray, b: np.ndarray, at: Sequence[float]) -> np.ndarray:
    """How many times as dense the numbers a are at a point (k,) as the numbers b, both (seeds, n,
    k) and paired, by a normal kernel of the width KERNEL: the ratio of the densities, and from
    where to where 95 % of it lie if seeds and, within each, videos are drawn anew; (3,)."""
    a, b = (np.exp(-((x - np.array(at)) ** 2).sum(-1) / (2 * KERNEL**2)) for x in (a, b))
    rng, (seeds, n) = np.random.default_rng(0), a.shape
    ratios = []
    for _ in range(2000):
        drawn = rng.integers(seeds, size=(seeds, 1)), rng.integers(n, size=(seeds, n))
        ratios.append(a[drawn].mean() / b[drawn].mean())
    return np.array([a.mean() / b.mean(), *np.percentile(ratios, [2.5, 97.5])])


def compare_light(a: Numbers, b: Numbers) -> dict[str, np.ndarray]:
    """times_as_probable() the post's light at the other place is in the state a as in the state b,
    which are what look_at() gives: in frames 1 and 2, and in both GROUPS at once."""
    light = post()["100"]["light"]
    shown = [light[name]["at the other place"] for name in GROUPS]
    both = [
        np.stack([state["light at the other place"][name] for name in GROUPS], axis=-1)
        for state in (a, b)
    ]  # (seeds, n, 2) each
    two_a, two_b = (x[..., :1] for x in both)
    return {
        "frames 1 and 2": times_as_probable(two_a, two_b, shown[:1]),
        "both groups at once": times_as_probable(both[0], both[1], shown),
    }


# ---------------------------------------------------------------------------------------------
# The figure and the texts


def draw_videos(plot: Axes, dim: int, picture: np.ndarray) -> None:
    """The post's video and below it ours and the exact flow's, (6, 8, 51, 51), at STEPS; frame 4 is
    framed."""
    blobs = post()[str(dim)]["blobs"]
    shown = np.array([[filled(frame) for frame in blobs[str(step)]] for step in STEPS])
    names = [f"{name}, step {step}" for name in ("post", "ours", "exact") for step in STEPS]
    draw_film_strip(plot, np.concatenate([shown, picture]), names, f"d = {dim}")
    plot.set_title(f"d = {dim} (post: cut at half brightness; ours: scale {SHOWN})", fontsize=9)
    if dim == 2:  # the same rows as at its left
        plot.set_yticks([])
    cell = FRAME_SIZE + 1
    middles = [cell * (i + 0.5) for i in range(NUM_FRAMES)]
    plot.set_xticks(middles, [f"frame {i}" if i == 0 else str(i) for i in range(NUM_FRAMES)])
    for line in (3, 6):
        plot.axhline(cell * line, color="white", lw=3)
    plot.add_patch(Rectangle((4 * cell, 0), cell, 9 * cell, fill=False, ec=ORANGE, lw=2.5))


def draw(numbers: Numbers, pictures: Pictures) -> Figure:
    """The post's video beside ours and the exact flow's."""
    figure = new_figure(8.3, 5.2)
    figure.suptitle(
        "Several squares at step 20 needn't mean several possibilities:\n"
        "frame 4, where both directions have one place, has them, too",
        fontsize=11,
    )
    for plot, dim in zip(figure.subplots(1, 2), DIMS, strict=True):
        draw_videos(plot, dim, pictures[f"ours/{dim}/{SHOWN}"])
    return figure


def light_texts(states: Numbers, recipe: str) -> dict[str, str]:
    """How many times as probable the post's light is in the undecided states of a recipe as in its
    own, and as in its states without memory."""
    told = {}
    for kind, name in (("learned", recipe), ("no memory", "no memory")):
        for frames, ratio in compare_light(states["undecided"], states[kind]).items():
            told[f"{frames}, undecided to {name}"] = "{:.2f} ({:.2f} to {:.2f})".format(*ratio)
    return told


def state_texts(states: Numbers) -> dict[str, str]:
    """The states of step 20 at d = 100 and SHOWN, beside each other."""
    share = {name: state["other direction's share"] for name, state in states.items()}
    told = {
        "share, running mean": percent(share["running mean"]),
        "share, ours minus exact": paired(100 * share["learned"], 100 * share["exact"], "%+.1f"),
        "bright at step 0, the post": f"{100 * post()['100']['extra pixels']['at step 0']:.0f} %",
        "bright at step 0": percent(states["learned"]["bright at step 0"]),
        "bright at step 0, no memory": percent(states["no memory"]["bright at step 0"]),
    }
    for kind, name in (("learned", "ours"), ("undecided", "undecided")):
        in_two = states[kind]["other direction's share in frames 1 and 2"]
        told[f"share, {name}"] = percent(share[kind])
        told[f"share in frames 1 and 2, {name}"] = percent(in_two)
        told[f"squares, {name}"] = squares(states[kind])
    return told


def squares(state: Numbers) -> str:
    """The squares in frame 4 and in the other frames, the means over all seeds."""
    four, others = state["squares in frame 4"], state["squares in the other frames"]
    return f"{four.mean():.2f} and {others.mean():.2f}"


def table(numbers: Numbers) -> str:
    """Step 20 of the post, and of ours by recipe, d and scale, one row for each."""
    head = ["step 20", "squares in frame 4 and the others", "if undecided"]
    head += ["other direction's share", "exact flow", "if undecided"]
    rows = []
    for dim, cases in TABLE.items():
        shown = post()[dim]
        counts = squares(frame_counts(np.array([shown["squares"]["20"]])))
        rows.append([f"the post, d = {dim}", counts, *4 * [""]])
        for recipe, scale in cases:
            states = numbers[recipe][dim][scale]
            flow = states.get("learned", states["exact"])
            shares = [
                percent(states[kind]["other direction's share"]) if kind in states else ""
                for kind in ("learned", "exact", "undecided")
            ]
            # Where the noise hides the latents, even an undecided state has hardly a share.
            if states["undecided"]["other direction's share"].mean() < 0.2:
                shares = 3 * ["can't tell"]
            label = f"{recipe}, d = {dim}, {scale if scale == 'raw' else f'scale {scale}'}"
            two = squares(flow), squares(states["undecided"])
            rows.append([label, *two, *shares])
    return markdown_table(head, rows)


TABLE = {  # d -> the recipes and scales of the rows
    "100": [("ours", "0.3"), ("ours", "1.0"), ("plain", "0.3"), ("plain", "raw")],
    "2": [("ours", "0.3"), ("plain", "raw")],
}


def texts(numbers: Numbers) -> dict[str, str]:
    """What the pages tell. Where nothing else is said: at d = 100 and SHOWN, step 20."""
    shown, wide = (numbers["ours"]["100"][scale] for scale in (str(SHOWN), "1.0"))
    return {
        "table": table(numbers),
        **state_texts(shown),
        **light_texts(numbers["plain"]["100"][str(SHOWN)], "plain"),
        **light_texts(shown, "ours"),
        "scale 1, squares, undecided": squares(wide["undecided"]),
        "scale 1, squares, ours": squares(wide["learned"]),
        **recipes.texts(numbers["recipes"]),
    }


if __name__ == "__main__":
    command("states", analysis, draw)
