"""A pipeline without weights: configurations, scheduler and tokenizer, on the meta device."""

import importlib
from typing import Any

from numina.errors import FormatError
from numina.integrations.loading import model_files, placement

# Parts that sizes are read from. Their weights are not needed, so none is loaded.
_EMPTY = ("transformer", "transformer_2", "vae")
_WHOLE = ("scheduler", "tokenizer")
# Where there is none, Cosmos pipelines make one, with weights of its own.
_INSISTED_ON = ("safety_checker",)


class _LeftOut:
    """In the place of a part that a pipeline insists on, and that nothing is read from."""


def outline_pipeline(
    model: str, *, revision: str | None = None, device: str = "auto", dtype: str = "auto"
) -> tuple[Any, str]:
    """Build a pipeline of which nothing can run but sizes can be read.

    Args:
        model: A folder with a ``model_index.json``, or a hub name; of the latter only
            configurations and the tokenizer are fetched.
        revision: Commit, tag or branch of a hub model.
        device: Where it would run: ``"auto"``, ``"cuda"`` or ``"cpu"``.
        dtype: A torch dtype by name, or ``"auto"``, as for ``load_pipeline``.

    Returns:
        The pipeline, and the type of the device that it would run on.

    Raises:
        FormatError: If there is no such model, or it is damaged.
        UnsupportedModelError: If its pipeline is none of diffusers' own.
    """
    import torch

    place, dtype = placement(device, dtype)
    pipeline_class, folder, index = model_files(model, revision)
    parts: dict[str, Any] = {}
    for name, found in index.items():
        if name.startswith("_") or not isinstance(found, list):
            continue
        library, kind = found
        parts[name] = None
        if library is None or name not in _EMPTY + _WHOLE:
            continue
        part: Any = getattr(importlib.import_module(library), kind)
        try:
            if name in _WHOLE:
                parts[name] = part.from_pretrained(folder / name)
            else:
                with torch.device("meta"):
                    parts[name] = part.from_config(part.load_config(folder / name))
                for parameter in parts[name].parameters():
                    parameter.data = parameter.data.to(getattr(torch, dtype))
        except (OSError, ValueError, KeyError) as error:
            raise FormatError(f"{model}: {name} cannot be read: {error}".splitlines()[0]) from error
    settings = {name: value for name, value in index.items() if not isinstance(value, list)}
    accepted = pipeline_class._get_signature_keys(pipeline_class)
    parts |= {name: _LeftOut() for name in _INSISTED_ON if name in {*accepted[0], *accepted[1]}}
    optional = {name: settings[name] for name in accepted[1] if name in settings}
    return pipeline_class(**parts, **optional), place
