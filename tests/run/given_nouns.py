"""Two nouns of a text, and a plan that takes the first away from some patches."""

import torch

from numina.attention.guide import Guide
from numina.attention.text import Text
from numina.generation.run import PipelineRun
from numina_kernels import BiasMode, KeyGroups, LayoutBias
from tests.calls import wide_call
from tests.tiny_cogvideox import TEXT_KEYS

NOUNS = ((3, 4), (6,))


def text(keys=TEXT_KEYS) -> Text:
    return Text(KeyGroups.from_positions(NOUNS, keys))


def attend_with(pipe, attends):
    return PipelineRun(pipe, wide_call(pipe)).attempt(attends, "").output.frames


class Suppression:
    """A plan that takes the first noun away from the first ``patches`` queries of the video."""

    def __init__(self, patches, score=-1e4):
        self.patches, self.score = patches, score

    def bias(self, query, text, groups, strength, moment):
        labels = torch.zeros(1, 2, query.shape[1], dtype=torch.int8)
        labels[:, 0, : self.patches] = 1
        return LayoutBias(
            labels=labels,
            groups=groups,
            table=torch.tensor([0.0, self.score]).expand(1, 1, 2, 2).contiguous(),
            mode=torch.full((1, 2, 2), BiasMode.ADD, dtype=torch.int8),
            strength=strength,
            key_offset=text.key_offset,
        )


def guide(patches, strength=1.0, keys=TEXT_KEYS):
    guide = Guide(text(keys), lambda moment: strength)
    guide.enforce(Suppression(patches))
    return guide
