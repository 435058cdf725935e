"""Makes everything again: all figures, all numbers, RESULTS.md and the README's numbers.

python -m study.all
"""

import importlib
from dataclasses import fields

import analyze
from analyze import AnalyzeSettings, SweepSettings, write
from data import run
from study import opening, tables

QUESTIONS = ["representing", "superposition", "dimension", "commitment", "tearing", "post_recipe"]


def main(settings: SweepSettings) -> None:
    """One after the other, each with the trained networks of those before it."""

    def answer(name: str) -> None:
        write(importlib.import_module(f"study.{name}").analysis, settings, name)

    shared = {field.name: getattr(settings, field.name) for field in fields(SweepSettings)}
    answer("benchmark")  # first, alone: it measures times
    for what in ("blobs", "geometry"):
        analyze.main(AnalyzeSettings(what=what, **shared))
    for name in QUESTIONS:
        answer(name)
    opening.main(settings)
    if settings.out_dir == SweepSettings.out_dir:  # the pages tell of this folder alone
        tables.main(tables.TablesSettings())


if __name__ == "__main__":
    run(main, SweepSettings)
