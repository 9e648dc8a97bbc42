"""generate(): a diffusers pipeline call whose counts come out right."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from numina.errors import OutOfMemoryError, UnsupportedParallelismError
from numina.generation.guard import memory_watched, require_look
from numina.generation.looking import Looker
from numina.generation.one_pass import one_pass
from numina.generation.outcome import Outcome
from numina.generation.plain import plain_run
from numina.generation.reporting import report_of
from numina.generation.request import Counts, enhanced, resolve_request
from numina.generation.restart import restart
from numina.generation.run import PipelineRun, denoisers
from numina.integrations import adapter_for, is_split
from numina.methods.method import Method, Mode
from numina.methods.presets import method_named
from numina.prompt.counts import Policy
from numina.prompt.enhancement import Enhance
from numina.record import CountReport


@dataclass(frozen=True, eq=False)
class CountedVideo:
    """Videos and the story of their counts.

    Attributes:
        frames: What the pipeline returned as frames, in the ``output_type`` asked for.
        reports: One per video of the batch.
        audio: The sound that the pipeline returned beside them, where it makes any.
    """

    frames: Any
    reports: tuple[CountReport, ...]
    audio: Any = None

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
    enhance: Enhance | None = None,
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
            counts, e.g. ``{"red balls": 2}``, or one mapping per prompt, overrides it. A
            ``Placed(left=2, right=3)`` in place of a count says where in the frame, too.
        preset: ``"robust"``, ``"paper"``, or a ``Method`` of your own.
        mode: ``"one-pass"`` or ``"restart"``; by default the preset's own.
        rounds: Guided runs that restart mode may make, at least 1.
        policy: What an article counts as: ``"explicit"``, ``"subjects"`` or ``"all"``.
        on_oom: ``"unguided"`` runs plainly where guidance runs out of memory.
        enhance: Rewrites each prompt before it is drawn, such as a language model that adds detail.
            The counts are those of the prompt as given; their nouns must still be named. Without
            a count, the prompt is drawn as rewritten.
        **call: The pipeline's own arguments, e.g. ``num_frames``, ``generator``.

    Returns:
        Frames and reports.

    Raises:
        PromptError: If the prompt cannot be used.
        TargetError: If a count cannot be meant. One that the frame has no room for leaves the run
            unguided, with a warning that says how many fit.
        ScheduleError: If the schedule has no step to look at.
        UnsupportedModelError: If numina has no adapter for the transformer.
        AlreadyGuidedError: If another call holds the transformer.
        CaptureMissedError: If the layers to look at never ran.
        RanksDisagreeError: If ranks of a split transformer make different videos.
        UnsupportedParallelismError: If the transformer is split in a way that cannot be followed.
        OutOfMemoryError: If memory runs out and ``on_oom`` is ``"raise"``.
    """
    method = method_named(preset) if isinstance(preset, str) else preset
    mode = settled_mode(mode, method)
    if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 1:
        raise ValueError(f"rounds must be an integer of at least 1, got {rounds!r}")
    if on_oom not in ("raise", "unguided"):
        raise ValueError(f'on_oom must be "raise" or "unguided", got {on_oom!r}')
    if on_oom == "unguided" and any(is_split(model) for model in denoisers(pipe)):
        raise UnsupportedParallelismError(
            'on_oom="unguided" on a transformer that is split over devices: a rank that runs out '
            "of memory alone would run plainly while the others wait for it; leave on_oom out"
        )
    adapter = adapter_for(denoisers(pipe)[0])
    if enhance is not None:
        prompt, counts = enhanced(prompt, counts, policy, enhance)
    request = resolve_request(pipe, prompt, counts, policy, adapter, call)
    call = {"prompt": prompt if isinstance(prompt, str) else list(prompt), **call}

    looker = Looker(method, request)
    outcome = _outcome(pipe, call, looker, mode, rounds, on_oom)
    if request.num_nouns and not outcome.forgone:
        require_look(pipe, looker)
    settings: dict[str, Any] = {"preset": method.name, "mode": mode, "rounds": rounds}
    reports = tuple(
        report_of(row, looker, outcome, policy, settings) for row in range(len(request.rows))
    )
    output = outcome.output
    if isinstance(output, tuple):
        frames, audio, *_ = *output, None
    else:
        frames, audio = output.frames, getattr(output, "audio", None)
    return CountedVideo(frames, reports, audio)


def _outcome(
    pipe: Any, call: Mapping[str, Any], looker: Looker, mode: Mode, rounds: int, on_oom: str
) -> Outcome:
    request = looker.request
    text = request.text()
    run = PipelineRun(pipe, call, len(request.rows), on_encoded=text.measure)
    try:
        with memory_watched('on_oom="unguided" for a plain run'):
            if request.num_nouns == 0:
                return plain_run(run)
            if mode == "one-pass":
                return one_pass(run, looker, text)
            return restart(run, looker, text, rounds)
    except OutOfMemoryError:
        if on_oom == "raise":
            raise
        warnings.warn("out of memory under guidance; running plainly", stacklevel=3)
        return plain_run(run, forgone="guidance ran out of memory, so the plain run was made")


def settled_mode(mode: Mode | None, method: Method) -> Mode:
    """The mode that is asked for, or the method's own.

    Raises:
        ValueError: If there is none of that name, or the method has no one-pass mode.
    """
    if mode is None:
        return "one-pass" if method.looks else "restart"
    if mode not in ("one-pass", "restart"):
        raise ValueError(f'mode must be "one-pass" or "restart", got {mode!r}')
    if mode == "one-pass" and not method.looks:
        raise ValueError(f'preset {method.name!r} has no one-pass mode; use mode="restart"')
    return mode
