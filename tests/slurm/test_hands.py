"""What people do to a run: forbid submission on nodes, cancel, and send again by hand."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.slurm.clusters import Cluster
    from tests.slurm.support import Site

NUMBERS = (0, 1, 2)
HELD, RAISING = 1, 2

# What SLURM says where a partition's AllocNodes leave out the nodes (tried on 22.05).
REFUSING = """#!/bin/sh
echo 'sbatch: error: Batch job submission failed: Access/permission denied' >&2
exit 1
"""


def test_where_nodes_may_not_submit_a_person_is_told_what_to_type(
    cluster: Cluster,
    make_site: Callable[..., Site],
    local_store: Callable[[Sequence[int]], bytes],
    tmp_path: Path,
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sbatch").write_text(REFUSING)
    (tmp_path / "bin/sbatch").chmod(0o755)
    # A login shell sets its PATH anew: this is what a job's shell reads last.
    (tmp_path / ".profile").write_text(f'PATH="{tmp_path}/bin:$PATH"\n')
    site = make_site(cluster, NUMBERS)
    site.act(RAISING, "raise once")
    site("submit", site.run_dir, env={"HOME": str(tmp_path)})
    site.wait_until_over()

    (log,) = site.run_dir.glob("attempts/0001/logs/advance.log")
    told = log.read_text()
    assert "Access/permission denied" in told, site.story()
    assert f"slidearray resubmit {shlex.quote(str(site.run_dir))}" in told.replace("\n", "")
    assert site.troubles() == {"s002": "worker_error"}
    assert site.status()["states"]["done"] == len(NUMBERS) - 1, "nothing is lost"
    assert "resubmit" in site("status", site.run_dir, expect=3).stdout

    site("resubmit", site.run_dir)
    site.wait_until_over()
    assert site.status()["complete"], site.story()
    assert set(site.tries().values()) == {1, 2}
    assert site.store.read_bytes() == local_store(NUMBERS)


def test_cancel_takes_everything_back_and_nothing_comes_again_by_itself(
    cluster: Cluster,
    make_site: Callable[..., Site],
    local_store: Callable[[Sequence[int]], bytes],
) -> None:
    site = make_site(cluster, NUMBERS, profile={"max_running": 2})
    for number in NUMBERS:
        site.act(number, "block")
    site("submit", site.run_dir)
    site.wait(lambda: sum(len(site.held(number)) for number in NUMBERS) == 2, "two slots at work")
    site("cancel", site.run_dir)
    site.wait_until_over()
    site.wait(lambda: not cluster.processes_of(site.folder), "the workers to end")

    site.go(*NUMBERS)
    assert site.attempts() == [1]
    assert not site.store.exists()
    # The accounts lag behind the queue: until they tell, a slide's end is unknown.
    site.wait(lambda: len(site.troubles()) == len(NUMBERS), "every slide's end to be known")
    assert set(site.troubles().values()) == {"cancelled"}, site.story()
    assert len(site.tries()) == 2

    site("resubmit", site.run_dir)
    site.wait_until_over()
    assert site.attempts() == [1, 2]
    assert site.status()["complete"], site.story()
    assert site.store.read_bytes() == local_store(NUMBERS)


def test_a_log_is_shown_by_slide_and_a_run_that_was_submitted_is_not_submitted_twice(
    cluster: Cluster, make_site: Callable[..., Site]
) -> None:
    site = make_site(cluster, NUMBERS)
    site("submit", site.run_dir)
    refused = site("submit", site.run_dir, expect=1).stderr
    assert "resubmit" in refused
    site.wait_until_over()
    assert "s001: done" in site("logs", site.run_dir, "s001").stdout
    assert "s001" not in site("logs", site.run_dir, "advance").stderr
    assert site.starts() == dict.fromkeys(range(3), 1)
    (advanced,) = [row for row in _accounted(cluster, site) if row[0] == site.advance_id()]
    assert advanced[1] == "COMPLETED"


def _accounted(cluster: Cluster, site: Site) -> list[list[str]]:
    """Rows of the job that goes on, once the accounts are settled."""

    def rows() -> list[list[str]]:
        return cluster.sacct("-j", site.advance_id(), output="JobID,State")

    site.wait(lambda: rows() and rows()[0][1] not in ("PENDING", "RUNNING"), "the accounts")
    return rows()
