"""A row of frames with the counts under them: what a strip is made of."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from numina.report.pictures import spaced
from numina.report.story import Frames, Tally

FRAME_HEIGHT = 240
PAPER, INK, FAINT = (255, 255, 255), (28, 28, 30), (110, 110, 115)

# As many frames as fit into this width, but at least so many.
_WIDTH, _FEWEST, _MOST = 1800, 3, 6
_BADGE_ROW = 48
_GAP = 10
_RIGHT, _WRONG = (26, 127, 75), (190, 58, 38)


def frame_row(frames: Frames, tallies: Sequence[Tally | None], asked: Sequence[int]) -> Image.Image:
    """A few frames of a video side by side, evenly spread over it.

    The number under a frame is its count, green where it is the count asked for. Counts of a
    layout, which has fewer frames than the video, are not written under frames.

    Args:
        frames: The video, ``[F, Y, X, 3]``.
        tallies: Counts of each noun.
        asked: The count asked for, per noun.
    """
    width = FRAME_HEIGHT * frames.shape[2] // frames.shape[1] + _GAP
    shown = spaced(len(frames), min(_MOST, max(_FEWEST, _WIDTH // width)))
    tiles = [_tile(frames[index]) for index in shown]
    counted = [
        (tally, count)
        for tally, count in zip(tallies, asked, strict=True)
        if tally is not None and len(tally.counts) == len(frames)
    ]
    size = (
        sum(tile.width + _GAP for tile in tiles) - _GAP,
        FRAME_HEIGHT + (_BADGE_ROW if counted else 0),
    )
    row = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(row)
    x = 0
    for index, tile in zip(shown, tiles, strict=True):
        row.paste(tile, (x, 0))
        left = x
        for tally, count in counted:
            left = _badge(draw, left, tally.counts[index], count)
        x += tile.width + _GAP
    return row


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font of everything that is written into a picture."""
    return ImageFont.load_default(size)


def _tile(frame: NDArray[np.uint8]) -> Image.Image:
    picture = Image.fromarray(frame)
    width = max(1, round(picture.width * FRAME_HEIGHT / picture.height))
    return picture.resize((width, FRAME_HEIGHT), Image.Resampling.LANCZOS)


def _badge(draw: ImageDraw.ImageDraw, left: int, count: int, asked: int) -> int:
    """Write one count under a frame; returns where the next one goes."""
    text, letters = str(count), font(21)
    width = max(40, round(draw.textlength(text, letters)) + 24)
    colour = _RIGHT if count == asked else _WRONG
    top = FRAME_HEIGHT + 8
    draw.rounded_rectangle((left, top, left + width, top + 32), 9, colour)
    draw.text((left + width / 2, top + 16), text, PAPER, letters, anchor="mm")
    return left + width + 6
