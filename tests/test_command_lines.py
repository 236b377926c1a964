from __future__ import annotations

import shlex

import pytest

from slidearray.cli.runs import command_line


@pytest.mark.parametrize("folder", ["a b", "a {b} $(touch x)", "{slot}", "it's; x", "plain"])
def test_a_printed_command_line_is_one_that_can_be_pasted(folder: str) -> None:
    argv = ("sbatch", "--parsable", "--dependency=afterany:{array id of 3}", f"/runs/{folder}/a.sh")
    typed = command_line(argv).replace("{array id of 3}", "7")
    assert shlex.split(typed) == [*argv[:2], "--dependency=afterany:7", argv[3]]
