"""What do the post's own pictures show? Measured from their pixels.

    python -m study.pictures FOLDER      # out/pictures.json; takes seconds

FOLDER holds the post's nine PNGs, which are not part of this repo. They show one video for each d
and one network for each range: evidence, not proof. The taken place, the other place and the
control places are those of measures.py. The outlines of the squares are kept too, at half of each
frame's brightness: study/states.py draws them. The pages tell of figures/pictures.json, so add
--out-dir figures to make that one again.
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
    PIXEL_CENTERS,
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

STEPS = (0, 20, 50)
BRIGHT = 0.5
# The frames in which the directions differ: those of which the post speaks, and the rest
GROUPS = {"frames 1 and 2": (1, 2), "frames 3, 5, 6, 7": (3, 5, 6, 7)}
VIDEOS = {d: [f"dim_{d}_step_{step}.png" for step in STEPS] for d in (2, 100)}
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


# ---------------------------------------------------------------------------------------------
# One video at steps 0, 20 and 50, each (8, 51, 51)


def outlines(frame: np.ndarray) -> list[dict[str, Any]]:
    """The blobs of one frame (51, 51), as analyze.find_blobs() finds them: the "center" of each, x
    and y, and its outline as "rows", [row, first column, last column] for each unbroken piece of
    a row."""
    pieces, _ = ndimage.label(frame >= frame.max() / 2, structure=np.ones((3, 3)))
    large = [i for i, size in enumerate(np.bincount(pieces.ravel())) if i > 0 and size >= 4]
    blobs = []
    for center, piece in zip(find_blobs(frame), large, strict=True):
        rows = []
        for row in range(FRAME_SIZE):
            edges = np.diff(np.pad(pieces[row] == piece, 1).astype(int))
            first, last = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
            rows += [[row, int(a), int(b)] for a, b in zip(first, last, strict=True)]
        blobs.append({"center": center, "rows": rows})
    return blobs


def filled(blobs: list[dict[str, Any]]) -> np.ndarray:
    """The outlines that study/pictures.py has measured in a frame, as a frame (51, 51)."""
    frame = np.zeros((FRAME_SIZE, FRAME_SIZE))
    for blob in blobs:
        for row, first, last in blob["rows"]:
            frame[row, first : last + 1] = 0.85
    return frame


def extra_pixels(start: np.ndarray, middle: np.ndarray, taken: np.ndarray) -> dict[str, np.ndarray]:
    """The bright pixels of step 20 off the taken square: were they bright at step 0?

    Args:
        start, middle: frames 1 to 7 at steps 0 and 20, stretched, (n, 7, 51, 51).
        taken: (n, 8, 2), the taken places.

    Returns:
        Of each video (n,): how many there are "in a frame"; the shares of them that were bright
        "at step 0" in the same frame, and "in other frames" of step 0, the mean over the six, which
        is the null. Without any, these are 0.
    """
    extra = (middle > BRIGHT) & (render(taken[:, 1:]) == 0)
    bright = start > BRIGHT
    number = extra.sum((1, 2, 3))
    there = [(extra & np.roll(bright, i, axis=1)).sum((1, 2, 3)) for i in range(7)]  # (7, n)
    shares = np.array(there) / np.maximum(number, 1)
    return {
        "in a frame": number / (NUM_FRAMES - 1),
        "at step 0": shares[0],
        "in other frames": shares[1:].mean(0),
    }


def extra_squares(middle: np.ndarray, taken: np.ndarray, other: np.ndarray) -> dict[str, Any]:
    """The squares of step 20 (8, 51, 51) in frames 1-3, 5-7, without the one of each frame that is
    nearest to the taken place (8, 2): in which "frame" each is, and how far from the other place
    and from the nearest control. "in frame 4": how many more there are where the directions meet.
    """
    controls = control_places(taken[:1])[0]  # (6, 6, 2), of FRAMES
    extra: dict[int, np.ndarray] = {}  # frame -> the middles of its extra squares
    for frame in range(1, NUM_FRAMES):
        middles = find_blobs(middle[frame])
        order = np.linalg.norm(middles - taken[frame], axis=1).argsort()
        extra[frame] = middles[order[1:]]
    where = [(i, frame, xy) for i, frame in enumerate(FRAMES) for xy in extra[frame]]
    to_other = np.array([np.linalg.norm(xy - other[frame]) for _, frame, xy in where])
    to_control = np.array([np.linalg.norm(xy - controls[i], axis=1).min() for i, _, xy in where])
    return {
        "frame": [frame for _, frame, _ in where],
        "to the other place": to_other,
        "to the nearest control": to_control,
        "at the other place": (to_other < TOLERANCE).sum(),
        "at a control": (to_control < TOLERANCE).sum(),
        "in frame 4": len(extra[4]),
    }


def light_of(frames: np.ndarray, places: np.ndarray) -> float:
    """The mean brightness of frames (f, 51, 51) at places (f, k, 2), k in each of them."""
    return float(light_at(frames[None], render(places)[None]).mean())


def light(
    middle: np.ndarray, taken: np.ndarray, other: np.ndarray, frames: list[int]
) -> dict[str, Any]:
    """The mean brightness of these frames of step 20 (8, 51, 51) at the other, the control and the
    taken places; taken and other are (8, 2).

    "turned circles": the other places are turned around the circle, by 5 degrees at a time, and
    frames where this brings them nearer than 45 degrees to the taken place are left out. A circle
    that leaves no frame doesn't count; "circles" says how many do. "turned circles with as much":
    how many of them have as much light as the other places themselves, which count. (Neighbouring
    circles overlap: 72 are about ten independent ones.)
    """

    turned_lights = []
    for degrees in range(0, 360, 5):
        places = turned(other, degrees)
        cosine = (places * taken).sum(1) / (taken**2).sum(1)  # of the angle between the two
        clear = [frame for frame in frames if cosine[frame] < np.cos(np.radians(45)) + 1e-9]
        if clear:
            turned_lights.append(light_of(middle[clear], places[clear][:, None]))
    as_much = np.array(turned_lights) >= turned_lights[0] - 1e-9
    controls = control_places(taken[:1])[0]  # (6, 6, 2), of FRAMES
    return {
        "at the other place": turned_lights[0],
        "at the controls": light_of(
            middle[frames], controls[[FRAMES.index(frame) for frame in frames]]
        ),
        "at the taken place": light_of(middle[frames], taken[frames][:, None]),
        "turned circles with as much": as_much.sum(),
        "circles": len(turned_lights),
    }


def correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The correlation of the pixels of each frame of a with each frame of b: (f, 51, 51) twice ->
    (f, f). With a frame of one brightness it is 0."""

    def normalized(frames: np.ndarray) -> np.ndarray:
        pixels = frames.reshape(len(frames), -1).astype(np.float64)
        pixels = pixels - pixels.mean(1, keepdims=True)
        return pixels / np.maximum(np.linalg.norm(pixels, axis=1, keepdims=True), 1e-6)

    return normalized(a) @ normalized(b).T


def ghosts(end: np.ndarray, taken: np.ndarray) -> float:
    """The share of the light of finished frames (f, 51, 51) that is more than a square's side, 0.4,
    from the taken place (f, 2) in x or in y: the mean over the frames."""
    in_x = np.abs(PIXEL_CENTERS - taken[:, 0, None]) > 0.4
    in_y = np.abs(PIXEL_CENTERS[::-1] - taken[:, 1, None]) > 0.4
    away = in_y[:, :, None] | in_x[:, None, :]
    return float(((end * away).sum((1, 2)) / end.sum((1, 2)).clip(1e-6)).mean())


def directions(end: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The taken and the other places, (8, 2) both, of a video that is finished, (8, 51, 51): of
    both orbits that begin where frame 0 has its square the taken one is nearer. And how far from it
    the squares of frames 1 to 7 are, in pixels, (7,)."""
    both = possible_orbits(centers_of_light(end[:1]))  # (1, 2, 8, 2)
    nearest, distance = nearest_orbits(end[None, 1:], both[:, :, 1:])
    return both[0, nearest[0]], both[0, 1 - nearest[0]], distance[0]


def measure_sample(start: np.ndarray, middle: np.ndarray, end: np.ndarray) -> dict[str, Any]:
    """What can be compared between a video of the post and many samples: a video at steps 0, 20 and
    50, each (8, 51, 51), stretched.

    Returns:
        "squares": step -> how many each of the frames 1 to 7 shows, (7,).
        "px off": how far the finished squares are from the nearer orbit, the median.
        "at the taken place": step 20 -> how many of frames 1-3, 5-7 have a square nearer than
            TOLERANCE to it. "light": of all six and of each of GROUPS that "at the other place".
        "extra pixels": as states.py measures them in samples. "likeness": the correlation of the
            pixels of step 20 with step 0, of the same frame and of other frames.
        "ghosts": ghosts() of the finished frames.
    """
    taken, other, distance = directions(end)
    steps = dict(zip(map(str, STEPS), (start, middle, end), strict=True))
    pixels = extra_pixels(start[None, 1:], middle[None, 1:], taken[None])
    likeness, same = correlations(middle[1:], start[1:]), np.eye(NUM_FRAMES - 1, dtype=bool)
    groups = {"all six": FRAMES} | {name: list(frames) for name, frames in GROUPS.items()}
    return {
        "squares": {step: count_blobs(frames[1:]) for step, frames in steps.items()},
        "px off": np.median(distance),
        "at the taken place": {
            "20": blobs_at(middle[None, FRAMES], taken[None, FRAMES, None]).sum()
        },
        "light": {
            name: {"at the other place": light_of(middle[frames], other[frames][:, None])}
            for name, frames in groups.items()
        },
        "extra pixels": {name: value[0] for name, value in pixels.items()},
        "likeness": {"at step 0": likeness[same].mean(), "in other frames": likeness[~same].mean()},
        "ghosts": ghosts(end[1:], taken[1:]),
    }


def measure_video(start: np.ndarray, middle: np.ndarray, end: np.ndarray) -> dict[str, Any]:
    """Count and place the squares of one video, which is given at steps 0, 20 and 50, each (8, 51,
    51), and say what of step 20 was there at step 0 already.

    Returns:
        measure_sample(), and besides:
        "blobs": step -> the outlines() of each of the eight frames.
        "at the taken place", "at the other place", "at a control": how many of frames 1-3, 5-7 have
            a square nearer than TOLERANCE to it; step -> how many of six. (At step 50 the taken
            place is the positive control of this tolerance.)
        "extra squares": extra_squares(). "light": light() of all six frames and of each of
            GROUPS.
    """
    taken, other, _ = directions(end)
    steps = dict(zip(map(str, STEPS), (start, middle, end), strict=True))
    places = np.stack([taken[FRAMES], other[FRAMES]], axis=1)  # (6, 2, 2)
    places = np.concatenate([places, control_places(taken[:1])[0]], axis=1)  # (6, 8, 2)
    found = {
        step: blobs_at(frames[None, FRAMES], places[None])[0] for step, frames in steps.items()
    }
    return measure_sample(start, middle, end) | {
        "blobs": {step: [outlines(frame) for frame in frames] for step, frames in steps.items()},
        "at the taken place": {step: found[step][:, 0].sum() for step in steps},
        "at the other place": {step: found[step][:, 1].sum() for step in steps},
        "at a control": {step: found[step][:, 2:].mean(1).sum() for step in steps},
        "extra squares": extra_squares(middle, taken, other),
        "light": {
            "all six": light(middle, taken, other, FRAMES),
            **{name: light(middle, taken, other, list(frames)) for name, frames in GROUPS.items()},
        },
    }


# ---------------------------------------------------------------------------------------------
# The scatter plots


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


# ---------------------------------------------------------------------------------------------
# The numbers and the texts


def measure_pictures(folder: Path) -> dict[str, Any]:
    """Everything: "video" -> d -> measure_video(), "range" -> range -> measure_latents()."""
    return {
        "video": {
            str(d): measure_video(*(read_frames(folder / name) for name in names))
            for d, names in VIDEOS.items()
        },
        "range": {
            str(center_range): measure_latents(
                read_latents(folder / name), grid_centers(center_range)
            )
            for center_range, name in GRIDS.items()
        },
    }


def post() -> dict[str, Any]:
    """What pictures.json tells of the two videos of the post: "2" and "100" -> measure_video()."""
    path = Path(__file__).parent.parent / "figures" / "pictures.json"
    return json.loads(path.read_text())["video"]


def plain(numbers: Any) -> Any:
    """The same with three decimals, and as JSON knows them."""
    if isinstance(numbers, dict):
        return {name: plain(value) for name, value in numbers.items()}
    if isinstance(numbers, list):
        return [plain(value) for value in numbers]
    return np.round(numbers, 3).tolist()


def texts(numbers: dict[str, Any]) -> dict[str, str]:
    """What the pages tell of the pictures: two tables, and the light at the places."""
    two, hundred = numbers["video"]["2"], numbers["video"]["100"]
    ranges = [numbers["range"][str(r)] for r in GRIDS]
    all_six, first_two = hundred["light"]["all six"], hundred["light"]["frames 1 and 2"]

    def counted(light: dict[str, Any]) -> str:
        return f"{light['turned circles with as much']} of {light['circles']}"

    return {
        "table": video_table(two, hundred),
        "second table": grid_table(ranges),
        "light at the other place": f"{all_six['at the other place']:.2f}",
        "light at the controls": f"{all_six['at the controls']:.2f}",
        "light at the taken place": f"{all_six['at the taken place']:.2f}",
        "turned circles": counted(all_six),
        "frames 1 and 2, light at the other place": f"{first_two['at the other place']:.2f}",
        "frames 1 and 2, light at the controls": f"{first_two['at the controls']:.2f}",
        "frames 1 and 2, times the controls": (
            f"{first_two['at the other place'] / first_two['at the controls']:.0f}"
        ),
        "frames 1 and 2, turned circles": counted(first_two),
        "squares at their place": f"{hundred['at the taken place']['50']} of 6",
        "warps": ", ".join(f"{value['warp']:.3f}" for value in ranges),
    }


def video_table(two: dict[str, Any], hundred: dict[str, Any]) -> str:
    """What the post's two videos show, side by side."""

    def row(label: str, name: str, within: str, form: str = "%g") -> list[str]:
        values = [video[name][within] for video in (two, hundred)]
        return [label, *(" ".join(form % x for x in np.atleast_1d(value)) for value in values)]

    off = "finished squares, median distance from their orbit, px"
    return markdown_table(
        ["the post's own picture", "d = 2", "d = 100"],
        [
            row("squares in frames 1 to 7, step 0", "squares", "0"),
            row("squares in frames 1 to 7, step 20", "squares", "20"),
            row("squares in frames 1 to 7, step 50", "squares", "50"),
            [off, f"{two['px off']:.2f}", f"{hundred['px off']:.2f}"],
            row("finished squares at their place, of 6", "at the taken place", "50"),
            row("squares of step 20 at the other place", "at the other place", "20"),
            row("extra bright pixels, bright at step 0", "extra pixels", "at step 0", "%.2f"),
            row("the same, other frames (null)", "extra pixels", "in other frames", "%.2f"),
        ],
    )


def grid_table(ranges: list[dict[str, Any]]) -> str:
    """The grids of the post's scatter plots, side by side."""
    rows = [
        [label, *(f"{value[name]:g}" for value in ranges)]
        for label, name in (
            ("dots found, of 441", "dots of 441"),
            ("warp", "warp"),
            ("share of cells turned over", "fold"),
            ("longest edge over the median edge", "tear"),
        )
    ]
    return markdown_table(["the post's own grid", "range 0.2", "range 0.4", "range 0.8"], rows)


def main(settings: PicturesSettings) -> None:
    """Print the numbers, and write them."""
    settings.out_dir.mkdir(parents=True, exist_ok=True)
    check_output(settings.out_dir / "pictures.json", ".json")
    numbers = plain(measure_pictures(settings.folder))
    for name, text in texts(numbers).items():
        print(name, text, sep="\n" if "\n" in text else ": ")
    write_file(settings.out_dir / "pictures.json", (json.dumps(numbers) + "\n").encode())


if __name__ == "__main__":
    run(main, PicturesSettings)
