"""What stands out of a map: its ground, its noise, and heights over a threshold."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from numina.identify.parts import linked_parts, neighbour_pairs, typical_area

Array = NDArray[np.float64]

# From this separation on, in standard deviations, the two classes of Otsu's threshold are not the
# halves of one heap: Gaussian noise has 2.7, a uniform ramp 3.5.
_TWO_HEAPS = 3.5
_MAD_TO_DEVIATION = 1.4826


@dataclass(frozen=True)
class ReliefSpec:
    """How a map is smoothed and thresholded.

    Attributes:
        first_smoothing: Deviation of the Gaussian within a frame, as a share of its short side,
            under which the size of the parts is found.
        smoothing: The same for the final map, as a share of a typical part's side; it stays
            between one and two and a half times the first.
        over_frames: Deviation of the Gaussian over time, in latent frames; 0 for none.
        level: Height of the threshold between the ground (0) and Otsu's threshold (1).
        floor: Least height of the threshold over the ground, in deviations of the ground.
        contrast: Mean height that what stands out must have over the ground, in deviations of the
            ground; otherwise the map is taken for noise. Noise alone reaches about 2.7.
    """

    first_smoothing: float = 0.02
    smoothing: float = 0.25
    over_frames: float = 0.4
    level: float = 0.8
    floor: float = 2.3
    contrast: float = 2.9

    def __post_init__(self) -> None:
        for name in ("first_smoothing", "smoothing", "over_frames", "floor", "contrast"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if not 0 <= self.level <= 1:
            raise ValueError(f"level must lie in 0..1, got {self.level}")


@dataclass(frozen=True)
class Relief:
    """A map in units of what stands out of it.

    Attributes:
        height: ``[F, Y, X]``; 0 at the threshold, 1 at the mean of what lies above it.
        ground: Height of the ground, negative.
        noise: Deviation of the ground, in the unit of ``height``.
        prominence: How far the mean of what lies above the threshold is over the ground, in the
            unit of the map.
    """

    height: Array
    ground: float
    noise: float
    prominence: float

    @property
    def over_ground(self) -> Array:
        """``[F, Y, X]``; 0 at the ground, 1 at the mean of what lies above the threshold."""
        return (self.height - self.ground) / (1.0 - self.ground)


def smooth_relief(values: Array, spec: ReliefSpec) -> Relief:
    """Smooth a map at the scale of its own parts, then take its relief.

    Args:
        values: ``[F, Y, X]``, any unit and offset.
        spec: Settings.

    Returns:
        Its relief; nothing stands out of a flat map.
    """
    short = min(values.shape[1:])
    values = ndimage.gaussian_filter(values, (spec.over_frames, 0, 0), mode="nearest")
    first = spec.first_smoothing * short
    relief = relief_of(_smoothed(values, first), spec)
    pairs = neighbour_pairs(relief.height.shape, diagonal=False)
    side = math.sqrt(typical_area(linked_parts(relief.height > 0, pairs)))
    final = min(max(spec.smoothing * side, first), 2.5 * first)
    return relief_of(_smoothed(values, final), spec)


def relief_of(values: Array, spec: ReliefSpec) -> Relief:
    """Heights over the threshold ``ground + max(level * (otsu - ground), floor * deviation)``.

    Args:
        values: ``[F, Y, X]``, any unit and offset.
        spec: Settings; those of smoothing are not used.

    Returns:
        The relief; every height is below 0 where nothing stands out.
    """
    otsu = otsu_threshold(values)
    nothing = Relief(np.full(values.shape, -1.0), -1.0, 0.0, 0.0)
    if not math.isfinite(otsu):
        return nothing
    ground = _ground(values, otsu)
    below = values[values <= ground]
    deviation = _MAD_TO_DEVIATION * float(np.median(ground - below))
    threshold = ground + max(spec.level * (otsu - ground), spec.floor * deviation)
    above = values[values > threshold]
    if not above.size or above.mean() - ground < spec.contrast * deviation:
        return nothing
    mean = float(above.mean())
    unit = mean - threshold
    return Relief(
        (values - threshold) / unit, (ground - threshold) / unit, deviation / unit, mean - ground
    )


def otsu_threshold(values: NDArray[np.floating]) -> float:
    """Threshold with the largest between-class variance; infinite where all values are equal."""
    ranked = np.sort(values, axis=None).astype(np.float64)
    number = ranked.size
    if number < 2 or ranked[0] == ranked[-1]:
        return math.inf
    below = np.arange(1, number)
    deviation = np.cumsum(ranked - ranked.mean())[:-1]
    cut = int((deviation**2 / (below * (number - below))).argmax())
    return float(ranked[cut] + ranked[cut + 1]) / 2


def _ground(values: Array, otsu: float) -> float:
    """Median of the lower of two heaps; of a single heap, its densest quarter.

    The median of all values would lie on the instances where they fill most of the frame.
    """
    low, high = values[values <= otsu], values[values > otsu]
    within = math.sqrt((low.var() + high.var()) / 2)
    if high.mean() - low.mean() > _TWO_HEAPS * within:
        return float(np.median(low))
    ranked = np.sort(values, axis=None)
    quarter = max(2, ranked.size // 4)
    start = int((ranked[quarter - 1 :] - ranked[: ranked.size - quarter + 1]).argmin())
    return float(np.median(ranked[start : start + quarter]))


def _smoothed(values: Array, sigma: float) -> Array:
    smoothed: Array = ndimage.gaussian_filter(values, (0, sigma, sigma), mode="nearest")
    return smoothed
