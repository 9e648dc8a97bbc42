"""What an attempt enforces: attention that follows a layout, and predictions that show it."""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from numina.attend import Moment, Prediction, Watch
from numina.attention.guide import Guide
from numina.attention.text import Text
from numina.generation.run import PipelineRun
from numina.guidance.erasure import Erasure
from numina.guidance.grafting import Grafting
from numina.layout import LayoutEdit
from numina.methods.method import Method, Mode


class Enforcement:
    """Idle until it is told the edits, which it may be again and again.

    Args:
        method: Whose targets, schedule, erasure and grafting they are.
        run: The pipeline call.
        text: Nouns of the text keys.
        num_nouns: The most that a video of the batch has.
        mode: When guidance sets in.

    Attributes:
        guide: The attention function of every cross-attention layer.
        erasure: Takes removed instances out of every prediction.
        grafting: Puts the likeness of others where instances are added.
    """

    def __init__(
        self, method: Method, run: PipelineRun, text: Text, num_nouns: int, mode: Mode
    ) -> None:
        steps = len(run.noises)

        def strength(now: Moment | Prediction) -> float:
            return method.strength(now.noise, now.step / steps)

        self._method = method
        self._num_nouns = num_nouns
        self.guide = Guide(text, strength)
        self.erasure = Erasure(method.erasure, strength)
        # In one pass, what is to be copied has its shape already, and so has the place.
        self.grafting = Grafting(method.grafting if mode == "restart" else None, strength)

    def enforce(self, edits: Sequence[LayoutEdit | None]) -> None:
        """Enforce the edits from the next layer on; None leaves a video of the batch alone."""
        self.guide.enforce(self._method.plan(edits, self._num_nouns))
        self.erasure.remove(edits)
        self.grafting.add(edits)

    def grafted(self, watch: Watch) -> Watch:
        """Predictions as ``watch`` leaves them, and grafted.

        Whoever looks through ``watch`` is not shown the copies of this step: an instance that the
        model itself does not take up must be seen to be missing.
        """

        def change(prediction: Prediction) -> Tensor | None:
            changed = watch(prediction)
            if changed is not None:
                prediction = replace(prediction, velocity=prediction.velocity + changed)
            graft = self.grafting(prediction)
            if changed is None or graft is None:
                return graft if changed is None else changed
            return changed + graft

        return change
