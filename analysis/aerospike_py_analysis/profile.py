"""One pass over a recording: everything that the analysis needs, in memory that does not grow with the operations.

Per operation and lane: exact counts and sums, histograms, slices of time and a sample of whole rows. What they mean
is computed
elsewhere.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from aerospike_py_analysis import histogram
from aerospike_py_analysis.bursts import Bursts
from aerospike_py_analysis.model import NONE, Chunk, Floats, Ints, Probes
from aerospike_py_analysis.recording import Recording
from aerospike_py_analysis.sample import Sample
from aerospike_py_analysis.slices import Slices


@dataclass
class Group:
    """All operations of one name on one lane."""

    operation: str
    lane: str
    stages: list[str]
    count: int
    total_ns: float
    sums: Floats
    touched: Ints
    durations: Ints
    counts: Ints
    outcomes: dict[str, int]
    failed_in: dict[str, int]
    keys: int
    attempts: int
    bytes_sent: int
    bytes_received: int
    most_in_flight: int
    rows: Chunk
    weights: Floats
    slices: Slices

    @property
    def name(self) -> str:
        """How the group is called in reports."""
        return f"{self.operation} ({self.lane})"

    @property
    def complete(self) -> bool:
        """Whether the sample holds every operation."""
        return self.count == len(self.rows)

    def quantile(self, q: float) -> float:
        """A percentile of the wall time: exact if the sample is complete, else within the error of the histogram."""
        if self.complete:
            return ranked(self.rows["duration_ns"], q)
        return histogram.quantile(self.durations, q)

    def stage_quantile(self, stage: int, q: float) -> float:
        """A percentile of a stage over the operations that spent time in it."""
        if self.complete:
            values = self.rows.stages[stage]
            return ranked(np.sort(values[values > 0]), q)
        return histogram.quantile(self.counts[stage], q)


def ranked(ordered: Ints, q: float) -> float:
    """The value at rank ``ceil(q * n)``, which is the one histograms and exact figures agree on."""
    if not ordered.size:
        return 0.0
    return float(ordered[min(max(int(np.ceil(q * ordered.size)), 1), ordered.size) - 1])


@dataclass
class Deferred:
    """Conversions after the operation's own wall time."""

    count: int = 0
    total_ns: int = 0
    durations: Ints = field(default_factory=lambda: np.zeros(histogram.BINS, dtype=np.int64))


@dataclass
class Profile:
    """A recording, summed up."""

    recording: Recording
    stages: list[str]
    groups: list[Group]
    bursts: Bursts
    deferred: dict[str, Deferred]
    probes: dict[str, Probes]
    first_ns: int
    last_ns: int
    missing: int

    @property
    def count(self) -> int:
        """Operations of all groups."""
        return sum(group.count for group in self.groups)

    @property
    def total_ns(self) -> float:
        """Wall time of all operations together."""
        return sum(group.total_ns for group in self.groups)


class _Sums:
    """Grows while chunks come in; becomes a ``Group``."""

    def __init__(self, stages: int) -> None:
        self.count = 0
        self.total = 0
        self.sums = np.zeros(stages)
        self.touched = np.zeros(stages, dtype=np.int64)
        self.durations = np.zeros(histogram.BINS, dtype=np.int64)
        self.counts = np.zeros((stages, histogram.BINS), dtype=np.int64)
        self.outcomes: Counter[int] = Counter()
        self.failed_in: Counter[int] = Counter()
        self.totals = dict.fromkeys(("keys", "attempts", "bytes_sent", "bytes_received"), 0)
        self.most_in_flight = 0
        self.sample = Sample()
        self.slices = Slices(stages)

    def add(self, chunk: Chunk) -> None:
        self.count += len(chunk)
        self.total += int(chunk["duration_ns"].sum())
        self.durations += np.bincount(histogram.bins(chunk["duration_ns"]), minlength=histogram.BINS)
        for position, values in enumerate(chunk.stages):
            total = int(values.sum())
            positive = values[values > 0]
            if positive.size:
                self.counts[position] += np.bincount(histogram.bins(positive), minlength=histogram.BINS)
                self.touched[position] += positive.size
            self.sums[position] += total
        for name, counter in (("outcome", self.outcomes), ("failed_in", self.failed_in)):
            words, counts = np.unique(chunk[name], return_counts=True)
            counter.update(dict(zip(words.tolist(), counts.tolist(), strict=True)))
        for name in self.totals:
            self.totals[name] += int(np.maximum(chunk[name], 0).sum())
        self.most_in_flight = max(self.most_in_flight, int(chunk["in_flight"].max()))
        self.sample.add(chunk)
        self.slices.add(chunk)


def profile(recording: Recording) -> Profile:
    """Reads a whole recording once."""
    stages = recording.stages
    vocabulary = recording.vocabulary
    found: dict[tuple[int, int], _Sums] = {}
    deferred: dict[int, Deferred] = {}
    bursts = Bursts(stages)
    ids: dict[int, tuple[int, int, int]] = {}
    first, last = np.iinfo(np.int64).max, 0
    for chunk in recording.chunks():
        if chunk.conversions.any():
            convert(chunk.take(chunk.conversions), deferred)
            chunk = chunk.take(~chunk.conversions)
        if not len(chunk):
            continue
        first = min(first, int(chunk["start_ns"].min()))
        last = max(last, int((chunk["start_ns"] + chunk["duration_ns"]).max()))
        if chunk.numbered:
            count_ids(chunk, ids)
        bursts.add(chunk)
        keys = chunk["operation"] * (1 << 20) + chunk["lane"]
        for key in np.unique(keys).tolist():
            part = chunk if (keys == key).all() else chunk.take(keys == key)
            sums = found.setdefault(divmod(key, 1 << 20), _Sums(len(stages)))
            sums.add(part)
    groups = [group(key, sums, recording) for key, sums in found.items()]
    groups.sort(key=lambda one: one.total_ns, reverse=True)
    widest = max((one.slices.width_ns for one in groups), default=0)
    for one in groups:
        one.slices.widen_to(widest)
    missing = sum(highest - lowest + 1 - seen for lowest, highest, seen in ids.values())
    names = {vocabulary.words[code]: value for code, value in deferred.items()}
    probes = recording.probes()
    return Profile(recording, stages, groups, bursts, names, probes, first if groups else 0, last, max(missing, 0))


def group(key: tuple[int, int], sums: _Sums, recording: Recording) -> Group:
    """The finished figures of one operation and lane."""
    vocabulary = recording.vocabulary
    rows, weights = sums.sample.finish()

    def named(counter: Counter[int]) -> dict[str, int]:
        return {vocabulary.words[code]: count for code, count in counter.most_common() if code != NONE}

    return Group(
        vocabulary.word(key[0]) or "unknown",
        vocabulary.word(key[1]) or "unknown",
        recording.stages,
        sums.count,
        float(sums.total),
        sums.sums,
        sums.touched,
        sums.durations,
        sums.counts,
        named(sums.outcomes),
        named(sums.failed_in),
        sums.totals["keys"],
        sums.totals["attempts"],
        sums.totals["bytes_sent"],
        sums.totals["bytes_received"],
        max(sums.most_in_flight, 0),
        rows,
        weights,
        sums.slices,
    )


def convert(chunk: Chunk, deferred: dict[int, Deferred]) -> None:
    """Adds conversions that were made after their operation."""
    for code in np.unique(chunk["operation"]).tolist():
        values = chunk["duration_ns"][chunk["operation"] == code]
        entry = deferred.setdefault(code, Deferred())
        entry.count += values.size
        entry.total_ns += int(values.sum())
        entry.durations = entry.durations + np.bincount(histogram.bins(values), minlength=histogram.BINS)


def count_ids(chunk: Chunk, ids: dict[int, tuple[int, int, int]]) -> None:
    """Lowest and highest number and how many there are, per process: numbers that are missing were not recorded."""
    for process in np.unique(chunk["process"]).tolist():
        numbers = chunk["operation_id"][chunk["process"] == process]
        numbers = numbers[numbers != NONE]
        if not numbers.size:
            continue
        lowest, highest, seen = ids.get(process, (int(numbers[0]), int(numbers[0]), 0))
        ids[process] = (min(lowest, int(numbers.min())), max(highest, int(numbers.max())), seen + numbers.size)
