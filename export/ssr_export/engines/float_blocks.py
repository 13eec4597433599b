"""Proposes blocks of an INT8 network to keep in floating point, one more at a time, until the gate passes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ssr_edge.bundle.manifest import FloatBlocks, FloatBlockTrial
from ssr_edge.common.errors import UsageError
from ssr_edge.common.progress import Log
from ssr_export.engines.block_ranker import BlockRanker

# After the first ranking only the best few are ranked again: a block that gains nothing alone rarely does later.
_WIDTH = 4
# With more than half of its blocks in floating point, a network is no longer an INT8 network.
_MAX_SHARE = 0.5
# A smaller relative reduction of the error than this does not count as an improvement.
_MIN_REDUCTION = 0.01
RANKING_IMAGES = 16


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
            f"--float-blocks: the network has no block {unknown[0]!r}",
            expected="auto, none, or a list of " + ", ".join(blocks),
            next_step="ssr-edge build-engine --float-blocks auto",
        )
    return [block for block in blocks if block in named]


def proposals(ranker: BlockRanker, blocks: Sequence[str], log: Log) -> Iterator[FloatBlocks]:
    """Yields growing sets of float blocks to build INT8 with; the caller stops at the first that passes the gate.

    Each set adds the block that removes the most logit error per added time. The last set is empty, with the reason
    why the search ended: blocks that do not make the engine pass would only cost time.
    """
    kept: list[str] = []
    trials: list[FloatBlockTrial] = []
    candidates, error = list(blocks), ranker.error([])
    reason = ""
    while candidates and len(kept) + 1 <= _MAX_SHARE * len(blocks):
        ranking = ranker.rank(kept, candidates)
        best = ranking[0]
        helps = best.error < error * (1 - _MIN_REDUCTION)
        trials += [
            FloatBlockTrial(block=r.block, before=error, error=r.error, added_ms=r.added_ms, kept=helps and r is best)
            for r in ranking
        ]
        if not helps:
            reason = "no further block reduces the logit error"
            break
        kept.append(best.block)
        log(
            f"  {best.block} in floating point: logit error {error:.1%} -> {best.error:.1%}, "
            f"{best.added_ms:.2f} ms more per image"
        )
        why = f"plain INT8 failed the gate; with {_count(kept)} in floating point it passes"
        in_order = [block for block in blocks if block in kept]
        yield FloatBlocks(asked="auto", blocks=in_order, why=why, trials=list(trials))
        error = best.error
        candidates = [r.block for r in ranking[1 : 1 + _WIDTH]]
    reason = reason or f"still fails the gate with {_count(kept)} in floating point"
    yield FloatBlocks(asked="auto", blocks=[], why=reason, trials=trials)


def _count(blocks: Sequence[str]) -> str:
    return f"{len(blocks)} block" + ("s" if len(blocks) != 1 else "")
