"""Keys of a profile that only some schedulers have a use for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Keys that become options of an array, by scheduler.
OPTION_KEYS: dict[str, tuple[str, ...]] = {
    "slurm": (
        "partition", "account", "qos", "reservation", "constraint", "nodelist", "exclude", "gpus",
        "nice", "directives",
    ),
    "pbs": (
        "queue", "project", "group", "account", "constraint", "gpus", "pbs_resources", "directives",
    ),
    "local": (),
}  # fmt: skip
#: Keys that the job script itself has to hold, for qsub would not hand the values on unchanged.
WRITTEN_KEYS: dict[str, tuple[str, ...]] = {"pbs": ("environment",)}
_QUEUED = ("max_array_size", "mail", "advance_job", "environment")
#: Every key that is of use to one scheduler.
KEYS_OF: dict[str, tuple[str, ...]] = {
    "slurm": (*OPTION_KEYS["slurm"], "gpu_directive", *_QUEUED),
    "pbs": (*OPTION_KEYS["pbs"], *_QUEUED),
    "local": (),
}
#: Keys that only a scheduler with a queue has a use for.
SCHEDULER_KEYS = tuple(dict.fromkeys(key for keys in KEYS_OF.values() for key in keys))

#: What does the work of a key that a scheduler has not.
COUNTERPARTS: dict[str, dict[str, str]] = {
    "slurm": {
        "queue": "scheduler slurm calls it partition",
        "project": "scheduler slurm calls it account",
        "pbs_resources": "it is of PBS; remove it",
    },
    "pbs": {
        "partition": "scheduler pbs calls it queue",
        "reservation": "a reservation of PBS is a queue; name it as queue",
        "nodelist": "PBS takes a node by a resource; constraint: host=NAME does that",
        "exclude": "PBS cannot leave out nodes by name; let queue or constraint name a kind",
        "nice": "PBS has priorities; directives: [-p -100] does that",
        "gpu_directive": "PBS asks for ngpus; remove it",
    },
}


def foreign_keys(scheduler: str, given: Sequence[str]) -> str:
    """What to say of those of `given` that a scheduler has no use for; empty where it has for all.

    Examples
    --------
    >>> foreign_keys("pbs", ["queue", "partition", "qos"])
    'partition: scheduler pbs calls it queue; qos: scheduler pbs has none; remove it'
    """
    foreign = [name for name in given if name.rpartition(".")[2] not in KEYS_OF[scheduler]]
    counterparts = COUNTERPARTS.get(scheduler, {})
    known = {name: counterparts.get(name.rpartition(".")[2]) for name in foreign}
    said = [f"{name}: {why}" for name, why in known.items() if why]
    if none := [name for name, why in known.items() if not why]:
        said.append(f"{', '.join(none)}: scheduler {scheduler} has none; remove it")
    return "; ".join(said)
