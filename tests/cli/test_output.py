"""Files go where they were claimed, whole, and the claim fails before any work is done."""

import shutil

import pytest

from numina.errors import OutputError
from numina.output import claim_folder, slug

HOSTILE = [
    "../../etc/passwd",
    "/etc/passwd",
    "a\0b",
    "x" * 300,
    "..",
    "",
    "CON",
    "猫が三匹",
    "a\nb",
]


@pytest.mark.parametrize("prompt", HOSTILE)
def test_a_slug_is_a_plain_short_name(prompt):
    name = slug(prompt)
    assert 8 <= len(name) <= 64
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert not name.startswith("-")


def test_different_prompts_have_different_slugs():
    prompts = [*HOSTILE, "three cats", "Three cats", "three cats!", "x" * 301]
    assert len({slug(prompt) for prompt in prompts}) == len(prompts)


def test_a_slug_tells_the_prompt():
    assert slug("Three cafés, at night").startswith("three-cafes-at-night-")


@pytest.mark.parametrize("name", ["../x", "/x", "a/b", "a\\b", "a\0b", "..", ".", ""])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, name):
    with pytest.raises(OutputError, match="plain name"):
        claim_folder(tmp_path, [name])


def test_only_claimed_names_are_written(tmp_path):
    folder = claim_folder(tmp_path, ["a.txt"])
    with pytest.raises(OutputError, match=r"'b\.txt' is none of the files claimed"):
        folder.write("b.txt", b"")


def test_a_folder_is_made_with_its_parents(tmp_path):
    path = claim_folder(tmp_path / "a" / "b", ["c"]).write("c", b"text")
    assert path.read_bytes() == b"text"


def test_nothing_is_overwritten_without_force(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(OutputError, match=r"holds a\.txt already.*--force"):
        claim_folder(tmp_path, ["a.txt", "b.txt"])
    assert (tmp_path / "a.txt").read_text() == "old"


def test_force_replaces_what_is_there(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    claim_folder(tmp_path, ["a.txt"], force=True).write("a.txt", b"new")
    assert (tmp_path / "a.txt").read_text() == "new"


def test_a_link_is_replaced_and_never_followed(tmp_path):
    elsewhere = tmp_path / "elsewhere.txt"
    elsewhere.write_text("old")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a.txt").symlink_to(elsewhere)
    claim_folder(inside, ["a.txt"], force=True).write("a.txt", b"new")
    assert elsewhere.read_text() == "old"
    assert not (inside / "a.txt").is_symlink()


def test_a_dangling_link_counts_as_there(tmp_path):
    (tmp_path / "a.txt").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputError, match="already"):
        claim_folder(tmp_path, ["a.txt"])


def test_a_folder_in_the_place_of_a_file_is_refused_even_with_force(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        claim_folder(tmp_path, ["a.txt"], force=True)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="as output folder"):
        claim_folder(tmp_path / "file", ["a"])
    with pytest.raises(OutputError, match="not a directory"):
        claim_folder(tmp_path / "file" / "deeper", ["a"])


def test_a_nul_in_the_folder_is_refused(tmp_path):
    with pytest.raises(OutputError, match="without NUL"):
        claim_folder(tmp_path / "a\0b", ["a"])


def test_a_read_only_folder_is_refused(tmp_path, monkeypatch):
    # Permissions do not stop a superuser, so the refusal of the system is played.
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("numina.output.tempfile.NamedTemporaryFile", refuse)
    with pytest.raises(OutputError, match=r"cannot write into .*permission denied"):
        claim_folder(tmp_path, ["a"])


def test_a_full_disk_is_told_before_the_run(tmp_path):
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(OutputError, match="MiB free, but the run may need"):
        claim_folder(tmp_path, ["a"], needed_bytes=free + 2**40)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("old")
    folder = claim_folder(tmp_path, ["a.txt"], force=True)

    def fail(source, target):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("numina.output.os.replace", fail)
    with pytest.raises(OutputError, match="input/output error"):
        folder.write("a.txt", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_claim_leaves_nothing_behind(tmp_path):
    claim_folder(tmp_path, ["a.txt"])
    assert list(tmp_path.iterdir()) == []
