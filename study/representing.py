"""Representing is not showing: what the flow knows, and what its decoder draws of it.

    python -m study.representing      # out/representing.png and .json

A flow that is trained with squared error outputs the mean over the possible videos, at any d. So
the share q that its posterior mean gives to one direction should be the exact posterior, whatever d
and the decoder are. How far q is from it is measured on true videos with noise added. (Whether q is
calibrated says less: a q that were always 1/2 would be calibrated, too.)

Whether two squares are seen in that mean is up to the decoder alone. It is asked, without any flow,
what it draws for the midpoint of two latents, which is what a right flow outputs at step 0. Both
are measured for three dimensions, without and with two hidden layers before and behind the latent.
"""

from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from analyze import BLUE, GREEN, GREY, ORANGE, RECIPES, RED, SweepSettings, count_blobs, measure
from autoencoder import Autoencoder, AutoencoderSettings, encode_squares
from data import distinct_turns, new_figure, possible_orbits, random_first_centers, random_stream
from flow import FlowNetwork, FlowSettings, LatentSpace, posterior, speciation_time, trained_flow
from sample import learned_flow, random_given_centers, random_noise, sample
from study.measures import (
    APART,
    FRAMES,
    MIN_RADIUS,
    MOSTLY_CCW,
    ccw_fraction,
    reliability,
    study_stream,
    true_videos,
)
from study.question import Numbers, Pictures, Runs, command, markdown_table, percent, spread

DIMS = (2, 16, 100)
DEPTHS = (0, 2)


@torch.no_grad()
def calibration(network: FlowNetwork, space: LatentSpace) -> dict[str, Any]:
    """How far q, the share of counter-clockwise in the learned posterior mean, is from the exact
    posterior: on 1000 true videos with noise added, radius above MIN_RADIUS, at times that are
    uniform up to twice t_S (at most 0.9), where the direction is being decided.

    Returns:
        "q to exact": the mean distance of q from the exact posterior.
        "prior to exact": the same of the prior, all that one knows without having seen x.
        "q error", "exact error": the expected calibration error, see reliability().
        "q at 0": the mean of q at t = 0, which should be the prior.
        "bins: videos", "bins: q", "bins: counter-clockwise": reliability() of q, (10,).
    """
    settings = space.settings
    rng = study_stream(settings.seed, "calibration")
    first_centers = random_first_centers(4000, rng, settings.center_range)
    far = np.linalg.norm(first_centers, axis=1) > MIN_RADIUS
    videos = true_videos(space, first_centers[far][:1000], rng)
    z, n = videos.z, len(videos.z)
    noise = torch.from_numpy(rng.standard_normal(z.shape, dtype=np.float32))
    uniform = torch.from_numpy(rng.random((n, 1), dtype=np.float32))
    t = (2 * speciation_time(videos.futures)[:, None]).clamp_max(0.9) * uniform
    x = t * z + (1 - t) * noise

    exact = posterior(x, t, videos.futures, videos.prior)[:, 0]
    q = ccw_fraction(network(x, t, videos.given), videos.futures)
    at_0 = ccw_fraction(network(noise, 0 * t, videos.given), videos.futures)
    _, (prior, _) = distinct_turns(settings.turns)
    bins = reliability(q.numpy(), videos.is_ccw)
    return {
        "q to exact": (q - exact).abs().mean().item(),
        "prior to exact": (prior - exact).abs().mean().item(),
        "q error": bins["error"],
        "exact error": reliability(exact.numpy(), videos.is_ccw)["error"],
        "q at 0": at_0.mean().item(),
        "bins: videos": bins["videos"],
        "bins: q": bins["predicted"],
        "bins: counter-clockwise": bins["happened"],
    }


def squares_at_step_0(network: FlowNetwork, space: LatentSpace) -> dict[str, Any]:
    """Of the generated frames in which the directions differ, in the posterior mean of step 0: the
    shares "with one square" and "with two or more". From 200 first frames, those with a radius
    above APART."""
    settings = space.settings
    rng = random_stream(settings.seed, "counting")
    given_centers = random_given_centers(settings, 200, rng)
    given_centers = given_centers[np.linalg.norm(given_centers[:, 0], axis=1) > APART]
    noise = random_noise(space, len(given_centers), rng)
    samples = sample(learned_flow(network, space, given_centers), noise, steps=1)
    frames = space.decode(samples.posterior_means[0]).numpy()  # the generated ones alone
    differ = [i - settings.given_frames for i in FRAMES if i >= settings.given_frames]
    count = count_blobs(frames[:, differ])
    return {"with one square": (count == 1).mean(), "with two or more": (count >= 2).mean()}


@torch.no_grad()
def midpoints(model: Autoencoder, settings: AutoencoderSettings) -> dict[str, Any]:
    """What the decoder draws for the midpoint of the latents of two squares, one in each direction
    (frames 1 to 3 of 400 first frames, those with a radius above APART).

    Returns:
        "midpoints with two": the share that shows exactly two squares.
        "additivity error": how far the drawn midpoint is from the mean of both frames, relative to
            how far they are from it themselves: |dec((a + b) / 2) - (dec(a) + dec(b)) / 2|^2 /
            |(dec(a) - dec(b)) / 2|^2. It is 0 if the decoder adds.
    """
    rng = study_stream(settings.seed, "midpoints")
    first_centers = random_first_centers(400, rng, settings.center_range)
    first_centers = first_centers[np.linalg.norm(first_centers, axis=1) > APART]
    both = possible_orbits(first_centers)[:, :, 1:4]  # (n, 2, 3, 2)
    latents = encode_squares(model, both, settings)  # (n, 2, 3, d)
    a, b = latents[:, 0].flatten(0, 1), latents[:, 1].flatten(0, 1)
    at_a, at_b, middle = (model.decode(z) for z in (a, b, (a + b) / 2))
    off = ((middle - (at_a + at_b) / 2) ** 2).sum((1, 2))
    apart = (((at_a - at_b) / 2) ** 2).sum((1, 2))
    return {
        "midpoints with two": (count_blobs(middle.numpy()) == 2).mean(),
        "additivity error": (off / apart).mean().item(),
    }


def measure_all(settings: FlowSettings) -> dict[str, Any]:
    """All three, of the networks of these settings."""
    network, space = trained_flow(settings)
    return (
        calibration(network, space)
        | squares_at_step_0(network, space)
        | midpoints(space.autoencoder, settings)
    )


def measure_calibration(settings: FlowSettings) -> dict[str, Any]:
    """calibration() of the flow of these settings."""
    return calibration(*trained_flow(settings))


def measure_squares_at_step_0(settings: FlowSettings) -> dict[str, Any]:
    """squares_at_step_0() of the flow of these settings."""
    return squares_at_step_0(*trained_flow(settings))


def analysis(settings: SweepSettings) -> Runs:
    """Three dimensions times two depths, and controls at d = 2 and 100."""
    cases = {
        f"d = {dim}, {depth} hidden": settings.flows(embed_dim=dim, hidden_layers=depth)
        for depth in DEPTHS
        for dim in DIMS
    }
    uneven, given = {}, {}
    for dim in (2, 100):
        cases[f"d = {dim}, plain"] = settings.flows(embed_dim=dim, **RECIPES["plain"])
        uneven[f"d = {dim}, 80 % ccw"] = settings.flows(embed_dim=dim, turns=MOSTLY_CCW)
        given[f"d = {dim}, two given frames"] = settings.flows(embed_dim=dim, given_frames=2)
    return (
        measure(measure_all, cases, settings.dask)
        | measure(measure_calibration, uneven, settings.dask)
        | measure(measure_squares_at_step_0, given, settings.dask)
    )


def draw(cases: Numbers, pictures: Pictures) -> Figure:
    """How far q is from the exact posterior; how often it was right; and what is seen, against the
    decoder's midpoints."""
    figure = new_figure(11.5, 4.3)
    distance, right, seen = figure.subplots(1, 3)
    depths = list(zip(DEPTHS, ("black", RED), "o^", strict=True))

    for depth, color, marker in depths:
        values = [cases[f"d = {dim}, {depth} hidden"]["q to exact"] for dim in DIMS]
        mean, std = ([value[kind] for value in values] for kind in ("mean", "std"))
        label = f"q, {depth} hidden layers"
        distance.errorbar(DIMS, mean, std, fmt=f"{marker}-", capsize=2, color=color, label=label)
    plain = [cases[f"d = {dim}, plain"] for dim in (2, 100)]
    mean = [value["q to exact"]["mean"] for value in plain]
    distance.plot((2, 100), mean, "x", color=BLUE, label="q, plain")
    mean = [cases[f"d = {dim}, 0 hidden"]["prior to exact"]["mean"] for dim in DIMS]
    distance.plot(DIMS, mean, "--", color=GREY, label="always 1/2")
    distance.set(xscale="log", ylim=(0, None), xlabel="embedding dimension d")
    distance.set(ylabel="mean distance from the exact posterior")
    distance.set_xticks(DIMS, [str(dim) for dim in DIMS])
    distance.minorticks_off()
    distance.set_title("q, the learned share of one direction,\nis near the exact one at every d")
    distance.legend()

    for plot in (right, seen):
        plot.plot([0, 1], [0, 1], color=GREY, lw=1)
    for dim, color in ((2, GREEN), (100, BLUE)):
        for share, marker, value in (
            (50, "o", cases[f"d = {dim}, 0 hidden"]),
            (80, "s", cases[f"d = {dim}, 80 % ccw"]),
        ):
            videos, q, ccw = (
                np.array(value[f"bins: {name}"]["mean"])
                for name in ("videos", "q", "counter-clockwise")
            )
            many = videos > 10  # fewer in a bin say little
            label = f"d = {dim}, {share} % ccw"
            x, y = (q / videos.clip(1))[many], (ccw / videos.clip(1))[many]
            right.plot(x, y, marker, ms=5, color=color, label=label)
    right.set(xlabel="q, the share of counter-clockwise")
    right.set(ylabel="share that is counter-clockwise")
    right.set_title("Where q says 70 %, about 70 % are,\nat d = 2 and at d = 100")
    right.legend()

    def draw_seen(values: list[Any], look: str, color: str, label: str) -> None:
        x, y = (
            [value[name]["mean"] for value in values]
            for name in ("midpoints with two", "with two or more")
        )
        seen.plot(x, y, look, color=color, label=label)

    for depth, color, marker in depths:
        values = [cases[f"d = {dim}, {depth} hidden"] for dim in DIMS]
        draw_seen(values, marker, color, f"d = 2 to 100, {depth} hidden layers")
    draw_seen(plain, "x", BLUE, "plain, d = 2 and 100")
    for dim in DIMS:
        value = cases[f"d = {dim}, 0 hidden"]
        point = value["midpoints with two"]["mean"], value["with two or more"]["mean"]
        seen.annotate(f"{dim}", point, (6, -10), textcoords="offset points")
    given = [cases["d = 100, two given frames"]["with two or more"]["mean"]]
    midpoint = [cases["d = 100, 0 hidden"]["midpoints with two"]["mean"]]
    seen.plot(midpoint, given, "D", color=ORANGE, label="d = 100, two given frames")
    seen.set_xlim(-0.05, 1.12)
    seen.set(xlabel="decoder alone: midpoints with two squares")
    seen.set(ylabel="two squares in the posterior mean, step 0")
    seen.set_title("What is seen is what the decoder\ndraws for midpoints (numbers: d)")
    seen.legend()
    return figure


def texts(numbers: Numbers) -> dict[str, str]:
    """The distances of q, and a table of all cases."""
    both = {case: value for case, value in numbers.items() if "midpoints with two" in value}
    rows = [
        [
            case,
            spread(value["q to exact"], "%.3f"),
            spread(value["prior to exact"], "%.3f"),
            percent(value["with two or more"]),
            percent(value["midpoints with two"]),
        ]
        for case, value in both.items()
    ]
    head = ["case", "q to the exact posterior", "1/2 to the exact posterior"]
    head += ["two squares at step 0", "two squares, decoder's midpoints"]

    def least_and_largest(result: str) -> str:
        means = [float(value[result]["mean"]) for value in both.values()]
        return f"{min(means):.3f} to {max(means):.3f}"

    apart = [v["with two or more"]["mean"] - v["midpoints with two"]["mean"] for v in both.values()]
    uneven, given = numbers["d = 100, 80 % ccw"], numbers["d = 100, two given frames"]
    return {
        "table": markdown_table(head, rows),
        "q to exact": least_and_largest("q to exact"),
        "always 1/2": least_and_largest("prior to exact"),
        "seen and midpoints differ by at most": f"{max(map(abs, apart)):.2f}",
        "two squares at step 0, d = 100": percent(both["d = 100, 0 hidden"]["with two or more"]),
        "two squares at step 0, d = 100, plain": percent(
            both["d = 100, plain"]["with two or more"]
        ),
        "two squares at step 0, two given frames": percent(given["with two or more"]),
        "80 % ccw: q at 0, d = 2": spread(numbers["d = 2, 80 % ccw"]["q at 0"]),
        "80 % ccw: q at 0, d = 100": spread(uneven["q at 0"]),
    }


if __name__ == "__main__":
    command("representing", analysis, draw)
