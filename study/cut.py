"""Does a state hold more than the posterior?

    python -m study.cut      # out/cut.png, .json and .csv

The post's hypothesis is that the code of d = 100 "leverages this flexibility to represent
probability distributions during intermediate sampling steps". That a state represents a
distribution is measured elsewhere (study/representing.py). But is it of any use that this state
looks as it does? Whoever stops the sampler at step k knows the posterior, the probability of
each direction, and nothing else about the future. So the clean test is to keep this and throw
away all the rest:

    draw a direction from the posterior of the state of step k
    take the true video z of that direction, and fresh noise eps
    go on from x = t z + (1 - t) eps, with t = k / 50

We call it a cut. The new state knows nothing of the old one but for the direction that was drawn.
If after it the videos are as often right, and as exact, and the directions come up as often, then
nothing else in the states was needed. If the flow had stored something there that it uses later,
the cut would destroy it, and the videos or the shares would be worse. That would speak for the
post's hypothesis, and more so if it happened at d = 100 and not at d = 2.

For a perfect flow this can't happen: its states of step k, all together, are distributed exactly as
such fresh ones. So the exact flow is the yardstick, and what 50 steps in place of infinitely many
do to it shows how much is due to the steps. What is tested is the learned flow. Its probability of
counter-clockwise is q, the share of counter-clockwise in its posterior mean (study/measures.py;
below 0 counts as 0, above 1 as 1). The q of the exact flow is its posterior.

To see what the test can notice, the direction is also chosen in four other ways, with the
same noise:

    exact posterior
               drawn from the exact posterior of the state, in place of the flow's own. It tells two
               things apart that a learned flow may do wrong: if cuts change the share of counter-
               clockwise because the flow's own q is off, then not with these draws; if they change
               it as much with these draws, it is how the flow goes on from a fresh state. (For the
               exact flow the two are the same.)
    coin       by a fair coin. Where 80 % should run counter-clockwise, this should give 50 %, once
               the cut is late enough for the choice to last (the positive control of the shares).
    likelier   always the likelier one, which should give more than 80 %, as the posterior is
               rounded. It is a weaker control: before the direction is decided, the choice is soon
               forgotten, and afterwards it is the one that would have come anyway.
    blind      drawn from the prior, without a look at the state. This keeps the shares, too! What
               it loses is the memory of this one video: how often the end has the direction of the
               video that wasn't cut. So that is measured as well, and blind is what chance gives.

A cut at step 0, where t = 0, only swaps the noise: the null. At this step all five are the same.
Beside the single cuts there is one at every step: there the sampler never has anything but a
posterior and fresh noise. It is the harder test, since whatever a cut does wrong adds up.

The comparison that was fixed beforehand is the mean over the seven cut steps minus the uncut
videos, paired by seed. The cut at every step and the coin were added after one seed had shown how
little a single choice of the likelier direction changes, and the exact posterior after five seeds
had shown that cuts at every step, with the flow's own posterior, change the share at d = 100.

What the cut can't tell: whether a network computes with the state in a way that another code would
not allow. It tells that, whatever it does, posterior and noise are all it needs.
"""

import itertools
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from analyze import BLUE, GREEN, GREY, ORANGE, RED, SweepSettings, measure
from data import new_figure, possible_orbits
from flow import FlowSettings, LatentSpace, possible_futures, posterior, trained_flow
from sample import Flow, euler_steps, is_right, nearest_orbits, random_given_centers, random_noise
from study.measures import MOSTLY_CCW, both_flows, ccw_fraction, study_stream
from study.question import Numbers, Pictures, Runs, command, difference, markdown_table, percent

STEPS = 50
CUT_STEPS = (0, 3, 5, 10, 15, 20, 30)
VIDEOS = 400
DECODED = 150  # of them, to see whether they are right
DIMS = (2, 100)
PRIORS: dict[str, dict[str, Any]] = {"even": {}, "80 % ccw": {"turns": MOSTLY_CCW}}
FLOWS = ("learned", "exact")
# How the direction is chosen after a cut
CHOICES = ("posterior", "exact posterior", "coin", "likelier", "blind")


def cut_state(z: Tensor, k: int, noise: Tensor) -> Tensor:
    """The state (n, D) of step k that knows nothing but the true video z, (n, D); with this noise
    (n, D)."""
    t = k / STEPS
    return t * z + (1 - t) * noise


def choose_ccw(
    p_ccw: Tensor, exact_ccw: Tensor, prior_ccw: Tensor, uniform: Tensor
) -> dict[str, Tensor]:
    """Whether each video goes on counter-clockwise, booleans (n,), for each of CHOICES.

    Args:
        p_ccw: (n,), the probability of counter-clockwise after a look at the state, as this flow
            has it; what is below 0 or above 1 counts as 0 or 1.
        exact_ccw: (n,), the same as the exact flow has it.
        prior_ccw: (n,), the same before it.
        uniform: (n,), random numbers from 0 to 1 that decide.
    """
    return {
        "posterior": uniform < p_ccw,
        "exact posterior": uniform < exact_ccw,
        "coin": uniform < 0.5,
        "likelier": p_ccw > 0.5,
        "blind": uniform < prior_ccw,
    }


@torch.no_grad()
def cuts(
    flow: Flow, space: LatentSpace, given_centers: np.ndarray, rng: np.random.Generator
) -> dict[str, Any]:
    """Sample VIDEOS videos, cut them at each of CUT_STEPS, and sample them on. A video's direction
    is that of its latents: on which side of the middle between both true videos they end.

    Args:
        flow: of these videos.
        given_centers: (VIDEOS, given_frames, 2), where the squares of the given frames are.
        rng: draws the noise, and what decides about the directions.

    Returns:
        "uncut: right", "uncut: px", "uncut: ccw": the share of the videos that are
            right, their median distance in pixels from the true places, and the share
            that runs counter-clockwise.
        "cut: right", "cut: px": the same after the cut, with the direction drawn from the
            posterior, for each of CUT_STEPS (7,).
        "mean q": at each of CUT_STEPS, the mean q of the uncut videos, (7,). A probability that is
            right on the sampler's own way has the same mean at all steps: the share in the end.
        For each of CHOICES, such as the posterior, (7,) too: "posterior: ccw", the share of
            counter-clockwise; "posterior: same", the share that ends in the direction of the uncut
            video; "posterior: as chosen", the share that ends in the direction that was chosen.
        "every step: right", "every step: px": after a cut at every step, drawn from the posterior;
            and for each of CHOICES "every step, posterior: ccw".
    """
    settings = space.settings
    futures, prior = possible_futures(space, given_centers)
    orbits = possible_orbits(given_centers[:, 0])[:, :, settings.given_frames :]  # (n, 2, 7, 2)

    def fresh_noise() -> Tensor:
        return random_noise(space, VIDEOS, rng)

    def fresh_uniform() -> Tensor:
        return torch.from_numpy(rng.random(VIDEOS, dtype=np.float32))

    def is_ccw(z: Tensor) -> Tensor:
        return ccw_fraction(z, futures) > 0.5

    def quality(z: Tensor) -> dict[str, float]:
        """The share that is right, and the median distance in pixels, of the first
        DECODED videos."""
        _, distance = nearest_orbits(space.decode(z[:DECODED]).numpy(), orbits[:DECODED])
        return {"right": float(is_right(distance).mean()), "px": float(np.median(distance))}

    def chosen_videos(x: Tensor, k: int, mean: Tensor, uniform: Tensor) -> dict[str, Tensor]:
        """For each of CHOICES the true videos (n, D) that are chosen at this state of step k, and
        the posterior mean that the flow has for it."""
        exact_ccw = posterior(x, torch.full((VIDEOS, 1), k / STEPS), futures, prior)[:, 0]
        chosen = choose_ccw(ccw_fraction(mean, futures), exact_ccw, prior[:, 0], uniform)
        return {
            choice: torch.where(ccw[:, None], futures[:, 0], futures[:, 1])
            for choice, ccw in chosen.items()
        }

    walk = list(euler_steps(flow, fresh_noise(), STEPS))  # state and posterior mean of each step
    end, _ = walk[-1]
    uncut = is_ccw(end)
    results: dict[str, Any] = {f"uncut: {name}": x for name, x in quality(end).items()}
    results["uncut: ccw"] = uncut.float().mean().item()

    after: dict[str, list[float]] = {}
    for k in CUT_STEPS:
        state, mean = walk[k]
        q = ccw_fraction(mean, futures).clamp(0, 1).numpy()
        after.setdefault("mean q", []).append(float(q.mean()))
        noise = fresh_noise()
        for choice, z in chosen_videos(state, k, mean, fresh_uniform()).items():
            *_, (end, _) = euler_steps(flow, cut_state(z, k, noise), STEPS, start=k)
            shares = {
                "ccw": is_ccw(end),
                "same": is_ccw(end) == uncut,
                "as chosen": is_ccw(end) == is_ccw(z),
            }
            for name, which in shares.items():
                after.setdefault(f"{choice}: {name}", []).append(which.float().mean().item())
            if choice == "posterior":
                for name, x in quality(end).items():
                    after.setdefault(f"cut: {name}", []).append(x)
    results |= {name: np.array(each) for name, each in after.items()}

    # A cut at every step. All choices start from the same noise, and get the same fresh noise.
    start = fresh_noise()
    reached = {choice: (start, flow(start, torch.zeros(VIDEOS, 1))) for choice in CHOICES}
    for k in range(STEPS):
        uniform, noise = fresh_uniform(), fresh_noise()
        for choice, (state, mean) in reached.items():
            z = chosen_videos(state, k, mean, uniform)[choice]
            one_step = euler_steps(flow, cut_state(z, k, noise), STEPS, start=k)
            _, reached[choice] = itertools.islice(one_step, 2)  # where it starts, and one step on
    for choice, (end, _) in reached.items():
        results[f"every step, {choice}: ccw"] = is_ccw(end).float().mean().item()
    end, _ = reached["posterior"]
    results |= {f"every step: {name}": x for name, x in quality(end).items()}
    return results


# ---------------------------------------------------------------------------------------------
# The question


def measure_cuts(settings: FlowSettings) -> dict[str, Any]:
    """cuts() of the learned and of the exact flow of these settings."""
    network, space = trained_flow(settings)
    results: dict[str, Any] = {}
    for which in FLOWS:
        rng = study_stream(settings.seed, "branches")  # from its beginning, both times
        given_centers = random_given_centers(settings, VIDEOS, rng)
        flow = both_flows(network, space, given_centers)[which]
        told = cuts(flow, space, given_centers, rng)
        results |= {f"{which}, {name}": x for name, x in told.items()}
    return results


def analysis(settings: SweepSettings) -> Runs:
    """Two dimensions and two priors."""
    cases = {
        f"d = {dim}, {prior}": settings.flows(embed_dim=dim, **changes)
        for prior, changes in PRIORS.items()
        for dim in DIMS
    }
    return measure(measure_cuts, cases, settings.dask)


def draw(numbers: Numbers, pictures: Pictures) -> Figure:
    """Over the step of the cut: the share of counter-clockwise (prior 80 %; on the right for a cut
    at every step), and how often the direction is that of the uncut video. Means over the seeds,
    with one standard deviation."""
    at_every = CUT_STEPS[-1] + 7  # where the cut at every step is drawn

    def curve(plot: Axes, value: dict[str, Any], look: str, color: str, label: str) -> None:
        plot.errorbar(
            CUT_STEPS, value["mean"], value["std"], fmt=look, color=color, capsize=2, label=label
        )

    figure = new_figure(8.3, 7.4)
    for dim, column in zip(DIMS, figure.subplots(2, len(DIMS), sharey="row").T, strict=True):
        shares, same = column
        case = numbers[f"d = {dim}, 80 % ccw"]
        for which, color, line in (("learned", BLUE, "o-"), ("exact", GREY, "s--")):
            uncut = case[f"{which}, uncut: ccw"]["mean"]
            shares.axhline(uncut, color=color, ls=":", label=f"{which}, uncut")
            choices = {"posterior": color, "likelier": RED, "coin": GREEN}
            names = {"posterior": "cut", "likelier": "likelier direction", "coin": "by a coin"}
            if which == "learned":
                choices["exact posterior"] = ORANGE
                names["exact posterior"] = "exact posterior"
            for choice, its_color in choices.items():
                label = f"{which}, {names[choice]}"
                curve(shares, case[f"{which}, {choice}: ccw"], line, its_color, label)
                every = case[f"{which}, every step, {choice}: ccw"]
                shares.errorbar(
                    at_every, every["mean"], every["std"], fmt=line[0], color=its_color, capsize=2
                )
            curve(same, case[f"{which}, posterior: same"], line, color, f"{which}, cut")
            blind = f"{which}, drawn blindly"
            curve(same, case[f"{which}, blind: same"], line, ORANGE, blind)
        shares.set_ylim(0.25, 0.95)
        shares.set_xticks([0, 10, 20, 30, at_every], ["0", "10", "20", "30", "every\nstep"])
        shares.set_title(f"d = {dim}: how many run counter-clockwise")
        same.set_title(f"d = {dim}: how many keep the direction\nof the uncut video")
        same.set_ylim(0.4, 1.02)
        same.set_xlabel("step of the cut")
        if dim == DIMS[0]:
            for plot in column:
                plot.set_ylabel("share of the videos")
                plot.legend(fontsize=7, loc="lower left", ncols=2 if plot is shares else 1)
    figure.suptitle(
        "After one cut videos go on as before; chosen by a coin they don't\n"
        "(videos of which 80 % should run counter-clockwise)"
    )
    return figure


def over_cuts(value: dict[str, Any]) -> dict[str, Any]:
    """The mean over the cut steps, of each seed."""
    return {"seeds": np.array(value["seeds"]).mean(1)}


def at_cut(value: dict[str, Any], step: int) -> dict[str, Any]:
    """Of a result over the cut steps, the number at one of them."""
    i = CUT_STEPS.index(step)
    return {key: np.array(value[key])[..., i] for key in ("mean", "std", "seeds")}


def texts(numbers: Numbers) -> dict[str, str]:
    """What the cuts change in each case, in points (hundredths), with standard errors; the most by
    which one cut changes a share of counter-clockwise; and a table."""

    def changed(cut: dict[str, Any], uncut: dict[str, Any]) -> str:
        mean, error = difference(cut, uncut)
        return f"{100 * mean:+.1f} ± {100 * error:.1f}"

    told: dict[str, str] = {}
    rows, by_one_cut = [], []
    for name, case in numbers.items():
        for which in FLOWS:
            key = f"{name}: {which}"
            result: dict[str, Any] = {}  # of this flow: name of the result -> value
            for each, value in case.items():
                if each.startswith(which):
                    result[each.removeprefix(f"{which}, ")] = value
            ccw = result["uncut: ccw"]
            by_one_cut.append(abs(difference(over_cuts(result["posterior: ccw"]), ccw)[0]))
            row = {
                "right, every step": percent(result["every step: right"]),
                "ccw, uncut": percent(ccw),
                "ccw, cut": changed(over_cuts(result["posterior: ccw"]), ccw),
                "ccw, every step": changed(result["every step, posterior: ccw"], ccw),
                "ccw, exact posterior": changed(result["every step, exact posterior: ccw"], ccw),
                "ccw, coin": changed(result["every step, coin: ccw"], ccw),
                "ccw, likelier": changed(result["every step, likelier: ccw"], ccw),
            }
            rows.append([f"{name}, {which}", *row.values()])
            for step in (0, 5):
                row[f"mean q, step {step}"] = percent(at_cut(result["mean q"], step))
            row["ccw, cut at 5"] = changed(at_cut(result["posterior: ccw"], 5), ccw)
            told |= {f"{key}, {x}": text for x, text in row.items()}
    head = (
        "flow",
        "right, after cuts at every step",
        "counter-clockwise, uncut",
        "change by one cut",
        "by cuts at every step",
        "with the exact posterior",
        "by a coin",
        "always the likelier",
    )
    told["one cut, most"] = f"{100 * max(by_one_cut):.1f}"
    told["table"] = markdown_table(head, rows)
    return told


if __name__ == "__main__":
    command("cut", analysis, draw)
