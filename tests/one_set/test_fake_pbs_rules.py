"""The fake PBS refuses what a real one refuses, in its words and with its codes."""

from __future__ import annotations

import grp
import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from tests.one_set.typed import asked, run, script, submitted

if TYPE_CHECKING:
    from tests.fakes.pbs_bed import FakePbs


@pytest.mark.parametrize(
    "text",
    ["1-1", "5-5", "0-0", "1-1:2", "1", "5", "1,3,5", "1-3,5", "1,3-5", "1-3:0", "3-1", "-1-3"],
)
def test_what_is_no_range_of_several_is_refused_by_qsub_itself(pbs: FakePbs, text: str) -> None:
    refused = run("qsub", f"-J{text}", script("exit 0"))
    assert refused.returncode == 2
    assert refused.stderr.startswith("qsub: illegal -J value\nusage: ")
    assert submitted(script("exit 0")) == "0", "no id is lost"


@pytest.mark.parametrize(
    ("text", "count"),
    [("0-1", 2), ("0-9:2", 5), ("1-2:5", 1), ("7-8:2", 1), ("1-4%2", 4), ("0-9999", 10000)],
)
def test_a_range_of_several_is_accepted(pbs: FakePbs, text: str, count: int) -> None:
    array = submitted("-h", "-J", text, script("exit 0"))
    assert array == "0[]"
    assert len(pbs.jobs[array]["tasks"]) == count


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["-J", "0-10000"], 3, "qsub: Array job exceeds server or queue size limit"),
        (["-J", "0-3%x"], 166, "qsub: Error (15014) submitting job"),
        (["-l", "select=1:ncpus=1", "-l", "ncpus=1"], 5, 'cannot be used with "select"'),
        (["-l", "select=1:ncpus=1", "-l", "mem=1gb"], 5, "resource is: mem"),
        (["-l", "select=1:weather=fine"], 187, "qsub: Unknown resource: weather"),
        (["-l", "weather=fine"], 187, "qsub: Unknown resource Resource_List.weather"),
        (["-l", "ngpus=1"], 187, "qsub: Unknown resource Resource_List.ngpus"),
        (["-l", "select=1:ngpus=1"], 187, "qsub: Unknown resource: ngpus"),
        (["-l", "place=scatter"], 7, 'qsub: Cannot have "place" without "select"'),
        (["-l", "place=scatter", "-l", "ncpus=1"], 5, '"select" or "place", resource is: ncpus'),
        (["-W", "group_list=nosuch"], 197, "qsub: Bad GID for job execution"),
        (["-l", "mem=1.5gb"], 166, "Illegal attribute or resource value Resource_List.mem"),
        (["-l", "walltime=1-00:00:00"], 166, "resource value Resource_List.walltime"),
        (["-q", "nowhere"], 170, "qsub: Unknown queue"),
        (["-N", "a b"], 2, "qsub: illegal -N value"),
        (["-N", "a:b"], 2, "qsub: illegal -N value"),
        (["-N", "a[1]"], 2, "qsub: illegal -N value"),
        (["-N", "a" * 236], 2, "qsub: Job name is too long"),
        (["-W", "depend=afterok:1[1]"], 2, "on subjob or range\nqsub: illegal -W value"),
        (["-l", "select=1:mem=1.5gb"], 166, "Illegal attribute or resource value select.mem"),
        (["-W", "umask=abc"], 2, "qsub: illegal -W value"),
        (["-W", "depend=sometime:1"], 2, "qsub: illegal -W value"),
        (["-J", "0-1", "-r", "n"], 2, "cannot submit non-rerunable Array Job"),
        (["-t", "1-4"], 2, "invalid option -- 't'"),
        (["-v", "NOT_SET_HERE"], 1, "qsub: cannot send environment with the job"),
    ],
)
def test_what_a_server_refuses_is_refused_in_its_words(
    pbs: FakePbs, arguments: list[str], code: int, words: str
) -> None:
    refused = run("qsub", *arguments, script("exit 0"))
    assert (refused.returncode, refused.stdout) == (code, "")
    assert words in refused.stderr
    assert pbs.jobs == {}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("5", "00:00:05"),
        ("1.7", "00:00:02"),
        ("90:30", "01:30:30"),
        ("0:01:00", "00:01:00"),
        ("1:75:99", "02:16:39"),
        ("100:00:00", "100:00:00"),
    ],
)
def test_a_walltime_is_shown_as_hours_minutes_and_seconds(
    pbs: FakePbs, text: str, shown: str
) -> None:
    found = held("-l", f"walltime={text}")
    assert found["Resource_List"]["walltime"] == shown


def held(*options: str, text: str = "exit 0") -> dict[str, Any]:
    """What is told of a job that was accepted."""
    job_id = submitted("-h", *options, script(text))
    return asked(job_id)[f"{job_id}.pbshost"]


def test_gpus_are_accepted_where_the_site_defined_them(pbs: FakePbs) -> None:
    pbs.set(resources=["ngpus"])
    assert held("-l", "ngpus=1")["Resource_List"]["ngpus"] == 1
    assert held("-l", "select=1:ngpus=2")["Resource_List"]["ngpus"] == 2
    refused = run("qsub", "-l", "ngpus=a100", script("exit 0"))
    assert refused.returncode == 166


def test_a_group_is_one_of_the_submitter_s_or_of_the_site(pbs: FakePbs) -> None:
    mine = grp.getgrgid(os.getgid()).gr_name
    assert held("-W", f"group_list={mine}")["group_list"] == mine
    pbs.set(groups=["lab"])
    found = held("-W", "group_list=lab")
    assert (found["group_list"], found["egroup"]) == ("lab", "lab")


@pytest.mark.parametrize(
    ("umask", "shown"), [("0027", 27), ("27", 27), ("0077", 77), ("0", 0), ("0000", 0)]
)
def test_a_umask_is_shown_as_a_number(pbs: FakePbs, umask: str, shown: int) -> None:
    assert held("-W", f"umask={umask}")["umask"] == shown
    assert "umask" not in held()


def test_place_is_shown_as_it_was_asked_for(pbs: FakePbs) -> None:
    asked_for = ("-l", "select=1", "-l", "place=scatter:excl")
    assert held(*asked_for)["Resource_List"]["place"] == "scatter:excl"
    assert held("-l", "select=1")["Resource_List"]["place"] == "free"
    assert held()["Resource_List"]["place"] == "pack"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("-l walltime=0:01:00 # why", "qsub: directive error: -l walltime=0:01:00 # why \n"),
        ("-N a b", "qsub: directive error: -N a b \n"),
        ("-t 1-4", "qsub: invalid option -- 't'\nqsub: directive error: -t 1-4 \n"),
        ("-N 'a b", "qsub: unmatched  \n"),
    ],
)
def test_a_directive_with_more_than_options_is_refused(pbs: FakePbs, line: str, words: str) -> None:
    refused = run("qsub", script(f"#PBS {line}\nexit 0"))
    assert (refused.returncode, refused.stdout, refused.stderr) == (1, "", words)
    assert submitted(script("exit 0")) == "0", "no id is lost"


@pytest.mark.parametrize(
    ("before", "is_read"),
    [
        ("", True),
        (":", True),
        (": nothing", True),
        ("  # a remark", True),
        (" :", False),
        ("exec true", False),
    ],
)
def test_directives_are_read_up_to_the_first_command(
    pbs: FakePbs, before: str, *, is_read: bool
) -> None:
    found = held(text=f"#PBS -N first\n\n{before}\n  #PBS -A late\nexit 0\n#PBS -A later")
    assert found["Job_Name"] == "first"
    assert found.get("Account_Name") == ("late" if is_read else None)


@pytest.mark.parametrize("name", ["0123", "1num", "a-b_c+d.e"])
def test_a_name_may_begin_with_a_digit(pbs: FakePbs, name: str) -> None:
    job_id = submitted("-h", "-N", name, script("exit 0"))
    assert asked(job_id)[f"{job_id}.pbshost"]["Job_Name"] == name


def test_the_command_line_counts_more_than_the_script(pbs: FakePbs) -> None:
    text = "#PBS -N inside -q nowhere\n\n# a remark\n#PBS -l walltime=1:00\nexit 0\n#PBS -J 0-3"
    job_id = submitted("-h", "-N", "outside", "-q", "workq", script(text))
    job = pbs.jobs[job_id]
    assert (job["name"], job["queue"], job["array"]) == ("outside", "workq", False)
    assert job["resources"] == {"walltime": "1:00"}


def test_a_script_that_is_not_there_is_refused(pbs: FakePbs) -> None:
    refused = run("qsub", "nothing.sh")
    assert (refused.returncode, refused.stderr) == (
        1,
        "qsub: script file:: No such file or directory\n",
    )


def test_several_ids_in_one_question_give_the_first_known_job_only(pbs: FakePbs) -> None:
    first, second = (submitted("-h", script("exit 0")) for _ in range(2))
    done = run("qstat", "-x", "-f", "-F", "json", "77", first, second)
    assert list(json.loads(done.stdout)["Jobs"]) == [f"{first}.pbshost"]
    assert (done.returncode, done.stderr) == (153, "qstat: Unknown Job Id 77.pbshost\n")
    everything = run("qstat", "-x", "-f", "-F", "json").stdout
    assert len(json.loads(everything)["Jobs"]) == 2


def test_what_has_finished_is_told_only_with_x(pbs: FakePbs) -> None:
    job_id = submitted(script("exit 0"))
    pbs.wait_for_end()
    done = run("qstat", "-f", "-F", "json", job_id)
    assert done.returncode == 35
    assert "0.pbshost Job has finished, use -x or -H" in done.stderr
    assert "Jobs" not in json.loads(done.stdout)
    assert run("qselect", "-N", "j.sh").stdout == ""
    assert run("qselect", "-x", "-N", "j.sh").stdout == "0.pbshost\n"
    assert run("qdel", job_id).returncode == 35


def test_an_array_needs_its_brackets(pbs: FakePbs) -> None:
    submitted("-h", "-J", "0-2", script("exit 0"))
    assert run("qstat", "0").returncode == 153
    assert list(asked("0[]", "-J")) == ["0[].pbshost", *(f"0[{k}].pbshost" for k in range(3))]
    assert list(asked("0[1-2]")) == ["0[1].pbshost", "0[2].pbshost"]
    assert run("qdel", "0[7]").returncode == 156
    assert run("qdel", "0[1,2]").returncode == 1
    assert run("qdel", "0[1]").returncode == 0
    assert run("qdel", "0[1]").returncode == 55


def test_the_t_of_qselect_is_a_time_and_subjobs_come_with_a_capital_t(pbs: FakePbs) -> None:
    pbs.is_busy()
    array = submitted("-J", "0-1", script("exit 0"))
    refused = run("qselect", "-t", "-N", "j.sh")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("qselect: illegal -t value\nusage: qselect ")
    assert run("qselect", "-N", "j.sh").stdout == f"{array}.pbshost\n"
    assert run("qselect", "-T", "-N", "j.sh").stdout == "0[0].pbshost\n0[1].pbshost\n"


def test_qselect_h_names_jobs_with_exactly_these_holds(pbs: FakePbs) -> None:
    array = submitted("-h", "-J", "0-1", script("exit 0"))
    behind = ("-W", f"depend=afterany:{array}")
    both, dependent = submitted("-h", *behind, script("exit 0")), submitted(*behind, script("x"))
    assert run("qselect", "-h", "u").stdout == f"{array}.pbshost\n"
    assert run("qselect", "-h", "s").stdout == f"{dependent}.pbshost\n"
    for holds in ("su", "us"):
        assert run("qselect", "-h", holds).stdout == f"{both}.pbshost\n"


def test_a_json_answer_needs_f(pbs: FakePbs) -> None:
    refused = run("qstat", "-F", "json")
    assert refused.returncode == 2
    assert refused.stderr.startswith("qstat: conflicting options.\nusage: ")


def test_the_json_retypes_values_and_lets_raw_bytes_through(
    pbs: FakePbs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environb, b"RAW", b"\xff")
    job_id = submitted("-h", "-v", "RAW,SEVEN=007,TRUE=true,NOTHING=null", script("exit 0"))
    answer = subprocess.run(["qstat", "-f", "-F", "json", job_id], capture_output=True, check=True)
    with pytest.raises(UnicodeDecodeError):
        answer.stdout.decode()
    text = answer.stdout.decode(errors="replace")
    variables = json.loads(text)["Jobs"]["0.pbshost"]["Variable_List"]
    assert (variables["SEVEN"], variables["TRUE"], variables["NOTHING"]) == (7, True, None)
