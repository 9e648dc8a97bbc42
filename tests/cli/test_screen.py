"""The terminal shows calm lines that no prompt can forge."""

import re

import pytest
from report import made

from numina.commands.screen import printable
from numina.commands.telling import count_lines, show_story
from numina.report import Tally, TargetTally

STYLE = re.compile(r"\x1b\[[0-9;]*m")


def lines(story):
    return [STYLE.sub("", line) for line in count_lines(story)]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("three\x1b[2Jcats", "three [2Jcats"),
        ("a\r\nb\tc", "a b c"),
        ("right \u202eto left", "right to left"),
        ("\x9b31mred", "31mred"),
        ("lone \ud800 surrogate", "lone surrogate"),
        ("猫 café", "猫 café"),
    ],
)
def test_control_characters_never_reach_the_terminal(text, shown):
    assert printable(text) == shown


def test_counts_stand_in_columns():
    story = made.story(
        prompt="three apples and two stars",
        asked=(("apples", 3), ("stars", 2)),
        edit=made.addition((0, 0, 1), (0, 1)),
        exact=(made.counted(2, 3), made.counted((1, 1, 2, 2, 2), 2)),
    )
    assert lines(story) == [
        "apples  asked 3  before  2 2 2 2 2",
        "        asked 3  after   3 3 3 3 3",
        "stars   asked 2  before  1 1 2 2 2",
        "        asked 2  after   2 2 2 2 2",
    ]


def test_long_videos_are_told_in_runs():
    tally = Tally((2,) * 40 + (3,) * 41, "counter")
    story = made.story(exact=(TargetTally(None, tally),))
    assert lines(story) == ["        asked 3  after   2 (×40) 3 (×41)"]


def test_counts_that_were_not_measured_say_so():
    before, after = lines(made.story(exact=None))
    assert before.endswith("2 2 2  in the layout")
    assert after.endswith("3 3 3  planned")


def test_the_last_lines_say_where_the_files_are(tmp_path, capsys):
    paths = {name: tmp_path / name for name in ("report.html", "after.mp4")}
    show_story(made.story(), paths)
    shown = capsys.readouterr().out.splitlines()
    assert shown[1] == "  Asked for three apples; the model drew two. numina added one."
    assert shown[-2:] == [f"  {tmp_path}/report.html", f"  {tmp_path}/after.mp4"]
