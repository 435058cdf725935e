"""The animation at the top of the README.

python -m study.opening      # figures/opening.gif
"""

import io

import imageio.v3 as iio
import numpy as np
from matplotlib.figure import Figure

import flow
from analyze import SweepSettings, measure
from data import replacing, run
from flow import FlowSettings
from sample import sample
from study.superposition import draw_marked, taken_and_other

FRAMES = 4  # frames 1 to 4


def measure_steps(settings: FlowSettings) -> dict[str, np.ndarray]:
    """Frames 1 to 4 of one video at steps 0 to 50, "state" and "posterior mean" (51, 4, 51, 51),
    and "places" (2, 4, 2), the centres in the direction that it takes and in the other. It is the
    first of 20 samples with a large radius."""
    network, space = flow.load_or_train(settings)
    samples = sample(network, space, 20, np.random.default_rng((settings.seed, 5)))
    far, taken, other = taken_and_other(samples)
    i = far[0]
    return {
        "state": space.decode(samples.states[:, i])[:, :FRAMES].numpy(),
        "posterior mean": space.decode(samples.posterior_means[:, i])[:, :FRAMES].numpy(),
        "places": np.stack([taken[0], other[0]])[:, 1 : FRAMES + 1],
    }


def draw_step(videos: dict[str, dict[str, np.ndarray]], k: int) -> np.ndarray:
    """One image of the animation, (height, width, 3) uint8."""
    figure = Figure((8.3, 3.1), layout="constrained", facecolor="black")
    axes = figure.subplots(2, len(videos))
    for column, (name, video) in zip(axes.T, videos.items()):
        column[0].set_title(name, color="white")
        for plot, readout in zip(column, ("state", "posterior mean")):
            draw_marked(plot, video[readout][k], video["places"])
            if name == next(iter(videos)):
                plot.set_ylabel(readout, color="white")
    figure.supxlabel(
        f"step {k} of 50; frames 1 to 4; blue: where it will go, orange: the other way; dark frames brightened",
        color="white",
        fontsize=10,
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return iio.imread(buffer.getvalue(), mode="RGB")


def main(settings: SweepSettings) -> None:
    """d = 2 and 100 side by side over the steps, both readouts."""
    settings.out_dir.mkdir(parents=True, exist_ok=True)
    cases = {f"d = {dim}": settings.flows(embed_dim=dim)[:1] for dim in (2, 100)}
    runs = measure(measure_steps, cases, settings.dask)
    images = [draw_step({name: run[0] for name, run in runs.items()}, k) for k in range(51)]
    # step 0 is held, then slow where the direction is decided at d = 100; the end stays
    durations = [2000] + [400] * 6 + [150] * 43 + [2500]
    with replacing(settings.out_dir / "opening.gif") as temporary:
        iio.imwrite(temporary, np.stack(images), extension=".gif", duration=durations, loop=0)
    print(f"{settings.out_dir}/opening.gif")


if __name__ == "__main__":
    run(main, SweepSettings)
