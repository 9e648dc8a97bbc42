"""Shell commands that lead to the same results again, from what a manifest holds."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from numina.errors import FormatError
from numina.evaluation.results import Row
from numina.evaluation.summary import PLAIN
from numina.sprites.settings import DEFAULTS

_OUT = ("--out", "FOLDER")
_CALL = {
    "num_inference_steps": "--steps",
    "num_frames": "--frames",
    "height": "--height",
    "width": "--width",
    "guidance_scale": "--guidance-scale",
    "negative_prompt": "--negative-prompt",
}
# Methods that `numina generate` has too.
_GENERATED = {
    "robust": ("--mode", "restart"),
    "robust-2": ("--mode", "restart", "--rounds", "2"),
    "one-pass": ("--mode", "one-pass"),
    "paper": ("--preset", "paper", "--mode", "restart"),
}


def evaluation_command(
    manifest: Mapping[str, Any], methods: Sequence[str], prompts: int, strips: int = 0
) -> str | None:
    """The command of an evaluation; None where it was run from Python on a suite of its own.

    What a manifest does not hold, because it would tell of a machine, stands in capitals.

    Args:
        manifest: Of the evaluation.
        methods: What is compared.
        prompts: How many.
        strips: Of how many cases pictures are kept.

    Raises:
        FormatError: If the manifest lacks what one of its suite holds.
    """
    with _complete(manifest):
        options = _suite_options(manifest)
        if options is None:
            return None
        words = [
            *("numina", "evaluate", "--suite", manifest["suite"], "--methods", ",".join(methods)),
            *("--prompts", str(prompts), "--seed", str(manifest["seed"])),
            *options,
            *(("--strips", str(strips)) if strips else ()),
            *_OUT,
        ]
        return shlex.join(words)


def case_command(manifest: Mapping[str, Any], rows: Sequence[Row]) -> str | None:
    """The command that makes one case again; None where there is none.

    A prompt of the sprites depends on its seed alone, so that it is an evaluation of one prompt.
    Other suites take it from a file: there it is a single generation, beside the plain one.

    Args:
        manifest: Of the evaluation.
        rows: The case under each method to be seen, plain first.

    Raises:
        FormatError: If the manifest lacks what one of its suite holds.
    """
    case, methods = rows[0], [row.method for row in rows]
    if manifest.get("suite") in ("sprites", "true-sprites"):
        return evaluation_command({**manifest, "seed": case.seed}, methods, 1, strips=1)
    guided = next((name for name in methods if name != PLAIN), None)
    if manifest.get("suite") != "countbench" or guided not in _GENERATED:
        return None
    with _complete(manifest):
        call = _call_options(manifest["call"])
        if call is None:
            return None
        counts = dict(zip(case.nouns, case.targets, strict=True))
        words = [
            *("numina", "generate", case.prompt),
            *("--counts", json.dumps(counts, ensure_ascii=False)),
            *("--seed", str(case.seed), *_GENERATED[guided], "--compare"),
            *_model_options(manifest["model"]),
            *call,
            *_OUT,
        ]
        return shlex.join(words)


@contextmanager
def _complete(manifest: Mapping[str, Any]) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, AttributeError) as error:
        raise FormatError(
            f"the manifest is none of the suite {manifest.get('suite')!r}: {error!r}"
        ) from error


def _suite_options(manifest: Mapping[str, Any]) -> list[str] | None:
    """What stands between the seed and the folder."""
    counter = manifest.get("counter")
    judge = ["--counter", counter["name"]] if counter else []
    scorer = ["--clip-model", manifest["clip"].get("repo", "CLIP")] if "clip" in manifest else []
    call = _call_options(_unusual(manifest))
    match manifest.get("suite"):
        case "sprites" if call is not None:
            return [*_sprites_model(manifest["model_sha256"]), *call, *judge, *scorer]
        case "true-sprites":
            return [*judge, *scorer]
        case "countbench" if call is not None:
            files = ["--prompts-file", "PROMPTS", "--counts-file", "COUNTS"]
            return [*files, *_model_options(manifest["model"]), *call, *judge, *scorer]
    return None


def _unusual(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of the pipeline call that are not those of the suite anyway."""
    usual = DEFAULTS.arguments() if manifest.get("suite") == "sprites" else {}
    call = manifest.get("call", {})
    return {name: value for name, value in call.items() if usual.get(name) != value}


def _call_options(call: Mapping[str, Any]) -> list[str] | None:
    """Options for the arguments of the pipeline call; None where one of them has no option."""
    if not call.keys() <= _CALL.keys():
        return None
    return [word for name, value in call.items() for word in (_CALL[name], str(value))]


def _model_options(model: Mapping[str, Any]) -> list[str]:
    where = ["--model", model.get("repo", "MODEL")]
    if "revision" in model:
        where += ["--revision", model["revision"]]
    return [*where, "--device", model["device"], "--dtype", model["dtype"]]


def _sprites_model(sha256: str) -> list[str]:
    """Nothing where it is the embedded model."""
    from numina.evaluation.provenance import folder_hash
    from numina.sprites.model import WEIGHTS

    return [] if sha256 == folder_hash(WEIGHTS) else ["--model", "MODEL"]
