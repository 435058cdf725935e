"""Makes everything again: all figures, all numbers, RESULTS.md and the README's numbers.

python -m study.all
"""

from dataclasses import fields

import analyze
from analyze import AnalyzeSettings, SweepSettings
from data import run
from study import benchmark, commitment, dimension, opening, overlap, superposition, tables


def main(settings: SweepSettings) -> None:
    """One after the other, each with the trained networks of those before it."""
    shared = {field.name: getattr(settings, field.name) for field in fields(SweepSettings)}
    benchmark.main(settings)
    analyze.main(AnalyzeSettings(what="blobs", **shared))
    dimension.main(settings)
    superposition.main(settings)
    commitment.main(settings)
    analyze.main(AnalyzeSettings(what="geometry", **shared))
    overlap.main(settings)
    opening.main(settings)
    tables.main(tables.TablesSettings(out_dir=settings.out_dir))


if __name__ == "__main__":
    run(main, SweepSettings)
