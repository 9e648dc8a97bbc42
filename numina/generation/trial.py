"""A trial: one attempt that is judged on its way, and ended there where it will not do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from numina.attend import Attend, Moment
from numina.attention.capture import Recorder
from numina.attention.clean_prediction import CleanPrediction
from numina.attention.text import Text
from numina.generation.enforcement import Enforcement
from numina.generation.headroom import with_headroom
from numina.generation.look_steps import verdict_step
from numina.generation.looking import Looker, Verdict
from numina.generation.run import PipelineRun, stop_at
from numina.integrations import Site
from numina.layout import LayoutEdit
from numina.record import Cost


@dataclass(frozen=True, eq=False)
class Trial:
    """An attempt and what was thought of it.

    Attributes:
        output: What the pipeline returned, or None where it was stopped.
        verdict: Of its look; None where no look was taken.
        stopped: Whether the verdict ended it.
        strengths: ``(noise, strength)`` of every guided step.
        cost: Of what was run.
    """

    output: Any
    verdict: Verdict | None
    stopped: bool
    strengths: tuple[tuple[float, float], ...]
    cost: Cost


def try_run(
    run: PipelineRun,
    looker: Looker,
    text: Text,
    will_do: Callable[[Verdict], bool],
    edits: Sequence[LayoutEdit | None] | None = None,
    round_: int = 0,
) -> Trial:
    """Make an attempt, look at it once, and end it unless the verdict will do.

    The look is taken in the conditional pass of the first step at the method's noise level, as
    soon as the deepest layer it needs has attended (arXiv 2604.08546, section 4). An attempt
    that enforces nothing and is not ended is the plain run bit for bit.

    Args:
        run: The pipeline call.
        looker: Looks at it.
        text: Nouns of the text keys.
        will_do: Whether the attempt may go on.
        edits: What is enforced from the first step on, one for each video.
        round_: 0 for the unguided run, then 1, 2, … for every guided one.
    """
    method = looker.method
    step = verdict_step(run.noises, method.verdict)
    captured = method.capture.cross_layers(run.num_layers)
    features = method.capture.feature_layer(run.num_layers)
    enforcement = Enforcement(method, run, text, looker.request.num_nouns, "restart")
    guide = enforcement.guide
    if edits is not None:
        enforcement.enforce(edits)
    clean = CleanPrediction(run.combination, inner=enforcement.erasure)
    judge = _Judge(looker, clean, captured[-1], round_, will_do)
    recorder = Recorder(text, {step}, inner=guide, on_recorded=judge, layers=captured)

    attends: dict[Site, Attend] = {}
    if edits is not None:
        attends |= {Site(layer, "cross"): guide for layer in range(run.num_layers)}
    attends |= {Site(layer, "cross"): recorder.cross for layer in captured}
    if features is not None:
        attends[Site(features, "self")] = recorder.self_attention
    attends = with_headroom(attends, looker.request, method, run.num_layers)
    pass_ = "identify" if edits is None else "guide"
    attempt = run.attempt(attends, pass_, enforcement.grafted(clean))
    strengths = tuple(guide.strengths.values())
    return Trial(attempt.output, judge.verdict, judge.stopped, strengths, attempt.cost)


class _Judge:
    """Decides in the middle of a forward pass, and ends the run that will not do."""

    def __init__(
        self,
        looker: Looker,
        clean: CleanPrediction,
        last_layer: int,
        round_: int,
        will_do: Callable[[Verdict], bool],
    ) -> None:
        self._looker = looker
        self._clean = clean
        self._last_layer = last_layer
        self._round = round_
        self._will_do = will_do
        self.verdict: Verdict | None = None
        self.stopped = False

    def __call__(self, recorder: Recorder, moment: Moment) -> None:
        if moment.layer != self._last_layer:
            return
        # The clean latent of the step before: this step's own would cost its whole forward.
        self.verdict = self._looker.look(recorder.captures(self._clean.latents), self._round)
        if not self._will_do(self.verdict):
            self.stopped = True
            raise stop_at(moment)
