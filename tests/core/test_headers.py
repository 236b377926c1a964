from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidearray.core.headers import HEADER_COLUMNS, header_cells, header_faults


@given(
    levels=st.lists(st.tuples(*[st.integers(1, 10**9 - 1)] * 2), min_size=1, max_size=12),
    mpp=st.none() | st.tuples(*[st.sampled_from(["0.25", "5e-1", "0.23387573964497"])] * 2),
    tissue=st.none() | st.floats(0, 1).map(lambda share: round(share, 4)),
)
def test_what_is_written_is_well_formed_and_tells_the_same_share(
    levels: list[tuple[int, int]], mpp: tuple[str, str] | None, tissue: float | None
) -> None:
    cells = header_cells(levels, mpp=mpp, tissue=tissue)
    assert tuple(cells) == HEADER_COLUMNS
    for column, text in cells.items():
        assert list(header_faults(column, [text])) == []
    assert float(cells["header_tissue"] or "nan") == pytest.approx(
        float("nan") if tissue is None else tissue, abs=0, nan_ok=True
    )


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("header_levels", "400"),
        ("header_levels", "400x0"),
        ("header_levels", "400x300,100x75"),
        ("header_levels", "400x300  100x75"),
        ("header_levels", "400x300 "),
        ("header_levels", "-400x300"),
        ("header_levels", "1000000000x300"),
        ("header_levels", "\u0664x300"),
        ("header_mpp_x", "0,25"),
        ("header_mpp_y", "half"),
        ("header_tissue", "1.5"),
        ("header_tissue", "nan"),
        ("header_tissue", "-0.1"),
        ("header_tissue", "50%"),
    ],
)
def test_a_malformed_cell_is_named_with_its_column_and_what_is_accepted(
    column: str, text: str
) -> None:
    ((index, fault),) = header_faults(column, ["", text])
    assert index == 1
    assert fault.startswith(f"{column}: found {text!r}; accepted: ")
