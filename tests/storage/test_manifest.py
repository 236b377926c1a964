from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidearray.core.ids import fold, name_fault
from slidearray.core.recipe import canonical_json
from slidearray.errors import ManifestError
from slidearray.storage.manifest import CHUNK, Manifest, read_manifest, write_manifest
from slidearray.storage.manifest_faults import PLAIN_NAME

if TYPE_CHECKING:
    from pathlib import Path

ANY = st.characters(codec="utf-8", exclude_characters="\0")
CELL = st.text(ANY, max_size=8)
HOSTILE_CELL = st.text("a ,\"'\r\n;%$()-=\ufeff\u00e9\u2028", max_size=6) | CELL
SLIDE_ID = st.text(ANY, min_size=1, max_size=6).filter(lambda text: name_fault(text) is None)
CELLS = {
    "mpp": st.just("0.25"),
    "magnification": st.just("20"),
    "cohort": st.just("c"),
    "path": HOSTILE_CELL.filter(bool),
}


def read_text(text: str | bytes, folder: Path) -> Manifest:
    path = folder / "m.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_manifest(path)


def faults(text: str | bytes, folder: Path) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        read_text(text, folder)
    assert str(caught.value) == "\n".join(caught.value.faults)
    prefix = f"{folder / 'm.csv'}: "
    assert all(fault.startswith(prefix) for fault in caught.value.faults)
    return [fault.removeprefix(prefix) for fault in caught.value.faults]


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[dict[str, str]]]:
    more = draw(st.lists(HOSTILE_CELL.filter(bool), max_size=3, unique=True))
    columns = draw(st.permutations(list(dict.fromkeys(["slide_id", "path", *more]))))
    ids = draw(st.lists(SLIDE_ID, min_size=1, max_size=4, unique_by=fold))
    rows = [
        {name: draw(CELLS.get(name, HOSTILE_CELL)) for name in columns} | {"slide_id": slide_id}
        for slide_id in ids
    ]
    return columns, rows


@given(table=tables())
def test_any_text_survives_writing_and_reading(
    tmp_path_factory: pytest.TempPathFactory, table: tuple[list[str], list[dict[str, str]]]
) -> None:
    columns, rows = table
    path = tmp_path_factory.mktemp("m") / "m.csv"
    write_manifest(path, columns, rows)
    manifest = read_manifest(path)
    assert manifest.columns == tuple(columns)
    assert [row.cells for row in manifest.rows] == rows


@pytest.mark.parametrize("mark", ["\ufeff", "\r", "\n", '"', ",", " ", "'", "\u2028"])
def test_a_column_may_begin_with_any_character(tmp_path: Path, mark: str) -> None:
    columns = [f"{mark}x", "slide_id", "path"]
    rows = [{columns[0]: mark, "slide_id": "a", "path": f"{mark}b{mark}"}]
    write_manifest(tmp_path / "m.csv", columns, rows)
    manifest = read_manifest(tmp_path / "m.csv")
    assert manifest.columns == tuple(columns)
    assert [row.cells for row in manifest.rows] == rows


def test_cells_stay_the_text_that_was_written(tmp_path: Path) -> None:
    manifest = read_text(
        "slide_id,path,age\n0012,a.svs,1e5\n1e5,b.svs,NA\nNA,c.svs,007\n", tmp_path
    )
    assert [row.slide_id for row in manifest.rows] == ["0012", "1e5", "NA"]
    assert [row.cells["age"] for row in manifest.rows] == ["1e5", "NA", "007"]


def test_nothing_in_a_cell_is_run(tmp_path: Path) -> None:
    hostile = ["$(touch x)", "; touch x", "`touch x`", "-rf", "%s", "a\nb", "=1+1", "\u202ea"]
    rows = [
        {"slide_id": f"s{n}", "path": text, "$(touch x)": text} for n, text in enumerate(hostile)
    ]
    path = tmp_path / "$(touch x); -m.csv"
    write_manifest(path, ["slide_id", "path", "$(touch x)"], rows)
    assert [row.path for row in read_manifest(path).rows] == hostile
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "text",
    [
        "slide_id,path,mpp\na,x y.svs,0.5\n",
        "\ufeffslide_id,path,mpp\r\na,x y.svs,0.5\r\n",
        'slide_id,path,mpp\r"a","x y.svs","0.5"',
        "slide_id,path,mpp\n\n,,\na,x y.svs,0.5\n\n,,\n",
    ],
)
def test_how_a_spreadsheet_saved_it_makes_no_difference(tmp_path: Path, text: str) -> None:
    plain = read_text("slide_id,path,mpp\na,x y.svs,0.5\n", tmp_path)
    manifest = read_text(text, tmp_path)
    assert manifest.digest == plain.digest
    assert [row.cells for row in manifest.rows] == [row.cells for row in plain.rows]


def test_another_cell_another_digest(tmp_path: Path) -> None:
    digests = {
        read_text(text, tmp_path).digest
        for text in (
            "slide_id,path\na,b\n",
            "slide_id,path\na,c\n",
            "path,slide_id\na,b\n",
            "slide_id,path,x\na,b,\n",
            "slide_id,path\na,b\nc,d\n",
        )
    }
    assert len(digests) == 5


def test_the_digest_of_a_manifest_never_changes(tmp_path: Path) -> None:
    text = (
        'slide_id,path,cohort,"a, ""quoted"" column\n",\u00e9\n'
        '0012,"raw/a b,c.svs",one,"x\ny",\u2028\U0001f600\n'
        '1e5,raw/\\\u00e9.svs,,"say ""hi""",\x07\x7f/\n'
    )
    golden = "66078e265bc695017896751f4a2676c02ba7bf7f2bbfe3f7db4393aeeb07a391"
    assert read_text(text, tmp_path).digest == golden


def test_the_digest_is_that_of_all_cells_however_many_rows_there_are(tmp_path: Path) -> None:
    rows = [[f"s{n}", f"p{n}"] for n in range(2 * CHUNK + 1)]
    manifest = read_text("slide_id,path\n" + "".join(f"{a},{b}\n" for a, b in rows), tmp_path)
    whole = canonical_json([["slide_id", "path"], rows])
    assert manifest.digest == hashlib.sha256(whole.encode()).hexdigest()
    assert manifest.without(["path"]).columns == ("slide_id",)


@given(table=tables())
def test_a_manifest_that_was_read_is_written_equal(
    tmp_path_factory: pytest.TempPathFactory, table: tuple[list[str], list[dict[str, str]]]
) -> None:
    columns, rows = table
    path = tmp_path_factory.mktemp("m") / "m.csv"
    write_manifest(path, columns, rows)
    before = path.read_bytes()
    manifest = read_manifest(path)
    manifest.write(path)
    assert path.read_bytes() == before
    manifest.without(["nothing"]).write(path)
    assert path.read_bytes() == before


def test_one_cell_that_needs_quotes_among_many_gets_them(tmp_path: Path) -> None:
    rows = [{"slide_id": f"s{n}", "path": "p"} for n in range(CHUNK)]
    for text in ("a,b", "a\nb", "a\rb", 'a"b', "\ufeffa"):
        rows[CHUNK // 2]["path"] = text
        write_manifest(tmp_path / "m.csv", ["slide_id", "path"], rows)
        assert [row.cells for row in read_manifest(tmp_path / "m.csv").rows] == rows


def test_rows_are_a_sequence(tmp_path: Path) -> None:
    rows = read_text("slide_id,path\na,x\n\nb,y\nc,z\n", tmp_path).rows
    assert len(rows) == 3
    assert [rows[n].row for n in (0, 1, -1)] == [2, 4, 5]
    assert [row.slide_id for row in rows[1:]] == ["b", "c"]
    assert list(rows)[1] == rows[1]
    with pytest.raises(IndexError):
        rows[3]


def test_a_column_that_is_not_there_is_empty(tmp_path: Path) -> None:
    manifest = read_text("slide_id,path\na,x\nb,y\n", tmp_path)
    assert list(manifest.column("mpp")) == ["", ""]
    assert list(manifest.column("path")) == ["x", "y"]


def test_rows_count_as_in_a_spreadsheet(tmp_path: Path) -> None:
    manifest = read_text('slide_id,path\n"a","x\ny"\n\nb,z\n', tmp_path)
    assert [row.row for row in manifest.rows] == [2, 4]


def test_optional_columns_are_empty_where_there_are_none(tmp_path: Path) -> None:
    (row,) = read_text("slide_id,path\na,b\n", tmp_path).rows
    assert (row.cohort, row.mpp, row.magnification) == ("", "", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "it is empty; accepted: a header"),
        ("slide_id,path\n", "found no row below the header"),
        ("slide_id,path\n,\n", "found no row below the header"),
        ("id,path\na,b\n", "row 1: found the columns 'id', 'path'; accepted: slide_id among them"),
        ("slide_id;path\na;b\n", "among them between commas, not semicolons or tabs"),
        ("slide_id,path,x,x\na,b,c,d\n", "row 1: found the column 'x' 2 times; accepted: once"),
        ("slide_id,path,\na,b,c\n", "row 1: column 3: found the name ''"),
        ("slide_id,path\na,b,c\n", "row 2: found 3 cells; accepted: 2, one for each column"),
        ("slide_id,path\na,b\nc\n", "row 3: found 1 cells; accepted: 2"),
        ("slide_id,path\na,\n", "row 2, column path: found nothing"),
        ("slide_id,path\na,b\0c\n", "row 2, column path: found a NUL character"),
        ("slide_id,path,x\na,b,\0\n", "row 2, column x: found a NUL character"),
        ("slide_id,path\n,b\n", "row 2, column slide_id: found '': it is empty"),
        ("slide_id,path\na/b,c\n", "row 2, column slide_id: found 'a/b': it holds '/'"),
        ('slide_id,path\n"a\nb",c\n', "row 2, column slide_id: found 'a\\nb': it holds '\\n'"),
        ("slide_id,path\n-a,b\n", "column slide_id: found '-a': it begins with '-'"),
        ("slide_id,path\ne\u0301,b\n", "it is not in Unicode's composed form"),
        (
            "slide_id,path\na,b\na,c\n",
            "row 3, column slide_id: found 'a', which is the id of row 2",
        ),
        (
            "slide_id,path\na,b\nA,c\n",
            "found 'A', which differs only in case from 'a', the id of ro",
        ),
        ("slide_id,path,cohort\na,b,c/d\n", "row 2, column cohort: found 'c/d': it holds '/'"),
        ("slide_id,path,mpp\na,b,0.5um\n", "row 2, column mpp: found '0.5um'; accepted: a number"),
        ('slide_id,path,mpp\na,b,"0,5"\n', "row 2, column mpp: found '0,5'"),
        ("slide_id,path,mpp\na,b,-1\n", "row 2, column mpp: found '-1'"),
        ("slide_id,path,magnification\na,b,20x\n", "row 2, column magnification: found '20x'"),
        ("slide_id,path,header_levels\na,b,4x\n", "row 2, column header_levels: found '4x'"),
        ("slide_id,path,header_tissue\na,b,2\n", "row 2, column header_tissue: found '2'"),
        ('slide_id,"pa"th\na,b\n', "row 1 (line 1): ',' expected after '\"'"),
        ("\nslide_id,path\na,b\n", "row 1: found the columns ; accepted: slide_id and path"),
        ('slide_id,path\na,"b\n', "row 2 (line 2): unexpected end of data"),
        ('slide_id,path\na,"b"c\n', "row 2 (line 2): ',' expected after '\"'"),
        (b"slide_id,path\na,M\xe9\n", "line 2: found byte 0xe9; accepted: UTF-8"),
        ("slide_id,path\na,b\n".encode("utf-16"), "line 1: found UTF-16; accepted: UTF-8"),
    ],
)
def test_a_structural_fault_is_named_with_its_place(
    tmp_path: Path, text: str | bytes, expected: str
) -> None:
    (fault,) = faults(text, tmp_path)
    assert expected in fault


@given(st.from_regex(PLAIN_NAME, fullmatch=True))
def test_a_name_that_is_plain_has_no_fault_and_clashes_by_its_lower_case(name: str) -> None:
    assert name_fault(name) is None
    assert fold(name) == name.lower()


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    lines = faults(
        "slide_id,path,cohort,mpp\na/b,,../up,half\nok,x.svs,,\nshort,x.svs\nOK,y.svs,,0.25\n",
        tmp_path,
    )
    places = [line.split(":")[0] for line in lines]
    assert sorted(places) == [
        "row 2, column cohort",
        "row 2, column mpp",
        "row 2, column path",
        "row 2, column slide_id",
        "row 4",
        "row 5, column slide_id",
    ]


def test_faults_beyond_the_first_thousand_rows_have_their_row(tmp_path: Path) -> None:
    rows = [f"s{n},p" for n in range(2 * CHUNK)]
    rows[CHUNK + 5] = "S3,p"
    rows[CHUNK + 7] = "a/b,p"
    rows[CHUNK + 9] = "x,y,z"
    lines = faults("slide_id,path\n" + "\n".join(rows), tmp_path)
    assert [line.split(":")[0] for line in lines] == [
        f"row {CHUNK + 11}",
        f"row {CHUNK + 7}, column slide_id",
        f"row {CHUNK + 9}, column slide_id",
    ]
    assert "the id of row 5" in lines[1]


def test_a_byte_that_is_not_utf_8_is_found_far_into_a_large_file(tmp_path: Path) -> None:
    data = b"slide_id,path\n" + b"".join(b"s%d,p\n" % n for n in range(50_000)) + b"last,\xe9\n"
    (fault,) = faults(data, tmp_path)
    assert fault.startswith("line 50002: found byte 0xe9")


def test_what_stops_the_reading_does_not_hide_the_faults_before_it(tmp_path: Path) -> None:
    lines = faults('slide_id,path\na/b,c\nd,"e"f\n', tmp_path)
    assert len(lines) == 2


@pytest.mark.parametrize("name", ["missing.csv", "."])
def test_a_manifest_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ManifestError, match="cannot be read: "):
        read_manifest(tmp_path / name)


def test_a_manifest_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    write_manifest(path, ["slide_id", "path"], [{"slide_id": "a", "path": "b"}])
    before = path.read_bytes()
    with pytest.raises(UnicodeEncodeError):
        write_manifest(path, ["slide_id", "path"], [{"slide_id": "a", "path": "\udcff"}])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
