"""Counts that the caller gives, in a mapping or as JSON, and the words of the prompt they mean."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numina.errors import FormatError, NuminaError, TargetError
from numina.prompt.counts import CountTarget, counts_from_json, targets_from_counts


def mentions(prompt: str, target: CountTarget) -> list[str]:
    return [prompt[start:end] for start, end in target.spans]


def test_given_counts_are_found_in_the_prompt():
    prompt = "Two red balls and blue balls near a tree. The tree is old."
    tree, red, blue = targets_from_counts(
        prompt, {"trees": 1, "Red Balls": 2, "balls": np.int64(4)}
    )
    assert (tree.noun, mentions(prompt, tree)) == ("tree", ["tree", "tree"])
    assert (red.noun, red.phrase, red.count) == ("balls", "red balls", 2)
    assert (mentions(prompt, blue), blue.count) == (["balls"], 4)
    assert {target.confidence for target in (tree, red, blue)} == {1.0}


def test_given_counts_reach_groups_that_share_a_noun():
    prompt = "two red and three blue balls"
    blue, red = targets_from_counts(prompt, {"blue balls": 1, "red balls": 5})
    assert (mentions(prompt, red), red.phrase, red.count) == (["red"], "red balls", 5)
    assert (mentions(prompt, blue), blue.count) == (["blue balls"], 1)


def test_a_given_phrase_owns_bare_mentions_unless_others_could_be_meant():
    """Fault 24, for phrases."""
    prompt = "red balls roll, the balls stop"
    assert mentions(prompt, targets_from_counts(prompt, {"red balls": 2})[0]) == [
        "red balls",
        "balls",
    ]
    for prompt, counts in (
        ("red balls and blue balls roll, the balls stop", {"red balls": 2}),
        ("red balls roll, the balls stop", {"red balls": 2, "balls": 3}),
    ):
        assert mentions(prompt, targets_from_counts(prompt, counts)[0]) == ["red balls"]


def test_a_given_count_may_be_zero():
    """Fault 21: remove all."""
    (target,) = targets_from_counts("a street with cars", {"cars": 0})
    assert target.count == 0


@pytest.mark.parametrize(
    "count", [-1, 2.5, True, float("nan"), "three", None, pytest.param(10**5000, id="huge")]
)
def test_a_count_that_is_no_whole_number_is_refused(count: object):
    """Fault 21: the error names the key and what came."""
    with pytest.raises(TargetError, match="the count of 'cats' must be") as caught:
        targets_from_counts("three cats", {"cats": count})
    if not isinstance(count, int) or count == -1:
        assert repr(count) in str(caught.value)


def test_a_count_beyond_any_layout_is_left_to_the_placement():
    """Fault 22: the feasible maximum depends on the size of the video, not on the prompt."""
    (target,) = targets_from_counts("a field of flowers", {"flowers": 5000})
    assert target.count == 5000


def test_a_noun_that_is_not_there_is_refused_with_the_nearest():
    """Fault 23: the nouns found and the nearest word are named."""
    with pytest.raises(
        TargetError, match=r"'catz' is not .* found there: 'cats', 'dogs'.*'cats'\?"
    ):
        targets_from_counts("three cats and several dogs", {"catz": 3})
    with pytest.raises(TargetError, match=r"found there: none$"):
        targets_from_counts("rain", {"unicorns": 3})


def test_keys_that_name_the_same_words_are_refused():
    with pytest.raises(TargetError, match=r"'cats?' and 'cats?' name the same words"):
        targets_from_counts("three cats", {"cat": 3, "cats": 3})


@pytest.mark.parametrize("counts", [[("cats", 3)], "cats", {3: 3}, {" ": 3}])
def test_counts_that_are_no_mapping_of_nouns_are_refused(counts: object):
    with pytest.raises(TargetError, match="counts must"):
        targets_from_counts("three cats", counts)


@pytest.mark.parametrize(
    ("prompt", "key", "found"),
    [
        ("drei Bären im Wald, ein Bär schläft", "Bären", ["Bären"]),
        ("drei Ba\u0308ren", "Bären", ["Ba\u0308ren"]),
        ("三只猫在草地上,猫很累", "猫", ["猫", "猫"]),
        ("ثلاث قطط على العشب", "قطط", ["قطط"]),
        ("🐱 and 🐱 on a sofa", "🐱", ["🐱", "🐱"]),
        ("a chopping-board and a board", "board", ["board", "board"]),
        ("five small debris-pieces", "debris", ["debris"]),
        ("THREE CATS", "cat", ["CATS"]),
        ("ｔｈｒｅｅ ｃａｔｓ", "cats", ["ｃａｔｓ"]),
        ("hot air balloons in hot air", "hot air balloon", ["hot air balloons"]),
    ],
)
def test_given_nouns_are_found_in_any_script(prompt: str, key: str, found: list[str]):
    """Fault 26: plural, hyphen, umlaut, CJK, right-to-left, emoji, capitals."""
    (target,) = targets_from_counts(prompt, {key: 3})
    assert mentions(prompt, target) == found


def test_counts_in_json_are_read():
    assert counts_from_json('{"cats": 3, "dogs": 0}') == {"cats": 3, "dogs": 0}


@pytest.mark.parametrize(
    "text",
    [
        '{"cats": 3, "cats": 2}',
        '{"cats": NaN}',
        '{"cats": 1e400}',
        '{"cats": 2.0}',
        '{"cats": true}',
        '{"cats": -1}',
        '{"cats": "3"}',
        '{"cats": {"a": 1}}',
        '{"cats": ' + "9" * 5000 + "}",
        "[3]",
        "3",
        "",
        "{",
        "[" * 100_000,
        None,
        b"\xff",
    ],
)
def test_json_that_holds_no_counts_is_refused(text: str):
    """Fault 28: duplicate keys, NaN, 1e400, and whatever else is no object of whole numbers."""
    with pytest.raises(FormatError):
        counts_from_json(text)


@settings(max_examples=100, deadline=None)
@given(st.text(min_size=1), st.dictionaries(st.text(), st.integers() | st.floats() | st.text()))
def test_any_counts_are_taken_or_refused(prompt: str, counts: dict):
    try:
        targets = targets_from_counts(prompt, counts)
    except NuminaError:
        return
    assert len(targets) == len(counts)
