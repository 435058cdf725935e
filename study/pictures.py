"""What do the post's own pictures show? Measured from their pixels.

    python -m study.pictures FOLDER      # out/pictures.json; takes seconds

FOLDER holds the post's nine PNGs, which are not part of this repo. They show one video for each d
and one network for each range: evidence, not proof. The taken place, the other place and the
control places are those of measures.py. The README and RESULTS.md tell of figures/pictures.json, so
add --out-dir figures to make that one again.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import matplotlib
import numpy as np
import tyro
from scipy import ndimage

from analyze import cell_areas, count_blobs, find_blobs
from data import (
    FRAME_SIZE,
    NUM_FRAMES,
    check_output,
    grid_centers,
    possible_orbits,
    render,
    run,
    write_file,
)
from sample import centers_of_light, nearest_orbits
from study.measures import FRAMES, TOLERANCE, blobs_at, control_places, light_at, turned
from study.question import markdown_table
from study.step20 import place_shares

VIDEOS = {d: [f"dim_{d}_step_{step}.png" for step in (0, 20, 50)] for d in (2, 100)}
GRIDS = {0.2: "bottleneck_0d2.png", 0.4: "bottleneck_0d4.png", 0.8: "bottleneck_0d8.png"}
# The PNGs are screenshots, with the colours of a Display P3 screen: linear sRGB to linear P3
TO_P3 = np.array([[0.8225, 0.1774, 0], [0.0332, 0.9669, 0], [0.0171, 0.0724, 0.9108]])


@dataclass(frozen=True)
class PicturesSettings:
    """Measure the post's pictures."""

    folder: tyro.conf.Positional[Path]
    """Folder with the post's PNGs, named as they are there."""
    out_dir: Path = Path("out")
    """Folder for the JSON file; made if it is missing."""

    def __post_init__(self) -> None:
        names = [*VIDEOS[2], *VIDEOS[100], *GRIDS.values()]
        missing = [name for name in names if not (self.folder / name).is_file()]
        if missing:
            raise ValueError(f"{self.folder} lacks {', '.join(missing)}")


def find_axes(dark: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Top, bottom, left and right of each matplotlib axes, spines included, in the dark pixels
    (h, w) of a picture, row by row: large connected pieces, without the ticks, which stick out."""
    axes = []
    for box in ndimage.find_objects(ndimage.label(dark)[0]):
        if min(side.stop - side.start for side in box) > 200:
            y, x = (box[i].start + np.flatnonzero(dark[box].mean(1 - i) > 0.9) for i in (0, 1))
            axes.append((y[0], y[-1] + 1, x[0], x[-1] + 1))
    return axes


def read_frames(path: Path) -> np.ndarray:
    """The frames (8, 51, 51) in a picture. imshow stretched each from black to white, which makes
    the background grey where a decoder goes below 0; here the background, the median, is
    0 again."""
    image = iio.imread(path)[..., :3].mean(-1)
    frames = []
    for top, bottom, left, right in find_axes(image < 128):
        y, x = (  # of each pixel the 5 x 5 screen pixels in its middle
            np.linspace(low + 1, high - 1, 2 * FRAME_SIZE + 1)[1::2, None] + np.arange(-2, 3)
            for low, high in ((top, bottom), (left, right))
        )
        screen = image[np.ix_(y.ravel().astype(int), x.ravel().astype(int))]
        frame = screen.reshape(FRAME_SIZE, 5, FRAME_SIZE, 5).mean((1, 3))
        frames.append((frame - np.median(frame)) / (frame.max() - np.median(frame)))
    return np.clip(frames, 0, 1)


def measure_video(start: np.ndarray, middle: np.ndarray, end: np.ndarray) -> dict[str, Any]:
    """Count and place the squares of one video, which is given at steps 0, 20 and 50, each (8, 51,
    51), and say what of step 20 was there at step 0 already.

    Returns:
        "squares, step 0" and so on: how many each of the frames 1 to 7 shows, (7,).
        "at their place, step 50": how many of the finished frames 1-3, 5-7 have a square nearer
            than TOLERANCE to the taken place: the positive control of this tolerance.
        "extra squares": those of step 20 in frames 1-3, 5-7, without the one of each frame that is
            nearest to the taken place; in which frame each is, and how far from the other place and
            from the nearest control. "in frame 4": those of frame 4, where the directions meet.
        "light": the mean brightness of step 20 at the other, the control and the taken places.
            "turned circles": the other places are turned around the circle, by 5 degrees at a time,
            and frames where this brings them nearer than 45 degrees to the taken place are left
            out; how many of these 72 have as much light as the other places themselves
            (which count). The same with "frames 1 and 2, " before it, of which the post speaks;
            there a circle that leaves no frame doesn't count, and "circles" says how many do.
        "step20: extra pixels from step 0" and so on: all that step20.py measures of samples, too,
            by its place_shares().
    """
    both = possible_orbits(centers_of_light(end[:1]))  # (1, 2, 8, 2)
    nearest, distance = nearest_orbits(end[None, 1:], both[:, :, 1:])
    taken, other = both[0, nearest[0]], both[0, 1 - nearest[0]]  # (8, 2)
    controls = control_places(both[:, 0, 0])[0]  # (6, 6, 2), of FRAMES

    extra: dict[int, np.ndarray] = {}  # frame -> the middles of its extra squares
    for frame in range(1, NUM_FRAMES):
        middles = find_blobs(middle[frame])
        order = np.linalg.norm(middles - taken[frame], axis=1).argsort()
        extra[frame] = middles[order[1:]]
    where = [(i, frame, xy) for i, frame in enumerate(FRAMES) for xy in extra[frame]]
    to_other = np.array([np.linalg.norm(xy - other[frame]) for _, frame, xy in where])
    to_control = np.array([np.linalg.norm(xy - controls[i], axis=1).min() for i, _, xy in where])

    def light(frames: list[int], places: np.ndarray) -> float:
        """At places (f, k, 2), k in each of these frames."""
        return float(light_at(middle[None, frames], render(places)[None]).mean())

    def turned_lights(frames: list[int]) -> np.ndarray:
        """The light at the other places, turned by 0, 5, 10, ... degrees: (circles,)."""
        lights = []
        for degrees in range(0, 360, 5):
            places = turned(other, degrees)
            cosine = (places * taken).sum(1) / (taken**2).sum(1)  # of the angle between the two
            clear = [frame for frame in frames if cosine[frame] < np.cos(np.radians(45)) + 1e-9]
            if clear:
                lights.append(light(clear, places[clear][:, None]))
        return np.array(lights)

    six, two = turned_lights(FRAMES), turned_lights([1, 2])

    frames = {step: each[None, 1:] for step, each in ((0, start), (20, middle), (50, end))}
    as_samples = place_shares(frames, taken[None], other[None])
    finished = blobs_at(end[None, FRAMES], taken[None, FRAMES, None])
    return {
        "squares, step 0": count_blobs(start[1:]),
        "squares, step 20": count_blobs(middle[1:]),
        "squares, step 50": count_blobs(end[1:]),
        "px from the orbit, step 50, median": np.median(distance),
        "at their place, step 50, of 6": finished.sum(),
        "extra squares, frame": [frame for _, frame, _ in where],
        "extra squares, to the other place": to_other,
        "extra squares, to the nearest control": to_control,
        "extra squares at the other place": (to_other < TOLERANCE).sum(),
        "extra squares at a control": (to_control < TOLERANCE).sum(),
        "extra squares in frame 4": len(extra[4]),
        "light at the other place": six[0],
        "light at the controls": light(FRAMES, controls),
        "light at the taken place": light(FRAMES, taken[FRAMES][:, None]),
        "turned circles with as much light, of 72": (six >= six[0] - 1e-9).sum(),
        "frames 1 and 2, light at the other place": two[0],
        "frames 1 and 2, light at the controls": light([1, 2], controls[:2]),
        "frames 1 and 2, turned circles with as much light": (two >= two[0] - 1e-9).sum(),
        "frames 1 and 2, circles": len(two),
        **{f"step20: {name}": value for name, value in as_samples.items()},
    }


def ticks(line: np.ndarray) -> np.ndarray:
    """Middles of the dark pieces of a line of pixels."""
    labels, n = ndimage.label(line)
    return np.array(ndimage.mean(np.arange(len(line)), labels, range(1, n + 1)))


def read_latents(path: Path) -> np.ndarray:
    """The latents of grid_centers() in a picture, (21, 21, 2), NaN where a dot is hidden. The unit
    is the distance of two ticks; by their labels it is the same on both axes, in all
    three pictures.

    The left panel shows true x by viridis colours, the right one true y, both 21 levels. A pixel
    belongs to the dot that has its colour in both; a dot is in the middle of its visible pixels."""
    image = iio.imread(path)[..., :3].astype(float)
    dark = image.mean(-1) < 128
    (top, bottom, left, right), (_, _, low, high) = find_axes(dark)
    along_y, along_x = ticks(dark[top:bottom, left - 4]), ticks(dark[bottom + 3, left:right])
    shift = round(low + ticks(dark[bottom + 3, low:high]).mean() - left - along_x.mean())
    panels = np.stack([image[top:bottom, x : x + right - left] for x in (left, left + shift)])
    y, x = np.nonzero((np.ptp(panels, axis=-1) > 30).all(0))  # coloured

    srgb = matplotlib.colormaps["viridis"](np.linspace(0, 1, 21))[:, :3]
    linear = np.where(srgb < 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4) @ TO_P3.T
    shown = np.where(linear < 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    difference = np.linalg.norm(panels[:, y, x, None] - 255 * shown, axis=-1)  # (2, pixels, 21)
    near = (difference.min(-1) < 8).all(0)
    level_x, level_y = difference.argmin(-1)

    latents = np.full((21, 21, 2), np.nan)
    for i, j in np.ndindex(21, 21):
        dot = near & (level_y == i) & (level_x == j)
        if dot.sum() >= 15:  # of about 38
            latents[i, j] = x[dot].mean(), -y[dot].mean()
    return latents / [np.diff(along_x).mean(), np.diff(along_y).mean()]


def measure_latents(latents: np.ndarray, centers: np.ndarray) -> dict[str, Any]:
    """analyze.grid_measures(), of the dots, cells and edges that were found."""
    found = ~np.isnan(latents[..., 0])
    inputs = np.column_stack([centers[found], np.ones(found.sum())])
    residual = latents[found] - inputs @ np.linalg.lstsq(inputs, latents[found])[0]
    area = cell_areas(latents)
    area = area[~np.isnan(area)]
    edges = np.concatenate([np.diff(latents, axis=axis).reshape(-1, 2) for axis in (0, 1)])
    lengths = np.linalg.norm(edges, axis=1)
    return {
        "dots of 441": found.sum(),
        "cells of 400": len(area),
        "warp": (residual**2).sum() / ((latents[found] - latents[found].mean(0)) ** 2).sum(),
        "fold": min((area > 0).mean(), (area < 0).mean()),
        "tear": np.nanmax(lengths) / np.nanmedian(lengths),
    }


def measure_pictures(folder: Path) -> dict[str, Any]:
    """Everything, by "d = 2", "d = 100", "range 0.2", ..."""
    numbers = {}
    for d, names in VIDEOS.items():
        numbers[f"d = {d}"] = measure_video(*(read_frames(folder / name) for name in names))
    for center_range, name in GRIDS.items():
        latents = read_latents(folder / name)
        numbers[f"range {center_range}"] = measure_latents(latents, grid_centers(center_range))
    return numbers


def texts(numbers: dict[str, Any]) -> dict[str, str]:
    """What the pages tell of the pictures: two tables, and the light at the places."""
    two, hundred = numbers["d = 2"], numbers["d = 100"]

    def told(value: Any) -> str:
        return " ".join(map(str, value)) if isinstance(value, list) else f"{value:g}"

    def told_two(name: str) -> str:
        return f"{hundred[f'frames 1 and 2, {name}']:.2f}"

    times_the_controls = (
        hundred["frames 1 and 2, light at the other place"]
        / hundred["frames 1 and 2, light at the controls"]
    )
    rows = [
        [label, told(two[name]), told(hundred[name])]
        for label, name in (
            ("squares in frames 1 to 7, step 0", "squares, step 0"),
            ("squares in frames 1 to 7, step 20", "squares, step 20"),
            ("squares in frames 1 to 7, step 50", "squares, step 50"),
            (
                "finished squares, median distance from their orbit, px",
                "px from the orbit, step 50, median",
            ),
            ("finished squares at their place, of 6", "at their place, step 50, of 6"),
            ("extra squares of step 20 at the other place", "extra squares at the other place"),
            ("extra bright pixels that were bright at step 0", "step20: extra pixels from step 0"),
            ("the same, in other frames (null)", "step20: extra pixels, other frames"),
        )
    ]
    ranges = [numbers[f"range {r}"] for r in GRIDS]
    grid_rows = [
        [label, *(told(value[name]) for value in ranges)]
        for label, name in (
            ("dots found, of 441", "dots of 441"),
            ("warp", "warp"),
            ("share of cells turned over", "fold"),
            ("longest edge over the median edge", "tear"),
        )
    ]
    return {
        "table": markdown_table(["the post's own picture", "d = 2", "d = 100"], rows),
        "second table": markdown_table(
            ["the post's own grid", "range 0.2", "range 0.4", "range 0.8"], grid_rows
        ),
        "light at the other place": f"{hundred['light at the other place']:.2f}",
        "light at the controls": f"{hundred['light at the controls']:.2f}",
        "light at the taken place": f"{hundred['light at the taken place']:.2f}",
        "turned circles": f"{hundred['turned circles with as much light, of 72']} of 72",
        "frames 1 and 2, light at the other place": told_two("light at the other place"),
        "frames 1 and 2, light at the controls": told_two("light at the controls"),
        "frames 1 and 2, times the controls": f"{times_the_controls:.0f}",
        "frames 1 and 2, turned circles": (
            f"{hundred['frames 1 and 2, turned circles with as much light']} of "
            f"{hundred['frames 1 and 2, circles']}"
        ),
        "squares at their place": f"{hundred['at their place, step 50, of 6']} of 6",
        "warps": ", ".join(f"{value['warp']:.3f}" for value in ranges),
    }


def main(settings: PicturesSettings) -> None:
    """Print the numbers, and write them."""
    settings.out_dir.mkdir(parents=True, exist_ok=True)
    check_output(settings.out_dir / "pictures.json", ".json")
    numbers = {
        name: {key: np.round(value, 3).tolist() for key, value in values.items()}
        for name, values in measure_pictures(settings.folder).items()
    }
    for name, values in numbers.items():
        print(name, *(f"  {key}: {value}" for key, value in values.items()), sep="\n")
    content = json.dumps(numbers, indent=1) + "\n"
    write_file(settings.out_dir / "pictures.json", content.encode())


if __name__ == "__main__":
    run(main, PicturesSettings)
