"""Where results come from: versions, commit and model, without a word about the machine."""

import hashlib
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from numina.errors import FormatError

_PACKAGES = ("torch", "diffusers", "transformers", "numpy", "scipy", "scikit-learn")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    return {"python": platform.python_version()} | {
        name: metadata.version(name) for name in _PACKAGES
    }


def commit() -> dict[str, Any] | None:
    """The commit of this code and whether files were changed since; None outside a checkout.

    Result files are not code: a benchmark does not change what it is made by.
    """
    here = Path(__file__)
    # A package that is merely installed below someone's repository has no commit of its own.
    if _git("ls-files", "--error-unmatch", here.name) is None:
        return None
    head = _git("rev-parse", "HEAD")
    status = _git("status", "--porcelain", "--", ":/", ":(top,exclude)benchmarks/results")
    return None if head is None else {"commit": head, "dirty": bool(status)}


def folder_hash(folder: Path) -> str:
    """SHA-256 over the names and contents of the files of a model's folder.

    Its model card does not count: what is written about a model changes no result of it.

    Raises:
        FormatError: If there is no such folder, or it is empty.
    """
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix != ".md")
    if not files:
        raise FormatError(f"{folder} holds no model; give the folder of a saved pipeline")
    digest = hashlib.sha256()
    for path in files:
        # Not read as a whole: the weights of a large model are larger than the memory.
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()}\n{content}\n".encode())
    return digest.hexdigest()


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
