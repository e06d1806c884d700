"""What gathered calls cost beside one mixed batch of the same keys, and how uneven the nodes of batches are."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

import numpy as np

from aerospike_py_analysis.bursts import Bursts
from aerospike_py_analysis.culprits import place_of
from aerospike_py_analysis.profile import Profile

MOST_BATCHES: Final = 2000


@dataclass(frozen=True)
class Gathered:
    """Calls of one operation that were gathered, and the estimate for one batch instead."""

    operation: str
    bursts: int
    calls: int
    calls_share: float
    calls_per_burst: float
    took_ns: float
    batch_ns: float
    saved_ns: float
    saved_low_ns: float
    saved_high_ns: float


@dataclass(frozen=True)
class NodeSkew:
    """How often a node was the last of a batch, and how long the others had been done by then.

    ``bytes_mean`` is what it sends for a batch, none if the recording does not say.
    """

    node: str
    batches: int
    last: int
    mean_ns: float
    excess_ns: float
    bytes_mean: float | None


def gathered(bursts: Bursts, profile: Profile) -> list[Gathered]:
    """The bursts by their operation; times are medians, the interval is that of the middle 80 %."""
    if not bursts.kept:
        return []
    words = profile.recording.vocabulary
    by_operation = defaultdict(list)
    for burst in bursts.kept:
        by_operation[burst.operation].append(burst)
    found = []
    for code, ones in by_operation.items():
        took = np.array([one.took_ns for one in ones], dtype=np.float64)
        batch = np.array([one.batch_ns for one in ones], dtype=np.float64)
        calls = sum(one.calls for one in ones)
        part = len(ones) / len(bursts.kept)
        low, middle, high = np.quantile(took - batch, [0.1, 0.5, 0.9]).tolist()
        found.append(
            Gathered(
                words.word(code) or "unknown",
                round(bursts.count * part),
                round(calls * bursts.stride),
                min(calls * bursts.stride / max(profile.count, 1), 1.0),
                calls / len(ones),
                float(np.median(took)),
                float(np.median(batch)),
                middle,
                low,
                high,
            )
        )
    return sorted(found, key=lambda one: one.bursts * one.saved_ns, reverse=True)


def node_skew(profile: Profile) -> list[NodeSkew]:
    """The nodes of batches by the time that they alone made the caller wait."""
    places = []
    for group in profile.groups:
        rows = np.flatnonzero(group.rows["keys"] > 1)
        # An even choice over all durations, so that the tail is there and does not dominate.
        chosen = (
            rows[np.linspace(0, rows.size - 1, min(rows.size, MOST_BATCHES)).astype(np.int64)] if rows.size else rows
        )
        places += [place_of(group, int(row)) for row in chosen]
    batches: dict[str, int] = defaultdict(int)
    last: dict[str, int] = defaultdict(int)
    spent: dict[str, float] = defaultdict(float)
    excess: dict[str, float] = defaultdict(float)
    received: dict[str, float] = defaultdict(float)
    for details in profile.recording.details(places).values():
        if len(details.tracks) < 2:
            continue
        ends = sorted((track.start_ns + track.duration_ns, track.node or "unknown") for track in details.tracks)
        for track in details.tracks:
            batches[track.node or "unknown"] += 1
            spent[track.node or "unknown"] += track.duration_ns
            received[track.node or "unknown"] += np.nan if track.bytes_received is None else track.bytes_received
        last[ends[-1][1]] += 1
        excess[ends[-1][1]] += ends[-1][0] - ends[-2][0]
    found = [
        NodeSkew(
            node,
            count,
            last[node],
            spent[node] / count,
            excess[node] / max(last[node], 1),
            None if np.isnan(received[node]) else received[node] / count,
        )
        for node, count in batches.items()
    ]
    return sorted(found, key=lambda one: excess[one.node], reverse=True)
