"""Work on a loop or under the GIL that no stage names, found from the waits for it.

While an operation waits for the loop, the loop is busy, or its thread is being woken. Where such waits and the
recorded work touch, they are one busy period; what of it is no recorded work is hidden work. It has two parts: what is
paid once per period, because the loop was asleep, and what every operation costs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aerospike_py_analysis.model import Floats, Ints


@dataclass(frozen=True)
class Hidden:
    """Per operation, in nanoseconds: what it costs only if it finds nobody at work, and what it costs always."""

    setup_ns: Floats
    always_ns: Floats


def hidden(work_begin: Ints, work_end: Ints, wait_begin: Ints, wait_end: Ints, job_begin: Ints) -> Hidden:
    """Splits the hidden work among operations.

    ``work`` and ``wait`` are stretches of any number; ``job_begin`` has the moment in each operation at which its part
    after the reply began. The result has an entry for each of these, and together they are all hidden work of periods
    with operations.
    """
    begin, end = union(np.concatenate([work_begin, wait_begin]), np.concatenate([work_end, wait_end]))
    setup, always = np.zeros(job_begin.size), np.zeros(job_begin.size)
    if not begin.size or not job_begin.size:
        return Hidden(setup, always)
    known = covered(*union(work_begin, work_end), begin, end)
    total = np.maximum((end - begin) - known, 0.0)
    period = np.clip(np.searchsorted(begin, job_begin, side="right") - 1, 0, begin.size - 1)
    jobs = np.bincount(period, minlength=begin.size)
    once = once_per_period(total[jobs > 0], jobs[jobs > 0])
    paid = np.minimum(total, once)
    always = ((total - paid) / np.maximum(jobs, 1))[period]
    order = np.lexsort((job_begin, period))
    first = order[np.flatnonzero(np.diff(period[order], prepend=-1))]
    setup[first] = paid[period[first]]
    return Hidden(setup, always)


def once_per_period(total: Floats, jobs: Ints) -> float:
    """What of the hidden work is paid once per busy period: typical periods with one job against those with more.

    With one job in every period the two parts cannot be told apart. Then all is taken to be paid once, since waking a
    thread costs more than a callback does.
    """
    alone, together = total[jobs == 1], jobs > 1
    if not alone.size:
        return 0.0
    single = float(np.median(alone))
    if not together.any():
        return single
    each = float(np.median((total[together] - single) / (jobs[together] - 1)))
    return single - min(max(each, 0.0), single)


def union(begin: Ints, end: Ints) -> tuple[Ints, Ints]:
    """Stretches that neither overlap nor touch, in order, which cover the same time."""
    real = end > begin
    begin, end = begin[real], end[real]
    if not begin.size:
        return begin, end
    order = np.argsort(begin, kind="stable")
    begin, end = begin[order], np.maximum.accumulate(end[order])
    fresh = np.ones(begin.size, dtype=np.bool_)
    fresh[1:] = begin[1:] > end[:-1]
    last = np.append(np.flatnonzero(fresh)[1:], begin.size) - 1
    return begin[fresh], end[last]


def covered(begin: Ints, end: Ints, of_begin: Ints, of_end: Ints) -> Floats:
    """How much of each stretch ``of`` is covered by the first ones, which do not overlap."""
    if not begin.size:
        return np.zeros(of_begin.size)
    sums = np.concatenate([[0], np.cumsum(end - begin)])

    def before(moment: Ints) -> Ints:
        position = np.searchsorted(begin, moment, side="right")
        partly = np.maximum(end[np.maximum(position - 1, 0)] - moment, 0) * (position > 0)
        found: Ints = sums[position] - partly
        return found

    return (before(of_end) - before(of_begin)).astype(np.float64)
