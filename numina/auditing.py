"""audit(): count what a plain run is about to draw, and guide nothing."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from numina.audit_record import AuditedNoun, AuditRecord, Plain
from numina.generation.request import Counts
from numina.generation.seeding import require_one_prompt, require_seeded, seeded
from numina.layout import Layout
from numina.methods.observing import Observing
from numina.methods.robust import Robust
from numina.pipeline import generate
from numina.prompt.counts import Policy
from numina.record import CountReport
from numina.refine.quotas import frame_of, members, quotas_of
from numina.versions import installed_versions

# What only matters to guidance.
_OF_GUIDANCE = ("preset", "mode", "rounds", "on_oom")


@dataclass(frozen=True, eq=False)
class Audit:
    """An audited video.

    Attributes:
        record: What was asked for and seen.
        frames: What the pipeline returned as frames, in the ``output_type`` asked for.
        layout: The instances seen, ``[F, Y, X]``; None without a usable look.
    """

    record: AuditRecord
    frames: Any
    layout: Layout | None


def audit(
    pipe: Any,
    prompt: str,
    *,
    counts: Counts = "auto",
    policy: Policy = "subjects",
    seed: int = 0,
    method: Robust | None = None,
    model: str | None = None,
    revision: str | None = None,
    **call: Any,
) -> Audit:
    """Run a pipeline as it is, and say whether it draws the counts that the prompt asks for.

    The run is looked at once, at the noise level at which restart mode decides. The video is that
    of the plain pipeline bit for bit, and no forward pass is added.

    Args:
        pipe: A diffusers pipeline over a transformer that numina has an adapter for.
        prompt: One prompt.
        counts: What to count, as in ``generate``.
        policy: What an article counts as, as in ``generate``.
        seed: Seed of the noise, drawn by a generator on the CPU.
        method: Who looks; by default the robust preset.
        model: Name for the record; by default the pipeline's own.
        revision: Commit of a model from the hub, for the record.
        **call: The pipeline's own arguments, e.g. ``num_frames``; no generator.

    Returns:
        The record, the frames and the layout. A noun of which nothing could be seen is flagged.

    Raises:
        PromptError: If the prompt is no single prompt, or cannot be used.
        TypeError: If ``method`` is no robust one, or an argument belongs to guidance.
        ValueError: If the noise is given, or several videos are asked for.
        NuminaError: Whatever else ``generate`` raises.
    """
    require_one_prompt(prompt)
    method = Robust() if method is None else method
    if not isinstance(method, Robust):
        raise TypeError(
            f"method must be a Robust, got {type(method).__name__}: others do not link instances "
            "over the frames, so a video has no one count"
        )
    _check_call(call)
    video = generate(
        pipe,
        prompt,
        counts=counts,
        preset=Observing(method),
        mode="restart",
        policy=policy,
        generator=seeded(seed),
        **call,
    )
    look = video.report.looks[0] if video.report.looks else None
    layout = None if look is None else look.edit.before
    record = AuditRecord(
        prompt=prompt,
        seed=seed,
        model=model or getattr(pipe, "name_or_path", None) or type(pipe).__name__,
        nouns=_nouns(video.report, layout),
        step=None if look is None else look.step,
        noise=None if look is None else look.noise,
        versions={**installed_versions(), **({"model revision": revision} if revision else {})},
        settings={"method": method.name, "policy": policy, **_plain(call)},
    )
    return Audit(record, video.frames, layout)


def _check_call(call: dict[str, Any]) -> None:
    for name in _OF_GUIDANCE:
        if name in call:
            raise TypeError(f"audit guides nothing, so it takes no {name}; leave it out")
    require_seeded(call, "seed=")


def _nouns(report: CountReport, layout: Layout | None) -> tuple[AuditedNoun, ...]:
    """Every noun with its counts, place by place where the prompt names places."""
    asked = [target.count for target in report.targets]
    places = [target.places for target in report.targets]
    # Without a layout nothing is counted, so any frame that has all places will do.
    seen = Layout(np.zeros((1, 8, 8), np.int16), ()) if layout is None else layout
    quotas = quotas_of(asked, places, frame_of(seen))
    return tuple(
        AuditedNoun(
            f"{report.targets[quota.noun].phrase} {quota.phrase}".strip(),
            quota.count,
            None if layout is None else len(labels),
        )
        for quota, labels in zip(quotas, members(seen, quotas), strict=True)
    )


def _plain(call: dict[str, Any]) -> dict[str, Plain]:
    """The arguments that JSON can hold: sizes, scales and texts, no tensors or callbacks."""
    return {
        name: value
        for name, value in call.items()
        if value is None
        or isinstance(value, str | int)
        or (isinstance(value, float) and math.isfinite(value))
    }
