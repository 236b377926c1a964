"""The fake PBS keeps the rules of a real one: its refusals, its states, its keys, and its lies."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.one_set.typed import Answer, asked, run, script, submitted
from tests.support import wait_for

if TYPE_CHECKING:
    from tests.fakes.pbs_bed import FakePbs

RECORDED = Path(__file__).parents[1] / "schedulers/openpbs_json"
#: What these recordings have because of who submitted, and how: no rule of PBS.
OF_THE_SITE = {"PBS_O_MAIL", "schedselect", "max_run_subjobs"}
#: Absent in some recordings of the same case: the server writes it a moment later, or not at all.
NOW_AND_THEN = {"session_id", "etime", "Submit_Host", "project"}
FOR_OPERATORS = {"euser", "egroup", "hashname", "queue_rank", "queue_type", "run_version"}


def recorded(name: str) -> Answer:
    found: Answer = json.loads((RECORDED / f"{name}.json").read_text())["Jobs"]
    return found


def looks(job: dict[str, Any]) -> dict[str, Any]:
    """What is compared of a job: its keys, and what tells how it is."""
    told = {key: job.get(key) for key in ("job_state", "substate", "Exit_status", "run_count")}
    return {**told, "keys": job.keys() - OF_THE_SITE - NOW_AND_THEN}


def test_an_array_that_runs_has_a_parent_and_subjobs_like_a_real_one(pbs: FakePbs) -> None:
    pbs.set(ncpus=8)
    waits = 'until [ -e "$PBS_O_WORKDIR/go$PBS_ARRAY_INDEX" ]; do sleep 0.05; done'
    codes = f'[ "$PBS_ARRAY_INDEX" = 2 ] && exit 5; {waits}'
    resources = ("-l", "select=1:ncpus=1:mem=100mb", "-l", "walltime=00:01:00")
    array = submitted("-J", "1-6%3", *resources, "-o", "out/", "-e", "out/", script(codes))
    behind = submitted("-W", f"depend=afterany:{array}", script("exit 0"))
    wait_for(lambda: "201[2]" in _named(array, "X"), "the second one to end first")
    Path("go1").touch()
    wait_for(lambda: len(_named(array, "R")) == 3 and len(_named(array, "X")) == 2, "three to run")
    _same(asked(array), recorded("array_running_with_queued"), "201", array)
    _same(asked(array, "-E"), recorded("array_running_with_queued"), "201", array)
    assert asked(behind)[f"{behind}.pbshost"]["job_state"] == "H"

    assert run("qdel", array.replace("[]", "[6]")).returncode == 0
    _same(asked(array), recorded("array_queued_subjob_deleted"), "201", array)

    assert run("qdel", array.replace("[]", "[3]")).returncode == 0
    wait_for(lambda: "201[3]" in _named(array, "X"), "the deleted one to end")
    for index in (4, 5):
        Path(f"go{index}").touch()
    pbs.wait_for_end()
    _same(asked(array), recorded("array_finished_mixed"), "201", array)
    assert asked(behind)[f"{behind}.pbshost"]["Exit_status"] == 0, "afterany always runs"


def _named(array: str, letter: str) -> list[str]:
    """Subjobs in a state, as the recordings name them."""
    return [name.replace(array[:-2] + "[", "201[")[:6] for name in _states(array, letter)]


def _states(array: str, letter: str) -> list[str]:
    return [name for name, job in asked(array).items() if job["job_state"] == letter]


def _same(found: Answer, expected: Answer, number: str, array: str) -> None:
    mine = {name.replace(array[:-2] + "[", f"{number}["): looks(job) for name, job in found.items()}
    assert mine == {name: looks(job) for name, job in expected.items()}


def test_a_parent_shows_the_end_of_the_subjob_that_ended_last(pbs: FakePbs) -> None:
    pbs.set(ncpus=1)
    array = submitted("-J", "1-3", script('exit "$((PBS_ARRAY_INDEX == 2 ? 5 : 0))"'))
    pbs.wait_for_end()
    parent, *subjobs = asked(array).values()
    assert (parent["Exit_status"], parent["substate"]) == (0, 93)
    assert [each["Exit_status"] for each in subjobs] == [0, 5, 0]
    assert [each["substate"] for each in subjobs] == [92, 93, 92]
    # This recording was asked for by a user without privileges.
    found = {name: _without(job, FOR_OPERATORS) for name, job in asked(array).items()}
    _same(found, recorded("array_finished_0_5_0"), "175", array)


def _without(job: dict[str, Any], keys: set[str]) -> dict[str, Any]:
    return {key: value for key, value in job.items() if key not in keys}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("array_held", ["-h", "-J", "1-2"]),
        ("dependent_waiting", ["-W", "depend=afterany:0"]),
        ("can_never_run", ["-l", "select=1:ncpus=99"]),
    ],
)
def test_a_job_that_waits_looks_like_a_real_one(
    pbs: FakePbs, name: str, arguments: list[str]
) -> None:
    submitted("-h", script("exit 0"))  # job 0
    job_id = submitted(*arguments, script("exit 0"))
    found = asked(job_id)[f"{job_id}.pbshost"]
    (expected,) = recorded(name).values()
    assert looks(found) == looks(expected)
    assert found["Hold_Types"] == expected["Hold_Types"]
    assert found.get("comment") == expected.get("comment")


def test_a_job_beyond_its_walltime_is_ended_with_the_real_code(pbs: FakePbs) -> None:
    job_id = submitted("-l", "walltime=00:00:01", "-e", "errors", script("sleep 60"))
    pbs.wait_for_end()
    (found,) = asked(job_id).values()
    (expected,) = recorded("walltime_killed").values()
    assert looks(found) == looks(expected)
    assert found["comment"].endswith("exceeded resource walltime")
    assert "=>> PBS: job killed: walltime" in Path("errors").read_text()


def test_a_running_job_looks_like_a_real_one(pbs: FakePbs) -> None:
    first = submitted("-h", script("exit 0"))
    job_id = submitted("-W", f"depend=afterany:{first}", script("sleep 60"))
    assert run("qdel", first).returncode == 0, "also when the other never ran"
    wait_for(lambda: _states(job_id, "R"), "it to run")
    (found,) = asked(job_id).values()
    (expected,) = recorded("dependent_running").values()
    assert looks(found) == looks(expected)


def test_a_job_has_the_environment_of_pbs_and_nothing_else(
    pbs: FakePbs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "1")
    monkeypatch.setenv("NAMED", "a,b")
    text = (
        "#PBS -j oe\n#PBS -o out.^array_index^\n#PBS -l ncpus=2\nenv; pwd; umask; exec >/dev/null"
    )
    array = submitted("-J", "0-1", "-v", "NAMED,OTHER=x y", script(text))
    pbs.wait_for_end()
    assert Path("out.1").stat().st_mode & 0o777 == 0o600
    lines = Path("out.1").read_text().splitlines()
    assert lines[-2:] == [str(pbs.home), "0077"]
    assert not any(line.startswith("SECRET") for line in lines)
    for line in (
        "NAMED=a,b",
        "OTHER=x y",
        "PBS_ARRAY_INDEX=1",
        f"PBS_ARRAY_ID={array}.pbshost",
        "PBS_JOBID=0[1].pbshost",
        "PBS_ENVIRONMENT=PBS_BATCH",
        "PBS_JOBNAME=j.sh",
        f"PBS_O_WORKDIR={Path.cwd()}",
        "NCPUS=2",
        "OMP_NUM_THREADS=2",
    ):
        assert line in lines, line


def test_a_job_has_the_umask_it_was_submitted_with_w(pbs: FakePbs) -> None:
    submitted("-W", "umask=0027", "-o", "out", script('touch "$PBS_O_WORKDIR/made"; umask'))
    pbs.wait_for_end()
    assert Path("made").stat().st_mode & 0o777 == 0o640
    assert Path("out").read_text() == "0027\n"


def test_output_is_where_pbs_puts_it(pbs: FakePbs) -> None:
    Path("dir").mkdir()
    submitted("-N", "n", script("echo out; echo err >&2"))
    submitted("-N", "n", "-J", "0-1", "-j", "oe", "-o", "dir/", script("echo out; echo err >&2"))
    lost = submitted("-o", "nowhere/out", "-e", "/dev/null", script("echo out"))
    pbs.wait_for_end()
    assert Path("n.o0").read_text() == "out\n"
    assert Path("n.e0").read_text() == "err\n"
    assert Path("dir/1[1].pbshost.OU").read_text() == "out\nerr\n"
    assert asked(lost)[f"{lost}.pbshost"]["Exit_status"] == 0, "nobody tells of lost output"


def test_a_held_array_runs_once_it_is_released_and_what_is_behind_it_then(pbs: FakePbs) -> None:
    array = submitted("-h", "-J", "0-1", script('touch "$PBS_O_WORKDIR/a$PBS_ARRAY_INDEX"'))
    text = 'ls "$PBS_O_WORKDIR" >"$PBS_O_WORKDIR/seen"'
    behind = submitted("-W", f"depend=afterany:{array}.pbshost", script(text))
    assert sorted(run("qselect").stdout.split()) == [f"{array}.pbshost", f"{behind}.pbshost"]
    assert run("qrls", array).returncode == 0
    pbs.wait_for_end()
    assert {"a0", "a1"} <= set(Path("seen").read_text().split())
    late = run("qrls", array)
    assert (late.returncode, late.stderr) == (35, "qrls: Job has finished\n")
    assert run("qrls", "77").returncode == 153


def test_one_that_is_held_and_behind_others_has_both_holds_and_one_list(pbs: FakePbs) -> None:
    array = submitted("-h", "-J", "0-1", script("exit 0"))
    plain = submitted("-h", script("exit 0"))
    both = submitted("-h", "-W", f"depend=afterany:{array}:{plain}", script("exit 0"))
    last = submitted("-W", f"depend=afterany:{array},afterok:{both}", script("exit 0"))

    def told(job_id: str) -> tuple[Any, ...]:
        found = asked(job_id)[f"{job_id}.pbshost"]
        return tuple(found.get(key) for key in ("job_state", "substate", "Hold_Types", "depend"))

    waits = f"afterany:{array}.pbshost@pbshost:{plain}.pbshost@pbshost"
    assert told(both) == ("H", 22, "su", f"{waits},beforeok:{last}.pbshost@pbshost")
    assert told(plain) == ("H", 20, "u", f"beforeany:{both}.pbshost@pbshost")
    behind = f"beforeany:{both}.pbshost@pbshost:{last}.pbshost@pbshost"
    assert told(array) == ("H", 20, "u", behind)
    run("qrls", both)
    assert told(both)[:3] == ("H", 22, "s")


def test_one_that_is_still_held_when_the_others_have_ended_keeps_its_substate(
    pbs: FakePbs,
) -> None:
    plain = submitted("-h", script("exit 0"))
    both = submitted("-h", "-W", f"depend=afterany:{plain}", script("exit 0"))
    run("qdel", plain)
    found = asked(both)[f"{both}.pbshost"]
    assert (found["substate"], found["Hold_Types"], found.get("depend")) == (22, "u", None)
    late = submitted("-h", "-W", f"depend=afterany:{plain}", script("exit 0"))
    assert asked(late)[f"{late}.pbshost"]["substate"] == 20


def test_afterok_looks_at_the_subjob_that_ended_last_alone(pbs: FakePbs) -> None:
    pbs.set(ncpus=1)
    array = submitted("-h", "-J", "1-3", script('exit "$((PBS_ARRAY_INDEX == 2 ? 5 : 0))"'))
    well = submitted("-W", f"depend=afterok:{array}", script("exit 0"))
    badly = submitted("-W", f"depend=afternotok:{array}", script("exit 0"))
    run("qrls", array)
    pbs.wait_for_end()
    assert "Exit_status" in asked(well)[f"{well}.pbshost"]
    dropped = asked(badly)[f"{badly}.pbshost"]
    assert (dropped["job_state"], dropped["substate"]) == ("F", 92)
    assert not dropped.keys() & {"Exit_status", "stime", "run_count"}
    assert "depend" in dropped


def test_a_job_behind_one_that_nobody_knows_is_accepted_and_dropped(pbs: FakePbs) -> None:
    job_id = submitted("-W", "depend=afterany:4711[]", script("exit 0"))
    assert asked(job_id)[f"{job_id}.pbshost"]["job_state"] == "F"


def test_without_history_what_has_ended_is_forgotten(pbs: FakePbs) -> None:
    pbs.forgets()
    text = 'until [ -e "$PBS_O_WORKDIR/go" ]; do sleep 0.05; done'
    array = submitted("-J", "0-1", script(f'[ "$PBS_ARRAY_INDEX" = 0 ] || {{ {text}; }}'))
    behind = submitted("-W", f"depend=afterany:{array}", "-o", "out", script("echo ran"))
    in_the_middle = ("qstat", "-t", "-f", "-F", "json", array)
    wait_for(lambda: '"X"' in run(*in_the_middle).stdout, "one to end, the parent still there")
    Path("go").touch()
    pbs.wait_for_end()
    assert run(*in_the_middle).returncode == 153
    with_x = run("qstat", "-x", "-f", "-F", "json", array)
    assert with_x.returncode == 0
    assert "PBS is not configured to maintain job history" in with_x.stderr
    assert "Jobs" not in json.loads(with_x.stdout)
    assert run("qselect", "-x", "-N", "j.sh").stdout == ""
    assert Path("out").read_text() == "ran\n", behind


LOOPING = """\
trap 'echo term >>"$PBS_O_WORKDIR/{0}"' TERM
while :; do date +%s >>"$PBS_O_WORKDIR/{0}.beats"; sleep 0.2; done
"""


def test_term_reaches_every_process_of_a_job_and_kill_those_that_stay(pbs: FakePbs) -> None:
    looping = script(LOOPING.format("child"), "child.sh")
    job_id = submitted(script(f"bash {looping.absolute()} & touch $PBS_O_WORKDIR/up; wait"))
    wait_for(Path("child.beats").exists, "the child to begin")
    assert run("qdel", job_id).returncode == 0
    pbs.wait_for_end()
    assert Path("child").read_text() == "term\n"
    (found,) = asked(job_id).values()
    assert (found["Exit_status"], found["substate"]) == (271, 91)
    assert not _lives(looping)


def _lives(path: Path) -> bool:
    return str(path) in run("ps", "-eo", "args").stdout


def test_kill_comes_eight_seconds_after_term(pbs: FakePbs) -> None:
    pbs.set(kill_delay_s=8.0)
    looping = script(LOOPING.format("child"), "child.sh")
    job_id = submitted("-l", "walltime=1", script(f"bash {looping.absolute()}"))
    wait_for(Path("child").exists, "TERM")
    termed = time.time()
    pbs.wait_for_end()
    last = int(Path("child.beats").read_text().split()[-1])
    assert last - termed > 5, "it still worked, seconds after TERM"
    assert asked(job_id)[f"{job_id}.pbshost"]["Exit_status"] == -29


@pytest.mark.parametrize("code", [-27, -26, -29])
def test_pbs_ends_a_task_on_demand_with_a_code_of_its_own(pbs: FakePbs, code: int) -> None:
    array = submitted("-J", "0-1", script("[ $PBS_ARRAY_INDEX = 0 ] || sleep 60"))
    wait_for(lambda: f"{array[:-2]}[1]" in str(_states(array, "R")), "it to run")
    pbs.strikes(array, 1, code)
    pbs.wait_for_end()
    _, sound, struck = asked(array).values()
    assert (sound["substate"], struck["substate"]) == (92, 93)
    assert struck["Exit_status"] == code
    assert "exceeded resource" in struck["comment"]


def test_a_shell_that_is_killed_ends_with_256_and_the_signal(pbs: FakePbs) -> None:
    job_id = submitted(script("kill -KILL $PPID; sleep 60"))
    pbs.wait_for_end()
    assert asked(job_id)[f"{job_id}.pbshost"]["Exit_status"] == 265


@pytest.mark.parametrize(
    ("shell", "why"), [("/nosuch", "No such file or directory"), ("/dev/null", "Permission denied")]
)
def test_a_shell_that_cannot_be_run_ends_the_task_with_254(
    pbs: FakePbs, shell: str, why: str
) -> None:
    job_id = submitted("-S", shell, "-j", "oe", "-o", "out", script("exit 0"))
    array = submitted("-S", shell, "-J", "0-1", "-o", "/dev/null", script("exit 0"))
    pbs.wait_for_end()
    parent, *subjobs = asked(array).values()
    for found in (asked(job_id)[f"{job_id}.pbshost"], *subjobs):
        assert (found["job_state"], found["substate"]) == ("F", 93)
        assert (found["Exit_status"], found["run_count"]) == (254, 1)
        assert found["comment"].endswith(" and failed")
    assert parent["Exit_status"] == 1
    assert Path("out").read_text() == f"pbs_mom, exec of {shell} failed with error: {why}\n"


def test_memory_beyond_what_was_asked_for_ends_a_task_where_the_site_says_so(pbs: FakePbs) -> None:
    pbs.set(enforces_memory=True)
    text = "exec python3 -c 'import time; x = bytearray(200 << 20); time.sleep(60)'"
    job_id = submitted("-l", "select=1:ncpus=1:mem=100mb", script(text))
    pbs.wait_for_end()
    assert asked(job_id)[f"{job_id}.pbshost"]["Exit_status"] == -27


def test_a_rerun_counts(pbs: FakePbs) -> None:
    text = 'cd "$PBS_O_WORKDIR"; [ -e first ] || { touch first; sleep 60; }'
    job_id = submitted(script(text))
    wait_for(Path("first").exists, "the first execution")
    pbs.reruns(job_id)
    pbs.wait_for_end()
    (found,) = asked(job_id).values()
    assert (found["run_count"], found["Exit_status"]) == (2, 0)


def test_server_and_queues_have_the_keys_of_real_ones(pbs: FakePbs) -> None:
    for option, kind, name in (("-B", "Server", "server"), ("-Q", "Queue", "queues")):
        found = json.loads(run("qstat", option, "-f", "-F", "json").stdout)[kind]
        expected = json.loads((RECORDED / f"{name}.json").read_text())[kind]
        assert found.keys() == expected.keys()
        for each in found:
            assert found[each].keys() <= expected[each].keys()
    assert found["workq"]["enabled"] == "True"


def test_a_submission_and_its_job_share_no_descriptor(pbs: FakePbs) -> None:
    # A lock that qsub holds for its caller must not be held by the job as well.
    reading, writing = os.pipe()
    subprocess.run(["qsub", script("sleep 60")], pass_fds=(writing,), check=True)
    os.close(writing)
    os.set_blocking(reading, False)
    assert os.read(reading, 1) == b"", "nobody has the other end any more"
    os.close(reading)
