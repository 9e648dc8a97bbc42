"""Which noun each text key belongs to."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .errors import LayoutError
from .padding import folded_length

NO_NOUN = -1
MAX_NOUNS = torch.iinfo(torch.int8).max


@dataclass(frozen=True, eq=False)
class KeyGroups:
    """The noun of every text key.

    Built once per prompt. The values are checked here, which waits for the device, so that no
    operation has to look at them again.

    Attributes:
        index: Noun of each key, ``[B, K]`` or ``[1, K]`` int8, -1 for none.
        count: Number of nouns ``G``, 0..127. A noun may have no key.
        columns: Keys that belong to a noun in at least one batch row, ``[T]`` int64, ascending.

    Raises:
        LayoutError: If ``index`` has another shape or dtype, or names a noun that is not there.
    """

    index: Tensor
    count: int
    columns: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.index.ndim != 2 or self.index.dtype != torch.int8:
            raise LayoutError(
                f"index must be [B or 1, K] int8, got {tuple(self.index.shape)} {self.index.dtype}"
            )
        if not 0 <= self.count <= MAX_NOUNS:
            raise LayoutError(f"count must be 0..{MAX_NOUNS}, got {self.count}")
        if self.index.numel():
            low, high = (int(value) for value in self.index.aminmax())
            if low < NO_NOUN or high >= self.count:
                raise LayoutError(
                    f"index must hold -1..{self.count - 1} for {self.count} nouns, "
                    f"got {low}..{high}"
                )
        columns = (self.index != NO_NOUN).any(dim=0).nonzero()[:, 0]
        object.__setattr__(self, "columns", columns)

    @classmethod
    def from_positions(
        cls, positions: Sequence[Sequence[int]], keys: int, device: torch.device | str = "cpu"
    ) -> "KeyGroups":
        """Build the groups of one prompt from the token positions of each noun.

        Args:
            positions: Token positions of each noun, 0-based.
            keys: Number of text keys ``K``.
            device: Where the groups live.

        Raises:
            LayoutError: If a position is outside the text or belongs to two nouns.
        """
        index = [NO_NOUN] * keys
        for noun, tokens in enumerate(positions):
            for token in tokens:
                if not 0 <= token < keys:
                    raise LayoutError(f"token {token} of noun {noun} is outside the {keys} keys")
                if index[token] not in (NO_NOUN, noun):
                    raise LayoutError(
                        f"token {token} belongs to noun {index[token]} and to noun {noun}"
                    )
                index[token] = noun
        return cls(torch.tensor([index], dtype=torch.int8, device=device), len(positions))

    def fold(self, lengths: Sequence[int]) -> "KeyGroups":
        """Groups of the keys that ``fold_padding`` keeps.

        Args:
            lengths: Real keys of each batch row, as ``find_padding`` returns them.

        Raises:
            LayoutError: If a noun owns a padding key.
        """
        keys = self.index.shape[1]
        kept = folded_length(lengths, keys)
        if kept < keys and bool((self.index[:, kept - 1 :] != NO_NOUN).any()):
            raise LayoutError(f"a noun owns a key at {kept - 1} or later, where all is padding")
        return KeyGroups(self.index[:, :kept], self.count)

    def nouns_last(self) -> tuple[Tensor, "KeyGroups"]:
        """Put the keys of nouns behind all others.

        Attention does not care about the order of keys, and text keys carry no position. So a
        text, or its keys and values, may be reordered once per prompt,
        ``key.index_select(1, order)``: what a bias can touch is then one end of it, and a
        streaming kernel treats all that comes before as plain. Never waits for the device.

        Returns:
            The order of the keys, ``[K]`` int64, and their groups in that order.
        """
        keys, count = self.index.shape[1], self.columns.numel()
        owned = torch.zeros(keys, dtype=torch.int8, device=self.index.device)
        order = owned.index_fill(0, self.columns, 1).argsort(stable=True)
        columns = torch.arange(keys - count, keys, device=self.index.device)
        index = self.index.index_select(1, order)
        return order, KeyGroups.trusted(index, self.count, columns)

    def to(self, device: torch.device | str) -> "KeyGroups":
        """The same groups on ``device``; nothing is checked again."""
        return KeyGroups.trusted(self.index.to(device), self.count, self.columns.to(device))

    @classmethod
    def trusted(cls, index: Tensor, count: int, columns: Tensor) -> "KeyGroups":
        """Groups from tensors that were already checked. Reads no value, so it never waits."""
        groups = object.__new__(cls)
        object.__setattr__(groups, "index", index)
        object.__setattr__(groups, "count", count)
        object.__setattr__(groups, "columns", columns)
        return groups
