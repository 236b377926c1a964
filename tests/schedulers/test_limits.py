"""What control groups, affinity and the scheduler leave us."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from slidearray.schedulers.limits import ControlGroups, child_environment, limits_here

if TYPE_CHECKING:
    from pathlib import Path

V2_MOUNT = "30 24 0:26 {root} {point} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1_MOUNT = "3{n} 31 0:2{n} {root} {point} rw,relatime - cgroup cgroup rw,{names}\n"
V1_NO_LIMIT = "9223372036854771712"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    folder = tmp_path / "proc"
    folder.mkdir()
    return folder


def unified(tmp_path: Path, proc: Path, path: str, *, root: str = "/") -> Path:
    """A mounted tree of version 2 in which this process is in the group `path`."""
    point = tmp_path / "cgroup"
    (proc / "mountinfo").write_text(
        "22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n" + V2_MOUNT.format(root=root, point=point)
    )
    (proc / "cgroup").write_text(f"0::{path}\n")
    group = point / path.removeprefix(root).strip("/")
    group.mkdir(parents=True)
    return group


def legacy(tmp_path: Path, proc: Path, path: str) -> dict[str, Path]:
    """Mounted trees of version 1, beside an empty one of version 2."""
    names = {"cpu": "cpu,cpuacct", "memory": "memory"}
    lines = [
        V1_MOUNT.format(n=n, root="/", point=tmp_path / name, names=joined)
        for n, (name, joined) in enumerate(names.items())
    ]
    lines.append(V2_MOUNT.format(root="/", point=tmp_path / "unified"))
    (proc / "mountinfo").write_text("".join(lines))
    (proc / "cgroup").write_text(f"9:memory:{path}\n4:cpu,cpuacct:{path}\n0::/\n")
    groups = {name: tmp_path / name / path.strip("/") for name in names}
    for group in groups.values():
        group.mkdir(parents=True)
    return groups


def limits(proc: Path, *, affinity: int = 64, **environ: str) -> tuple[int, int | None]:
    found = limits_here(ControlGroups(proc), affinity=range(affinity), environ=environ)
    return found.cpus, found.memory_mb


def test_version_2_limits_are_found(tmp_path: Path, proc: Path) -> None:
    group = unified(tmp_path, proc, "/system.slice/slurmstepd.scope/job_7/step_batch/user")
    (group / "cpu.max").write_text("400000 100000\n")
    (group / "memory.max").write_text("max\n")
    (group.parent.parent / "cpu.max").write_text("max 100000\n")
    (group.parent.parent / "memory.max").write_text(f"{8 * 2**30}\n")
    assert limits(proc) == (4, 8192)


def test_version_1_limits_are_found(tmp_path: Path, proc: Path) -> None:
    groups = legacy(tmp_path, proc, "/slurm/uid_1/job_7")
    (groups["cpu"] / "cpu.cfs_quota_us").write_text("250000\n")
    (groups["cpu"] / "cpu.cfs_period_us").write_text("100000\n")
    (groups["cpu"].parent / "cpu.cfs_quota_us").write_text("-1\n")
    (groups["memory"] / "memory.limit_in_bytes").write_text(f"{2**30}\n")
    (groups["memory"].parent / "memory.limit_in_bytes").write_text(V1_NO_LIMIT)
    assert limits(proc) == (2, 1024)


def test_no_limit_is_no_number(tmp_path: Path, proc: Path) -> None:
    groups = legacy(tmp_path, proc, "/")
    (groups["cpu"] / "cpu.cfs_quota_us").write_text("-1\n")
    (groups["cpu"] / "cpu.cfs_period_us").write_text("100000\n")
    (groups["memory"] / "memory.limit_in_bytes").write_text(V1_NO_LIMIT)
    assert limits(proc, affinity=3) == (3, None)


def test_a_container_sees_its_own_part_of_the_tree(tmp_path: Path, proc: Path) -> None:
    group = unified(tmp_path, proc, "/docker/abc/inner", root="/docker/abc")
    (group / "cpu.max").write_text("150000 100000\n")
    assert limits(proc) == (1, None)


def test_a_path_that_is_not_mounted_leaves_the_mounted_part(tmp_path: Path, proc: Path) -> None:
    group = unified(tmp_path, proc, "/")
    (group / "cpu.max").write_text("200000 100000\n")
    (proc / "cgroup").write_text("0::/kubepods/pod1\n")
    assert limits(proc) == (2, None)


def test_half_a_cpu_is_one_thread(tmp_path: Path, proc: Path) -> None:
    (unified(tmp_path, proc, "/a") / "cpu.max").write_text("50000 100000\n")
    assert limits(proc)[0] == 1


def test_the_least_that_any_source_leaves_counts(proc: Path) -> None:
    assert limits(proc, affinity=64, SLURM_CPUS_PER_TASK="4") == (4, None)
    assert limits(proc, affinity=2, SLURM_CPUS_PER_TASK="4", NCPUS="8") == (2, None)
    assert limits(proc, affinity=2, SLURM_MEM_PER_NODE="2048") == (2, 2048)


@pytest.mark.parametrize("text", ["", "0", "-1", "many", "4(x2)", "²"])
def test_a_variable_that_is_no_count_says_nothing(proc: Path, text: str) -> None:
    assert limits(proc, affinity=5, SLURM_CPUS_PER_TASK=text, SLURM_MEM_PER_NODE=text) == (5, None)


def test_kills_for_memory_are_counted_in_either_version(tmp_path: Path, proc: Path) -> None:
    group = unified(tmp_path, proc, "/job")
    (group / "memory.events").write_text("low 0\nmax 7\noom 3\noom_kill 2\noom_group_kill 9\n")
    assert ControlGroups(proc).oom_kills() == 2
    groups = legacy(tmp_path, proc, "/job1")
    (groups["memory"] / "memory.oom_control").write_text(
        "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"
    )
    assert ControlGroups(proc).oom_kills() == 3


def test_an_old_kernel_tells_how_often_the_limit_was_hit(tmp_path: Path, proc: Path) -> None:
    task = legacy(tmp_path, proc, "/slurm/uid_1/job_7/step_batch/task_0")["memory"]
    (task / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\n")
    (task / "memory.failcnt").write_text("0\n")
    (task.parent / "memory.failcnt").write_text("4\n")
    assert ControlGroups(proc).oom_kills() == 4
    (task / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    assert ControlGroups(proc).oom_kills() == 1


def test_the_groups_of_a_slurm_task_are_read_as_they_were_found(tmp_path: Path, proc: Path) -> None:
    # SLURM 22.05 with cgroup/v1: the limit is the step's and the job's, the count the task's own.
    task = legacy(tmp_path, proc, "/slurm_n1/uid_0/job_16/step_batch/task_0")["memory"]
    for folder, limit in ((task, V1_NO_LIMIT), (task.parent, "314572800")):
        (folder / "memory.limit_in_bytes").write_text(limit)
        (folder / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n")
    (task / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    assert limits(proc) == (64, 300)
    assert ControlGroups(proc).oom_kills() == 1


def test_the_groups_of_a_pbs_job_come_before_its_one_variable(tmp_path: Path, proc: Path) -> None:
    # PBS tells the CPUs and nothing of the memory; where its cgroups hook runs, the group does.
    assert limits(proc, NCPUS="8", PBS_JOBID="201[3].pbshost") == (8, None)
    groups = legacy(tmp_path, proc, "/pbs_jobs.service/jobid/201[3].pbshost")
    (groups["memory"] / "memory.limit_in_bytes").write_text(str(4 * 2**30))
    assert limits(proc, affinity=4, NCPUS="8") == (4, 4096)


def test_this_machine_can_be_asked() -> None:
    groups = ControlGroups()
    assert groups.oom_kills() >= 0
    assert limits_here(groups, affinity=[0], environ={}).cpus == 1


def test_numerical_libraries_get_our_threads_unless_the_user_said_otherwise() -> None:
    environment = child_environment({"OMP_NUM_THREADS": "1", "HOME": "/h"}, cpus=4)
    assert environment["OMP_NUM_THREADS"] == "1"
    assert environment["OPENBLAS_NUM_THREADS"] == "4"
    assert environment["HOME"] == "/h"
