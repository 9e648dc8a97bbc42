"""The methods that come along, by name."""

from numina.methods.method import Method
from numina.methods.paper import Paper
from numina.methods.robust import Robust


def method_named(name: str) -> Method:
    """``"robust"`` (the default), ``"robust-attention"`` or ``"paper"``, the published method.

    Raises:
        ValueError: If there is no such preset.
    """
    presets: dict[str, Method] = {
        "robust": Robust(),
        "robust-attention": Robust(evidence="attention"),
        "paper": Paper(),
    }
    if name not in presets:
        raise ValueError(f"there is no preset {name!r}; choose one of {', '.join(presets)}")
    return presets[name]
