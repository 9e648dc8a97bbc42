"""The files of an audit: audit.json, labels.json and the video."""

from pathlib import Path

from numina.audit_record import VIDEO, audit_json
from numina.auditing import Audit
from numina.output import OutputFolder, write_all
from numina.report.coco import coco_json, coco_labels
from numina.report.files import LABELS
from numina.report.frames import single_video, to_uint8
from numina.report.video import encode_mp4

AUDIT = "audit.json"

# Everything but the video: a few hundred bytes for each box.
_JSON_BYTES = 4 * 2**20


def audit_file_names() -> tuple[str, ...]:
    """Names of the files that an audit writes."""
    return (VIDEO, LABELS, AUDIT)


def audit_space_needed(frames: int, height: int, width: int) -> int:
    """Bytes that the files of an audit can take at most: its video as if barely compressed."""
    return _JSON_BYTES + frames * height * width


def write_audit(folder: OutputFolder, audited: Audit, fps: int) -> dict[str, Path]:
    """Write an audit into a folder that was claimed for ``audit_file_names()``.

    Args:
        folder: Where to write.
        audited: One video, as arrays or pictures.
        fps: Frames a second.

    Returns:
        The path of each file by its name, the record last.

    Raises:
        OutputError: If a file cannot be written.
        ValueError: If the frames are no single video, e.g. latents.
    """
    record = audited.record
    video = to_uint8(single_video(audited.frames))
    frames, height, width, _ = video.shape
    nouns = [each.noun for each in record.nouns]
    labels = coco_labels(audited.layout, nouns, (frames, height, width), video=record.video)
    contents = {
        record.video: encode_mp4(video, fps),
        LABELS: coco_json(labels),
        AUDIT: audit_json(record).encode("ascii"),
    }
    return write_all(folder, contents)
