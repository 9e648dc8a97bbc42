"""What a pipeline returns as frames, as one array."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from numina.report.story import Frames


def single_video(frames: Any) -> NDArray[Any]:
    """The only video of a pipeline's output, ``[F, Y, X, 3]``.

    Args:
        frames: ``[1, F, Y, X, 3]`` or ``[F, Y, X, 3]``, an array (``output_type="np"``) or lists
            of pictures (``"pil"``).

    Raises:
        ValueError: If that is no single video.
    """
    if not isinstance(frames, np.ndarray):
        frames = np.array([[np.asarray(picture) for picture in video] for video in frames])
    if frames.ndim == 5 and len(frames) == 1:
        frames = frames[0]
    if frames.ndim != 4 or frames.shape[-1] != 3:
        raise ValueError(f"frames must be one video [F, Y, X, 3], got {frames.shape}")
    return frames


def to_uint8(frames: NDArray[Any]) -> Frames:
    """Frames in 0..1, or already uint8, as uint8."""
    if frames.dtype == np.uint8:
        return frames
    return np.rint(np.clip(np.nan_to_num(frames), 0.0, 1.0) * 255).astype(np.uint8)
