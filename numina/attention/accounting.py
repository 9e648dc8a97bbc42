"""Bytes that looking and guiding take beside the plain run, from sizes alone."""

from dataclasses import dataclass

from numina.identify.sketch import WORKING_COPIES, SketchSpec, heads_at_once
from numina.video import VideoGrid
from numina_kernels.impl import Impl
from numina_kernels.workspace import (
    FLOAT,
    AttentionSize,
    biased_attention_bytes,
    token_probs_bytes,
)

# A Gram matrix, its eigenvectors and the copies that Jacobi's rotations make of both, in float64.
_GRAM_BYTES = 8 * 8
# What `consensus_focus` and `map_agreement` hold of the maps of one video, as float32.
_FOCUS_COPIES = 4
# Probabilities, log-odds, and where a median is taken: masked, laid out anew, sorted, the order.
_MEDIAN_BYTES = 7 * FLOAT


@dataclass(frozen=True)
class RunSize:
    """What a run attends over.

    Attributes:
        grid: Patches of a video; ``Q`` of them in all.
        text: Text keys ``K``, padding included.
        heads: ``H``.
        head_dim: ``D``.
        layers: Blocks of the transformer, ``L``.
        joint: Whether text and video attend in one sequence.
        both_branches: Whether one forward pass holds both guidance branches.
        videos: Videos of the batch, ``B``.
        nouns: Counted nouns ``G``, the most of any video.
        noun_keys: Text keys that name them, ``T``.
        itemsize: Bytes of a number in the transformer's attention.
    """

    grid: VideoGrid
    text: int
    heads: int
    head_dim: int
    layers: int
    joint: bool
    both_branches: bool
    videos: int = 1
    nouns: int = 1
    noun_keys: int = 2
    itemsize: int = 2

    def __post_init__(self) -> None:
        for name in ("text", "heads", "head_dim", "layers", "videos", "nouns", "itemsize"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.noun_keys <= self.text:
            raise ValueError(f"noun_keys must be 0..{self.text}, got {self.noun_keys}")

    @property
    def tokens(self) -> int:
        """Length of what attends: the video, or text and video, ``S``."""
        return self.grid.tokens + (self.text if self.joint else 0)

    @property
    def keys(self) -> int:
        """Keys that a noun's probability is a share of: the text's, or all of a joint sequence."""
        return self.tokens if self.joint else self.text

    @property
    def output_bytes(self) -> int:
        """Bytes of a layer's attention output ``[B, S, H, D]``, of one guidance branch."""
        return self.videos * self.tokens * self.heads * self.head_dim * self.itemsize

    @property
    def maps(self) -> int:
        """Numbers of the nouns' maps of one layer, ``B H G Q``."""
        return self.videos * self.heads * self.nouns * self.grid.tokens


@dataclass(frozen=True)
class Machine:
    """Who computes, and where.

    Attributes:
        impl: Implementation of the operations.
        device_type: ``"cpu"``, ``"cuda"``, ...
    """

    impl: Impl
    device_type: str


@dataclass(frozen=True)
class Part:
    """Some of the bytes that are held at once.

    Attributes:
        what: What they hold, in a few words.
        bytes: How many.
    """

    what: str
    bytes: int


@dataclass(frozen=True)
class Peak:
    """What is held at once beside the plain run, at the worst moment of one occasion."""

    parts: tuple[Part, ...] = ()

    @property
    def bytes(self) -> int:
        """Bytes of all parts."""
        return sum(part.bytes for part in self.parts)


def look_peak(size: RunSize, machine: Machine) -> Peak:
    """Held on the device while one layer's noun probabilities are recorded.

    They leave the device before the layer goes on, so the number of layers that are looked at does
    not matter here.
    """
    operation = _token_probs(size, size.grid.tokens, size.keys, machine)
    probs = FLOAT * size.maps
    # Cross-attention keeps them in half precision; both copies live for a moment.
    halved = 0 if size.joint else probs // 2
    return Peak(
        (
            Part("noun probabilities", probs),
            Part("row sums and workspace", max(operation, halved)),
            *_mask(size),
        )
    )


def look_host_peak(size: RunSize, captured: int) -> Peak:
    """Held in the host's memory at a look of ``captured`` layers, while it is made sense of."""
    kept = size.maps * captured * (FLOAT if size.joint else 2)
    as_float = size.maps * captured * FLOAT
    of_one = as_float // size.videos
    return Peak(
        (
            Part("noun probabilities of all layers", kept + as_float),
            Part("while one video is identified", _FOCUS_COPIES * of_one),
        )
    )


def sketch_peak(size: RunSize, machine: Machine, spec: SketchSpec) -> Peak:
    """Held on the device while self-attention is sketched for the head statistics."""
    grid, columns = size.grid, spec.columns
    heads = min(heads_at_once(grid, spec), size.heads)
    products = AttentionSize(
        batch=grid.frames,
        queries=grid.patches,
        keys=grid.patches,
        heads=heads,
        head_dim=max(size.head_dim, columns),
        nouns=0,
        noun_keys=0,
    )
    a_sketch = FLOAT * grid.tokens * columns
    return Peak(
        (
            Part("sketches of the maps", a_sketch * WORKING_COPIES * heads + a_sketch),
            Part("their Gram matrices", _GRAM_BYTES * grid.frames * heads * columns**2),
            Part(
                "row sums and workspace",
                biased_attention_bytes(products, machine.impl, machine.device_type),
            ),
            # In runs of heads, and all together.
            Part("features of all heads", 2 * 3 * FLOAT * grid.tokens * size.heads),
            *_mask(size),
        )
    )


def plan_peak(size: RunSize, samples: int) -> Peak:
    """Held on the device from the first guided layer to the end of the run.

    Args:
        size: Of the run.
        samples: Patches of each noun that a layer's log-odds are measured on, inside and outside.
    """
    sampled = _sampled(size, samples)
    return Peak(
        (
            Part(
                "class of every patch for every noun",
                size.videos * size.nouns * size.grid.tokens,
            ),
            Part("sampled patches", size.videos * sampled * (8 + size.nouns)),
        )
    )


def guidance_peak(size: RunSize, machine: Machine, samples: int) -> Peak:
    """Held on the device while one layer is guided, beside its own output and the plan.

    Args:
        size: Of the run.
        machine: Who computes.
        samples: As for ``plan_peak``.
    """
    sampled = _sampled(size, samples)
    measured = size.videos * sampled * size.heads
    measuring = (
        measured * (size.head_dim * size.itemsize + _MEDIAN_BYTES * size.nouns)
        + _token_probs(size, sampled, size.text, machine)
        + 8 * size.videos * sampled * (1 + size.nouns)
    )
    attending = biased_attention_bytes(
        _attention(size, size.tokens, size.keys), machine.impl, machine.device_type
    )
    parts: tuple[Part, ...] = _mask(size)
    if size.joint:
        classes = size.videos * size.nouns * size.tokens
        parts += (Part("classes of the joint sequence", classes),)
    busy = max(measuring, attending)
    if size.both_branches:
        # Guided rows, unguided ones, and both joined: twice what the model itself would hold.
        joined = 2 * size.output_bytes
        parts += (Part("guided and unguided rows, joined", joined),)
        # The workspace is gone when they are; only what is above them counts.
        busy = max(0, busy - joined - size.output_bytes)
    return Peak((*parts, Part("log-odds, row sums and workspace", busy)))


def clean_latent_peak(latents: int) -> Peak:
    """Held on the device from one step to the next for the clean latent.

    Args:
        latents: Numbers of the latents of all videos.
    """
    return Peak((Part("conditional prediction and clean latent", 2 * FLOAT * latents),))


def prediction_peak(latents: int) -> Peak:
    """Held on the device after a forward pass, while its clean latent is worked out.

    Args:
        latents: As for ``clean_latent_peak``.
    """
    # Latents and predictions of both branches read as a flow, then combined.
    return Peak((Part("latents and predictions as a flow", 8 * FLOAT * latents),))


def _sampled(size: RunSize, samples: int) -> int:
    return size.nouns * min(2 * samples, size.grid.tokens)


def _token_probs(size: RunSize, queries: int, keys: int, machine: Machine) -> int:
    return token_probs_bytes(_attention(size, queries, keys), machine.impl, machine.device_type)


def _attention(size: RunSize, queries: int, keys: int) -> AttentionSize:
    return AttentionSize(
        batch=size.videos,
        queries=queries,
        keys=keys,
        heads=size.heads,
        head_dim=size.head_dim,
        nouns=size.nouns,
        noun_keys=size.noun_keys,
    )


def _mask(size: RunSize) -> tuple[Part, ...]:
    """The model's mask of keys as numbers that are added, and noun and offset of every key."""
    rows = size.videos * (2 if size.both_branches else 1)
    return (Part("mask and nouns of the keys", rows * size.keys * (4 * FLOAT + 4)),)
