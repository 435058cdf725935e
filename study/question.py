"""What each question of the study does: measure, keep the numbers, draw the figure from them.

A question is a file with three functions:

    analysis(settings) -> numbers, pictures    trains what is missing, and measures; minutes
    draw(numbers, pictures) -> figure          draws from what was kept, and measures nothing
    texts(numbers) -> {name: text}             what the pages tell, ready to print

Numbers are dicts within dicts. Each key is a name that stands in the question's code as it is, so
that one can search for it, or a bare number: d, a step, a radius. At the bottom is an array, and
its first index is the seed:

    {"ours": {"100": {"two squares in the midpoint": array of 5, ...}, ...}, ...}

They are kept as NAME.json, and pictures, frames of brightness 0 to 1 that the figure shows, as
NAME.npz. Only what a page tells or a figure draws is measured and kept.
"""

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

from analyze import SweepSettings, measure, rounded
from autoencoder import AutoencoderSettings, shared_settings
from data import check_output, run, write_figure, write_file

Numbers = dict[str, Any]
Pictures = dict[str, np.ndarray]
Key = str | int | float
Analysis = Callable[[SweepSettings], tuple[Numbers, Pictures]]
Draw = Callable[[Numbers, Pictures], Any]


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


# ---------------------------------------------------------------------------------------------
# Numbers


def stacked(seeds: list[Any]) -> Any:
    """The results of several seeds, dicts within dicts of the same keys, as one: at the bottom are
    arrays (seeds, ...)."""
    if isinstance(seeds[0], dict):
        return {str(key): stacked([seed[key] for seed in seeds]) for key in seeds[0]}
    return np.array(seeds, dtype=float)


def measured(
    function: Callable[[Any], dict[Any, Any]],
    cases: dict[tuple[Key, ...], list[Any]],
    dask: str | None,
) -> tuple[Numbers, Pictures]:
    """Call a function on the settings of each network, on all cores (see analyze.measure).

    Args:
        function: from the settings of one network to its results, dicts within dicts. The result
            called "picture" is kept of seed 0 only.
        cases: where the results belong, such as ("ours", 100) -> settings, one for each seed.

    Returns:
        Numbers, {"ours": {"100": results}}, and pictures, {"ours/100": frames}.
    """
    numbers: Numbers = {}
    pictures: Pictures = {}
    for path, seeds in measure(function, cases, dask).items():
        names = [str(key) for key in path]
        if "picture" in seeds[0]:
            pictures["/".join(names)] = seeds[0]["picture"]
            seeds = [{key: x for key, x in seed.items() if key != "picture"} for seed in seeds]
        place = numbers
        for name in names[:-1]:
            place = place.setdefault(name, {})
        place[names[-1]] = stacked(seeds)
    return numbers, pictures


def by_path(numbers: Numbers) -> dict[tuple[str, ...], np.ndarray]:
    """The arrays at the bottom of numbers, each by the keys that lead to it."""
    arrays: dict[tuple[str, ...], np.ndarray] = {}
    for key, value in numbers.items():
        if isinstance(value, dict):
            arrays |= {(key, *path): array for path, array in by_path(value).items()}
        else:
            arrays[(key,)] = value
    return arrays


def name_of(*path: Key) -> str:
    """The name that a page has for the number at the end of this path of keys, such as
    "ours / 100 / right / learned". So each part of it stands in the code as it is."""
    return " / ".join(str(key) for key in path)


def write_numbers(
    folder: Path, name: str, numbers: Numbers, pictures: Pictures, minutes: float
) -> None:
    """Keep the results of a question: NAME.json, and NAME.npz if there are pictures."""
    cost = {"minutes": minutes, "cores": joblib.cpu_count()}
    content = json.dumps(rounded({"cost": cost, "numbers": numbers})) + "\n"
    write_file(folder / f"{name}.json", content.encode())
    if pictures:
        as_bytes = {
            case: np.rint(255 * np.clip(frames, 0, 1)).astype(np.uint8)
            for case, frames in pictures.items()
        }
        arrays = io.BytesIO()
        np.savez_compressed(arrays, **as_bytes)
        write_file(folder / f"{name}.npz", arrays.getvalue())


def with_arrays(kept: Any) -> Any:
    """Numbers as JSON has them, with arrays in place of lists."""
    if isinstance(kept, dict):
        return {key: with_arrays(value) for key, value in kept.items()}
    return np.array(kept)


def read_numbers(folder: Path, name: str) -> tuple[Numbers, Pictures, dict[str, float]]:
    """What write_numbers() has kept: the numbers, the pictures, and what they cost ("minutes",
    "cores"). Raises FileNotFoundError if nothing is kept in this folder yet."""
    kept = json.loads((folder / f"{name}.json").read_text())
    pictures: Pictures = {}
    if (folder / f"{name}.npz").exists():
        with np.load(folder / f"{name}.npz") as file:
            pictures = {case: file[case] / np.float32(255) for case in file.files}
    return with_arrays(kept["numbers"]), pictures, kept["cost"]


# ---------------------------------------------------------------------------------------------
# The command


def answer(name: str, analysis: Analysis, draw: Draw, settings: QuestionSettings) -> None:
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
        numbers, pictures = analysis(settings)
        write_numbers(folder, name, numbers, pictures, (time.monotonic() - start) / 60)
    numbers, pictures, cost = read_numbers(folder, name)
    write_figure(figure_path, draw(numbers, pictures))
    print(f"{figure_path} and .json: {cost['minutes']:.1f} minutes of measuring")


def command(name: str, analysis: Analysis, draw: Draw) -> None:
    """The command line of a question."""
    run(lambda settings: answer(name, analysis, draw, settings), QuestionSettings)


# ---------------------------------------------------------------------------------------------
# What the texts of the pages are made of


def deviation(values: np.ndarray) -> Any:
    """The standard deviation over the seeds, (seeds, ...) -> (...); 0 with a single seed."""
    return values.std(0, ddof=1) if len(values) > 1 else 0 * values[0]


def spread(values: np.ndarray, form: str = "%.2f") -> str:
    """Numbers (seeds,) as text: their mean and, in brackets, their standard deviation."""
    return f"{form % values.mean()} ({form % deviation(values)})"


def percent(values: np.ndarray) -> str:
    """Shares (seeds,) as text: their mean and, in brackets, their standard deviation, in %."""
    return f"{100 * values.mean():.0f} % ({100 * deviation(values):.0f})"


def paired(a: np.ndarray, b: np.ndarray, form: str = "%+.2f") -> str:
    """a - b (seeds,), paired by seed, as text: the mean and, behind a ±, its standard error."""
    pairs = a - b
    error = deviation(pairs) / len(pairs) ** 0.5
    return f"{form % pairs.mean()} ± {form.replace('+', '') % error}"


def markdown_table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table as Markdown."""
    head = list(head)
    lines = [head, ["---"] * len(head), *(list(row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
