"""Files of one line of JSON per entry, safe against being killed at any moment."""

import json
import os
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Generic, Protocol, Self, TypeVar

from numina.errors import FormatError, OutputError

try:
    import fcntl
except ImportError:  # Windows has no such lock.
    fcntl = None  # type: ignore[assignment]


class Line(Protocol):
    """What one line holds."""

    @property
    def key(self) -> Hashable:
        """What tells it from the other lines of its file."""
        ...

    @property
    def subject(self) -> str:
        """The same in words."""
        ...

    def fields(self) -> Mapping[str, Any]:
        """Its content as plain JSON values."""
        ...

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Self:
        """The line again, from fresh JSON values that may be changed.

        Raises:
            ValueError, TypeError, KeyError or AttributeError: If they are none.
        """
        ...


L = TypeVar("L", bound=Line)


class LineFile(Generic[L]):
    """Lines on disk; opened again, it goes on after the last whole line.

    A line is on the disk before `append` returns. A line that was torn when the process was killed
    is cut off; any other damage is an error, for a row that is silently missing would be a figure
    that is silently wrong. While it is open no other evaluation can open it.

    Args:
        path: The file; created where it does not exist.
        kind: Of its lines.

    Raises:
        FormatError: If a whole line is none of its kind, or is there twice.
        OutputError: If another evaluation writes to it.
    """

    def __init__(self, path: Path, kind: type[L]) -> None:
        self._file = path.open("a+b")
        self._kind = kind
        self.rows: dict[Any, L] = {}
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

    def append(self, row: L) -> None:
        """Add a line; returns when it is on the disk.

        Raises:
            FormatError: If there is one of its key already.
        """
        if row.key in self.rows:
            raise FormatError(f"{row.subject} has a result already")
        write_line(self._file, row.fields())
        self.rows[row.key] = row

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
        self.rows = whole_lines(content, self._file.name, self._kind)
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            self._file.truncate(whole)
            os.fsync(self._file.fileno())


def write_line(file: BinaryIO, value: Mapping[str, Any]) -> None:
    """Write one line of JSON and wait for the disk."""
    file.write(json.dumps(value, allow_nan=False).encode() + b"\n")
    file.flush()
    os.fsync(file.fileno())


def lines_of(path: Path, kind: type[L]) -> list[L]:
    """All lines of a file, which is only read.

    Raises:
        FormatError: If a whole line is none of its kind, or is there twice. A torn last line is
            none.
        OutputError: If there is no such file.
    """
    if not path.exists():
        raise OutputError(f"{path.parent} has no {path.name}")
    return list(whole_lines(path.read_bytes(), str(path), kind).values())


def whole_lines(content: bytes, name: str, kind: type[L]) -> dict[Any, L]:
    """All lines of a file's content that end, by their keys."""
    rows: dict[Any, L] = {}
    for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), 1):
        where = f"{name}, line {number}"
        try:
            row = kind.of(json.loads(line, parse_constant=refuse_constant))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise FormatError(f"{where} is no result: {error!r}") from error
        if row.key in rows:
            raise FormatError(f"{where}: {row.subject} is there twice")
        rows[row.key] = row
    return rows


def refuse_constant(name: str) -> Any:
    """For ``json.loads``: NaN and infinity are no figures."""
    raise ValueError(f"{name} is no number")
