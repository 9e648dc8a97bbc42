"""What an attempt enforces: attention that follows a layout, and removed instances erased."""

from collections.abc import Sequence

from numina.attend import Moment, Prediction
from numina.attention.guide import Guide
from numina.attention.text import Text
from numina.generation.run import PipelineRun
from numina.guidance.erasure import Erasure
from numina.layout import LayoutEdit
from numina.methods.method import Method, Mode


class Enforcement:
    """Idle until it is told the edits, which it may be again and again.

    Args:
        method: Whose targets, schedule and erasure they are.
        run: The pipeline call.
        text: Nouns of the text keys.
        num_nouns: The most that a video of the batch has.
        mode: When guidance sets in.

    Attributes:
        guide: The attention function of every cross-attention layer.
        erasure: What changes every prediction.
    """

    def __init__(
        self, method: Method, run: PipelineRun, text: Text, num_nouns: int, mode: Mode
    ) -> None:
        steps = len(run.noises)

        def strength(now: Moment | Prediction) -> float:
            return method.strength(now.noise, now.step / steps)

        self._method = method
        self._num_nouns = num_nouns
        self._mode: Mode = mode
        self.guide = Guide(text, strength)
        self.erasure = Erasure(method.erasure, strength)

    def enforce(self, edits: Sequence[LayoutEdit | None]) -> None:
        """Enforce the edits from the next layer on; None leaves a video of the batch alone."""
        self.guide.enforce(self._method.plan(edits, self._num_nouns, self._mode))
        self.erasure.remove(edits)
