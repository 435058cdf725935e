"""Does it know the odds?

    python -m study.odds      # out/odds.png and .json

Two videos can follow frame 0. The exact flow knows how probable each is, at every moment of the
sampling. Does the learned one? That it does at all is no finding. Squared error is least for the
posterior mean, and the weights in that mean are the odds, at every d: so a network that can
represent it learns them. And ours is built for it: it predicts z, and multiplies by what it knows
of frame 0, as the formula does. What can be asked is how close it comes, where it fails, and what
becomes of it with another network, which is study/velocities.py's part.

Measures: |q - exact|, where q is the share of counter-clockwise in the posterior mean; how often
the finished video has the turn that the exact flow gives it; the time when half a bit of doubt is
left; how often each turn comes up if the coin is loaded or there are four; and what becomes of it
if the past is cut off, and nothing but the odds is kept.
Null: a network that always says one half; chance; a coin in place of the odds.
Controls: the exact flow from the same first frames and noise, also in 500 steps; the plain recipe;
flows that were trained for 100 steps only.
What would refute it: q as far from exact as one half is; half a bit at times that don't follow the
distance of the videos; a loaded coin that comes out even; cuts that do harm though the exact odds
are kept.
Fixed beforehand: that four futures count as known if the frequencies differ from the exact flow's
by no more than those of two samples of the prior. Cuts at every step were added when single ones,
which had been fixed, showed little. Most of it had been measured once before this file was written.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from analyze import BLUE, GREEN, GREY, ORANGE, RECIPES, SweepSettings
from data import distinct_turns, new_figure, possible_orbits, random_first_centers, random_stream
from flow import (
    FlowNetwork,
    FlowSettings,
    LatentSpace,
    loss_by_time,
    possible_futures,
    posterior,
    speciation_time,
    trained_flow,
)
from sample import Flow, euler_steps, is_right, nearest_orbits, random_given_centers, random_noise
from study.measures import (
    MIN_RADIUS,
    MOSTLY_CCW,
    both_flows,
    ccw_fraction,
    study_stream,
    true_videos,
)
from study.question import (
    Key,
    Numbers,
    Pictures,
    by_path,
    command,
    deviation,
    markdown_table,
    measured,
    name_of,
    paired,
    percent,
    spread,
)
from study.velocities import DIMS, RivalSettings, rival_cases, rivals_texts, trained_rival

FOUR = (1, -1, 2, -2)
FOUR_UNEVEN = (1, 1, 1, 1, -1, -1, 2, -2)  # 50, 25, 12.5 and 12.5 %
STEPS = 50  # of the sampler
TIMES = np.geomspace(0.01, 0.9, 60)  # at which doubt is measured
CLIP = 1e-3  # shares are kept this far from 0 and 1, so that no video costs more than 10 bits


# ---------------------------------------------------------------------------------------------
# How far is q from the exact posterior?


@torch.no_grad()
def distance_of_q(network: nn.Module, space: LatentSpace) -> dict[str, float]:
    """On 1000 true videos with noise added, at times that are uniform up to twice t_S (at most
    0.9), where the direction is being decided; radius above MIN_RADIUS.

    Returns:
        The mean distance from the exact posterior: of q, "learned"; and of "one half", which is all
        that one knows without having seen x.
    """
    settings = space.settings
    rng = study_stream(settings.seed, "calibration")
    first_centers = random_first_centers(4000, rng, settings.center_range)
    far = np.linalg.norm(first_centers, axis=1) > MIN_RADIUS
    videos = true_videos(space, first_centers[far][:1000], rng)
    noise = torch.from_numpy(rng.standard_normal(videos.z.shape, dtype=np.float32))
    uniform = torch.from_numpy(rng.random((len(noise), 1), dtype=np.float32))
    t = (2 * speciation_time(videos.futures)[:, None]).clamp_max(0.9) * uniform
    x = t * videos.z + (1 - t) * noise
    exact = posterior(x, t, videos.futures, videos.prior)[:, 0]
    q = ccw_fraction(network(x, t, videos.given), videos.futures)
    return {
        "learned": (q - exact).abs().mean().item(),
        "one half": (0.5 - exact).abs().mean().item(),
    }


# ---------------------------------------------------------------------------------------------
# When is half of the doubt gone?
#
# Doubt is counted in bits: what the true direction costs under q. It is 1 while nothing is known.
# A flow that is sure of the wrong direction pays for it; the entropy of q would call that decided.


def bits(p_ccw: Tensor, is_ccw: Tensor) -> float:
    """What the true direction, booleans is_ccw (n,), costs if counter-clockwise is given these
    shares (n,), clipped to [CLIP, 1 - CLIP]: the mean of -log2 of the true one's share."""
    p = p_ccw.clamp(CLIP, 1 - CLIP)
    return -torch.where(is_ccw, p, 1 - p).log2().mean().item()


def time_below_half(times: Sequence[float] | np.ndarray, values: Sequence[float]) -> float:
    """The first time at which the curve is below 1/2, interpolated; 1, the end, if never."""
    below = int(np.argmax(np.array(values) < 0.5))
    if values[below] >= 0.5:
        return 1.0
    before = max(below - 1, 0)
    return float(np.interp(0.5, [values[below], values[before]], [times[below], times[before]]))


@torch.no_grad()
def time_of_half_a_bit(network: FlowNetwork, space: LatentSpace) -> dict[str, float]:
    """On 1000 noisy true videos of all radii: the time when half a bit is left, under q of the
    "learned" flow and under the "exact" posterior; and what predicts it, their mean "t_S"."""
    rng = study_stream(space.settings.seed, "commitment")
    first_centers = random_first_centers(1000, rng, space.settings.center_range)
    videos = true_videos(space, first_centers, rng)
    z, is_ccw = videos.z, torch.from_numpy(videos.is_ccw)
    noise = torch.from_numpy(rng.standard_normal(z.shape, dtype=np.float32))
    doubt: dict[str, list[float]] = {"learned": [], "exact": []}
    for time in TIMES:
        t = torch.full((len(z), 1), time, dtype=torch.float32)
        x = t * z + (1 - t) * noise
        q = ccw_fraction(network(x, t, videos.given), videos.futures)
        exact = posterior(x, t, videos.futures, videos.prior)[:, 0]
        doubt["learned"].append(bits(q, is_ccw))
        doubt["exact"].append(bits(exact, is_ccw))
    t_s = speciation_time(videos.futures).mean().item()
    return {name: time_below_half(TIMES, curve) for name, curve in doubt.items()} | {"t_S": t_s}


# ---------------------------------------------------------------------------------------------
# What comes out?


def end_of(walk: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """Walk to the end, and keep only the last state, (n, D)."""
    for state, _ in walk:
        end = state
    return end


def nearest_future(z: Tensor, futures: Tensor) -> np.ndarray:
    """Which of its futures (n, k, D) each video (n, D) is nearest to: (n,). So each video has a
    turn, also one that isn't right."""
    return (z[:, None] - futures).norm(dim=2).argmin(1).numpy()


def share_right(space: LatentSpace, given_centers: np.ndarray, z: Tensor) -> float:
    """The share of videos (n, D) that are right: no frame is more than 1.5 pixels off."""
    turns, _ = distinct_turns(space.settings.turns)
    orbits = possible_orbits(given_centers[:, 0], turns)[:, :, 1:]  # frame 0 is given
    _, distance = nearest_orbits(space.decode(z).numpy(), orbits)
    return float(is_right(distance).mean())


def total_variation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The distance of two lists of shares (..., k), 0 to 1: the share of videos that would have to
    take another turn for the lists to agree."""
    return abs(a - b).sum(-1) / 2


def distance_by_chance(probability: np.ndarray, n: int, rng: np.random.Generator) -> float:
    """How far the shares in two samples of n with this probability (k,) are from each other: the
    mean of 2000 repetitions."""
    one, other = rng.multinomial(n, probability, size=(2, 2000)) / n  # (2000, k) each
    return float(total_variation(one, other).mean())


@torch.no_grad()
def sampled(
    network: nn.Module, space: LatentSpace, n: int
) -> tuple[np.ndarray, Tensor, dict[str, Tensor]]:
    """The given centres of n videos (n, 1, 2), the noise that they begin with (n, D), and what the
    "learned" and the "exact" flow make of it, (n, D) each."""
    rng = random_stream(space.settings.seed, "counting")
    given_centers = random_given_centers(space.settings, n, rng)
    noise = random_noise(space, n, rng)
    flows = both_flows(network, space, given_centers)
    ends = {name: end_of(euler_steps(flow, noise, STEPS)) for name, flow in flows.items()}
    return given_centers, noise, ends


def outcomes(network: nn.Module, space: LatentSpace, n: int = 400) -> dict[str, Any]:
    """n videos of each flow, from the same first frames and noise.

    Returns:
        "same turn": the share for which the "learned" flow takes the turn that the exact one takes,
            and what it would be "by chance", if they had only their frequencies in common.
        "right": the share of the videos that are right, of each flow.
        "frequencies": how far those of the turns differ between both flows, "learned", and between
            two samples of the prior, "by chance".
    """
    given_centers, _, ends = sampled(network, space, n)
    futures, _ = possible_futures(space, given_centers)
    took = {name: nearest_future(end, futures) for name, end in ends.items()}
    _, prior = distinct_turns(space.settings.turns)
    learned, exact = (np.bincount(took[name], minlength=len(prior)) / n for name in took)
    by_chance = distance_by_chance(prior, n, random_stream(space.settings.seed, "counting"))
    same = (took["learned"] == took["exact"]).mean()
    return {
        "same turn": {"learned": same, "by chance": (learned * exact).sum()},
        "right": {name: share_right(space, given_centers, end) for name, end in ends.items()},
        "frequencies": {"learned": total_variation(learned, exact), "by chance": by_chance},
    }


# ---------------------------------------------------------------------------------------------
# A loaded coin, and the past cut off
#
# Four videos in five run counter-clockwise. Is anything in a state of use but the odds? Then it
# must hurt to throw all the rest away. So before each step a direction is drawn with the odds of
# the state, and the state is replaced by t z + (1 - t) noise: with the true video z of this
# direction and fresh noise. With small enough steps this does nothing to the exact flow, for its
# states of step k, all together, are distributed just like these.


def cut(p_ccw: Tensor, futures: Tensor, k: int, uniform: Tensor, noise: Tensor) -> Tensor:
    """The state (n, D) of step k that knows nothing but a direction.

    Args:
        p_ccw: (n,), the odds that it is drawn with; below 0 counts as 0, above 1 as 1.
        futures: (n, 2, D), counter-clockwise first.
        uniform: (n,), random numbers from 0 to 1 that decide.
        noise: (n, D).
    """
    ccw, cw = futures.unbind(1)
    t = k / STEPS
    return t * torch.where((uniform < p_ccw)[:, None], ccw, cw) + (1 - t) * noise


def sample_without_a_past(
    odds: Flow, flow: Flow, x: Tensor, space: LatentSpace, futures: Tensor
) -> Tensor:
    """The finished videos (n, D) from noise x (n, D), if the past is cut off before each step: so
    the flow never sees anything but a direction and fresh noise.

    Args:
        odds: from states (n, D) and t (n, 1) to the probability of counter-clockwise (n,).
    """
    rng = study_stream(space.settings.seed, "branches")
    for k in range(STEPS):
        t = torch.full((len(x), 1), k / STEPS)
        uniform = torch.from_numpy(rng.random(len(x), dtype=np.float32))
        x = cut(odds(x, t), futures, k, uniform, random_noise(space, len(x), rng))
        x = x + (flow(x, t) - x) / (STEPS - k)
    return x


@torch.no_grad()
def loaded_coin(network: FlowNetwork, space: LatentSpace, n: int = 2000) -> dict[str, Any]:
    """n videos of each flow, from the same first frames and noise.

    Returns:
        "counter-clockwise": the share that runs so: of the "learned" and the "exact" flow, of the
            exact one in "500 steps" or with its past "cut off", and of the learned one if nothing
            is kept of its past but its "own odds", the "exact odds", or "a coin". Beside them the
            mean of q at step 0, what it "expects".
        "right": the share of the first 150 that are right if only the "exact odds" are kept.
    """
    given_centers, noise, ends = sampled(network, space, n)
    futures, prior = possible_futures(space, given_centers)
    flows = both_flows(network, space, given_centers)
    odds: dict[str, Flow] = {
        "own odds": lambda x, t: ccw_fraction(flows["learned"](x, t), futures),
        "exact odds": lambda x, t: posterior(x, t, futures, prior)[:, 0],
        "a coin": lambda x, t: torch.full((n,), 0.5),
    }
    for kept, p_ccw in odds.items():
        ends[kept] = sample_without_a_past(p_ccw, flows["learned"], noise, space, futures)
    exact = flows["exact"]
    ends["cut off"] = sample_without_a_past(odds["exact odds"], exact, noise, space, futures)
    ends["500 steps"] = end_of(euler_steps(exact, noise, 500))
    ccw = {name: (nearest_future(end, futures) == 0).mean() for name, end in ends.items()}
    expects = odds["own odds"](noise, torch.zeros(n, 1)).mean().item()
    right = share_right(space, given_centers[:150], ends["exact odds"][:150])
    return {"counter-clockwise": ccw | {"expects": expects}, "right": {"exact odds": right}}


# ---------------------------------------------------------------------------------------------
# The question


def measure_two(settings: FlowSettings) -> dict[str, Any]:
    """Of two futures that are as probable: the distance of q, the time of half a bit, and how often
    the turn is the exact flow's."""
    network, space = trained_flow(settings)
    return {
        "distance of q": distance_of_q(network, space),
        "half a bit": time_of_half_a_bit(network, space),
        "same turn": outcomes(network, space)["same turn"],
    }


def measure_loaded_coin(settings: FlowSettings) -> dict[str, Any]:
    """loaded_coin() of these settings."""
    return loaded_coin(*trained_flow(settings))


def measure_four(settings: FlowSettings) -> dict[str, Any]:
    """outcomes() of these settings."""
    return outcomes(*trained_flow(settings))


def measure_rival(settings: RivalSettings) -> dict[str, Any]:
    """Of a network in the place of ours: the distance of q, the mean excess, the share right."""
    network, space = trained_rival(settings)
    return {
        "distance of q": distance_of_q(network, space),
        "excess": {"learned": np.mean(loss_by_time(network, space)["excess"])},
        "right": outcomes(network, space)["right"],
    }


def analysis(settings: SweepSettings) -> tuple[Numbers, Pictures]:
    """Two even futures for each recipe, latent scale and length of training; and at d = 2 and 100
    two uneven and four even ones. (Four uneven ones at d = 100 only, where the coin fails, too.)
    And other networks in the place of ours."""
    two: dict[tuple[Key, ...], list[Any]] = {}
    coin: dict[tuple[Key, ...], list[Any]] = {}
    four: dict[tuple[Key, ...], list[Any]] = {}
    for dim in DIMS:
        two["ours", dim] = settings.flows(embed_dim=dim)
    for dim in (2, 100):
        two["plain", dim] = settings.flows(embed_dim=dim, **RECIPES["plain"])
        two["100 training steps", dim] = settings.flows(embed_dim=dim, flow_steps=100)
        coin["loaded coin", dim] = settings.flows(embed_dim=dim, turns=MOSTLY_CCW)
        four["four futures", dim] = settings.flows(embed_dim=dim, turns=FOUR)
        two["latent scale 0.3", dim] = settings.flows(embed_dim=dim, latent_scale=0.3)
    two["latent scale 5", 2] = settings.flows(embed_dim=2, latent_scale=5.0)
    four["four uneven futures", 100] = settings.flows(embed_dim=100, turns=FOUR_UNEVEN)
    numbers: Numbers = {}
    for function, cases in ((measure_two, two), (measure_loaded_coin, coin), (measure_four, four)):
        numbers |= measured(function, cases, settings.dask)[0]
    return numbers | measured(measure_rival, rival_cases(settings), settings.dask)[0], {}


# ---------------------------------------------------------------------------------------------
# The figure

COLORS = {"2": GREEN, "8": ORANGE, "100": BLUE}


def draw_distance(plot: Axes, numbers: Numbers) -> None:
    """|q - exact| over d, beside that of one half."""
    for recipe, look, color in (("ours", "o-", BLUE), ("plain", "D", ORANGE)):
        results = numbers[recipe].values()
        q = np.stack([x["distance of q"]["learned"] for x in results], axis=1)
        dims = [float(dim) for dim in numbers[recipe]]
        plot.errorbar(dims, q.mean(0), deviation(q), fmt=look, color=color, capsize=2, label=recipe)
    null = [x["distance of q"]["one half"].mean() for x in numbers["ours"].values()]
    plot.plot(DIMS, null, "--", color=GREY)
    plot.annotate("always one half", (DIMS[0], null[0]), (0, -14), textcoords="offset points")
    plot.set(xscale="log", ylim=(0, 0.34), xlabel="d, numbers a frame", ylabel="mean |q − exact|")
    plot.set_xticks(DIMS, [str(dim) for dim in DIMS])
    plot.minorticks_off()
    plot.set_title("How far q, its share of one\ndirection, is from the exact odds")
    plot.legend(loc="center left")


def draw_times(plot: Axes, numbers: Numbers) -> None:
    """When half a bit is left, over t_S: a dot a case."""
    plot.plot([0.03, 1], [0.03, 1], color=GREY, lw=1)
    cases = {"ours": "", "latent scale 5": ", scale 5", "latent scale 0.3": ", scale 0.3"}
    for case, scale in cases.items():
        for dim, value in numbers[case].items():
            time = value["half a bit"]
            x, y = time["t_S"].mean(), time["learned"].mean()
            plot.plot(x, time["exact"].mean(), "s", ms=9, mfc="none", color=GREY)
            plot.errorbar(x, y, deviation(time["learned"]), fmt="o", ms=5, color=COLORS[dim])
            side, offset = ("left", (9, -10)) if scale and x < 0.3 else ("right", (-8, 4))
            label = f"d = {dim}{scale}"
            plot.annotate(label, (x, y), offset, textcoords="offset points", ha=side)
    for dim, value in numbers["100 training steps"].items():
        time = value["half a bit"]
        plot.plot(time["t_S"].mean(), time["learned"].mean(), "x", color=COLORS[dim])
    looks = ("o", "black", "learned"), ("s", GREY, "exact"), ("x", "black", "trained for 100 steps")
    for look, color, label in looks:
        plot.plot([], [], look, color=color, mfc="none" if look == "s" else color, label=label)
    plot.set(xscale="log", yscale="log", xlim=(0.02, 1.6), ylim=(0.02, 0.9))
    for axis in (plot.xaxis, plot.yaxis):
        axis.set_ticks([0.05, 0.1, 0.2, 0.4], ["0.05", "0.1", "0.2", "0.4"])
    plot.minorticks_off()
    plot.set(xlabel="$t_S$, predicted by the distance of both videos", ylabel="time t, measured")
    plot.set_title("When the direction is half settled\n(half a bit of doubt is left)")
    plot.legend(loc="lower right", fontsize=9)


def draw(numbers: Numbers, pictures: Pictures) -> Figure:
    """The distance of q, and the time of half a bit."""
    figure = new_figure(8.3, 4.2)
    distance, times = figure.subplots(1, 2)
    draw_distance(distance, numbers)
    draw_times(times, numbers)
    figure.suptitle(
        "How well does it know the odds? Closely at d = 2, only roughly at d = 100", fontsize=13
    )
    return figure


# ---------------------------------------------------------------------------------------------
# What the pages tell


def to_thousandths(values: np.ndarray) -> str:
    """Numbers (seeds,) as spread() has them, with one decimal more."""
    return spread(values, "%.3f")


def in_percent(shares: np.ndarray) -> str:
    """Shares (seeds,) as percent() has them, with one decimal more."""
    return spread(100 * shares, "%.1f").replace(" (", " % (")


FORMS = {"same turn": percent, "right": percent, "counter-clockwise": in_percent}
DIFFERENCES = {  # of the loaded coin, paired by seed
    "learned minus exact": ("learned", "exact"),
    "own odds minus learned": ("own odds", "learned"),
}
# The rows of the table: what is measured, the case, the result; in it the null, exact, and learned
ROWS = (
    ("q, distance from the exact odds", "ours", "distance of q", "one half", "", "learned"),
    ("same turn as the exact flow", "ours", "same turn", "by chance", "", "learned"),
    ("time when half a bit is left", "ours", "half a bit", "t_S", "exact", "learned"),
    ("loaded coin, counter-clockwise", "loaded coin", "counter-clockwise", "", "exact", "learned"),
    (
        "past cut off, own odds kept",
        "loaded coin",
        "counter-clockwise",
        "a coin",
        "cut off",
        "own odds",
    ),
    (
        "past cut off, exact odds kept",
        "loaded coin",
        "counter-clockwise",
        "a coin",
        "cut off",
        "exact odds",
    ),
    ("four futures, frequencies", "four futures", "frequencies", "by chance", "", "learned"),
    ("four futures, videos right", "four futures", "right", "", "exact", "learned"),
)


def texts(numbers: Numbers) -> dict[str, str]:
    """Each number by its name_of(), the table of ROWS, the DIFFERENCES in points; and the other
    networks."""
    told = {
        name_of(*keys): FORMS.get(keys[-2], to_thousandths)(seeds)
        for keys, seeds in by_path(numbers).items()
    }
    rows = []
    for row, case, result, *names in ROWS:
        cells = [name_of(case, dim, result, name) for dim in (2, 100) for name in names]
        rows.append([row, *(told.get(cell, "–") for cell in cells)])
    columns = [f"d = {d}: {column}" for d in (2, 100) for column in ("null", "exact", "learned")]
    told["table"] = markdown_table(["measured", *columns], rows)
    told |= rivals_texts(numbers, told)
    for dim, results in numbers["loaded coin"].items():
        ccw = {name: 100 * shares for name, shares in results["counter-clockwise"].items()}
        for name, (a, b) in DIFFERENCES.items():
            told[name_of("loaded coin", dim, name)] = paired(ccw[a], ccw[b], "%+.1f") + " points"
    return told


if __name__ == "__main__":
    command("odds", analysis, draw)
