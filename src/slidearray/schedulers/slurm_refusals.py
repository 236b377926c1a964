"""Why SLURM refuses or waits, and what a person can change: one table each."""

from __future__ import annotations

import re

from slidearray.schedulers.answers import SUBMIT_LIMIT, Refusal, RefusalKind

_LOGIN_NODE = "submit on a login node of the cluster"
_NOT_HERE = (
    "SLURM is installed on this machine and belongs to no cluster: type the same on a login node, "
    "or set SLURM_CONF; with --local the job scripts run here"
)
_MAINTENANCE = "the cluster takes no jobs now; try again later"
_QUEUE_FULL = (
    "the queue of the whole cluster is full (MaxJobCount), and each task of an array counts: try "
    "again later, or plan with a smaller `shards.max_tasks`"
)
_NO_NODE = (
    "no node has that many `cpus_per_task`, that `memory` and those `gpus`, or all that have are "
    "down or drained (`sinfo -R`): `slidearray profile check` shows what the nodes have"
)


def _key(*names: str) -> str:
    keys = " or ".join(f"`{name}`" for name in names)
    return f"change {keys} in the profile; `slidearray profile check` shows what there is"


_UNTOLD = "SLURM does not say which limit: " + _key("walltime", "memory", "cpus_per_task", "qos")
#: What is found in an error of sbatch, from the most telling to the least; the texts are those of
#: slurm, src/common/slurm_errno.c, and of job_submit plug-ins that many sites have.
_REFUSALS: tuple[tuple[str, RefusalKind, str], ...] = (
    (
        r"configuration source|slurm\.conf|configuration file|s_p_parse_file",
        RefusalKind.FINAL,
        _NOT_HERE,
    ),
    (r"(Assoc|QOS)\w*Submit\w*Limit", RefusalKind.LIMIT, SUBMIT_LIMIT),
    (r"job queue full|MaxJobCount", RefusalKind.LIMIT, _QUEUE_FULL),
    # sbatch itself has tried 15 times within two minutes before it says so.
    (
        r"unable to accept job, sleeping(.|\n)*temporarily unavailable",
        RefusalKind.LIMIT,
        _QUEUE_FULL,
    ),
    (
        r"Invalid job array specification",
        RefusalKind.LIMIT,
        "put what `scontrol show config` calls MaxArraySize into the profile's `max_array_size`",
    ),
    (r"(Assoc|QOS)\w*(Cpu|CPU)\w*", RefusalKind.FINAL, _key("cpus_per_task", "qos")),
    (r"(Assoc|QOS)\w*Mem\w*", RefusalKind.FINAL, _key("memory", "qos")),
    (r"(Assoc|QOS)\w*Wall\w*", RefusalKind.FINAL, _key("walltime", "qos")),
    (r"(Assoc|QOS)\w*(GRES|Gres)\w*", RefusalKind.FINAL, _key("gpus", "qos")),
    (r"accounting/QOS policy", RefusalKind.FINAL, _UNTOLD),
    (r"partition configuration", RefusalKind.FINAL, _NO_NODE),
    (r"Invalid account", RefusalKind.FINAL, _key("account")),
    (r"partition|Partition", RefusalKind.FINAL, _key("partition")),
    (r"Invalid qos|Invalid QOS", RefusalKind.FINAL, _key("qos")),
    (r"reservation", RefusalKind.FINAL, _key("reservation")),
    (r"feature", RefusalKind.FINAL, _key("constraint")),
    (r"Invalid node name|nodes? not available", RefusalKind.FINAL, _key("nodelist", "exclude")),
    (r"Memory", RefusalKind.FINAL, _key("memory")),
    (r"generic resource|GRES|Gres|TRES", RefusalKind.FINAL, _key("gpus")),
    (r"time limit|--time ", RefusalKind.FINAL, _key("walltime")),
    (r"processors|CPU count", RefusalKind.FINAL, _key("cpus_per_task")),
    (r"node configuration", RefusalKind.FINAL, _NO_NODE),
    (
        r"DOS line breaks|batch script|Batch script",
        RefusalKind.FINAL,
        "mend the job template: a script begins with #! and has lines that end in \\n",
    ),
    (
        r"unrecognized option|invalid option|Invalid --|license",
        RefusalKind.FINAL,
        "change the profile's `directives`, or the job template",
    ),
    (r"submissions disabled|presently disabled", RefusalKind.FINAL, _MAINTENANCE),
    (
        r"permission denied|not allowed|disabled on this|user nobody|authentication",
        RefusalKind.FINAL,
        _LOGIN_NODE,
    ),
    (
        r"Socket timed out|Unable to contact slurm controller|Zero Bytes were transmitted|"
        r"[Rr]ate limit|[Ss]ubmission rate|temporarily un|slurm_persist_conn|in standby mode|"
        r"[Cc]onnection (failure|refused|reset|timed out)|Message (send|receive) failure|"
        r"try again later|Unexpected message received|Connection timed out|I/O error writing",
        RefusalKind.TEMPORARY,
        "the scheduler does not answer; try again when it does",
    ),
)
#: Where the number of queued tasks may be the reason: older versions say no more than this.
_OF_PERSON = re.compile(r"(Assoc|QOS)\w*Submit\w*Limit|failed: Job violates accounting/QOS policy")
_PREFIX = re.compile(r"^(sbatch|squeue|sacct|scancel|scontrol|sacctmgr|sinfo): (error: )?")


def words_of(stderr: str) -> str:
    """A command's errors in one line, each said once."""
    lines = (_PREFIX.sub("", line.strip()) for line in stderr.splitlines())
    return ", ".join(dict.fromkeys(line for line in lines if line)) or "it printed nothing"


def explain(stderr: str) -> Refusal:
    """What an error of a SLURM command means, and what to change."""
    words = words_of(stderr)
    for pattern, kind, advice in _REFUSALS:
        if re.search(pattern, stderr):
            told = kind is RefusalKind.LIMIT or advice is _UNTOLD
            of_person = told and bool(_OF_PERSON.search(stderr))
            return Refusal(kind=kind, words=words, advice=advice, of_person=of_person)
    return Refusal(kind=RefusalKind.FINAL, words=words)


_CANCEL = "it will never run so: cancel the run, mend the profile and plan again"
#: Why a task is pending (https://slurm.schedmd.com/job_reason_codes.html), and what that means.
_REASONS: tuple[tuple[str, str], ...] = (
    (
        r"DependencyNeverSatisfied",
        "it will never run: `slidearray cancel RUN`, then `resubmit RUN`",
    ),
    (r"Dependency", "behind jobs that have not ended"),
    (r"Priority", "others go first; nothing to do"),
    (r"Resources", "it is next, as soon as nodes are free; nothing to do"),
    (r"JobArrayTaskLimit", "the profile's `max_running` tasks run already"),
    (r"JobHeldUser|requeued in held state", "held: `scontrol release JOB` lets it start"),
    (r"JobHeldAdmin", "held by SLURM, after too many requeues, or by an administrator: ask them"),
    (
        r"launch failed requeued held",
        "it could not be started on its node and waits for `scontrol release JOB`; tell the "
        "administrators which node that was",
    ),
    (r"JobHoldMaxRequeue", "requeued too often and held; `scontrol release JOB` tries again"),
    (r"BeginTime", "requeued a moment ago; it starts by itself"),
    (r"ReqNodeNotAvail", "its nodes are down, drained or reserved: `sinfo -R` says why"),
    (r"ReservationDeleted", "its reservation is gone: " + _CANCEL),
    (r"Reservation", "it waits for its reservation to begin"),
    (r"PartitionTimeLimit", "`walltime` is over the partition's limit: " + _CANCEL),
    (r"PartitionNodeLimit", "the partition has fewer nodes than it wants: " + _CANCEL),
    (r"PartitionDown|PartitionInactive", "the partition takes no jobs now"),
    (r"PartitionConfig|BadConstraints", f"{_NO_NODE}; {_CANCEL}"),
    (r"(QOS|Assoc)\w*WallDuration\w*", "`walltime` is over the limit: " + _CANCEL),
    (r"(QOS|Assoc)\w*PerJob\w*|(QOS|Assoc)\w*PerNode\w*", "one task is over a limit: " + _CANCEL),
    (r"(QOS|Assoc)\w*Min\w*", "one task asks for less than has to be asked for: " + _CANCEL),
    (r"QOS(Not|Usage)\w*|InvalidQOS|InvalidAccount", "account or qos are not valid: " + _CANCEL),
    (r"(QOS|Assoc)\w*Limit\w*", "as many run as may at once; it starts when one of them ends"),
    (r"Licenses", "it waits for a licence"),
    (r"NodeDown|Node_?[Ff]ail", "its node is down"),
    (r"Prolog|Cleaning", "SLURM prepares or cleans a node; nothing to do"),
)


def advice_for(reason: str) -> str | None:
    """What a pending task's reason means, and what to do; None for one that is not known."""
    for pattern, advice in _REASONS:
        if re.match(pattern, reason):
            return advice
    return None
