"""Restart: identify in a first run, stop it if the count is wrong, guide a second one."""

from numina.attend import Attend, Moment
from numina.attention.capture import Recorder
from numina.attention.clean_prediction import CleanPrediction
from numina.attention.guide import Guide, Plan
from numina.attention.text import Text
from numina.generation.looking import Looker
from numina.generation.outcome import Outcome
from numina.generation.run import PipelineRun, first_step_at, stop_at, strength_of
from numina.integrations import Site
from numina.record import Cost


def restart(run: PipelineRun, looker: Looker, text: Text, rounds: int) -> Outcome:
    """Generate, and generate again from the same noise as long as the verdict is "wrong".

    The look is taken in the conditional pass of the first step at the method's noise level, as
    soon as the deepest layer it needs has attended. Right counts let the run go on, so that it
    is the plain run bit for bit; wrong ones stop it there (arXiv 2604.08546, section 4).

    Args:
        run: The pipeline call.
        looker: Looks at it.
        text: Nouns of the text keys.
        rounds: Guided runs that may follow the first one, at least 1.
    """
    method = looker.method
    step = first_step_at(run.noises, method.verdict)
    captured = method.capture.cross_layers(run.num_layers)
    features = method.capture.feature_layer(run.num_layers)
    plan: Plan | None = None
    identify = total = Cost(0.0, 0.0)

    for round_ in range(rounds + 1):
        guide = Guide(text, strength_of(method, len(run.noises)))
        if plan is not None:
            guide.enforce(plan)
        clean = CleanPrediction(run.guidance_scale)
        judge = _Judge(looker, clean, captured[-1], round_, may_stop=round_ < rounds)
        recorder = Recorder(text, {step}, inner=guide, on_recorded=judge)

        attends: dict[Site, Attend] = {}
        if plan is not None:
            attends |= {Site(layer, "cross"): guide for layer in range(run.num_layers)}
        attends |= {Site(layer, "cross"): recorder.cross for layer in captured}
        if features is not None:
            attends[Site(features, "self")] = recorder.self_attention
        attempt = run.attempt(attends, "identify" if plan is None else "guide", clean)

        total += attempt.cost
        if round_ == 0:
            identify = attempt.cost
        if judge.plan is None:
            strengths = tuple(guide.strengths.values())
            return Outcome(attempt.output, plan is not None, strengths, identify, total)
        plan = judge.plan
    raise AssertionError("the last round never stops")


class _Judge:
    """Decides in the middle of a forward pass, and ends the run where the count is wrong."""

    def __init__(
        self, looker: Looker, clean: CleanPrediction, last_layer: int, round_: int, may_stop: bool
    ) -> None:
        self._looker = looker
        self._clean = clean
        self._last_layer = last_layer
        self._round = round_
        self._may_stop = may_stop
        self.plan: Plan | None = None

    def __call__(self, recorder: Recorder, moment: Moment) -> None:
        if moment.layer != self._last_layer:
            return
        # The clean latent of the step before: this step's own would cost its whole forward.
        verdict = self._looker.look(recorder.captures(self._clean.latents), self._round)
        if self._may_stop and not verdict.is_right:
            nouns = self._looker.request.num_nouns
            self.plan = self._looker.method.plan(verdict.edits, nouns, "restart")
            raise stop_at(moment)
