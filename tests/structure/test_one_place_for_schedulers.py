"""What a scheduler is called, and how it is spoken to, stands where its dialect is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.structure.conftest import Source

#: Schedulers, their commands, and their words.
WORDS = re.compile(
    r"slurm|sbatch|squeue|sacct|scancel|scontrol|\bpbs|qsub|qstat|qdel|qrls|qselect|\blsf\b",
    re.IGNORECASE,
)
#: The room of the dialects, and what of them is pure: the keys of profiles, directives, quoting.
THEIRS = re.compile(
    r"slidearray\.schedulers\..*|"
    r"slidearray\.core\.(\w+_directives|profile|rendering|scheduler_keys|variables)"
)


def test_the_stages_know_no_scheduler(sources: dict[str, Source]) -> None:
    said = {
        f"{name}: {line.strip()}"
        for name, source in sources.items()
        if not THEIRS.fullmatch(name)
        for line in source.text.splitlines()
        if WORDS.search(line)
    }
    assert not said, said


@pytest.mark.parametrize("scheduler", ["slurm", "pbs"])
def test_a_dialect_does_not_know_another(sources: dict[str, Source], scheduler: str) -> None:
    other = {"slurm": "pbs", "pbs": "slurm"}[scheduler]
    imported = {
        module
        for name, source in sources.items()
        if name.rpartition(".")[2].startswith(scheduler)
        for module in source.imports
        if module.rpartition(".")[2].startswith(other)
    }
    assert not imported
