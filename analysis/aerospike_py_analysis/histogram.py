"""Log-linear histograms: mergeable counts from which percentiles are known to within one per cent.

Every power of two is divided into 64 bins of equal width, so that the middle of a bin is at most 1/128 from any value
in it.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from aerospike_py_analysis.model import Floats, Ints

BITS: Final = 6
OCTAVES: Final = 45
# Bin 0 is for zero (and less, which no healthy recording has).
BINS: Final = (OCTAVES << BITS) + 1
ERROR: Final = 1 / (2 << BITS)
_SHIFT: Final = 52 - BITS
_ONE: Final = 1023 << BITS


def bins(values: Ints) -> Ints:
    """The bin of each value: exponent and leading mantissa bits of the floating-point number are its number."""
    raw = np.maximum(values, 0).astype(np.float64).view(np.int64)
    raw >>= _SHIFT
    raw -= _ONE - 1
    return np.clip(raw, 0, BINS - 1, out=raw)


def middles() -> Floats:
    """The value that stands for each bin."""
    number = np.arange(BINS - 1, dtype=np.float64)
    octave = np.floor(number / (1 << BITS))
    fraction = (number - octave * (1 << BITS) + 0.5) / (1 << BITS)
    middle = np.exp2(octave) * (1 + fraction)
    # Below 64 a bin holds one whole number at most.
    middle = np.where(octave < BITS, np.ceil(np.exp2(octave) * (1 + (fraction - 0.5 / (1 << BITS)))), middle)
    return np.concatenate([[0.0], middle])


MIDDLES: Final = middles()


def quantile(counts: Ints, q: float) -> float:
    """The value below which a share ``q`` of the counted values lies; 0 if there is none."""
    cumulative = np.cumsum(counts)
    total = int(cumulative[-1])
    if not total:
        return 0.0
    rank = min(max(int(np.ceil(q * total)), 1), total)
    return float(MIDDLES[int(np.searchsorted(cumulative, rank))])
