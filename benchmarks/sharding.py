"""How long the last array task takes, against the least time that any plan could take.

Costs of slides are drawn from heavy-tailed distributions. K tasks run at once, each new one as soon
as one of them ends, in the order in which they were submitted. The bound is max(total / K, the
longest slide). Prints a Markdown table of makespan over bound, the median of several draws.

    python benchmarks/sharding.py [DRAWS]
"""

from __future__ import annotations

import heapq
import statistics
import sys
from typing import TYPE_CHECKING

import numpy as np

from slidearray.core.config import ShardsConfig
from slidearray.core.cost import SLIDE_SECONDS
from slidearray.core.sharding import deal, pack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]

SLIDES = 5000
AT_ONCE = (8, 32, 128, 256)
MEAN_SECONDS = 120.0
#: Standard deviation of the logarithm of real over predicted seconds.
ERROR = 0.3


def lognormal(sigma: float) -> Draw:
    return lambda rng, count: rng.lognormal(0.0, sigma, count)


def pareto(alpha: float) -> Draw:
    return lambda rng, count: 1 + rng.pareto(alpha, count)


def like_slides(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Biopsies and resections, with tissue on a part of each: what cohorts of scans look like."""
    large = rng.random(count) < 0.4
    tiles = np.where(large, rng.lognormal(9.8, 0.5, count), rng.lognormal(7.5, 0.7, count))
    return np.asarray(SLIDE_SECONDS + tiles * rng.beta(2, 4, count) / 500)


COSTS: dict[str, Draw] = {
    "like slides": like_slides,
    "lognormal, sigma 1": lognormal(1.0),
    "lognormal, sigma 2": lognormal(2.0),
    "Pareto, alpha 2": pareto(2.0),
    "Pareto, alpha 1.2": pareto(1.2),
}


def main() -> None:
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    print(
        "| costs | at once | tasks | ours | ours, errors of 30 % | equal seconds "
        "| equal counts | a slide a task, in order |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name, draw in COSTS.items():
        for at_once in AT_ONCE:
            results = [one_draw(draw, at_once, seed=seed) for seed in range(draws)]
            cells = [statistics.median(each[k] for each in results) for k in range(6)]
            ratios = " | ".join(f"{ratio:.3f}" for ratio in cells[1:])
            print(f"| {name} | {at_once} | {cells[0]:.0f} | {ratios} |")


def one_draw(draw: Draw, at_once: int, *, seed: int) -> list[float]:
    """Tasks of our plan; makespan over bound of it, of its variants and of simpler plans."""
    rng = np.random.default_rng(seed)
    costs = draw(rng, SLIDES)
    costs *= MEAN_SECONDS / costs.mean()
    mistaken = costs * rng.lognormal(0.0, ERROR, SLIDES)
    bound = max(costs.sum() / at_once, costs.max())
    ours = deal(costs.tolist(), ShardsConfig())
    counts = np.array_split(np.arange(SLIDES), len(ours))
    plans: list[list[list[int]]] = [
        ours,
        deal(mistaken.tolist(), ShardsConfig()),
        pack(costs.tolist(), len(ours)),
        [members.tolist() for members in counts],
        [[slide] for slide in range(SLIDES)],
    ]
    return [len(ours), *(makespan(costs, plan, at_once=at_once) / bound for plan in plans)]


def makespan(costs: NDArray[np.float64], tasks: Sequence[Sequence[int]], *, at_once: int) -> float:
    """When the last task ends, if each begins as soon as one of those running has ended."""
    running = [0.0] * at_once
    for members in tasks:
        heapq.heapreplace(running, running[0] + float(costs[members].sum()))
    return max(running)


if __name__ == "__main__":
    main()
