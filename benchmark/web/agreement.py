"""Whether the load generator and the service agree on the same requests, and by how much they do not.

The service's stages begin when its event loop has read a request and end when it has written the response. What the
generator sees beyond that is its own work, the kernel's, and the time that a request waits in its socket because the
event loop is busy with others. With one connection requests are matched one by one; with more, as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmark.harness.histogram import Histogram


def agreement(client_ns: Sequence[int], service_ns: Sequence[int], connections: int) -> dict[str, Any]:
    """Compare latencies with sums of stages.

    Args:
        client_ns: From the actual start to the end, as the generator saw it, in the order of the starts.
        service_ns: Sums of the stages of the same requests, in the order in which the service read them.
        connections: How many requests may be under way at once.

    Returns:
        The fields `requests` and `served`, which must be the same; sums of both sides; and, of one connection, a
        histogram of the differences. They are negative, and counted as nothing, where the service was interrupted
        between writing its answer and looking at the clock; how often that was is said as well.
    """
    found: dict[str, Any] = {
        "requests": len(client_ns),
        "served": len(service_ns),
        "client_ns": sum(client_ns),
        "service_ns": sum(service_ns),
        "service": Histogram.of(service_ns).as_json(),
        "differences": None,
        "negative": 0,
    }
    if connections == 1 and len(client_ns) == len(service_ns):
        differences = [one - other for one, other in zip(client_ns, service_ns, strict=True)]
        found["differences"] = Histogram.of(differences).as_json()
        found["negative"] = sum(difference < 0 for difference in differences)
    return found


def same_requests(rounds: Sequence[dict[str, Any]]) -> bool:
    """Whether both sides counted the same requests in every round."""
    return all(each["agreement"]["requests"] == each["agreement"]["served"] for each in rounds)


def difference_ns(result: dict[str, Any]) -> float | None:
    """By how much a request took longer for the generator than for the service, on average over a round."""
    agreed = result.get("agreement")
    if not agreed or not agreed["requests"] or agreed["requests"] != agreed["served"]:
        return None
    return float(agreed["client_ns"] - agreed["service_ns"]) / float(agreed["requests"])
