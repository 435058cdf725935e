"""What is a state made of, and does it hold both directions?

    python -m study.state      # out/state.png, .json, .csv and .npz

The post says that with d = 100 at step 20 of 50 "frame 1/2 appears to represent both possibilities
simultaneously". Its frames show several squares there. A state could show them because it holds
both videos at once. It could also show them because there is still noise in it. These two can be
told apart, because a state can be taken apart. An Euler step is a weighted mean of the state and
the posterior mean, and so, whatever the network is, the state of step k of N is

    x_k = (1 - k/N) x_0 + sum over j < k of w_j m_j,      w_j = (N - k) / ((N - j) (N - j - 1))

where m_j is the posterior mean of step j. So a state is its own first noise, the noise part, plus a
running mean of all posterior means so far. The weights w_j add up to t = k/N, and therefore the
running mean is divided by t before it is looked at.

Part 1, in the latent. Two videos begin with the given frame: the one that the sampled video took in
the end, and the other one. Write state / t as a mix of the two plus a rest, by least squares and
with coefficients that add up to 1: the coefficient of the other one is the other direction's share.
It is 0 for a state that has decided, and 1/2 for one that holds both directions.

There is a trap. The running mean remembers the first steps, at which nothing was decided, and so it
holds something of the other direction. But the noise part is not neutral: the noise has chosen the
direction, and so it leans towards it, and makes up for most of that. (The shares of the two parts
add up to that of the state.) The answer is therefore the share in the whole state, held against

    state without memory   t z + (1 - t) fresh noise, where z is the taken video, on its side of the
                           middle. The states of the exact flow have this law in the limit of many
                           small steps, and they never cross the middle. (This is the null. At early
                           steps its share is far below 0: the noise that is on this side anyway is
                           divided by a small t.)
    undecided state        the noise part of the very same state, plus t times the middle of both
                           videos: what the state would be if no step had decided anything. (This is
                           the positive control.)
    exact flow             the best flow on the same noise; once more with eight times as many steps
    d = 2                  where the post sees one square at every step
    two given frames       nothing is open from the start (a negative control)

Part 2, in the pictures. The extra pixels of a state are those that are brighter than 0.5 and lie
off the square of the taken direction. If they belong to the noise, they were there at step 0
already, and they go when the noise part is replaced by fresh noise. If they belong to what the flow
has in mind, they stay, and the running mean shows them, too. The null is the same frame of another
video. Bright pixels that lie on the taken square must stay more often (the positive control), and
frame 4, where the two directions meet, has no other direction to show (a negative control).

The post speaks of frames 1 and 2, and there its picture has more light at the other place than in
its other frames. So in how many videos is there as much, if the state has decided
(the state without memory), and in how many if it hasn't? (This was added after these two frames of
the post's picture had been measured by themselves.)

Squares are counted at the taken place, at the other one, and per place at six control places of the
same circle. Only what the other place has more than the controls speaks for the other direction,
and only if the state without memory doesn't have it, too. Two things must pass this test if it is
any good: the finished video at the taken place, and the posterior mean of step 0 with d = 100 at
the other one. The undecided state says how much there would be to see in a state that really
holds both.

The scale of the latents decides how long they are hidden in the noise, and the post doesn't tell
it. So there are three scales with d = 100. Two cases were added after five seeds had shown that a
learned state holds a little more of the other direction than an exact one: the same flow trained
for 300 and for 2800 steps (usual are 1400). If what is too much shrinks with the training, it is
what the flow hasn't learned yet. Fixed before the outcomes were looked at: the steps 5, 10, 20 and
the one nearest to t_S, the brightness 0.5, and circles of a radius above 0.55. Not fixed before:
the squares of the state without memory. They were added when seed 0 showed that even the exact
flow, which has decided, can have more at the other place than at the controls.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from analyze import BLUE, GREEN, GREY, ORANGE, SweepSettings, measure
from data import new_figure, possible_orbits, random_stream, render
from flow import (
    FlowNetwork,
    FlowSettings,
    LatentSpace,
    possible_futures,
    speciation_time,
    trained_flow,
)
from sample import (
    Flow,
    Samples,
    centers_of_light,
    decode_videos,
    euler_steps,
    exact_flow,
    nearest_orbits,
    random_given_centers,
    random_noise,
    sample,
)
from study.measures import (
    FRAMES,
    MIN_RADIUS,
    blobs_at,
    both_flows,
    control_places,
    draw_marked,
    light_at,
    light_in_videos,
    stretched,
    taken_and_other,
)
from study.question import Numbers, Pictures, Runs, command, difference, markdown_table, percent

STEPS = 50
FINER = 8  # the exact flow once more, with this many times as many steps
FIRST_FRAMES = 120  # for each seed; about two in five have a radius above MIN_RADIUS
SHOWN_STEP = 20  # the post's
SEEN_STEPS = (5, 10, SHOWN_STEP)  # that are decoded, besides step 0 and the one nearest to t_S
BRIGHT = 0.5
# How bright the post's own picture (d = 100, step 20) is at the other place, measured by python -m
# study.pictures: in frames 1 and 2, of which it speaks, and in all six.
POST_LIGHT = {"frames 1 and 2, ": 0.262, "": 0.137}

CASES: dict[str, dict[str, Any]] = {
    "d = 2": {"embed_dim": 2},
    "d = 2, scale 0.3": {"embed_dim": 2, "latent_scale": 0.3},
    "d = 100": {"embed_dim": 100},
    "d = 100, scale 0.5": {"embed_dim": 100, "latent_scale": 0.5},
    "d = 100, scale 0.3": {"embed_dim": 100, "latent_scale": 0.3},
    "d = 100, scale 0.3, two given frames": {
        "embed_dim": 100,
        "latent_scale": 0.3,
        "given_frames": 2,
    },
    "d = 100, scale 0.3, 300 training steps": {
        "embed_dim": 100,
        "latent_scale": 0.3,
        "flow_steps": 300,
    },
    "d = 100, scale 0.3, 2800 training steps": {
        "embed_dim": 100,
        "latent_scale": 0.3,
        "flow_steps": 2800,
    },
}
PICTURED = ("d = 100", "d = 100, scale 0.3")
PICTURE_ROWS = (  # of the result "picture"
    "state, step 0",
    "noise part",
    "running mean",
    "state",
    "with fresh noise",
    "posterior mean",
    "state, step 50",
)


# ---------------------------------------------------------------------------------------------
# The videos, and both ways they could have gone


@dataclass(frozen=True)
class BothWays:
    """n sampled videos of large radius, all their steps, and the two true videos of each."""

    given_centers: np.ndarray  # (n, given_frames, 2), where the squares of the given frames are
    samples: Samples
    z_taken: Tensor  # (n, D), the true video that the finished one is nearer to
    z_other: Tensor  # (n, D), the true video in the other direction
    taken: np.ndarray  # (n, 8, 2), where the square is in the taken direction
    other: np.ndarray  # (n, 8, 2), and in the other one


def both_ways(samples: Samples, given_centers: np.ndarray, space: LatentSpace) -> BothWays:
    """Find out which way each video took. All radii must be above MIN_RADIUS."""
    finished = samples.states[-1]
    far, taken, other = taken_and_other(finished, given_centers, space)
    assert len(far) == len(given_centers)
    futures, _ = possible_futures(space, given_centers)
    nearest = (finished[:, None] - futures).norm(dim=2).argmin(1)  # (n,)
    i = torch.arange(len(futures))
    z_taken, z_other = futures[i, nearest], futures[i, 1 - nearest]
    return BothWays(given_centers, samples, z_taken, z_other, taken, other)


def sample_far(
    network: FlowNetwork, space: LatentSpace, first_frames: int = FIRST_FRAMES
) -> tuple[dict[str, BothWays], Tensor]:
    """Sample a video for each of these first frames whose radius is above MIN_RADIUS.

    Returns:
        The videos of the "learned" and of the "exact" flow, from the same noise; and fresh noise
        for each of them, (n, D).
    """
    rng = random_stream(space.settings.seed, "counting")
    given_centers = random_given_centers(space.settings, first_frames, rng)
    given_centers = given_centers[np.linalg.norm(given_centers[:, 0], axis=1) > MIN_RADIUS]
    noise = random_noise(space, len(given_centers), rng)
    fresh = random_noise(space, len(given_centers), rng)
    videos = {
        name: both_ways(sample(flow, noise, STEPS), given_centers, space)
        for name, flow in both_flows(network, space, given_centers).items()
    }
    return videos, fresh


# ---------------------------------------------------------------------------------------------
# Part 1: in the latent


def take_apart(states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Take states (steps + 1, n, D), of step 0 to the last, apart.

    Returns:
        The time t of each, (steps + 1, 1, 1); the noise part (1 - t) x_0 and the running mean, not
        yet divided by t, both (steps + 1, n, D). The two parts add up to the states.
    """
    steps = len(states) - 1
    t = torch.arange(steps + 1)[:, None, None] / steps
    noise_part = (1 - t) * states[0]
    return t, noise_part, states - noise_part


def other_share(latents: Tensor, z_taken: Tensor, z_other: Tensor) -> Tensor:
    """The other direction's share in latents (..., n, D): (..., n).

    It is the b for which a z_taken + b z_other, with a + b = 1, comes nearest to the latent. That
    is the place along the line from the taken video, 0, to the other one, 1; what lies off this
    line doesn't count. It can lie outside of 0 to 1.
    """
    way = z_other - z_taken
    return ((latents - z_taken) * way).sum(-1) / (way**2).sum(-1)


def state_without_memory(t: Tensor, z_taken: Tensor, z_other: Tensor, fresh: Tensor) -> Tensor:
    """What a state would be that has nothing left of its past: t z_taken + (1 - t) fresh noise. If
    it lies nearer to t z_other, it is mirrored, since it would then have taken the other direction.

    Args:
        t: (..., 1, 1); z_taken, z_other and fresh: (n, D).

    Returns:
        (..., n, D).
    """
    way = z_other - z_taken
    x = t * z_taken + (1 - t) * fresh
    from_middle = x - t * (z_taken + z_other) / 2
    along = (from_middle * way).sum(-1, keepdim=True) / (way**2).sum(-1, keepdim=True)
    return x - 2 * along.clamp_min(0) * way


def latent_shares(videos: BothWays, fresh: Tensor) -> dict[str, np.ndarray]:
    """The other direction's share in each step and each of its parts, averaged over the videos.

    Args:
        fresh: noise (n, D) that has nothing to do with the videos.

    Returns:
        Arrays (steps + 1,), the place is the step. At step 0 there is nothing of a video in a
        state, and its share is not a number, but for the posterior mean.
        "state", "running mean", "posterior mean": the share in each, the first two divided by t.
        "noise part": what the noise adds to the running mean's share, so that it is the state's.
            It is mostly below 0, since the noise leans towards the direction that it has chosen.
        "undecided state": the share if all posterior means had been the middle of both videos.
        "state without memory": that of state_without_memory().
    """
    states, z_taken, z_other = videos.samples.states, videos.z_taken, videos.z_other
    t, noise_part, running_mean = take_apart(states)
    without_memory = state_without_memory(t, z_taken, z_other, fresh)
    t[0] = torch.nan  # to be divided by
    latents = {
        "state": states / t,
        "running mean": running_mean / t,
        "posterior mean": videos.samples.posterior_means,
        "undecided state": noise_part / t + (z_taken + z_other) / 2,
        "state without memory": without_memory / t,
    }
    results = {
        name: other_share(latent, z_taken, z_other).mean(1).numpy()
        for name, latent in latents.items()
    }
    return results | {"noise part": results["undecided state"] - 0.5}


@torch.no_grad()
def shares_with_small_steps(videos: BothWays, flow: Flow, finer: int = FINER) -> np.ndarray:
    """The other direction's share in the states of the exact flow that starts from the noise of
    these videos and takes `finer` times as many steps: (51,), at the times of the 50 steps. The
    videos must be those of the exact flow, so that both take the same way."""
    steps = finer * (len(videos.samples.states) - 1)
    shares = [np.nan]
    for k, (state, _) in enumerate(euler_steps(flow, videos.samples.states[0], steps)):
        if k > 0 and k % finer == 0:
            t = k / steps
            shares.append(other_share(state / t, videos.z_taken, videos.z_other).mean().item())
    return np.array(shares)


# ---------------------------------------------------------------------------------------------
# Part 2: in the pictures


def also_bright(pixels: np.ndarray, frames: np.ndarray) -> float:
    """Which share of the pixels marked in booleans (n, f, 51, 51) is bright in frames of this
    shape, too; not a number if none is marked."""
    return float((frames[pixels] > BRIGHT).mean()) if pixels.any() else np.nan


def pixel_shares(
    state: np.ndarray,
    at_step_0: np.ndarray,
    fresh_noise: np.ndarray,
    running_mean: np.ndarray,
    taken: np.ndarray,
) -> dict[str, float]:
    """Where the bright pixels of decoded states come from.

    Args:
        state, at_step_0, fresh_noise, running_mean: decoded frames (n, f, 51, 51): of the state, of
            step 0, of the state with fresh noise in place of its own, and of its running mean.
        taken: (n, f, 2), the taken places.

    Returns:
        "extra pixels a frame": how many are bright off the taken square.
        Of these extra pixels, the shares that are bright in the three others: "extra: at step 0",
        "extra: with fresh noise", "extra: in the running mean". The null of the first two, in the
        same frame of another video: "extra: at step 0, another video", "extra: with fresh noise,
        another video". Of the bright pixels inside the taken square: "taken: with fresh noise".
    """
    square = render(taken)
    extra = (state > BRIGHT) & (square == 0)
    inside = (state > BRIGHT) & (square == 1)
    return {
        "extra pixels a frame": extra.sum((2, 3)).mean(),
        "extra: at step 0": also_bright(extra, at_step_0),
        "extra: at step 0, another video": also_bright(extra, np.roll(at_step_0, 1, axis=0)),
        "extra: with fresh noise": also_bright(extra, fresh_noise),
        "extra: with fresh noise, another video": also_bright(
            extra, np.roll(fresh_noise, 1, axis=0)
        ),
        "extra: in the running mean": also_bright(extra, running_mean),
        "taken: with fresh noise": also_bright(inside, fresh_noise),
    }


def squares_at(frames: np.ndarray, places: np.ndarray) -> dict[str, float]:
    """How many frames (n, f, 51, 51) have a blob at the taken place, at the other one and, on
    average over the six, at a control place; and how bright it is there.

    Args:
        places: (n, f, 8, 2), in this order: the taken one, the other one, six controls.

    Returns:
        "blob at taken", "blob at other", "blob at control": shares of the frames, 0 to 1; "light at
        taken" and so on: mean brightness, 0 to 1.
    """
    shares = {
        "blob": blobs_at(frames, places).mean((0, 1)),  # (8,)
        "light": light_at(frames, render(places)),
    }
    results = {}
    for kind, value in shares.items():
        results[f"{kind} at taken"] = value[0]
        results[f"{kind} at other"] = value[1]
        results[f"{kind} at control"] = value[2:].mean()
    return results


def places_to_look_at(videos: BothWays) -> np.ndarray:
    """The taken place, the other one and the six controls in each of FRAMES: (n, 6, 8, 2)."""
    controls = control_places(videos.given_centers[:, 0])
    two = np.stack([videos.taken[:, FRAMES], videos.other[:, FRAMES]], axis=2)
    return np.concatenate([two, controls], axis=2)


def parts_of_step(videos: BothWays, fresh: Tensor, step: int) -> dict[str, Tensor]:
    """The latents (n, D) of one step, ready to be decoded: its parts and what it is held against.
    The running mean is divided by t. "with fresh noise" is the state with fresh noise (n, D) in
    place of its own, and "undecided, with fresh noise" likewise."""
    times, noise_part, running_mean = take_apart(videos.samples.states)
    t, middle = times[step], (videos.z_taken + videos.z_other) / 2
    return {
        "state": videos.samples.states[step],
        "noise part": noise_part[step],
        "running mean": running_mean[step] / t,
        "posterior mean": videos.samples.posterior_means[step],
        "with fresh noise": running_mean[step] + (1 - t) * fresh,
        "undecided state": noise_part[step] + t * middle,
        "undecided, with fresh noise": (1 - t) * fresh + t * middle,
        "middle": middle,
        "state without memory": state_without_memory(t, videos.z_taken, videos.z_other, fresh),
    }


def generated_frames(space: LatentSpace) -> list[int]:
    """Those of FRAMES that aren't given."""
    return [frame for frame in FRAMES if frame >= space.settings.given_frames]


def pixels_seen(videos: BothWays, fresh: Tensor, space: LatentSpace, step: int) -> dict[str, float]:
    """pixel_shares() of the decoded state of one step, not step 0: of the generated ones of FRAMES,
    of frame 4 with "frame 4, " before each name, and of the undecided state with "undecided, "."""
    latents = parts_of_step(videos, fresh, step) | {"step 0": videos.samples.states[0]}
    names = ("state", "step 0", "with fresh noise", "running mean")
    undecided = ("undecided state", "step 0", "undecided, with fresh noise", "middle")
    decoded = {name: space.decode(latents[name]).numpy() for name in {*names, *undecided}}

    def shares(frames: list[int], four: tuple[str, ...]) -> dict[str, float]:
        generated = [frame - space.settings.given_frames for frame in frames]
        state, at_step_0, fresh_noise, running = (decoded[name][:, generated] for name in four)
        return pixel_shares(state, at_step_0, fresh_noise, running, videos.taken[:, frames])

    results = shares(generated_frames(space), names)
    for start, value in {
        "frame 4, ": shares([4], names),
        "undecided, ": shares(generated_frames(space), undecided),
    }.items():
        results |= {start + name: number for name, number in value.items()}
    return results


def squares_seen(
    videos: BothWays, fresh: Tensor, space: LatentSpace, step: int
) -> dict[str, float]:
    """squares_at() of one step, in the generated ones of FRAMES: of its state, its posterior mean,
    the state without memory and the undecided state, with these names and a comma before each. The
    same of frames 1 and 2 alone, of which the post speaks, with "frames 1 and 2, " before each.
    Besides, "state, as much light as the post" and so on: in how many videos the other place is as
    bright as in the post's picture (POST_LIGHT). Frames are stretched to full contrast for that, as
    its are."""
    frames = generated_frames(space)
    first_two = [frame for frame in frames if frame <= 2]
    places = places_to_look_at(videos)  # (n, 6, 8, 2)
    latents = parts_of_step(videos, fresh, step)
    results = {}
    for kind in ("state", "posterior mean", "state without memory", "undecided state"):
        decoded = space.decode(latents[kind]).numpy()
        for start, these in {"": frames, "frames 1 and 2, ": first_two}.items():
            generated = [frame - space.settings.given_frames for frame in these]
            there = places[:, [FRAMES.index(frame) for frame in these]]
            for name, number in squares_at(decoded[:, generated], there).items():
                results[f"{start}{kind}, {name}"] = number
            light = light_in_videos(stretched(decoded[:, generated]), videos.other[:, these])
            as_much = (light >= POST_LIGHT[start]).mean()
            results[f"{start}{kind}, as much light as the post"] = as_much
    return results


def picture(videos: BothWays, fresh: Tensor, space: LatentSpace) -> np.ndarray:
    """The first video as PICTURE_ROWS, (7, 8, 51, 51), the given frame first. Rows that don't name
    a step are those of SHOWN_STEP."""
    latents = parts_of_step(videos, fresh, SHOWN_STEP) | {
        "state, step 0": videos.samples.states[0],
        "state, step 50": videos.samples.states[STEPS],
    }
    rows = torch.stack([latents[name][0] for name in PICTURE_ROWS])
    given = videos.given_centers[:1].repeat(len(rows), axis=0)
    return decode_videos(space, given, rows)


# ---------------------------------------------------------------------------------------------
# The question


@torch.no_grad()
def state_of(
    network: FlowNetwork, space: LatentSpace, first_frames: int = FIRST_FRAMES
) -> dict[str, Any]:
    """Both parts, for the learned and for the exact flow on the same noise.

    Returns:
        "t_S": in steps, the mean over the videos, and "videos", how many there are.
        latent_shares() as "state, learned" and so on, and "state, exact, small steps".
        squares_seen() and pixels_seen() as "NAME, learned, step 20" and so on. The step that is
        nearest to t_S is called "step t_S". Of the exact flow only steps 0, 20 and t_S are decoded.
        "blob at taken, learned, step 50": the positive control of the places.
        "picture": picture() of the learned flow.
    """
    results: dict[str, Any] = {}
    both, fresh = sample_far(network, space, first_frames)
    for flow, videos in both.items():
        futures = torch.stack([videos.z_taken, videos.z_other], dim=1)
        t_s = STEPS * speciation_time(futures).mean().item()
        for name, value in latent_shares(videos, fresh).items():
            results[f"{name}, {flow}"] = value
        if flow == "learned":
            results |= {
                "t_S": t_s,
                "videos": len(futures),
                "picture": picture(videos, fresh, space),
            }
        else:
            exact = exact_flow(space, videos.given_centers)
            results["state, exact, small steps"] = shares_with_small_steps(videos, exact)

        decoded_steps = SEEN_STEPS if flow == "learned" else (SHOWN_STEP,)
        steps = {f"step {step}": step for step in (0, *decoded_steps)}
        steps["step t_S"] = max(1, round(t_s))
        for label, step in steps.items():
            told = squares_seen(videos, fresh, space, step)
            if step > 0:
                told |= pixels_seen(videos, fresh, space, step)
            results |= {f"{name}, {flow}, {label}": number for name, number in told.items()}
        finished = space.decode(videos.samples.states[STEPS]).numpy()
        taken = videos.taken[:, space.settings.given_frames :, None]  # (n, f, 1, 2)
        results[f"blob at taken, {flow}, step 50"] = blobs_at(finished, taken).mean()
    return results


def measure_state(settings: FlowSettings) -> dict[str, Any]:
    """state_of() the flow of these settings."""
    return state_of(*trained_flow(settings))


def analysis(settings: SweepSettings) -> Runs:
    """Every case, on every seed. The picture is kept of PICTURED alone."""
    cases = {name: settings.flows(**changes) for name, changes in CASES.items()}
    runs = measure(measure_state, cases, settings.dask)
    for name, seeds in runs.items():
        if name not in PICTURED:
            for results in seeds:
                del results["picture"]
    return runs


# ---------------------------------------------------------------------------------------------
# The figure and the texts


def places_of(frames: np.ndarray) -> np.ndarray:
    """The taken and the other places, (2, 8, 2), of a finished video (8, 51, 51)."""
    both = possible_orbits(centers_of_light(frames[:1]))  # (1, 2, 8, 2)
    nearest, _ = nearest_orbits(frames[None, 1:], both[:, :, 1:])
    return both[0, [nearest[0], 1 - nearest[0]]]


# What the rows of the figure are called, from the top
ROW_NAMES = {
    "noise part": "noise part",
    "running mean": "+ running mean",
    "state": "= state",
    "with fresh noise": "state with\nfresh noise",
    "posterior mean": "posterior mean",
    "state, step 50": "finished",
}
# Shares of the extra pixels, as pixel_shares() names them
EXTRA = ("at step 0", "at step 0, another video", "with fresh noise", "in the running mean")
CURVES = {"running mean": ORANGE, "state": BLUE, "posterior mean": GREEN}


def draw_shares(plot: Axes, case: dict[str, Any]) -> None:
    """The other direction's share over the steps: learned solid, exact dashed."""
    steps = np.arange(STEPS + 1)
    for flow, line in {"learned": "-", "exact": "--"}.items():
        for name, color in CURVES.items():
            label = name if flow == "learned" else None
            plot.plot(
                steps, case[f"{name}, {flow}"]["mean"], line, color=color, lw=1.6, label=label
            )
    undecided = case["undecided state, learned"]["mean"]
    plot.plot(steps, undecided, ":", color="black", label="state, if it were undecided")
    without = case["state without memory, learned"]["mean"]
    plot.plot(steps, without, color=GREY, lw=4, alpha=0.4, label="state without memory")
    plot.plot([], [], "k--", label="the same, exact flow")
    plot.axvline(case["t_S"]["mean"], color=GREY, lw=1)
    plot.text(case["t_S"]["mean"] + 0.5, 0.5, "$t_S$", color=GREY)
    plot.plot(SHOWN_STEP, 0, "^", color="black", clip_on=False, ms=5, zorder=5)
    plot.set(xlim=(0, STEPS), ylim=(-0.1, 0.56), xlabel="sampling step (triangle: the post's)")


def draw(numbers: Numbers, pictures: Pictures) -> Figure:
    """A state as a sum, in pictures; and the other direction's share in it, in three cases."""
    figure = new_figure(11, 8.5)
    films, curves = figure.subfigures(2, 1, squeeze=False, height_ratios=(4.9, 3.1))[:, 0]
    films.suptitle(
        "The extra squares of a state are those of its noise part\n"
        f"(frames 0 to 7 at step {SHOWN_STEP} of {STEPS}, seed 0; "
        "blue: the direction taken in the end; dashed orange: the other one)",
        fontsize=11,
    )
    axes = films.subplots(len(ROW_NAMES), len(PICTURED), squeeze=False)
    for column, case in zip(axes.T, PICTURED, strict=True):
        rows = dict(zip(PICTURE_ROWS, pictures[case], strict=True))
        places = places_of(rows["state, step 50"])
        column[0].set_title(case if "scale" in case else f"{case}, scale 1", fontsize=10)
        for plot, (row, label) in zip(column, ROW_NAMES.items(), strict=True):
            draw_marked(plot, rows[row], places)
            if case == PICTURED[0]:
                plot.set_ylabel(label, rotation=0, ha="right", va="center")
    panels = curves.subplots(1, 3, sharey=True)
    for plot, case in zip(panels, ("d = 2", *PICTURED), strict=True):
        draw_shares(plot, numbers[case])
        plot.set_title(case if "scale" in case else f"{case}, scale 1", fontsize=10)
    curves.suptitle("By its numbers a state of step 20 is far from undecided", fontsize=11)
    panels[0].set_ylabel("share of the other direction")
    handles, labels = panels[0].get_legend_handles_labels()
    curves.legend(handles, labels, loc="outside lower center", ncols=6, fontsize=9)
    return figure


def at_step(value: dict[str, Any], step: int = SHOWN_STEP) -> dict[str, Any]:
    """Of a result over the steps, the number at one step."""
    return {key: np.array(value[key])[..., step] for key in ("mean", "std", "seeds")}


def minus(a: dict[str, Any], b: dict[str, Any]) -> str:
    """a - b, two shares paired by seed, as text: in percentage points, with its standard error."""
    mean, error = difference(a, b)
    return f"{100 * mean:+.1f} ± {100 * error:.1f} points"


def square_texts(case: dict[str, Any], label: str) -> dict[str, str]:
    """Squares ("blob") at the other place and at the controls, of the learned flow at one step of a
    case; the step is named as in state_of()."""
    told: dict[str, str] = {}
    for kind in ("state", "posterior mean", "undecided state"):
        other, control = (
            case[f"{kind}, blob at {place}, learned, {label}"] for place in ("other", "control")
        )
        told[f"{kind}, blob at other"] = percent(other)
        told[f"{kind}, blob at control"] = percent(control)
        told[f"{kind}, blob, other minus control"] = minus(other, control)
    told["blob at other, state minus state without memory"] = minus(
        case[f"state, blob at other, learned, {label}"],
        case[f"state without memory, blob at other, learned, {label}"],
    )
    return told


def texts(numbers: Numbers) -> dict[str, str]:
    """All of the learned flow at step 20 unless the name says otherwise: the other direction's
    shares ("state, d = 100"), the squares at the other place and at the controls ("state, blob at
    other, d = 100"), the extra pixels ("extra: at step 0, d = 100"), and two tables."""
    told = {}
    for case, value in numbers.items():
        for start in POST_LIGHT:
            for kind in ("state", "state without memory", "undecided state"):
                name = f"{start}{kind}, as much light as the post"
                told[f"{name}, {case}"] = percent(value[f"{name}, learned, step 20"])
        for name in (*CURVES, "undecided state", "state without memory"):
            for flow in ("learned", "exact"):
                told[f"{name}, {case}, {flow}"] = percent(at_step(value[f"{name}, {flow}"]))
        learned, exact, small = (
            at_step(value[f"state, {flow}"]) for flow in ("learned", "exact", "exact, small steps")
        )
        told[f"learned minus small steps, {case}"] = minus(learned, small)
        told[f"exact minus small steps, {case}"] = minus(exact, small)

        for label in ("step 0", "step t_S", "step 20"):
            after = case if label == "step 20" else f"{case}, {label}"
            told |= {f"{name}, {after}": x for name, x in square_texts(value, label).items()}
        for start in ("", "frame 4, ", "undecided, "):
            for what in (*EXTRA, "with fresh noise, another video"):
                share = value[f"{start}extra: {what}, learned, step 20"]
                told[f"{start}extra: {what}, {case}"] = percent(share)
        told[f"taken: with fresh noise, {case}"] = percent(
            value["taken: with fresh noise, learned, step 20"]
        )
    return told | {"table": share_table(numbers), "second table": pixel_table(numbers)}


def share_table(numbers: Numbers) -> str:
    """The other direction's share at step 20, one row for each case."""
    columns = ("running mean", "state", "posterior mean", "undecided state")
    rows = []
    for case, value in numbers.items():
        row = [case]
        for name in columns:
            row.append(percent(at_step(value[f"{name}, learned"])))
        row.append(percent(at_step(value["state, exact"])))
        row.append(percent(at_step(value["state, exact, small steps"])))
        rows.append(row)
    head = ["other direction's share at step 20", "in the running mean", "in the state"]
    head += ["in the posterior mean", "in the state, if it were undecided"]
    head += ["in the exact flow's state", "the same, smaller steps"]
    return markdown_table(head, rows)


def pixel_table(numbers: Numbers) -> str:
    """Where the extra pixels of the learned state of step 20 come from, one row for each case; and
    the same of frame 4 and of an undecided state, at the smallest scale."""
    cases = {case: (case, "") for case in numbers if "training steps" not in case}
    cases["the same, frame 4 (both directions meet)"] = ("d = 100, scale 0.3", "frame 4, ")
    cases["the same, an undecided state"] = ("d = 100, scale 0.3", "undecided, ")
    rows = []
    for label, (case, start) in cases.items():
        value = numbers[case]
        a_frame = value[f"{start}extra pixels a frame, learned, step 20"]["mean"]
        row = [label.replace("the same", "d = 100, scale 0.3"), f"{a_frame:.0f}"]
        for name in EXTRA:
            row.append(percent(value[f"{start}extra: {name}, learned, step 20"]))
        rows.append(row)
    head = ["extra bright pixels at step 20", "in a frame", "bright at step 0"]
    head += ["at step 0 of another video", "with fresh noise", "in the running mean"]
    return markdown_table(head, rows)


if __name__ == "__main__":
    command("state", analysis, draw)
