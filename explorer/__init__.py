"""A page to play with: draw the first frame, watch the flow decide.

python -m explorer    # explorer/index.html, one file that opens from disk
"""
