"""CountBench: any file of counted prompts, on any diffusers pipeline, counted by any counter."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numina.evaluation.counters import Counter
from numina.evaluation.detectors import DetectorCounter
from numina.evaluation.failure import EvaluationError
from numina.evaluation.prompt_files import CountedPrompt, dump_counted_prompts
from numina.evaluation.provenance import folder_hash
from numina.evaluation.suites import Case


@dataclass(frozen=True)
class PipelineSource:
    """Which pipeline runs, and how; the fields are those of ``load_pipeline``.

    Attributes:
        model: A folder, or a hub name.
        revision: Commit, tag or branch of a hub model.
        device: ``"auto"``, ``"cuda"`` or ``"cpu"``.
        dtype: ``"auto"``, ``"bfloat16"``, ``"float16"`` or ``"float32"``.
        offload: Whether parts move to the device only while they work.
    """

    model: str
    revision: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    offload: bool = False

    def describe(self) -> dict[str, Any]:
        """What runs: the commit of a hub model, or the hash of a folder, wherever it lies.

        Raises:
            FormatError: If there is no such model.
            UnsupportedModelError: If it is no pipeline of diffusers, or there is no such device.
        """
        from numina.integrations.loading import commit_of, placement

        commit = commit_of(self.model, self.revision)
        device, dtype = placement(self.device, self.dtype)
        if commit is None:
            source = {"sha256": folder_hash(Path(self.model))}
        else:
            source = {"repo": self.model, "revision": commit}
        return {**source, "device": device, "dtype": dtype}

    def load(self) -> Any:
        """The pipeline, without its progress bars."""
        from numina.integrations.loading import load_pipeline

        pipe = load_pipeline(**asdict(self)).pipe
        pipe.set_progress_bar_config(disable=True)
        return pipe


@dataclass(frozen=True)
class CountBenchSuite:
    """Counted prompts on a pipeline. Methods are told the counts, as published.

    Attributes:
        prompts: Case ``i`` is prompt ``i``; see ``read_counted_prompts``.
        source: The pipeline.
        counter: Who counts.
        seed: Case ``i`` starts from the noise of ``seed + i``.
        settings: Arguments of the pipeline call.
    """

    prompts: tuple[CountedPrompt, ...]
    source: PipelineSource
    counter: Counter = DetectorCounter()
    seed: int = 0
    settings: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        if not self.prompts:
            raise ValueError("prompts must hold a prompt at least, got none")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, got {self.seed}")

    @property
    def name(self) -> str:
        return "countbench"

    def describe(self) -> dict[str, Any]:
        content = b"".join(dump_counted_prompts(self.prompts).values())
        return {
            "suite": self.name,
            "seed": self.seed,
            "prompts_sha256": hashlib.sha256(content).hexdigest(),
            "call": dict(self.settings),
            "counter": self.counter.describe(),
            "model": self.source.describe(),
        }

    def case(self, index: int) -> Case:
        """Raises EvaluationError if there is no such prompt."""
        if index >= len(self.prompts):
            raise EvaluationError(
                f"the suite has {len(self.prompts)} prompts, but prompt {index + 1} was asked for; "
                "ask for fewer"
            )
        item = self.prompts[index]
        nouns, targets = zip(*item.counts, strict=True)
        return Case(self.seed + index, item.prompt, nouns, targets, told=True)

    def load(self) -> Any:
        # First who counts: it loads faster, and without it nothing is worth generating.
        self.counter.prepare()
        return self.source.load()

    def call(self, case: Case, attempt: int = 0) -> dict[str, Any]:
        return {**dict(self.settings), "generator": case.noise(attempt), "output_type": "np"}

    def count(self, frames: NDArray[np.float32], case: Case) -> NDArray[np.int64]:
        return self.counter.count(frames, case.nouns)
