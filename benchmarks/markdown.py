"""Lines of a markdown table."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def line(cells: Sequence[str]) -> str:
    """One row of a table."""
    return f"| {' | '.join(cells)} |"


def rule(columns: int) -> str:
    """The line below the head."""
    return line(("---",) * columns)


def source(results: Path, file: Mapping[str, Any], clips: str) -> str:
    """The line below a table of a file that ``record_clips`` wrote, with what it is of."""
    commit, versions = file["commit"], file["versions"]
    told = commit["commit"][:8] + ("+" if commit["dirty"] else "") if commit else "unknown"
    return (
        f"<sub>From `{results.as_posix()}`: {clips}, from seed {file['seed']}; torch "
        f"{versions['torch']}; diffusers {versions['diffusers']}; commit {told}.</sub>"
    )
