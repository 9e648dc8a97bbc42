"""The text a model attends to: which keys name which noun, and how many are only padding."""

from torch import Tensor

from numina.attend import Moment, conditional
from numina.attention.reading import CrossReading, JointReading, Reading
from numina_kernels.key_groups import KeyGroups
from numina_kernels.padding import FoldedKeys, find_padding, fold_padding


class Text:
    """Text keys of a batch.

    Args:
        groups: Noun of every key, ``[B, K]``, padding included.
        may_fold: False where padding must stay (the embeddings may change between steps).
    """

    def __init__(self, groups: KeyGroups, may_fold: bool = True) -> None:
        self.groups = groups
        self._may_fold = may_fold
        self._lengths: tuple[int, ...] | None = None

    def measure(self, embeddings: Tensor) -> None:
        """Find the padding in the prompt embeddings ``[B, K, C]``, once they are known."""
        if self._may_fold and embeddings.shape[1] == self.groups.index.shape[1]:
            self._lengths = find_padding(embeddings)

    def reading(self, query: Tensor, key: Tensor, value: Tensor, moment: Moment) -> Reading:
        """How the conditional rows of a layer read this text.

        Args:
            query: ``[B, S, H, D]``: of the video, or of text and video in a joint attention.
            key: ``[B, K, H, D]``: of the text, or of text and video.
            value: Same shape as ``key``.
            moment: Where the run stands, and how a joint sequence is laid out.
        """
        query, key, value = (conditional(moment.branch, x) for x in (query, key, value))
        groups, mask = self.groups.to(key.device), moment.key_offset
        if mask is not None:
            mask = conditional(moment.branch, mask)
        if moment.joint is not None:
            return JointReading(moment.joint, query, key, value, groups, mask)
        if mask is not None:
            # What a model masks itself is no padding that it attends to.
            return CrossReading(query, FoldedKeys(key, value, mask), groups)
        return CrossReading(query, *self.fold(key, value))

    def fold(self, key: Tensor, value: Tensor) -> tuple[FoldedKeys, KeyGroups]:
        """Keys, values and groups without the padding that all rows share; an exact identity."""
        if self._lengths is None:
            return FoldedKeys(key, value, None), self.groups.to(key.device)
        folded = fold_padding(key, value, self._lengths)
        return folded, _shortened(self.groups, folded.key.shape[1]).to(key.device)


def _shortened(groups: KeyGroups, keys: int) -> KeyGroups:
    """The first ``keys`` columns. Nouns stand among the real tokens, so none is cut off."""
    return KeyGroups.trusted(groups.index[:, :keys], groups.count, groups.columns)
