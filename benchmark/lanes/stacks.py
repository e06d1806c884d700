"""Sampled stacks as `perf script` prints them, folded for flamegraphs: one line per stack, outermost frame first."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

# ip, symbol with an optional offset, and the file that it is from in parentheses.
_FRAME = re.compile(r"^\s+[0-9a-f]+ (?P<symbol>.+?)(?:\+0x[0-9a-f]+)? \((?P<file>[^()]*)\)$")
_SAMPLE = re.compile(r"^(?P<thread>\S.*?)\s+\d+(?:/\d+)?\s+[\d.]+:\s+(?P<period>\d+) ")
_NUMBER = re.compile(r"-?\d+")
_HASH = re.compile(r"::h[0-9a-f]{16}$")
_INTERPRETER = re.compile(r"(^|/)(libpython|python)[^/]*$")
_LIBC = re.compile(r"(^|/)(libc\.so|ld-linux)[^/]*$")

CALLER = "Python"
"""The one frame that the interpreter's own frames at the bottom of a stack become."""

Frame = tuple[str, str]
"""A symbol, and the file that it is from."""


def fold(text: str) -> dict[str, int]:
    """Sum the periods of equal stacks. Each begins with the name of its thread, without its number."""
    folded: Counter[str] = Counter()
    for thread, period, frames in samples(text):
        folded[";".join([_clean(_NUMBER.sub("", thread)), *shortened(frames)])] += period
    return dict(folded)


def samples(text: str) -> Iterator[tuple[str, int, list[Frame]]]:
    """Yields thread, period and frames of every sample, outermost frame first."""
    thread, period, frames = "", 0, list[Frame]()
    for line in [*text.splitlines(), ""]:
        if match := _SAMPLE.match(line):
            thread, period, frames = match["thread"], int(match["period"]), []
        elif match := _FRAME.match(line):
            frames.append((match["symbol"], match["file"]))
        elif not line.strip() and thread:
            yield thread, period, frames[::-1]
            thread = ""


def shortened(frames: list[Frame]) -> list[str]:
    """Names of frames, those of the interpreter below the first call into something else drawn together.

    The innermost of these is kept if it is a function of libc, or if the stack stays in the interpreter: it says what
    Python was doing.
    """
    inside = 0
    while inside < len(frames) and (_INTERPRETER.search(frames[inside][1]) or _LIBC.search(frames[inside][1])):
        inside += 1
    if not any(_INTERPRETER.search(file) for _, file in frames[:inside]):
        return [_clean(symbol) for symbol, _ in frames]
    if inside == len(frames) or _LIBC.search(frames[inside - 1][1]):
        inside -= 1
    return [CALLER, *(_clean(symbol) for symbol, _ in frames[inside:])]


def _clean(symbol: str) -> str:
    # Semicolons separate frames in folded text.
    return _HASH.sub("", symbol).replace(";", ",")


def pruned(folded: dict[str, int], least_share: float) -> dict[str, int]:
    """Cut stacks off where a frame has less than this share of everything: nobody could see it, but files grow."""
    totals: Counter[tuple[str, ...]] = Counter()
    for stack, weight in folded.items():
        frames = tuple(stack.split(";"))
        for depth in range(1, len(frames) + 1):
            totals[frames[:depth]] += weight
    least = least_share * sum(folded.values())
    kept: Counter[str] = Counter()
    for stack, weight in folded.items():
        frames = tuple(stack.split(";"))
        # The thread stays, however little it did.
        visible = [n for n in range(2, len(frames) + 1) if totals[frames[:n]] >= least]
        kept[";".join(frames[: max(visible, default=1)])] += weight
    return dict(kept)


def folded_text(folded: dict[str, int]) -> str:
    return "".join(f"{stack} {weight}\n" for stack, weight in sorted(folded.items()) if weight > 0)
