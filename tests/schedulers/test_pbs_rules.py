"""A script that PBS would refuse, or take and never run, is refused here, with what to change."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidearray.errors import RunError
from slidearray.schedulers.pbs_rules import check_script, refused_range

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("pbs_*.sh"))


def script(*lines: str) -> str:
    return "\n".join(["#!/bin/bash -l", *(f"#PBS {line}" for line in lines), "", "exec true"])


def faults(*lines: str) -> str:
    try:
        check_script(script(*lines), source="job.sh")
    except RunError as error:
        return str(error)
    return ""


#: As qsub of OpenPBS 23.06.06 took and refused them.
TAKEN = ("0-1", "0-9:2", "1-2:5", "7-8:2", "1-4%2", "1-10000", "0-9999")
REFUSED = (
    "1-1", "5-5", "0-0", "1-1:2", "1", "5", "1,3,5", "1-3,5", "1,3-5", "1-3:0", "3-1", "-1-3",
    "1-4%x", "1-4%", "1-4%0", "0-0%1",
)  # fmt: skip


@pytest.mark.parametrize("text", TAKEN)
def test_a_range_that_qsub_takes_is_taken(text: str) -> None:
    assert refused_range(text) == ""
    assert faults(f"-J {text}") == ""


@pytest.mark.parametrize("text", REFUSED)
def test_a_range_that_qsub_refuses_or_never_runs_is_refused(text: str) -> None:
    assert refused_range(text)
    assert "job.sh: line 2: PBS refuses `-J" in faults(f"-J {text}")


@pytest.mark.parametrize(
    ("text", "most", "refused"),
    [
        ("0-9999", 10000, False),
        ("1-10000", 10000, False),  # it is the number of tasks that counts, not the index
        ("0-10000", 10000, True),
        ("0-19:2", 10, False),
        ("0-20:2", 10, True),
        ("0-20:2%5", 11, False),
    ],
)
def test_an_array_has_at_most_as_many_tasks_as_the_server_allows(
    text: str, most: int, *, refused: bool
) -> None:
    assert ("max_array_size" in refused_range(text, max_array_size=most)) is refused


def test_a_step_that_the_server_cannot_count_is_refused() -> None:
    assert "counts to" in refused_range(f"0-1:{2**31}")


@given(count=st.integers(2, 10000), throttle=st.none() | st.integers(1, 500))
def test_every_dense_range_of_two_or_more_is_taken(count: int, throttle: int | None) -> None:
    text = f"0-{count - 1}" + (f"%{throttle}" if throttle else "")
    assert refused_range(text, max_array_size=10000) == ""


@given(st.text(alphabet="0123456789-:%,", max_size=12))
def test_what_is_taken_has_the_form_that_qsub_reads(text: str) -> None:
    if refused_range(text):
        return
    span, _, throttle = text.partition("%")
    bounds, _, step = span.partition(":")
    first, last = map(int, bounds.split("-"))
    assert 0 <= first < last
    assert step == "" or int(step) > 0
    assert "%" not in text or int(throttle) > 0


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        (["-l select=1:ncpus=2:mem=1gb", "-l ncpus=2"], "`-l ncpus=` beside `-l select=`"),
        (["-l select=1:ncpus=2", "-l mem=1gb,walltime=1:00:00"], "`-l mem=` beside"),
        (["-l nodes=1:ppn=1", "-l select=1"], "`-l nodes=` beside"),
        (["-l place=scatter"], "`-l place=` without"),
        (["-l walltime=1-00:00:00"], "`walltime=1-00:00:00`"),
        (["-l select=1:ncpus=1:mem=1.5gb"], "`mem=1.5gb`"),
        (["-l mem=1.5gb"], "`mem=1.5gb`"),
        (["-J 0-3", "-r n"], "`-r n` for an array"),
        (["-J 0-3", "-r n", "-r y"], "`-r n` for an array"),
        (["-r n", "-J 0-3"], "`-r n` for an array"),
        (["-J 0-3", "-l min_walltime=10,walltime=20"], "`-l min_walltime=` for an array"),
        (["-J 0-3%2", "-W max_run_subjobs=2"], "max_run_subjobs beside"),
        (["-J 0-3%2", "-J 0-3%2"], "max_run_subjobs beside"),
        (["-W max_run_subjobs=2"], "max_run_subjobs without `-J`"),
        (["-m abej", "-J 0-3"], "`-m abej` before `-J`"),
        (["-N a b"], "b is no option"),
        (["-N a:b"], "a name has"),
        ([f"-N {'a' * 231}"], "a name has"),
        (["-q gpu@other"], "another server"),
        (["-t 1-4"], "-t is no option"),
        (["-l walltime=1:00:00 # an hour"], "# is no option"),
        (["-J"], "-J wants a value"),
        (['-o "a'], "No closing quotation"),
        (['-o "/a\\"b"'], "No closing quotation"),  # no escape between quotes
        (["-G x"], "-G is no option"),
        (["-g x"], "-g is no option"),
        (["-ht 3"], "-t is no option"),
        (["-h x"], "x is no option"),
        (["-- ls"], "-- is no option"),
        (["-r x"], "`-r x`: it takes y or n"),
        (["-r Y"], "y or n"),
        (["-p 2000"], "`-p 2000`: it takes -1024 to 1023"),
        (["-p -1025"], "-1024 to 1023"),
        (["-p 5x"], "-1024 to 1023"),
        (["-j xx"], "`-j xx`: it takes oe, eo or n"),
        (["-k zz"], "`-k zz`: it takes n, or"),
        (["-k d"], "`-k d`"),
        (["-k on"], "`-k on`"),
        (["-m nope"], "`-m nope`: it takes n, or letters"),
        (["-m nope", "-m n"], "`-m nope`"),  # each is looked at, not the last alone
        (["-m j"], "`-m j`"),
        (["-c u"], "`-c u`"),
        (["-R x"], "`-R x`"),
        (["-S bash"], "whole path"),
        (["-P a/b"], "a name without"),
        (["-I"], "nobody sits"),
        (["-X"], "no DISPLAY"),
        (["-W block=true"], "`-W block=true`: qsub would not return"),
        (["-W umask=22,block=True"], "would not return"),
        (["-W 'block = true'"], "would not return"),
        (["-W Block=false"], "`-W Block=false`"),
        (["-W interactive=true"], "nobody sits"),
        (["-W umask"], "write it as name=value"),
        (["-W umask=22,"], "write it as name=value"),
        (["-l nodes=1:ppn=1", "-l place=scatter"], "`-l nodes=` beside `-l place=`"),
        (["-l NODES=1", "-l select=1"], "`-l nodes=` beside `-l select=`"),
        (["-l select=1:ncpus=1", "-l NCPUS=1"], "`-l ncpus=` beside `-l select=`"),
        (["-l SELECT=1:ncpus=1", "-l host=n1"], "`-l host=` beside"),
        (["-l PLACE=pack"], "`-l place=` without"),
        (["-l WALLTIME=1-0"], "`walltime=1-0`"),
        (["-l walltime=1:00:00 -l WALLTIME=1-0"], "`walltime=1-0`"),
        (["-l cput=1-0"], "`cput=1-0`"),
        (["-l vmem=1.5gb"], "`vmem=1.5gb`"),
        (["-l select=1:accelerator_memory=1.5gb"], "`accelerator_memory=1.5gb`"),
        (["-l ncpus=1.5"], "`ncpus=1.5`"),
        (["-l nodect=1"], "`-l nodect=`; it counts"),
        (["-l walltime=10,"], "NAME=VALUE"),
        (["-l =1"], "NAME=VALUE"),
        (["-l select=1:ncpus=1 -l place=foo"], "`place=foo`"),
        (["-l select=1:ncpus=1:ncpus=2"], "`ncpus=` twice in one chunk"),
        (["-l select=1:host=a+1:mem=1gb:mem=2gb"], "`mem=` twice"),
        (["-l select=1:ncpus=1:walltime=10"], "`walltime=` in a chunk"),
        (["-l select=1:ncpus=1:Software=x"], "`Software=` in a chunk"),
        (["-l select=0:ncpus=1"], "no chunk"),
        (["-l select=0:"], "a chunk is"),
        (["-l select=1:ncpus"], "a chunk is"),
        (["-l select=1:ncpus="], "a chunk is"),
        (["-l select=1:ncpus=1+"], "a chunk is"),
        (["-l select=x"], "a chunk is"),
        (["-l select=1:ncpus=abc"], "`ncpus=abc`"),
    ],
)
def test_what_qsub_refuses_is_named_with_its_line(lines: list[str], named: str) -> None:
    told = faults("-S /bin/bash", *lines)
    assert named in told
    assert "job.sh: line " in told


@pytest.mark.parametrize(
    "lines",
    [
        ["-l select=1:ncpus=8:mem=32768mb:ngpus=1:gpu_type=a100", "-l walltime=100:00:00"],
        ["-l ncpus=8", "-l mem=32gb", "-l walltime=90:30", "-l filesystems=home:eagle"],
        ["-l nodes=1:ppn=1", "-l walltime=5"],
        ["-l select=1 -l place=scatter"],
        ["-W umask=0027 -W group_list=lab", "-m n", "-j oe", "-o /dev/null", "-r y", "-J0-3"],
        ["-o '/a folder/x'", "-N 0123", "-N 1num"],
        ["-J 0-3%2", "-J 0-5"],
        ["-W max_run_subjobs=2", "-J 0-3", "-m abej"],
        ["-r n", "-r y", "-J 0-3"],
        ["-r n", "-p -1024", "-p 1023", "-p +5", "-m abe", "-k oed", "-k dn", "-j eo", "-R oe"],
        ["-c n", "-c c=5", "-S /bin/bash", "-S /bin/bash@host,/bin/sh", "-P ab-1_x.y"],
        ["-W block=false,umask=22", "-W interactive=False", "-W depend=afterok:1,afterok:2"],
        ["-W umask=22 -W 'sandbox=PRIVATE, group_list=lab'"],
        ["-hN abc", "-fhl walltime=10", "-hz", "-A ''", "-V", '-v A=1,B="x y"'],
        ["-l walltime=1:00:00", "-l walltime=1-0"],  # the first stands, and no other is read
        ["-l walltime=1:00:00.5,cput=90", "-l walltime=5", "-l mem=10", "-l pmem=1GB"],
        ["-l min_walltime=10", "-l max_walltime=20"],
        ["-l ncpus=1", "-l host=n1", "-l arch=linux", "-l mpiprocs=1", "-l vmem=1gb"],
        ["-l nodes=1:ppn=1", "-l ncpus=1", "-l software=x"],
        ["-l select=0:ncpus=1+1:ncpus=1", "-l place=scatter:excl:group=rack"],
        ["-l select=1:NCPUS=1:ncpus=2"],  # names of a chunk are compared as they are written
        ["-l Select=ncpus=1:mem=1gb+2", "-l place=PACK", "-l software=x", "-l file=1gb"],
        ["-l select=1:ncpus=1:mpiprocs=1:ompthreads=1:host=n1:a100=True"],
        ["-l 'select=1:ncpus=1:model=\"a,mem=x\"'"],
    ],
)
def test_what_qsub_takes_is_taken(lines: list[str]) -> None:
    assert faults(*lines) == ""


def test_all_faults_are_told_at_once() -> None:
    assert len(faults("-J 0-0", "-l place=pack", "-q a@b").splitlines()) == 3


def test_lines_behind_the_first_command_are_not_read_as_qsub_does_not_read_them() -> None:
    text = "#!/bin/bash\n\n# a comment\n:\n  #PBS -l walltime=60\nexec true\n#PBS -J 0-0\n"
    check_script(text, source="job.sh")
    with pytest.raises(RunError, match="line 5"):
        check_script(text.replace("walltime=60", "walltime=1-0"), source="job.sh")


@pytest.mark.parametrize(
    "lines",
    [
        "#PBS -l select=1:ncpus=1 \\\n  -l walltime=1:00:00",
        "#PBS -l select=1:ncpus=1 \\ \t\n -l walltime=60 \\\n -N abc",
        "#PBS -l wall\\\ntime=10",
        "#PBS -l walltime=10 \\\n",
        "#PBS \\\n-J 0-3",
    ],
)
def test_a_directive_may_go_on_in_the_next_line(lines: str) -> None:
    check_script(f"#!/bin/bash\n{lines}\nexec true\n", source="job.sh")


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ("#PBS -l ncpus=1 \\\n -l walltime=1-0", "line 2: PBS refuses `walltime=1-0`"),
        ("#PBS -l ncpus=1 \\\n -h\n#PBS -J 0-0", "line 4: PBS refuses `-J 0-0`"),
        ("#PBS -l ncpus=1 \\\n#PBS -h", "line 2: qsub cannot read"),  # it is no directive there
        ("#PBS -l ncpus=1 \\\necho hi", "echo is no option"),
    ],
)
def test_a_line_that_a_directive_goes_on_in_is_read_with_it(lines: str, named: str) -> None:
    with pytest.raises(RunError, match=re.escape(named)):
        check_script(f"#!/bin/bash\n{lines}\nexec true\n", source="job.sh")


def test_a_colon_that_is_indented_is_a_command() -> None:
    check_script("#!/bin/bash\n  : x\n#PBS -J 0-0\n", source="job.sh")


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_scripts_of_ours_are_taken(path: Path) -> None:
    check_script(path.read_text(), source=path.name)


def test_there_are_scripts_of_ours() -> None:
    assert GOLDEN
