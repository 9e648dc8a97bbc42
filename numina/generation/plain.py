"""The pipeline as it is: what is made where there is nothing to count, or nothing to be done."""

from numina.generation.outcome import Outcome
from numina.generation.run import PipelineRun
from numina.record import Cost

NOTHING = Cost(0.0, 0.0)


def plain_run(run: PipelineRun, spent: Cost = NOTHING, forgone: str = "") -> Outcome:
    """Call the pipeline with nothing attached.

    Args:
        run: The pipeline call.
        spent: What was spent before.
        forgone: Why no plan is enforced that might have been.
    """
    attempt = run.attempt({}, "generate")
    return Outcome(attempt.output, False, (), spent, spent + attempt.cost, forgone)
