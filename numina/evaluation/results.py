"""Result files: one line of JSON per case and method, safe against being killed at any moment."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np

from numina.errors import FormatError, OutputError
from numina.evaluation.metrics import Observation
from numina.output import claim_folder

try:
    import fcntl
except ImportError:  # Windows has no such lock.
    fcntl = None  # type: ignore[assignment]

RESULTS, FAILURES, MANIFEST, SUMMARY = (
    "results.jsonl",
    "failures.jsonl",
    "manifest.json",
    "summary.json",
)

# What a manifest holds beside the basis of its results.
_OURS = {"format", "code", "methods"}


@dataclass(frozen=True)
class Row:
    """The result of one case under one method.

    Attributes:
        seed: Seed of the case.
        method: Name of the method.
        prompt: The prompt.
        nouns: What was counted.
        targets: The count asked for, per noun.
        counts: Instances per noun and frame, ``[G][F]``.
        forwards: Transformer forwards.
        seconds: Wall time.
        decision: What the method decided.
        seen: Instances per noun that it identified, at each look.
        clip_score: How well the frames fit the prompt; None where it was not asked for.
    """

    seed: int
    method: str
    prompt: str
    nouns: tuple[str, ...]
    targets: tuple[int, ...]
    counts: tuple[tuple[int, ...], ...]
    forwards: float
    seconds: float
    decision: str
    seen: tuple[tuple[int, ...], ...] = ()
    clip_score: float | None = None

    def observation(self) -> Observation:
        """Targets and counts as arrays."""
        return Observation(np.array(self.targets, np.int64), np.array(self.counts, np.int64))


class ResultFile:
    """Rows on disk; opened again, it goes on after the last whole line.

    A row is on the disk before `append` returns. A line that was torn when the process was killed
    is cut off; any other damage is an error, for a row that is silently missing would be a figure
    that is silently wrong. While it is open no other evaluation can open it.

    Args:
        path: The file; created where it does not exist.

    Raises:
        FormatError: If a whole line is no row, or a row is there twice.
        OutputError: If another evaluation writes to it.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+b")
        self.rows: dict[tuple[int, str], Row] = {}
        try:
            self._hold()
            self._read()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let others write."""
        self._file.close()

    def append(self, row: Row) -> None:
        """Add a row; returns when it is on the disk.

        Raises:
            FormatError: If there is a row of this case and method already.
        """
        if (row.seed, row.method) in self.rows:
            raise FormatError(f"seed {row.seed} under {row.method} has a result already")
        fields = {name: value for name, value in asdict(row).items() if value is not None}
        write_line(self._file, fields)
        self.rows[row.seed, row.method] = row

    def _hold(self) -> None:
        if fcntl is None:
            return
        try:
            # The system lets go of it when the process ends, even when it is killed.
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OutputError(
                f"another evaluation writes to {self._file.name}; wait for it, or choose another "
                "--out"
            ) from error

    def _read(self) -> None:
        self._file.seek(0)
        content = self._file.read()
        self.rows = _rows(content, self._file.name)
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            self._file.truncate(whole)
            os.fsync(self._file.fileno())


def write_line(file: BinaryIO, value: Mapping[str, Any]) -> None:
    """Write one line of JSON and wait for the disk."""
    file.write(json.dumps(value, allow_nan=False).encode() + b"\n")
    file.flush()
    os.fsync(file.fileno())


def settle_manifest(
    folder: Path, basis: Mapping[str, Any], methods: Mapping[str, str], code: Any
) -> dict[str, Any]:
    """Write the manifest of a run, or check that a run in ``folder`` can go on.

    Args:
        folder: Output folder; created where it does not exist.
        basis: All that every result depends on: suite, model, versions.
        methods: Settings of every method.
        code: Commit of the code; a run may go on under another one, and both are noted.

    Raises:
        FormatError: If the folder holds results of other settings.
        OutputError: If the folder cannot be written to.
    """
    names = {RESULTS, FAILURES, MANIFEST, SUMMARY}
    output = claim_folder(folder, names, force=True)
    path = folder / MANIFEST
    manifest: dict[str, Any] = {"format": 1, **basis, "code": [], "methods": {}}
    if path.exists():
        manifest = read_json(path)
        dropped = dict.fromkeys(manifest.keys() - basis.keys() - _OURS)
        _refuse_changes(manifest, {"format": 1, **basis, **dropped}, folder)
        known = manifest["methods"]
        _refuse_changes(known, {n: s for n, s in methods.items() if n in known}, folder)
    elif (folder / RESULTS).exists():
        raise FormatError(f"{folder} has results, but no {MANIFEST}; choose another --out")
    manifest["methods"] = {**manifest["methods"], **methods}
    if code not in manifest["code"]:
        manifest["code"].append(code)
    output.write(MANIFEST, dump_json(manifest))
    return manifest


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object.

    Raises:
        FormatError: If it does not.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except ValueError as error:
        raise FormatError(f"{path} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise FormatError(f"{path} must hold an object, got {type(value).__name__}")
    return value


def dump_json(value: Mapping[str, Any]) -> bytes:
    """JSON for a file that people read too."""
    return json.dumps(value, indent=2, allow_nan=False).encode() + b"\n"


def rows_of(folder: Path) -> list[Row]:
    """All rows of a finished or unfinished run; its files are only read.

    Raises:
        FormatError: If a whole line is no row, or a row is there twice. A torn last line is no row.
        OutputError: If there is no run.
    """
    path = folder / RESULTS
    if not path.exists():
        raise OutputError(f"{folder} has no {RESULTS}")
    return list(_rows(path.read_bytes(), str(path)).values())


def _refuse_changes(stored: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    for name, value in now.items():
        if name not in stored or stored[name] != value:
            raise FormatError(
                f"{folder} holds results of another {name}: {stored.get(name)!r}, now {value!r}; "
                "choose another --out"
            )


def _rows(content: bytes, name: str) -> dict[tuple[int, str], Row]:
    """The rows of all whole lines, by seed and method."""
    rows: dict[tuple[int, str], Row] = {}
    for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), 1):
        where = f"{name}, line {number}"
        row = _row(line, where)
        if (row.seed, row.method) in rows:
            raise FormatError(f"{where}: seed {row.seed} under {row.method} is there twice")
        rows[row.seed, row.method] = row
    return rows


def _row(line: bytes, where: str) -> Row:
    try:
        fields = json.loads(line, parse_constant=_refuse_constant)
        row = Row(
            seed=_whole(fields.pop("seed")),
            targets=_numbers(fields.pop("targets")),
            counts=tuple(_numbers(part) for part in fields.pop("counts")),
            seen=tuple(_numbers(part) for part in fields.pop("seen")),
            nouns=tuple(fields.pop("nouns")),
            forwards=float(fields.pop("forwards")),
            seconds=float(fields.pop("seconds")),
            clip_score=float(fields.pop("clip_score")) if "clip_score" in fields else None,
            **fields,
        )
        row.observation()
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise FormatError(f"{where} is no result: {error!r}") from error
    return row


def _numbers(values: Iterable[Any]) -> tuple[int, ...]:
    return tuple(_whole(value) for value in values)


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{value!r} is no whole number")
    return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")
