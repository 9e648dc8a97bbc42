"""A layout as labels in the format of COCO: one box for each instance and frame of the video."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numina.errors import LayoutError
from numina.layout import Layout
from numina.report.pictures import frame_of_latent
from numina.report.story import CountSource


def coco_labels(
    layout: Layout | None,
    nouns: Sequence[str],
    size: tuple[int, int, int],
    *,
    video: str,
    source: CountSource = "layout",
) -> dict[str, Any]:
    """The boxes of a layout over a video, as a COCO dictionary.

    A frame takes the boxes of the latent frame that it belongs to: the first one that ends with
    it or later. Boxes go along the edges of patches. All ids begin at 1, and ``file_name`` is what
    ``ffmpeg -i video.mp4 video/%06d.png`` makes of a frame.

    Args:
        layout: Instances, ``[F, Y, X]`` patches; None, where no layout is known, gives no boxes.
        nouns: Name of each noun of the layout.
        size: Frames, height and width of the video, in pixels.
        video: Name of the video's file.
        source: How the layout is known.

    Returns:
        ``images``, ``categories`` and ``annotations`` with ``bbox`` ``[x, y, width, height]`` and
        ``area`` (of the patches, not of the box) in pixels; with ``track_id`` where the layout
        links instances over its frames. ``info["source"]`` tells how the layout is known.

    Raises:
        LayoutError: If the layout has a noun without a name, or the video no pixels.
    """
    if min(size) < 1:
        raise LayoutError(f"size must be frames, height and width of 1 or more, got {size}")
    unnamed = [noun for noun in (layout.nouns if layout else ()) if not 0 <= noun < len(nouns)]
    if unnamed:
        raise LayoutError(f"the layout has noun {unnamed[0]}, but nouns names {len(nouns)}")
    frames, height, width = size
    stem = video.rpartition(".")[0] or video
    return {
        "info": {
            "description": "Layout read by numina",
            "video": video,
            "source": source if layout is not None else None,
        },
        "images": [
            {
                "id": at + 1,
                "file_name": f"{stem}/{at + 1:06d}.png",
                "height": height,
                "width": width,
            }
            for at in range(frames)
        ],
        "categories": [{"id": noun + 1, "name": name} for noun, name in enumerate(nouns)],
        "annotations": [] if layout is None else _annotations(layout, size),
    }


def coco_json(labels: dict[str, Any]) -> bytes:
    """The labels as JSON text, ASCII only."""
    return (json.dumps(labels, allow_nan=False) + "\n").encode("ascii")


def _annotations(layout: Layout, size: tuple[int, int, int]) -> list[dict[str, Any]]:
    frames, height, width = size
    num_latents, rows, columns = layout.labels.shape
    pixels = (height / rows, width / columns)
    boxes = [_boxes(labels, pixels) for labels in layout.labels]
    is_linked = len({label for each in boxes for label in each}) < sum(map(len, boxes))
    ends = [frame_of_latent(latent, num_latents, frames) for latent in range(num_latents)]
    annotations: list[dict[str, Any]] = []
    for frame in range(frames):
        # A single latent frame ends with the first frame, and all others belong to it, too.
        latent = min(int(np.searchsorted(ends, frame)), num_latents - 1)
        for label, box in boxes[latent].items():
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": frame + 1,
                    "category_id": layout.nouns[label - 1] + 1,
                    "bbox": list(box.bbox),
                    "area": box.area,
                    "iscrowd": 0,
                    **({"track_id": label} if is_linked else {}),
                }
            )
    return annotations


@dataclass(frozen=True)
class _Box:
    """Left, top, width and height of an instance, and the area of its patches, in pixels."""

    bbox: tuple[float, float, float, float]
    area: float


def _boxes(labels: NDArray[np.int16], pixels: tuple[float, float]) -> dict[int, _Box]:
    """The box of every instance of one latent frame ``[Y, X]``, by label.

    ``pixels`` are the height and width of a patch.
    """
    high, wide = pixels
    boxes = {}
    for label in map(int, np.unique(labels[labels > 0])):
        rows, columns = np.nonzero(labels == label)
        top, left = int(rows.min()), int(columns.min())
        height, width = int(rows.max()) + 1 - top, int(columns.max()) + 1 - left
        bbox = (left * wide, top * high, width * wide, height * high)
        boxes[label] = _Box(bbox, len(rows) * high * wide)
    return boxes
