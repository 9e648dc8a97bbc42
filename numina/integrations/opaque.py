"""One node in a compiled graph: what a processor of ours attends to, whatever the moment.

A step, a branch or a noise level in a graph would be compiled anew for each of them, and what looks
at a run is Python. So a graph holds an operation that takes the processor by number, and all that
happens behind it is out of the compiler's sight. The number is a tensor: a value to the graph, so
that one graph serves all layers. It lies on the CPU: Inductor is to make no CUDA graph of what has
such an input, for a replay would not call the node. That has not been tried on a GPU.
"""

import itertools
from typing import Protocol
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from numina_kernels.joint_sequence import JointSequence


class Attending(Protocol):
    """What is behind the operation."""

    def attend_now(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        joint: JointSequence | None,
        within: bool,
    ) -> Tensor: ...


_LIBRARY = torch.library.Library("numina", "FRAGMENT")
_LIBRARY.define(
    "attend(Tensor query, Tensor key, Tensor value, Tensor? mask, Tensor number, SymInt text, "
    "SymInt video, bool text_first, bool within) -> Tensor"
)
# In place of the numbers of tokens, where text and video are no one sequence.
_SEPARATE = -1
_numbers = itertools.count()
# Every processor that is somewhere installed: a graph knows no more than its number.
_attending: WeakValueDictionary[int, Attending] = WeakValueDictionary()


def number_of(processor: Attending) -> Tensor:
    """A number by which graphs know a processor for as long as it lives."""
    number = next(_numbers)
    _attending[number] = processor
    return torch.tensor(number, device="cpu")


def opaquely(
    number: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    joint: JointSequence | None,
    within: bool,
) -> Tensor:
    """``attend_now`` of the processor with a number, as one node of a graph."""
    tokens = (_SEPARATE, _SEPARATE, False)
    if joint is not None:
        tokens = (joint.text, joint.video, joint.text_first)
    output: Tensor = torch.ops.numina.attend(query, key, value, mask, number, *tokens, within)
    return output


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    number: Tensor,
    text: int,
    video: int,
    text_first: bool,
    within: bool,
) -> Tensor:
    joint = None if text == _SEPARATE else JointSequence(text, video, text_first)
    processor = _attending[int(number)]
    return processor.attend_now(query, key, value, mask, joint, within).contiguous()


def _fake(query: Tensor, key: Tensor, value: Tensor, *_: object) -> Tensor:
    batch, queries, heads, _head_dim = query.shape
    return value.new_empty((batch, queries, heads, value.shape[3]))


_LIBRARY.impl("attend", _attend, "CompositeExplicitAutograd")
torch.library.register_fake("numina::attend", _fake, lib=_LIBRARY)
