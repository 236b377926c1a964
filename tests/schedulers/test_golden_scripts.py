"""Job scripts held to the letter, and what schedulers read of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.core.qsub_reading import qsub_reads, resources
from tests.schedulers.job_scripts import (
    EVERYTHING,
    LOCAL,
    PBS_EVERYTHING,
    PYTHON,
    array_job,
    plain_job,
    profile,
    run_in,
    script,
)

from slidearray.core.profile import parse_profile
from slidearray.submitter.scripts import advance_script

if TYPE_CHECKING:
    from collections.abc import Iterator

GOLDEN = Path(__file__).parents[1] / "golden"


def golden_scripts() -> dict[str, str]:
    """Every script that is held to the letter, by its file."""
    hostile, plain = Path("/data/it's a 100% project"), Path("/data/project")
    bare = profile(max_array_size=0, partition=None, account=None, setup=[])
    everything = parse_profile(EVERYTHING, source="p.yaml", name="p")
    local_container = {key: EVERYTHING[key] for key in ("version", "walltime", "container")}
    contained = {**local_container, "memory": "4G", "scheduler": "local"}
    local = LOCAL.model_copy(update={"python": PYTHON})
    local_contained = parse_profile(contained, source="p.yaml", name="p")
    pbs = profile("pbs")
    pbs_bare = profile("pbs", queue=None, account=None, setup=[])
    pbs_everything = parse_profile(PBS_EVERYTHING, source="p.yaml", name="p")
    return {
        "pbs_array.sh": script(pbs, root=hostile),
        "pbs_plain.sh": script(pbs_bare, root=plain, job=plain_job(pbs_bare)),
        "pbs_everything.sh": script(pbs_everything, root=hostile),
        "pbs_advance.sh": advance_script(
            run_in(hostile), pbs_everything, number=1, name="svk3f9a2-1"
        ),
        "pbs_advance_plain.sh": advance_script(
            run_in(plain), pbs_bare, number=2, name="svk3f9a2-2"
        ),
        "slurm_array.sh": script(profile(), root=hostile),
        "slurm_plain.sh": script(bare, root=plain, job=plain_job(bare)),
        "slurm_everything.sh": script(everything, root=hostile, exclude=["n2", "n3"]),
        "slurm_advance.sh": advance_script(
            run_in(hostile), everything, number=1, name="svk3f9a2-1"
        ),
        "slurm_advance_plain.sh": advance_script(run_in(plain), bare, number=2, name="svk3f9a2-2"),
        "local.sh": script(local, root=plain, job=array_job(local, array=None)),
        "local_container.sh": script(local_contained, root=plain, job=array_job(local_contained)),
    }


GOLDEN_NAMES = sorted(path.name for path in GOLDEN.glob("*.sh"))


@pytest.fixture
def submitter(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Somebody with a Python, a umask and a variable."""
    monkeypatch.setattr(sys, "executable", PYTHON)
    monkeypatch.setenv("OMP_PLACES", 'it\'s "a" \\ #1')
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.mark.usefixtures("submitter")
def test_every_golden_script_has_its_file() -> None:
    assert sorted(golden_scripts()) == GOLDEN_NAMES


@pytest.mark.usefixtures("submitter")
@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_a_script_is_the_golden_one_to_the_letter(name: str) -> None:
    assert golden_scripts()[name] == (GOLDEN / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_bash_and_shellcheck_find_nothing_in_a_golden_script(name: str) -> None:
    scripts = Path(sysconfig.get_path("scripts"))
    checkers = [["/bin/bash", "-n"], [shutil.which("shellcheck", path=scripts) or "shellcheck"]]
    for checker in checkers:
        done = subprocess.run(
            [*checker, GOLDEN / name], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.usefixtures("submitter")
def test_qsub_reads_back_what_a_script_of_pbs_asks_for() -> None:
    everything = parse_profile(PBS_EVERYTHING, source="p.yaml", name="p")
    text = script(everything, root=Path("/data/a b"))
    read = qsub_reads(text)
    assert resources(read) == [
        "ncpus=8", "mem=32768mb", "ngpus=2", "gpu_type=a100", "net=ib", "walltime=04:00:00",
        "filesystems=home:eagle",
    ]  # fmt: skip
    assert [value for name, value in read if name == "-W"] == ["group_list=lab", "umask=0027"]
    assert {name: value for name, value in read if name not in {"-l", "-W"}} == {
        "-N": "sak3f9a2-1-0", "-J": "0-11%4", "-q": "gpu", "-P": "ab12", "-A": "pathology",
        "-p": "-100", "-S": "/bin/bash", "-r": "y", "-m": "n", "-j": "oe",
        "-o": "localhost:/dev/null",
    }  # fmt: skip
    one = qsub_reads(script(everything, root=Path("/data"), job=plain_job(everything)))
    assert not [value for name, value in one if name == "-J"]
