"""A file of launch configurations comes back as it was written, and a damaged one is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from numina_kernels import LaunchConfigError

pytest.importorskip("triton", reason="triton is not installed: pip install 'triton>=3.6'")

from numina_kernels.triton import config_file, configs
from numina_kernels.triton.config_file import ConfigFile, read, use
from numina_kernels.triton.configs import Form, LaunchConfig, Place, candidates, shipped

ROOT = Path(__file__).parents[2]
STREAM = Place(89, Form.STREAM, 16, 128)
FOUND = {
    STREAM: LaunchConfig(64, 32, 4, 4),
    Place(89, Form.PROBS, 16, 64): LaunchConfig(32, 0, 4, 1),
    Place(90, Form.ONE_TILE, 16, 64): LaunchConfig(32, 128, 4, 1),
}


@pytest.fixture(autouse=True)
def _as_shipped(monkeypatch):
    monkeypatch.setattr(configs, "_PREFERRED", {})


@pytest.fixture
def file(tmp_path):
    """A valid file, and a way to spoil it: ``file(change)`` writes the changed content."""
    path = tmp_path / "card.json"

    def written(change=lambda content: None):
        content = json.loads(ConfigFile(FOUND, {"device": "a card"}).text())
        change(content)
        path.write_text(json.dumps(content))
        return path

    return written


def test_a_file_comes_back_as_it_was_written(file):
    found = read(file())
    assert found.configs == FOUND
    assert found.provenance == {"device": "a card"}


def test_a_file_comes_before_the_shipped_table_at_its_places_alone(file):
    neighbours = [STREAM._replace(width=64), STREAM._replace(architecture=86)]
    before = [candidates(*place) for place in neighbours]

    use(file())

    assert candidates(*STREAM) == (FOUND[STREAM], *shipped(STREAM))
    assert [candidates(*place) for place in neighbours] == before


def test_a_second_file_takes_the_place_of_the_first(file):
    use(file())
    use(file(lambda content: content["configs"].clear()))
    assert candidates(*STREAM) == shipped(STREAM)


def test_a_trial_has_nothing_to_fall_back_to_and_leaves_no_trace(file):
    use(file())
    config = LaunchConfig(128, 32, 4, 2)

    def break_off():
        with configs.trying((STREAM,), config):
            assert candidates(*STREAM) == (config,)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert candidates(*STREAM)[0] == FOUND[STREAM]


def entry(**changes):
    return lambda content: content["configs"][0].update(changes)


FAULTS = {
    "no format": (lambda c: c.pop("format"), "is no file of launch configurations"),
    "another version": (lambda c: c.update(version=2), "version must be 1, got 2"),
    "no list": (lambda c: c.update(configs={}), "configs must be a list, got dict"),
    "no entry": (lambda c: c["configs"].insert(1, 5), r"configs\[1\] must be an object, got int"),
    "a field too few": (lambda c: c["configs"][0].pop("bits"), r"look at \['bits'\]"),
    "a field too many": (entry(stages=3), r"look at \['stages'\]"),
    "odd warps": (entry(num_warps=3), r"configs\[0\].num_warps must be one of 1, 2, 4.*got 3"),
    "no whole number": (entry(block_m=64.0), r"block_m must be one of 16, 32.*got 64.0"),
    "no number": (entry(num_stages=[3]), r"num_stages must be one of 1, 2.*got \[3\]"),
    "unknown form": (entry(form="loop"), "form must be one of stream, one tile.*got 'loop'"),
    "no capability": (entry(architecture="sm_90"), "compute capability such as 90, got 'sm_90'"),
    "tile of the probs": (entry(block_n=64), r"block_n must be one of 0, got 64"),
    "too wide": (entry(bits=32, width=256), "width must be one of 16, 32, 64, 96, 128, got 256"),
    "said twice": (lambda c: c["configs"].append(c["configs"][0]), r"configs\[3\] says again"),
    "provenance": (lambda c: c.update(provenance=[]), "provenance must be an object, got list"),
}


@pytest.mark.parametrize(("change", "complaint"), FAULTS.values(), ids=FAULTS)
def test_a_damaged_file_is_refused_by_name_and_changes_nothing(file, change, complaint):
    use(file())
    with pytest.raises(LaunchConfigError, match=f"card.json: .*{complaint}.*numina tune"):
        use(file(change))
    assert candidates(*STREAM)[0] == FOUND[STREAM]


def test_what_is_no_json_or_not_there_is_refused_by_name(tmp_path):
    broken = tmp_path / "broken.json"
    broken.write_text('{"format": ')
    with pytest.raises(LaunchConfigError, match=r"broken.json: is no JSON .*numina tune"):
        read(broken)
    with pytest.raises(LaunchConfigError, match=r"absent.json: cannot be read \(No such file"):
        read(tmp_path / "absent.json")


SCRIPT = """
from numina_kernels.triton.configs import Form, candidates
print(candidates(89, Form.STREAM, 16, 128)[0])
"""


@pytest.mark.slow
def test_the_environment_names_a_file_for_the_whole_process(file):
    def run(path):
        return subprocess.run(
            [sys.executable, "-c", SCRIPT],
            cwd=ROOT, env=os.environ | {config_file.ENVIRONMENT_VARIABLE: str(path)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    assert run(file()).stdout.strip() == str(FOUND[STREAM])
    assert "cannot be read" in run("no/such/file.json").stderr


def test_every_candidate_can_be_written_to_a_file():
    from numina_kernels.triton.tuning import candidates_at

    for form in Form:
        place = Place(90, form, 16, 128)
        tried = candidates_at(place)
        assert tried[0] == shipped(place)[0]
        assert len(set(tried)) == len(tried) <= 9
        for config in tried:
            found = config_file._parsed(json.loads(ConfigFile({place: config}).text()))
            assert found.configs == {place: config}


@pytest.mark.gpu
def test_a_card_is_tuned_to_something_that_runs(tmp_path):
    from numina_kernels.triton.tuning import tune

    lines = []
    found = tune("cuda", (64,), seconds=20, repeats=3, tell=lines.append)

    assert len(lines) == len(found.configs) == len(Form)
    assert found.provenance["device"] == torch.cuda.get_device_name()
    (tmp_path / "card.json").write_text(found.text())
    assert read(tmp_path / "card.json").configs == found.configs
