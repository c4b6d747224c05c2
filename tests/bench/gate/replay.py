"""Plays gates over recorded blocks of the same code: `python -m tests.bench.gate.replay GATE_JSON... [--gates N]`.

The blocks of each file stay in the order in which they ran. A gate takes a stretch that begins at a drawn pair
and goes round, and reads it as if the sides had been what the order of blocks says, so drifts and bursts of the
machine stay in. With --slower, what is read as the head's is made slower by that factor.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import click
import msgspec

from rehearsal.gate.decide import Rule
from rehearsal.gate.order import Pair, Side
from rehearsal.gate.paired import Figures, RunPair, decide
from rehearsal.model import Outcome


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--gates", default=200, show_default=True)
@click.option("--slower", default=1.0, show_default=True)
@click.option("--seed", default=1, show_default=True)
def main(files: tuple[Path, ...], gates: int, slower: float, seed: int) -> None:
    """Count how gates end."""
    recorded = [
        [block["seconds"] for block in msgspec.json.decode(path.read_bytes())["timed"]["blocks"]] for path in files
    ]
    draw = random.Random(seed)  # noqa: S311 - which stretch is read
    ended: Counter[Outcome] = Counter()
    pairs = []
    for _ in range(gates):
        blocks = [block for part in draw.sample(recorded, len(recorded)) for block in part]
        decision = decide(
            _reader(blocks, draw.randrange(0, len(blocks), 2), slower), figures=sorted(blocks[0]), rule=Rule(),
            time_left=lambda: True,
        )  # fmt: skip
        ended[decision.outcome] += 1
        pairs.append(decision.pairs)
    click.echo(f"{sum(map(len, recorded))} blocks, {gates} gates, head {slower:g} times as slow, seed {seed}: "
               f"{dict(ended)}, {sum(pairs) / gates:.1f} pairs on average")  # fmt: skip


def _reader(blocks: list[Figures], begin: int, slower: float) -> RunPair:
    at = begin

    def block(side: Side) -> Figures:
        nonlocal at
        found = blocks[at % len(blocks)]
        at += 1
        return {name: value * slower for name, value in found.items()} if side is Side.HEAD else found

    def run(pair: Pair) -> tuple[Figures, Figures]:
        first = block(pair.first)
        return first, block(pair.second)

    return run


if __name__ == "__main__":
    main()
