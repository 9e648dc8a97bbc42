"""Run methods over the cases of a suite: resumable, in one process or many, never twice."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from numina.errors import NuminaError
from numina.evaluation.case_clips import CaseClips
from numina.evaluation.clip import Evaluated, Plain
from numina.evaluation.clip_score import Scorer
from numina.evaluation.failure import EvaluationError
from numina.evaluation.lines import write_line
from numina.evaluation.metrics import count_accuracy
from numina.evaluation.progress import Progress
from numina.evaluation.provenance import commit, versions
from numina.evaluation.ranks import Ranks
from numina.evaluation.results import (
    FAILURES,
    RESULTS,
    SUMMARY,
    ResultFile,
    Row,
    dump_json,
    rank_file,
    settle_manifest,
)
from numina.evaluation.suites import MaskedSuite, Suite
from numina.evaluation.summary import PLAIN, summarise
from numina.evaluation.workers import spread
from numina.output import claim_folder

# What ranks tell each other.
_JOBS, _OUTCOME = "jobs", "outcome"


@dataclass(frozen=True)
class Failure:
    """A case that a method could not make: an error, never a count of zero."""

    seed: int
    method: str
    error: str


@dataclass(frozen=True)
class Job:
    """A case and the rows of it that are there already, by method."""

    index: int
    done: Mapping[str, Row]

    def fields(self) -> dict[str, Any]:
        """The job as plain JSON values."""
        return {"index": self.index, "done": [row.fields() for row in self.done.values()]}

    @classmethod
    def of(cls, fields: dict[str, Any]) -> "Job":
        """The job again."""
        rows = [Row.of(row) for row in fields["done"]]
        return cls(fields["index"], {row.method: row for row in rows})


def evaluate(
    methods: Mapping[str, Evaluated],
    suite: Suite,
    cases: int,
    out: Path | str,
    workers: int = 1,
    say: Callable[[str], None] = print,
    scorer: Scorer | None = None,
    ranks: Ranks | None = None,
) -> dict[str, Any]:
    """Run methods over the first cases of a suite and summarise them.

    Every result is on the disk as soon as it is there. Called again with the same folder, the
    run goes on where it was killed; more cases and further methods may be asked for. The plain
    run is always among the methods, for the other figures are relative to it. Each process
    computes with a single thread, so that results do not depend on how many there are.

    Args:
        methods: By the name to report them under; their ``repr`` must hold all their settings.
        suite: The suite.
        cases: How many of its cases.
        out: Folder of the results and the summary.
        workers: Processes. With more than one, suite and methods must be picklable, and a script
            that calls this needs its ``if __name__ == "__main__"``.
        say: Takes a line of progress after every case.
        scorer: Scores how well each clip fits its prompt, such as ``ClipScore``.
        ranks: The processes of a launcher, each of which makes this very call; the cases are
            divided among them. They need a folder in common.

    Returns:
        The summary, as written to ``summary.json``.

    Raises:
        FormatError: If the folder holds results of other settings, or damaged ones.
        EvaluationError: If a method needs masks that the suite does not have, or failed on a case;
            the other cases were run all the same.
    """
    if cases < 1 or workers < 1:
        raise ValueError(f"cases and workers must be at least 1, got {cases} and {workers}")
    if not isinstance(methods.get(PLAIN, Plain()), Plain):
        raise ValueError(f"the name {PLAIN!r} belongs to the plain run")
    methods = {PLAIN: Plain(), **methods}
    _require_masks(methods, suite)
    seeds = [suite.case(index).seed for index in range(cases)]
    out = Path(out)
    work = _Work(methods, suite, scorer)
    if ranks is not None and not ranks.leads:
        return _follow(ranks, work, cases, out, workers, say)
    basis = {**suite.describe(), "threads": 1, "versions": versions()}
    if scorer is not None:
        basis["clip"] = scorer.describe()
    settings = {name: repr(method) for name, method in methods.items()}
    manifest = settle_manifest(out, basis, settings, commit())
    with ResultFile(out / RESULTS) as results:
        failures = _lead(ranks, results, work, seeds, out, workers, say)
    if failures:
        reason = (
            f"{len(failures)} results could not be made, see {out / FAILURES}; first: seed "
            f"{failures[0].seed} under {failures[0].method}: {failures[0].error}"
        )
        if ranks is not None:
            ranks.tell(_OUTCOME, reason)
        raise EvaluationError(reason)
    summary = {
        "prompts": cases,
        **summarise(results.rows.values(), list(methods), seeds),
        "manifest": {**manifest, "methods": settings},
    }
    claim_folder(out, {SUMMARY}, force=True).write(SUMMARY, dump_json(summary))
    if ranks is not None:
        ranks.tell(_OUTCOME, summary)
    return summary


def _lead(
    ranks: Ranks | None,
    results: ResultFile,
    work: "_Work",
    seeds: Sequence[int],
    out: Path,
    workers: int,
    say: Callable[[str], None],
) -> list[Failure]:
    """Say what is missing, make it together with the other ranks, and gather their rows."""
    results.absorb(out)
    jobs, methods = [], work.methods
    for index, seed in enumerate(seeds):
        known = {name: results.rows.get((seed, name)) for name in methods}
        jobs.append(Job(index, {name: row for name, row in known.items() if row is not None}))
    open_jobs = [job for job in jobs if len(job.done) < len(methods)]
    progress = Progress(list(methods), len(jobs), done=len(jobs) - len(open_jobs))
    for job in jobs:
        for row in job.done.values():
            progress.note(row.method, count_accuracy(row.observation()))
    if ranks is not None:
        ranks.tell(_JOBS, [job.fields() for job in open_jobs])
    failures = _fill(ranks, results, work, open_jobs, progress, out, workers, say)
    if ranks is not None:
        for rank in range(1, ranks.number):
            failures += [Failure(**each) for each in ranks.hear(_failures_of(rank))]
        results.absorb(out)
    return failures


def _follow(
    ranks: Ranks,
    work: "_Work",
    cases: int,
    out: Path,
    workers: int,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Make what falls to this rank, and wait for what the first one makes of it."""
    jobs = [Job.of(fields) for fields in ranks.hear(_JOBS)]
    progress = Progress(list(work.methods), cases, done=cases - len(jobs))
    with ResultFile(out / rank_file(ranks.rank)) as results:
        failures = _fill(
            ranks,
            results,
            work,
            jobs,
            progress,
            out,
            workers,
            lambda line: say(f"rank {ranks.rank}: {line}"),
        )
    ranks.tell(_failures_of(ranks.rank), [asdict(failure) for failure in failures])
    outcome = ranks.hear(_OUTCOME)
    if isinstance(outcome, str):
        raise EvaluationError(outcome)
    return dict(outcome)


def _fill(
    ranks: Ranks | None,
    results: ResultFile,
    work: "_Work",
    jobs: Sequence[Job],
    progress: Progress,
    out: Path,
    workers: int,
    say: Callable[[str], None],
) -> list[Failure]:
    """Make the rows that are missing; what failed is returned and logged, and tried next time."""
    failures = []
    share = jobs if ranks is None else ranks.share(jobs)
    for item in spread(work, share, workers):
        match item:
            case Row():
                results.append(item)
                progress.note(item.method, count_accuracy(item.observation()))
            case Failure():
                failures.append(item)
                with (out / FAILURES).open("ab") as log:
                    write_line(log, asdict(item))
                say(f"seed {item.seed} under {item.method} failed: {item.error}")
            case None:
                say(progress.line(None if ranks is None else ranks.finished()))
    return failures


def _failures_of(rank: int) -> str:
    return f"failures of rank {rank}"


def run_job(
    job: Job,
    pipe: Any,
    methods: Mapping[str, Evaluated],
    suite: Suite,
    scorer: Scorer | None = None,
) -> Iterator[Row | Failure]:
    """Generate one case under every method that has no row of it yet."""
    case = suite.case(job.index)
    clips = CaseClips(pipe, suite, case, job.done.get(PLAIN))
    for name, method in methods.items():
        if name in job.done:
            continue
        try:
            clip = clips.made(method)
            counts = suite.count(clip.frames, case)
            score = None if scorer is None else scorer.score(clip.frames, case.prompt)
        except NuminaError as error:
            yield Failure(case.seed, name, f"{type(error).__name__}: {error}")
            continue
        yield Row(
            seed=case.seed,
            method=name,
            prompt=case.prompt,
            nouns=case.nouns,
            targets=case.targets,
            counts=tuple(tuple(int(n) for n in noun) for noun in counts),
            forwards=clip.forwards,
            seconds=round(clip.seconds, 3),
            decision=clip.decision,
            seen=clip.seen,
            clip_score=score,
        )


class _Work:
    """What a process does: load once, then run one job after the other."""

    def __init__(
        self, methods: Mapping[str, Evaluated], suite: Suite, scorer: Scorer | None
    ) -> None:
        self.methods = dict(methods)
        self._suite, self._scorer = suite, scorer
        self._pipe: Any = None

    def prepare(self) -> None:
        torch.set_num_threads(1)
        if self._scorer is not None:
            self._scorer.prepare()
        self._pipe = self._suite.load()

    def run(self, job: Job) -> Iterator[Row | Failure]:
        return run_job(job, self._pipe, self.methods, self._suite, self._scorer)


def _require_masks(methods: Mapping[str, Evaluated], suite: Suite) -> None:
    """Refuse by name what a suite cannot serve, before anything is loaded."""
    needy = [name for name, method in methods.items() if method.needs_masks]
    if needy and not isinstance(suite, MaskedSuite):
        raise EvaluationError(
            f"{', '.join(needy)} must know the exact place of every instance, which the suite "
            f"{suite.name} does not; leave {'it' if len(needy) == 1 else 'them'} out of --methods"
        )
