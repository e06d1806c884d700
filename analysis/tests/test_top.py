"""``aerospike-py top``: intervals of scrapes, restarts, endpoints that are gone, and the real one."""

from __future__ import annotations

import gzip
import http.server
import io
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import aerospike_py
import pytest
from aerospike_py.testing import EmbeddedServer
from aerospike_py_analysis.cli import main
from aerospike_py_analysis.commands.top import Watch, show_views
from aerospike_py_analysis.report import markdown
from aerospike_py_analysis.report.blocks import Block, Table, Text
from aerospike_py_analysis.top import view
from aerospike_py_analysis.top.figures import figures
from aerospike_py_analysis.top.interval import Estimate, Histogram, Interval
from aerospike_py_analysis.top.scrape import Pages, Scrape, ScrapeError, address, fetch
from rich.console import Console
from test_golden import expect

SYSTEM = 'db_system_name="aerospike"'
GET = f'{SYSTEM},db_operation_name="get",lane="sync"'


def page(count: int, failed: int = 0, slow: int = 0, **levels: float) -> str:
    """A page of a process that has done so many gets, each of 1.5 ms, some of 3 ms."""
    below = {"0.001": 0, "0.002": count - slow, "0.004": count, "+Inf": count}
    lines = [
        "# TYPE db_client_operations_total counter",
        f'db_client_operations_total{{{GET},outcome="ok"}} {count - failed}',
        f'db_client_operations_total{{{GET},outcome="timeout"}} {failed}',
        "# TYPE db_client_operation_duration_seconds histogram",
        *(f'db_client_operation_duration_seconds_bucket{{{GET},le="{le}"}} {n}' for le, n in below.items()),
        f"db_client_operation_duration_seconds_count{{{GET}}} {count}",
        f"db_client_operation_duration_seconds_sum{{{GET}}} {0.0015 * (count - slow) + 0.003 * slow}",
        f'db_client_operation_duration_seconds_count{{{GET},error_type="TimeoutError"}} {failed}',
        "# TYPE db_client_internal_stage_seconds histogram",
    ]
    for stage, seconds in (("network_wait", 0.0012), ("decode", 0.0003), ("to_dict_deferred", 0.5)):
        labels = f'{GET},stage="{stage}"'
        lines += [
            f'db_client_internal_stage_seconds_bucket{{{labels},le="{2 * seconds}"}} {count}',
            f'db_client_internal_stage_seconds_bucket{{{labels},le="+Inf"}} {count}',
            f"db_client_internal_stage_seconds_count{{{labels}}} {count}",
            f"db_client_internal_stage_seconds_sum{{{labels}}} {seconds * count}",
        ]
    node = f'{SYSTEM},client_id="1",server_address="10.0.0.1",server_port="3000"'
    lines += [
        "# TYPE db_client_connection_count gauge",
        f'db_client_connection_count{{{node},db_client_connection_state="used"}} {levels.get("used", 3)}',
        f'db_client_connection_count{{{node},db_client_connection_state="idle"}} 5',
        "# TYPE db_client_operations_in_flight gauge",
        f'db_client_operations_in_flight{{{SYSTEM},client_id="1"}} 4',
        f'db_client_limiter_max{{{SYSTEM},client_id="1"}} 8',
        f'db_client_limiter_pending{{{SYSTEM},client_id="1"}} 2',
        "# TYPE db_client_retries_total counter",
        f'db_client_retries_total{{{SYSTEM},server_address="10.0.0.1",server_port="3000"}} {failed}',
        "# TYPE db_client_probe_gil_delay_seconds histogram",
        f'db_client_probe_gil_delay_seconds_bucket{{{SYSTEM},le="0.005"}} {count}',
        f'db_client_probe_gil_delay_seconds_bucket{{{SYSTEM},le="+Inf"}} {count}',
        f"db_client_probe_gil_delay_seconds_sum{{{SYSTEM}}} {0.004 * count}",
    ]
    return "\n".join(lines) + "\n"


def scrape(text: str, at_s: float) -> Scrape:
    return Scrape(at_s, *Pages().parse(text, "here"))


def said(blocks: list[Block] | None) -> str:
    assert blocks is not None
    parts: list[str] = []
    for block in blocks:
        if isinstance(block, Text):
            parts.append(block.text)
        elif isinstance(block, Table):
            parts += [" | ".join(row) for row in [block.headers, *block.rows]]
    return "\n".join(parts)


@contextmanager
def served(*bodies: bytes, **headers: str) -> Iterator[str]:
    """An endpoint that answers with these pages in turn, and with the last of them from then on."""
    left = list(bodies)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(200 if self.path == "/metrics" else 404)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_figures_are_those_between_two_readings() -> None:
    found = figures(Interval(scrape(page(1000), 10), scrape(page(3000, failed=100, slow=40), 14)))
    (get,) = found.operations
    assert (get.operation, get.lane) == ("get", "sync")
    assert get.per_second == 500
    assert get.failed_per_second == 25
    assert get.failed_share == pytest.approx(0.05)
    p50, p99, p999 = get.percentiles
    assert p50 is not None
    assert p99 is not None
    assert p999 is not None
    assert 0.001 < p50.value < 0.002
    assert (p99.low, p99.high) == (0.002, 0.004)
    assert p99.value < p999.value
    assert found.errors == [("get", "TimeoutError", 25)]
    assert [(stage.stage, round(stage.share, 3)) for stage in get.stages] == [("network_wait", 0.8), ("decode", 0.2)]
    (node,) = found.nodes
    assert (node.address, node.used, node.idle, node.retries_per_second) == ("10.0.0.1:3000", 3, 5, 25)
    (client,) = found.clients
    assert (client.in_flight, client.limit, client.pending) == (4, 8, 2)
    (gil,) = found.probes
    assert (gil.name, gil.samples) == ("gil_delay", 2000)
    assert not found.restarted


def test_what_did_not_happen_in_the_interval_is_not_shown() -> None:
    found = figures(Interval(scrape(page(1000), 10), scrape(page(1000), 12)))
    assert found.operations == []
    assert "No operation has ended" in said(Watched(page(5), page(5)).view())


class Watched:
    """A watch that reads these pages, two seconds apart; an error is raised."""

    def __init__(self, *pages: str | ScrapeError, operation: str | None = None) -> None:
        self._left = list(pages)
        self._at = 0.0
        self.watch = Watch("here", operation, self._read)

    def _read(self, where: str, pages: Pages) -> Scrape:
        self._at += 2
        found = self._left.pop(0)
        if isinstance(found, ScrapeError):
            raise found
        return Scrape(self._at, *pages.parse(found, where))

    def view(self) -> list[Block] | None:
        shown = None
        while self._left:
            shown = self.watch.look()
        return shown


def test_a_restart_is_said_and_its_counts_are_those_since_then() -> None:
    text = said(Watched(page(1000), page(60)).view())
    assert "has restarted" in text
    assert "get | sync | 30 |" in text
    assert "has restarted" in said(Watched(page(1000), 'db_client_records_dropped_total{a="b"} 0\n').view())


def test_levels_that_fall_are_no_restart() -> None:
    assert "has restarted" not in said(Watched(page(1000, used=3), page(1060, used=0)).view())


def test_an_endpoint_that_is_gone_is_tried_again() -> None:
    watched = Watched(page(1000), ScrapeError("it is gone"), page(1400))
    assert watched.watch.look() is None
    assert watched.watch.look() is None
    assert watched.watch.failed == "it is gone"
    text = said(watched.watch.look())
    assert watched.watch.failed is None
    assert "over 4.0 s" in text
    assert "get | sync | 100 |" in text


def test_one_operation_can_be_chosen() -> None:
    assert "No put in this interval; there were get." in said(Watched(page(1), page(5), operation="put").view())
    assert "network_wait" in said(Watched(page(1), page(5), operation="get").view())


@pytest.mark.parametrize("q", [0.01, 0.5, 0.9, 0.99, 1.0])
def test_percentiles_lie_where_the_values_do(q: float) -> None:
    limits = [0.001 * 2**n for n in range(12)]
    values = [0.001 * 1.07**n for n in range(100)]
    counts = {
        limit: float(sum(low < value <= limit for value in values))
        for low, limit in zip([0.0, *limits], [*limits, math.inf], strict=False)
    }
    estimate = Histogram(counts, sum(values)).quantile(q)
    assert estimate is not None
    true = values[max(math.ceil(q * len(values)), 1) - 1]
    assert estimate.low <= true <= estimate.high
    assert abs(estimate.value - true) <= estimate.error * estimate.value + 1e-12


def test_percentiles_beyond_the_last_bucket_have_no_upper_limit() -> None:
    assert Histogram({0.1: 1.0, math.inf: 9.0}, 0.0).quantile(0.99) == Estimate(0.1, 0.1, math.inf)
    assert Histogram({0.1: 0.0, math.inf: 0.0}, 0.0).quantile(0.99) is None


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("9464", "http://127.0.0.1:9464/metrics"),
        (":9464", "http://127.0.0.1:9464/metrics"),
        ("app-1:9464", "http://app-1:9464/metrics"),
        ("http://app-1:9464/", "http://app-1:9464/metrics"),
        ("https://app-1/elsewhere?a=b", "https://app-1/elsewhere?a=b"),
        ("[::1]:9464", "http://[::1]:9464/metrics"),
    ],
)
def test_addresses_are_completed(text: str, url: str) -> None:
    assert address(text) == url


@pytest.mark.parametrize(
    "arguments",
    [["ftp://app"], ["file:///etc/hosts"], ["app:99999"], ["http://"], ["--interval", "0"], ["--count", "-1"]],
)
def test_bad_options_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["top", *arguments])
    assert stopped.value.code == 2
    assert "error: argument" in capsys.readouterr().err


def test_pages_that_are_none_of_ours_are_told_apart() -> None:
    with served(b"db_client_x{ 7\n") as where, pytest.raises(ScrapeError, match="no text of metrics"):
        fetch(address(where), Pages())
    with (
        served(b"<b>hello</b>\ngo_goroutines 7\n") as where,
        pytest.raises(ScrapeError, match="no metrics of aerospike-py"),
    ):
        fetch(address(where), Pages())
    with served(b"x") as where, pytest.raises(ScrapeError, match="answers with 404"):
        fetch(f"http://{where}/elsewhere", Pages())
    with served(b"no gzip", Content_Encoding="gzip") as where, pytest.raises(ScrapeError, match="no text of metrics"):
        fetch(address(where), Pages())
    with pytest.raises(ScrapeError, match="start_metrics_server"):
        fetch("http://127.0.0.1:1/metrics", Pages())


def test_the_view_is_as_blessed() -> None:
    found = figures(Interval(scrape(page(1000), 10), scrape(page(3000, failed=100, slow=40), 14)))
    expect("top.md", markdown.render(view.blocks(found)))


def test_lines_that_were_seen_before_are_read_alike() -> None:
    pages = Pages()
    odd = 'db_client_x_total{a="with \\"quotes\\", a } and a space"} '
    first, second = (pages.parse(f"{page(n)}{odd}{n}\ndb_client_y 4 17000{n}\n", "here") for n in (7, 9))
    assert second == Pages().parse(f"{page(9)}{odd}9\ndb_client_y 4 170009\n", "here")
    assert first[0].keys() == second[0].keys()
    assert second[0]["db_client_x_total", (("a", 'with "quotes", a } and a space'),)] == 9
    assert second[0]["db_client_y", ()] == 4
    assert "db_client_operations_total" in first[1]
    assert "db_client_connection_count" not in first[1]


def test_once_prints_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    with served(gzip.compress(page(100).encode()), gzip.compress(page(300).encode()), Content_Encoding="gzip") as where:
        assert main(["top", where, "--once", "--interval", "0.1"]) == 0
    printed = capsys.readouterr().out
    assert "network_wait" in printed
    assert "4 in flight, 2 wait for one of 8 permits" in printed
    assert "\x1b" not in printed
    assert main(["top", "127.0.0.1:1", "--once"]) == 2
    assert "cannot be reached" in capsys.readouterr().err


def test_a_terminal_shows_one_view_at_a_time_and_keeps_the_last() -> None:
    watched = Watched(page(1000), ScrapeError("it is gone"), page(1400), page(1600))
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=150, height=40)
    assert show_views(watched.watch, console, 0.001, 2) == 0
    shown = screen.getvalue()
    for what in ("the first view comes", "it is gone; trying again", "over 4.0 s", "over 2.0 s"):
        assert what in shown
    kept = shown.rpartition("\x1b[?1049l")[2]
    assert "over 2.0 s" in kept
    assert "over 4.0 s" not in kept


def test_the_endpoint_of_a_real_process(capsys: pytest.CaptureFixture[str]) -> None:
    host, port = aerospike_py.start_metrics_server(port=0)
    try:
        with (
            EmbeddedServer() as server,
            aerospike_py.client(server.config()).connect() as client,
            aerospike_py.internal_stage_profiling(),
        ):
            watch = Watch(address(f"{host}:{port}"), None)
            assert watch.look() is None
            for number in range(50):
                client.put(("test", "top", number), {"a": number})
            text = said(watch.look())
    finally:
        aerospike_py.stop_metrics_server()
    assert "put | sync | " in text
    assert "network_wait | " in text
    assert "client " in text
    assert watch.failed is None
    capsys.readouterr()
