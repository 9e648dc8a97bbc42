"""Writes the tables of the documents from result files: ``python benchmarks/tables.py [--check]``.

Whatever stands between ``<!-- table:NAME KIND -->`` and ``<!-- /table -->`` is replaced. NAME is a
folder ``benchmarks/results/cpu/sprites-*`` with the KIND ``methods`` (the default), ``counts``,
``removals``, ``videos``, ``identification`` or ``ablation``, of readings (``identification.py``)
``noise-levels``, ``noise-levels-counts``, ``noise-levels-confusion`` or ``noise-levels-agreement``.
Or it is a file ``kernels-*`` there with the KIND ``wan`` or ``other-models``, ``kernels`` with
the KIND ``machine-code`` or ``targets``, ``accounting`` with the KIND ``families`` or ``nouns``,
a file ``edits*`` or ``crowds*``, or a folder ``hard-worlds*`` with the KIND ``worlds``,
``published``, ``hardship``, ``merging`` or ``looks``.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import (
    accounting_tables,
    crowds_tables,
    edits_tables,
    hard_worlds_tables,
    kernel_tables,
    sprites_tables,
)

ROOT = Path(__file__).parents[1]
DOCUMENTS = (Path("README.md"), Path("benchmarks/README.md"))
RESULTS = Path("benchmarks/results/cpu")
MARKED = re.compile(
    r"(?P<head>^<!-- table:(?P<name>[\w.-]+)(?: (?P<kind>[\w-]+))? -->\n)"
    r"(?P<body>.*?)(?P<tail>^<!-- /table -->)",
    re.DOTALL | re.MULTILINE,
)
CLIP_TABLES = {"edits": edits_tables.TABLES, "crowds": crowds_tables.TABLES}
OPENED = re.compile(r"^<!-- table:", re.MULTILINE)


def filled(text: str, root: Path = ROOT) -> str:
    """``text`` with every marked table made anew.

    Raises:
        ValueError: If a marker is not closed or names no table.
        OSError: If there is no result file of the name.
    """
    if len(OPENED.findall(text)) != len(MARKED.findall(text)):
        raise ValueError("a marker <!-- table:... --> is malformed, or has no <!-- /table -->")
    return MARKED.sub(lambda match: _filled(match, root), text)


def _filled(match: re.Match[str], root: Path) -> str:
    name, kind = match["name"], match["kind"]
    if OPENED.search(match["body"]):
        raise ValueError(f"the table {name} has no <!-- /table -->")
    if name == "kernels":
        tables, results = kernel_tables.TABLES, RESULTS
    elif name.startswith("kernels-"):
        tables, results = kernel_tables.CPU_TABLES, RESULTS / f"{name}.json"
    elif name == "accounting":
        tables, results = accounting_tables.TABLES, RESULTS
    elif name.split("-")[0] in CLIP_TABLES:
        tables, results = CLIP_TABLES[name.split("-")[0]], RESULTS / f"{name}.json"
    elif name.split("-")[:2] == ["hard", "worlds"]:
        tables, results = hard_worlds_tables.TABLES, RESULTS / name
    elif name.startswith("sprites-"):
        tables, results = sprites_tables.TABLES, RESULTS / name
    else:
        raise ValueError(
            f"there is no table of {name!r}; use accounting, kernels, a file "
            "edits*, crowds* or kernels-*, or a folder hard-worlds* or sprites-*"
        )
    kind = kind or next(iter(tables))
    if kind not in tables:
        raise ValueError(f"there is no table {kind!r}; choose from {', '.join(tables)}")
    lines = tables[kind](root, results)
    return match["head"] + "\n".join([*lines, ""]) + match["tail"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Fill the documents, or with ``--check`` say whether they are up to date."""
    parser = argparse.ArgumentParser(description="Writes the tables from result files.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if outdated")
    options = parser.parse_args(arguments)
    outdated = False
    for document in DOCUMENTS:
        path = ROOT / document
        before = path.read_text(encoding="utf-8")
        after = filled(before)
        if before == after:
            continue
        if options.check:
            print(f"{document}: run python benchmarks/tables.py", file=sys.stderr)
            outdated = True
        else:
            path.write_text(after, encoding="utf-8")
    return int(outdated)


if __name__ == "__main__":
    sys.exit(main())
