"""demo as a newcomer runs it: the weights that come along, and nothing standing in for anything."""

import json

import pytest
from typer.testing import CliRunner

from numina import cli


@pytest.mark.slow
def test_the_demo_is_wrong_before_and_right_after(tmp_path):
    out = tmp_path / "demo"
    result = CliRunner().invoke(cli.app, ["demo", "--out", str(out)])
    assert result.exit_code == 0, result.output
    document = json.loads((out / "report.json").read_text(encoding="utf-8"))
    (target,) = document["targets"]
    assert document["decision"] == "guided"
    assert target["count"] not in target["before"]
    assert set(target["after"]) == {target["count"]}
    assert document["forwards"]["after"] == document["forwards"]["before"]
