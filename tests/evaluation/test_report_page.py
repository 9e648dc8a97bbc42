"""The page of an evaluation: its figures are those of the rows, and nothing in them is trusted."""

import pytest
from report.test_page import ADDRESSES, HOSTILE, Reader

from numina.errors import FormatError, OutputError
from numina.evaluation import EvaluationError
from numina.evaluation.report import read_findings, render_page, write_page
from numina.evaluation.report.figures import signed
from numina.evaluation.report.page import PAGE, build_page
from numina.evaluation.report.standings import Share, leader, standings
from numina.evaluation.results import RESULTS, SUMMARY, ResultFile
from tests.evaluation.made_results import COUNTS, MANIFEST, findings_of, folder_of, row, rows


@pytest.fixture(scope="module")
def findings(tmp_path_factory):
    return findings_of(tmp_path_factory.mktemp("results"), rows())


@pytest.fixture(scope="module")
def page(findings):
    return build_page(findings)


@pytest.fixture(scope="module")
def read(findings):
    return Reader(render_page(findings))


def only(*methods):
    return rows({name: COUNTS[name] for name in methods})


def test_the_verdict_names_the_best_method_and_no_control(page):
    # Robust is right in four of six, plain in two; the oracle in all, but it is a control.
    # Six prompts are too few to be sure.
    assert page.verdict.claim == (
        "No gain over plain is certain: “robust, restart” is at +33.3 points"
    )
    assert page.verdict.detail.startswith("66.7")
    assert "over 6 prompts, for 1.50 × the forward passes" in page.verdict.detail


def test_of_equal_methods_the_cheaper_one_leads(tmp_path):
    same = COUNTS["robust"]
    equal = findings_of(tmp_path, rows({"plain": same, "robust": same, "one-pass": same}))
    assert leader(standings(equal)).name == "one-pass"


def test_gains_losses_and_neither_are_told_apart(tmp_path):
    better = {"plain": (2, 1, 3, 2, 1, 3), "robust": (3, 2, 4, 3, 2, 4)}
    worse = {"plain": better["robust"], "robust": better["plain"]}
    same = {"plain": (3, 1, 4, 2, 2, 3), "robust": (2, 2, 3, 3, 1, 4)}
    told = [
        build_page(findings_of(tmp_path / str(index), rows(counts))).verdict
        for index, counts in enumerate((better, worse, same))
    ]
    assert [each.outcome for each in told] == ["right", "wrong", "open"]
    assert told[0].sentence == (
        "“robust, restart” gained 100.0 points over plain (95 % interval +100.0 to +100.0)."
    )
    assert told[1].claim == "“robust, restart” lost 100.0 points against plain"
    assert told[2].claim.startswith("No gain over plain is certain: “robust, restart” is at 0.0")


def test_plain_alone_is_told_without_a_winner(tmp_path):
    page = build_page(findings_of(tmp_path / "a", only("plain")))
    assert page.verdict.claim.startswith("Plain shows the count asked for in 33.3")
    assert (page.costs, page.lessons, page.operations) == ({}, (), ())
    judged = findings_of(tmp_path / "b", only("plain"), suite="true-sprites")
    assert build_page(judged).verdict.claim.startswith("The counter is right in 33.3")
    assert "Cost against accuracy" not in render_page(judged)


def test_the_table_has_every_figure_of_a_method(page):
    assert [each.name for each in page.standing] == [
        *("plain", "robust", "one-pass", "paper", "oracle", "misplaced"),
    ]
    robust = page.standing[1]
    assert robust.accuracy.value == pytest.approx(4 / 6)
    assert robust.gain.value == pytest.approx(2 / 6)
    assert robust.error == pytest.approx(2 / 6)
    assert (robust.consistency, robust.forwards) == (1.0, 1.5)
    # Plain drew too few of four nouns and too many of one.
    assert robust.additions == Share(2, 3)
    assert robust.removals == Share(1, 1)
    assert (robust.contest.control, robust.contest.gain.value) == ("misplaced", 1.0)
    assert robust.by_count == {2: 0.5, 3: 0.5, 4: 1.0}


def test_signs_are_those_of_print():
    assert [signed(value) for value in (0.123, -0.123, 0.0, -0.0001)] == [
        *("+12.3", "\N{MINUS SIGN}12.3", "0.0", "0.0"),
    ]


def test_figures_and_provenance_are_on_the_page(read):
    for text in (
        "100 to 105",
        "01234567 and changes",
        "2.13.0",
        "--methods plain,robust,one-pass,paper,oracle,misplaced --prompts 6 --seed 100",
        "2 of 3",
        "Guided(...)",
    ):
        assert text in read.text, text
    assert read.classes.count("plot") == 4


def test_cases_without_pictures_say_how_to_see_them(page, read):
    mended, broken, missed = page.lessons
    assert [lesson.number for lesson in page.lessons] == [3, 1, 1]
    assert [case.seed for case in mended.cases] == [102, 105, 100]
    assert "--prompts 1 --seed 103" in broken.cases[0].command
    assert [clip.title for clip in missed.cases[0].clips][2].startswith("control: true layout")
    assert "--strips 6" in page.strips_command
    assert page.strips_command in read.text
    assert "img" not in read.tags


def test_counts_stand_beside_what_was_asked_for(page):
    plain, robust = page.lessons[0].cases[0].clips
    cells = [(cell.count, cell.status) for cell in plain.nouns[0].cells]
    assert (plain.nouns[0].asked, cells) == (4, [(6, "wrong")] * 3)
    assert {cell.status for cell in robust.nouns[0].cells} == {"right"}


def test_hostile_text_stays_text(tmp_path):
    results = [
        row(method, seed, 3, count, HOSTILE)
        for method, counts in (("plain", (2, 3)), (HOSTILE, (3, 2)))
        for seed, count in enumerate(counts)
    ]
    hostile = {HOSTILE: HOSTILE, "suite": HOSTILE, "versions": {"torch": HOSTILE}}
    made = findings_of(tmp_path, results, **hostile, code=[{"commit": "<b>", "dirty": False}])
    page = Reader(render_page(made))
    assert "script" not in page.tags
    assert "b" in page.tags  # Ours, of names.
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert "alert(1)" in page.text
    assert "{{7*7}}" in page.text
    assert "<b>" in page.text


def test_nothing_is_fetched(read):
    addresses = [value for _, name, value in read.attributes if name in ADDRESSES]
    assert addresses == []
    policies = [value for _, name, value in read.attributes if name == "content"]
    assert any(value.startswith("default-src 'none'; img-src data:;") for value in policies)


def test_writing_the_page_touches_nothing_else(tmp_path):
    folder = folder_of(tmp_path / "results", rows())
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert write_page(folder, tmp_path / "out") == tmp_path / "out" / PAGE
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert write_page(folder).read_text() == (tmp_path / "out" / PAGE).read_text()


def test_a_missing_result_is_an_error_and_never_a_zero(tmp_path):
    folder = folder_of(tmp_path, rows())
    path = folder / RESULTS
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole[:-1]))
    with pytest.raises(EvaluationError, match="seed 105 under misplaced"):
        read_findings(folder)
    # A torn line is no result, and stays as it is.
    path.write_bytes(b"".join(whole)[:-9])
    with pytest.raises(EvaluationError, match="seed 105 under misplaced"):
        read_findings(folder)
    assert path.read_bytes() == b"".join(whole)[:-9]
    path.write_bytes(b"".join(whole[1:]))
    with pytest.raises(EvaluationError, match="plain results of 5 prompts"):
        read_findings(folder)


def test_damaged_lines_and_summaries_are_errors(tmp_path):
    folder = folder_of(tmp_path, rows())
    results, summary = (folder / RESULTS).read_text(), (folder / SUMMARY).read_text()
    (folder / RESULTS).write_text(results.replace("[[2, 2, 2]]", "[[2, null, 2]]", 1))
    with pytest.raises(FormatError, match="line 1 is no result"):
        read_findings(folder)
    (folder / RESULTS).write_text(results.replace("[[2, 2, 2]]", "[[3, 3, 3]]", 1))
    with pytest.raises(FormatError, match="the summary says"):
        read_findings(folder)
    (folder / RESULTS).write_text(results)
    for damaged in ("[]", "{}", summary.replace('"versions": {', '"versions": [], "x": {')):
        (folder / SUMMARY).write_text(damaged)
        with pytest.raises(FormatError):
            read_findings(folder)


def test_an_unfinished_evaluation_has_no_page(tmp_path):
    with pytest.raises(OutputError, match=r"no summary\.json; finish"):
        write_page(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_page_is_about_the_prompts_of_its_summary(tmp_path):
    folder = folder_of(tmp_path, rows())
    with ResultFile(folder / RESULTS) as file:
        file.append(row("plain", 106, 3, 3))
    assert read_findings(folder).seeds == tuple(range(100, 106))
    assert read_findings(folder).manifest == MANIFEST
