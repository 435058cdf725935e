"""What goes past the post, one file a question. Each stands on the five stages, which never need
it: read those first.

    python -m study.step20          # several squares at step 20: what makes them?
    python -m study.state           # what is a state made of, and does it hold both directions?
    python -m study.placecells      # are the latents coordinates or place cells?
    python -m study.motion          # on the way to its place, does a square move or fade?
    python -m study.cut             # does a state hold more than the posterior?
    python -m study.futures         # more than two futures
    python -m study.physics         # circles and starts that the flow has never seen
    python -m study.representing    # what the flow knows, and what its decoder shows of it
    python -m study.commitment      # when is the direction decided?
    python -m study.tearing         # when does the latent plane tear?
    python -m study.benchmark       # how long from nothing to a GIF, and how good is it?
    python -m study.opening         # the animation at the top of the README
    python -m study.pictures DIR    # the post's own pictures, measured from their pixels

These write their numbers and figures to out/. The numbers that the README and RESULTS.md tell are
those in figures/:

    python -m study.all             # all of the above but the pictures, into figures/
    python -m study.pages           # fills both pages in, from the JSON files in figures/

What each question does with its numbers is in question.py; what several of them measure is in
measures.py.
"""

import os

# Pictures are only written to files. What a notebook would show them with may not exist here.
os.environ["MPLBACKEND"] = "agg"
