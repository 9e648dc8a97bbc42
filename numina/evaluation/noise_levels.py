"""Identification against the noise level over a suite: resumable, in one process or several."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from numina.errors import NuminaError
from numina.evaluation.failure import EvaluationError
from numina.evaluation.identification import LEVELS, READERS, ReadClip, Reader, Reading, read_clip
from numina.evaluation.lines import LineFile, write_line
from numina.evaluation.metrics import bootstrap_interval
from numina.evaluation.provenance import commit, versions
from numina.evaluation.results import FAILURES, RESULTS, SUMMARY, dump_json, settle_manifest
from numina.evaluation.suites import MaskedSuite
from numina.evaluation.workers import spread
from numina.output import claim_folder


@dataclass(frozen=True)
class Unread:
    """A case that could not be read: an error, never a count of zero."""

    seed: int
    error: str


def read_noise_levels(
    suite: MaskedSuite,
    cases: int,
    out: Path | str,
    workers: int = 1,
    levels: Sequence[float] = LEVELS,
    readers: Mapping[str, Reader] = READERS,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Read the plain runs of the first cases of a suite, and summarise how well.

    Every clip is on the disk as soon as it is read. Called again with the same folder, the run
    goes on where it was killed, and more cases may be asked for.

    Args:
        suite: The suite.
        cases: How many of its cases.
        out: Folder of the results and the summary; no other evaluation's.
        workers: Processes. With more than one, suite and readers must be picklable, and a script
            that calls this needs its ``if __name__ == "__main__"``.
        levels: Noise levels.
        readers: Who looks, by the name to report it under.
        say: Takes a line of progress after every case.

    Returns:
        The summary, as written to ``summary.json``.

    Raises:
        FormatError: If the folder holds results of other settings, or damaged ones.
        EvaluationError: If a case could not be read; the others were read all the same.
    """
    if cases < 1 or workers < 1:
        raise ValueError(f"cases and workers must be at least 1, got {cases} and {workers}")
    out = Path(out)
    seeds = [suite.case(index).seed for index in range(cases)]
    basis = {**suite.describe(), "levels": list(levels), "threads": 1, "versions": versions()}
    basis["readers"] = {name: repr(reader) for name, reader in readers.items()}
    manifest = settle_manifest(out, basis, {}, commit())
    failures: list[Unread] = []
    with LineFile(out / RESULTS, ReadClip) as file:
        jobs = [index for index, seed in enumerate(seeds) if seed not in file.rows]
        done = cases - len(jobs)
        for item in spread(_Work(suite, levels, readers), jobs, workers):
            match item:
                case ReadClip():
                    file.append(item)
                case Unread():
                    failures.append(item)
                    with (out / FAILURES).open("ab") as log:
                        write_line(log, asdict(item))
                    say(f"seed {item.seed} failed: {item.error}")
                case None:
                    done += 1
                    say(f"{done}/{cases}")
        if failures:
            raise EvaluationError(
                f"{len(failures)} cases could not be read, see {out / FAILURES}; first: seed "
                f"{failures[0].seed}: {failures[0].error}"
            )
        clips = [file.rows[seed] for seed in seeds]
    summary = {"prompts": cases, "readers": figures(clips), "manifest": manifest}
    claim_folder(out, {SUMMARY}, force=True).write(SUMMARY, dump_json(summary))
    return summary


def figures(clips: Sequence[ReadClip]) -> dict[str, list[dict[str, Any]]]:
    """For each reader and noise level, how well it saw what the finished clips hold.

    Args:
        clips: Read by the same readers at the same steps.

    Returns:
        ``{reader: [{"noise", "count_acc", "count_ci95", "f1", "f1_ci95", "verdict_acc"}, …]}``,
        the levels falling: the share of the nouns counted as the finished clip holds them, the mean
        F1 of their instances, and the share of clips called right or wrong as they are. Each is a
        mean over clips, for whose interval clips are drawn anew.
    """
    told: dict[str, list[dict[str, Any]]] = {}
    looks = [(reading.evidence, reading.step) for reading in clips[0].readings]
    for evidence, step in sorted(looks, key=lambda look: look[1]):
        read = [(clip, _reading_of(clip, evidence, step)) for clip in clips]
        counted = np.array([np.mean(agreeing(clip, reading)) for clip, reading in read])
        placed = np.array(
            [np.mean([one.f1 for one in clip.matches(reading)]) for clip, reading in read]
        )
        verdicts = [is_judged_right(clip, reading) for clip, reading in read]
        told.setdefault(evidence, []).append(
            {
                "noise": read[0][1].noise,
                "count_acc": float(counted.mean()),
                "count_ci95": list(bootstrap_interval(counted)),
                "f1": float(placed.mean()),
                "f1_ci95": list(bootstrap_interval(placed)),
                "verdict_acc": float(np.mean(verdicts)),
            }
        )
    return told


def agreeing(clip: ReadClip, reading: Reading) -> list[bool]:
    """For each noun, whether it was counted as the finished clip holds it."""
    if reading.seen is None:
        return [False] * len(clip.nouns)
    return [seen == held for seen, held in zip(reading.seen, clip.held, strict=True)]


def is_judged_right(clip: ReadClip, reading: Reading) -> bool:
    """Whether a look calls the finished clip right or wrong as it is."""
    return (reading.seen == clip.targets) == (clip.held == clip.targets)


def _reading_of(clip: ReadClip, evidence: str, step: int) -> Reading:
    for reading in clip.readings:
        if (reading.evidence, reading.step) == (evidence, step):
            return reading
    raise EvaluationError(f"{clip.subject} has no reading of {evidence} at step {step}")


class _Work:
    """What a process does: load once, then read one case after the other."""

    def __init__(
        self, suite: MaskedSuite, levels: Sequence[float], readers: Mapping[str, Reader]
    ) -> None:
        self._suite, self._levels, self._readers = suite, tuple(levels), dict(readers)
        self._pipe: Any = None

    def prepare(self) -> None:
        torch.set_num_threads(1)
        self._pipe = self._suite.load()

    def run(self, index: int) -> Iterator[ReadClip | Unread]:
        case = self._suite.case(index)
        try:
            yield read_clip(self._pipe, self._suite, case, self._levels, self._readers)
        except NuminaError as error:
            yield Unread(case.seed, f"{type(error).__name__}: {error}")
