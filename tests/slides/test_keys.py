from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from slidearray.core.recipe import TileSpec, slide_key
from slidearray.info import describe_slide
from slidearray.slides.fingerprint import fingerprint
from slidearray.slides.keys import current_key
from slidearray.slides.synthetic import write_slide

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

READERS = ("auto", "openslide", "fast")


@pytest.mark.parametrize("reader", READERS)
def test_a_key_tells_no_reader_where_all_give_the_same_pixels(pyramid: Path, reader: str) -> None:
    plain = slide_key(fingerprint=fingerprint(pyramid), mpp_override=None, interpolated=False)
    for level in (0, 1, 2):
        spec = TileSpec(tile_size=32, stride=32, level=level)
        assert current_key(pyramid, mpp="", spec=spec, reader=reader) == plain


def test_a_key_says_interpolated_only_where_openslide_reads_such_a_level(tmp_path: Path) -> None:
    path = tmp_path / "odd.svs"
    write_slide(path, width=3001, height=2003, seed=4, tissue=0.5, levels=(1, 4))
    spec = TileSpec(tile_size=32, stride=32, level=1)
    found = [current_key(path, mpp="", spec=spec, reader=reader) for reader in READERS]
    plain, interpolated = (
        slide_key(fingerprint=fingerprint(path), mpp_override=None, interpolated=said)
        for said in (False, True)
    )
    assert found == [plain, interpolated, plain]


def test_info_says_who_reads_a_level_and_why(pyramid: Path, tiled: Callable[..., Path]) -> None:
    found = describe_slide(pyramid)
    assert found["reader"] == "fast"
    assert {level["why_not_fast"] for level in found["levels"]} == {None}
    found = describe_slide(tiled([[b"no jpeg"]]))
    assert found["reader"] == found["levels"][0]["reader"] == "openslide"
    assert "OpenSlide reads no sample" in found["levels"][0]["why_not_fast"]
