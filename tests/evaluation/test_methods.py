"""What is compared: built-in methods and controls, on an untrained pipeline of the real classes."""

import pickle
import re
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from numina.evaluation import Case, Clip, EvaluationError, Plain, SpritesSuite, Task
from numina.evaluation.clip import plain_clip
from numina.evaluation.methods import (
    METHODS,
    BestOfSeeds,
    GivenLayout,
    Guided,
    Searched,
    methods_named,
)
from numina.generation.look_steps import first_step_at
from numina.generation.run import PipelineRun
from numina.guidance.schedule import GuidanceSchedule
from numina.guidance.whole_layout import RobustPlan
from numina.methods.robust import Robust
from numina.sprites.model import (
    build_autoencoder,
    build_pipeline,
    build_text_encoder,
    build_tokenizer,
    build_transformer,
)
from tests.evaluation.made import MadeSuite, clip_of
from tests.pipeline.given import Given

STEPS = 6
# A grid of 3 x 8 x 8 patches: large enough for four sprites, small enough for a unit test.
SUITE = SpritesSuite(
    seed=0,
    settings=(
        ("height", 64),
        ("width", 64),
        ("num_inference_steps", STEPS),
        ("max_sequence_length", 16),
    ),
)
CASE = Case(3, "two apples and one star drifting left", ("apples", "stars"), (2, 1))


@dataclass(frozen=True)
class SeenSuite(SpritesSuite):
    """A suite whose plain clips show so many apples in a row, and one star."""

    apples: int = 2

    def masks(self, frames, case):
        apples, stars = np.zeros((2, 5, 64, 64), np.int32)
        for index in range(self.apples):
            apples[:, 8:24, 24 * index : 24 * index + 16] = index + 1
        stars[:, 40:56, 0:16] = 1
        return [apples, stars]


def seen_suite(apples):
    return SeenSuite(SUITE.seed, SUITE.folder, SUITE.settings, apples)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """As in a run; on layers this small a second thread only waits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pipe():
    torch.manual_seed(0)
    tokenizer = build_tokenizer()
    text_encoder = build_text_encoder(len(tokenizer)).eval()
    return build_pipeline(build_transformer().eval(), text_encoder, build_autoencoder().eval())


@pytest.fixture(scope="module")
def plain(pipe):
    return Plain().generate(Task(pipe, SUITE, CASE))


def test_the_plain_clip_is_the_stock_pipelines(pipe, plain):
    stock = pipe(
        prompt=CASE.prompt,
        height=64,
        width=64,
        num_frames=5,
        num_inference_steps=STEPS,
        guidance_scale=1.5,
        max_sequence_length=16,
        generator=torch.Generator().manual_seed(3),
        output_type="np",
    ).frames[0]
    np.testing.assert_array_equal(plain.frames, stock)
    assert plain.forwards == 2 * STEPS


def test_one_pass_reads_the_prompt_and_costs_no_forward_more(pipe, plain):
    clip = Guided(Robust(), "one-pass").generate(Task(pipe, SUITE, CASE))
    assert clip.forwards == plain.forwards
    assert clip.frames.shape == plain.frames.shape
    assert {len(look) for look in clip.seen} <= {2}


def test_a_prompt_that_is_read_otherwise_is_an_error(pipe):
    case = replace(CASE, targets=(3, 1))
    with pytest.raises(EvaluationError, match=re.escape("asks for (3, 1), but was read as (2, 1)")):
        Guided(Robust(), "one-pass").generate(Task(pipe, SUITE, case))
    task = Task(pipe, seen_suite(1), case, Clip(np.zeros((5, 64, 64, 3), np.float32), 1.0, 1.0))
    with pytest.raises(EvaluationError, match="was read as"):
        GivenLayout(Robust()).generate(task)


@pytest.mark.parametrize("misplaced", [False, True])
def test_a_true_layout_that_is_right_keeps_the_plain_clip(pipe, plain, misplaced):
    clip = GivenLayout(Robust(), misplaced).generate(Task(pipe, seen_suite(2), CASE, plain))
    assert clip.frames is plain.frames
    assert (clip.decision, clip.seen) == ("continued", ((2, 1),))


def test_a_true_layout_that_is_wrong_guides_one_run_from_its_start(pipe, plain):
    processors = dict(pipe.transformer.attn_processors)
    task = Task(pipe, seen_suite(1), CASE, plain)
    clip = GivenLayout(Robust()).generate(task)
    assert (clip.decision, clip.seen, clip.forwards) == ("guided", ((1, 1),), plain.forwards)
    assert not np.array_equal(clip.frames, plain.frames)
    np.testing.assert_array_equal(GivenLayout(Robust()).generate(task).frames, clip.frames)
    assert pipe.transformer.attn_processors == processors
    # The places matter.
    elsewhere = GivenLayout(Robust(), misplaced=True).generate(task)
    assert elsewhere.seen == clip.seen
    assert not np.array_equal(elsewhere.frames, clip.frames)


def test_a_control_of_one_pass_mode_sets_in_after_the_first_look(pipe, plain, monkeypatch):
    task, guided = Task(pipe, seen_suite(1), CASE, plain), []
    bias = RobustPlan.bias

    def watched(self, query, text, groups, strength, moment):
        guided.append(moment.step)
        return bias(self, query, text, groups, strength, moment)

    monkeypatch.setattr(RobustPlan, "bias", watched)
    call = {"prompt": CASE.prompt, **SUITE.call(CASE)}
    method = Robust(looks=(0.9, 0.7), schedule=GuidanceSchedule(until=0.3))
    looked = first_step_at(PipelineRun(pipe, call).noises, 0.9)
    assert looked > 0
    clip = GivenLayout(method, mode="one-pass").generate(task)
    assert min(guided) == looked + 1
    assert clip.forwards == plain.forwards
    guided.clear()
    GivenLayout(method).generate(task)
    assert min(guided) == 0


def tried(attempts):
    """A task whose further attempts show so many apples and stars."""
    counts = iter(attempts)

    def call(prompt, seed, attempt):
        return SimpleNamespace(frames=[clip_of([[n] * 3 for n in next(counts)])])

    suite = MadeSuite()
    plain = Clip(clip_of([[0] * 3, [0] * 3]), 4.0, 1.0)
    return Task(call, suite, suite.case(1), plain), counts


def test_the_best_of_seeds_is_kept_and_all_are_paid_for():
    task, counts = tried([(2, 0), (0, 0), (1, 1), (2, 1)])
    clip = BestOfSeeds(4).generate(task)
    np.testing.assert_array_equal(task.suite.count(clip.frames, task.case)[:, 0], [2, 0])
    assert list(counts) == [(2, 1)]


def test_the_search_ends_with_the_first_right_clip():
    task, counts = tried([(2, 0), (2, 2), (2, 2)])
    clip = BestOfSeeds(5).generate(task)
    np.testing.assert_array_equal(task.suite.count(clip.frames, task.case)[:, 0], [2, 2])
    assert list(counts) == [(2, 2)]


def test_further_attempts_have_other_noise_than_any_case():
    generators = [SUITE.call(CASE, attempt)["generator"] for attempt in range(5)]
    first, *others = [generator.initial_seed() for generator in generators]
    assert first == CASE.seed
    assert min(others) > 10**8
    # By what is drawn: the generator knows a seed by its lower 32 bits alone.
    assert len({torch.randn(1, generator=generator).item() for generator in generators}) == 5


def test_a_case_depends_on_its_seed_alone():
    assert SpritesSuite(seed=7).case(5) == SpritesSuite(seed=12).case(0)
    counts = {SpritesSuite(seed=100_000).case(index).targets[0] for index in range(8)}
    assert counts == set(range(1, 9))


def test_methods_say_all_their_settings_and_travel_to_other_processes():
    for name, method in METHODS.items():
        assert " at 0x" not in repr(method), name
        assert repr(pickle.loads(pickle.dumps(method))) == repr(method)
    assert len({repr(method) for method in METHODS.values()}) == len(METHODS)


def test_methods_are_found_by_name():
    assert list(methods_named(["one-pass", "plain"])) == ["one-pass", "plain"]
    for names, message in [
        (["numina"], "no method 'numina'"),
        (["plain", "plain"], "named twice"),
        ([], "at least"),
    ]:
        with pytest.raises(ValueError, match=message):
            methods_named(names)


def test_a_broken_clip_is_refused_and_has_no_count():
    broken = np.zeros((5, 64, 64, 3), np.float32)
    broken[0, 0, 0, 0] = np.nan
    for judge in (SUITE.count, SUITE.masks):
        with pytest.raises(EvaluationError, match="not finite"):
            judge(broken, CASE)
        with pytest.raises(EvaluationError, match=re.escape("must be [F, Y, X, 3]")):
            judge(broken[:0], CASE)


def test_a_search_goes_through_the_noises_of_the_case(pipe):
    case = Case(3, "two apples drifting left", ("apples",), (2,))
    task = Task(pipe, SUITE, case)
    clip = Searched(Given(found=(1, 2)), seeds=3).generate(task)
    second = plain_clip(task, attempt=1)
    np.testing.assert_array_equal(clip.frames, second.frames)
    assert (clip.decision, clip.seen) == ("continued", ((2,),))
    # The first seed was left at its look, in the middle of a forward.
    assert second.forwards < clip.forwards < 2 * second.forwards
    guided = Searched(Given(found=(1, 1, 2)), seeds=2).generate(task)
    assert (guided.decision, guided.seen) == ("guided", ((1,), (2,)))


def test_a_search_is_told_the_counts_where_methods_are_told(pipe):
    case = Case(3, "two apples drifting left", ("apples",), (3,))
    method = Searched(Given(found=(3,)), seeds=1)
    with pytest.raises(EvaluationError, match="was read as"):
        method.generate(Task(pipe, SUITE, case))
    assert method.generate(Task(pipe, SUITE, replace(case, told=True))).seen == ((3,),)
