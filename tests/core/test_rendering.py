from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.sbatch_reading import sbatch_reads

from slidearray.core.rendering import render, sbatch_path, sbatch_value, template_names
from slidearray.core.shapes import Shape
from slidearray.errors import TemplateError
from slidearray.storage.configs import load_profile

LOCAL = load_profile("local", project=Path("/nowhere"))
LEGAL = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1)
SPECIAL = st.text("a \"'\\#%$;&|*?~(){}[]<>!`=,:-\u00e9", min_size=1)


@given(LEGAL | SPECIAL)
def test_sbatch_reads_back_what_was_quoted(text: str) -> None:
    assert sbatch_reads(f"--output={sbatch_value(text)}") == f"--output={text}"


@pytest.mark.parametrize("text", ["/data/hetjobs/PackJob/x", "a b/hetjob", "plain"])
def test_words_that_sbatch_wipes_are_kept(text: str) -> None:
    assert sbatch_reads(sbatch_value(text)) == text


@pytest.mark.parametrize(
    ("path", "written"), [("/a/b.log", "/a/b.log"), ("/100%/%a", "/100%%/%%a"), ("%%", "%%%%")]
)
def test_slurm_takes_no_percent_sign_of_a_path_for_a_pattern(path: str, written: str) -> None:
    assert sbatch_path(path) == written


@given(st.lists(LEGAL | SPECIAL, min_size=1))
def test_the_shell_reads_back_what_was_quoted(words: list[str]) -> None:
    line = render("{{ words | sh }}", {"words": words}, source="t")
    assert shlex.split(line) == words


def test_values_are_put_where_the_template_says() -> None:
    template = "{{ shape.walltime }}\n{% if a is none %}\n{{ profile.memory }}\n{% endif %}\nend\n"
    values = {
        "shape": Shape(cpus=1, memory_mb=1, walltime_s=100_000),
        "a": None,
        "profile": LOCAL,
    }
    assert render(template, values, source="t") == "27:46:40\n4G\nend\n"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("a\n{{ wlltime }}", "t.j2, line 2: 'wlltime' is undefined; known variables are profile"),
        ("{% for x in profile.steps %}\n{% endfor %}", "line 1: .*no attribute 'steps'"),
        ("a\n\n{% if %}", "line 3: Expected an expression"),
        ("{{ 'a' | nosuch }}", "line 1: No filter named 'nosuch'"),
        ("a\n{{ 1 / 0 }}", "line 2: ZeroDivisionError"),
        ("{% include 'other' %}", "line 1: TypeError: no loader"),
        ("\n{{ profile.__class__.__mro__ }}", "line 2: SecurityError"),
        ("{{ profile.setup.__class__ }}", "line 1: SecurityError"),
    ],
)
def test_a_fault_of_a_template_is_named_by_file_and_line(template: str, expected: str) -> None:
    with pytest.raises(TemplateError, match=expected):
        render(template, {"profile": LOCAL}, source="t.j2")


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"project": "/a\nb"}, "project is '/a\\nb'"),
        ({"python": ["python", "\x1b"]}, "python[1] is '\\x1b'"),
        ({"profile": LOCAL.model_copy(update={"account": "x\r"})}, "profile.account is"),
        ({"shape": {"a": "\udcff"}}, "shape.a is '\\udcff'"),
        ({"log": "a\u2029"}, "log is 'a\\u2029'"),
    ],
)
def test_a_control_character_is_refused_with_its_variable(
    values: dict[str, object], place: str
) -> None:
    with pytest.raises(TemplateError) as caught:
        render("nothing", values, source="t.j2")
    assert f"t.j2: {place}" in str(caught.value)


def test_the_names_that_a_template_uses_are_known_fields_included() -> None:
    template = (
        "{% for line in profile.setup %}{{ line }}{% endfor %}"
        "{% if profile['nice'] %}{{ log | sh }}{% endif %}{# options #}"
    )
    assert template_names(template) == {"log", "profile", "profile.setup", "profile.nice"}
