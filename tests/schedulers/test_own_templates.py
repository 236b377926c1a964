"""Templates of one's own, instead of those that come with slidearray."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.schedulers.job_scripts import (
    EVERYTHING,
    PBS_EVERYTHING,
    PYTHON,
    profile,
    script,
)

from slidearray.core.scheduler_keys import OPTION_KEYS
from slidearray.errors import RunError, TemplateError
from slidearray.submitter.scripts import probe_script

if TYPE_CHECKING:
    from pathlib import Path

    from slidearray.core.profile import Profile


def own_template(project: Path, text: str, scheduler: str = "slurm") -> Profile:
    (project / "own.sh.j2").write_text(text, encoding="utf-8")
    return profile(scheduler, template="own.sh.j2", account=None)


RANGES = {"slurm": "#SBATCH --array={{ array }}", "pbs": "#PBS -J {{ array }}"}


def test_a_template_of_ones_own_is_read_from_the_project(tmp_path: Path) -> None:
    ours = own_template(
        tmp_path,
        "#SBATCH --array={{ array }}\n"
        "{{ python | sh }} {{ run_dir }} {{ attempt }} {{ profile.partition }}",
    )
    *_, last = script(ours, root=tmp_path).splitlines()
    assert last == f"{PYTHON} -P {tmp_path}/runs/first 1 cpu"


@pytest.mark.parametrize(
    ("scheduler", "line"),
    [
        ("slurm", "#SBATCH --array=0-99"),
        ("slurm", "#SBATCH -a 1"),
        ("slurm", "# none"),
        ("pbs", "#PBS -J 0-99"),
        ("pbs", "# none"),
    ],
)
def test_a_template_with_a_range_of_its_own_is_refused(
    tmp_path: Path, scheduler: str, line: str
) -> None:
    ours = own_template(tmp_path, f"{line}\n{{{{ options }}}}\n", scheduler=scheduler)
    with pytest.raises(RunError, match=r"own\.sh\.j2: asks for .* where this job has 0-"):
        script(ours, root=tmp_path)


def test_a_template_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"own\.sh\.j2: the job template cannot be read"):
        script(profile(template="own.sh.j2"), root=tmp_path)


@pytest.mark.parametrize(
    ("scheduler", "key"),
    [(scheduler, key) for scheduler, keys in OPTION_KEYS.items() for key in keys],
)
def test_a_template_that_would_ignore_the_profile_is_refused(
    tmp_path: Path, scheduler: str, key: str
) -> None:
    own_template(tmp_path, "{{ log }} {{ profile.setup }}")
    everything, where = {
        "slurm": (EVERYTHING, "partition"),
        "pbs": (PBS_EVERYTHING, "queue"),
    }[scheduler]
    keys: dict[str, object] = {where: None, "account": None, key: everything[key]}
    ours = profile(scheduler, template="own.sh.j2", **keys)
    with pytest.raises(TemplateError, match=f"uses neither profile.{key} nor options"):
        script(ours, root=tmp_path)
    for mended in (f"{{{{ profile.{key} }}}}", "{% for each in options %}{% endfor %} mended"):
        own_template(tmp_path, f"{RANGES[scheduler]}\n{mended}")
        assert script(ours, root=tmp_path)


def test_a_template_of_pbs_that_would_leave_variables_out_is_refused(tmp_path: Path) -> None:
    own_template(tmp_path, "{{ options }}")
    ours = profile("pbs", template="own.sh.j2", environment=["OMP_PLACES"])
    with pytest.raises(TemplateError, match=r"does not use environment, so what the profile says"):
        script(ours, root=tmp_path)
    own_template(tmp_path, f"{RANGES['pbs']}\n{{{{ options }}}} {{{{ environment }}}}")
    assert script(ours, root=tmp_path)


def test_a_template_of_ones_own_is_held_to_what_qsub_takes(tmp_path: Path) -> None:
    ours = own_template(tmp_path, "#PBS -J 0-0\n{{ options }}\n", scheduler="pbs")
    with pytest.raises(RunError, match=r"own\.sh\.j2"):
        script(ours, root=tmp_path)


def test_a_template_that_would_leave_the_container_out_is_refused(tmp_path: Path) -> None:
    own_template(tmp_path, "{{ options }} {{ python | sh }}")
    ours = profile(template="own.sh.j2", container={"image": "x.sif"})
    with pytest.raises(TemplateError, match=r"does not use command: begin its last line with"):
        script(ours, root=tmp_path)


def test_a_probe_needs_a_template_that_starts_what_it_is_told(tmp_path: Path) -> None:
    ours = own_template(tmp_path, "{{ options }} {{ python | sh }} -m slidearray work")
    with pytest.raises(TemplateError, match="does not use command"):
        probe_script(ours, project=tmp_path, folder=tmp_path, name="x", words=["doctor-task"])
