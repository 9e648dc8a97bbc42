"""What operations hold beside inputs and outputs: accounted for against measured."""

from dataclasses import replace

import pytest
import torch

from numina_kernels import KeyGroups, LayoutBias, biased_attention, token_probs
from numina_kernels.errors import ImplementationError
from numina_kernels.impl import Impl
from numina_kernels.workspace import AttentionSize, biased_attention_bytes, token_probs_bytes
from tests.held_bytes import most_held

# Every part is taken at its largest, and they are never all alive at once.
SLACK = 2.5
SIZES = [
    AttentionSize(1, 2048, 512, 4, 64, nouns=3, noun_keys=6),
    AttentionSize(2, 1000, 226, 8, 64, nouns=1, noun_keys=2),
    AttentionSize(1, 2000, 2000, 4, 32, nouns=3, noun_keys=9),
    AttentionSize(1, 8000, 128, 2, 128, nouns=8, noun_keys=40),
    AttentionSize(1, 400, 20000, 3, 32, nouns=3, noun_keys=9),
]


def tokens(size: AttentionSize, length: int) -> torch.Tensor:
    return torch.randn(size.batch, length, size.heads, size.head_dim, dtype=torch.bfloat16)


def groups(size: AttentionSize) -> KeyGroups:
    index = torch.full((size.batch, size.keys), -1, dtype=torch.int8)
    index[:, : size.noun_keys] = torch.arange(size.noun_keys) % size.nouns
    return KeyGroups(index, size.nouns)


@pytest.mark.parametrize("size", SIZES)
def test_token_probabilities_hold_what_is_accounted_for(size):
    query, key, nouns = tokens(size, size.queries), tokens(size, size.keys), groups(size)
    held = most_held(lambda: token_probs(query, key, nouns, impl="eager"))
    output = 4 * size.batch * size.heads * size.nouns * size.queries
    accounted = output + token_probs_bytes(size, Impl.EAGER, "cpu")
    assert held <= accounted <= SLACK * held


@pytest.mark.parametrize("size", SIZES)
def test_biased_attention_holds_what_is_accounted_for(size):
    query, key, value = (tokens(size, n) for n in (size.queries, size.keys, size.keys))
    bias = LayoutBias(
        labels=torch.zeros(size.batch, size.nouns, size.queries, dtype=torch.int8),
        groups=groups(size),
        table=torch.zeros(size.batch, 1, size.nouns, 4),
        mode=torch.zeros(size.batch, size.nouns, 4, dtype=torch.int8),
        strength=torch.tensor(1.0),
        key_offset=torch.zeros(1, size.keys),
    )
    held = most_held(lambda: biased_attention(query, key, value, bias, impl="eager")[0])
    accounted = query.nbytes + biased_attention_bytes(size, Impl.EAGER, "cpu")
    assert held <= accounted <= SLACK * held


def test_triton_holds_one_number_for_each_row():
    size = replace(SIZES[0], batch=2)
    rows = 4 * 2 * 2048 * 4
    assert token_probs_bytes(size, Impl.TRITON, "cuda") == rows
    assert biased_attention_bytes(size, Impl.TRITON, "cuda") == rows


def test_tiles_do_not_grow_with_the_video():
    wide = AttentionSize(1, 75_600, 512, 40, 128, nouns=3, noun_keys=6)
    held = token_probs_bytes(wide, Impl.EAGER, "cpu")
    assert held == token_probs_bytes(replace(wide, queries=10 * wide.queries), Impl.EAGER, "cpu")
    # A dense map of one head alone would be 147 MiB.
    assert held < 16 << 20


def test_packed_keys_have_a_limit():
    joint = AttentionSize(1, 50_000, 50_000, 48, 64, nouns=1, noun_keys=2)
    assert token_probs_bytes(joint, Impl.CPU, "cpu") <= 64 << 20
    one_head = replace(joint, heads=1, keys=1000)
    assert token_probs_bytes(one_head, Impl.CPU, "cpu") < 300_000


def test_the_oracle_is_not_accounted_for():
    with pytest.raises(ImplementationError, match=r"'reference' materialises maps.*choose 'eager'"):
        token_probs_bytes(SIZES[0], Impl.REFERENCE, "cpu")
