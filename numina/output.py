"""Where files may go: checked before anything is generated, written whole or not at all."""

import hashlib
import os
import re
import secrets
import shutil
import tempfile
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from numina.errors import OutputError

_SLUG_LENGTH = 48
_HASH_LENGTH = 8


def slug(text: str) -> str:
    """A name for ``text`` that is safe in every file system: its words, then a hash of all of it.

    Two different texts get different names even where the same words are left of them.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    words = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:_SLUG_LENGTH].strip("-")
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]
    return f"{words}-{digest}" if words else digest


@dataclass(frozen=True)
class OutputFolder:
    """A folder that was found writable, and the names that may be written into it."""

    path: Path
    names: frozenset[str]

    def write(self, name: str, content: bytes) -> Path:
        """Write one file whole: under another name first, then renamed into place.

        Raises:
            OutputError: If ``name`` was not claimed, or the disk refuses.
        """
        if name not in self.names:
            raise OutputError(f"{name!r} is none of the files claimed: {sorted(self.names)}")
        target = self.path / name
        try:
            _replace(target, content)
        except OSError as error:
            raise OutputError(f"cannot write {target}: {_reason(error)}") from error
        return target


def claim_folder(
    folder: Path, names: Iterable[str], *, needed_bytes: int = 0, force: bool = False
) -> OutputFolder:
    """Make sure that a run's files can be written, before the run.

    Args:
        folder: Created with its parents where it does not exist.
        names: The files to be written, plain names.
        needed_bytes: Space they may take.
        force: Allow files of these names to be replaced.

    Raises:
        OutputError: If a name leads out of the folder, the folder cannot be made or written to,
            there is too little space, or a file is there already and ``force`` is not set.
    """
    claimed = frozenset(names)
    for name in claimed:
        if name in {"", ".", ".."} or re.search(r"[/\\\0]", name):
            raise OutputError(f"a file name must be a plain name without folders, got {name!r}")
    if "\0" in str(folder):
        raise OutputError(f"the output folder must be a path without NUL, got {str(folder)!r}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot use {folder} as output folder: {_reason(error)}") from error
    taken = sorted(name for name in claimed if os.path.lexists(folder / name))
    if taken and not force:
        raise OutputError(
            f"{folder} holds {', '.join(taken)} already: choose another --out, or replace with "
            "--force"
        )
    directories = [name for name in taken if (folder / name).is_dir()]
    if directories:
        raise OutputError(f"{folder / directories[0]} is a folder, where a file shall be written")
    _require_writable(folder)
    _require_space(folder, needed_bytes)
    return OutputFolder(folder, claimed)


def write_all(folder: OutputFolder, contents: Mapping[str, bytes]) -> dict[str, Path]:
    """Write several files, in order; the path of each by its name."""
    return {name: folder.write(name, content) for name, content in contents.items()}


def _require_writable(folder: Path) -> None:
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".numina-"):
            pass
    except OSError as error:
        raise OutputError(f"cannot write into {folder}: {_reason(error)}") from error


def _require_space(folder: Path, needed_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise OutputError(
            f"the disk of {folder} has {_megabytes(free)} free, but the run may need "
            f"{_megabytes(needed_bytes)}"
        )


def _replace(target: Path, content: bytes) -> None:
    partial = target.with_name(f".numina-{secrets.token_hex(8)}")
    # Exclusive, so that a file or link of this name is never followed; the umask still applies.
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.replace(partial, target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _megabytes(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
