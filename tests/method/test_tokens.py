"""Where counted nouns stand among the text tokens, for tokenizers with and without offsets."""

import copy
import html
import os
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

# Before transformers looks for it: nothing here may ask the network.
os.environ["HF_HUB_OFFLINE"] = "1"

from diffusers.pipelines.wan.pipeline_wan import prompt_clean
from transformers import ByT5Tokenizer, T5Tokenizer

from numina.errors import LayoutError, PromptError, TargetError, UnsupportedModelError
from numina.prompt.counts import CountTarget, parse_counts, targets_from_counts
from numina.prompt.tokens import PromptFrame, key_groups, locate_tokens
from numina_kernels import KeyGroups

WHOLE_WORDS = "a video of three two cats dogs birds balls red blue and on the grass".split()
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,'-\"&ä猫قط"


def make_tokenizer() -> T5Tokenizer:
    """Known words are one piece, all others are letters behind a piece for the space."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -4.0)]
    pieces += [("▁" + word, -1.0) for word in WHOLE_WORDS]
    pieces += [(letter, -8.0) for letter in LETTERS]
    return T5Tokenizer(vocab=pieces, extra_ids=0)


class WithoutOffsets:
    """A tokenizer that knows its pieces, but not where they stand."""

    is_fast = False

    def __init__(self, tokenizer: T5Tokenizer) -> None:
        self._tokenizer = tokenizer

    def __call__(self, text: str, return_offsets_mapping: bool, **options):
        assert not return_offsets_mapping
        return self._tokenizer(text, **options)

    def __getattr__(self, name: str):
        return getattr(self._tokenizer, name)


class Collapsing(WithoutOffsets):
    """A tokenizer whose pieces are not the text."""

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        return "?"


FAST = make_tokenizer()
SLOW = WithoutOffsets(FAST)
BYTES = ByT5Tokenizer()


def pieces_of(prompt: str, counts=None, tokenizer=FAST, **options) -> list[str]:
    """What stands at the located positions, one string for each target."""
    targets = parse_counts(prompt) if counts is None else targets_from_counts(prompt, counts)
    located = locate_tokens(prompt, targets, tokenizer, **options)
    text = options.get("clean", str)(prompt)
    names = tokenizer.convert_ids_to_tokens(tokenizer(text, return_offsets_mapping=False).input_ids)
    return ["".join(names[position] for position in positions) for positions in located]


@pytest.mark.parametrize("tokenizer", [FAST, SLOW], ids=["offsets", "decoded"])
def test_every_noun_finds_its_pieces(tokenizer):
    prompt = "a video of three cats and two excavators on the grass"
    assert pieces_of(prompt, tokenizer=tokenizer) == ["▁cats", "▁excavators"]


def test_positions_are_counted_from_the_start_of_the_text():
    targets = parse_counts("three cats and two dogs")
    assert locate_tokens("three cats and two dogs", targets, FAST) == ((1,), (4,))


@pytest.mark.parametrize("tokenizer", [FAST, SLOW], ids=["offsets", "decoded"])
def test_all_mentions_are_found(tokenizer):
    """Fault 24: every mention, in whatever form."""
    prompt = "three cats and two dogs, the cats, a cat"
    assert pieces_of(prompt, tokenizer=tokenizer) == ["▁cats▁cats▁cat", "▁dogs"]


def test_groups_of_one_noun_own_their_attributes_too():
    prompt = "two red balls and three blue balls"
    assert pieces_of(prompt) == ["▁red▁balls", "▁blue▁balls"]
    assert pieces_of("two red and three blue balls") == ["▁red", "▁blue▁balls"]


@pytest.mark.parametrize(
    ("prompt", "counts", "pieces"),
    [
        ("three blue balls and two dogs", None, ["▁blue▁balls", "▁dogs"]),
        ("three blue balls and two dogs", {"balls": 3}, ["▁blue▁balls"]),
        ("three big blue balls near a blue dog", None, ["▁big▁blue▁balls"]),
        ("three balls that are blue", None, ["▁balls"]),
    ],
)
def test_attributes_of_the_counted_come_along(prompt: str, counts: dict | None, pieces: list[str]):
    assert pieces_of(prompt, counts) == pieces


@pytest.mark.parametrize(
    ("prompt", "counts", "pieces"),
    [
        ("three Cats on the grass", {"cats": 3}, ["▁Cats"]),
        ("three Bären", {"Bären": 3}, ["▁Bären"]),
        ("three air-balls", {"balls": 3}, ["balls"]),
        ("three 猫 and 猫", {"猫": 3}, ["▁猫▁猫"]),
        ("ثلاث قط", {"قط": 3}, ["▁قط"]),
        ("三只猫,猫", {"猫": 3}, ["猫猫"]),
        ("three 'cats'", {"cats": 3}, ["cats"]),
    ],
)
def test_nouns_are_found_in_any_script(prompt: str, counts: dict, pieces: list[str]):
    """Fault 26: capitals, umlaut, hyphen, CJK, right-to-left."""
    assert pieces_of(prompt, counts) == pieces


def test_bytes_of_an_emoji_and_an_umlaut_are_found():
    """Fault 26: several tokens for one character, from a tokenizer without offsets."""
    cats, bears = locate_tokens(
        "zwei 🐱, drei Bären",
        targets_from_counts("zwei 🐱, drei Bären", {"🐱": 2, "Bären": 3}),
        BYTES,
    )
    encoded = "zwei 🐱, drei Bären".encode()
    assert bytes(encoded[position] for position in cats) == "🐱".encode()
    assert bytes(encoded[position] for position in bears) == "Bären".encode()


def test_a_noun_that_the_tokenizer_does_not_know_is_refused():
    """Fault 26: an error where the text encoder would see nothing but "unknown"."""
    with pytest.raises(TargetError, match="does not know '🐱'"):
        pieces_of("three 🐱", {"🐱": 3})


def test_a_noun_beyond_the_text_length_is_refused():
    """Fault 25: the error names max_length and the length that came."""
    prompt = "three cats on the grass and two dogs"
    assert pieces_of(prompt, max_length=9) == ["▁cats", "▁dogs"]
    with pytest.raises(TargetError, match=r"'dogs' lies beyond .* 8 tokens, max_length is 8"):
        pieces_of(prompt, max_length=8)


@pytest.mark.parametrize("tokenizer", [FAST, SLOW], ids=["offsets", "decoded"])
def test_a_noun_cut_in_the_middle_is_refused(tokenizer):
    """Fault 25: half a noun is another word."""
    with pytest.raises(TargetError, match="max_length is 6"):
        pieces_of("three excavators", max_length=6, tokenizer=tokenizer)


def test_mentions_that_are_cut_off_are_left_out():
    prompt = "three cats and two dogs, cats"
    targets = parse_counts(prompt)
    assert locate_tokens(prompt, targets, FAST, max_length=7) == ((1,), (4,))
    assert locate_tokens(prompt, targets, FAST, max_length=8)[0] == (1, 6)


def test_padding_on_the_left_moves_the_positions():
    tokenizer = make_tokenizer()
    tokenizer.padding_side = "left"
    targets = parse_counts("three cats")
    assert locate_tokens("three cats", targets, tokenizer, max_length=10) == ((8,),)


CLEANED = [
    "  three   cats\n\t and two  dogs ",
    "three cats &amp; two dogs",
    "three&nbsp;cats &lt;and&gt; two dogs",
    "“three” cats and ‘two’ dogs…",
    "Ã¼ber three cats and two dogs",
    "three ｃａｔｓ and ｔｗｏ dogs",
    "&quot;&amp;quot; three cats&#44; two dogs",
    "ﬂuffy three cats and two dogs",
]


@pytest.mark.parametrize("tokenizer", [FAST, BYTES], ids=["pieces", "bytes"])
@pytest.mark.parametrize("prompt", CLEANED)
def test_positions_follow_the_cleaning_of_the_pipeline(prompt: str, tokenizer):
    counts = {"cats": 3, "dogs": 2}
    found = pieces_of(prompt, counts, tokenizer=tokenizer, clean=prompt_clean)
    assert [piece.strip("▁") for piece in found] == ["cats", "dogs"]


def test_a_noun_inside_entities_is_found_or_refused():
    assert pieces_of("three b&auml;ren", {"ren": 3}, clean=prompt_clean) == ["ren"]


def test_cleaning_that_changes_the_noun_is_refused():
    with pytest.raises(TargetError, match="cleaning the prompt turns 'cats' into 'dogs'"):
        pieces_of("three cats", clean=lambda text: "three dogs" if "three" in text else text)
    with pytest.raises(TargetError, match="turns 'cats' into ''"):
        pieces_of("three cats", clean=lambda text: "three")


def test_pieces_that_are_not_the_text_are_refused():
    with pytest.raises(TargetError, match=r"reports no offsets, and its piece .* fast tokenizer"):
        pieces_of("three cats", tokenizer=Collapsing(FAST))


def test_two_targets_in_one_token_are_refused():
    targets = tuple(
        CountTarget(name, 2, (span,), 1.0, name) for name, span in (("ca", (6, 8)), ("ts", (8, 10)))
    )
    with pytest.raises(TargetError, match="'ts' and 'ca' share the text token 1"):
        locate_tokens("three cats", targets, FAST)


def test_a_target_of_another_prompt_is_refused():
    targets = parse_counts("a video of three cats")
    with pytest.raises(TargetError, match="outside the prompt of 10"):
        locate_tokens("three cats", targets, FAST)


def test_no_targets_need_no_tokenizer():
    assert locate_tokens("rain", (), None) == ()
    with pytest.raises(TargetError, match="max_length must be at least 1"):
        locate_tokens("rain", (), None, max_length=0)


def test_key_groups_hold_one_row_for_each_prompt():
    groups = key_groups([((1, 2), (4,)), ((3,),), ()], num_keys=6, count=2)
    assert isinstance(groups, KeyGroups)
    assert groups.count == 2
    assert groups.index.dtype == torch.int8
    assert groups.index.tolist() == [
        [-1, 0, 0, -1, 1, -1],
        [-1, -1, -1, 0, -1, -1],
        [-1, -1, -1, -1, -1, -1],
    ]


def test_key_groups_refuse_what_does_not_fit():
    with pytest.raises(TargetError, match="at least one prompt"):
        key_groups([], 4, 1)
    with pytest.raises(TargetError, match="cover the 2 nouns of every row, got 1"):
        key_groups([((1,), (2,))], 4, 1)
    with pytest.raises(LayoutError, match="outside"):
        key_groups([((4,),)], 4, 1)
    with pytest.raises(LayoutError, match="belongs to"):
        key_groups([((1,), (1,))], 4, 2)


FRAME = PromptFrame("a video of two dogs and cats, ", " on the grass.", cropped=5)


@pytest.mark.parametrize("tokenizer", [FAST, SLOW], ids=["offsets", "decoded"])
def test_in_a_frame_only_the_prompts_own_words_are_found(tokenizer):
    prompt = "three cats and  two dogs"
    text = FRAME.before + "three cats and two dogs" + FRAME.after
    targets = parse_counts(prompt)
    options = {"max_length": 20, "frame": FRAME, "clean": lambda text: " ".join(text.split())}
    located = locate_tokens(prompt, targets, tokenizer, **options)
    names = FAST.convert_ids_to_tokens(FAST(text).input_ids)[FRAME.cropped :]
    assert [[names[at] for at in noun] for noun in located] == [["▁cats"], ["▁dogs"]]
    assert [name for name in names if name in ("▁cats", "▁dogs")].count("▁cats") == 2
    before = len(FAST(FRAME.before.strip()).input_ids) - 1
    assert located == ((before - FRAME.cropped + 1,), (before - FRAME.cropped + 4,))


def test_what_a_frame_leaves_no_room_for_is_refused():
    targets = parse_counts("three cats")
    last = locate_tokens("three cats", targets, FAST, frame=FRAME)[0][-1]
    assert locate_tokens("three cats", targets, FAST, frame=FRAME, max_length=last + 2)
    with pytest.raises(TargetError, match=f"the prompt has 2 tokens, max_length is {last}"):
        locate_tokens("three cats", targets, FAST, frame=FRAME, max_length=last)


def test_a_crop_that_reaches_into_the_prompt_is_refused():
    frame = PromptFrame("two dogs ", cropped=3)
    with pytest.raises(PromptError, match=r"crops the first 3 tokens, but .* begins at token 2"):
        locate_tokens("three cats", parse_counts("three cats"), FAST, frame=frame)
    with pytest.raises(PromptError, match="cropped must not be negative, got -1"):
        PromptFrame(cropped=-1)
    with pytest.raises(PromptError, match="length must be at least 1, got 0"):
        PromptFrame(length=0)
    with pytest.raises(PromptError, match="keys_behind must not be negative, got -1"):
        PromptFrame(keys_behind=-1)


def test_a_crop_that_would_take_padding_is_refused():
    class LeftPadding(WithoutOffsets):
        padding_side = "left"

    with pytest.raises(UnsupportedModelError, match=r"crops the first 5 .* pads on the left"):
        locate_tokens("three cats", parse_counts("three cats"), LeftPadding(FAST), frame=FRAME)


def test_where_padding_is_replaced_the_text_comes_first():
    tokenizer = copy.deepcopy(FAST)
    tokenizer.padding_side = "left"
    targets = parse_counts("three cats")
    ahead = locate_tokens("three cats", targets, FAST, max_length=20)
    first = PromptFrame(padded=False)
    assert locate_tokens("three cats", targets, tokenizer, max_length=20, frame=first) == ahead
    assert locate_tokens("three cats", targets, tokenizer, max_length=20) != ahead
    with pytest.raises(TargetError, match="beyond the text length of the model"):
        locate_tokens("three cats", targets, tokenizer, max_length=1, frame=first)


WORD = st.sampled_from([*WHOLE_WORDS, "excavators", "Bären", "&amp;", "“cats”", "cat's", "x-ray"])
SPACE = st.sampled_from([" ", "  ", "\n", "\t "])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(WORD, SPACE), min_size=1, max_size=20), st.sampled_from([FAST, BYTES]))
def test_located_pieces_spell_the_noun(words: list[tuple[str, str]], tokenizer):
    prompt = "".join(word + space for word, space in words) + "cats"
    (found,) = pieces_of(prompt, {"cats": 2}, tokenizer=tokenizer, clean=prompt_clean)
    cleaned = html.unescape(prompt_clean(prompt))
    mentions = len(re.findall(r"\bcats\b", cleaned))
    assert found.replace("▁", "").count("cats") == mentions
