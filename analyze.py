"""Stage 5 of 5: the experiments. Each sub-command writes a figure and its numbers.

    python analyze.py blobs           # how many squares does a frame show, step by step?
    python analyze.py superposition   # are extra squares the other direction?
    python analyze.py commitment      # when is the direction decided?
    python analyze.py geometry        # is a grid of squares a grid in latent space?
    python analyze.py opening         # the animation at the top of the README
    python analyze.py readme          # fill the numbers in the README from the JSON files
    python analyze.py all             # all of it from nothing; under an hour

A sub-command trains the checkpoints it lacks, one thread each on all cores, measures them in
parallel (experiments.py says what, measures.py how), draws figures/NAME.png (figures.py), writes
figures/NAME.json and prints the README's tables (report.py). What an interrupted run has trained
is not trained again. Every number is over several seeds, each with its own autoencoder and flow,
and every claim has a null or a control beside it; the pictures show the first seed.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import joblib
import numpy as np
from tqdm import tqdm

from settings import (
    All,
    AnalysisSettings,
    AutoencoderSettings,
    Blobs,
    Commitment,
    FlowSettings,
    Geometry,
    Opening,
    Readme,
    Superposition,
    read_command_line,
    require,
    run,
)

Command = Blobs | Superposition | Commitment | Geometry | Opening | Readme | All

if __name__ == "__main__":
    settings = read_command_line(Command)  # first, since importing torch takes a second

import torch

import autoencoder
import experiments
import figures
import flow
import report
from checkpoints import checkpoint_path
from files import replacing
from measures import over_seeds, reliability

Job = TypeVar("Job")
Result = TypeVar("Result")


# ---------------------------------------------------------------- training and measuring


def in_parallel(
    function: Callable[[Job], Result], jobs: Sequence[Job], what: str, dask: str | None = None
) -> list[Result]:
    """Call the function on each job, one thread each, on all cores or on a Dask cluster; show
    the progress."""
    # for the workers: one progress bar is enough, and a Ctrl-C needs no second message
    os.environ |= {"TQDM_DISABLE": "1", "PYTHONWARNINGS": "ignore::UserWarning"}
    with contextlib.ExitStack() as stack:
        if dask is None:
            backend: Any = {"backend": "loky", "inner_max_num_threads": 1}
        else:
            try:
                from distributed import Client
            except ImportError:
                mend = "--dask needs Dask: pip install 'dask[distributed]'"
                raise ValueError(mend) from None
            stack.enter_context(Client(dask, timeout=10))
            backend = {"backend": "dask"}
        stack.enter_context(joblib.parallel_config(n_jobs=-1, **backend))
        calls = (joblib.delayed(quietly)(function, job) for job in jobs)
        results = joblib.Parallel(return_as="generator")(calls)
        return list(tqdm(results, desc=what, total=len(jobs), disable=False))


def quietly(function: Callable[[Job], Result], job: Job) -> Result:
    """Call the function on one thread, its prints thrown away."""
    torch.set_num_threads(1)
    with contextlib.redirect_stdout(io.StringIO()):
        return function(job)


def train_one(settings: AutoencoderSettings) -> None:
    """Train an autoencoder or a flow, unless its checkpoint is there."""
    if isinstance(settings, FlowSettings):
        flow.load_or_train(settings)
    else:
        autoencoder.load_or_train(settings)


def train_all(wanted: Iterable[AutoencoderSettings], dask: str | None) -> None:
    """Train what is missing: first the autoencoders, then the flows on them."""
    wanted = list(dict.fromkeys(wanted))
    flows = [job for job in wanted if isinstance(job, FlowSettings)]
    autoencoders = [job for job in wanted if not isinstance(job, FlowSettings)]
    autoencoders += [job.autoencoder_settings() for job in flows]
    for stage, jobs in (("autoencoder", dict.fromkeys(autoencoders)), ("flow", flows)):
        missing = [job for job in jobs if not checkpoint_path(stage, job).exists()]
        if missing:
            in_parallel(train_one, missing, f"training {stage}s", dask)


def measure(
    function: Callable[[Any], Result], cases: dict[Any, Any], settings: AnalysisSettings
) -> dict[Any, list[Result]]:
    """Train what is missing and call the function on it.

    Args:
        function: one of experiments.py.
        cases: name -> settings of the networks, one for each seed.

    Returns:
        name -> results, one for each seed.
    """
    jobs = [job for seeds in cases.values() for job in seeds]
    train_all(jobs, settings.dask)
    results = iter(in_parallel(function, jobs, function.__name__.replace("_", " ")))
    return {name: [next(results) for _ in seeds] for name, seeds in cases.items()}


def each_over_seeds(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """over_seeds() of each entry of the results, one result for each seed."""
    return {key: over_seeds([run[key] for run in runs]) for key in runs[0]}


# ---------------------------------------------------------------- the experiments


def analyze_blobs(settings: Blobs) -> dict[str, Any]:
    """blobs.png (step by step) and dims.png (over the dimension)."""
    dims = dict.fromkeys((*settings.dims, *settings.sweep_dims))
    cases = {dim: settings.flows(embed_dim=dim) for dim in dims}
    runs = measure(experiments.measure_blobs, cases, settings)
    steps: dict[str, Any] = {}
    for dim in settings.dims:
        shares = [{key: run[key] for key in run if key != "strips"} for run in runs[dim]]
        steps[str(dim)] = each_over_seeds(shares)
    sweep: dict[str, Any] = {}
    for dim in settings.sweep_dims:
        one = np.array([run["state"] for run in runs[dim]])[..., 1]  # (seeds, steps 0 to 50)
        null = [run["null"][1] for run in runs[dim]]
        values = {"steps 0, 5, 10": one[:, [0, 5, 10]].mean(1), "worst step": one.min(1)}
        values |= {"step 10": one[:, 10], "step 50": one[:, 50], "null": null}
        sweep[str(dim)] = {name: over_seeds(value) for name, value in values.items()}
    numbers = {"steps": steps, "sweep": sweep}
    strips = {dim: runs[dim][0]["strips"] for dim in settings.dims}
    figures.save(settings.out_dir / "blobs.png", figures.draw_blobs(steps, strips))
    figures.save(settings.out_dir / "dims.png", figures.draw_dims(sweep))
    return numbers


# This repo's recipe without and with blur, and an ordinary decoder as a control
RECIPES: dict[str, dict[str, Any]] = {
    "no blur": {"blur": 0.0},
    "blur": {},
    "plain": {"plain": True, "blur": 0.0},
}
# Range / half width, the larger the less neighbours overlap: (range, half width)
OVERLAPS = {
    "1": [(0.1, 0.1), (0.2, 0.2), (0.4, 0.4)],
    "2": [(0.2, 0.1), (0.4, 0.2), (0.6, 0.3)],
    "3": [(0.3, 0.1), (0.45, 0.15), (0.6, 0.2)],
    "4": [(0.4, 0.1), (0.6, 0.15), (0.8, 0.2)],
}


def analyze_geometry(settings: Geometry) -> dict[str, Any]:
    """geometry.png (the grids) and overlap.png (warp, fold, tear)."""
    shown = [(recipe, r, 0.2) for recipe in RECIPES for r in settings.ranges]
    tested = [
        (recipe, *pair)
        for recipe in ("no blur", "plain")
        for pairs in OVERLAPS.values()
        for pair in pairs
        if settings.overlap
    ]
    cases = {
        (recipe, r, half): settings.autoencoders(range=r, half_width=half, **RECIPES[recipe])
        for recipe, r, half in dict.fromkeys(shown + tested)
    }
    runs = measure(experiments.measure_grid, cases, settings)
    folded = {case: sum(run[1]["fold"] > 0 for run in seeds) for case, seeds in runs.items()}
    numbers: dict[str, Any] = {
        "cases": [
            {"recipe": recipe, "range": r, "half width": half}
            | each_over_seeds([run[1] for run in seeds])
            | {"seeds that fold": f"{folded[recipe, r, half]} of {len(seeds)}"}
            for (recipe, r, half), seeds in runs.items()
        ]
    }
    grids = {case: runs[case][0][0] for case in shown}
    figures.save(settings.out_dir / "geometry.png", figures.draw_geometry(grids))
    if settings.overlap:
        numbers["seeds that fold"] = {
            recipe: {
                ratio: f"{sum(folded[recipe, *pair] for pair in pairs)}"
                f" of {len(pairs) * settings.seeds}"
                for ratio, pairs in OVERLAPS.items()
            }
            for recipe in ("no blur", "plain")
        }
        figures.save(settings.out_dir / "overlap.png", figures.draw_overlap(numbers["cases"]))
    return numbers


def analyze_superposition(settings: Superposition) -> dict[str, Any]:
    """superposition.png: contrast, calibration, and the decoder alone."""
    flows = {f"dim {dim}": settings.flows(embed_dim=dim) for dim in settings.dims}
    controls = {
        "dim 100, two hidden layers": settings.flows(embed_dim=100, hidden_layers=2),
        "dim 100, plain": settings.flows(embed_dim=100, **RECIPES["plain"]),
    }
    two_given, skewed = (
        {f"dim {dim}, {name}": settings.flows(embed_dim=dim, **change) for dim in settings.dims}
        for name, change in (
            ("two given frames", {"given_frames": 2}),
            ("80 % ccw", {"ccw_share": 0.8}),
        )
    )
    decoders: dict[str, Any] = {
        f"dim {dim}": settings.autoencoders(embed_dim=dim) for dim in settings.sweep_dims
    }
    for name, jobs in controls.items():
        decoders[name] = [job.autoencoder_settings() for job in jobs]

    contrast = measure(experiments.measure_contrast, flows | controls, settings)
    seconds = measure(experiments.measure_second_square, flows | controls | two_given, settings)
    calibration = measure(experiments.measure_calibration, flows | skewed, settings)
    additivity = measure(experiments.measure_additivity, decoders, settings)
    numbers: dict[str, Any] = {
        "steps": experiments.STEPS,
        "contrast": {name: each_over_seeds(runs) for name, runs in contrast.items()},
        "second square": {name: over_seeds(runs) for name, runs in seconds.items()},
        "calibration": {},
        "additivity": {name: over_seeds(runs) for name, runs in additivity.items()},
    }
    state = np.array(numbers["contrast"][f"dim {max(settings.dims)}"]["learned state"]["mean"])
    numbers["state above controls, points"] = 100 * (state[:, 0] - state[:, 1]).max()
    for name, runs in calibration.items():
        told = {"at_0": over_seeds([run["at_0"] for run in runs])}
        for key in ("exact", "q", "brightness"):
            curve, error = reliability(runs, key)
            told[key] = {"curve": curve.tolist(), "error": error}
        numbers["calibration"][name] = told
    figures.save(settings.out_dir / "superposition.png", figures.draw_superposition(numbers))
    return numbers


def analyze_commitment(settings: Commitment) -> dict[str, Any]:
    """commitment.png: when the direction is decided, predicted and measured."""
    ends = sorted({min(settings.dims), max(settings.dims)})
    variants = [("scale", "latent_scale", value) for value in settings.scales]
    variants += [("steps", "flow_steps", value) for value in settings.lengths]
    cases = {f"dim {dim}": settings.flows(embed_dim=dim) for dim in settings.dims}
    for word, field, value in variants:
        for dim in ends:
            name = f"dim {dim}, {word} {value}"
            cases[name] = settings.flows(embed_dim=dim, **{field: value})
    runs = measure(experiments.measure_commitment, cases, settings)
    numbers: dict[str, Any]
    numbers = {name: each_over_seeds(seeds) for name, seeds in runs.items()}
    late = [np.diff(numbers[f"dim {dim}"]["halfway"]["mean"]) for dim in ends]
    numbers["learned after exact, steps"] = 50 * float(np.max(late))
    figure = figures.draw_commitment(numbers, ends, settings)
    figures.save(settings.out_dir / "commitment.png", figure)
    return numbers


def draw_opening(settings: Opening) -> None:
    """opening.gif: dims 2 and 100 side by side over the steps, both readouts."""
    cases = {dim: settings.flows(embed_dim=dim)[:1] for dim in (2, 100)}
    runs = measure(experiments.measure_steps, cases, settings)
    figures.save_opening(settings.out_dir / "opening.gif", {dim: runs[dim][0] for dim in runs})


# ---------------------------------------------------------------- the command


EXPERIMENTS: dict[type, Callable[[Any], dict[str, Any] | None]] = {
    Blobs: analyze_blobs,
    Superposition: analyze_superposition,
    Commitment: analyze_commitment,
    Geometry: analyze_geometry,
    Opening: draw_opening,
}


def rounded(value: Any) -> Any:
    """Numbers, in dicts and lists, to six digits: what is printed and what is kept are the same."""
    if isinstance(value, dict):
        return {str(key): rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def write_json(path: Path, numbers: dict[str, Any]) -> None:
    """Write numbers as a JSON file."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(numbers, indent=1) + "\n")


def experiment(settings: AnalysisSettings) -> None:
    """Run one experiment; write its figure, its numbers and what it cost; print its tables."""
    folder, name = settings.out_dir, type(settings).__name__.lower()
    folder.mkdir(parents=True, exist_ok=True)
    before, start = len(list(settings.checkpoint_dir.glob("*.pt"))), time.monotonic()
    numbers = EXPERIMENTS[type(settings)](settings)
    minutes, seconds = divmod(round(time.monotonic() - start), 60)
    trained = len(list(settings.checkpoint_dir.glob("*.pt"))) - before
    costs_file = folder / "costs.json"
    costs = json.loads(costs_file.read_text()) if costs_file.exists() else {}
    cost = f"{trained} trainings, {minutes} min {seconds} s on {os.cpu_count()} cores"
    if trained or name not in costs:  # a run that only measures again says nothing of what it costs
        costs[name] = cost
    write_json(costs_file, costs)
    if numbers is not None:
        numbers = rounded(numbers)
        write_json(folder / f"{name}.json", numbers)
        for table in report.tables(name, numbers).values():
            print(f"\n{table}")
    print(f"\nwrote {folder}/{name}.*: {cost}")


def main(settings: Command) -> None:
    """Run one sub-command, or all of them."""
    if isinstance(settings, All):
        benchmark = Path(__file__).parent / "tests" / "benchmark.py"
        settings.out_dir.mkdir(parents=True, exist_ok=True)
        out = ["--out", str(settings.out_dir / "benchmark.json")]
        command = [sys.executable, str(benchmark), "--seeds", str(settings.seeds), *out]
        status = subprocess.run(command, check=False).returncode
        require(status == 0, "the benchmark failed, as told above")
        shared = {field.name: getattr(settings, field.name) for field in fields(AnalysisSettings)}
        for kind in EXPERIMENTS:
            experiment(kind(**shared))
    elif not isinstance(settings, Readme):
        experiment(settings)
    if isinstance(settings, Readme):
        report.fill(settings.readme, settings.out_dir)


if __name__ == "__main__":
    run(main, settings)
