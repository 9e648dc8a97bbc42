"""What a result depends on: the model's files, and not what is written about them."""

import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest

from numina.errors import FormatError
from numina.evaluation import provenance
from numina.evaluation.provenance import folder_hash


def test_the_model_card_does_not_change_the_hash_but_every_weight_does(tmp_path: Path):
    (tmp_path / "weights.bin").write_bytes(b"one")
    first = folder_hash(tmp_path)
    (tmp_path / "README.md").write_text("a card")
    assert folder_hash(tmp_path) == first
    (tmp_path / "weights.bin").write_bytes(b"two")
    assert folder_hash(tmp_path) != first


def test_a_folder_without_a_model_has_no_hash(tmp_path: Path):
    (tmp_path / "README.md").write_text("a card")
    with pytest.raises(FormatError, match="holds no model"):
        folder_hash(tmp_path)


def test_results_do_not_change_the_code_that_they_are_made_by(tmp_path: Path):
    def git(*arguments):
        author = ("-c", "user.name=A", "-c", "user.email=a@b.c")
        subprocess.run(["git", *author, *arguments], cwd=tmp_path, check=True, capture_output=True)

    module = tmp_path / "numina" / "evaluation" / "provenance.py"
    module.parent.mkdir(parents=True)
    shutil.copy(provenance.__file__, module)
    git("init")
    git("add", ".")
    git("commit", "--message", "All")
    spec = importlib.util.spec_from_file_location("elsewhere", module)
    elsewhere = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(elsewhere)

    assert elsewhere.commit()["dirty"] is False
    results = tmp_path / "benchmarks" / "results" / "cpu"
    results.mkdir(parents=True)
    (results / "some.json").write_text("{}")
    assert elsewhere.commit()["dirty"] is False
    (tmp_path / "benchmarks" / "some.py").write_text("")
    assert elsewhere.commit()["dirty"] is True
