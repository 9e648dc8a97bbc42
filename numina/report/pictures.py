"""Pictures of a report as data URIs: moving previews, single frames and maps of attention."""

import base64
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from numina.report.story import Frames

# A preview is never wider than this, nor longer: a page of a long video stays a few megabytes.
_PREVIEW_WIDTH = 640
_PREVIEW_FRAMES = 48
# Small frames are enlarged by whole factors up to this width, so that browsers do not blur them.
_ENLARGED_WIDTH = 384
_THUMBNAIL_WIDTH = 256
_QUALITY = 82


def moving_picture(frames: Frames, fps: int) -> str:
    """A video ``[F, Y, X, 3]`` as an endless animated WebP, as data URI."""
    stride = -(-len(frames) // _PREVIEW_FRAMES)
    pictures = [_fitted(frame, _PREVIEW_WIDTH) for frame in frames[::stride]]
    target = BytesIO()
    pictures[0].save(
        target,
        "WEBP",
        save_all=True,
        append_images=pictures[1:],
        duration=round(1000 * stride / fps),
        loop=0,
        quality=_QUALITY,
        method=4,
    )
    return _data_uri(target, "webp")


def still_picture(frame: NDArray[np.uint8], width: int = _THUMBNAIL_WIDTH) -> str:
    """One frame ``[Y, X, 3]`` as WebP, as data URI."""
    target = BytesIO()
    _fitted(frame, width).save(target, "WEBP", quality=_QUALITY, method=4)
    return _data_uri(target, "webp")


def map_picture(values: NDArray[np.float32], colour: tuple[int, int, int]) -> str:
    """A map ``[Y, X]`` as PNG: ``colour``, the more opaque the higher the value, as data URI.

    Values are spread between the map's own lowest and highest; a map without any difference, and
    values that are not finite, are transparent.
    """
    pixels = np.empty((*values.shape, 4), np.uint8)
    pixels[..., :3] = colour
    pixels[..., 3] = np.rint(255 * spread(values))
    target = BytesIO()
    Image.fromarray(pixels).save(target, "PNG")
    return _data_uri(target, "png")


def spread(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values between 0 (the lowest) and 1 (the highest); 0 where there is nothing to spread."""
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(values.shape, np.float32)
    low, high = values[finite].min(), values[finite].max()
    if high <= low:
        return np.zeros(values.shape, np.float32)
    result = (np.where(finite, values, low) - low) / (high - low)
    return np.asarray(result, np.float32)


def spaced(length: int, most: int) -> tuple[int, ...]:
    """At most ``most`` indices of ``length``, evenly spread, the first and the last among them."""
    return tuple(sorted({round(at) for at in np.linspace(0, length - 1, min(most, length))}))


def frame_of_latent(latent: int, num_latents: int, num_frames: int) -> int:
    """The frame that a latent frame ends with; the first latent frame is the first frame."""
    if num_latents == 1:
        return 0
    return round(latent * (num_frames - 1) / (num_latents - 1))


def _fitted(frame: NDArray[np.uint8], width: int) -> Image.Image:
    picture = Image.fromarray(frame)
    if picture.width > width:
        height = max(1, round(picture.height * width / picture.width))
        return picture.resize((width, height), Image.Resampling.LANCZOS)
    factor = min(width, _ENLARGED_WIDTH) // picture.width
    if factor > 1:
        size = (picture.width * factor, picture.height * factor)
        return picture.resize(size, Image.Resampling.LANCZOS)
    return picture


def _data_uri(target: BytesIO, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(target.getvalue()).decode('ascii')}"
