"""The animation at the top of the README.

python -m study.opening      # out/opening.gif
"""

import io

import imageio.v3 as iio
import numpy as np
from matplotlib.figure import Figure

from analyze import SweepSettings, measure
from data import check_output, random_stream, replacing, run
from flow import FlowNetwork, FlowSettings, LatentSpace, trained_flow
from sample import random_given_centers, sample
from study.measures import draw_marked, taken_and_other

SHOWN = 4  # frames 1 to 4


def sample_steps(network: FlowNetwork, space: LatentSpace) -> dict[str, np.ndarray]:
    """One video, step by step: the first of 20 samples with a large radius.

    Returns:
        "state" and "posterior mean": frames 1 to 4 at steps 0 to 50, (51, 4, 51, 51).
        "places": the centres in the direction that it took and in the other, (2, 4, 2).
    """
    rng = random_stream(space.settings.seed, "counting")
    samples = sample(network, space, random_given_centers(space.settings, 20, rng), rng)
    far, taken, other = taken_and_other(samples, space)
    i = far[0]
    return {
        "state": space.decode(samples.states[:, i])[:, :SHOWN].numpy(),
        "posterior mean": space.decode(samples.posterior_means[:, i])[:, :SHOWN].numpy(),
        "places": np.stack([taken[0], other[0]])[:, 1 : SHOWN + 1],
    }


def measure_steps(settings: FlowSettings) -> dict[str, np.ndarray]:
    """sample_steps() of the flow of these settings."""
    return sample_steps(*trained_flow(settings))


def draw_step(videos: dict[str, dict[str, np.ndarray]], step: int) -> np.ndarray:
    """One image of the animation, (height, width, 3) uint8: the videos side by side, each with its
    state above its posterior mean."""
    figure = Figure((8.3, 3.1), layout="constrained", facecolor="black")
    axes = figure.subplots(2, len(videos), squeeze=False)
    for column, (name, video) in zip(axes.T, videos.items(), strict=True):
        column[0].set_title(name, color="white")
        for plot, readout in zip(column, ("state", "posterior mean"), strict=True):
            draw_marked(plot, video[readout][step], video["places"])
            if name == next(iter(videos)):
                plot.set_ylabel(readout, color="white")
    text = (
        f"step {step} of 50; frames 1 to 4; blue: where it will go, orange: the other way; "
        "dark frames brightened"
    )
    figure.supxlabel(text, color="white", fontsize=10)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return iio.imread(buffer.getvalue(), mode="RGB")


def main(settings: SweepSettings) -> None:
    """d = 2 and 100 side by side over the steps, both readouts, of seed 0."""
    settings.out_dir.mkdir(parents=True, exist_ok=True)
    path = settings.out_dir / "opening.gif"
    check_output(path, ".gif")
    cases = {f"d = {dim}": settings.flows(embed_dim=dim)[:1] for dim in (2, 100)}
    videos = {name: runs[0] for name, runs in measure(measure_steps, cases, settings.dask).items()}
    images = [draw_step(videos, step) for step in range(51)]
    # Step 0 is held. Then it is slow where the direction is decided at d = 100. The end stays.
    durations = [2000] + [400] * 6 + [150] * 43 + [2500]
    with replacing(path) as temporary:
        iio.imwrite(temporary, np.stack(images), extension=".gif", duration=durations, loop=0)
    print(path)


if __name__ == "__main__":
    run(main, SweepSettings)
