"""The table of what becomes of an edit: a line for each way of guiding and each fate."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.edits import LIMITS
from benchmarks.markdown import line, rule, source
from numina.evaluation.roles import role_of

SIDES = ("below", "from")
PARTS = ("all", *(f"{name} {side} {limit}" for name, limit in LIMITS.items() for side in SIDES))
FATES = {
    "added": "added ones came",
    "removed": "removed ones are gone",
    "kept": "kept ones stayed",
    "image": "difference of the pixels to the plain clip, 0 to 1",
}


def fates_table(root: Path, results: Path) -> list[str]:
    """Shares of the asked instances' frames in which their fate came true, and how many of them."""
    file = json.loads((root / results).read_text(encoding="utf-8"))
    found: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for row in file["summary"]:
        found.setdefault((row["way"], row["fate"]), {})[row["of"]] = row
    lines = [line(("", "", *PARTS)), rule(2 + len(PARTS))]
    for (way, fate), parts in found.items():
        title = role_of(way).title.removeprefix("control: ")
        cells = (_cell(parts[name]) if name in parts else "" for name in PARTS)
        lines.append(line((title, FATES[fate], *cells)))
    clips = len({row["seed"] for row in file["rows"]})
    return [*lines, "", source(results, file, f"{clips} clips whose plain count is wrong")]


def _cell(row: dict[str, Any]) -> str:
    if row["fate"] == "image":
        return f"{row['outside']:.4f} outside of the edit, {row['inside']:.4f} inside"
    return f"{row['done']:.2f} ({row['instances']})"


TABLES: dict[str, Callable[[Path, Path], list[str]]] = {"fates": fates_table}
