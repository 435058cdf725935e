"""Runs command lines in forked children, so that twenty of them pay for one import of torch.

For each run it reads one JSON line [stage, arguments, folder, die_at] from stdin, then a line "wait" or "kill", and answers
with the exit status. It alone kills and waits, so a process id can't have passed on to a stranger. A child with die_at = n > 0 kills itself right before its n-th operation on a file
below the folder; with n = 0 it counts them into the file "operations" instead.
"""

import contextlib
import json
import os
import signal
import sys
from pathlib import Path

import torch
import torch._dynamo  # the first optimizer imports it: a second

import autoencoder
import flow
import sample
import settings

OPERATIONS = {"open", "os.rename", "os.remove", "os.mkdir", "os.truncate"}
SETTINGS = {
    autoencoder: settings.AutoencoderSettings,
    flow: settings.FlowSettings,
    sample: settings.SampleSettings,
}


def run(stage: str, arguments: list[str], folder: str, die_at: int | None) -> int:
    """The life of a child: one command line."""
    os.chdir(folder)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    count = 0

    def watch(event: str, details: tuple) -> None:
        nonlocal count
        if event not in OPERATIONS or not isinstance(details[0], (str, Path)):
            return
        path = Path(folder, details[0])
        reads = event == "open" and not details[2] & (os.O_WRONLY | os.O_RDWR)
        if path.is_relative_to(folder) and not reads:
            count += 1
            if count == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    if die_at is not None:
        sys.addaudithook(watch)
    module = sys.modules[stage]
    sys.argv = [f"{stage}.py", *arguments]
    try:
        settings.run(module.main, settings.read_command_line(SETTINGS[module]))
    except SystemExit as stop:
        return int(stop.code or 0)
    finally:
        if die_at == 0:
            Path(folder, "operations").write_text(str(count))
    return 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    # Encoding thousands of frames is most of a tiny run, and writes nothing.
    flow.NUM_RINGS = 64
    bins = {name: [0.5] * 10 for name in ("t", "loss", "irreducible", "excess")}
    flow.evaluate = lambda *_: bins
    while line := sys.stdin.readline():
        child = os.fork()
        if child == 0:
            status = 1
            with contextlib.suppress(BaseException):
                status = run(*json.loads(line))
            os._exit(status)
        if sys.stdin.readline().strip() != "wait":
            os.kill(child, signal.SIGKILL)  # also if the tests have gone away
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
