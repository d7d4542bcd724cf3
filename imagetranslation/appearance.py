"""How voxels become grey values and colours: windows, fading, checkerboard, difference.

One definition for the static sheet and the viewer. numpy only; which slice is shown is `slices`' matter, and measures
of similarity are `similarity`'s: a difference picture here is for the eye.
"""

from __future__ import annotations

import math

import numpy as np

from .volume import Volume

# Our choice for a first look: the darkest and brightest half per cent are left to saturate.
DEFAULT_PERCENTILES = (0.5, 99.5)
# Percentiles of more voxels than this are taken from every n-th one: a second's wait buys no other window.
ENOUGH_VOXELS = 2_000_000
# The difference picture saturates here, in per cent of the window.
DIFFERENCE_LIMIT = 50.0
DIFFERENCE_MEANING = "synthetic minus {other}, each first scaled to 0-100 % of its own default window"
# Ends of the difference colours; black is "no difference". Blue and orange stay apart for colour-blind readers.
LESS_RGB = (70, 160, 255)
MORE_RGB = (255, 145, 40)
# Colours of the uncertainty map from none to its limit: dark violet over magenta to pale yellow, lighter all the way:
# their order survives colour blindness and a grey print. Below the floor, a fraction of the limit, nothing is laid
# over the image.
UNCERTAINTY_RGB = ((60, 20, 110), (150, 35, 130), (235, 85, 95), (255, 170, 75), (255, 245, 170))
UNCERTAINTY_LIMIT_PERCENTILE = 99.0
# Its end is rounded up to a round number anyway, and it is looked for while an application's window waits.
ENOUGH_DEVIATIONS = 300_000
UNCERTAINTY_FLOOR = 0.05
ROUND_STEPS = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)


def default_window(volume: Volume) -> tuple[float, float]:
    """(lower, upper) grey limits: the volume's own `attributes["window"]`, or the 0.5 and 99.5 percentiles.

    Percentiles are taken over finite voxels of the field of view, ignoring a background that is the lowest value and
    fills more than 5 % of it. Upper is always above lower.
    """
    given = volume.attributes.get("window")
    if isinstance(given, (list, tuple)) and len(given) == 2 and float(given[1]) > float(given[0]):
        return float(given[0]), float(given[1])
    values = volume.array if volume.field_of_view is None else volume.array[volume.field_of_view]
    values = values[np.isfinite(values)] if values.dtype.kind == "f" else values.ravel()
    if values.size == 0:
        return 0.0, 1.0
    values = values.ravel()[:: max(1, values.size // ENOUGH_VOXELS)]
    lowest = values.min()
    above = values[values > lowest]
    if above.size and above.size < 0.95 * values.size:
        values = above
    lower, upper = (float(v) for v in np.percentile(values, DEFAULT_PERCENTILES))
    return (lower, upper) if upper > lower else (lower - 0.5, lower + 0.5)


def full_range(volume: Volume) -> tuple[float, float]:
    """(least, greatest) finite voxel value, widened where they are equal: the ends of a window slider."""
    finite = volume.array[np.isfinite(volume.array)] if volume.array.dtype.kind == "f" else volume.array
    least, greatest = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    return (least, greatest) if greatest > least else (least - 0.5, greatest + 0.5)


def windowed(values: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    """float32 of the same shape: 0 at or below the window's lower end, 1 at or above its upper; NaN becomes 0."""
    lower, upper = window
    scaled = (np.nan_to_num(values.astype(np.float32), nan=lower) - lower) / (upper - lower)
    return np.clip(scaled, 0, 1)


def faded(below: np.ndarray, above: np.ndarray, opacity: float) -> np.ndarray:
    """Two windowed pictures of one shape mixed; opacity 0 shows `below`, 1 shows `above`."""
    return below * (1 - opacity) + above * opacity


def checkerboard(volume: Volume, square_mm: float, axis: int) -> np.ndarray:
    """Bool (k, j, i): squares of side `square_mm`, alternately false and true, in every slice along the array `axis`.

    The same in all those slices, so that the squares stand still while one leafs; the first square is false.
    """
    number = np.zeros((1, 1, 1), dtype=int)
    for other, size in enumerate(volume.array.shape):
        if other != axis:
            along = np.floor(np.arange(size) * volume.spacing[2 - other] / square_mm + 1e-6).astype(int)
            number = number + along.reshape([-1 if a == other else 1 for a in range(3)])
    return np.broadcast_to(number % 2 == 1, volume.array.shape)


def square_sizes(volume: Volume) -> tuple[float, float, float]:
    """(smallest, default, largest) sensible checkerboard square in mm: a 24th, an 8th and half of the longest side."""
    longest = max(size * volume.spacing[2 - axis] for axis, size in enumerate(volume.array.shape))
    return longest / 24, longest / 8, longest / 2


def why_no_difference(synthetic: Volume, other: Volume) -> str | None:
    """None where a difference picture means something, otherwise one sentence that says why it does not."""
    if not synthetic.same_grid(other):
        return "No difference picture: the two images are on different grids."
    kind = synthetic.modality or "unknown"
    if other.modality and kind != other.modality:
        return f"No difference picture: grey values of {other.modality} and {kind} do not mean the same thing."
    return None


def difference_percent(synthetic: Volume, other: Volume) -> np.ndarray:
    """float32 (k, j, i): synthetic minus other, each scaled to 0-100 % of its `default_window`; one grid required."""
    if synthetic.array.shape != other.array.shape:
        raise ValueError(f"shapes differ: {synthetic.array.shape} and {other.array.shape}")
    scaled = windowed(synthetic.array, default_window(synthetic)) - windowed(other.array, default_window(other))
    return 100 * scaled


def uncertainty_limit(deviation: np.ndarray) -> float:
    """Where the colours of an uncertainty map end: the 99th percentile of its positive values, rounded up to
    a number people can read (`ROUND_STEPS` times a power of ten); 1 for a map that is zero everywhere."""
    # An odd step does not fall on the same few columns of every row.
    sample = deviation.ravel()[:: deviation.size // ENOUGH_DEVIATIONS | 1]
    positive = sample[np.isfinite(sample) & (sample > 0)]
    if not positive.size:
        return 1.0
    top = float(np.percentile(positive, UNCERTAINTY_LIMIT_PERCENTILE))
    power = 10.0 ** math.floor(math.log10(top))
    return next(step * power for step in ROUND_STEPS if step * power >= top * (1 - 1e-9))


def uncertainty_colours(fraction: np.ndarray) -> np.ndarray:
    """uint8 (..., 4) RGBA for standard deviations given as fractions of the limit; transparent below the floor."""
    strength = np.clip(np.nan_to_num(fraction), 0, 1)
    stops = np.linspace(0, 1, len(UNCERTAINTY_RGB))
    channels = [np.interp(strength, stops, [rgb[n] for rgb in UNCERTAINTY_RGB]) for n in range(3)]
    return np.round(np.stack([*channels, 255.0 * (strength >= UNCERTAINTY_FLOOR)], axis=-1)).astype(np.uint8)


def difference_colours(percent: np.ndarray) -> np.ndarray:
    """uint8 (..., 3) RGB: black at 0, towards `MORE_RGB` at +50 % and `LESS_RGB` at -50 % and beyond."""
    strength = np.clip(percent / DIFFERENCE_LIMIT, -1, 1)[..., None]
    colour = np.where(strength > 0, np.array(MORE_RGB), np.array(LESS_RGB))
    return np.round(np.abs(strength) * colour).astype(np.uint8)
