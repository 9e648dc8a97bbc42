"""What a results folder holds: the rows that its summary is about, and figures made of them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numina.errors import FormatError, OutputError
from numina.evaluation.failure import EvaluationError
from numina.evaluation.results import SUMMARY, Row, read_json, rows_of
from numina.evaluation.summary import PLAIN, summarise


@dataclass(frozen=True)
class Findings:
    """A finished evaluation.

    Attributes:
        rows: For each method the results of all prompts, in the order of their seeds.
        summary: The figures of these rows, as of ``summarise``.
        manifest: What they depend on: suite, model, versions, settings of the methods.
    """

    rows: Mapping[str, tuple[Row, ...]]
    summary: Mapping[str, Any]
    manifest: Mapping[str, Any]

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods, in the order in which they were asked for."""
        return tuple(self.rows)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The cases."""
        return tuple(row.seed for row in self.rows[PLAIN])


def read_findings(folder: Path) -> Findings:
    """Read a results folder; no file of it is changed.

    The figures are made anew from the rows, and must be those of the summary: a page never tells
    of rows that the summary does not know, nor the other way round.

    Raises:
        OutputError: If the folder holds no finished evaluation.
        FormatError: If a file is damaged, or rows and summary do not belong together.
        EvaluationError: If a row is missing.
    """
    if not (folder / SUMMARY).exists():
        raise OutputError(f"{folder} has no {SUMMARY}; finish its evaluation first")
    rows = rows_of(folder)
    stored = read_json(folder / SUMMARY)
    try:
        prompts, manifest = stored["prompts"], stored["manifest"]
        known = {name: float(figures["count_acc"]) for name, figures in stored["methods"].items()}
        seeds = sorted({row.seed for row in rows if row.method == PLAIN})[:prompts]
        for name, kind in (("suite", str), ("methods", dict), ("versions", dict), ("code", list)):
            if not isinstance(manifest.get(name, kind()), kind):
                raise TypeError(f"{name} of the manifest is {manifest[name]!r}")
        if not all(code is None or isinstance(code, dict) for code in manifest.get("code", [])):
            raise TypeError(f"code of the manifest is {manifest['code']!r}")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(f"{folder / SUMMARY} is no summary: {error!r}") from error
    if len(seeds) < prompts:
        raise EvaluationError(
            f"{folder} has plain results of {len(seeds)} prompts, but its summary is about "
            f"{prompts}; run the evaluation again to make them"
        )
    summary = summarise(rows, list(known), seeds)
    for name, accuracy in known.items():
        found = summary["methods"][name]["count_acc"]
        if not math.isclose(found, accuracy, abs_tol=1e-9):
            raise FormatError(
                f"{folder}: the summary says {accuracy!r} of {name}, but its rows give {found!r}; "
                "run the evaluation again to summarise them"
            )
    table = {(row.seed, row.method): row for row in rows}
    return Findings(
        {name: tuple(table[seed, name] for seed in seeds) for name in known}, summary, manifest
    )
