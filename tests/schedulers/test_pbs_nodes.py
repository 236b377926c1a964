"""What a task asks of a node is held against the nodes of its queue as PBS compares it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.fakes.jobs import profile
from tests.schedulers.pbs_site import OPEN, node, problems, surveyed

LOCAL = node("n1", 16, "64gb", scratch_local="500gb", big="True", Lic=4, kind="a100")
NODES = {
    "n1": LOCAL,
    "n2[0]": node("n2", 8, "8gb", scratch_local="600gb"),
    "n2[1]": node("n2", 8, "8gb", scratch_local="600gb"),
}


def asked(constraint: str, *, nodes: dict[str, Any] | None = None) -> list[str]:
    found = surveyed(queues={"q": OPEN}, nodes=nodes or NODES)
    return problems(found, queue="q", constraint=constraint)


@pytest.mark.parametrize(
    "constraint",
    [
        "scratch_local=10gb", "scratch_local=500gb", "scratch_local=512000mb",
        "scratch_local=1tb", "scratch_local=1200gb",  # of both parts of n2
        "Lic=4", "LIC=2", "Scratch_Local=10GB", "HOST=n1", "KIND=a100",
        "big=True", "big=true", "BIG=TRUE", "big=t", "big=1",
        "big=False", "big=n",  # n2: a switch that is not set is off
    ],
)  # fmt: skip
def test_a_constraint_is_compared_as_what_it_is(constraint: str) -> None:
    assert asked(constraint) == []


@pytest.mark.parametrize(
    "constraint",
    ["scratch_local=2tb", "Lic=5", "kind=A100", "kind=v100", "kind=1", "big=a100", "host=n9"],
)
def test_a_constraint_that_no_node_meets_is_told(constraint: str) -> None:
    (told,) = asked(constraint)
    assert told.startswith(f"constraint: {constraint} | ")


def test_a_switch_that_is_on_everywhere_is_off_nowhere() -> None:
    assert asked("big=false", nodes={"n1": LOCAL}) == ["constraint: big=false | big=True"]


@pytest.mark.parametrize(
    "chunk",
    [
        {"ncpus": 1},
        {"mem": "2gb"},
        {"mem": "1tb"},
        {"ncpus": "1", "mem": "2gb"},
        {"kind": "a100"},
        {"BIG": "true"},
    ],
)
def test_defaults_of_a_chunk_leave_the_nodes_that_have_them(chunk: dict[str, Any]) -> None:
    found = surveyed(queues={"q": {**OPEN, "default_chunk": chunk}}, nodes=NODES)
    assert problems(found, queue="q", constraint="kind=a100") == []
    assert problems(found, queue="q", cpus_per_task=999) == [
        "cpus_per_task: 999 | at most 16, as the largest node has"
    ]
    assert found.limits(profile(scheduler="pbs", queue="q")).max_memory_mb == 65536


def test_a_label_among_the_defaults_of_a_chunk_leaves_out_the_other_nodes() -> None:
    chunk = {"ncpus": 1, "KIND": "a100"}
    found = surveyed(queues={"q": {**OPEN, "default_chunk": chunk}}, nodes=NODES)
    assert problems(found, queue="q", constraint="host=n2") == ["constraint: host=n2 | host=n1"]


def test_amounts_are_not_offered_as_kinds_of_nodes() -> None:
    offers = surveyed(nodes=NODES).offers(profile(scheduler="pbs", queue="own"))
    offered = [text for key, text in offers if key == "constraint"]
    assert offered == ["big=True", "kind=a100"]


def test_what_no_node_tells_of_is_called_by_its_name() -> None:
    bare = {"state": "down", "resources_available": {"host": "n1", "vnode": "n1"}}
    found = surveyed(queues={"q": OPEN}, nodes={"n1": bare})
    advance = {"queue": "long", "walltime": "03:00:00", "memory": "1G"}
    assert problems(found, queue="q", gpus=1, advance_job=advance) == [
        "cpus_per_task: 1 | none: no node tells of ncpus",
        "memory: 1024M | none: no node tells of mem",
        "gpus: 1 | none: no node has ngpus; what the site calls them goes into `constraint`",
    ]
