"""A PBS cluster to hold profiles against, as its commands print it.

The server is the recorded OpenPBS 23.06.06; its queues and nodes are made up, in the same form.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.fakes.jobs import profile

from slidearray.errors import SchedulerError
from slidearray.schedulers.pbs_survey import PbsSurvey, survey

if TYPE_CHECKING:
    from collections.abc import Sequence

RECORDED = Path(__file__).with_name("openpbs_json")
SERVER: dict[str, Any] = {"default_queue": "route", "max_array_size": 10000}
OPEN = {"queue_type": "Execution", "enabled": "True", "started": "True"}
QUEUES: dict[str, dict[str, Any]] = {
    "route": {**OPEN, "queue_type": "Route", "route_destinations": "short,long@host"},
    "short": {**OPEN, "from_route_only": "True", "resources_max": {"walltime": "02:00:00"}},
    "long": {
        **OPEN,
        "resources_max": {"walltime": "48:00:00", "ncpus": 8, "mem": "16gb"},
        "resources_min": {"walltime": "02:00:01"},
    },
    "gpu": {
        **OPEN,
        "resources_max": {"ngpus": 2},
        "default_chunk": {"Qlist": "gpu"},
        "max_array_size": 50,
        "max_queued": "[u:PBS_GENERIC=200],[u:me=70],[g:lab=60],[p:p1=30],[o:PBS_ALL=5000]",
    },
    "own": {**OPEN},
    "closed": {**OPEN, "enabled": "False"},
    "stopped": {**OPEN, "started": "False"},
    "theirs": {**OPEN, "acl_user_enable": "True", "acl_users": "-me@*,bob"},
    "labs": {**OPEN, "acl_group_enable": "True", "acl_groups": ["lab"]},
    "away": {**OPEN, "queue_type": "Route", "route_destinations": "q@elsewhere"},
}


def node(host: str, cpus: int, memory: str, *, queue: str = "", **resources: Any) -> dict[str, Any]:
    own = {"host": host, "ncpus": cpus, "mem": memory, **resources}
    return {"state": "free", "resources_available": own, **({"queue": queue} if queue else {})}


NODES = {
    "n1": node("n1", 16, "64gb"),
    "n2[0]": node("n2", 32, "65536mb", Qlist="gpu", ngpus=2, gpu_type="a100"),
    "n2[1]": node("n2", 32, "67108864kb", Qlist="gpu,cpu", ngpus=2, gpu_type="a100"),
    "n3": node("n3", 4, "8gb", queue="own", big="True"),
    "n4": node("n4", 16, "32gb", Qlist="gpu", ngpus=8, gpu_type="h100"),
    "down": {"state": "down"},
}


def surveyed(
    *,
    server: dict[str, Any] | None = None,
    queues: dict[str, Any] | None = None,
    nodes: dict[str, Any] | None = NODES,
) -> PbsSurvey:
    told = json.loads((RECORDED / "server.json").read_text())
    told["Server"]["pbshost"] |= SERVER | (server or {})

    def tell(argv: Sequence[str]) -> str:
        match argv:
            case ["qstat", "-B", "-f", "-F", "json"]:
                return json.dumps(told)
            case ["qstat", "-Q", "-f", "-F", "json"]:
                return json.dumps({"Queue": QUEUES | (queues or {})})
            case ["pbsnodes", "-a", "-F", "json"] if nodes is not None:
                return json.dumps({"nodes": nodes})
        raise SchedulerError("pbsnodes: Unauthorized Request")

    return survey(tell, user="me")


def problems(found: PbsSurvey, **keys: Any) -> list[str]:
    usual = {"scheduler": "pbs", "advance_job": {"queue": "long", "walltime": "03:00:00"}}
    return [
        f"{each.key}: {each.found} | {each.accepted}"
        for each in found.problems(profile(**{**usual, **keys}))
    ]
