"""What a report says of environments B and C: modes, places of inference, the pipeline, and whether both sides agree.

Tables and charts, made of the figures and of nothing else; what all cells have is in `sections`.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from benchmark.harness import charts
from benchmark.harness.figures import Interval, interval_of, latencies
from benchmark.harness.histogram import Histogram, merged
from benchmark.harness.report_parts import Figures, Section, Table, interval_text, name_of
from benchmark.harness.workloads import WEB_MODES
from benchmark.processes.places import FREE_THREADED, GIL
from benchmark.web.agreement import difference_ns, same_requests
from benchmark.web.marks import STAGES

LANE = "http"
_PARTS = (0.5, 0.99)


def pipeline(cell: dict[str, Any]) -> tuple[list[Table], list[str]]:
    """Where the requests of a cell spent their time, beside what the client says of itself: tables and pictures."""
    rows, stacks, client = [], [], []
    for member in cell["members"]:
        sums, served = _stage_sums(member)
        total = sum(sums.values())
        if not served or not total:
            continue
        texts = [charts.number(sums[stage] / served / 1e3) for stage in STAGES]
        rows.append([name_of(member), *texts, charts.number(total / served / 1e3)])
        stacks.append((name_of(member), [(stage, sums[stage] / total) for stage in STAGES if sums[stage]]))
        client += list(_client_rows(member, sums["fetch"], served))
    if not rows:
        return [], []
    tables = [Table(["service, us per request", *STAGES, "sum"], rows)]
    if client:
        header = ["the client's own account, us per request", "operation", "calls", "wall time", "after the call"]
        tables.append(Table([*header, "stages", "fetch of the service"], client))
    return tables, [charts.stacks("where a request's time goes in the service (shares of the sum)", stacks)]


def _stage_sums(member: dict[str, Any]) -> tuple[dict[str, int], int]:
    sums, served = dict.fromkeys(STAGES, 0), 0
    for result in member["rounds"]:
        served += result["agreement"]["served"]
        for stage, histogram in result["pipeline"]["stages"].items():
            sums[stage] += histogram["sum"]
    return sums, served


def _client_rows(member: dict[str, Any], fetch_ns: int, served: int) -> Iterator[list[str]]:
    together: dict[str, dict[str, Any]] = {}
    for result in member["rounds"]:
        for entry in result.get("stages") or []:
            found = together.setdefault(entry["operation"], {"count": 0, "wall": 0, "deferred": 0, "stages": {}})
            found["count"] += entry["count"]
            found["wall"] += entry["wall_ns"]
            found["deferred"] += entry["deferred_ns"]
            for stage, total in entry["stages"].items():
                found["stages"][stage] = found["stages"].get(stage, 0) + total
    for operation, found in together.items():
        largest = sorted(found["stages"].items(), key=lambda item: -item[1])
        stages = ", ".join(f"{stage} {charts.number(total / served / 1e3)}" for stage, total in largest if total)
        calls = charts.number(found["count"] / served)
        times = [charts.number(found[field] / served / 1e3) for field in ("wall", "deferred")]
        yield [name_of(member), operation, calls, *times, stages, charts.number(fetch_ns / served / 1e3)]


def agreement_section(figures: Figures) -> Section | None:
    """The load generator's latencies against the service's sums of stages, cell by cell."""
    rows = []
    for cell in figures.cells:
        for member in cell["members"] if cell["lane"] == LANE else []:
            rounds = [result for result in member["rounds"] if result["agreement"]["requests"]]
            if rounds:
                rows.append([cell["name"], name_of(member), *_agreement(rounds)])
    if not rows:
        return None
    text = (
        "For the same requests: what the load generator measured from the start of a request to its end, and the sum "
        "of the stages that the service measured, in microseconds. The service's clock runs from reading a request to "
        "having written the response; the difference is the load generator, the kernel, and the wait of a request in "
        "its socket while the event loop is busy with others. With one connection there are no others, and requests "
        "are compared one by one: the median difference there is what HTTP itself costs outside of the service."
    )
    header = ["cell", "client", "requests", "same ones", "p50 outside", "p50 inside", "p99 outside", "p99 inside"]
    header += ["mean difference", "share of the latency", "one by one: p50, largest, negative"]
    return Section("Do both sides agree?", [text], [Table(header, rows)])


def _agreement(rounds: Sequence[dict[str, Any]]) -> list[str]:
    outside = merged(Histogram.parse(result["service"]) for result in rounds)
    inside = merged(Histogram.parse(result["agreement"]["service"]) for result in rounds)
    counted = sum(result["agreement"]["requests"] for result in rounds)
    known = [(difference_ns(result), result) for result in rounds]
    values = [value / 1e3 for value, _ in known if value is not None]
    texts = [f"{counted:,}", "yes" if same_requests(rounds) else "NO"]
    texts += [charts.number(each.quantile(part) / 1e3) for part in _PARTS for each in (outside, inside)]
    if not values:
        return [*texts, "-", "-", "-"]
    weights = [result["agreement"]["requests"] for value, result in known if value is not None]
    difference = interval_of(values, weights)
    texts += [interval_text(difference), f"{difference.estimate * 1e3 / outside.mean:.1%}"]
    pairs = [result["agreement"] for result in rounds if result["agreement"]["differences"]]
    if not pairs:
        return [*texts, "-"]
    each = merged(Histogram.parse(pair["differences"]) for pair in pairs)
    negative = sum(pair["negative"] for pair in pairs)
    median, largest = (charts.number(value / 1e3) for value in (each.quantile(0.5), each.max))
    return [*texts, f"{median}, {largest}, {negative}"]


def modes_section(figures: Figures) -> Section | None:
    """The same lookups in one batch and in nine, for every client."""
    rows, pictures = [], []
    for workload, calling in _families(figures, rf"(b|c)-({'|'.join(WEB_MODES)})((?:-\w+)*)/(.*)"):
        places = {mode: f"{workload[0]}-{mode}{workload[1]}/{calling}" for mode in WEB_MODES}
        known = {mode: cell for mode, cell in places.items() if figures.members(cell)}
        if len(known) < 2:
            continue
        named = f"{workload[0]}{workload[1]}"
        for member in figures.members(next(iter(known.values()))):
            found = {mode: figures.of(cell, member) for mode, cell in known.items()}
            texts = [interval_text(each["p50"]) if (each := found.get(mode)) else "-" for mode in WEB_MODES]
            rows.append([named, member, *texts])
        for member in (f"ours@{GIL}",):
            bars = [_bar(mode, each["p50"]) for mode, cell in known.items() if (each := figures.of(cell, member))]
            if bars:
                pictures.append(charts.bars(f"{named}, {calling}: p50 of {member} in microseconds", bars))
    if not rows:
        return None
    text = "p50 of a request in microseconds, by how its 9 x 200 lookups are done; measured one after the other."
    return Section("Web: modes of lookup", [text], [Table(["environment", "client", *WEB_MODES], rows)], pictures)


def inference_section(figures: Figures) -> Section | None:
    """The model on the event loop and off it, for every client."""
    rows = []
    for cell in figures.cells:
        match = re.fullmatch(r"(c-\w+)-loop((?:-torch)?/.*)", cell["name"])
        other = f"{match[1]}-thread{match[2]}" if match else ""
        for member in figures.members(cell["name"]) if other else []:
            on, off = figures.of(cell["name"], member), figures.of(other, member)
            if on and off:
                texts = [interval_text(each[name]) for name in ("throughput", "p50", "p99") for each in (on, off)]
                rows.append([cell["name"], member, *texts, f"{off['p50'].estimate / on['p50'].estimate:.2f}"])
    if not rows:
        return None
    header = ["cell", "client"]
    header += [f"{name} {where}" for name in ("op/s", "p50 us", "p99 us") for where in ("on the loop", "off it")]
    text = "The model of environment C on the event loop, and in a thread; measured one after the other."
    return Section("Web: inference on the event loop and off it", [text], [Table([*header, "p50 off / on"], rows)])


def waterfall_section(figures: Figures) -> Section | None:
    """What each change brings on top of those before it, in environments B and C."""
    rows, pictures = [], []
    for environment, suffix in (("b", ""), ("c", "-loop")):
        gather, single = (f"{environment}-{mode}{suffix}/http-10/closed" for mode in ("gather", "single"))
        steps = [
            ("aerospike-py, nine gathered batches", gather, f"aerospike-py@{GIL}"),
            ("replace the client", gather, f"ours@{GIL}"),
            ("one batch instead of nine", single, f"ours@{GIL}"),
            ("without the GIL", single, f"ours@{FREE_THREADED}"),
        ]
        if environment == "c":
            steps.append(("the model off the loop", "c-single-thread/http-10/closed", f"ours@{FREE_THREADED}"))
        known = [(text, each) for text, cell, member in steps if (each := figures.of(cell, member))]
        if len(known) < 2:
            continue
        first = known[0][1]["p50"].estimate
        for text, each in known:
            columns = [interval_text(each[name]) for name in ("throughput", "p50", "p99")]
            rows.append([environment.upper(), text, *columns, f"{each['p50'].estimate / first:.2f}"])
        title = f"environment {environment.upper()}, p50 in microseconds (less is better)"
        pictures.append(charts.bars(title, [_bar(text, each["p50"]) for text, each in known]))
    if not rows:
        return None
    header = ["environment", "start, and each change on top", "op/s", "p50 us", "p99 us", "p50 of the first"]
    text = "Ten connections, each with a request under way all the time."
    return Section("Web: one change after the other", [text], [Table(header, rows)], pictures)


def remarks(figures: Figures) -> Iterator[str]:
    """What a reader in a hurry should know of environments B and C."""
    web = [cell for cell in figures.cells if cell["lane"] == LANE]
    if not web:
        return
    shares = []
    for cell in web:
        for member in cell["members"]:
            sums, _ = _stage_sums(member)
            if sum(sums.values()):
                shares.append(sums["fetch"] / sum(sums.values()))
    if shares:
        yield (
            f"In environments B and C a request spends {min(shares):.0%} to {max(shares):.0%} of its time in the "
            f"service with fetching, {statistics.median(shares):.0%} in the median cell and client: no client can make "
            "the rest faster, though one that takes the processor or the event loop makes it slower."
        )
    busiest = max(latencies(result).count for cell in web for each in cell["members"] for result in each["rounds"])
    if busiest < 1_000:
        yield (
            "Rounds of environments B and C have fewer than a thousand requests each: their p99 and p99.9 are a "
            "handful of requests, and say less than their intervals do."
        )
    yield "The load generator of environments B and C, the service and the server share the processors."


def sections(figures: Figures) -> list[Section]:
    """All of them, as far as they have anything to say."""
    found = [waterfall_section(figures), modes_section(figures), inference_section(figures)]
    return [section for section in [*found, agreement_section(figures)] if section is not None]


def _families(figures: Figures, pattern: str) -> list[tuple[tuple[str, str], str]]:
    """Cells that differ in their mode only: environment and ending, and the way of calling."""
    matches = (re.fullmatch(pattern, cell["name"]) for cell in figures.cells)
    return list(dict.fromkeys(((match[1], match[3]), match[4]) for match in matches if match))


def _bar(label: str, interval: Interval) -> charts.Bar:
    return charts.Bar(label, interval.estimate, interval.low, interval.high)
