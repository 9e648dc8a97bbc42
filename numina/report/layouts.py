"""The layouts of a run over its frames, and its edits in words."""

from dataclasses import dataclass

from numina.layout import RegionClass
from numina.record import Look
from numina.report.outlines import Outline, outlines_after, outlines_before
from numina.report.pictures import frame_of_latent, spaced, still_picture
from numina.report.story import Frames, RunStory
from numina.report.verdict import number_word

_FRAMES = 6


@dataclass(frozen=True)
class LayoutFrame:
    """One latent frame with the outlines of its instances; over the video where there is one."""

    picture: str | None
    outlines: tuple[Outline, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class LayoutRow:
    """A layout over the frames."""

    title: str
    note: str
    rows: int
    columns: int
    frames: tuple[LayoutFrame, ...]


@dataclass(frozen=True)
class NounEdit:
    """What one look saw of one noun and changed of it."""

    noun: int
    phrase: str
    sentence: str


@dataclass(frozen=True)
class EditInWords:
    """One look at the run and its edit."""

    where: str
    nouns: tuple[NounEdit, ...]


def layout_rows(story: RunStory) -> tuple[LayoutRow, ...]:
    """The layout as first identified, and every one that was enforced in its place."""
    look = story.plain_look
    if look is None:
        return ()
    guided = story.report.decision == "guided"
    plain = story.after if story.before is None and not guided else story.before
    rows = [_row(story, look, "What the model was about to draw", before=True, video=plain)]
    for number, edit in enumerate(story.edits if guided else ()):
        title = "Corrected at a later look" if number else "What numina asked for instead"
        rows.append(_row(story, edit, title, before=False, video=story.after))
    return tuple(rows)


def edits_in_words(story: RunStory) -> tuple[EditInWords, ...]:
    """What every look saw and changed."""
    return tuple(
        EditInWords(
            where=_where(look),
            nouns=tuple(
                _noun_edit(look, noun, target.phrase)
                for noun, target in enumerate(story.report.targets)
            ),
        )
        for look in story.report.looks
    )


def _row(
    story: RunStory, look: Look, title: str, *, before: bool, video: Frames | None
) -> LayoutRow:
    edit = look.edit
    shown = spaced(len(edit.before.labels), _FRAMES)
    num_latents, rows, columns = edit.before.labels.shape
    frames = []
    for latent in shown:
        outlines = outlines_before(edit, latent) if before else outlines_after(edit, latent)
        picture = None
        if video is not None:
            picture = still_picture(video[frame_of_latent(latent, num_latents, len(video))])
        counts = tuple(
            _present(outlines, noun, counting_removed=before)
            for noun in range(len(story.report.targets))
        )
        frames.append(LayoutFrame(picture, outlines, counts))
    return LayoutRow(title, _row_note(look, before, video), rows, columns, tuple(frames))


def _present(outlines: tuple[Outline, ...], noun: int, *, counting_removed: bool) -> int:
    """Instances of a noun; one that goes is still there before the edit."""
    return sum(
        outline.noun == noun and (counting_removed or outline.state != RegionClass.REMOVED)
        for outline in outlines
    )


def _row_note(look: Look, before: bool, video: Frames | None) -> str:
    over = "outlines over the plain video" if before else "outlines over the counted video"
    what = over if video is not None else "no video was made for it"
    return f"{_where(look)}; {what}"


def _where(look: Look) -> str:
    again = f", round {look.round}" if look.round else ""
    return f"Step {look.step}, noise {look.noise:.2f}{again}"


def _noun_edit(look: Look, noun: int, phrase: str) -> NounEdit:
    edit = look.edit
    new = [
        template
        for label, template in zip(edit.added, edit.templates, strict=True)
        if edit.after.nouns[label - 1] == noun
    ]
    removed = sum(edit.before.nouns[label - 1] == noun for label in edit.removed)
    parts = []
    if new:
        copied = sum(template is not None for template in new)
        shape = (
            "shaped like one that was there"
            if copied == len(new)
            else "of a plain shape"
            if copied == 0
            else f"{number_word(copied)} shaped like one that was there, the rest plain"
        )
        parts.append(f"added {number_word(len(new))}, {shape}")
    if removed:
        parts.append(f"removed {number_word(removed)}")
    if edit.brief is not None and (brief := edit.brief.count(noun)):
        parts.append(f"removed {number_word(brief)} seen in too few frames")
    if held := len(edit.held(noun)):
        parts.append(f"kept {number_word(held)} in every frame")
    done = "; ".join(parts) or "nothing to change"
    return NounEdit(noun, phrase, f"saw {number_word(edit.before.count(noun))}; {done}")
