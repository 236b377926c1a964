"""Job ids of PBS, without the server's name: it comes in several forms, or not at all."""

from __future__ import annotations

import re

#: ``12``, ``12[]``, ``12[3]``, each alone or with the server that it was made on.
_JOB_ID = re.compile(r"([0-9]+)(?:\[([0-9]*)\])?(?:\.\S+)?")


def bare(job_id: str) -> str:
    """A job's id without the server; what is no id of a job stays as it is.

    Examples
    --------
    >>> bare("123[].host.domain"), bare("124.host"), bare("123[7].host"), bare("125")
    ('123[]', '124', '123[7]', '125')
    """
    return job_id.partition(".")[0] if _JOB_ID.fullmatch(job_id) else job_id


def is_job_id(text: str) -> bool:
    """Whether a text is the id of a job, an array or a subjob."""
    return _JOB_ID.fullmatch(text) is not None


def subjob(job_id: str) -> tuple[str, int] | None:
    """The array, and the number in it, of a subjob's id; None for the id of anything else.

    Examples
    --------
    >>> subjob("201[3].pbshost"), subjob("201[].pbshost"), subjob("204.pbshost")
    (('201[]', 3), None, None)
    """
    match = _JOB_ID.fullmatch(job_id)
    return (f"{match[1]}[]", int(match[2])) if match and match[2] else None
