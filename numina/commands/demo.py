"""``numina demo``: the embedded sprites model miscounts, and is put right."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from numina.commands.options import Force, ModeOption, Out, PresetOption, Rounds, Seed
from numina.commands.options import Preset as PresetName
from numina.commands.screen import note

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from numina.record import CountReport
    from numina.report import Tally

PROMPT = "a video of four stars drifting right in the night"
SEED = 7
# Five frames: a second of film.
_FPS = 5


def demo(
    out: Out = Path("numina-demo"),
    prompt: Annotated[str, typer.Option("--prompt", help="Sprites to draw.")] = PROMPT,
    seed: Seed = SEED,
    mode: ModeOption = None,
    preset: PresetOption = PresetName.ROBUST,
    rounds: Rounds = 1,
    force: Force = False,
) -> None:
    """See the embedded model miscount and mended.

    The same prompt and noise run plainly and counted; both videos and a report are written.
    """
    from numina.errors import FormatError
    from numina.output import claim_folder
    from numina.report import file_names, space_needed, write_report
    from numina.sprites import DEFAULTS

    needed = space_needed(DEFAULTS.num_frames, DEFAULTS.height, DEFAULTS.width, with_before=True)
    folder = claim_folder(out, file_names(with_before=True), needed_bytes=needed, force=force)
    require_sprites(prompt)
    note(f"“{prompt}”, seed {seed}")

    # From here on it takes seconds: diffusers is imported, and the model loaded.
    from numina.commands.running import RunRequest, run_story
    from numina.commands.telling import show_story
    from numina.sprites import model

    if not (model.WEIGHTS / "model_index.json").is_file():
        raise FormatError(f"the embedded model has no weights in {model.WEIGHTS}")
    counting = {"mode": mode.value if mode else None, "preset": preset.value, "rounds": rounds}
    request = RunRequest(
        prompt, seed, counting, DEFAULTS.arguments(), model="sprites (embedded)", fps=_FPS
    )
    story = run_story(model.load(), request, count_targets)
    show_story(story, write_report(folder, story))


def require_sprites(prompt: str) -> None:
    """Refuse a prompt that counts what the sprites model cannot draw, before anything runs.

    Raises:
        TargetError: Naming the noun, and what can be drawn.
    """
    from numina.prompt.counts import parse_counts

    for target in parse_counts(prompt):
        _category(prompt, target.phrase, target.spans)


def count_targets(report: "CountReport", frames: "NDArray[Any]") -> "tuple[Tally, ...]":
    """The exact counts of a report's targets in decoded frames."""
    from numina.report import Tally
    from numina.sprites.counter import count_sprites

    counted = count_sprites(frames)
    return tuple(
        Tally(
            tuple(int(n) for n in counted[_category(report.prompt, target.phrase, target.spans)]),
            "counter",
        )
        for target in report.targets
    )


def _category(prompt: str, phrase: str, spans: tuple[tuple[int, int], ...]) -> str:
    """The sprite that a target names; a lone "balls" is told by the colour that stands before."""
    from numina.errors import TargetError
    from numina.sprites.counter import category_of
    from numina.sprites.world import CATEGORIES

    for text in (phrase, *(prompt[:stop] for _, stop in spans)):
        try:
            return category_of(text)
        except ValueError:
            continue
    raise TargetError(f"the sprites model cannot draw {phrase!r}; it knows {', '.join(CATEGORIES)}")
