from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from tests.support import feature_data

from slidearray.core.recipe import canonical_json
from slidearray.storage.feature_file import write_feature_file
from slidearray.storage.store_writer import StoreContent, StoreSource

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from slidearray.storage.feature_file import FeatureData
    from slidearray.storage.store_writer import Missing

RECIPE = {"encoder": {"name": "demo"}, "recipe_version": 1}


@pytest.fixture
def recipe_digest() -> str:
    from hashlib import sha256

    return sha256(canonical_json(RECIPE).encode()).hexdigest()


@pytest.fixture
def make_data(recipe_digest: str) -> Callable[..., FeatureData]:
    """Feature data of a slide; any field may be given."""
    return partial(feature_data, recipe_digest=recipe_digest)


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
