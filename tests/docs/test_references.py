"""The reference pages name what there is, all of it, and nothing else."""

from __future__ import annotations

import argparse
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import pytest
import yaml
from tests.docs.pages import REFERENCE, ROOT, blocks, chapters, plain, rows_of, spans

from slidearray.cli.main import build_parser
from slidearray.core.classes import BY_HAND, CHARGED, PERMANENT, FailureClass
from slidearray.core.config import Config, parse_config
from slidearray.core.exits import ExitCode
from slidearray.core.schema import Section
from slidearray.storage.yamls import read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydantic.fields import FieldInfo

TOP_LEVEL = "Top level"
PROGRAM = "slidearray "

# slidearray.yaml


def inner_section(field: FieldInfo) -> type[Section] | None:
    """The section that a key holds, if it holds one."""
    kinds = (field.annotation, *get_args(field.annotation))
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, Section)), None)


def sections(model: type[Section], title: str = TOP_LEVEL) -> Iterator[tuple[str, type[Section]]]:
    """A section and those inside it, by the heading that they have on the page."""
    yield title, model
    for name, field in model.model_fields.items():
        if inner := inner_section(field):
            yield from sections(inner, name)


SECTIONS = dict(sections(Config))


def test_the_config_page_has_a_table_for_each_section_and_for_nothing_else() -> None:
    assert list(chapters("config.md")) == list(SECTIONS)


@pytest.mark.parametrize("title", SECTIONS)
def test_the_config_page_has_every_key_and_no_other(title: str) -> None:
    rows = rows_of(chapters("config.md")[title])
    assert [plain(row[0]) for row in rows] == list(SECTIONS[title].model_fields)


@pytest.mark.parametrize("title", SECTIONS)
def test_the_config_page_says_what_is_the_default_and_what_is_accepted(title: str) -> None:
    for row in rows_of(chapters("config.md")[title]):
        name, _, default, accepted, _ = map(plain, row)
        field = SECTIONS[title].model_fields[name]
        if inner_section(field):
            assert default == ("required" if field.is_required() else "its defaults"), name
            assert accepted == f"[keys](#{name})"
        else:
            assert accepted == plain(str(field.description)), name
            shown = ... if default == "required" else yaml.safe_load(default)
            assert shown == (... if field.is_required() else field.default), name


def examples() -> list[str]:
    return blocks(REFERENCE / "config.md", "yaml")


def test_the_examples_of_the_config_page_are_read_and_show_every_key(tmp_path: Path) -> None:
    shown: set[tuple[str, str]] = set()
    for example in examples():
        path = tmp_path / "slidearray.yaml"
        path.write_text(example, encoding="utf-8")
        raw: Any = read_yaml(path)
        parse_config(raw, source=str(path))
        shown |= {(TOP_LEVEL, name) for name in raw}
        shown |= {
            (title, name)
            for title, inner in raw.items()
            if isinstance(inner, dict)
            for name in inner
        }
    assert shown == {(title, name) for title in SECTIONS for name in SECTIONS[title].model_fields}


# The command line


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What the parser knows of a command."""

    parser: argparse.ArgumentParser
    listed: bool  # by --help

    @property
    def arguments(self) -> list[argparse.Action]:
        """Its arguments and options, without --help."""
        return [each for each in self.parser._actions if each.dest != "help"]


def commands(parser: argparse.ArgumentParser, prefix: str = "") -> Iterator[tuple[str, Command]]:
    """Every command, as it is typed behind the program's name."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            listed = {each.dest for each in action._choices_actions}
            for name, inner in action.choices.items():
                below = dict(commands(inner, f"{prefix}{name} "))
                own = {f"{prefix}{name}": Command(parser=inner, listed=name in listed)}
                yield from (below or own).items()


COMMANDS = dict(commands(build_parser()))
LISTED = [name for name, command in COMMANDS.items() if command.listed]
HIDDEN = [name for name, command in COMMANDS.items() if not command.listed]
IN_SCRIPTS = "In job scripts"


def forms(action: argparse.Action) -> set[str]:
    """An argument as a page writes it: ``RUN``, ``--json``, ``-o M`` with ``--output M``."""
    metavar = str(action.metavar or "")
    if not action.option_strings:
        return {metavar}
    value = "" if action.nargs == 0 else f" {metavar}"
    return {f"{option}{value}" for option in action.option_strings}


def chapter_of(command: str) -> str:
    return chapters("cli.md")[PROGRAM + command]


def test_the_command_page_has_a_section_for_each_command_and_for_no_other() -> None:
    titles = [title for title in chapters("cli.md") if title != IN_SCRIPTS]
    assert sorted(titles) == sorted(PROGRAM + name for name in LISTED)


@pytest.mark.parametrize("command", LISTED)
def test_the_command_page_has_every_argument_and_no_other(command: str) -> None:
    rows = rows_of(chapter_of(command))
    shown = [form for row in rows for form in spans(row[0])]
    known = [form for action in COMMANDS[command].arguments for form in forms(action)]
    assert sorted(shown) == sorted(known)


@pytest.mark.parametrize("command", LISTED)
def test_the_line_above_a_command_shows_its_arguments(command: str) -> None:
    (line,) = re.findall(rf"^`{PROGRAM}{command}( .*)?`$", chapter_of(command), re.MULTILINE)
    arguments = COMMANDS[command].arguments
    shown = set(re.findall(r"(?<!\S)\[?(-{1,2}[a-z-]+)", line))
    # Of two spellings the line shows the shorter.
    assert shown == {action.option_strings[0] for action in arguments if action.option_strings}
    positional = [action for action in arguments if not action.option_strings]
    assert all(str(action.metavar) in re.split(r"[\[\] ]+", line) for action in positional)


@pytest.mark.parametrize("command", LISTED)
def test_the_command_page_says_how_each_command_ends(command: str) -> None:
    assert re.search(r"^- \*\*Exits\*\* (with [0-9]|as )", chapter_of(command), re.MULTILINE)


def test_commands_of_job_scripts_stand_in_one_paragraph_with_what_they_need() -> None:
    text = chapters("cli.md")[IN_SCRIPTS].replace("\n", " ")
    shown = [span for span in spans(text) if span.startswith(PROGRAM)]
    assert [span.split()[1] for span in shown] == HIDDEN
    for span, name in zip(shown, HIDDEN, strict=True):
        arguments = COMMANDS[name].arguments
        needed = [action for action in arguments if action.required]
        assert set(span.removeprefix(f"{PROGRAM}{name} ").split()) == {
            word for action in needed for form in forms(action) for word in form.split()
        }
        optional = {form for action in arguments if not action.required for form in forms(action)}
        assert optional <= set(spans(text))


def typed_commands(page: Path) -> list[str]:
    """The slidearray commands of a page's shell examples."""
    lines = [line.strip() for block in blocks(page, "bash") for line in block.splitlines()]
    return [line for line in lines if line.startswith(PROGRAM)]


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TYPED = [(page, line) for page in PAGES for line in typed_commands(page)]


@pytest.mark.parametrize(("page", "line"), TYPED, ids=lambda each: str(each)[-60:])
def test_a_command_that_a_page_shows_is_understood(page: Path, line: str) -> None:
    words = shlex.split(re.split(r"[|&;>]", line)[0], comments=True)[1:]
    try:
        build_parser().parse_args(words)
    except SystemExit:
        pytest.fail(f"{page}: {line}")


def test_the_index_of_the_documentation_names_every_page() -> None:
    docs = ROOT / "docs"
    linked = re.findall(r"\]\(([^)#]+\.md)\)", (docs / "README.md").read_text(encoding="utf-8"))
    pages = {str(page.relative_to(docs)) for page in docs.rglob("*.md")} - {"README.md"}
    assert sorted(linked) == sorted(pages)


@pytest.mark.parametrize("page", ["slurm.md", "pbs.md"])
def test_a_tutorial_shows_the_commands(page: str) -> None:
    shown = {line.split()[1] for path, line in TYPED if path.name == page}
    assert shown >= {"init", "manifest", "profile", "doctor", "plan", "submit", "status", "logs"}
    assert shown >= {"cancel", "resubmit", "efficiency", "reduce", "verify"}


# Exit codes and failure classes


def test_the_page_of_exit_codes_has_them_all() -> None:
    rows = rows_of(chapters("exit-codes.md")["Exit codes"])
    assert [int(row[0]) for row in rows] == sorted(ExitCode)


def test_the_page_of_exit_codes_has_every_class_and_says_when_it_is_sent_again() -> None:
    rows = rows_of(chapters("exit-codes.md")["Failure classes"])
    by_rule = {True: "with --include", False: "by itself"}
    again = {
        failure: "when you ask" if failure in BY_HAND else by_rule[failure in PERMANENT]
        for failure in FailureClass
    }
    assert {plain(row[0]): plain(row[1]) for row in rows} == again
    assert {plain(row[0]) for row in rows if row[3] == "yes"} == CHARGED


def test_every_exit_code_that_a_command_is_said_to_have_exists() -> None:
    text = (REFERENCE / "cli.md").read_text(encoding="utf-8")
    ends = re.findall(r"^- \*\*Exits\*\*(.*?)(?=\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
    codes = {int(number) for end in ends for number in re.findall(r"\b[0-9]+\b", end)}
    assert codes <= set(ExitCode)
