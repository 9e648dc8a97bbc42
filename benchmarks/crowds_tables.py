"""The table of crowds: a line for each way of guiding."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.markdown import line, rule, source

HEAD = ("", "frames with the number", "off by, on average", "clips that could not be helped")


def ways_table(root: Path, results: Path) -> list[str]:
    """How often a crowd has its number, and by how many it is off."""
    file = json.loads((root / results).read_text(encoding="utf-8"))
    rows = [line((row["way"], *_cells(row))) for row in file["summary"]]
    return [line(HEAD), rule(len(HEAD)), *rows, "", source(results, file, f"{file['clips']} clips")]


def _cells(row: dict[str, Any]) -> tuple[str, str, str]:
    return f"{row['right']:.2f}", f"{row['error']:.2f}", f"{row['unguided']} of {row['clips']}"


TABLES: dict[str, Callable[[Path, Path], list[str]]] = {"ways": ways_table}
