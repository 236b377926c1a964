"""A PBS profile run on this machine: the same scripts, the same rules, the same store."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.support import running

from slidearray.schedulers.pbs import PbsDialect
from slidearray.storage.builtin import builtin_dir

if TYPE_CHECKING:
    from tests.end_to_end.support import Project

#: Written by each job; a plain one has no number.
SEE = "printenv | grep -E '^(PBS_|NCPUS=|OMP_NUM)' | sort > job.${PBS_ARRAY_INDEX:-plain}"
RANGE = "one range with a first number below the last"


@pytest.fixture(autouse=True)
def enclosing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that run inside another job: nothing of it is to be seen."""
    monkeypatch.setenv("PBS_JOBID", "999[7].elsewhere")
    monkeypatch.setenv("PBS_ARRAY_INDEX", "7")
    monkeypatch.setenv("PBS_O_WORKDIR", "/elsewhere")


def planned(project: Project, *, slides_per_task: int = 1, **profile: Any) -> Project:
    raw = {"version": 1, "scheduler": "pbs", "walltime": 60, "memory": "1G", **profile}
    (project.folder / "pbs.yaml").write_text(yaml.safe_dump(raw))
    project.config(shards={"slides_per_task": slides_per_task}, run_dir="runs/pbs")
    project.run("plan", "slidearray.yaml", "--profile", "pbs.yaml")
    return project


def own_template(project: Project, *, instead_of: str, line: str) -> str:
    """Our template with another line in it, for a profile of this project."""
    ours = (builtin_dir("templates") / PbsDialect.template).read_text()
    assert instead_of in ours
    (project.folder / "own.sh.j2").write_text(ours.replace(instead_of, line))
    return "own.sh.j2"


def seen(project: Project, job: str) -> dict[str, str]:
    lines = (project.folder / f"job.{job}").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_tasks_see_what_pbs_would_set_and_nothing_of_an_enclosing_job(ready: Project) -> None:
    planned(ready, max_array_size=2, setup=[SEE])
    ready.run("submit", "runs/pbs", "--local")
    tasks = [seen(ready, str(task)) for task in range(2)]
    array = tasks[0]["PBS_ARRAY_ID"]
    assert array.endswith("[]")
    for number, told in enumerate(tasks):
        assert told["PBS_ENVIRONMENT"] == "PBS_BATCH"
        assert told["PBS_JOBID"] == f"{array.removesuffix('[]')}[{number}]"
        assert (told["PBS_ARRAY_ID"], told["PBS_ARRAY_INDEX"]) == (array, str(number))
        assert (told["NCPUS"], told["OMP_NUM_THREADS"]) == ("1", "1")
        assert told["PBS_JOBNAME"] == tasks[0]["PBS_JOBNAME"]
        assert told.get("PBS_O_WORKDIR") != "/elsewhere"
    plain = seen(ready, "plain")  # of the third slot: an array of one task is none
    assert plain.keys().isdisjoint({"PBS_ARRAY_ID", "PBS_ARRAY_INDEX"})
    begun = [event for event in ready.events("runs/pbs") if event["event"] == "started"]
    assert sorted((event["slot"], event["job_id"], event["task"]) for event in begun) == [
        (0, array, 0),
        (1, array, 1),
        (2, plain["PBS_JOBID"], None),
    ]


def test_the_store_is_that_of_a_run_without_a_scheduler(ready: Project) -> None:
    ready.run("run", "slidearray.yaml")
    expected = ready.store().read_bytes()
    planned(ready, max_array_size=2)
    ready.run("submit", "runs/pbs", "--local")
    ready.run("reduce", "runs/pbs")
    assert ready.store("runs/pbs").read_bytes() == expected
    logs = list((ready.folder / "runs/pbs/attempts/0001/logs").rglob("*.log"))
    assert len(logs) == 3
    assert all("done" in log.read_text() for log in logs)  # the scripts write their own


@pytest.mark.parametrize(
    ("instead_of", "line", "words"),
    [
        ("#PBS -J {{ array }}", "#PBS -J 0-0", RANGE),
        ("#PBS -J {{ array }}", "#PBS -J 0,2", RANGE),
        ("#PBS -J {{ array }}", "#PBS -J {{ array }}%0", "never runs a task of it"),
        ("#PBS -m n", "#PBS -m nope", "PBS refuses `-m nope`"),
        ("#PBS -j oe", "#PBS -l ncpus=1", "beside `-l select=`"),
        ("#PBS -r y", "#PBS -r n", "refuses `-r n` for an array"),
    ],
)
def test_what_pbs_would_refuse_is_refused_here_before_anything_starts(
    ready: Project, instead_of: str, line: str, words: str
) -> None:
    template = own_template(ready, instead_of=instead_of, line=line)
    planned(ready, template=template, setup=[SEE])
    refused = ready.run("submit", "runs/pbs", "--local", expect=1).stderr
    assert words in refused
    assert template in refused
    assert ready.events("runs/pbs") == []
    assert not list(ready.folder.glob("job.*"))


def test_a_range_that_pbs_would_refuse_is_refused_with_the_advice_of_a_real_refusal(
    ready: Project,
) -> None:
    template = own_template(ready, instead_of="-J {{ array }}", line="-J 0-0")
    planned(ready, template=template)
    refused = ready.run("submit", "runs/pbs", "--local", expect=1).stderr
    assert PbsDialect().explain("qsub: illegal -J value").advice in refused


def test_a_range_beyond_the_max_array_size_of_the_profile_is_refused(ready: Project) -> None:
    template = own_template(ready, instead_of="-J {{ array }}", line="-J 0-5")
    planned(ready, template=template, max_array_size=5)
    refused = ready.run("submit", "runs/pbs", "--local", expect=1).stderr
    assert "it has 6 tasks, and max_array_size is 5" in refused


def test_the_whole_task_is_told_when_its_walltime_is_over(ready: Project) -> None:
    waits = "until [ -e told ]; do read -t 0.05 < /dev/zero; done"
    lines = [
        "trap 'wait; exit 75' TERM",
        f"(trap 'touch told' TERM; echo $BASHPID > helper; {waits}) &",
        "while :; do wait; done",
        "started=$(date",
    ]
    template = own_template(ready, instead_of=lines[-1], line="\n".join(lines))
    planned(ready, slides_per_task=3, template=template, walltime="00:00:02")
    ready.run("submit", "runs/pbs", "--local", expect=None)
    text = (ready.folder / "runs/pbs/attempts/0001/journal.jsonl").read_text()
    events = [json.loads(line) for line in text.splitlines()]
    (end,) = [event for event in events if event["event"] == "slot_ended"]
    assert (end["exit_code"], end["ended_by"]) == (75, "timeout")
    told = next(ready.folder.rglob("told"))
    assert not running(int(told.with_name("helper").read_text()))
