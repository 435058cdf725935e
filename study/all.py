"""Makes everything again: all figures, all numbers, RESULTS.md and the README's numbers.

python -m study.all
"""

from dataclasses import fields

import analyze
from analyze import AnalyzeSettings, SweepSettings, write
from data import run
from study import (
    benchmark,
    commitment,
    dimension,
    opening,
    post_recipe,
    representing,
    superposition,
    tables,
    tearing,
)


def main(settings: SweepSettings) -> None:
    """One after the other, each with the trained networks of those before it."""
    shared = {field.name: getattr(settings, field.name) for field in fields(SweepSettings)}
    write(benchmark.analysis, settings, "benchmark")  # first, alone: it measures times
    for what in ("blobs", "geometry"):
        analyze.main(AnalyzeSettings(what=what, **shared))
    for question in (representing, superposition, dimension, commitment, tearing, post_recipe):
        write(question.analysis, settings, question.__name__.removeprefix("study."))
    opening.main(settings)
    tables.main(tables.TablesSettings(out_dir=settings.out_dir))


if __name__ == "__main__":
    run(main, SweepSettings)
