"""The test bed itself: a cluster runs jobs, slides are told apart, and nothing stays behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import openslide
import pytest
from tests.slurm import acting_encoder
from tests.slurm.clusters import FOLDERS, NAME
from tests.support import wait_for

if TYPE_CHECKING:
    from tests.slurm.clusters import Cluster

CHECKOUT = Path(__file__).parents[2]
ONE_NODE = """
from tests.slurm.clusters import clusters_of_this_process
with clusters_of_this_process() as clusters:
    print(clusters.start(ACCT="no", NODES=1).dir, flush=True)
    input()
"""


def test_an_array_runs_on_the_nodes(cluster: Cluster, tmp_path: Path) -> None:
    job = cluster.sbatch("--array=0-3", "-o", tmp_path / "%a.out", "--wrap", "hostname")
    cluster.wait_for_end(job)
    hosts = {path.read_text().strip() for path in tmp_path.iterdir()}
    assert hosts <= set(cluster.nodes)

    def accounted() -> bool:
        return [row[2] for row in cluster.sacct("-j", job)] == ["COMPLETED"] * 4

    wait_for(accounted, "the accounts to be settled")


def test_a_cluster_goes_when_the_process_that_started_it_is_killed(cluster: Cluster) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ONE_NODE], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout
        folder = Path(starter.stdout.readline().strip())
        assert folder.parent == FOLDERS
        assert folder.name.startswith(NAME)
        daemon = int((folder / "run/slurmctld.pid").read_text())
        starter.send_signal(signal.SIGKILL)
    wait_for(lambda: not folder.exists(), f"{folder} to be removed")
    assert not Path(f"/proc/{daemon}").exists()


@pytest.mark.parametrize("number", [0, 17, 40, 255])
def test_an_encoder_knows_a_slide_by_its_colour(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.slurm.coded_slides import TILE, TILES, write_coded

    write_coded(tmp_path / "slide.svs", number)
    with openslide.OpenSlide(tmp_path / "slide.svs") as slide:
        regions = [
            slide.read_region((TILE * x, TILE * y), 0, (TILE, TILE)).convert("RGB")
            for y in range(TILES[1])
            for x in range(TILES[0])
        ]
    seen: list[int] = []
    monkeypatch.setattr(acting_encoder, "act", seen.append)
    tiles = np.stack([np.asarray(region) for region in regions])
    features = acting_encoder.make().encode(tiles)
    assert [acting_encoder.make().encode(tile[None]).tolist() for tile in tiles] == [
        [row] for row in features.tolist()
    ]
    assert seen == [number] * (1 + len(tiles))
