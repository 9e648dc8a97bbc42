"""One pass: look after a few early steps and guide the rest of the very same run."""

from torch import Tensor

from numina.attend import Attend
from numina.attention.capture import Recorder
from numina.attention.clean_prediction import CleanPrediction
from numina.attention.text import Text
from numina.generation.enforcement import Enforcement
from numina.generation.headroom import with_headroom
from numina.generation.look_steps import look_steps
from numina.generation.looking import Looker
from numina.generation.outcome import Outcome
from numina.generation.run import PipelineRun
from numina.integrations import Site


def one_pass(run: PipelineRun, looker: Looker, text: Text) -> Outcome:
    """Generate once. No forward pass is added, and none is changed while all counts are right.

    Every look identifies the layout anew: guided steps make it clearer, so a later look may
    correct an earlier one.

    Args:
        run: The pipeline call.
        looker: Looks at it at the method's early noise levels.
        text: Nouns of the text keys.
    """
    method = looker.method
    steps = look_steps(run.noises, method.looks, method.strength)
    enforcement = Enforcement(method, run, text, looker.request.num_nouns, "one-pass")
    guide = enforcement.guide
    captured = method.capture.cross_layers(run.num_layers)
    recorder = Recorder(text, steps, inner=guide, layers=captured)

    def look(step: int, clean: Tensor) -> None:
        if step not in steps:
            return
        seen = recorder.captures(clean, step)
        verdict = looker.look(seen, round_=0, is_last=step == max(steps))
        if not verdict.leaves_all_alone:
            enforcement.enforce(verdict.edits)
            # A cache would go on with what it kept of unguided layers.
            run.empty_caches()

    attends: dict[Site, Attend] = {Site(layer, "cross"): guide for layer in range(run.num_layers)}
    attends |= {Site(layer, "cross"): recorder.cross for layer in captured}
    attends = with_headroom(attends, looker.request, method, run.num_layers)
    watch = CleanPrediction(run.combination, look, inner=enforcement.erasure)
    attempt = run.attempt(attends, "generate", enforcement.grafted(watch))
    return Outcome(
        attempt.output,
        any(strength > 0 for _, strength in guide.strengths.values()),
        tuple(guide.strengths.values()),
        attempt.cost,
        attempt.cost,
    )
