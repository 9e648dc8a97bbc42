"""The files of one run: report.json, report.html, the strip, the labels and the videos."""

from pathlib import Path

from numina.output import OutputFolder, write_all
from numina.report.coco import coco_json, coco_labels
from numina.report.document import to_json
from numina.report.page import render_page
from numina.report.story import RunStory
from numina.report.strip import draw_strip
from numina.report.video import encode_mp4

REPORT, PAGE, STRIP, LABELS = "report.json", "report.html", "strip.png", "labels.json"
BEFORE, AFTER = "before.mp4", "after.mp4"

# Everything but the videos: a page of long videos holds previews of them and a few dozen pictures.
_PAGE_BYTES = 24 * 2**20


def file_names(*, with_before: bool) -> tuple[str, ...]:
    """Names of the files that a run writes."""
    return (PAGE, AFTER, *((BEFORE,) if with_before else ()), STRIP, LABELS, REPORT)


def space_needed(frames: int, height: int, width: int, *, with_before: bool) -> int:
    """Bytes that the files of a run can take at most: its videos as if barely compressed."""
    return _PAGE_BYTES + (1 + with_before) * frames * height * width


def write_report(folder: OutputFolder, story: RunStory) -> dict[str, Path]:
    """Write all files of a run into a folder that was claimed for them.

    Everything is made before the first file is written, and each is written whole, so that a run
    that fails or is interrupted leaves no half-made file behind.

    Args:
        folder: Claimed for ``file_names(...)``.
        story: The run; without ``before`` no ``before.mp4`` is written.

    Returns:
        The path of each file by its name, the page first.

    Raises:
        OutputError: If a file cannot be written.
    """
    contents = {PAGE: render_page(story).encode("utf-8", "replace")}
    contents[AFTER] = encode_mp4(story.after, story.fps)
    if story.before is not None:
        contents[BEFORE] = encode_mp4(story.before, story.fps)
    contents[STRIP] = draw_strip(story)
    contents[LABELS] = _labels(story)
    contents[REPORT] = to_json(story).encode("ascii")
    return write_all(folder, contents)


def _labels(story: RunStory) -> bytes:
    layout, source = story.layout_after or (None, "layout")
    nouns = [target.phrase for target in story.report.targets]
    frames, height, width, _ = story.after.shape
    return coco_json(
        coco_labels(layout, nouns, (frames, height, width), video=AFTER, source=source)
    )
