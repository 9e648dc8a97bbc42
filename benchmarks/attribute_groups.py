"""What tells two groups of one noun apart: ``python benchmarks/attribute_groups.py --out FILE``.

Captions of the built-in world with blue and purple balls are run plainly. At some noise levels the
preset identifies the balls by what all tokens of a group attend to, as it always does, and by
fewer of them: by the attributes alone, by the nouns alone, and as if the first group had left its
noun to the second, as in "two blue and three purple balls". Only the look differs; the clip is the
same. ``owned`` is the share of the balls found that are of the right colour in the finished clip.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from torch import Tensor

from benchmarks.clip_rows import record_clips
from numina.attention.capture import Capture, CaptureSpec, Recorder
from numina.attention.clean_prediction import CleanPrediction
from numina.attention.text import Text
from numina.evaluation.clip import first_video
from numina.evaluation.instances import matched_instances
from numina.evaluation.suites import Case, SpritesSuite
from numina.evaluation.true_layout import grid_of, true_layout
from numina.generation.look_steps import first_step_at
from numina.generation.request import resolve_request
from numina.generation.run import PipelineRun, denoisers
from numina.integrations import Site, adapter_for
from numina.layout import Layout
from numina.methods.robust import Robust
from numina.prompt.tokens import key_groups
from numina.sprites.world import sample_scene

LEVELS = (0.87, 0.73, 0.6)
GROUPS = ("blue balls", "purple balls")
# Which of a group's tokens are looked at, all of them being [numeral, attribute, noun].
TOKENS: dict[str, Callable[[int, list[int]], list[int]]] = {
    "phrase": lambda _, tokens: tokens,
    "attribute": lambda _, tokens: tokens[1:2],
    "noun": lambda _, tokens: tokens[2:],
    "shared noun": lambda place, tokens: tokens if place else tokens[:2],
}


def case_of(seed: int) -> Case:
    """A case with both groups; the seed alone decides it."""
    rng = np.random.default_rng((20261123, seed))
    while True:
        scene = sample_scene(rng)
        if set(GROUPS) <= set(scene.counts):
            nouns, targets = zip(*scene.groups, strict=True)
            return Case(seed, scene.caption, nouns, targets)


def read_case(pipe: Any, suite: SpritesSuite, case: Case) -> Iterator[dict[str, Any]]:
    """Run a case plainly; a row for each noise level and choice of tokens."""
    call = suite.call(case)
    adapter = adapter_for(denoisers(pipe)[0])
    request = resolve_request(pipe, case.prompt, "required", "subjects", adapter, call)
    positions = request.rows[0].positions
    every = [(token,) for tokens in positions for token in tokens]
    text = Text(key_groups([every], request.num_keys, len(every)), request.may_fold)
    run = PipelineRun(pipe, {"prompt": case.prompt, **call}, on_encoded=text.measure)
    steps = {first_step_at(run.noises, level) for level in LEVELS}
    layers = CaptureSpec().cross_layers(run.num_layers)
    recorder = Recorder(text, steps, layers=layers)
    captures: list[Capture] = []

    def take(step: int, clean: Tensor) -> None:
        if step in steps:
            captures.extend(recorder.captures(clean, step))

    attends = {Site(layer, "cross"): recorder.cross for layer in layers}
    watch = CleanPrediction(run.combination, take)
    frames = first_video(run.attempt(attends, "identify", watch).output)
    counts = suite.count(frames, case)
    truth = true_layout(suite.masks(frames, case), grid_of(pipe, frames))
    balls = [noun for noun, name in enumerate(case.nouns) if name in GROUPS]
    starts = np.cumsum([0, *map(len, positions)])
    for capture in captures:
        for name, choose in TOKENS.items():
            picked = []
            for noun, tokens in enumerate(positions):
                own = [int(starts[noun]) + index for index in range(len(tokens))]
                picked.append(choose(balls.index(noun), own) if noun in balls else own)
            layout = _identified(capture, picked)
            seen = [layout.count(noun) for noun in balls]
            owned = [matched_instances(layout, truth, noun).matched for noun in balls]
            merged = [_as_one(each, balls) for each in (layout, truth)]
            yield {
                "seed": case.seed,
                "prompt": case.prompt,
                "noise": round(capture.noise, 3),
                "tokens": name,
                "held": [float(np.median(counts[noun])) for noun in balls],
                "seen": seen,
                "owned": sum(owned),
                "found": matched_instances(*merged, balls[0]).matched,
            }


def summary_of(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Shares over all clips, by noise level and choice of tokens."""
    kinds = dict.fromkeys((row["noise"], row["tokens"]) for row in rows)
    found = []
    for noise, tokens in kinds:
        own = [row for row in rows if (row["noise"], row["tokens"]) == (noise, tokens)]
        pairs = [pair for row in own for pair in zip(row["seen"], row["held"], strict=True)]
        found.append(
            {
                "noise": noise,
                "tokens": tokens,
                "clips": len(own),
                "groups counted right": np.mean([seen == held for seen, held in pairs]),
                "balls counted right": np.mean(
                    [sum(row["seen"]) == sum(row["held"]) for row in own]
                ),
                "owned": sum(row["owned"] for row in own) / sum(row["found"] for row in own),
            }
        )
    return found


def _identified(capture: Capture, picked: Sequence[Sequence[int]]) -> Layout:
    """What the preset sees if a noun's attention is that of the tokens picked for it."""
    probs = torch.stack([capture.probs[:, :, tokens].sum(2) for tokens in picked], dim=2)
    chosen = Capture(
        capture.grid, capture.step, capture.noise, capture.layers, probs, clean=capture.clean
    )
    sighting = Robust().identify(chosen)
    return (
        Layout(np.zeros(capture.grid.shape, np.int16), ()) if sighting is None else sighting.layout
    )


def _as_one(layout: Layout, nouns: Sequence[int]) -> Layout:
    """The layout with several nouns taken for the first of them."""
    return Layout(
        layout.labels, tuple(nouns[0] if noun in nouns else noun for noun in layout.nouns)
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the clips and write rows and shares."""
    return record_clips(
        "Two groups of one noun, told by their tokens.",
        lambda pipe, suite, seed: read_case(pipe, suite, case_of(seed)),
        summary_of,
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
