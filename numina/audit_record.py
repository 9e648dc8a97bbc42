"""What an audit found, as a record that notices when it was changed."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numina.errors import FormatError

FORMAT = 1
VIDEO = "video.mp4"
_HASH = "sha256"

Plain = str | int | float | bool | None


@dataclass(frozen=True)
class AuditedNoun:
    """One counted noun.

    Attributes:
        noun: The words that name it in the prompt, e.g. ``"red balls"``.
        asked: The number asked for.
        seen: The number of instances seen; None where no layout could be made out.
    """

    noun: str
    asked: int
    seen: int | None

    @property
    def agrees(self) -> bool:
        """Whether as many were seen as were asked for; what was not seen does not agree."""
        return self.seen == self.asked


@dataclass(frozen=True)
class AuditRecord:
    """One audited prompt.

    Attributes:
        prompt: The prompt as given.
        seed: Seed of the noise.
        model: Folder or name of the model.
        nouns: What was asked for and seen; empty where the prompt names no count.
        step: Denoising step that was looked at, 0-based; None without a look.
        noise: Its noise level, 0 (clean) to 1; None without a look.
        video: Name of the video's file.
        versions: Version of every package that matters.
        settings: Method, policy and arguments of the pipeline call.
    """

    prompt: str
    seed: int
    model: str
    nouns: tuple[AuditedNoun, ...]
    step: int | None = None
    noise: float | None = None
    video: str = VIDEO
    versions: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Plain] = field(default_factory=dict)

    @property
    def flagged(self) -> bool:
        """Whether any noun disagrees."""
        return not all(noun.agrees for noun in self.nouns)

    @property
    def sha256(self) -> str:
        """Hash of the record, in hexadecimal."""
        return _sha256(_content(self))


def describe_audit(record: AuditRecord) -> dict[str, Any]:
    """The record as plain JSON values, with the ``sha256`` of all others."""
    return {**_content(record), _HASH: record.sha256}


def audit_json(record: AuditRecord) -> str:
    """The record as JSON text; ASCII only, so that no prompt can break the file."""
    return json.dumps(describe_audit(record), indent=2, allow_nan=False) + "\n"


def verify_audit(path: str | Path) -> bool:
    """Whether the record in a file still has the hash that it was written with.

    Spaces and the order of keys do not count. This notices a slip or an edit by hand; it is no
    signature, because whoever changes the record on purpose can hash it again.

    Args:
        path: An ``audit.json``.

    Raises:
        FormatError: If the file cannot be read, or is no record of an audit.
    """
    try:
        record = json.loads(
            Path(path).read_bytes(), object_pairs_hook=_without_duplicates, parse_constant=_refused
        )
    except OSError as error:
        raise FormatError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from (
            error
        )
    # Also what is no UTF-8, and numbers too long to be read.
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} is no JSON of an audit: {error}") from error
    if not isinstance(record, dict) or not isinstance(record.get(_HASH), str):
        raise FormatError(f'{path} must be one JSON object with a "{_HASH}", as audits write it')
    if record.get("format") != FORMAT:
        raise FormatError(
            f"{path} has format {record.get('format')!r}, and this numina verifies format {FORMAT}"
        )
    expected = record.pop(_HASH)
    try:
        return _sha256(record) == expected
    except ValueError as error:
        raise FormatError(f"{path} holds a number beyond all bounds: {error}") from error


def _content(record: AuditRecord) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "prompt": record.prompt,
        "seed": record.seed,
        "model": record.model,
        "versions": dict(record.versions),
        "settings": dict(record.settings),
        "nouns": [
            {"noun": each.noun, "asked": each.asked, "seen": each.seen, "agrees": each.agrees}
            for each in record.nouns
        ],
        "step": record.step,
        "noise": record.noise,
        "flagged": record.flagged,
        "video": record.video,
    }


def _sha256(content: dict[str, Any]) -> str:
    """Hash of the canonical JSON: sorted keys, no spaces, ASCII."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Readers differ on which of two equal keys they believe.
    record = dict(pairs)
    if len(record) != len(pairs):
        raise ValueError("a key is given twice")
    return record


def _refused(number: str) -> float:
    raise ValueError(f"{number} is no JSON number")
