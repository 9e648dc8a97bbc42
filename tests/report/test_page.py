"""report.html: self-contained, and safe against whatever stands in prompts and names."""

import dataclasses
from html.parser import HTMLParser

import pytest
from report import made

from numina.record import TargetRecord
from numina.report import Tally, TargetTally
from numina.report.page import Piece, build_page, mark_prompt, render_page

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'{{7*7}}{% raw %}"
ADDRESSES = {"src", "href", "srcset", "action", "data", "poster", "xlink:href", "background"}
# Void elements need no end tag.
VOID = {"meta", "img", "source", "link", "br", "input"}


class Reader(HTMLParser):
    """Collects tags, attributes and text, and checks that the elements nest."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.classes: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag, attrs):
        self._note(tag, attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self._note(tag, attrs)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag, tag

    def _note(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.classes += (dict(attrs).get("class") or "").split()

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def source():
    return render_page(made.story())


@pytest.fixture(scope="module")
def plain(source):
    return Reader(source)


def hostile_story():
    prompt = f"three apples {HOSTILE}"
    story = made.story(prompt=prompt, model=HOSTILE, reason=HOSTILE)
    target = TargetRecord(HOSTILE, HOSTILE, 3, ((6, len(prompt)),))
    look = dataclasses.replace(story.report.looks[0], heads=(HOSTILE,) * 3)
    report = dataclasses.replace(
        story.report,
        targets=(target,),
        looks=(look,),
        settings={HOSTILE: HOSTILE},
    )
    return dataclasses.replace(story, report=report, versions={HOSTILE: HOSTILE})


def test_hostile_names_stay_text(plain):
    page = Reader(render_page(hostile_story()))
    assert "script" not in page.tags
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert "alert(1)" in page.text
    # Jinja's own signs in a prompt are not evaluated.
    assert "{{7*7}}" in page.text
    # The same tags as without hostile names: nothing was let out of its place.
    assert set(page.tags) <= set(plain.tags)


def test_nothing_is_fetched(plain):
    addresses = [value for _, name, value in plain.attributes if name in ADDRESSES]
    assert addresses
    assert all(value.startswith("data:image/") for value in addresses)
    assert {"link", "iframe", "object", "embed", "script", "base", "form"}.isdisjoint(plain.tags)


def test_the_page_forbids_the_browser_to_fetch(plain):
    policies = [value for tag, name, value in plain.attributes if name == "content"]
    assert any(value.startswith("default-src 'none'; img-src data:;") for value in policies)


def test_styles_name_no_resource(source):
    assert "url(" not in source
    assert "@import" not in source


def test_the_verdict_leads(plain):
    body = plain.text[plain.text.index("numina\n") :]
    assert body.index("Asked for three apples; the model drew two.") < body.index("Before")
    assert "numina added one." in body


def test_counted_nouns_are_marked_at_every_mention():
    prompt = "two cats and a dog; the cats sleep"
    cats = TargetRecord("cats", "cats", 2, ((4, 8), (24, 28)))
    dog = TargetRecord("dog", "dog", 1, ((15, 18),))
    pieces = mark_prompt(prompt, (cats, dog))
    assert "".join(piece.text for piece in pieces) == prompt
    marked = [piece for piece in pieces if piece.noun is not None]
    assert marked == [Piece("cats", 0), Piece("dog", 1), Piece("cats", 0)]


def test_overlapping_mentions_do_not_repeat_the_prompt():
    target = TargetRecord("balls", "red balls", 2, ((4, 13), (8, 13)))
    pieces = mark_prompt("two red balls", (target,))
    assert pieces == (Piece("two ", None), Piece("red balls", 0))


def test_chips_are_right_or_wrong_by_the_counts():
    page = build_page(made.story())
    before, after = page.figures
    assert (before.chips[0].value, before.chips[0].status) == ("2", "wrong")
    assert (after.chips[0].value, after.chips[0].status) == ("3", "right")


def test_a_planned_count_is_never_shown_as_right():
    page = build_page(made.story(exact=None, compare=False))
    assert page.figures[0].moving is None
    assert page.figures[1].chips[0].status == "planned"
    assert "planned, not measured" in page.figures[1].note


def test_the_same_video_is_shown_once():
    page = build_page(made.story(decision="continued", exact=(made.counted(3, 3),)))
    assert [figure.title for figure in page.figures] == ["The video"]


def test_long_videos_show_runs_of_equal_counts():
    tally = Tally((2,) * 40 + (3,) * 41, "counter")
    story = made.story(exact=(TargetTally(tally, tally),))
    cells = build_page(story).counts[0].cells
    assert [(cell.count, cell.frames) for cell in cells] == [(2, 40), (3, 41)]


def test_added_and_removed_instances_are_told(plain):
    story = made.story(edit=made.removal((0,) * 4, (2,)), exact=(made.counted(4, 3),))
    page = Reader(render_page(story))
    assert "saw four; removed one" in page.text
    assert page.classes.count("removed") > 1  # more than the legend
    assert "saw two; added one, shaped like one that was there" in plain.text
    assert plain.classes.count("added") > 1


def test_a_count_that_was_steadied_is_told():
    page = Reader(render_page(made.story(edit=made.steadied(), exact=(made.counted(2, 2),))))
    assert "saw two; removed one seen in too few frames; kept one in every frame" in page.text


def test_every_edit_of_a_guided_run_has_its_row():
    looks = (
        made.look(made.addition((0, 0), (0,)), 1),
        made.look(made.removal((0,) * 4, (1,)), 1, round_=1, step=5),
        made.look(made.addition((0,) * 3, ()), 1, round_=2, step=5),
    )
    rows = build_page(made.story(looks=looks)).layouts
    assert [row.frames[0].counts for row in rows] == [(2,), (3,), (3,)]


def test_a_run_without_targets_or_looks_has_a_page():
    story = made.story(prompt="a calm sea", asked=(), exact=(), decision="continued", looks=())
    page = render_page(story)
    assert "Nothing to count in this prompt." in Reader(page).text
    assert "<h2>The layout</h2>" not in page


def test_costs_of_both_runs_stand_side_by_side():
    costs = {row.title: (row.before, row.after) for row in build_page(made.story()).costs}
    assert costs["Forward passes"] == ("40", "40")
    assert costs["Seconds"] == ("4.0", "4.2")
    assert costs["Peak memory"] == ("0.75 GiB", "0.75 GiB")
