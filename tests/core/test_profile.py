from __future__ import annotations

import re
from pathlib import Path

import pytest

from slidearray.core import pbs_directives
from slidearray.core.container import Container
from slidearray.core.profile import AdvanceJob, Mail, Profile, parse_profile
from slidearray.core.scheduler_keys import COUNTERPARTS, KEYS_OF, SCHEDULER_KEYS
from slidearray.core.shapes import Shape
from slidearray.core.slurm_directives import REFUSED
from slidearray.errors import ProfileError
from slidearray.storage.builtin import builtin_dir
from slidearray.storage.configs import load_profile
from slidearray.storage.yamls import read_yaml

LEAST: dict[str, object] = {
    "version": 1,
    "scheduler": "slurm",
    "walltime": "04:00:00",
    "memory": "32G",
}

FULL: dict[str, object] = {
    **LEAST,
    "cpus_per_task": 8,
    "partition": "cpu,long",
    "account": "lab@site",
    "qos": "high",
    "reservation": "course",
    "constraint": "gold",
    "nodelist": "n[1-9]",
    "exclude": "n7",
    "nice": 10,
    "gpus": "a100:2",
    "gpu_directive": "gpus",
    "directives": ["--exclusive"],
    "max_array_size": 500,
    "max_running": 50,
    "mail": {"to": "me@example.org", "on": ["FAIL"]},
    "advance_job": {"partition": "small", "walltime": 90, "memory": "8G", "cpus_per_task": 2},
    "environment": ["OMP_PLACES"],
    "setup": ["module load cuda/12", "source .venv/bin/activate"],
    "container": {"image": "x.sif", "binds": ["/data"], "options": ["--nv"]},
    "python": "/opt/my env/bin/python",
    "template": "my.sh.j2",
}


def faults(raw: object) -> list[str]:
    with pytest.raises(ProfileError) as caught:
        parse_profile(raw, source="p.yaml", name="p")
    return str(caught.value).splitlines()


def test_a_profile_says_what_a_task_asks_for() -> None:
    profile = parse_profile(FULL, source="p.yaml", name="p")
    assert profile.shape() == Shape(cpus=8, memory_mb=32768, walltime_s=14400)
    assert profile.name == "p"
    assert profile.setup == ("module load cuda/12", "source .venv/bin/activate")


@pytest.mark.parametrize("raw", [LEAST, FULL, {**LEAST, "walltime": 90}])
def test_a_profile_written_to_json_reads_back_equal(raw: dict[str, object]) -> None:
    profile = parse_profile(raw, source="p.yaml", name="mine")
    assert parse_profile(profile.to_json(), source="run.json", name="other") == profile


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("00:00:01", 1),
        ("04:00:00", 14_400),
        ("100:30:00", 361_800),
        ("2-01:00:00", 176_400),
        (240, 14_400),
        (1, 60),
    ],
)
def test_walltime_is_read_as_schedulers_write_it(written: object, seconds: int) -> None:
    profile = parse_profile({**LEAST, "walltime": written}, source="p.yaml", name="p")
    assert profile.walltime_s == seconds


@pytest.mark.parametrize(
    "written",
    ["", "04:00", "4h", "00:00:00", "01:60:00", "-1:00:00", "\u06604:00:00", 0, -5, True, 2.5, None,
     "9999-00:00:00"],
)  # fmt: skip
def test_other_walltimes_are_refused(written: object) -> None:
    (line,) = faults({**LEAST, "walltime": written})
    assert line.startswith("p.yaml: walltime: found ")
    assert 'accepted: "HH:MM:SS"' in line


@pytest.mark.parametrize(
    ("written", "megabytes"),
    [("500M", 500), ("32G", 32_768), ("32GB", 32_768), ("1.5T", 1_572_864), ("0.5g", 512)],
)
def test_memory_is_read_with_its_unit(written: str, megabytes: int) -> None:
    profile = parse_profile({**LEAST, "memory": written}, source="p.yaml", name="p")
    assert profile.memory_mb == megabytes


@pytest.mark.parametrize("written", ["32", 32, "", "0G", "32K", "lots", "-1G", "1,5G"])
def test_other_amounts_of_memory_are_refused(written: object) -> None:
    (line,) = faults({**LEAST, "memory": written})
    assert "accepted: a number and its unit" in line


@pytest.mark.parametrize(
    "line",
    ["", "  ", "a\nb", "a\tb", "module load x # y", "x;#y", "#x", "x \\", "x ;", "x &", "x |",
     "x &&", "cat <<EOF", "echo 'a", 'echo "a', "x\u2028y", "\ud800"],
)  # fmt: skip
def test_a_setup_line_that_would_hide_its_check_is_refused_by_number(line: str) -> None:
    (fault,) = faults({**LEAST, "setup": ["true", line]})
    assert fault.startswith("p.yaml: setup[1]: found ")


@pytest.mark.parametrize(
    "line", ["echo $#", "a && b", "a; b", "cat <<< x", "echo 'it'\"'\"'s'", "export A=${b#c}"]
)
def test_usual_setup_lines_are_accepted(line: str) -> None:
    profile = parse_profile({**LEAST, "setup": [line]}, source="p.yaml", name="p")
    assert profile.setup == (line,)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("partition", "a b"),
        ("partition", "$(touch x)"),
        ("partition", ""),
        ("account", 'a"'),
        ("account", "a\nb"),
        ("python", "\x1b[0m"),
        ("template", "a\0"),
        ("max_array_size", -1),
        ("max_array_size", "many"),
        ("max_running", 0),
        ("cpus_per_task", 0),
        ("setup", "module load x"),
        ("setup", [1]),
        ("scheduler", "lsf"),
        ("scheduler", "SLURM"),
        ("version", 0),
        ("qos", "a;b"),
        ("reservation", "`id`"),
        ("constraint", "a b"),
        ("constraint", "$(touch x)"),
        ("nodelist", "/etc/hosts"),
        ("exclude", "n1 n2"),
        ("nice", "5"),
        ("nice", 2**31 - 2),
        ("gpus", 0),
        ("gpus", True),
        ("gpus", "a100"),
        ("gpus", "a100:0"),
        ("gpus", "a b:1"),
        ("gpu_directive", "both"),
        ("directives", "--exclusive"),
        ("mail", "me@example.org"),
        ("mail", {"to": "a b"}),
        ("mail", {"on": []}),
        ("mail", {"on": ["ARRAY_TASKS"]}),
        ("mail", {"on": "END"}),
        ("environment", "PATH"),
        ("environment", ["HF_TOKEN"]),
        ("advance_job", None),
        ("advance_job", {"walltime": "soon"}),
        ("container", "x.sif"),
        ("container", {}),
    ],
)
def test_a_bad_value_is_named_by_its_key(key: str, value: object) -> None:
    (line,) = faults({**LEAST, key: value})
    assert line.startswith(f"p.yaml: {key}")
    assert "; accepted: " in line


@pytest.mark.parametrize("key", ["scratch", "workers_per_task"])
def test_a_key_of_another_version_is_refused_as_such(key: str) -> None:
    assert faults({**LEAST, key: 1}) == [f"p.yaml: {key}: not in this version"]


def test_what_a_local_profile_cannot_use_is_refused() -> None:
    (line,) = faults({**FULL, "scheduler": "local"})
    assert line == (
        "p.yaml: partition, account, qos, reservation, constraint, nodelist, exclude, gpus, nice, "
        "directives, gpu_directive, max_array_size, mail, advance_job, environment: "
        "scheduler local has none; remove it"
    )


PBS: dict[str, object] = {
    **{key: value for key, value in FULL.items() if key not in {*COUNTERPARTS["pbs"], "qos"}},
    "scheduler": "pbs",
    "queue": "gpu",
    "project": "ab12",
    "group": "lab",
    "constraint": "gpu_type=a100",
    "gpus": 2,
    "pbs_resources": "flat",
    "directives": ["-l filesystems=home:eagle"],
    "advance_job": {"queue": "small", "directives": ["-p 1"]},
}


def test_what_a_pbs_profile_can_use_is_accepted() -> None:
    assert {*KEYS_OF["pbs"]} <= PBS.keys()
    profile = parse_profile(PBS, source="p.yaml", name="p")
    assert parse_profile(profile.to_json(), source="run.json", name="other") == profile


@pytest.mark.parametrize(
    ("scheduler", "key"),
    [
        (scheduler, key)
        for scheduler in ("slurm", "pbs")
        for key in SCHEDULER_KEYS
        if key not in KEYS_OF[scheduler]
    ],
)
def test_a_key_of_another_scheduler_is_refused_by_name(scheduler: str, key: str) -> None:
    other, ours = (PBS, FULL) if scheduler == "slurm" else (FULL, PBS)
    (line,) = faults({**ours, key: other[key]})
    reason = COUNTERPARTS[scheduler].get(key, f"scheduler {scheduler} has none; remove it")
    assert line == f"p.yaml: {key}: {reason}"
    if key in AdvanceJob.model_fields:
        (line,) = faults({**ours, "advance_job": {key: other[key]}})
        assert line == f"p.yaml: advance_job.{key}: {reason}"


def test_all_keys_of_another_scheduler_are_named_at_once() -> None:
    (line,) = faults({**PBS, "qos": "high", "partition": "cpu", "exclude": "n7"})
    assert line == (
        "p.yaml: partition: scheduler pbs calls it queue; exclude: PBS cannot leave out nodes by "
        "name; let queue or constraint name a kind; qos: scheduler pbs has none; remove it"
    )


def test_a_scheduler_that_is_none_is_the_only_fault() -> None:
    (line,) = faults({**PBS, "scheduler": "qsub"})
    assert line.startswith("p.yaml: scheduler: found 'qsub'; accepted: slurm, pbs or local")


def test_what_a_local_profile_can_use_is_accepted() -> None:
    keys = ("cpus_per_task", "max_running", "setup", "container", "python", "template")
    raw = {**LEAST, "scheduler": "local", **{key: FULL[key] for key in keys}}
    profile = parse_profile(raw, source="p.yaml", name="p")
    assert parse_profile(profile.to_json(), source="run.json", name="other") == profile


def test_the_job_that_follows_asks_for_little_where_nothing_is_said() -> None:
    profile = parse_profile(LEAST, source="p.yaml", name="p")
    assert profile.advance_job.shape() == Shape(cpus=1, memory_mb=4096, walltime_s=3600)
    asked = parse_profile(FULL, source="p.yaml", name="p").advance_job.shape()
    assert asked == Shape(cpus=2, memory_mb=8192, walltime_s=5400)


REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "profile.md"


def test_the_reference_has_a_row_for_every_key_and_names_every_refused_option() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    listed = set(re.findall(r"`([a-z_]+)`", text))
    sections = (Profile, AdvanceJob, Mail, Container)
    assert listed >= {key for section in sections for key in section.model_fields}
    assert listed >= Profile.later
    spoken = re.sub(
        "ntasks-per-\u2026", " ".join(name for name in REFUSED if "ntasks-" in name), text
    )
    assert [name for name in REFUSED if not re.search(rf"\b{name}\b", spoken)] == []


def test_the_reference_names_what_qsub_is_not_told() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    options = {*re.findall(r"`-(\w)[ =`]", text)}
    assert {*pbs_directives.REFUSED} <= options
    assert options >= pbs_directives.PASSED
    assert {*pbs_directives.REFUSED_RESOURCES} <= {*re.findall(r"`(\w+)`", text)}


def test_the_examples_of_the_reference_are_valid(tmp_path: Path) -> None:
    found = 0
    for section in REFERENCE.read_text(encoding="utf-8").split("\n## "):
        scheduler = "pbs" if "on PBS" in section.splitlines()[0] else "slurm"
        for block in re.findall(r"^```yaml\n(.*?)^```", section, re.M | re.S):
            file = tmp_path / "example.yaml"
            file.write_text(block, encoding="utf-8")
            example = read_yaml(file)
            assert isinstance(example, dict)
            raw = {**LEAST, "scheduler": scheduler, **example}
            parse_profile(raw, source="example", name="p")
            found += 1
    assert found >= 7


@pytest.mark.parametrize("scheduler", ["slurm", "pbs"])
def test_the_profile_to_copy_shows_every_key(scheduler: str) -> None:
    path = builtin_dir("cluster_profiles") / f"{scheduler}-cpu.yaml"
    raw = read_yaml(path)
    assert isinstance(raw, dict)
    foreign = {*SCHEDULER_KEYS} - {*KEYS_OF[scheduler]}
    untold = {"name", "gpus", "gpu_directive"} | foreign  # -gpu.yaml shows those of GPUs
    assert {*raw} == Profile.model_fields.keys() - untold
    assert {*raw["advance_job"]} == AdvanceJob.model_fields.keys() - foreign


@pytest.mark.parametrize("scheduler", ["slurm", "pbs"])
def test_null_says_nothing_in_the_profile_to_copy(scheduler: str) -> None:
    path = builtin_dir("cluster_profiles") / f"{scheduler}-cpu.yaml"
    profile = parse_profile(read_yaml(path), source=str(path), name="cpu")
    assert profile.given(SCHEDULER_KEYS) == []


@pytest.mark.parametrize("name", ["local", "slurm-cpu", "slurm-gpu", "pbs-cpu", "pbs-gpu"])
def test_the_profiles_that_come_with_slidearray_are_valid(name: str) -> None:
    path = builtin_dir("cluster_profiles") / f"{name}.yaml"
    profile = parse_profile(read_yaml(path), source=str(path), name=name)
    assert profile.scheduler == name.split("-")[0]


def test_without_a_name_the_local_profile_is_used_the_projects_own_first(tmp_path: Path) -> None:
    ours = load_profile(None, project=tmp_path)
    assert ours.shape() == Shape(cpus=1, memory_mb=4096, walltime_s=86_400)
    (tmp_path / "cluster_profiles").mkdir()
    own = "version: 1\nscheduler: local\nwalltime: 10\nmemory: 1G\n"
    (tmp_path / "cluster_profiles" / "local.yaml").write_text(own)
    assert load_profile(None, project=tmp_path).walltime_s == 600
