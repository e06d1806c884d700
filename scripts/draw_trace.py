"""Draws a trace of ours as a picture for the docs, from spans that a collector of the tests has received.

The workload is a batch over three embedded nodes, one of which answers late. Needs the extension and the requirements
of the tests.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from html import escape
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "python" / "trace"))

TIMES = 30
WIDTH, LABELS, ROW = 1000, 330, 18
COLOURS = {
    "key_parse": "#7b61c4",
    "to_dict": "#7b61c4",
    "gil_reacquire": "#7b61c4",
    "network_write": "#2f8f6b",
    "network_wait": "#2f8f6b",
    "network_read": "#2f8f6b",
    "fan_in": "#c98a1b",
    "dispatch": "#c98a1b",
    "wake_delay": "#c98a1b",
    "backoff": "#c98a1b",
}
STYLE = "text { font: 12px sans-serif; fill: #222 } .small { font-size: 11px; fill: #555 }"


def receive() -> list[Any]:
    """The spans of the quickest of some batches, the operation's own first."""
    import aerospike_py
    from aerospike_py.testing import EmbeddedServer

    collector = importlib.import_module("receivers").HttpCollector()
    keys = [("test", "users", number) for number in range(90)]
    with EmbeddedServer(nodes=3, process=True) as server, aerospike_py.client(server.config()).connect() as client:
        client.batch_write([(key, {"n": number}) for number, key in enumerate(keys)])
        client.batch_read(keys)
        with server.fault("delay=8ms", node=1, command="batch_read"):
            aerospike_py.init_tracing(endpoint=collector.endpoint, protocol="http/protobuf")
            for _ in range(TIMES):
                client.batch_read(keys)
    aerospike_py.shutdown_tracing()
    collector.stop()
    root = min(collector.roots(), key=lambda span: span.duration)
    ordered = [root]
    for span in collector.below(root):
        ordered.append(span)
        ordered += collector.below(span)
    return ordered


def draw(spans: list[Any]) -> str:
    """The spans below each other, each as long as it took."""
    root = spans[0]
    depths = {root.span_id: 0}
    scale = (WIDTH - LABELS - 80) / root.duration
    height = ROW * len(spans) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="8" y="18">{escape(root.name)}: {root.duration / 1e6:.2f} ms, {len(spans)} spans</text>',
    ]
    for number, span in enumerate(spans):
        depth = depths.setdefault(span.span_id, depths.get(span.parent_id, 0) + 1)
        top = 30 + number * ROW
        left = LABELS + (span.start - root.start) * scale
        width = max(span.duration * scale, 1.0)
        colour = COLOURS.get(span.name, "#3b6fb6" if depth == 0 or span.name.startswith("node ") else "#8a98a8")
        parts += [
            f'<text x="{8 + 16 * depth}" y="{top + 13}">{escape(span.name)}</text>',
            f'<rect x="{left:.1f}" y="{top + 3}" width="{width:.1f}" height="{ROW - 6}" rx="2" fill="{colour}"/>',
            f'<text class="small" x="{left + width + 4:.1f}" y="{top + 13}">{span.duration / 1e3:.0f} µs</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def main() -> int:
    """Writes the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "images" / "traces" / "batch.svg")
    output: Path = parser.parse_args().output
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(draw(receive()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
