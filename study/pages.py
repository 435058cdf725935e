"""Fills the numbers and tables of README.md and RESULTS.md in, from the JSON files in figures/.

    python -m study.tables

What stands between a mark and <!--/--> is replaced; marks are not seen on the page. <!--PATH-->
leads to a result, file first, then keys and places, as in `dimension/100/null`; <!--PATH = FORMAT-->
to a plain number, as in `dimension/100/null/mean = %.2f`; <!--table NAME--> is one of tables().
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data import replacing, run

ROOT = Path(__file__).resolve().parent.parent
MARK = re.compile(r"(<!--([a-z][^>\n]*?)(?: = (%[^>\n]*))?-->).*?(<!--/-->)", re.DOTALL)


@dataclass(frozen=True)
class TablesSettings:
    """Fill in the two pages."""

    readme: Path = ROOT / "README.md"
    """The README."""
    results: Path = ROOT / "study" / "RESULTS.md"
    """The page of all tables."""
    figures: Path = Path("figures")
    """Folder of the JSON files."""

    def __post_init__(self) -> None:
        for path in (self.readme, self.results, self.figures / "pictures.json"):
            if not path.is_file():
                raise ValueError(f"{path} is missing")


def look_up(numbers: Any, path: str) -> Any:
    """What a path such as `blobs/2/state/0/1` leads to. A place behind a mean and standard deviation
    over the seeds is one in both.

    Raises:
        ValueError: it leads nowhere.
    """
    value = numbers
    try:
        for key in path.split("/"):
            if isinstance(value, dict) and "mean" in value and key not in value:
                value = {name: value[name][int(key)] for name in ("mean", "std")}
            else:
                value = value[int(key)] if isinstance(value, list) else value[key]
    except (KeyError, IndexError, TypeError, ValueError):
        raise ValueError(f"a page asks for {path}, which no JSON file holds") from None
    return value


def cell(numbers: dict[str, Any], path: str) -> str:
    """What a path leads to, as text: of a number the mean and standard deviation. With a * at the end
    of a name the means of all that it can stand for or, of many, the least and the largest."""
    head, star, tail = path.partition("*/")
    if star:
        folder, _, start = head.rpartition("/")
        names = [name for name in look_up(numbers, folder) if name.startswith(start)]
        found = [look_up(numbers, f"{folder}/{name}/{tail}") for name in names]
        means = [value["mean"] if isinstance(value, dict) else value for value in found]
        if len(means) > 4:
            return f"{min(means):.3f} to {max(means):.3f}"
        return ", ".join(f"{mean:.3f}" for mean in means)
    value = look_up(numbers, path)
    if not isinstance(value, dict):
        return f"{value}"
    mean, std = value["mean"], value["std"]
    form = ".1f" if mean >= 10 else ".1e" if 0 < mean < 1e-3 else ".3f"
    return f"{mean:{form}} ({std:{form}})"


def table(rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; the first row is its head."""
    head, *others = (list(row) for row in rows)
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *others])


def cases(numbers: dict[str, Any]) -> dict[str, Any]:
    """The entries that are results of cases: not costs, steps and the like."""
    return {
        name: value
        for name, value in numbers.items()
        if isinstance(value, dict) and isinstance(next(iter(value.values())), dict)
    }


def grid(numbers: dict[str, Any]) -> list[list[str]]:
    """A row for each case, and a column for each result that is a single number."""
    first = next(iter(numbers.values()))
    scalars = [key for key, value in first.items() if np.ndim(value["mean"]) == 0]
    rows = [[name, *[cell(value, key) for key in scalars]] for name, value in numbers.items()]
    return [["", *scalars], *rows]


def tables(everything: dict[str, Any]) -> dict[str, str]:
    """All tables."""
    known = everything["representing"]
    rows: dict[str, Iterable[Iterable[str]]] = {
        "benchmark": zip(*grid(cases(everything["benchmark"])), strict=True),
        "representing, cases": grid(known["cases"]),
        "representing, 80 % ccw": grid(known["80 % ccw"]),
        "representing, two given frames": grid(known["two given frames"]),
    }
    for name in ("commitment", "geometry", "dimension", "tearing"):
        rows[name] = grid(cases(everything[name]))
    for name, start in (("videos", "d = "), ("grids", "range ")):
        own = {k: value for k, value in everything["pictures"].items() if k.startswith(start)}
        keys = next(iter(own.values()))
        body = [[key, *[f"{column[key]}" for column in own.values()]] for key in keys]
        rows[f"pictures, {name}"] = [["", *own], *body]
    return {name: table(row) for name, row in rows.items()}


def derived(everything: dict[str, Any]) -> dict[str, Any]:
    """What is told of several files or cases: the minutes of all; and the largest distance between
    what is seen at step 0 and the decoder's midpoints."""
    known = everything["representing"]["cases"].values()
    return {
        "minutes": sum(told.get("cost", {"minutes": 0})["minutes"] for told in everything.values()),
        "apart": max(
            abs(value["with two or more"]["mean"] - value["midpoints with two"]["mean"])
            for value in known
        ),
    }


def read(folder: Path) -> dict[str, Any]:
    """All JSON files, by name, and what is told from several of them."""
    everything = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    return everything | {"derived": derived(everything), "table": tables(everything)}


def filled(page: str, everything: dict[str, Any]) -> str:
    """The page with its marked places filled in."""

    def fill(mark: re.Match[str]) -> str:
        start, path, form, end = mark.groups()
        if path.startswith("table "):
            return f"{start}\n\n{everything['table'][path.removeprefix('table ')]}\n\n{end}"
        told = form % look_up(everything, path) if form else cell(everything, path)
        return f"{start}{told}{end}"

    return MARK.sub(fill, page)


def main(settings: TablesSettings) -> None:
    """Fill both pages in."""
    everything = read(settings.figures)
    pages = {path: path.read_text() for path in (settings.readme, settings.results)}
    for path, page in {path: filled(page, everything) for path, page in pages.items()}.items():
        with replacing(path) as temporary:
            temporary.write_text(page)
        print(f"{path}: filled in from {settings.figures}")


if __name__ == "__main__":
    run(main, TablesSettings)
