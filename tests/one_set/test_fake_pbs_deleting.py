"""The fake PBS deletes as a real one does: what it forgets then, and what it cannot bear."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest
from tests.one_set.typed import asked, run, script, submitted
from tests.support import wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.fakes.pbs_bed import FakePbs

#: Of 0 to 4, the first two end well, 2 fails, the others work on.
TEXT = "[ $PBS_ARRAY_INDEX -lt 2 ] && exit 0; [ $PBS_ARRAY_INDEX = 2 ] && exit 3; sleep 60"


@pytest.fixture
def array(pbs: FakePbs) -> str:
    """An array of which three have ended and two run."""
    found = submitted("-J", "0-4", "-j", "oe", "-o", "/dev/null", script(TEXT))
    wait_for(lambda: letters(found) == "XXXRR", "three to end, two to run")
    return found


def subjobs(array: str) -> list[dict[str, Any]]:
    return list(asked(array).values())[1:]


def letters(array: str) -> str:
    return "".join(each["job_state"] for each in subjobs(array))


def told(jobs: Sequence[dict[str, Any]]) -> list[tuple[int, int | None]]:
    """Substate and count of runs of each."""
    return [(each["substate"], each.get("run_count")) for each in jobs]


def part(array: str, numbers: str) -> str:
    return array.replace("[]", f"[{numbers}]")


def test_the_deletion_of_an_array_wipes_what_was_known_of_its_ended_subjobs(
    pbs: FakePbs, array: str
) -> None:
    assert run("qdel", array).returncode == 0
    pbs.wait_for_end()
    parent, *found = asked(array).values()
    assert told(found) == [(91, None)] * 3 + [(91, 1)] * 2
    assert letters(array) == "FFFFF"
    for each in found[:3]:
        assert (each["comment"], each["Exit_status"]) == ("Subjob finished", parent["Exit_status"])
        assert not each.keys() & {"exec_host", "array_index", "array_id", "run_version"}


def test_the_comment_of_a_deleted_array_ends_with_terminated(pbs: FakePbs, array: str) -> None:
    run("qdel", array)
    pbs.wait_for_end()
    parent = asked(array)[f"{array}.pbshost"]
    assert parent["substate"] == 91
    assert parent["comment"].startswith("Job Array Began at ")
    assert parent["comment"].endswith(" and terminated")


def test_the_deletion_of_those_that_have_not_ended_keeps_the_others(
    pbs: FakePbs, array: str
) -> None:
    assert run("qdel", part(array, "3-4")).returncode == 0
    pbs.wait_for_end()
    assert told(subjobs(array)) == [(92, 1), (92, 1), (93, 1), (91, 1), (91, 1)]


def test_a_range_wipes_the_ended_ones_in_it_alone(pbs: FakePbs, array: str) -> None:
    done = run("qdel", part(array, "1-3"))
    assert (done.returncode, done.stderr) == (0, "")
    assert told(subjobs(array)[:3]) == [(92, 1), (70, None), (70, None)]
    wait_for(lambda: letters(array) == "XXXXR", "the deleted one to end")
    assert told(subjobs(array)[3:4]) == [(91, 1)]
    assert run("qdel", part(array, "1-2")).returncode == 0, "as often as one likes"


def test_a_subjob_that_has_ended_is_not_deleted_alone(pbs: FakePbs, array: str) -> None:
    done = run("qdel", part(array, "0"))
    assert done.returncode == 55
    assert done.stderr == "qdel: Request invalid for finished array subjob 0[0].pbshost\n"
    assert told(subjobs(array)[:1]) == [(92, 1)]


@pytest.mark.parametrize(
    "named",
    [("0", "77"), ("77", "0"), ("1[]", "0"), ("1[]", "2[]", "0"), ("1[]", "77")],
)
def test_qdel_of_several_ends_itself_over_an_unknown_or_an_array_before_a_plain_job(
    pbs: FakePbs, named: Sequence[str]
) -> None:
    for options in ([], ["-J", "0-1"], ["-J", "0-1"]):
        submitted("-h", *options, script("exit 0"))
    done = run("qdel", *named)
    assert done.returncode == -signal.SIGABRT, "which a shell calls 134"
    assert (done.stdout, done.stderr) == ("", "double free or corruption (fasttop)\n")
    assert pbs.left() == ["0", "1[]", "2[]"], "nothing is deleted"


@pytest.mark.parametrize("named", [("0", "1[]"), ("1[]", "2[]"), ("0", "3"), ("0", "1[]", "2[]")])
def test_qdel_of_several_others_deletes_each(pbs: FakePbs, named: Sequence[str]) -> None:
    for options in ([], ["-J", "0-1"], ["-J", "0-1"], []):
        submitted("-h", *options, script("exit 0"))
    assert run("qdel", *named).returncode == 0
    assert set(pbs.left()) == {"0", "1[]", "2[]", "3"} - set(named)


def test_what_was_deleted_while_it_waited_keeps_its_holds(pbs: FakePbs) -> None:
    array = submitted("-h", "-J", "0-1", script("exit 0"))
    behind = submitted("-W", f"depend=afterany:{array}", script("exit 0"))
    for job_id in (behind, array):
        assert run("qdel", job_id).returncode == 0
    for job_id, holds in ((array, "u"), (behind, "s")):
        found = asked(job_id)[f"{job_id}.pbshost"]
        assert (found["job_state"], found["substate"], found["Hold_Types"]) == ("F", 91, holds)
