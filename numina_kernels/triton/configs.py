"""Launch configurations as data: how large a tile, how many warps, how deep a pipeline.

There is no autotuning: every process would tune again, and the first steps would not be
repeatable. Each choice was made on registers, spills and shared memory of the machine code, which
``benchmarks/compile_check.py`` prints for all of them; none was timed yet. A configuration is
followed by smaller ones for devices with less shared memory than their family. What ``numina tune``
found on a card (``config_file.py``) comes before them all.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

INTERPRETER = 0
ARCHITECTURES = (80, 90, 100)
# Of float32 each tile is twice as large and is split in three products.
MOST_HEAD_DIM = {16: 256, 32: 128}
# Head dimensions that have configurations of their own; others take that of the next larger one.
WIDTHS = (16, 32, 64, 96, 128, 256)
# Columns of one product with a map; more are done in several.
MOST_COLUMNS = {16: 128, 32: 32}


class Form(StrEnum):
    """What is launched, as far as its resources go."""

    STREAM = "stream"  # attention over any number of keys
    ONE_TILE = "one tile"  # attention over keys that fit one tile
    PRODUCT = "product"  # a product with a known log-sum-exp
    PROBS = "probs"  # noun probabilities from a known log-sum-exp
    PEAKS = "peaks"  # their peaks in every frame


class Place(NamedTuple):
    """Where a configuration holds: one line of the table."""

    architecture: int  # compute capability, 90 for 9.0
    form: Form
    bits: int  # 16 or 32, of a number of the query
    width: int  # of `WIDTHS`, for the head dimension, or for the columns if they are more


@dataclass(frozen=True)
class LaunchConfig:
    """Numbers of one launch.

    Attributes:
        block_m: Rows of the result that a program owns.
        block_n: Rows of a tile that streams past; where all fit one tile, the most of them.
        num_warps: Warps of a program; a warp group of Hopper is four.
        num_stages: Tiles in flight.
    """

    block_m: int
    block_n: int
    num_warps: int
    num_stages: int


# So small that a test of a hundred keys has several tiles, so large that it has few programs.
_INTERPRETED = (LaunchConfig(128, 64, 4, 1),)

# 128 x 64 with two warp groups is the largest tile whose masked tail, which holds scores, output
# and the bias of a noun at once, spills nothing: 128 x 128 spills 114 registers on sm_90. Three
# stages take 128 of 227 KiB there.
_WIDE = (LaunchConfig(128, 64, 8, 3),)
# An output of 256 columns takes twice the registers: 128 x 64 spills.
_WIDE_256 = (LaunchConfig(64, 64, 8, 2), LaunchConfig(64, 32, 8, 1))
# No loop, so nothing to keep in flight; up to 128 keys, the text of a long prompt.
_ONE_TILE = (LaunchConfig(128, 128, 8, 1),)
_ONE_TILE_256 = (LaunchConfig(64, 128, 8, 1), LaunchConfig(32, 128, 4, 1))
# Results have few columns, so registers are plenty (82 to 128).
_PRODUCT = (LaunchConfig(128, 64, 8, 3),)
_PRODUCT_256 = (LaunchConfig(128, 64, 8, 2), LaunchConfig(64, 32, 4, 2))
_PROBS = (LaunchConfig(128, 0, 8, 1),)
# Every lane keeps its peaks beside: 128 rows spill 13 registers on sm_100, 64 spill none.
_PEAKS = (LaunchConfig(64, 0, 8, 1),)
# Operands of float32 are split in registers: up to a head dimension of 64 there is room for
# 32 x 64, above it attention with 64 x 32 spills on every architecture, and without values also
# with 32 x 32. Products have few columns and one warp group.
_FLOAT32_64 = (LaunchConfig(32, 64, 8, 2),)
_FLOAT32 = (LaunchConfig(16, 32, 4, 2),)
_FLOAT32_PRODUCT = (LaunchConfig(64, 32, 4, 2),)
_FLOAT32_PROBS = (LaunchConfig(32, 0, 8, 1),)
# Peaks of float32 spill a few registers with 32 rows where the head dimension is 96 or more.
_FLOAT32_PEAKS = (LaunchConfig(16, 0, 8, 1),)
# On sm_100, 16 x 32 spills 2 registers in token_probs, 32 x 64 spills 5 in attention_map_lse.
_FLOAT32_64_SM100 = (LaunchConfig(32, 32, 4, 2),)

_SHARED = {
    (Form.STREAM, 16, 128): _WIDE,
    (Form.STREAM, 16, 256): _WIDE_256,
    (Form.STREAM, 32, 64): _FLOAT32_64,
    (Form.STREAM, 32, 128): _FLOAT32,
    (Form.ONE_TILE, 16, 128): _ONE_TILE,
    (Form.ONE_TILE, 16, 256): _ONE_TILE_256,
    (Form.ONE_TILE, 32, 128): _FLOAT32,
    (Form.PRODUCT, 16, 128): _PRODUCT,
    (Form.PRODUCT, 16, 256): _PRODUCT_256,
    (Form.PRODUCT, 32, 128): _FLOAT32_PRODUCT,
    (Form.PROBS, 16, 256): _PROBS,
    (Form.PROBS, 32, 128): _FLOAT32_PROBS,
    (Form.PEAKS, 16, 256): _PEAKS,
    (Form.PEAKS, 32, 64): _FLOAT32_PROBS,
    (Form.PEAKS, 32, 128): _FLOAT32_PEAKS,
}
# Half the queries on half the warps.
_ONE_TILE_64 = (LaunchConfig(64, 128, 4, 1),)
_TABLE = {
    # Scores, output and operands share the registers here. The padding of 96 to 128 masks loads
    # beside them: 128 x 64 spills 14 registers, 128 x 32 up to 5 with three stages, with two none.
    # Of 128, three stages spill 2 with Triton 3.6, two none. Of 256, 64 queries spill hundreds with
    # any number of keys; 32 x 64 spills 2 with two stages and Triton 3.6, with three none, and
    # where those do not fit, 32 x 32 spills none. The one tile with 128 queries on eight warps
    # spills 8 where the head dimension is 64, with 64 on four none. Products of float32 spill 200
    # with 32 keys in any tile, with 16 none; those of 16 bits, and peaks of a head dimension of
    # 256, spill a few on eight warps with Triton 3.6.
    80: _SHARED
    | {
        (Form.STREAM, 16, 64): _WIDE,
        (Form.STREAM, 16, 96): (LaunchConfig(128, 32, 8, 2),),
        (Form.STREAM, 16, 128): (LaunchConfig(128, 64, 8, 2),),
        (Form.STREAM, 16, 256): (LaunchConfig(32, 64, 8, 3), LaunchConfig(32, 32, 8, 2)),
        (Form.ONE_TILE, 16, 128): _ONE_TILE_64,
        (Form.PRODUCT, 16, 64): _PRODUCT,
        (Form.PRODUCT, 16, 128): (LaunchConfig(128, 64, 4, 3),),
        (Form.PRODUCT, 32, 64): _FLOAT32_PRODUCT,
        (Form.PRODUCT, 32, 128): (LaunchConfig(64, 16, 4, 2),),
        (Form.PEAKS, 16, 128): _PEAKS,
        (Form.PEAKS, 16, 256): (LaunchConfig(64, 0, 4, 1),),
    },
    90: _SHARED,
    # Tensor memory hands the scores of a tile to registers at once: with 128 queries and 64 keys
    # on eight warps the one tile spills 50 registers, with 64 queries on four none. Up to a head
    # dimension of 64 the compiler keeps eight warps to 128 registers, and what needs more spills
    # up to 37; only the one tile is small enough there. Products of float32 spill 373 with 64 x 16,
    # and streams of float32 a few with 32 x 64 and Triton 3.6.
    100: _SHARED
    | {
        (Form.STREAM, 16, 64): (LaunchConfig(64, 64, 4, 3),),
        (Form.STREAM, 32, 64): _FLOAT32_64_SM100,
        (Form.ONE_TILE, 16, 64): (LaunchConfig(64, 128, 8, 1),),
        (Form.ONE_TILE, 16, 128): _ONE_TILE_64,
        (Form.ONE_TILE, 16, 256): (LaunchConfig(32, 128, 4, 1),),
        (Form.PRODUCT, 16, 64): (LaunchConfig(128, 64, 4, 3),),
        (Form.PRODUCT, 32, 64): _FLOAT32_PRODUCT,
        (Form.PRODUCT, 32, 128): (LaunchConfig(32, 16, 4, 2),),
        (Form.PEAKS, 16, 64): (LaunchConfig(64, 0, 4, 1),),
    },
}


# What is asked before the table, for this very place: the findings of a card, or a trial. The only
# state of the room, because every launch of the process must see it.
_PREFERRED: dict[Place, tuple[LaunchConfig, ...]] = {}


def width_of(number: int) -> int:
    """The entry of `WIDTHS` that a head dimension or a number of columns belongs to."""
    return next(width for width in WIDTHS if number <= width)


def candidates(architecture: int, form: Form, bits: int, width: int) -> tuple[LaunchConfig, ...]:
    """Configurations from the preferred one to the smallest.

    Args:
        architecture: Compute capability, 90 for 9.0, or ``INTERPRETER``.
        form: What is launched.
        bits: 16 or 32, of a number of the query.
        width: Of `WIDTHS`.
    """
    if architecture == INTERPRETER:
        return _INTERPRETED
    place = Place(architecture, form, bits, width)
    return _PREFERRED[place] if place in _PREFERRED else shipped(place)


def shipped(place: Place) -> tuple[LaunchConfig, ...]:
    """The configurations of the table, whatever a card preferred."""
    # 12.x is named Blackwell but multiplies as Ampere does.
    small = place.architecture < 90 or place.architecture >= 120
    family = 80 if small else place.architecture // 10 * 10
    table = _TABLE[min(family, ARCHITECTURES[-1])]
    widths = sorted(at for *key, at in table if key == [place.form, place.bits])
    return table[place.form, place.bits, next(at for at in widths if place.width <= at)]


def prefer(found: Mapping[Place, LaunchConfig]) -> None:
    """Use ``found`` from now on, each before the shipped ones of its place, and no others."""
    preferred = {place: (config, *shipped(place)) for place, config in found.items()}
    _PREFERRED.clear()
    _PREFERRED.update(preferred)


@contextmanager
def trying(places: Sequence[Place], config: LaunchConfig) -> Iterator[None]:
    """Use ``config`` and nothing else at ``places``, so that one that does not fit fails aloud."""
    before = dict(_PREFERRED)
    _PREFERRED.update(dict.fromkeys(places, (config,)))
    try:
        yield
    finally:
        _PREFERRED.clear()
        _PREFERRED.update(before)
