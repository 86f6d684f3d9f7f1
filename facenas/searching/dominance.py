"""Which points no other beats: the rule that keeps an exact search small.

Points come best first, so that only an earlier one can beat a later one: by costing at most as much in everything.
"""

import numpy as np

from facenas.arrays import BoolArray, Float64Array, IndexArray

_CHUNK = 512
_BLOCK = 4096
_MAX_LEVELS = 64


def pareto_front(cost: Float64Array, score: Float64Array) -> IndexArray:
    """Indices of the points with no cheaper and at least as good other, cost ascending and score strictly ascending."""
    order = np.lexsort((-score, cost))
    best = np.maximum.accumulate(score[order])
    first = np.concatenate([[True], score[order][1:] > best[:-1]]) if len(order) else np.zeros(0, bool)
    return np.asarray(order[first], np.intp)


def unbeaten(costs: Float64Array) -> IndexArray:
    """Rows of `costs` [n, k] with no earlier row that is at most theirs in every column, ascending."""
    count, columns = costs.shape
    if columns == 0:
        return np.arange(min(count, 1))
    if columns == 1:
        return np.flatnonzero(costs[:, 0] < _least_before(costs[:, 0]))
    if columns == 2:
        for by_level, other in ((costs[:, 0], costs[:, 1]), (costs[:, 1], costs[:, 0])):
            levels = np.unique(by_level)
            if len(levels) <= _MAX_LEVELS:
                return _unbeaten_by_level(by_level, levels, other)
    return _unbeaten_by_comparison(costs)


def _least_before(cost: Float64Array) -> Float64Array:
    """For every row the least of the rows before it."""
    return np.concatenate([[np.inf], np.minimum.accumulate(cost)[:-1]])


def _unbeaten_by_level(by_level: Float64Array, levels: Float64Array, other: Float64Array) -> IndexArray:
    """Two columns of which one takes few values (layers, say): one running minimum of the other for each of them."""
    keep = np.zeros(len(other), bool)
    for level in levels:
        mine = by_level == level
        least = _least_before(np.where(by_level <= level, other, np.inf))
        keep[mine] = other[mine] < least[mine]
    return np.flatnonzero(keep)


def _unbeaten_by_comparison(costs: Float64Array) -> IndexArray:
    kept: list[Float64Array] = []
    indices = [np.zeros(0, np.intp)]
    for start in range(0, len(costs), _CHUNK):
        chunk = np.arange(start, min(start + _CHUNK, len(costs)))
        for block in kept:
            chunk = chunk[~_beaten(costs[chunk], block).any(axis=1)]
        mine = costs[chunk]
        chunk = chunk[~np.tril(_beaten(mine, mine), -1).any(axis=1)]
        if not chunk.size:
            continue
        indices.append(chunk)
        if kept and len(kept[-1]) < _BLOCK:
            kept[-1] = np.concatenate([kept[-1], costs[chunk]])
        else:
            kept.append(costs[chunk])
    return np.concatenate(indices)


def _beaten(costs: Float64Array, others: Float64Array) -> BoolArray:
    """[n, m]: whether row n of `costs` is at least row m of `others` in every column."""
    beaten = others[:, 0] <= costs[:, 0, None]
    for column in range(1, costs.shape[1]):
        beaten &= others[:, column] <= costs[:, column, None]
    return np.asarray(beaten)
