"""What each question of the study does: measure, keep the numbers, draw the figure from them.

A question is a file with three functions:

    analysis(settings) -> runs          trains what is missing, and measures; minutes
    draw(numbers, pictures) -> Figure   draws from what was kept, and measures nothing
    texts(numbers) -> {name: text}      the numbers and tables that the pages tell, ready to print

runs are named results for each case (the settings that differ) and each seed:

    {"d = 2": [{"videos right": 1.0, "one square": array(51)}, ... one for each seed], ...}

They are kept as NAME.json and, to be opened in a spreadsheet, as NAME.csv: for each case and each
result the mean and standard deviation over the seeds, and the value of each seed. The result called
"picture", frames of brightness 0 to 1, is kept of seed 0 only, in NAME.npz. (Instead,
draw() gets it.)
"""

import csv
import io
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import tyro
from matplotlib.figure import Figure

from analyze import SweepSettings, over_seeds, rounded
from autoencoder import AutoencoderSettings, shared_settings
from data import check_output, run, write_figure, write_file

Runs = dict[str, list[dict[str, Any]]]  # case -> results of each seed
Numbers = dict[str, dict[str, Any]]  # case -> result -> "mean", "std", "seeds"
Pictures = dict[str, np.ndarray]  # case -> frames


@dataclass(frozen=True)
class StudySettings(SweepSettings):
    """What all commands of the study share."""

    # Not offered as an option: questions share their networks, and each would train them anew.
    retrain: tyro.conf.Suppress[bool] = False


@dataclass(frozen=True)
class QuestionSettings(StudySettings):
    """Measure, and draw the figure."""

    redraw: bool = False
    """Only draw the figure again, from the numbers in the folder."""


def autoencoders(settings: SweepSettings, **changes: Any) -> list[AutoencoderSettings]:
    """The settings of one autoencoder for each seed, with these changes."""
    flows = settings.flows(**changes)
    return [shared_settings(each, AutoencoderSettings) for each in flows]


def write_numbers(folder: Path, name: str, runs: Runs, minutes: float) -> None:
    """Keep the results of a question: NAME.json, NAME.csv, and NAME.npz if there are pictures."""
    numbers = rounded({case: over_seeds(seeds) for case, seeds in runs.items()})
    cost = rounded({"minutes": minutes, "cores": joblib.cpu_count()})
    content = json.dumps({"cost": cost, "cases": numbers}) + "\n"
    write_file(folder / f"{name}.json", content.encode())

    text = io.StringIO()
    seeds = [f"seed {i}" for i in range(max(len(each) for each in runs.values()))]
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["case", "result", "place", "mean", "standard deviation", *seeds])
    for case, results in numbers.items():
        for result, value in results.items():
            mean, std, each = (np.array(value[key]) for key in ("mean", "std", "seeds"))
            for place in np.ndindex(mean.shape):  # one row for a single number
                at = " ".join(map(str, place))
                row = [mean[place], std[place], *each[(slice(None), *place)]]
                table.writerow([case, result, at, *(f"{x:.4g}" for x in row)])
    write_file(folder / f"{name}.csv", text.getvalue().encode())

    pictures = {case: each[0]["picture"] for case, each in runs.items() if "picture" in each[0]}
    if pictures:
        as_bytes = {
            case: np.rint(255 * np.clip(frames, 0, 1)).astype(np.uint8)
            for case, frames in pictures.items()
        }
        arrays = io.BytesIO()
        np.savez_compressed(arrays, **as_bytes)
        write_file(folder / f"{name}.npz", arrays.getvalue())


def read_numbers(folder: Path, name: str) -> tuple[Numbers, Pictures, dict[str, float]]:
    """What write_numbers() has kept: the numbers, the pictures, and what they cost ("minutes",
    "cores"). The lists of the numbers are NumPy arrays again.

    Raises:
        FileNotFoundError: nothing is kept in this folder yet.
    """
    kept = json.loads((folder / f"{name}.json").read_text())
    numbers = {
        case: {
            result: {key: np.array(x) for key, x in value.items()}
            for result, value in results.items()
        }
        for case, results in kept["cases"].items()
    }
    pictures: Pictures = {}
    if (folder / f"{name}.npz").exists():
        with np.load(folder / f"{name}.npz") as file:
            pictures = {case: file[case] / np.float32(255) for case in file.files}
    return numbers, pictures, kept["cost"]


def answer(
    name: str,
    analysis: Callable[[SweepSettings], Runs],
    draw: Callable[[Numbers, Pictures], Figure],
    settings: QuestionSettings,
) -> None:
    """Measure, and keep the numbers (not with redraw); then draw the figure from them."""
    folder = settings.out_dir
    folder.mkdir(parents=True, exist_ok=True)
    figure_path = folder / f"{name}.png"
    check_output(figure_path, ".png")
    if settings.redraw and not (folder / f"{name}.json").exists():
        raise FileNotFoundError(
            f"--redraw needs {folder / name}.json, which isn't there: run it without --redraw first"
        )
    if not settings.redraw:
        start = time.monotonic()
        runs = analysis(settings)
        write_numbers(folder, name, runs, (time.monotonic() - start) / 60)
    numbers, pictures, cost = read_numbers(folder, name)
    write_figure(figure_path, draw(numbers, pictures))
    print(f"{figure_path}, .json and .csv: {cost['minutes']:.1f} minutes of measuring")


def command(
    name: str,
    analysis: Callable[[SweepSettings], Runs],
    draw: Callable[[Numbers, Pictures], Figure],
) -> None:
    """The command line of a question."""
    run(lambda settings: answer(name, analysis, draw, settings), QuestionSettings)


# ---------------------------------------------------------------------------------------------
# What the texts of the pages are made of


def spread(value: dict[str, Any], form: str = "%.2f") -> str:
    """A number over the seeds as text: its mean and, in brackets, its standard deviation."""
    return f"{form % value['mean']} ({form % value['std']})"


def percent(value: dict[str, Any]) -> str:
    """A share over the seeds as text: its mean and, in brackets, its standard deviation, in %."""
    return f"{100 * value['mean']:.0f} % ({100 * value['std']:.0f})"


def difference(a: dict[str, Any], b: dict[str, Any]) -> tuple[float, float]:
    """a - b, paired by seed: the mean and its standard error."""
    pairs = np.array(a["seeds"]) - np.array(b["seeds"])
    return float(pairs.mean()), float(pairs.std(ddof=1) / len(pairs) ** 0.5)


def markdown_table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table as Markdown."""
    head = list(head)
    lines = [head, ["---"] * len(head), *(list(row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
