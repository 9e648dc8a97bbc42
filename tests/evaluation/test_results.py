"""Result files: nothing lost, nothing twice, nothing made up."""

import json
from dataclasses import replace

import pytest

from numina.errors import FormatError, OutputError
from numina.evaluation.results import (
    MANIFEST,
    RESULTS,
    ResultFile,
    Row,
    read_json,
    rows_of,
    settle_manifest,
)

ROW = Row(
    seed=100003,
    method="robust",
    prompt="two apples and one star drifting left",
    nouns=("apples", "stars"),
    targets=(2, 1),
    counts=((2, 2, 2), (1, 0, 1)),
    forwards=66.5,
    seconds=1.25,
    decision="guided",
    seen=((3, 1), (2, 1)),
)
OTHER = replace(ROW, seed=100004, seen=())
BASIS = {"suite": "sprites", "model_sha256": "ab"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / RESULTS


def filled(path, *rows):
    with ResultFile(path) as file:
        for row in rows:
            file.append(row)
    return path


def test_rows_come_back_as_they_were(path):
    with ResultFile(filled(path, ROW, OTHER)) as file:
        assert list(file.rows.values()) == [ROW, OTHER]


def test_a_row_is_refused_the_second_time(path):
    with ResultFile(filled(path, ROW)) as file, pytest.raises(FormatError, match="already"):
        file.append(ROW)
    assert len(path.read_text().splitlines()) == 1


@pytest.mark.parametrize("cut", [1, 2, 40])
def test_a_torn_last_line_is_dropped_and_made_again(path, cut):
    content = filled(path, ROW, OTHER).read_bytes()
    path.write_bytes(content[:-cut])
    with ResultFile(path) as file:
        assert list(file.rows.values()) == [ROW]
        file.append(OTHER)
    assert path.read_bytes() == content


def test_damage_before_the_last_line_is_an_error(path):
    lines = filled(path, ROW, OTHER).read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0][:-9] + b"\n" + lines[1])
    with pytest.raises(FormatError, match="line 1 is no result"):
        ResultFile(path)


def test_a_row_that_is_there_twice_is_an_error(path):
    content = filled(path, ROW).read_bytes()
    path.write_bytes(content * 2)
    with pytest.raises(FormatError, match=r"line 2.*twice"):
        ResultFile(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("counts", [[2, 2, 2]]),
        ("counts", [[2, 2, 2], [1, None, 1]]),
        ("counts", [[2, 2, 2], [1, 1]]),
        ("counts", [[2, 2, 2], [1, -1, 1]]),
        ("counts", []),
        ("targets", [2.5, 1]),
        ("seed", True),
        ("forwards", float("nan")),
        ("novelty", 1),
        ("decision", None),
    ],
)
def test_a_row_with_a_broken_field_is_an_error_and_no_zero(path, field, value):
    row = json.loads(filled(path, ROW).read_text())
    row[field] = value
    if value is None:
        del row[field]
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(FormatError, match="line 1 is no result"):
        ResultFile(path)


def test_a_second_evaluation_of_the_same_folder_has_to_wait(path):
    with ResultFile(path), pytest.raises(OutputError, match="another evaluation"):
        ResultFile(path)
    ResultFile(path).close()


def test_a_folder_without_results_is_an_error(tmp_path):
    with pytest.raises(OutputError, match="has no results"):
        rows_of(tmp_path)


def test_a_manifest_lets_the_same_run_go_on_with_more_methods(tmp_path):
    settle_manifest(tmp_path, BASIS, {"plain": "Plain()"}, {"commit": "a", "dirty": False})
    settle_manifest(tmp_path, BASIS, {"paper": "Paper()"}, {"commit": "b", "dirty": True})
    manifest = read_json(tmp_path / MANIFEST)
    assert manifest["methods"] == {"plain": "Plain()", "paper": "Paper()"}
    assert [code["commit"] for code in manifest["code"]] == ["a", "b"]


@pytest.mark.parametrize(
    ("basis", "methods", "named"),
    [
        ({**BASIS, "model_sha256": "cd"}, {}, "model_sha256"),
        (BASIS, {"plain": "Plain(seed=1)"}, "plain"),
        ({**BASIS, "call": {}}, {}, "call"),
    ],
)
def test_a_manifest_refuses_other_settings(tmp_path, basis, methods, named):
    settle_manifest(tmp_path, BASIS, {"plain": "Plain()"}, None)
    before = (tmp_path / MANIFEST).read_bytes()
    with pytest.raises(FormatError, match=f"another {named}"):
        settle_manifest(tmp_path, basis, methods, None)
    assert (tmp_path / MANIFEST).read_bytes() == before


def test_results_without_a_manifest_are_refused(path):
    filled(path, ROW)
    with pytest.raises(FormatError, match="no manifest"):
        settle_manifest(path.parent, BASIS, {}, None)


def test_a_damaged_manifest_is_an_error(tmp_path):
    settle_manifest(tmp_path, BASIS, {}, None)
    (tmp_path / MANIFEST).write_text('{"suite": ')
    with pytest.raises(FormatError, match="is no JSON"):
        settle_manifest(tmp_path, BASIS, {}, None)


def test_a_manifest_of_another_version_is_refused(tmp_path):
    settle_manifest(tmp_path, BASIS, {}, None)
    stored = read_json(tmp_path / MANIFEST)
    (tmp_path / MANIFEST).write_text(json.dumps({**stored, "format": 2}))
    with pytest.raises(FormatError, match="another format: 2, now 1"):
        settle_manifest(tmp_path, BASIS, {}, None)
    (tmp_path / MANIFEST).write_text(json.dumps([stored]))
    with pytest.raises(FormatError, match="must hold an object, got list"):
        settle_manifest(tmp_path, BASIS, {}, None)


def test_no_single_flipped_bit_of_a_manifest_goes_unnoticed(tmp_path):
    settle_manifest(tmp_path, BASIS, {"plain": "Plain()"}, None)
    content = (tmp_path / MANIFEST).read_bytes()
    basis = content.index(b'"suite"'), content.index(b'"code"')
    for place in range(*basis):
        if chr(content[place]).isalnum():
            flipped = bytearray(content)
            flipped[place] ^= 1
            (tmp_path / MANIFEST).write_bytes(bytes(flipped))
            with pytest.raises(FormatError):
                settle_manifest(tmp_path, BASIS, {"plain": "Plain()"}, None)
