"""Which adapter serves a transformer: one of ours, or one that another package brought."""

from importlib.metadata import EntryPoint, entry_points

from torch import nn

from numina.errors import UnsupportedModelError
from numina.integrations.adapter import Adapter
from numina.integrations.allegro import ADAPTERS as _ALLEGRO_ADAPTERS
from numina.integrations.cogvideox import ADAPTERS as _COGVIDEOX_ADAPTERS
from numina.integrations.cosmos import ADAPTERS as _COSMOS_ADAPTERS
from numina.integrations.hunyuan_video import ADAPTERS as _HUNYUAN_VIDEO_ADAPTERS
from numina.integrations.hunyuan_video15 import ADAPTERS as _HUNYUAN_VIDEO15_ADAPTERS
from numina.integrations.kandinsky5 import ADAPTERS as _KANDINSKY5_ADAPTERS
from numina.integrations.ltx2 import ADAPTERS as _LTX2_ADAPTERS
from numina.integrations.ltx_video import ADAPTERS as _LTX_VIDEO_ADAPTERS
from numina.integrations.mochi import ADAPTERS as _MOCHI_ADAPTERS
from numina.integrations.skyreels_v2 import ADAPTERS as _SKYREELS_V2_ADAPTERS
from numina.integrations.wan import ADAPTERS as _WAN_ADAPTERS

# Other packages declare adapters under it: the transformer's class as "package.module.Class" is the
# name, the adapter's as "package.module:Class" the value.
ENTRY_POINTS = "numina.adapters"
_PAGE = "docs/write-an-adapter.md"

_ADAPTERS: dict[type[nn.Module], type[Adapter]] = {
    **_WAN_ADAPTERS,
    **_SKYREELS_V2_ADAPTERS,
    **_COGVIDEOX_ADAPTERS,
    **_HUNYUAN_VIDEO_ADAPTERS,
    **_HUNYUAN_VIDEO15_ADAPTERS,
    **_MOCHI_ADAPTERS,
    **_LTX_VIDEO_ADAPTERS,
    **_LTX2_ADAPTERS,
    **_ALLEGRO_ADAPTERS,
    **_KANDINSKY5_ADAPTERS,
    **_COSMOS_ADAPTERS,
}
_METHODS = tuple(name for name in vars(Adapter) if not name.startswith("_"))


def adapter_for(transformer: nn.Module) -> Adapter:
    """The adapter of a transformer's family.

    Raises:
        UnsupportedModelError: If there is none for this class, or what a package brought for it
            cannot be used.
    """
    family = type(transformer)
    adapter = _ADAPTERS.get(family) or _brought(f"{family.__module__}.{family.__qualname__}")
    if adapter is None:
        known = ", ".join(sorted(each.__name__ for each in _ADAPTERS))
        raise UnsupportedModelError(
            f"numina has no adapter for {family.__name__} (known: {known}); write one by giving "
            "the methods of numina.integrations.Adapter for it, and declare it as an entry point "
            f"{ENTRY_POINTS!r}, see {_PAGE} in numina's repository"
        )
    return adapter()


def _brought(family: str) -> type[Adapter] | None:
    # Only what is asked for is imported.
    found: tuple[EntryPoint, ...] = tuple(entry_points(group=ENTRY_POINTS, name=family))
    if not found:
        return None
    told = " and ".join(sorted({entry.value for entry in found}))
    if len({entry.value for entry in found}) > 1:
        raise UnsupportedModelError(
            f"{told} are both declared as adapters of {family}; uninstall all packages but one"
        )
    try:
        adapter: type[Adapter] = found[0].load()
    except (ImportError, AttributeError) as error:
        raise UnsupportedModelError(
            f"{told}, declared as the adapter of {family}, cannot be imported ({error}); "
            "reinstall the package that brought it"
        ) from error
    left_out = getattr(adapter, "__abstractmethods__", ())
    missing = [
        name for name in _METHODS if name in left_out or not callable(getattr(adapter, name, None))
    ]
    if missing:
        raise UnsupportedModelError(
            f"{told}, declared as the adapter of {family}, lacks {', '.join(missing)}; it needs "
            "every method of numina.integrations.Adapter, and has most by subclassing it"
        )
    return adapter
