"""Pixels of a made-up H&E section: where tissue lies, and what it looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from slidearray.core.stains import EOSIN, HAEMATOXYLIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

CELL = 32  # level-0 pixels per cell of the maps of tissue and of cell density
PERIOD = 1021  # of textures, in pixels; no multiple of a tile size, so that no two tiles are equal
BLOCK = 1024  # columns computed at once
GLASS = 243.0
EDGE_SOFTNESS = 0.02  # in units of the tissue map: a few pixels
RAGGEDNESS = 0.05
NUCLEUS_UM = 3.2  # mean radius
OD_HAEMATOXYLIN, OD_EOSIN = (np.array(stain, np.float32) for stain in (HAEMATOXYLIN, EOSIN))


class SyntheticSection:
    """A stained section of which any rows of pixels can be computed.

    Parameters
    ----------
    width, height
        In pixels.
    seed
        Of everything that is random.
    tissue
        Share of the area that is tissue, 0 to 1.
    mpp
        Micrometres per pixel: nuclei have their natural size.
    """

    def __init__(self, *, width: int, height: int, seed: int, tissue: float, mpp: float) -> None:
        rng = np.random.default_rng(seed)
        self.width, self.height = width, height
        shape = (-(-height // CELL) + 1, -(-width // CELL) + 1)  # corners of all cells
        self._tissue_map = _islands(rng, shape)
        density = _smooth_noise(rng, shape, blobs=9) / 2 + np.float32(0.5)
        self._density_map = np.asarray(np.clip(density, 0, 1), np.float32)
        self._threshold = _threshold(self._tissue_map[:-1, :-1], tissue)
        strength = rng.uniform(0.8, 1.2, 2)
        sparse, crowded = (
            _texture(rng, radius=NUCLEUS_UM / mpp, spacing=spacing, strength=strength)
            for spacing in (9.0, 3.2)  # radii between nuclei
        )
        self._sparse, self._crowded = sparse, crowded
        self._glass = _glass(rng)
        self._ragged = _blurred_noise(rng, sigma=(6.0, 6.0))

    def rows(self, top: int, count: int) -> NDArray[np.uint8]:
        """Compute (count, width, 3) RGB pixels from a row on."""
        blocks = [
            self._block(top, left, shape=(count, min(BLOCK, self.width - left)))
            for left in range(0, self.width, BLOCK)
        ]
        return np.concatenate(blocks, axis=1)

    def _block(self, top: int, left: int, *, shape: tuple[int, int]) -> NDArray[np.uint8]:
        ys, xs = np.arange(top, top + shape[0]), np.arange(left, left + shape[1])
        wrapped = np.ix_(ys % PERIOD, xs % PERIOD)
        height = _sampled(self._tissue_map, ys, xs) + RAGGEDNESS * self._ragged[wrapped]
        opacity = np.clip((height - self._threshold) / EDGE_SOFTNESS + 0.5, 0, 1)[..., None]
        glass = self._glass[wrapped]
        if not opacity.any():
            return glass.astype(np.uint8)
        density = _sampled(self._density_map, ys, xs)[..., None]
        stained = self._sparse[wrapped] * (1 - density) + self._crowded[wrapped] * density
        return np.rint(glass * (1 - opacity) + stained * opacity).astype(np.uint8)


def _islands(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float32]:
    """A smooth landscape that is high in a few places and low along the slide's border."""
    y = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, shape[1], dtype=np.float32)[None, :]
    landscape = _smooth_noise(rng, shape, blobs=5) + 0.3 * _smooth_noise(rng, shape, blobs=14)
    return np.asarray(landscape - 2.5 * np.maximum(x**4, y**4), np.float32)


def _smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int], *, blobs: int
) -> NDArray[np.float32]:
    coarse = rng.standard_normal((blobs, blobs)).astype(np.float32)
    size = (shape[1], shape[0])
    return np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC), np.float32)


def _threshold(landscape: NDArray[np.float32], share: float) -> float:
    """Height above which `share` of the landscape lies."""
    if share <= 0:
        return float("inf")
    return float("-inf") if share >= 1 else float(np.quantile(landscape, 1 - share))


def _sampled(
    cells: NDArray[np.float32], ys: NDArray[np.int64], xs: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Values of a map at every pixel, linear between its cells."""
    row, column = ys // CELL, xs // CELL
    down = ((ys % CELL) / CELL).astype(np.float32)[:, None]
    right = ((xs % CELL) / CELL).astype(np.float32)[None, :]
    lines = cells[row] * (1 - down) + cells[row + 1] * down
    linear = lines[:, column] * (1 - right) + lines[:, column + 1] * right
    return np.asarray(linear, np.float32)


def _texture(
    rng: np.random.Generator, *, radius: float, spacing: float, strength: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Stained tissue, periodic: nuclei of `radius` px, `spacing` radii apart, on fibres."""
    fibres = _blurred_noise(rng, sigma=(1.5, 9.0))
    haematoxylin = 0.06 + _nuclei(rng, radius=radius, spacing=spacing)
    eosin = np.clip(0.32 + 0.14 * fibres, 0.05, None) * (1 - 0.6 * np.minimum(haematoxylin, 1))
    density = haematoxylin[..., None] * OD_HAEMATOXYLIN * np.float32(strength[0]) + eosin[
        ..., None
    ] * OD_EOSIN * np.float32(strength[1])
    grain = rng.standard_normal((PERIOD, PERIOD, 1)).astype(np.float32) * 2
    return np.asarray(np.clip(GLASS * np.exp(-density) + grain, 0, 255), np.float32)


def _nuclei(rng: np.random.Generator, *, radius: float, spacing: float) -> NDArray[np.float32]:
    """Optical density of haematoxylin: dark, slightly mottled ellipses; periodic."""
    margin = int(4 * radius) + 2  # nuclei that reach over an edge come in at the other one
    canvas = np.zeros((PERIOD + 2 * margin, PERIOD + 2 * margin), np.float32)
    count = int((PERIOD / (spacing * radius)) ** 2)
    places = rng.uniform(0, PERIOD, (count, 2))
    for (x, y), scale, angle, shade in zip(
        places,
        rng.uniform(0.7, 1.35, (count, 2)) * radius,
        rng.uniform(0, 180, count),
        rng.uniform(0.6, 1.3, count),
        strict=True,
    ):
        axes = (max(1, round(scale[0])), max(1, round(scale[1])))
        for dx in (-PERIOD, 0, PERIOD):
            for dy in (-PERIOD, 0, PERIOD):
                centre = (round(x + dx) + margin, round(y + dy) + margin)
                cv2.ellipse(canvas, centre, axes, angle, 0, 360, shade, thickness=-1)
    inner = canvas[margin : margin + PERIOD, margin : margin + PERIOD]
    mottled = inner * (1 + 0.2 * _blurred_noise(rng, sigma=(1.0, 1.0)))
    return np.asarray(cv2.GaussianBlur(mottled, (0, 0), 0.8), np.float32)


def _blurred_noise(rng: np.random.Generator, *, sigma: tuple[float, float]) -> NDArray[np.float32]:
    """Periodic noise of mean 0 and deviation 1, blurred along y and along x."""
    margin = int(4 * max(sigma)) + 1
    noise = rng.standard_normal((PERIOD, PERIOD)).astype(np.float32)
    wide = np.pad(noise, margin, mode="wrap")
    blurred = cv2.GaussianBlur(wide, (0, 0), sigmaX=sigma[1], sigmaY=sigma[0])
    inner = np.asarray(blurred, np.float32)[margin:-margin, margin:-margin]
    return np.asarray((inner - inner.mean()) / inner.std(), np.float32)


def _glass(rng: np.random.Generator) -> NDArray[np.float32]:
    noise = rng.standard_normal((PERIOD, PERIOD, 1)).astype(np.float32)
    colour = np.array([GLASS, GLASS, GLASS + 1], np.float32)
    return np.asarray(np.rint(np.clip(colour + noise, 0, 255)), np.float32)
