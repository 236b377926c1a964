"""A PBS server is asked for one job a call, and an answer that is none settles nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from slidearray.core.classes import FailureClass
from slidearray.core.queue import FORGOTTEN, SubmittedJob, TaskState
from slidearray.errors import SchedulerError
from slidearray.schedulers.pbs_asking import PbsAsker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RECORDED = Path(__file__).with_name("openpbs_json")
UNKNOWN = "qstat: Unknown Job Id 999.pbshost"
FINISHED = "qstat: 201[].pbshost Job has finished, use -x or -H to obtain historical information"


def recorded(name: str) -> str:
    return (RECORDED / f"{name}.json").read_bytes().decode(errors="replace")


class Server:
    """Answers of one server, by job id: what it prints, or the error that it fails with."""

    def __init__(
        self, answers: Mapping[str, str | SchedulerError] | None = None, *, history: bool = True
    ) -> None:
        self.answers = dict(answers or {})
        self.asked: list[list[str]] = []
        self.has_history(history)

    def has_history(self, history: bool) -> None:
        told = json.loads(recorded("server"))
        told["Server"]["pbshost"]["job_history_enable"] = str(history)
        self.answers["-B"] = json.dumps(told)

    def __call__(self, argv: Sequence[str]) -> str:
        self.asked.append(list(argv))
        key = "-B" if "-B" in argv else argv[-1]
        told = self.answers.get(key, SchedulerError(UNKNOWN))
        if isinstance(told, SchedulerError):
            raise told
        return told

    def questions(self, job_id: str) -> list[list[str]]:
        return [argv for argv in self.asked if argv[-1] == job_id]


def job(job_id: str, name: str, count: int = 1, **attributes: Any) -> SubmittedJob:
    return SubmittedJob(
        job_id=job_id,
        name=name,
        attempt=1,
        split=0,
        offset=0,
        count=count,
        array=count > 1,
        **attributes,
    )


ARRAY = job("201[]", "j.sh", 7)
LONE = job("202", "p.sh")


def test_each_job_is_asked_for_by_itself_with_its_tasks_and_with_what_ended() -> None:
    server = Server({"201[]": recorded("array_finished_mixed"), "202": recorded("walltime_killed")})
    told = PbsAsker(server).ask([ARRAY, LONE], set())
    assert told.fault == ""
    assert server.asked == [
        ["qstat", "-B", "-f", "-F", "json"],
        ["qstat", "-x", "-t", "-f", "-F", "json", "201[]"],
        ["qstat", "-x", "-t", "-f", "-F", "json", "202"],
    ]
    outcome = told.of("202", 0).outcome
    assert outcome is not None
    assert outcome.ended_by is FailureClass.TIMEOUT


def test_a_server_without_history_is_not_asked_for_it() -> None:
    server = Server({"201[]": recorded("array_queued_subjob_deleted")}, history=False)
    told = PbsAsker(server).ask([ARRAY], set())
    assert server.asked[1] == ["qstat", "-t", "-f", "-F", "json", "201[]"]
    assert told.of("201[]", 3).state is TaskState.RUNNING
    assert told.of("201[]", 6) == FORGOTTEN  # it looks like one that was deleted


@pytest.mark.parametrize("history", [True, False])
def test_a_job_that_is_not_known_any_more_is_forgotten_and_that_is_an_answer(
    *, history: bool
) -> None:
    told = PbsAsker(Server(history=history)).ask([ARRAY], set())
    assert (told.of("201[]", 2), told.fault) == (FORGOTTEN, "")


@pytest.mark.parametrize(
    "answer",
    [
        SchedulerError("qstat: cannot connect to server pbshost (errno=15010)"),
        SchedulerError(FINISHED),  # it has just begun to keep a history
        recorded("unknown_id"),  # rc 0 and no jobs: hidden, or it has just stopped keeping one
        recorded("several_ids_bug").replace("201[", "301["),
        "",
        "Segmentation fault",
    ],
)
def test_anything_else_is_a_fault_and_settles_nothing(answer: str | SchedulerError) -> None:
    server = Server({"201[]": answer})
    told = PbsAsker(server).ask([ARRAY], {("201[]", 1)})
    assert told.fault
    assert {told.of("201[]", task).state for task in range(7)} == {TaskState.UNKNOWN}


def test_a_server_that_does_not_tell_of_itself_is_a_fault() -> None:
    server = Server({"201[]": recorded("array_finished_mixed")})
    server.answers["-B"] = "{}"
    assert "qstat -B" in PbsAsker(server).ask([ARRAY], set()).fault


def test_after_a_fault_the_server_is_asked_anew_whether_it_keeps_a_history() -> None:
    server = Server({"201[]": SchedulerError(FINISHED)}, history=False)
    asker = PbsAsker(server)
    assert asker.ask([ARRAY], set()).fault
    server.has_history(True)
    server.answers["201[]"] = recorded("array_finished_mixed")
    assert asker.ask([ARRAY], set()).fault == ""
    assert server.asked[-1][:2] == ["qstat", "-x"]


def test_what_was_told_before_a_fault_still_holds() -> None:
    server = Server({"201[]": recorded("array_finished_mixed"), "202": ""})
    told = PbsAsker(server).ask([ARRAY, LONE], set())
    assert told.of("201[]", 1).state is TaskState.ENDED
    assert told.of("202", 0).state is TaskState.UNKNOWN


def test_a_job_of_which_all_has_ended_is_not_asked_for_again() -> None:
    server = Server(
        {
            "201[]": recorded("array_running_with_queued"),
            "202": recorded("walltime_killed"),
        }
    )
    asker = PbsAsker(server)
    first = asker.ask([ARRAY, LONE], set())
    second = asker.ask([ARRAY, LONE], set())
    assert first == second
    assert (len(server.questions("202")), len(server.questions("201[]"))) == (1, 2)


def test_a_job_of_which_some_tasks_are_not_told_is_asked_for_again() -> None:
    server = Server({"201[]": recorded("array_finished_mixed")}, history=False)
    asker = PbsAsker(server)
    told = [asker.ask([ARRAY], set()) for _ in range(2)]
    assert all(word.outcome for word in told[0].tasks.values())
    assert len(told[0].tasks) < ARRAY.count
    assert len(server.questions("201[]")) == 2


def test_a_job_on_another_server_is_told_of_only_there() -> None:
    elsewhere = job("999", "sa-1", cluster="other")
    told = PbsAsker(Server()).ask([elsewhere], set())
    assert "on the PBS server other, and this is pbshost" in told.fault
    assert PbsAsker(Server()).ask([job("999", "sa-1", cluster="pbshost")], set()).fault == ""


def test_a_job_of_another_name_that_has_the_id_is_not_ours() -> None:
    server = Server({"201[]": recorded("array_finished_mixed")})
    told = PbsAsker(server).ask([job("201[]", "sa123456-1-0", 7)], set())
    assert (told.of("201[]", 1), told.fault) == (FORGOTTEN, "")


def test_nothing_is_asked_for_nothing() -> None:
    server = Server()
    assert PbsAsker(server).ask([], set()).tasks == {}
    assert server.asked == []
