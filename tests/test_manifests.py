from __future__ import annotations

import csv
import struct
from typing import TYPE_CHECKING

import pytest

from slidearray.cli.main import main
from slidearray.core.classes import FailureClass
from slidearray.core.config import Config, parse_config
from slidearray.core.headers import HEADER_COLUMNS
from slidearray.errors import ManifestError
from slidearray.manifests import COLUMNS, BuildReport, build_manifest, check_manifest
from slidearray.slides.synthetic import write_slide
from slidearray.storage.manifest import read_manifest, write_manifest

if TYPE_CHECKING:
    from pathlib import Path


def config(**tiles: object) -> Config:
    raw = {
        "version": 1,
        "manifest": "m.csv",
        "run_dir": "run",
        "tiles": tiles,
        "encoder": {"name": "color-texture"},
    }
    return parse_config(raw, source="c.yaml")


@pytest.fixture
def project(tmp_path: Path, real_slides: Path) -> Path:
    """A project whose ``raw/`` has two small slides in folders of their own."""
    for cohort in ("one", "two"):
        (tmp_path / "raw" / cohort).mkdir(parents=True)
        (tmp_path / "raw" / cohort / "a.svs").symlink_to(real_slides / "odd-opens" / "small.svs")
    return tmp_path


def build(project: Path, *folders: str) -> BuildReport:
    return build_manifest(
        [project / folder for folder in folders or ("raw",)],
        output=project / "metadata" / "m.csv",
        root=project,
    )


def table(project: Path) -> list[dict[str, str]]:
    with (project / "metadata" / "m.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_dicom(file: Path, *, series: bytes) -> None:
    """A DICOM file of nothing but its series, a UID of five characters."""
    uid = struct.pack("<HH2sH", 0x0020, 0x000E, b"UI", 6) + series + b"\0"
    file.write_bytes(b"\0" * 128 + b"DICM" + uid)


def edit(project: Path, rows: list[dict[str, str]]) -> None:
    write_manifest(project / "metadata" / "m.csv", list(rows[0]), rows)


def test_real_scans_become_rows_with_what_their_headers_say(
    tmp_path: Path, real_slides: Path
) -> None:
    output = tmp_path / "m.csv"
    report = build_manifest([real_slides / "real"], output=output, root=real_slides)
    manifest = read_manifest(output)
    assert manifest.columns == COLUMNS
    assert report.slides == len(manifest.rows) == len(report.added) >= 4
    assert (report.unreadable, report.not_found, report.notes) == ((), (), ())
    for row in manifest.rows:
        files = real_slides / row.path
        parts = [files] if files.is_file() else list(files.iterdir())
        assert int(row.cells["size_bytes"]) == sum(part.stat().st_size for part in parts)
        assert int(row.cells["width"]) > 0
        assert int(row.cells["levels"]) >= 1
    assert check_manifest(output, root=real_slides, config=config(level=0)).rejected == ()


def test_slides_that_cannot_be_used_are_rejected_by_class_and_row(
    tmp_path: Path, real_slides: Path
) -> None:
    output = tmp_path / "m.csv"
    folders = [real_slides / "odd-opens", real_slides / "broken"]
    report = build_manifest(folders, output=output, root=real_slides)
    rows = [*read_manifest(output).rows]
    assert report.unreadable
    for rejected in report.unreadable:
        row = next(row for row in rows if row.slide_id == rejected.slide_id)
        assert rejected.row == row.row
        assert row.cells["width"] == row.cells["vendor"] == ""
        assert rejected.reason.startswith(str(real_slides / row.path))
    check = check_manifest(output, root=real_slides, config=None)
    assert check.rejected == report.unreadable
    assert check.slides == len(rows)


def test_a_config_adds_what_it_needs_of_a_slide(project: Path) -> None:
    build(project)
    rows = table(project)
    rows[0]["mpp"] = "250"
    rows[1]["path"] = "raw/gone.svs"
    edit(project, rows)
    manifest = project / "metadata" / "m.csv"
    assert [r.failure for r in check_manifest(manifest, root=project, config=None).rejected] == [
        FailureClass.MISSING_FILE
    ]
    found = check_manifest(manifest, root=project, config=config(mpp=0.5)).rejected
    assert [(r.slide_id, r.row, r.failure) for r in found] == [
        ("a", 2, FailureClass.IMPLAUSIBLE_MPP),
        ("two-a", 3, FailureClass.MISSING_FILE),
    ]


def test_structural_faults_stop_check_and_build_before_any_slide(project: Path) -> None:
    build(project)
    edit(project, [row | {"slide_id": "same"} for row in table(project)])
    before = (project / "metadata" / "m.csv").read_bytes()
    with pytest.raises(ManifestError, match="row 3, column slide_id"):
        check_manifest(project / "metadata" / "m.csv", root=project, config=None)
    with pytest.raises(ManifestError, match="row 3, column slide_id"):
        build(project)
    assert (project / "metadata" / "m.csv").read_bytes() == before


def test_ids_that_clash_take_the_cohort_and_then_a_number(project: Path) -> None:
    small = (project / "raw/one/a.svs").resolve()
    for name in ("one/deep/A.svs", "one/deeper/a.svs", "one/deeper/two-a.svs"):
        (project / "raw" / name).parent.mkdir(exist_ok=True)
        (project / "raw" / name).symlink_to(small)
    report = build(project)
    assert [(row["slide_id"], row["path"]) for row in table(project)] == [
        ("a", "raw/one/a.svs"),
        ("one-A", "raw/one/deep/A.svs"),
        ("one-a-2", "raw/one/deeper/a.svs"),
        ("two-a", "raw/one/deeper/two-a.svs"),
        ("two-a-2", "raw/two/a.svs"),
    ]
    assert len(report.notes) == 3


def test_the_series_of_one_folder_are_numbered(tmp_path: Path) -> None:
    case = tmp_path / "raw" / "case"
    case.mkdir(parents=True)
    for number in (b"3", b"4", b"5"):
        write_dicom(case / f"{number.decode()}.dcm", series=b"1.2." + number)
    assert build(tmp_path).added == ("case", "case-2", "case-3")


def test_a_long_name_leaves_room_for_what_tells_it_apart(project: Path) -> None:
    small = (project / "raw/one/a.svs").resolve()
    for folder in ("one", "two", "two/deep"):
        (project / "raw" / folder).mkdir(exist_ok=True)
        (project / "raw" / folder / ("\u00e9" * 120 + ".svs")).symlink_to(small)
    build(project)
    assert len(read_manifest(project / "metadata" / "m.csv").rows) == 5


def test_what_cannot_stand_in_an_id_is_replaced_and_said(project: Path) -> None:
    small = (project / "raw/one/a.svs").resolve()
    (project / "raw" / "-x").mkdir()
    (project / "raw" / "-x" / "b\nc.svs").symlink_to(small)
    report = build(project)
    first = table(project)[0]
    assert (first["slide_id"], first["cohort"]) == ("b_c", "_x")
    assert report.notes[:2] == (
        "raw/-x/b\nc.svs: cohort '-x' is written '_x'",
        "raw/-x/b\nc.svs: 'b\\nc' has the id 'b_c'",
    )
    assert check_manifest(project / "metadata" / "m.csv", root=project, config=None).rejected == ()


def test_a_new_slide_renames_no_other(project: Path) -> None:
    build(project, "raw/two")
    before = table(project)
    small = (project / "raw/one/a.svs").resolve()
    (project / "raw/Two").mkdir()
    (project / "raw/Two/A.svs").symlink_to(small)
    report = build(project)
    rows = table(project)
    assert rows[0] == before[0]
    assert (rows[0]["slide_id"], rows[0]["path"]) == ("a", "raw/two/a.svs")
    assert report.added == ("Two-A", "one-a")


def test_building_again_changes_nothing(project: Path) -> None:
    build(project)
    before = (project / "metadata" / "m.csv").read_bytes()
    report = build(project)
    assert (report.added, report.not_found, report.notes) == ((), (), ())
    assert (project / "metadata" / "m.csv").read_bytes() == before


def test_what_people_wrote_stays(project: Path) -> None:
    build(project)
    one, two = table(project)
    mpp = two["mpp"]
    one = {"my $(touch x)": "a,b\n", **one, "slide_id": "0012", "mpp": "0.25", "cohort": "mine"}
    two = {"my $(touch x)": "", **two, "path": "./raw/../raw/two/a.svs", "mpp": "", "width": "7"}
    edit(project, [two, one])
    report = build(project)
    again_two, again_one = table(project)
    assert again_one == one
    assert again_two == two | {"mpp": mpp, "width": "16"}
    assert report.added == report.not_found == ()


def test_rows_of_other_folders_stay_and_are_counted(project: Path) -> None:
    build(project)
    before = table(project)
    report = build(project, "raw/two")
    assert table(project) == before
    assert report.not_found == ("a",)
    assert report.slides == 2


def test_a_slide_that_broke_loses_what_its_header_said(project: Path) -> None:
    build(project)
    mpp = table(project)[0]["mpp"]
    (project / "raw/one/a.svs").unlink()
    (project / "raw/one/a.svs").write_bytes(b"")
    report = build(project)
    row = table(project)[0]
    assert (row["slide_id"], row["vendor"], row["width"], row["size_bytes"]) == ("a", "", "", "")
    assert row["mpp"] == mpp != ""
    assert [(r.slide_id, r.row) for r in report.unreadable] == [("a", 2)]


def test_a_dicom_slide_keeps_its_row_however_it_was_named(tmp_path: Path) -> None:
    case = tmp_path / "raw" / "case"
    case.mkdir(parents=True)
    for name in ("1.dcm", "2.dcm"):
        write_dicom(case / name, series=b"1.2.3")
    for written in ("raw/case/2.dcm", "raw/case", "raw/case/1.dcm"):
        (tmp_path / "metadata").mkdir(exist_ok=True)
        edit(tmp_path, [{"slide_id": "mine", "path": written}])
        assert build(tmp_path).added == ()
        assert [(row["slide_id"], row["path"]) for row in table(tmp_path)] == [("mine", written)]


def test_folders_without_slides_are_an_error_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    with pytest.raises(ManifestError, match=r"raw: found no slide; known are .*\.svs"):
        build(tmp_path)
    assert not (tmp_path / "metadata").exists()


def test_an_output_that_cannot_be_written_is_named(project: Path) -> None:
    (project / "metadata").write_text("a file", encoding="utf-8")
    with pytest.raises(ManifestError, match=r"m\.csv: cannot be written"):
        build(project)


def header_cells(project: Path) -> list[tuple[str, ...]]:
    return [tuple(row[name] for name in HEADER_COLUMNS) for row in table(project)]


def test_with_headers_the_manifest_tells_what_a_plan_needs(project: Path) -> None:
    (project / "raw" / "two" / "broken.svs").write_bytes(b"no slide")
    manifest = project / "metadata" / "m.csv"
    argv = ["manifest", "build", str(project / "raw"), "-o", str(manifest)]
    assert main([*argv, "--root", str(project), "--headers"]) == 0
    assert read_manifest(manifest).columns == (*COLUMNS, *HEADER_COLUMNS)
    small, again, broken = header_cells(project)
    assert small == again
    assert small[:3] == ("16x16", "0.499", "0.499")
    assert 0 <= float(small[3]) <= 1
    assert broken == ("", "", "", "")


def test_columns_of_headers_that_are_there_are_never_stale(project: Path) -> None:
    build_manifest(
        [project / "raw"], output=project / "metadata" / "m.csv", root=project, headers=True
    )
    before = (project / "metadata" / "m.csv").read_bytes()
    build(project)
    assert (project / "metadata" / "m.csv").read_bytes() == before
    slide = project / "raw" / "two" / "a.svs"
    slide.unlink()
    write_slide(slide, width=900, height=700, seed=1, tissue=0.5, mpp="0.25")
    build(project, "raw/two")
    one, two = header_cells(project)
    assert one[0] == "16x16"
    assert two[0].startswith("900x700")
    slide.write_bytes(b"")
    build(project)
    assert header_cells(project)[1] == ("", "", "", "")


def test_without_headers_no_column_of_them_appears(project: Path) -> None:
    build(project)
    assert read_manifest(project / "metadata" / "m.csv").columns == COLUMNS


def test_a_check_names_malformed_columns_of_headers(project: Path) -> None:
    build_manifest(
        [project / "raw"], output=project / "metadata" / "m.csv", root=project, headers=True
    )
    edit(project, [row | {"header_tissue": "half"} for row in table(project)])
    with pytest.raises(ManifestError, match="row 2, column header_tissue: found 'half'") as caught:
        check_manifest(project / "metadata" / "m.csv", root=project, config=None)
    assert len(caught.value.faults) == 2
