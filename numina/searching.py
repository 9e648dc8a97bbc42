"""search(): the first seed whose layout counts right; the best one is guided where none does."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numina.errors import PromptError
from numina.generation.guard import memory_watched, require_look
from numina.generation.reporting import report_of
from numina.generation.request import Counts, enhanced, resolve_request
from numina.generation.run import PipelineRun, denoisers
from numina.generation.seed_search import TriedSeed, search_seeds
from numina.generation.seeding import require_one_prompt, require_seeded
from numina.integrations import adapter_for
from numina.methods.method import Method
from numina.methods.presets import method_named
from numina.prompt.counts import Policy
from numina.prompt.enhancement import Enhance
from numina.record import CountReport


@dataclass(frozen=True, eq=False)
class FoundVideo:
    """The video of a search.

    Attributes:
        frames: What the pipeline returned as frames, in the ``output_type`` asked for.
        report: The story of that video; its total cost is that of the search.
        seed: The seed it was made from.
        tried: All seeds that were looked at, in that order.
    """

    frames: Any
    report: CountReport
    seed: int
    tried: tuple[TriedSeed, ...]


def search(
    pipe: Any,
    prompt: str,
    *,
    seeds: Sequence[int] = range(5),
    counts: Counts = "required",
    preset: str | Method = "robust",
    rounds: int = 1,
    policy: Policy = "subjects",
    enhance: Enhance | None = None,
    **call: Any,
) -> FoundVideo:
    """Try seeds until the layout of one holds the number of things that the prompt asks for.

    Every seed is run plainly up to the look of restart mode. The first one that is right there is
    finished, and gives the video of the plain pipeline bit for bit. Where none is, the one that
    is off by the fewest instances is run again under guidance. A seed that is left costs only
    the steps before the look, for the robust preset about 0.6 of a run where the noise levels have
    a shift of 3.

    Args:
        pipe: A diffusers pipeline over a transformer that numina has an adapter for.
        prompt: One prompt.
        seeds: What to try, in this order; each is a seed of a generator on the CPU.
        counts: What to count, as in ``generate``.
        preset: ``"robust"``, ``"paper"``, or a ``Method`` of your own.
        rounds: Guided runs that may follow where no seed is right; 0 makes the best one plainly.
        policy: What an article counts as, as in ``generate``.
        enhance: Rewrites the prompt before it is drawn, as in ``generate``.
        **call: The pipeline's own arguments, e.g. ``num_frames``; no generator.

    Returns:
        The video and what was tried.

    Raises:
        PromptError: If the prompt is no single prompt, or names nothing to count.
        ValueError: Without a seed, with one that comes twice, or if the noise is given.
        NuminaError: Whatever else ``generate`` raises.
    """
    require_one_prompt(prompt)
    require_seeded(call, "seeds=")
    _require_seeds(seeds)
    if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 0:
        raise ValueError(f"rounds must be an integer of at least 0, got {rounds!r}")
    method = method_named(preset) if isinstance(preset, str) else preset
    written: Any = prompt
    if enhance is not None:
        written, counts = enhanced(prompt, counts, policy, enhance)
    adapter = adapter_for(denoisers(pipe)[0])
    request = resolve_request(pipe, written, counts, policy, adapter, call)
    if request.num_nouns == 0:
        raise PromptError(
            f"no count was found in {prompt!r}, so no seed is better than another; say what to "
            'count, e.g. counts={"cats": 3}'
        )
    text = request.text()
    run = PipelineRun(pipe, {"prompt": written, **call}, on_encoded=text.measure)
    with memory_watched("a plain call of the pipeline"):
        found = search_seeds(run, request, method, text, seeds, rounds)
    require_look(pipe, found.looker)
    settings: dict[str, Any] = {
        "preset": method.name,
        "mode": "search",
        "rounds": rounds,
        "seed": found.seed,
        "seeds tried": len(found.tried),
    }
    report = report_of(0, found.looker, found.outcome, policy, settings)
    output = found.outcome.output
    frames = output[0] if isinstance(output, tuple) else output.frames
    return FoundVideo(frames, report, found.seed, found.tried)


def _require_seeds(seeds: Sequence[int]) -> None:
    if not seeds:
        raise ValueError("seeds must name at least one seed, got none")
    for seed in seeds:
        whole = isinstance(seed, int) and not isinstance(seed, bool)
        # The generator of the CPU knows a seed by its lower 32 bits alone.
        if not whole or not 0 <= seed < 2**32:
            raise ValueError(f"seeds must be integers in [0, 2**32), got {seed!r}")
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must differ, got {list(seeds)}")
