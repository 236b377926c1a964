from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from slidearray.errors import ConfigError
from slidearray.storage.builtin import builtin_dir
from slidearray.storage.yamls import read_yaml

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file.yaml"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10:00:00", "10:00:00"),
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("012", 12),
        ("0x1f", "0x1f"),
        ("1_000", "1_000"),
        ("1e-3", 0.001),
        ("0.5", 0.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("-3", -3),
        ("2024-01-02", "2024-01-02"),
        ("null", None),
        ("~", None),
        ("", None),
        (".inf", float("inf")),
        ("-.inf", float("-inf")),
        ("1.2.3", "1.2.3"),
        ("12a", "12a"),
        ("'12'", "12"),
    ],
)
def test_scalars_are_what_they_look_like(file: Path, text: str, value: object) -> None:
    file.write_text(f"key: {text}\n", encoding="utf-8")
    assert read_yaml(file) == {"key": value}
    assert isinstance(read_yaml(file), dict)


def test_mappings_and_lists_are_read(file: Path) -> None:
    file.write_text("a: {x: 1}\nb: {y: [1, two]}\n", encoding="utf-8")
    assert read_yaml(file) == {"a": {"x": 1}, "b": {"y": [1, "two"]}}


def test_a_byte_order_mark_is_no_part_of_the_first_key(file: Path) -> None:
    file.write_bytes("\ufeffkey: 1\r\n".encode())
    assert read_yaml(file) == {"key": 1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "line 4: the key 'c' comes twice"),
        ("a: 1\na: 2\n", "line 2: the key 'a' comes twice"),
        ("a: [1\nb: 2\n", "line 2: while parsing a flow sequence"),
        ("a: 1\n\tb: 2\n", "line 2: "),
        ("a: !!python/name:os.system x\n", "line 1: could not determine a constructor"),
        ("a: !x 1\n", "line 1: could not determine a constructor"),
        ("a: &a 1\nb: *a\n", "line 2: an alias (*name) is not read"),
        ("a: {<<: *b}\n", "line 1: an alias (*name) is not read"),
        ("a: 1\n---\nb: 2\n", "line 2: expected a single document"),
        ("? [a]\n: 1\n", "line 1: while constructing a mapping; found unhashable key"),
        ("a: &a [*a]\n", "line 1: an alias (*name) is not read"),
        ("a: b\0c\n", "not usable as YAML: "),
        ("a: " + "[" * 5000, "not usable as YAML: "),
        ("a: " + "9" * 5000, "not usable as YAML: "),
    ],
)
def test_what_is_not_plain_yaml_is_refused_where_it_is(
    file: Path, text: str, expected: str
) -> None:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_yaml(file)
    message = str(caught.value)
    assert message.startswith(str(file))
    assert expected in message
    assert "\n" not in message


def test_text_that_is_not_utf8_is_refused_by_line(file: Path) -> None:
    file.write_bytes(b"a: 1\nb: M\xe9\n")
    with pytest.raises(ConfigError, match="line 2: not UTF-8"):
        read_yaml(file)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.yaml", tmp_path):
        with pytest.raises(ConfigError, match="cannot be read: "):
            read_yaml(path)


def test_templates_and_profiles_are_found() -> None:
    assert (builtin_dir("templates") / "slurm.sh.j2").is_file()
    assert (builtin_dir("templates") / "local.sh.j2").is_file()
    assert (builtin_dir("cluster_profiles") / "slurm-cpu.yaml").is_file()
