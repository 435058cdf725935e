"""Files that are written whole or not at all, and pictures made of frames."""

import contextlib
import glob
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import imageio.v3 as iio
import numpy as np


def is_running(pid: str) -> bool:
    """Whether there is a process of this id: its temporary files are no leftovers."""
    try:
        os.kill(int(pid), 0)
    except PermissionError:  # somebody else's
        pass
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    return True


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder, moved over `path` at the end: a kill
    leaves the old file or the new one. Leftovers of killed processes are removed."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        pid, _, _ = leftover.name.removeprefix(f".{path.name}.").partition(".")
        if not is_running(pid):
            leftover.unlink(missing_ok=True)
    temporary = path.parent / f".{path.name}.{os.getpid()}.tmp"
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def growing_npz(
    path: Path, shapes: dict[str, tuple[int, ...]]
) -> Iterator[tuple[Callable[[str, int, np.ndarray], None], dict[str, np.ndarray]]]:
    """Write an .npz file of float32 arrays that need not fit in memory: they grow on disk.

    Args:
        shapes: name -> shape of the big arrays.

    Yields:
        put(name, row, pieces), which writes an array of pieces, such as videos, to where piece
        number `row` of the big array begins; and a dict to put small arrays into.
    """
    with replacing(path) as temporary, contextlib.ExitStack() as cleanup:
        files, origin = {}, {}
        small: dict[str, np.ndarray] = {}
        for name, shape in shapes.items():
            part = temporary.with_suffix(f".{name}.tmp")
            cleanup.callback(part.unlink, missing_ok=True)
            files[name] = file = cleanup.enter_context(part.open("w+b"))
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            origin[name] = file.tell()

        def put(name: str, row: int, pieces: np.ndarray) -> None:
            files[name].seek(origin[name] + row * pieces[0].nbytes)
            files[name].write(pieces.tobytes())

        yield put, small
        with temporary.open("wb") as whole:
            np.savez(whole, allow_pickle=False, **small)
        with zipfile.ZipFile(temporary, "a") as archive:
            for name, file in files.items():
                entry = zipfile.ZipInfo(f"{name}.npy")
                with archive.open(entry, "w", force_zip64=True) as array:
                    file.seek(0)
                    shutil.copyfileobj(file, array, 2**20)
                file.truncate(0)  # or the disk would have to hold everything twice


# ---------------------------------------------------------------- pictures


def tile(videos: np.ndarray, across: int) -> np.ndarray:
    """Lay frames out in rows with a grey line above and beside each: (n, ..., 51, 51) in [0, 1]
    -> (..., height, width) uint8."""
    videos = np.pad(videos, [(0, -len(videos) % across)] + [(0, 0)] * (videos.ndim - 1))
    line = [(0, 0)] * (videos.ndim - 2) + [(1, 0), (1, 0)]
    framed = np.pad(np.clip(videos, 0, 1), line, constant_values=0.4)
    rows = [
        np.concatenate(framed[i : i + across], axis=-1) for i in np.arange(0, len(framed), across)
    ]
    return (255 * np.concatenate(rows, axis=-2)).round().astype(np.uint8)


def write_gif(path: Path, videos: np.ndarray) -> None:
    """Write videos (n, frames, 51, 51) in [0, 1] as one looping GIF, side by side and
    three times enlarged."""
    images = (
        tile(videos, across=int(np.ceil(np.sqrt(len(videos)))))
        .repeat(3, axis=-1)
        .repeat(3, axis=-2)
    )
    with replacing(path) as temporary:
        temporary.write_bytes(
            iio.imwrite("<bytes>", images, extension=".gif", duration=250, loop=0)
        )
