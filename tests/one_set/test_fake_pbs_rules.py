"""The fake PBS refuses what a real one refuses, in its words and with its codes."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

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
        (["-l", "mem=1.5gb"], 166, "Illegal attribute or resource value Resource_List.mem"),
        (["-l", "walltime=1-00:00:00"], 166, "resource value Resource_List.walltime"),
        (["-q", "nowhere"], 170, "qsub: Unknown queue"),
        (["-N", "a b"], 2, "qsub: illegal -N value"),
        (["-N", "a:b"], 2, "qsub: illegal -N value"),
        (["-N", "a[1]"], 2, "qsub: illegal -N value"),
        (["-N", "a" * 236], 2, "qsub: Job name is too long"),
        (["-W", "depend=afterok:1[1]"], 2, "on subjob or range\nqsub: illegal -W value"),
        (["-l", "select=1:mem=1.5gb"], 166, "Illegal attribute or resource value select.mem"),
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


@pytest.mark.parametrize("text", ["5", "90:30", "48:00:00"])
def test_a_walltime_is_seconds_or_has_colons(pbs: FakePbs, text: str) -> None:
    assert submitted("-h", "-l", f"walltime={text}", script("exit 0")) == "0"


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
