"""generate(): a diffusers pipeline call whose counts come out right."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from numina.errors import CaptureMissedError, OutOfMemoryError
from numina.generation.looking import Looker
from numina.generation.one_pass import one_pass
from numina.generation.outcome import Outcome
from numina.generation.request import CountRequest, Counts, resolve_request
from numina.generation.restart import restart
from numina.generation.run import PipelineRun, denoisers
from numina.integrations import adapter_for
from numina.memory import peak_bytes, reset_peak
from numina.methods.method import Method, Mode
from numina.methods.presets import method_named
from numina.prompt.counts import Policy, abstentions
from numina.record import CountReport, Decision, TargetRecord


@dataclass(frozen=True, eq=False)
class CountedVideo:
    """Videos and the story of their counts.

    Attributes:
        frames: What the pipeline returned as frames, in the ``output_type`` asked for.
        reports: One per video of the batch.
    """

    frames: Any
    reports: tuple[CountReport, ...]

    @property
    def report(self) -> CountReport:
        """The report of the only video.

        Raises:
            ValueError: If the batch holds several.
        """
        if len(self.reports) != 1:
            raise ValueError(f"the batch holds {len(self.reports)} videos; use .reports")
        return self.reports[0]


def generate(
    pipe: Any,
    prompt: str | Sequence[str],
    *,
    counts: Counts = "auto",
    preset: str | Method = "robust",
    mode: Mode | None = None,
    rounds: int = 1,
    policy: Policy = "subjects",
    on_oom: Literal["raise", "unguided"] = "raise",
    **call: Any,
) -> CountedVideo:
    """Generate videos with the number of things that the prompt asks for (arXiv 2604.08546).

    The pipeline's own call runs, with its callbacks, schedulers and outputs; while it runs, the
    layout of the counted nouns is identified, refined where the count is wrong, and enforced.
    Where every count is right, the result is that of the plain pipeline bit for bit. Afterwards
    the transformer holds its own attention processors again, whatever happened.

    In ``"one-pass"`` mode the run is looked at after a few early steps and guided from there on:
    no forward pass is added. In ``"restart"`` mode a wrong run is stopped at the look and made
    again from the same noise under guidance, up to ``rounds`` times; the user's callback then
    sees the steps of every run.

    Args:
        pipe: A diffusers pipeline over a transformer that numina has an adapter for.
        prompt: One prompt or a list of them; every video of the batch gets its own plan.
        counts: ``"auto"`` reads the prompt and runs plainly where it names no count;
            ``"required"`` refuses such a prompt; a mapping of nouns or phrases of the prompt to
            counts, e.g. ``{"red balls": 2}``, or one mapping per prompt, overrides it.
        preset: ``"robust"``, ``"paper"``, or a ``Method`` of your own.
        mode: ``"one-pass"`` or ``"restart"``; by default the preset's own.
        rounds: Guided runs that restart mode may make, at least 1.
        policy: What an article counts as: ``"explicit"``, ``"subjects"`` or ``"all"``.
        on_oom: ``"unguided"`` runs plainly where guidance runs out of memory.
        **call: The pipeline's own arguments, e.g. ``num_frames``, ``generator``.

    Returns:
        Frames and reports.

    Raises:
        PromptError: If the prompt cannot be used.
        TargetError: If a count cannot be meant or met.
        ScheduleError: If the schedule has no step to look at.
        UnsupportedModelError: If numina has no adapter for the transformer.
        AlreadyGuidedError: If another call holds the transformer.
        CaptureMissedError: If the layers to look at never ran.
        OutOfMemoryError: If memory runs out and ``on_oom`` is ``"raise"``.
    """
    method = method_named(preset) if isinstance(preset, str) else preset
    mode = _settled_mode(mode, method)
    if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 1:
        raise ValueError(f"rounds must be an integer of at least 1, got {rounds!r}")
    if on_oom not in ("raise", "unguided"):
        raise ValueError(f'on_oom must be "raise" or "unguided", got {on_oom!r}')
    adapter = adapter_for(denoisers(pipe)[0])
    request = resolve_request(pipe, prompt, counts, policy, adapter, call)
    call = {"prompt": prompt if isinstance(prompt, str) else list(prompt), **call}

    looker = Looker(method, request)
    outcome = _outcome(pipe, call, looker, mode, rounds, on_oom)
    settings: dict[str, Any] = {"preset": method.name, "mode": mode, "rounds": rounds}
    reports = tuple(
        _report(row, looker, outcome, policy, settings) for row in range(len(request.rows))
    )
    output = outcome.output
    return CountedVideo(output[0] if isinstance(output, tuple) else output.frames, reports)


def _outcome(
    pipe: Any, call: Mapping[str, Any], looker: Looker, mode: Mode, rounds: int, on_oom: str
) -> Outcome:
    request = looker.request
    text = request.text()
    run = PipelineRun(pipe, call, len(request.rows), on_encoded=text.measure)
    reset_peak()
    try:
        if request.num_nouns == 0:
            return _plain(run)
        outcome = (
            one_pass(run, looker, text)
            if mode == "one-pass"
            else restart(run, looker, text, rounds)
        )
    except torch.OutOfMemoryError as error:
        if on_oom == "raise":
            raise OutOfMemoryError(
                f"out of memory at a peak of {peak_bytes() / 2**30:.1f} GiB while counting; try "
                "fewer frames or a smaller frame, pipe.enable_model_cpu_offload(), or "
                'on_oom="unguided" for a plain run'
            ) from error
        warnings.warn("out of memory under guidance; running plainly", stacklevel=3)
        return _plain(run, failed=True)
    seen = any(looker.looks) or looker.unusable
    if not seen and not getattr(pipe, "interrupt", False):
        raise CaptureMissedError(
            "the run ended without a look: the layers to be looked at never ran. Disable the "
            "transformer's cache (disable_cache()) and try again"
        )
    if looker.unusable:
        warnings.warn(
            "a look changed nothing: "
            + "; ".join(f"video {row}, {why}" for row, why in sorted(looker.unusable.items())),
            stacklevel=3,
        )
    return outcome


def _plain(run: PipelineRun, failed: bool = False) -> Outcome:
    attempt = run.attempt({}, "generate")
    return Outcome(
        attempt.output, False, (), replace(attempt.cost, forwards=0.0), attempt.cost, failed
    )


def _settled_mode(mode: Mode | None, method: Method) -> Mode:
    if mode is None:
        return "one-pass" if method.looks else "restart"
    if mode not in ("one-pass", "restart"):
        raise ValueError(f'mode must be "one-pass" or "restart", got {mode!r}')
    if mode == "one-pass" and not method.looks:
        raise ValueError(f'preset {method.name!r} has no one-pass mode; use mode="restart"')
    return mode


def _report(
    row: int, looker: Looker, outcome: Outcome, policy: Policy, settings: dict[str, Any]
) -> CountReport:
    asked = looker.request.rows[row]
    decision, reason = _decision(row, looker, outcome, policy)
    return CountReport(
        prompt=asked.prompt,
        targets=tuple(
            TargetRecord(target.noun, target.phrase, target.count, target.spans)
            for target in asked.targets
        ),
        decision=decision,
        reason=reason,
        looks=tuple(looker.looks[row]),
        strengths=outcome.strengths if decision == "guided" else (),
        identify=outcome.identify,
        total=replace(outcome.total, peak_bytes=peak_bytes()),
        settings=settings,
    )


def _decision(row: int, looker: Looker, outcome: Outcome, policy: Policy) -> tuple[Decision, str]:
    asked: CountRequest = looker.request
    prompt, targets = asked.rows[row].prompt, asked.rows[row].targets
    if not targets:
        doubts = "; ".join(f"{each.noun}: {each.reason}" for each in abstentions(prompt, policy))
        return "continued", "the prompt names no count" + (f" ({doubts})" if doubts else "")
    if outcome.failed:
        return "unguided", "guidance ran out of memory, so the plain run was made"
    edits = [look.edit for look in looker.looks[row] if not look.edit.is_empty]
    if not edits:
        if row in looker.unusable:
            return "unguided", looker.unusable[row]
        return "continued", "the layout already held every count asked for"
    if not outcome.guided:
        return "unguided", "the count was found wrong, but too late to guide"
    seen = edits[0].before
    wrong = [
        f"{seen.count(noun)} instead of {target.count} for {target.phrase!r}"
        for noun, target in enumerate(targets)
        if seen.count(noun) != target.count
    ]
    return "guided", "the layout held " + " and ".join(wrong or ["other counts in some frames"])
