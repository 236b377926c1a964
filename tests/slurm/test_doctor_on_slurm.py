"""doctor --submit, status --watch and logs -f, where jobs are real ones."""

from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.slurm.support import Site

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.slurm.clusters import Cluster
    from tests.slurm.person import Person

ASKED = {
    "version": 1,
    "scheduler": "slurm",
    "walltime": "04:00:00",
    "cpus_per_task": 2,
    "memory": "600M",
}

# What it tells what runs in it, and where it stands in a command line, is apptainer's.
APPTAINER = """#!/bin/bash
while [ "$1" != IMAGE.sif ]; do
  [ $# -gt 0 ] || exit 64
  shift
done
export APPTAINER_CONTAINER=$1
shift
exec "$@"
"""


@pytest.fixture
def site(cluster: Cluster, tmp_path: Path) -> Site:
    """A project without a run."""
    folder = tmp_path / "a project"
    folder.mkdir()
    return Site(folder=folder, cluster=cluster)


def doctor(site: Site, *, expect: int = 0, **profile: Any) -> dict[str, dict[str, str]]:
    """What a visit finds on a node, and about it."""
    before = set(site.folder.iterdir())
    path = site.folder / "asked.yaml"
    path.write_text(yaml.safe_dump({**ASKED, **profile}))
    done = site("doctor", "--profile", path.name, "--submit", "--json", expect=expect)
    assert {*before, path} == set(site.folder.iterdir()), "only what was there is left"
    assert site.cluster
    assert not site.cluster.squeue("--states=PD,R"), "no job is left"
    found = json.loads(done.stdout)["checks"]
    return {each["name"]: each for each in found if each["where"] or each["name"] == "results"} or {
        each["name"]: each for each in found
    }


def results(found: dict[str, dict[str, str]]) -> dict[str, str]:
    return {name: each["result"] for name, each in found.items() if each["result"] != "ok"}


def test_a_node_is_visited_by_one_job_and_nothing_is_left(cluster: Cluster, site: Site) -> None:
    found = doctor(site)
    assert results(found) == {} if cluster.cgroups else {"resources": "warn"}
    assert found["python"]["where"] in cluster.nodes
    assert "2 CPUs" in found["resources"]["found"]
    assert not cluster.cgroups or "600 MB of memory" in found["resources"]["found"]
    assert "was submitted, held, and taken back" in found["jobs from jobs"]["found"]
    assert found["results"]["found"].endswith("is whole here")


def test_an_unprivileged_user_with_a_private_umask_gets_the_same_word(
    cluster: Cluster, person: Person
) -> None:
    found = doctor(Site(folder=person.folder, cluster=cluster, person=person))
    assert results(found) == {} if cluster.cgroups else {"resources": "warn"}
    assert found["umask"]["found"] == "0077"


def test_gpus_that_are_given_are_told_and_a_driver_is_looked_for(site: Site) -> None:
    gpu = doctor(site, gpus=2)["gpu"]
    assert gpu["result"] == "warn"
    assert gpu["found"].startswith("CUDA_VISIBLE_DEVICES=0,1")
    assert "no nvidia-smi" in gpu["found"]


def test_a_job_is_seen_to_run_in_its_container(site: Site, tmp_path: Path) -> None:
    tool = tmp_path / "bin" / "apptainer"
    tool.parent.mkdir()
    tool.write_text(APPTAINER)
    tool.chmod(0o755)
    found = doctor(
        site,
        container={"image": "IMAGE.sif"},
        python=sys.executable,
        setup=[f"export PATH={tool.parent}:$PATH"],
    )
    assert found["container"]["found"] == "IMAGE.sif"


def test_jobs_that_may_not_submit_jobs_are_told_with_what_it_means(
    site: Site, tmp_path: Path
) -> None:
    refusing = tmp_path / "bin" / "sbatch"
    refusing.parent.mkdir()
    refusing.write_text("#!/bin/sh\necho 'sbatch: error: Access/permission denied' >&2\nexit 1\n")
    refusing.chmod(0o755)
    found = doctor(site, setup=[f"export PATH={refusing.parent}:$PATH"])["jobs from jobs"]
    assert found["result"] == "warn"
    assert "Access/permission denied" in found["found"]
    assert "`slidearray resubmit RUN`" in found["advice"]


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        ({"setup": ["echo loading", "module-of-nobody"]}, "exit code 78; its log ends:\nloading\n"),
        ({"python": "/nowhere/python"}, "/nowhere/python: No such file or directory"),
        ({"partition": "nope"}, "Invalid partition name specified"),
    ],
)
def test_a_profile_that_cannot_work_is_told_with_the_nodes_own_words(
    site: Site, profile: dict[str, Any], words: str
) -> None:
    found = doctor(site, expect=1, **profile)["job"]
    assert found["result"] == "fail"
    assert words in found["found"]


def test_who_does_not_want_to_wait_takes_the_job_back_by_ctrl_c(
    cluster: Cluster, site: Site
) -> None:
    node = cluster.nodes[-1]
    (site.folder / "asked.yaml").write_text(yaml.safe_dump({**ASKED, "nodelist": node}))
    cluster.set_node(node, "drain")
    try:
        waiting = site.start("doctor", "--profile", "asked.yaml", "--submit")
        said = []
        for line in waiting.stdout:
            said.append(line)
            if "pending (ReqNodeNotAvail" in line:
                break
        waiting.send_signal(signal.SIGINT)
        rest, _ = waiting.communicate(timeout=60)
    finally:
        cluster.set_node(node, "resume")
    assert waiting.returncode == 75, "".join(said) + rest
    assert "taken back: " in rest
    assert not cluster.squeue("--states=PD,R")
    assert [path.name for path in site.folder.iterdir()] == ["asked.yaml"]


def test_a_run_is_watched_and_its_logs_followed_to_their_ends(
    cluster: Cluster, make_site: Callable[..., Site]
) -> None:
    site = make_site(cluster, (0, 1))
    site.act(0, "block")
    site("submit", site.run_dir)
    site.wait_until_held(0)
    found = site.status()
    (attempt,) = found["by_attempt"]
    assert attempt["where"] == "slurm"
    assert attempt["slots"]["running"] >= 1
    assert attempt["advance"] == "pending (Dependency)"
    assert found["at_work"]
    followers = [
        site.start("logs", site.run_dir, "s000", "-f"),
        site.start("logs", site.run_dir, "advance", "-f"),
        site.start("status", site.run_dir, "--watch"),
    ]
    seen = [follower.stdout.readline() for follower in followers[::2]]
    site.go(0)
    slide, advance, watched = (each.communicate(timeout=180)[0] for each in followers)
    assert f"job {site.task_of(0)})" in seen[0]
    assert "s000: done" in slide
    assert "store " in advance
    assert watched.count("run /") >= 1
    assert "merged" in watched
    assert [follower.returncode for follower in followers] == [0, 0, 0]
