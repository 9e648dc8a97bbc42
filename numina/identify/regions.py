"""Regions of attention: a layout of the instances that self- and cross-attention show."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.cluster import MeanShift, estimate_bandwidth

from numina.identify.parts import (
    absorb_small,
    linked_parts,
    neighbour_pairs,
    part_means,
    renumbered,
    split_at_valleys,
    typical_area,
)
from numina.identify.relief import ReliefSpec, smooth_relief
from numina.layout import Layout
from numina.video import VideoGrid
from numina_kernels import ShapeError


@dataclass(frozen=True)
class PaperRegions:
    """The published rule (arXiv 2604.08546, Eq. 3-4), with the published settings.

    Attributes:
        rho: Share of a noun's peak in the frame above which a patch is in its focus mask.
        tau: Share of a region that the focus mask must cover.
        position_weight: Weight of a patch's place, in frame heights and widths, beside its
            features stretched to 0..1.
        quantile: Share of all patches whose spread is the bandwidth of the mean shift.
        eps: Reach of DBSCAN, in patches.
        min_samples: Patches of the mask within reach, itself included, that DBSCAN asks for.
    """

    rho: float = 0.1
    tau: float = 0.2
    position_weight: float = 0.5
    quantile: float = 0.2
    eps: float = 3.0
    min_samples: int = 5

    def __post_init__(self) -> None:
        for name in ("rho", "tau", "quantile"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} must lie between 0 and 1, got {getattr(self, name)}")
        if self.position_weight < 0 or self.eps <= 0 or self.min_samples < 1:
            raise ValueError(
                f"position_weight must not be negative, eps and min_samples be positive, got {self}"
            )

    def scaled_to(self, grid: VideoGrid, instance_patches: float) -> "PaperRegions":
        """The same rule with sizes made for instances of ``instance_patches`` patches.

        The published bandwidth spans a fifth of all patches, however small the instances; here it
        spans one instance. DBSCAN reaches half an instance's side and asks for half of the
        patches in reach.
        """
        if not 1 <= instance_patches < grid.patches:
            raise ValueError(
                f"instance_patches must be 1 to {grid.patches - 1}, got {instance_patches}"
            )
        eps = max(1.0, math.sqrt(instance_patches) / 2)
        reach = int(_disc(eps).sum())
        return replace(
            self,
            quantile=instance_patches / grid.patches,
            eps=eps,
            min_samples=max(2, round(reach / 2)),
        )


@dataclass(frozen=True)
class AttentionRegions:
    """Settings of `attention_layout`; every size is relative to what is found.

    Attributes:
        diagonal: Whether patches that touch at a corner belong together.
        relief: How the focus of each noun is smoothed and thresholded.
        valley: How deep the valley between two peaks must be to part them, as a share of the
            lower peak's height over the threshold; above 1 never splits.
        valley_noise: The same in deviations of the ground; the deeper of the two counts.
        smallest: Area that a region needs, as a share of the typical area of all regions.
        affinity: Touching regions are merged if their mean features differ by less than this share
            of the typical difference between a region and its frame's background.
    """

    diagonal: bool = False
    relief: ReliefSpec = ReliefSpec()
    valley: float = 0.3
    valley_noise: float = 1.25
    smallest: float = 0.3
    affinity: float = 0.3

    def __post_init__(self) -> None:
        if not 0 <= self.smallest <= 1:
            raise ValueError(f"smallest must lie in 0..1, got {self.smallest}")
        if min(self.valley, self.valley_noise, self.affinity) < 0:
            raise ValueError(f"valleys and affinity must not be negative, got {self}")


def paper_layout(
    features: NDArray[np.floating],
    focus: NDArray[np.floating],
    grid: VideoGrid,
    spec: PaperRegions | None = None,
) -> Layout:
    """Regions by mean shift that a noun's focus covers (arXiv 2604.08546, Eq. 3-4).

    Regions are found once per frame and shared by all nouns. As a layout gives a patch to one noun
    only, a region that several nouns claim goes to the one whose focus covers most of it, then to
    the one with the stronger relative focus.

    Args:
        features: The best head's principal components, ``[F, N, 3]``.
        focus: Probability of each noun's tokens, ``[G, F, Y, X]``.
        grid: The video's patches.
        spec: Settings of the rule.

    Returns:
        One label per region and frame.

    Raises:
        ShapeError: If features or focus are not those of ``grid``.
    """
    spec = spec or PaperRegions()
    features, focus = np.asarray(features), np.asarray(focus)
    _check_focus(focus, grid)
    if features.shape != (grid.frames, grid.patches, 3):
        raise ShapeError(
            f"features must be [{grid.frames}, {grid.patches}, 3], got {features.shape}"
        )
    peaks = focus.max(axis=(2, 3), keepdims=True)
    relative = np.divide(focus, peaks, out=np.zeros_like(focus), where=peaks > 0)
    labels = np.zeros(grid.shape, np.int16)
    nouns: list[int] = []
    for frame in range(grid.frames):
        clusters = _mean_shift(features[frame], grid, spec)  # [Y, X], from 0 on
        number = int(clusters.max()) + 1
        masks = [dense_patches(one >= spec.rho, spec) for one in relative[:, frame]]
        # Mean shift may leave a centre without any patch.
        areas = np.maximum(np.bincount(clusters.ravel()), 1)
        covered = np.stack(
            [np.bincount(clusters[mask], minlength=number) / areas for mask in masks]
        )  # [G, clusters]
        strength = np.stack(
            [
                np.bincount(clusters.ravel(), weights=one.ravel()) / areas
                for one in relative[:, frame]
            ]
        )
        for cluster in range(number):
            claims = [(covered[g, cluster], strength[g, cluster], -g) for g in range(len(focus))]
            share, _, owner = max(claims)
            if share >= spec.tau:
                nouns.append(-owner)
                labels[frame][clusters == cluster] = len(nouns)
    return Layout(labels, tuple(nouns))


def dense_patches(mask: NDArray[np.bool_], spec: PaperRegions) -> NDArray[np.bool_]:
    """The patches of one frame's mask that DBSCAN does not call noise, ``[Y, X]``.

    A patch is dense with ``min_samples`` patches of the mask within ``eps``, itself included;
    dense patches stay, and those of the mask that are within ``eps`` of one.
    """
    disc = _disc(spec.eps)
    near = ndimage.convolve(mask.astype(np.int32), disc.astype(np.int32), mode="constant")
    dense = mask & (near >= spec.min_samples)
    return mask & ndimage.binary_dilation(dense, disc)


def attention_layout(
    focus: NDArray[np.floating],
    grid: VideoGrid,
    spec: AttentionRegions | None = None,
    affinity: NDArray[np.floating] | None = None,
) -> Layout:
    """Regions where a noun's focus stands out: Otsu threshold, connected parts, area floor.

    Args:
        focus: Where each noun attends, ``[G, F, Y, X]``, in any unit and with any offset.
        grid: The video's patches.
        spec: Settings of the rule.
        affinity: Self-attention features by which fragments are merged, ``[F, N, C]``.

    Returns:
        One label per region and frame; a region belongs to its best noun. Empty where the focus
        is flat.

    Raises:
        ShapeError: If focus or affinity are not those of ``grid``.
    """
    spec = spec or AttentionRegions()
    focus = np.asarray(focus, dtype=np.float64)
    _check_focus(focus, grid)
    if affinity is not None and affinity.shape[:2] != (grid.frames, grid.patches):
        raise ShapeError(
            f"affinity must be [{grid.frames}, {grid.patches}, C], got {affinity.shape}"
        )
    pairs = neighbour_pairs(grid.shape, spec.diagonal)
    reliefs = [smooth_relief(one, spec.relief) for one in focus]
    height = np.stack([relief.height for relief in reliefs])  # [G, F, Y, X]
    noise = max(relief.noise for relief in reliefs)
    best = height.argmax(axis=0).ravel()
    top = height.max(axis=0)
    same_noun = pairs[best[pairs[:, 0]] == best[pairs[:, 1]]]
    parts = linked_parts(top > 0, same_noun)
    parts = split_at_valleys(parts, top, same_noun, spec.valley, spec.valley_noise * noise)
    parts = absorb_small(parts, pairs, spec.smallest * typical_area(parts))
    if affinity is not None:
        parts = _merge_alike(parts, height, np.asarray(affinity), pairs, spec)
    nouns = part_means(parts, height).argmax(axis=0)
    return Layout(parts.astype(np.int16), tuple(int(noun) for noun in nouns))


def _check_focus(focus: NDArray[np.floating], grid: VideoGrid) -> None:
    if focus.ndim != 4 or focus.shape[1:] != grid.shape or len(focus) == 0:
        raise ShapeError(
            f"focus must be [G, {grid.frames}, {grid.rows}, {grid.columns}] with at least one "
            f"noun, got {focus.shape}"
        )


def _mean_shift(
    features: NDArray[np.floating], grid: VideoGrid, spec: PaperRegions
) -> NDArray[np.int64]:
    low, high = features.min(axis=0), features.max(axis=0)
    stretched = (features - low) / np.where(high > low, high - low, 1.0)
    place = np.indices((grid.rows, grid.columns)).reshape(2, -1).T / (grid.rows, grid.columns)
    points = np.concatenate([stretched, spec.position_weight * place], axis=1)
    bandwidth = estimate_bandwidth(points, quantile=spec.quantile)
    if bandwidth <= 0:
        return np.zeros((grid.rows, grid.columns), np.int64)
    clusters = MeanShift(bandwidth=bandwidth, bin_seeding=True).fit_predict(points)
    return np.asarray(clusters, np.int64).reshape(grid.rows, grid.columns)


def _disc(radius: float) -> NDArray[np.bool_]:
    reach = np.arange(-math.floor(radius), math.floor(radius) + 1)
    return np.asarray(np.hypot(reach[:, None], reach) <= radius)


def _merge_alike(
    parts: NDArray[np.int32],
    height: NDArray[np.float64],
    features: NDArray[np.floating],
    pairs: NDArray[np.int64],
    spec: AttentionRegions,
) -> NDArray[np.int32]:
    """Join touching parts of one noun whose features are nearly the same."""
    if not parts.any():
        return parts
    maps = np.moveaxis(features, -1, 0).reshape(-1, *parts.shape)
    means = part_means(parts, maps).T  # [P, C]
    nouns = part_means(parts, height).argmax(axis=0)
    flat = parts.ravel()
    frame_of = np.unique(flat, return_index=True)[1][-len(means) :] // features.shape[1]
    outside = (parts == 0).reshape(len(parts), -1, 1)
    ground = (features * outside).sum(axis=1) / np.maximum(outside.sum(axis=1), 1)  # [F, C]
    typical = np.median(np.linalg.norm(means - ground[frame_of], axis=1))

    one, other = flat[pairs].T
    touching = (one > 0) & (other > 0) & (one != other)
    one, other, between = one[touching] - 1, other[touching] - 1, pairs[touching]
    difference = np.linalg.norm(means[one] - means[other], axis=1)
    alike = (difference < spec.affinity * typical) & (nouns[one] == nouns[other])
    inner = pairs[flat[pairs[:, 0]] == flat[pairs[:, 1]]]
    return renumbered(linked_parts(parts > 0, np.concatenate([inner, between[alike]])))
