from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from slidearray.core.recipe import canonical_json
from slidearray.storage.feature_file import FeatureData, write_feature_file
from slidearray.storage.store_writer import StoreContent, StoreSource

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from slidearray.storage.store_writer import Missing

RECIPE = {"encoder": {"name": "demo"}, "recipe_version": 1}


@pytest.fixture
def recipe_digest() -> str:
    from hashlib import sha256

    return sha256(canonical_json(RECIPE).encode()).hexdigest()


@pytest.fixture
def make_data(recipe_digest: str) -> Callable[..., FeatureData]:
    """Feature data of a slide; any field may be given."""

    def make(slide_id: str = "s1", tiles: int = 5, dim: int = 3, **fields: Any) -> FeatureData:
        rng = np.random.default_rng(len(slide_id) + tiles)
        data = FeatureData(
            features=rng.normal(size=(tiles, dim)).astype("float32"),
            coords=rng.integers(0, 90_000, size=(tiles, 2), dtype="int32"),
            slide_id=slide_id,
            model="demo",
            mpp=0.5,
            mpp_level0=0.25,
            recipe_digest=recipe_digest,
            slide_key="k" * 64,
            patch_size=256,
            patch_size_level0=512,
            level0_width=90_000,
            level0_height=80_000,
            level0_magnification=40,
            target_magnification=None,
            overlap=0,
        )
        return replace(data, **fields)

    return make


@pytest.fixture
def make_content(tmp_path: Path, recipe_digest: str) -> Callable[..., StoreContent]:
    """A store's content, its feature files written."""

    def make(
        *slides: FeatureData,
        cells: dict[str, dict[str, str]] | None = None,
        missing: tuple[Missing, ...] = (),
        dim: int = 3,
    ) -> StoreContent:
        rows = cells or {slide.slide_id: {} for slide in slides}
        sources = []
        for slide in slides:
            path = tmp_path / "features" / f"{slide.slide_id}_features.h5"
            facts = write_feature_file(path, slide)
            sources.append(
                StoreSource(
                    slide_id=slide.slide_id,
                    path=path,
                    num_tiles=len(slide.features),
                    content_digest=facts.content_digest,
                    cells={"slide_id": slide.slide_id, "path": "x", **rows[slide.slide_id]},
                )
            )
        return StoreContent(
            sources=sources,
            missing=missing,
            columns=tuple(sources[0].cells) if sources else ("slide_id", "path"),
            recipe=RECIPE,
            recipe_digest=recipe_digest,
            feature_dim=dim,
        )

    return make
