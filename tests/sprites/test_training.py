"""Training runs: where they start, how they go on."""

from itertools import count
from pathlib import Path

import pytest
import torch

from numina.sprites import flow
from numina.sprites.flow import FlowTrainer, StageSpec
from numina.sprites.model import WEIGHTS, load
from numina.sprites.pools import Pool


def test_a_run_starts_from_the_weights_of_a_finished_pipeline(tmp_path: Path):
    trainer = FlowTrainer(tmp_path, seed=0, compiled=False, start=WEIGHTS)
    shipped = load()
    expected = [*shipped.transformer.parameters(), *shipped.text_encoder.parameters()]
    for ours in (trainer.parameters, trainer.averages):
        assert all(torch.equal(a, b) for a, b in zip(ours, expected, strict=True))


def test_a_checkpoint_overrides_the_weights_it_started_from(tmp_path: Path):
    trainer = FlowTrainer(tmp_path, seed=0, compiled=False, start=WEIGHTS)
    with torch.no_grad():
        trainer.parameters[0].add_(1.0)
    trainer.save()
    again = FlowTrainer(tmp_path, seed=0, compiled=False, start=WEIGHTS)
    assert torch.equal(again.parameters[0], trainer.parameters[0])


def test_a_stage_spends_its_time_and_its_checkpoint_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seconds = count()
    monkeypatch.setattr(flow.time, "monotonic", lambda: next(seconds))
    trainer = FlowTrainer(tmp_path, seed=0, compiled=False)
    pool = Pool(torch.randn(2, 8, 3, 4, 4), ("one star", "two fish"))
    stage = StageSpec("clips", minutes=4 / 60, batch=1)
    trainer.run(stage, pool, seed=0)
    assert trainer.step == 4
    again = FlowTrainer(tmp_path, seed=0, compiled=False)
    assert (again.step, again.seconds) == (4, {"clips": 4})
    again.run(stage, pool, seed=0)
    assert again.step == 4
