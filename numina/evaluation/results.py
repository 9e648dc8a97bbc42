"""Result files: one line per case and method, and the manifest of what they depend on."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from numina.errors import FormatError
from numina.evaluation.lines import LineFile, lines_of, refuse_constant
from numina.evaluation.metrics import Observation
from numina.output import claim_folder

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

    @property
    def key(self) -> tuple[int, str]:
        """Of the case and method, of which there is one row."""
        return self.seed, self.method

    @property
    def subject(self) -> str:
        """The same in words."""
        return f"seed {self.seed} under {self.method}"

    def fields(self) -> dict[str, Any]:
        """The row as plain JSON values; what was not asked for is left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def of(cls, fields: dict[str, Any]) -> "Row":
        """The row again.

        Raises:
            ValueError, TypeError, KeyError or AttributeError: If they are none.
        """
        row = cls(
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
        return row

    def observation(self) -> Observation:
        """Targets and counts as arrays."""
        return Observation(np.array(self.targets, np.int64), np.array(self.counts, np.int64))


class ResultFile(LineFile[Row]):
    """The rows of a run.

    Args:
        path: The file; created where it does not exist.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, Row)

    def absorb(self, folder: Path) -> None:
        """Take over the rows that other ranks wrote to files of their own, and remove these files.

        What was taken over before a kill, the file being still there, is left as it is.
        """
        for path in sorted(folder.glob(rank_file("*"))):
            with LineFile(path, Row) as other:
                for key, row in other.rows.items():
                    if key not in self.rows:
                        self.append(row)
            path.unlink()


def rank_file(rank: int | str) -> str:
    """Name of the file in which a rank other than the first keeps its rows until all are done."""
    return f"results-rank{rank}.jsonl"


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
        value = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse_constant)
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
    return lines_of(folder / RESULTS, Row)


def _refuse_changes(stored: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    for name, value in now.items():
        if name not in stored or stored[name] != value:
            raise FormatError(
                f"{folder} holds results of another {name}: {stored.get(name)!r}, now {value!r}; "
                "choose another --out"
            )


def _numbers(values: Iterable[Any]) -> tuple[int, ...]:
    return tuple(_whole(value) for value in values)


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{value!r} is no whole number")
    return value
