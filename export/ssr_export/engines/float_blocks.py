"""Finds the blocks of INT8 that have to stay in floating point: greedily, until the real engine passes the gate."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ssr_edge.bundle.manifest import FloatBlocks, FloatBlockTrial
from ssr_edge.common.errors import UsageError
from ssr_edge.common.progress import Log
from ssr_export.engines.block_ranker import Screen

# After the first ranking only the best few are tried again: a block that gained nothing alone seldom does later.
_WIDTH = 4
# With more than half of its blocks in floating point a network is no INT8 network any more.
_MOST = 0.5
# Less of the error than this taken away is no help.
_HELPS = 0.01
SCREEN_IMAGES = 16


def named_float_blocks(asked: str, blocks: Sequence[str]) -> list[str]:
    """The blocks that `--float-blocks` names, in graph order; none for `auto` and `none`.

    Raises:
        UsageError: a name is not one of `blocks`.
    """
    if asked in ("auto", "none"):
        return []
    named = [name.strip() for name in asked.split(",")]
    unknown = [name for name in named if name not in blocks]
    if unknown:
        raise UsageError(
            f"--float_blocks: the network has no block {unknown[0]!r}",
            expected="auto, none, or a list of " + ", ".join(blocks),
            next_step="ssr-edge build-engine --float-blocks auto",
        )
    return [block for block in blocks if block in named]


def search(screen: Screen, blocks: Sequence[str], passes: Callable[[list[str]], bool], log: Log) -> FloatBlocks:
    """Adds the block that takes the most logit error away for the least time, until the gate passes or nothing helps.

    passes: builds the real engine with these islands and says whether it passes the gate. Where nothing passes, the
    result has no float_blocks: they would cost time and buy nothing.
    """
    kept: list[str] = []
    trials: list[FloatBlockTrial] = []
    candidates, error = list(blocks), screen.error([])
    while candidates and len(kept) + 1 <= _MOST * len(blocks):
        ranking = screen.rank(kept, candidates)
        best = ranking[0]
        helps = best.error < error * (1 - _HELPS)
        trials += [
            FloatBlockTrial(block=s.block, before=error, error=s.error, added_ms=s.added_ms, kept=helps and s is best)
            for s in ranking
        ]
        if not helps:
            return FloatBlocks(asked="auto", blocks=[], why="no further block takes logit error away", trials=trials)
        kept.append(best.block)
        log(
            f"  {best.block} in floating point: logit error {error:.1%} -> {best.error:.1%} for {best.added_ms:.2f} ms "
            "an image"
        )
        in_order = [block for block in blocks if block in kept]
        if passes(in_order):
            why = f"INT8 alone failed the gate; with {_count(kept)} in floating point it passes"
            return FloatBlocks(asked="auto", blocks=in_order, why=why, trials=trials)
        error = best.error
        candidates = [s.block for s in ranking[1 : 1 + _WIDTH]]
    why = f"not even {_count(kept)} in floating point pass the gate"
    return FloatBlocks(asked="auto", blocks=[], why=why, trials=trials)


def _count(blocks: Sequence[str]) -> str:
    return f"{len(blocks)} block" + ("s" if len(blocks) != 1 else "")
