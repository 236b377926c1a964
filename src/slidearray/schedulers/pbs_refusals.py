"""Why PBS refuses or waits, and what a person can change: one table each."""

from __future__ import annotations

import re

from slidearray.schedulers.answers import SUBMIT_LIMIT, Refusal, RefusalKind

_LOGIN_NODE = (
    "the server takes no jobs of this user from this machine: submit on a login node of the "
    "cluster, as a person and not as root"
)
_NOT_HERE = (
    "PBS is installed on this machine and belongs to no cluster: type the same on a login node; "
    "with --local the job scripts run here"
)
_ARRAY_SIZE = (
    "put what `qstat -Bf` and `qstat -Qf` call max_array_size into the profile's `max_array_size`"
)
_THROTTLE = (
    "PBS takes one range of at least two tasks, no more than `max_array_size`, and a version that "
    "is too old takes no throttle behind it: leave `max_running` out of the profile, or mend the "
    "job template"
)
_NO_NODE = (
    "no node has that many `cpus_per_task`, that `memory` and those `gpus`, or what `constraint` "
    "asks for: `slidearray profile check` shows what the nodes have"
)
_ONE_FORM = (
    "PBS takes one chunk (`pbs_resources: select`) or resources of the whole job (`flat`), never "
    "both: change `pbs_resources`, `directives` or the job template"
)


def _key(*names: str) -> str:
    keys = " or ".join(f"`{name}`" for name in names)
    return f"change {keys} in the profile; `slidearray profile check` shows what there is"


_MOST = _key("walltime", "memory", "cpus_per_task", "gpus", "queue")
#: What a line of an error begins with, from the most telling to the least. The sentences are
#: PBS's own (openpbs, src/lib/Liblog/pbs_messages.c, src/cmds/*.c): a hook of the site may say
#: anything, also "system error" or "try again", and it is final.
_REFUSALS: tuple[tuple[str, RefusalKind, str], ...] = (
    (
        r"Failed to load configuration parameters|pbsconf error:|No server specified",
        RefusalKind.FINAL,
        _NOT_HERE,
    ),
    (
        # 15007, 15008, 15019: a server that knows, and does not want us.
        r"cannot connect to server .*=150(07|08|19)\b|Access from host not allowed|"
        r"(Invalid|Expired) credential|Bad (effective )?UID for|Unable to authenticate|"
        r"failed authentication|MUNGE user-authentication",
        RefusalKind.FINAL,
        _LOGIN_NODE,
    ),
    (
        r"qsub: +Unauthorized Request",  # a queue's list of users, groups or hosts
        RefusalKind.FINAL,
        "you may not use that queue: " + _key("queue", "project", "group"),
    ),
    (r"Unauthorized Request", RefusalKind.FINAL, "only who submitted a job may do that"),
    (
        # qdel, qrls and qstat put a job's id behind a sentence.
        r"cannot connect to server |Couldn't connect to cluster: |"
        r"Connection (refused|reset by peer|timed out)$|"
        r"(No free connections|Server connection table full|Resource temporarily unavailable|"
        r"Batch protocol error|PBS server internal error|System error:|End of File)( +\S+)?$|"
        r"Server@\S+: System error: |Request not allowed: Server shutting down|"
        r"Failed to save job/resv|"
        r"(Server returned e|E)rror \(?15(010|011|031|033|117|161|208)\b",
        RefusalKind.TEMPORARY,
        "the server does not answer; try again when it does",
    ),
    (r"Array job exceeds server or queue size limit", RefusalKind.LIMIT, _ARRAY_SIZE),
    (
        r"would exceed .*limit on resource ",
        RefusalKind.LIMIT,
        "all queued tasks together may not ask for so much of it: wait until others have ended, "
        "or plan with a smaller `shards.max_tasks`",
    ),
    (
        r"Maximum number of jobs .*already in |would exceed .*per-(user|group|project) limit",
        RefusalKind.LIMIT,
        SUBMIT_LIMIT,
    ),
    (
        r"Job violates queue and/or server resource limits|"
        r"Job rejected by all possible destinations",
        RefusalKind.FINAL,
        _MOST,
    ),
    (
        r"Queue is not enabled|Access to queue is denied|No default queue|Unknown queue|"
        r"illegally formed destination|illegal -q",
        RefusalKind.FINAL,
        _key("queue"),
    ),
    (
        r"Unknown resource\W+(Resource_List\.)?ngpus\b",
        RefusalKind.FINAL,
        "the server does not know ngpus: leave `gpus` out, and name its own resource in "
        "`constraint` or, with `pbs_resources: flat`, in `directives`",
    ),
    (
        r'Unknown resource\b|Resource invalid in "select"|duplicated resource within|'
        r"Duplicate entry in list",
        RefusalKind.FINAL,
        _key("constraint", "directives"),
    ),
    (
        r'"-lresource=" cannot be used|Cannot be used with select|Cannot have "place" without',
        RefusalKind.FINAL,
        _ONE_FORM,
    ),
    (
        r"illegal -J|multiple max_run_subjobs|Attribute has to be set on an array job",
        RefusalKind.FINAL,
        _THROTTLE,
    ),
    (
        r"cannot submit non-rerunable|illegal -[rN] |(Job )?name is too long|unmatched |"
        r"(opening )?script (file|not a file|contains)",
        RefusalKind.FINAL,
        "mend the job template: an array is `-r y`, a name is of letters, digits and - _ . +, and "
        "a script begins with #!",
    ),
    (r"Bad GID for", RefusalKind.FINAL, _key("group")),
    (r"Illegal attribute or resource value:? project\b", RefusalKind.FINAL, _key("project")),
    (r"Invalid Account", RefusalKind.FINAL, _key("account", "project")),
    (
        r"Undefined attribute|Error \(15002\)",
        RefusalKind.FINAL,
        "the server does not know an attribute: change `directives`, or leave `max_running` out "
        "of the profile where the server is too old for it",
    ),
    (
        r"Illegal attribute or resource value|illegal -l|Error \(15014\)",
        RefusalKind.FINAL,
        _key("walltime", "memory", "constraint", "directives"),
    ),
    (
        r"directive error|illegal -\w|invalid option|option requires|Cannot set attribute|"
        r'mail option|DISPLAY not set|node\(s\) specification|(Cannot have )?"(min|max)_walltime"',
        RefusalKind.FINAL,
        "change the profile's `directives`, or the job template",
    ),
    (
        r"Invalid Job Dependency|Dependency request for job|Finished job did not satisfy|"
        r"Dependent parent job",
        RefusalKind.FINAL,
        "a job that it was to follow is gone: `slidearray resubmit` begins anew",
    ),
)
#: Limits of one person; those of a group, a project or everybody are not counted by us.
_OF_PERSON = re.compile(r"for user \S+ already|per-user limit")
_PREFIX = re.compile(r"^(qsub|qstat|qselect|qdel|qrls|pbsnodes): +")
#: What qdel, qrls and qstat say of jobs that are gone, or go.
_UNKNOWN = re.compile(r"Unknown Job Id")
_OVER = re.compile(
    r"Unknown Job Id|Job has finished|Request invalid for (finished|state of job)|"
    r"[Dd]elete already in progress"
)


def words_of(stderr: str) -> str:
    """A command's errors in one line, each said once, without its usage."""
    lines = (_PREFIX.sub("", line) for line in _lines(stderr))
    return ", ".join(dict.fromkeys(line for line in lines if line)) or "it printed nothing"


def _lines(stderr: str) -> list[str]:
    told = re.split(r"^usage: ", stderr, maxsplit=1, flags=re.MULTILINE)[0]
    return [line.strip() for line in told.splitlines()]


def explain(stderr: str) -> Refusal:
    """What an error of a PBS command means, and what to change."""
    words, lines = words_of(stderr), _lines(stderr)
    said = [*lines, *(_PREFIX.sub("", line) for line in lines)]
    for pattern, kind, advice in _REFUSALS:
        if any(re.match(pattern, line) for line in said):
            of_person = advice is SUBMIT_LIMIT and bool(_OF_PERSON.search(words))
            return Refusal(kind=kind, words=words, advice=advice, of_person=of_person)
    return Refusal(kind=RefusalKind.FINAL, words=words)


def is_unknown(words: str) -> bool:
    """Whether an error says that the server does not know a job, or not any more."""
    return bool(_UNKNOWN.search(words))


def is_over(stderr: str) -> bool:
    """Whether each line says that a job has ended or is about to, or is not known any more."""
    lines = list(filter(str.strip, stderr.splitlines()))
    return bool(lines) and all(map(_OVER.search, lines))


_CANCEL = "it will never run so: cancel the run, mend the profile and plan again"
#: Why a task is pending (openpbs, src/scheduler/job_info.cpp, and our own words of `pbs_words`),
#: and what that means.
_REASONS: tuple[tuple[str, str], ...] = (
    (r"Dependency$", "behind jobs that have not ended"),
    (r"held$|Job held by", "held: `qrls JOB` lets it start, if a person held it"),
    (
        r"held by PBS|[Jj]ob (Array )?[Hh]eld",
        "PBS or an administrator holds it, as after too many failed starts: ask them",
    ),
    (r"Can Never Run: .*(limit|would exceed)", "one task is over a limit: " + _CANCEL),
    (r"Can Never Run", f"{_NO_NODE}; {_CANCEL}"),
    (r"Queued$", "it waits for its turn; nothing to do"),
    (r"requeued$", "it ran before and goes again by itself"),
    (r"Waiting$|in transit$", "it goes on by itself"),
    (r".*running subjobs limit", "the profile's `max_running` tasks run already"),
    (r".*[Qq]ueue not started", "the queue starts no jobs now"),
    (
        r".*([Dd]edicated time|primetime)",
        "a maintenance or a part of the day comes too soon: it starts after it, or before it with "
        "a shorter `walltime`",
    ),
    (r".*does not exist", "it asks for a node or resource that is not there: " + _CANCEL),
    (r".*(limit|would exceed)", "as much runs as may at once; it starts when others end"),
    (r".*zero shares", "the scheduler gives this person or project nothing: ask administrators"),
    (r".*PBS Error", "a node refused it; PBS tries again, and holds it after 20 times"),
    (r".*(top job|strict|reservation|threshold)", "others go first; nothing to do"),
    (
        r"Not Running: (Insufficient|Not enough|No available|Node|.*too few free)",
        "it starts as soon as nodes are free; nothing to do",
    ),
)


def advice_for(reason: str) -> str | None:
    """What a pending task's reason means, and what to do; None for one that is not known."""
    for pattern, advice in _REASONS:
        if re.match(pattern, reason):
            return advice
    return None
