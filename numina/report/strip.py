"""The picture strip: a few frames before and after, one above the other, with their counts."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from numina.record import TargetRecord
from numina.report.pictures import spaced
from numina.report.story import Frames, RunStory, Tally
from numina.report.verdict import judge

# As many frames as fit into this width, but at least so many.
_WIDTH, _FEWEST, _MOST = 1800, 3, 6
_FRAME_HEIGHT = 240
_BADGE_ROW = 48
_MARGIN, _GAP, _LABEL = 36, 10, 92
_PAPER, _INK, _FAINT = (255, 255, 255), (28, 28, 30), (110, 110, 115)
_RIGHT, _WRONG = (26, 127, 75), (190, 58, 38)


def draw_strip(story: RunStory) -> bytes:
    """Draw the strip as PNG; a single row where before and after are the same video.

    The number under a frame is its count, green where it is the count asked for. Counts of a
    layout, which has fewer frames than the video, are not written under frames.
    """
    rows: list[tuple[str, Frames, list[Tally | None]]] = []
    if story.before is not None and not story.is_untouched:
        rows.append(("before", story.before, [tally.before for tally in story.tallies]))
    label = "video" if not rows else "after"
    rows.append((label, story.after, [tally.after for tally in story.tallies]))

    pictures = [_row(frames, tallies, story.report.targets) for _, frames, tallies in rows]
    width = max(picture.width for picture in pictures) + _LABEL + 2 * _MARGIN
    title = _wrapped(judge(story).sentence, _font(26), width - 2 * _MARGIN)
    prompt = _wrapped(f"“{_shortened(story.report.prompt)}”", _font(17), width - 2 * _MARGIN)
    top = _MARGIN + 34 * len(title) + 8 + 24 * len(prompt) + 26
    height = top + sum(picture.height + 2 * _GAP for picture in pictures) - 2 * _GAP + _MARGIN

    strip = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(strip)
    for index, line in enumerate(title):
        draw.text((_MARGIN, _MARGIN + 34 * index), line, _INK, _font(26))
    for index, line in enumerate(prompt):
        y = _MARGIN + 34 * len(title) + 8 + 24 * index
        draw.text((_MARGIN, y), line, _FAINT, _font(17))
    for (name, _, _), picture in zip(rows, pictures, strict=True):
        draw.text((_MARGIN, top + _FRAME_HEIGHT / 2), name, _FAINT, _font(19), anchor="lm")
        strip.paste(picture, (_MARGIN + _LABEL, top))
        top += picture.height + 2 * _GAP
    target = BytesIO()
    strip.save(target, "PNG", optimize=True)
    return target.getvalue()


def _row(
    frames: Frames, tallies: list[Tally | None], targets: tuple[TargetRecord, ...]
) -> Image.Image:
    width = _FRAME_HEIGHT * frames.shape[2] // frames.shape[1] + _GAP
    shown = spaced(len(frames), min(_MOST, max(_FEWEST, _WIDTH // width)))
    tiles = [_tile(frames[index]) for index in shown]
    counted = [
        (tally, target.count)
        for tally, target in zip(tallies, targets, strict=True)
        if tally is not None and len(tally.counts) == len(frames)
    ]
    size = (
        sum(tile.width + _GAP for tile in tiles) - _GAP,
        _FRAME_HEIGHT + (_BADGE_ROW if counted else 0),
    )
    row = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(row)
    x = 0
    for index, tile in zip(shown, tiles, strict=True):
        row.paste(tile, (x, 0))
        left = x
        for tally, asked in counted:
            left = _badge(draw, left, tally.counts[index], asked)
        x += tile.width + _GAP
    return row


def _tile(frame: NDArray[np.uint8]) -> Image.Image:
    picture = Image.fromarray(frame)
    width = max(1, round(picture.width * _FRAME_HEIGHT / picture.height))
    return picture.resize((width, _FRAME_HEIGHT), Image.Resampling.LANCZOS)


def _badge(draw: ImageDraw.ImageDraw, left: int, count: int, asked: int) -> int:
    """Write one count under a frame; returns where the next one goes."""
    font = _font(21)
    text = str(count)
    width = max(40, round(draw.textlength(text, font)) + 24)
    colour = _RIGHT if count == asked else _WRONG
    top = _FRAME_HEIGHT + 8
    draw.rounded_rectangle((left, top, left + width, top + 32), 9, colour)
    draw.text((left + width / 2, top + 16), text, _PAPER, font, anchor="mm")
    return left + width + 6


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _wrapped(
    text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int
) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(word)
    return lines


def _shortened(prompt: str) -> str:
    plain = " ".join(prompt.split())
    return plain if len(plain) <= 160 else f"{plain[:159].rstrip()}…"
