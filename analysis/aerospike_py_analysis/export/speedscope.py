"""Speedscope's format: stages below operations below lanes, weighted by the time that all operations spent in them."""

from __future__ import annotations

import json
from typing import TextIO

from aerospike_py_analysis.profile import profile
from aerospike_py_analysis.recording import Recording


def write(recording: Recording, stream: TextIO, limit: int | None) -> int:
    """Writes one sampled profile of the whole recording; sums need no limit."""
    del limit
    summed = profile(recording)
    frames: dict[str, int] = {}
    samples, weights = [], []
    for group in summed.groups:
        for name, value in zip(group.stages, group.sums.tolist(), strict=True):
            if value > 0:
                samples.append([frames.setdefault(word, len(frames)) for word in (group.lane, group.operation, name)])
                weights.append(int(value))
    json.dump(
        {
            "$schema": "https://www.speedscope.app/file-format-schema.json",
            "exporter": "aerospike-py",
            "name": ", ".join(recording.names),
            "shared": {"frames": [{"name": name} for name in frames]},
            "profiles": [
                {
                    "type": "sampled",
                    "name": "wall time by stage",
                    "unit": "nanoseconds",
                    "startValue": 0,
                    "endValue": sum(weights),
                    "samples": samples,
                    "weights": weights,
                }
            ],
        },
        stream,
    )
    return summed.count
