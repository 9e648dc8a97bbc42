"""A record tells when it was changed."""

import json

import pytest

from numina.audit_record import AuditedNoun, AuditRecord, audit_json, verify_audit
from numina.errors import FormatError

RECORD = AuditRecord(
    prompt="three cats and two “dogs”",
    seed=7,
    model="a/b",
    nouns=(AuditedNoun("cats", 3, 2), AuditedNoun("dogs", 2, 2)),
    step=4,
    noise=0.6521,
    versions={"torch": "2.13.0"},
    settings={"num_inference_steps": 8},
)


@pytest.fixture
def path(tmp_path):
    (tmp_path / "audit.json").write_text(audit_json(RECORD))
    return tmp_path / "audit.json"


def test_the_file_holds_what_was_asked_and_seen(path):
    content = json.loads(path.read_text())
    assert content["nouns"] == [
        {"noun": "cats", "asked": 3, "seen": 2, "agrees": False},
        {"noun": "dogs", "asked": 2, "seen": 2, "agrees": True},
    ]
    assert content["flagged"] is True
    assert (content["prompt"], content["seed"], content["model"]) == (RECORD.prompt, 7, "a/b")
    assert (content["step"], content["noise"], content["video"]) == (4, 0.6521, "video.mp4")
    assert content["sha256"] == RECORD.sha256


def test_the_hash_is_that_of_the_sorted_json_without_it():
    """Computed once with ``sha256sum`` on the text below."""
    record = AuditRecord(prompt="p", seed=0, model="m", nouns=())
    text = (
        '{"flagged":false,"format":1,"model":"m","noise":null,"nouns":[],"prompt":"p","seed":0,'
        '"settings":{},"step":null,"versions":{},"video":"video.mp4"}'
    )
    assert len(text) == 146
    assert record.sha256 == "332369f9c4fe3bc8bcd388c6843777c5f63fce5c27d01e8e137f44dae973a95b"


def test_an_untouched_record_is_unchanged_whatever_its_spaces_and_order(path):
    assert verify_audit(path)
    content = json.loads(path.read_text())
    path.write_text(json.dumps(dict(reversed(content.items()))))
    assert verify_audit(str(path))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"seen": 2,\n      "agrees": false', '"seen": 3,\n      "agrees": false'),
        ('"flagged": true', '"flagged": false'),
        ('"seed": 7', '"seed": 8'),
        ("0.6521", "0.6522"),
        ('"seed": 7', '"seed": 7.0'),
        ('"step": 4', '"step": 4,\n  "more": 1'),
    ],
)
def test_one_changed_value_is_noticed(path, old, new):
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    assert not verify_audit(path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "no JSON of an audit"),
        (b"\xff\xfe\xff", "no JSON of an audit"),
        (b"[1]", "one JSON object"),
        (b'{"format": 1}', "one JSON object"),
        (b'{"format": 2, "sha256": ""}', "has format 2"),
        (b'{"sha256": "", "sha256": ""}', "given twice"),
        (b'{"format": 1, "sha256": "", "noise": NaN}', "NaN is no JSON number"),
        (b'{"format": 1, "sha256": "", "noise": 1e999}', "beyond all bounds"),
        (b"[" * 100_000, "no JSON of an audit"),
    ],
)
def test_what_is_no_record_is_refused(path, content, complaint):
    path.write_bytes(content)
    with pytest.raises(FormatError, match=complaint):
        verify_audit(path)


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(FormatError, match=r"nowhere\.json cannot be read: no such file"):
        verify_audit(tmp_path / "nowhere.json")


def test_what_was_not_seen_does_not_agree():
    assert not AuditedNoun("cats", 3, None).agrees
    assert not AuditRecord("p", 0, "m", ()).flagged
