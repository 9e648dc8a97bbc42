"""Benchmarks that make one clip after the other: their files, and going on with them."""

import json
from contextlib import suppress

import pytest

from benchmarks import clip_rows
from benchmarks.clip_rows import record_clips

MADE_BY = {"commit": "0a1b2c3d", "dirty": False}


class StoppedError(Exception):
    """Something ends a run in the middle."""


@pytest.fixture(autouse=True)
def _of_one_commit(monkeypatch):
    monkeypatch.setattr(clip_rows, "commit", lambda: MADE_BY)


@pytest.fixture
def record(tmp_path):
    """Records clips into one file; tells which seeds were made, and stops at one of them."""

    def record(*arguments, stop_at=None, told="Some clips."):
        made = []

        def rows_of(pipe, suite, seed):
            if seed == stop_at:
                raise StoppedError
            made.append(seed)
            # Some clips have nothing to tell.
            return [{"seed": seed}] * (seed % 2)

        def summary_of(rows):
            return [{"rows": len(rows)}]

        out = ["--out", str(tmp_path / "new" / "file.json")]
        with suppress(StoppedError):
            record_clips(told, rows_of, summary_of, [*out, *arguments])
        return made

    record.file = tmp_path / "new" / "file.json"
    return record


def test_a_stopped_run_is_gone_on_with(record):
    assert record("--seed", "3", "--prompts", "5", stop_at=6) == [3, 4, 5]
    half = json.loads(record.file.read_text())
    assert (half["clips"], half["summary"]) == (3, [{"rows": 2}])
    assert record("--seed", "3", "--prompts", "5") == [6, 7]
    assert record("--seed", "3", "--prompts", "5") == []
    whole = json.loads(record.file.read_text())
    assert (whole["seed"], whole["clips"], whole["commit"]) == (3, 5, MADE_BY)
    assert [row["seed"] for row in whole["rows"]] == [3, 5, 7]
    assert [path.name for path in record.file.parent.iterdir()] == ["file.json"]


@pytest.mark.parametrize("other", ["seed", "commit", "benchmark"])
def test_rows_of_another_kind_are_not_mixed(record, other, monkeypatch, capsys):
    record("--seed", "3", "--prompts", "2")
    before = record.file.read_bytes()
    if other == "commit":
        monkeypatch.setattr(clip_rows, "commit", lambda: {**MADE_BY, "commit": "4e5f6a7b"})
    told = "Other clips." if other == "benchmark" else "Some clips."
    with pytest.raises(SystemExit):
        record("--seed", "4" if other == "seed" else "3", "--prompts", "3", told=told)
    assert f"was made with {other} " in capsys.readouterr().err
    assert record.file.read_bytes() == before


def test_nobody_knows_what_code_changed_since_a_commit(record, monkeypatch, capsys):
    monkeypatch.setattr(clip_rows, "commit", lambda: {**MADE_BY, "dirty": True})
    record("--prompts", "1")
    with pytest.raises(SystemExit):
        record("--prompts", "2")
    assert "was made with commit " in capsys.readouterr().err
