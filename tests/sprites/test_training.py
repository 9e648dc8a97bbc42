"""Going on with training from a finished pipeline."""

from pathlib import Path

import torch

from numina.sprites.flow import FlowTrainer
from numina.sprites.model import WEIGHTS, load


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
