"""What goes past the post, one file a question. Each stands on the five stages, which never need
it: read those first.

    python -m study.seen            # what does one see of an average?
    python -m study.states          # what is in a half-finished state?
    python -m study.reach           # how far does it carry the rule?
    python -m study.odds            # does it know the odds?
    python -m study.folds           # when does the map fold?
    python -m study.benchmark       # how long from nothing to a GIF, and how good is it?
    python -m study.opening         # the two pictures at the top of the README
    python -m study.pictures DIR    # the post's own pictures, measured from their pixels

These write their numbers and figures to out/. The numbers that the README and RESULTS.md tell are
those in figures/:

    python -m study.all             # all of the above but the pictures, into figures/
    python -m study.pages           # fills both pages in, from the JSON files in figures/

Three questions have an experiment that stands in a file of its own: recipes.py belongs to states,
codes.py to reach, and velocities.py to odds. What each question does with its numbers is in
question.py; what several of them measure is in measures.py.
"""

import os

# Pictures are only written to files. What a notebook would show them with may not exist here.
os.environ["MPLBACKEND"] = "agg"
