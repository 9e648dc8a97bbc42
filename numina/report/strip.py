"""The picture strip: a few frames before and after, one above the other, with their counts."""

from io import BytesIO

from PIL import Image, ImageDraw, ImageFont

from numina.report.frame_row import FAINT, FRAME_HEIGHT, INK, PAPER, font, frame_row
from numina.report.story import Frames, RunStory, Tally
from numina.report.verdict import judge

_MARGIN, _GAP, _LABEL = 36, 10, 92


def draw_strip(story: RunStory) -> bytes:
    """Draw the strip as PNG; a single row where before and after are the same video."""
    rows: list[tuple[str, Frames, list[Tally | None]]] = []
    if story.before is not None and not story.is_untouched:
        rows.append(("before", story.before, [tally.before for tally in story.tallies]))
    label = "video" if not rows else "after"
    rows.append((label, story.after, [tally.after for tally in story.tallies]))

    asked = [target.count for target in story.report.targets]
    pictures = [frame_row(frames, tallies, asked) for _, frames, tallies in rows]
    width = max(picture.width for picture in pictures) + _LABEL + 2 * _MARGIN
    title = _wrapped(judge(story).sentence, font(26), width - 2 * _MARGIN)
    prompt = _wrapped(f"“{_shortened(story.report.prompt)}”", font(17), width - 2 * _MARGIN)
    top = _MARGIN + 34 * len(title) + 8 + 24 * len(prompt) + 26
    height = top + sum(picture.height + 2 * _GAP for picture in pictures) - 2 * _GAP + _MARGIN

    strip = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(strip)
    for index, line in enumerate(title):
        draw.text((_MARGIN, _MARGIN + 34 * index), line, INK, font(26))
    for index, line in enumerate(prompt):
        y = _MARGIN + 34 * len(title) + 8 + 24 * index
        draw.text((_MARGIN, y), line, FAINT, font(17))
    for (name, _, _), picture in zip(rows, pictures, strict=True):
        draw.text((_MARGIN, top + FRAME_HEIGHT / 2), name, FAINT, font(19), anchor="lm")
        strip.paste(picture, (_MARGIN + _LABEL, top))
        top += picture.height + 2 * _GAP
    target = BytesIO()
    strip.save(target, "PNG", optimize=True)
    return target.getvalue()


def _wrapped(
    text: str, letters: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int
) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and letters.getlength(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(word)
    return lines


def _shortened(prompt: str) -> str:
    plain = " ".join(prompt.split())
    return plain if len(plain) <= 160 else f"{plain[:159].rstrip()}…"
