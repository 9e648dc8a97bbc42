"""What a result depends on: the model's files, and not what is written about them."""

from pathlib import Path

import pytest

from numina.errors import FormatError
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
