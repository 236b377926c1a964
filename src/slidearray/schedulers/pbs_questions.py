"""The questions that a PBS server is asked about jobs, and about itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slidearray.errors import SchedulerError
from slidearray.schedulers import pbs_words
from slidearray.schedulers.pbs_ids import bare, is_job_id
from slidearray.schedulers.pbs_refusals import is_over, is_unknown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slidearray.schedulers.cluster import Tell
    from slidearray.schedulers.pbs_words import Attributes

_JSON = ("-f", "-F", "json")
#: Every state of a task that has not ended (qselect.1B). ``B`` is an array's, not a task's.
_NOT_ENDED = "EHQRSTUW"
_NO_ANSWER = "it printed no answer that can be read"
_HIDDEN = (
    "it says nothing of job {job_id}: people may see their own jobs only on this cluster (ask as "
    "the one who submitted it), or the server has just stopped keeping a history (ask again)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What a PBS server tells of itself."""

    name: str
    version: str
    attributes: Attributes

    @property
    def keeps_history(self) -> bool:
        """Whether it remembers jobs that have ended; many servers do not."""
        return pbs_words.is_true(self.attributes.get("job_history_enable"))


def server(tell: Tell) -> Server:
    """The default server, asked for its attributes.

    Raises
    ------
    SchedulerError
        It does not answer.
    """
    for name, attributes in listing(tell, ["qstat", "-B", *_JSON], "Server").items():
        version = pbs_words.text(attributes.get("pbs_version"))
        return Server(name=name, version=version, attributes=attributes)
    raise SchedulerError(f"qstat -B: {_NO_ANSWER}")


def listing(tell: Tell, argv: Sequence[str], kind: str) -> dict[str, Attributes]:
    """The objects that a command prints as JSON, by name.

    Raises
    ------
    SchedulerError
        It prints something else.
    """
    found = pbs_words.answer(tell(argv), kind)
    if found is None:
        raise SchedulerError(f"{' '.join(argv)}: {_NO_ANSWER}")
    return found


def job_status(tell: Tell, job_id: str, *, ended: bool) -> dict[str, Attributes] | None:
    """A job and its tasks; None when the server does not know it, or not any more.

    One job a call: of several ids 23.06.06 prints the first that it knows (seen).

    Parameters
    ----------
    tell
        Runs a command.
    job_id
        The job's.
    ended
        Ask for jobs that have ended, too; a server without a history answers nothing then.

    Raises
    ------
    SchedulerError
        There is no answer, or none about this job.
    """
    argv = ["qstat", *(["-x"] if ended else []), "-t", *_JSON, job_id]
    try:
        found = listing(tell, argv, "Jobs")
    except SchedulerError as error:
        if is_unknown(str(error)):
            return None
        raise
    if not any(bare(each) == job_id for each in found):
        raise SchedulerError(f"{' '.join(argv)}: {_HIDDEN.format(job_id=job_id)}")
    return found


def ids_of(tell: Tell, name: str, *, ended: bool = False) -> list[str]:
    """Ids of the jobs of one name, from one `qselect`."""
    return _selected(tell(["qselect", *(["-x"] if ended else []), "-N", name]))


def tasks_of_user(tell: Tell, user: str) -> int:
    """How many tasks of a user have not ended, from one `qselect`."""
    return len(_selected(tell(["qselect", "-T", "-s", _NOT_ENDED, "-u", user])))


def _selected(stdout: str) -> list[str]:
    return [bare(line.strip()) for line in stdout.splitlines() if is_job_id(line.strip())]


def waits_for_release(tell: Tell, job_id: str) -> bool:
    """Whether a person holds a job.

    Raises
    ------
    SchedulerError
        There is no answer, or none about this job.
    """
    try:
        found = job_status(tell, job_id, ended=False)
    except SchedulerError as error:
        if is_over(str(error)):
            return False
        raise
    own = {bare(each): attributes for each, attributes in (found or {}).items()}.get(job_id, {})
    return "u" in pbs_words.text(own.get("Hold_Types"))
