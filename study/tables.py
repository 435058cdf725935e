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
READOUTS = ("learned state", "exact state", "learned mean", "exact mean", "learned null")


@dataclass(frozen=True)
class TablesSettings:
    """Fill in the two pages."""

    readme: Path = ROOT / "README.md"
    """The README."""
    results: Path = ROOT / "study" / "RESULTS.md"
    """The page of all tables."""
    out_dir: Path = Path("figures")
    """Folder of the JSON files."""

    def __post_init__(self) -> None:
        for path in (self.readme, self.results, self.out_dir / "pictures.json"):
            if not path.is_file():
                raise ValueError(f"{path} is missing")


def look_up(numbers: Any, path: str) -> Any:
    """What a path such as `blobs/2/null/1` leads to. A place behind a mean and standard deviation
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


def percent(shares: Iterable[float]) -> str:
    """Shares in percent."""
    return " / ".join(f"{100 * share:.1f}" for share in shares)


def cell(numbers: dict[str, Any], path: str) -> str:
    """What a path leads to, as text: mean and standard deviation of a number; of shares at places
    the means, in percent. With a * at the end of a name the means of all that it can stand for or,
    of many, the least and the largest."""
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
    if isinstance(mean, list):
        return percent(mean[:3])
    form = ".1f" if mean >= 10 else ".1e" if 0 < mean < 1e-3 else ".3f"
    return f"{mean:{form}} ({std:{form}})"


def table(rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; the first row is its head, and others may end early."""
    head, *others = (list(row) for row in rows)
    filled_up = [(row + [""] * len(head))[: len(head)] for row in others]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *filled_up])


def cases(numbers: dict[str, Any]) -> dict[str, Any]:
    """The entries that are results of cases: not costs, steps and the like."""
    return {
        name: value
        for name, value in numbers.items()
        if isinstance(value, dict) and isinstance(next(iter(value.values())), dict)
    }


def grid(numbers: dict[str, Any], *more: str) -> list[list[str]]:
    """A row for each case; a column for each result that is a single number, and for more paths."""
    first = next(iter(numbers.values()))
    scalars = [key for key, value in first.items() if np.ndim(value["mean"]) == 0]
    rows = [[name, *[cell(value, k) for k in (*scalars, *more)]] for name, value in numbers.items()]
    return [["", *scalars, *more], *rows]


def over_steps(numbers: dict[str, Any], parts: list[list[int]], end: str = "") -> list[list[str]]:
    """The means of these parts of superposition.py's shares, over the steps."""
    steps = {k: numbers["steps"].index(k) for k in (0, 2, 5, 10, 15, 20, 30)}
    rows = [["", *[f"step {k}" for k in steps]]]
    for name, value in numbers["contrast"].items():
        for key in READOUTS:
            means = np.array(value[key + end]["mean"])
            places = steps.values() if len(means) > 1 else [0]  # noise has no steps
            shares = [percent(means[i, part].mean() for part in parts) for i in places]
            label = key.replace("mean", "posterior mean").replace("learned null", "decoded noise")
            rows.append([f"{name}, {label}", *shares])
    return rows


def recipes(numbers: dict[str, Any]) -> list[list[str]]:
    """A row for each case and length of training of post_recipe.py."""
    steps = {k: numbers["steps"].index(k) for k in (10, 20, 50)}
    head = ["", "spread", "training steps", "centre error, px", *[f"step {k}" for k in steps]]
    rows = [[*head, "posterior mean", "two or more", "both", "correlation"]]
    for name, value in cases(numbers).items():
        for i, length in enumerate(numbers["lengths"][: len(value["scale"]["mean"])]):
            state = value["state"]["mean"][i]
            rows.append(
                [name, f"{value['scale']['mean'][i]:.2f}", f"{length}"]
                + [
                    cell(value, f"centre error/{i}"),
                    *[percent(state[k][:3]) for k in steps.values()],
                ]
                + [percent(value["mean"]["mean"][i][-1][:3]), percent(state[steps[20]][4:5])]
                + [percent(state[steps[20]][5:])]
                + ["{:.2f} / {:.2f}".format(*value["carry-over"]["mean"][i][steps[20]])]
            )
    return rows


def tables(everything: dict[str, Any]) -> dict[str, str]:
    """All tables."""
    known, seen = everything["representing"], everything["superposition"]
    rows: dict[str, Iterable[Iterable[str]]] = {
        "benchmark": zip(*grid(cases(everything["benchmark"]))),
        "representing, cases": grid(known["cases"], "shown/1"),
        "representing, 80 % ccw": grid(known["80 % ccw"]),
        "representing, two given frames": grid(known["two given frames"], "shown/1"),
        "superposition, blobs": over_steps(seen, [[0], [1], [2]]),
        "superposition, light": over_steps(seen, [[0], [1, 2], [3]], " light"),
        "superposition, squares": over_steps(seen, [[3], [4]]),
        "superposition, both": over_steps(seen, [[5], [6]]),
        "commitment": grid(cases(everything["commitment"]), "halfway/0", "halfway/1"),
        "post_recipe": recipes(everything["post_recipe"]),
    }
    rows |= {name: grid(cases(everything[name])) for name in ("geometry", "dimension", "tearing")}
    for name, start in (("videos", "d = "), ("grids", "range ")):
        own = {k: value for k, value in everything["pictures"].items() if k.startswith(start)}
        keys = next(iter(own.values()))
        body = [[key, *[f"{column[key]}" for column in own.values()]] for key in keys]
        rows[f"pictures, {name}"] = [["", *own], *body]
    return {name: table(row) for name, row in rows.items()}


def derived(everything: dict[str, Any]) -> dict[str, Any]:
    """All minutes; how far what is shown is from the decoder's midpoints; and what is told of the
    recipes that are about as accurate as the post's."""
    recipe, own = everything["post_recipe"], everything["pictures"]["d = 100"]
    like, at_20 = recipe["like the post"], recipe["steps"].index(20)
    case, i = like["nearest"]
    one, two = (recipe[case + end]["state"]["mean"][i] for end in ("", ", two given frames"))
    both = [recipe[name]["state"]["mean"][j][at_20][5:] for name, j in like["cases"]]
    several = [recipe[name]["state"]["mean"][j][at_20][4] for name, j in like["cases"]]
    counts = np.array(own["blobs in frames 1-7, steps 0, 20, 50"][1])
    known = everything["representing"]["cases"].values()
    return {
        "minutes": sum(told.get("cost", {"minutes": 0})["minutes"] for told in everything.values()),
        "apart": max(abs(v["shown"]["mean"][1] - v["midpoints"]["mean"]) for v in known),
        "case": f"{case}, {recipe['lengths'][i]} steps",
        "step 20": percent(one[at_20][:3]),
        "other": percent(like["other"]),
        "controls": percent(like["controls"]),
        "end": percent(one[-1][:3]),
        "two given frames": percent(two[at_20][:3]),
        "both": ", ".join(percent(shares) for shares in both),
        "several": percent([min(several), max(several)]).replace(" / ", " to "),
        "several, post": percent([(counts > 1).mean()]),
        "extra, post": len(own["extra blobs, in frame"]),
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
    everything = read(settings.out_dir)
    pages = {path: path.read_text() for path in (settings.readme, settings.results)}
    for path, page in {path: filled(page, everything) for path, page in pages.items()}.items():
        with replacing(path) as temporary:
            temporary.write_text(page)
        print(f"{path}: filled in from {settings.out_dir}")


if __name__ == "__main__":
    run(main, TablesSettings)
