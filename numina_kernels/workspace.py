"""Bytes that the operations take beside their inputs and outputs, without running anything."""

from dataclasses import dataclass

from .eager.tiles import MIN_QUERIES, SCORE_BYTES, SCORE_BYTES_ELSEWHERE
from .errors import ImplementationError
from .impl import Impl

# Sums, probabilities and log-sum-exps of all implementations are float32 for inputs up to it.
FLOAT = 4
# Of csrc/attend.cpp: what is packed at once, and what rounding to cache lines and lanes adds.
_PACKED_BYTES = 64 << 20
_LINE = 64


@dataclass(frozen=True)
class AttentionSize:
    """The sizes of one call of an operation, on inputs of at most 32 bits.

    Attributes:
        batch: ``B``.
        queries: ``Q``.
        keys: ``K``.
        heads: ``H``.
        head_dim: ``D``, of queries, keys and values.
        nouns: ``G``.
        noun_keys: Keys that have a noun, ``T``.
    """

    batch: int
    queries: int
    keys: int
    heads: int
    head_dim: int
    nouns: int
    noun_keys: int


def token_probs_bytes(size: AttentionSize, impl: Impl, device_type: str) -> int:
    """Most bytes that ``token_probs`` holds at once beside its inputs and its output.

    Args:
        size: Of the call.
        impl: Who computes it; never the reference, which materialises maps.
        device_type: ``"cpu"``, ``"cuda"``, ...

    Raises:
        ImplementationError: If ``impl`` materialises maps.
    """
    lse = FLOAT * size.batch * size.heads * size.queries
    if impl is Impl.TRITON:
        return lse
    if impl is Impl.CPU:
        return _packed_bytes(size, values=False)
    tiles = _Tiles.of(size, impl, device_type)
    # The scores of its noun keys before and after they are normalised, then one number a noun.
    return tiles.score_bytes() + tiles.per_query_bytes(2 * size.noun_keys + size.nouns)


def biased_attention_bytes(size: AttentionSize, impl: Impl, device_type: str) -> int:
    """Most bytes that ``biased_attention`` holds at once beside its inputs and its output.

    Args:
        size: Of the call.
        impl: As for ``token_probs_bytes``.
        device_type: As for ``token_probs_bytes``.

    Raises:
        ImplementationError: If ``impl`` materialises maps.
    """
    lse = FLOAT * size.batch * size.heads * size.queries
    if impl is Impl.TRITON:
        return lse
    if impl is Impl.CPU:
        return lse + _packed_bytes(size, values=True)
    tiles = _Tiles.of(size, impl, device_type)
    # One head's classes of all queries, of this run of heads and of the one before it.
    classes = 2 * size.batch * size.noun_keys * size.queries
    # Biased scores, their coefficients and the test for infinities; int64 classes for all heads.
    biased = tiles.per_query_bytes(5 * size.noun_keys) + (
        2 * FLOAT * size.batch * tiles.queries * size.noun_keys
    )
    attended = tiles.per_query_bytes(2 * size.head_dim)
    values = tiles.per_key_bytes(2)
    return lse + classes + tiles.score_bytes() + max(biased, attended) + values


@dataclass(frozen=True)
class _Tiles:
    """What the eager implementation walks over: ``heads`` and ``queries`` of a call at a time."""

    size: AttentionSize
    heads: int
    queries: int

    @classmethod
    def of(cls, size: AttentionSize, impl: Impl, device_type: str) -> "_Tiles":
        if impl is not Impl.EAGER:
            raise ImplementationError(
                f"impl {impl.value!r} materialises maps, so it is for small oracles alone; choose "
                "'eager', 'cpu' or 'triton'"
            )
        budget = SCORE_BYTES.get(device_type, SCORE_BYTES_ELSEWHERE) // FLOAT
        row = size.batch * max(size.keys, 1)
        heads = _fitting(budget // (row * max(1, min(size.queries, MIN_QUERIES))), size.heads)
        return cls(size, heads, _fitting(budget // (row * heads), size.queries))

    def score_bytes(self) -> int:
        """Scores, scaled keys and the queries of a tile, with what is left of the one before."""
        several_runs = self.heads < self.size.heads
        scores = self.per_query_bytes(self.size.keys) * (2 if several_runs else 1)
        # Queries before and after they are laid out anew, and five numbers for each of them.
        return scores + self.per_query_bytes(3 * self.size.head_dim + 5) + self.per_key_bytes(2)

    def per_query_bytes(self, numbers: int) -> int:
        """Bytes of so many float32 numbers for each query and head of a tile."""
        return FLOAT * self.size.batch * self.heads * self.queries * numbers

    def per_key_bytes(self, copies: int) -> int:
        """Bytes of float32 copies of the keys of the heads of a tile."""
        return FLOAT * self.size.batch * self.heads * self.size.keys * self.size.head_dim * copies


def _packed_bytes(size: AttentionSize, values: bool) -> int:
    """Keys, and values, that the C++ packs as float32; its threads hold little beside them."""
    rows = FLOAT * size.keys * (size.head_dim * (2 if values else 1) + 2) + 4 * _LINE
    heads = size.batch * size.heads
    return rows * _fitting(_PACKED_BYTES // rows, heads)


def _fitting(number: int, most: int) -> int:
    return max(1, min(number, most))
