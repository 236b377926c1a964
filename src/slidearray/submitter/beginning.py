"""How an attempt begins: its folder, which only one submitter can make, and what it will send."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slidearray.errors import TakenError
from slidearray.storage.files import host_name, write_text
from slidearray.storage.journal import Journal
from slidearray.storage.slots import write_slots

if TYPE_CHECKING:
    from slidearray.submitter.attempts import PreparedAttempt


def claim(prepared: PreparedAttempt) -> Journal:
    """Make the folder of an attempt; the journal that goes into it.

    Raises
    ------
    TakenError
        Another submitter made it first.
    """
    folder = prepared.folder
    folder.root.parent.mkdir(exist_ok=True)
    try:
        folder.root.mkdir()  # the mutex of a new attempt
    except FileExistsError as error:
        raise TakenError(
            f"{folder.root}: another submitter began this attempt just now; "
            f"`slidearray status {prepared.run.typed}` shows it"
        ) from error
    return Journal(folder.journal)


def write_down(
    prepared: PreparedAttempt, journal: Journal, *, here: bool, by: str = "", cluster: str = ""
) -> None:
    """Write what an attempt means to do, before anything of it is submitted.

    Parameters
    ----------
    prepared
        The attempt.
    journal
        Its journal, as `claim` gave it.
    here
        Its scripts run on this machine, without a scheduler.
    by
        Id of the job that submits it; empty where a person does.
    cluster
        Name of the cluster that gets it.
    """
    folder, advance = prepared.folder, prepared.advance
    journal.append(
        "intent",
        slots=len(prepared.slots),
        scheduler=prepared.profile.scheduler,
        here=here,
        host=host_name(),
        by=by,
        cluster=cluster,
        names=[job.name for job in prepared.jobs],
        splits=[[job.offset, job.count, job.array is not None] for job in prepared.jobs],
        advance=None if here or advance is None else advance.name,
    )
    write_slots(folder.slots, prepared.slots)
    for job, text in zip(prepared.jobs, prepared.scripts, strict=True):
        write_text(folder.script(job.index), text)
        folder.logs_dir(job.index).mkdir(parents=True, exist_ok=True)
    if advance is not None and not here:
        write_text(folder.advance_script, advance.text)
