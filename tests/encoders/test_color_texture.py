from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slidearray.core.stains import EOSIN, HAEMATOXYLIN
from slidearray.encoders.color_texture import (
    DENSITY,
    DENSITY_STEP,
    ColorTexture,
)
from slidearray.encoders.histograms import PATTERN_OF_CODE

ENCODER = ColorTexture()


def encoded(tile: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> dict[str, float]:
    row = ENCODER.encode(tile[None])[0]
    return dict(zip(ENCODER.feature_names, row.tolist(), strict=True))


def noise(seed: int, *shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)


def plain(colour: tuple[int, int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((32, 32, 3), colour, np.uint8)


def test_every_feature_has_a_name_of_its_own() -> None:
    assert ENCODER.dim == len(ENCODER.feature_names) == len(set(ENCODER.feature_names)) == 72
    features = ENCODER.encode(noise(1, 3, 16, 16))
    assert features.shape == (3, 72)
    assert features.dtype == np.float32


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 9),
    size=st.tuples(st.integers(8, 80), st.integers(8, 80)),
    skip=st.integers(1, 3),
    smooth=st.booleans(),
)
def test_a_row_is_the_same_in_any_batch(
    seed: int, count: int, size: tuple[int, int], skip: int, smooth: bool
) -> None:
    tiles = noise(seed, count * skip, *size)
    if smooth:
        tiles = np.sort(tiles, axis=1)
    tiles = tiles[::skip]
    together = ENCODER.encode(tiles)
    for i in range(count):
        alone = ColorTexture().encode(tiles[i : i + 1].copy())
        assert alone.tobytes() == together[i].tobytes()


@pytest.mark.parametrize("edge", [1, 2, 3, 8, 9, 256])
@pytest.mark.parametrize("value", [0, 1, 128, 254, 255])
def test_flat_tiles_of_any_size_have_finite_features(edge: int, value: int) -> None:
    features = ENCODER.encode(np.full((2, edge, edge, 3), value, np.uint8))
    assert np.isfinite(features).all()
    assert (features[:, 1] == 0).all()


def test_glass_and_black_are_what_they_look_like() -> None:
    glass, black = encoded(plain((255, 255, 255))), encoded(plain((0, 0, 0)))
    assert glass["red_mean"] == glass["value_mean"] == 1
    assert black["red_mean"] == black["saturation_mean"] == 0
    assert glass["od_green_mean"] == 0
    assert black["od_green_mean"] == pytest.approx(np.log10(256))
    assert glass["haematoxylin_mean"] == pytest.approx(0, abs=1e-6)
    assert glass["gradient_mean"] == glass["edge_share"] == glass["edge_angle_0"] == 0
    assert glass["lbp_grey_uniform_8"] == 1


def test_colour_statistics_agree_with_numpy() -> None:
    tile = noise(5, 40, 50)
    found = encoded(tile)
    for channel, name in enumerate(("red", "green", "blue")):
        assert found[f"{name}_mean"] == pytest.approx(tile[..., channel].mean() / 255)
        assert found[f"{name}_std"] == pytest.approx(tile[..., channel].std() / 255)
        density = DENSITY[tile[..., channel]]
        assert found[f"od_{name}_mean"] == pytest.approx(density.mean())
        assert found[f"od_{name}_std"] == pytest.approx(density.std())
    peak, low = tile.max(axis=2).astype(float), tile.min(axis=2)
    assert found["value_mean"] == pytest.approx(peak.mean() / 255)
    assert found["saturation_mean"] == pytest.approx(((peak - low) / peak).mean(), abs=0.003)


@pytest.mark.parametrize(
    ("colour", "angle"), [((200, 40, 40), 0), ((40, 200, 40), 120), ((40, 40, 200), 240)]
)
def test_hue_is_a_direction(colour: tuple[int, int, int], angle: int) -> None:
    found = encoded(plain(colour))
    assert found["hue_cos"] == pytest.approx(np.cos(np.radians(angle)), abs=1e-6)
    assert found["hue_sin"] == pytest.approx(np.sin(np.radians(angle)), abs=1e-6)


@pytest.mark.parametrize(
    ("vector", "stain", "other"),
    [(HAEMATOXYLIN, "haematoxylin", "eosin"), (EOSIN, "eosin", "haematoxylin")],
)
def test_a_pure_stain_is_found_as_itself(
    vector: tuple[float, float, float], stain: str, other: str
) -> None:
    amount = 0.8
    density = amount * np.array(vector) / np.linalg.norm(vector)
    red, green, blue = np.rint(256 * 10**-density - 1).astype(int).tolist()
    found = encoded(plain((red, green, blue)))
    assert found[f"{stain}_mean"] == pytest.approx(amount, abs=4 * DENSITY_STEP)
    assert found[f"{stain}_p50"] == pytest.approx(found[f"{stain}_mean"], abs=1e-6)
    assert found[f"{other}_mean"] == pytest.approx(0, abs=4 * DENSITY_STEP)
    assert found["residual_mean"] == pytest.approx(0, abs=4 * DENSITY_STEP)


@pytest.mark.parametrize(("turns", "angle"), [(0, "0"), (1, "90"), (2, "0"), (3, "90")])
def test_edges_have_the_direction_of_their_gradient(turns: int, angle: str) -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::16] = stripes[:, 1::16] = 200
    found = encoded(np.rot90(stripes, turns).copy())
    assert found[f"edge_angle_{angle}"] == 1
    assert found["edge_share"] > 0.2


def test_a_diagonal_edge_is_diagonal() -> None:
    rows, columns = np.mgrid[:64, :64]
    falling = np.where(rows > columns, 200, 0).astype(np.uint8)
    assert encoded(np.dstack([falling] * 3))["edge_angle_135"] > 0.9
    assert encoded(np.dstack([falling[:, ::-1]] * 3).copy())["edge_angle_45"] > 0.9


@given(seed=st.integers(0, 2**32 - 1), turns=st.integers(1, 3))
def test_texture_patterns_do_not_change_with_rotation(seed: int, turns: int) -> None:
    tile = noise(seed, 24, 24)
    before, after = encoded(tile), encoded(np.rot90(tile, turns).copy())
    patterns = [name for name in before if name.startswith("lbp_")]
    assert len(patterns) == 30
    for name in patterns:
        assert after[name] == pytest.approx(before[name], abs=1e-6)


def test_patterns_count_the_neighbours_that_are_as_bright() -> None:
    tile = np.full((9, 9, 3), 50, np.uint8)
    tile[4, 4] = 200  # darker neighbours only; each of those sees one brighter: all of 8 or more
    found = encoded(tile)
    assert found["lbp_grey_uniform_0"] == pytest.approx(1 / 81)
    assert found["lbp_grey_uniform_8"] == pytest.approx(80 / 81)
    tile[4, 4] = 10
    found = encoded(tile)
    assert found["lbp_grey_uniform_7"] == pytest.approx(8 / 81)
    assert found["lbp_grey_uniform_8"] == pytest.approx(73 / 81)


def test_58_of_the_256_patterns_are_uniform_as_published() -> None:
    assert np.bincount(PATTERN_OF_CODE).tolist() == [1, 8, 8, 8, 8, 8, 8, 8, 1, 198]


def test_no_tiles_have_no_features() -> None:
    assert ENCODER.encode(np.empty((0, 8, 8, 3), np.uint8)).shape == (0, 72)


@pytest.mark.parametrize("edge", [37, 224, 256])
def test_features_do_not_depend_on_where_in_memory_anything_lies(edge: int) -> None:
    # OpenCV's vector code takes other paths for arrays that begin elsewhere; that must not show.
    tile = np.sort(noise(edge, edge, edge), axis=0)
    expected = ENCODER.encode(tile[None])
    held = []
    for offset in range(0, 64, 3):
        room = np.empty(tile.nbytes + 64, np.uint8)
        placed = room[offset : offset + tile.nbytes].reshape(1, *tile.shape)
        placed[0] = tile
        held.append(np.empty(offset * 1000 + 1, np.uint8))  # the encoder's own arrays move too
        assert ColorTexture().encode(placed).tobytes() == expected.tobytes()
