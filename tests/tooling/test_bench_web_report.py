"""What the report says of environments B and C, on results made up for the purpose."""

from typing import Any
from xml.etree import ElementTree as ET

import bench_samples as samples
import pytest

from benchmark.harness import report


@pytest.fixture(scope="module")
def made() -> report.Report:
    return report.of_documents([samples.web()], ["web.json"])


def rows(made: report.Report, title: str, table: int = 0) -> list[list[str]]:
    section: Any = next(each for each in made.sections if each.title == title)
    return [list(row) for row in section.tables[table].rows]


def test_both_environments_have_a_waterfall(made: report.Report) -> None:
    found = rows(made, "Web: one change after the other")
    assert [(row[0], row[1]) for row in found] == [
        ("B", "aerospike-py, nine gathered batches"),
        ("B", "replace the client"),
        ("B", "one batch instead of nine"),
        ("B", "without the GIL"),
        ("C", "aerospike-py, nine gathered batches"),
        ("C", "replace the client"),
        ("C", "one batch instead of nine"),
        ("C", "without the GIL"),
        ("C", "the model off the loop"),
    ]
    shares = [float(row[-1]) for row in found]
    assert shares[:4] == pytest.approx([1, 0.5, 2 / 6, 1.6 / 6], abs=0.03)
    assert shares[4:] == pytest.approx([1, 0.5, 5 / 12, 4 / 12, 3.2 / 12], abs=0.03)


def test_modes_and_places_of_inference_stand_side_by_side(made: report.Report) -> None:
    modes = rows(made, "Web: modes of lookup")
    assert [row[:2] for row in modes if row[0] == "b"] == [
        ["b", member] for member in ("aerospike-py@3.11", "ours@3.11", "ours@3.14t")
    ]
    assert all(row[2] != "-" and row[3] != "-" and row[4:] == ["-", "-"] for row in modes)
    inference = rows(made, "Web: inference on the event loop and off it")
    assert {row[0] for row in inference} == {"c-single-loop/http-10/closed"}
    assert [float(row[-1]) for row in inference] == pytest.approx([0.8] * 3, abs=0.04)


def test_the_difference_of_both_sides_is_stated(made: report.Report) -> None:
    found = rows(made, "Do both sides agree?")
    assert len(found) == 18
    assert {(row[2], row[3]) for row in found} == {("16", "yes")}
    assert {row[8] for row in found} == {"1.50 [1.50, 1.50]"}
    assert {row[9] for row in found} == {f"{1_500 / 21_000:.1%}"}
    alone = [row[10] for row in found if "/http-1/" in row[0]]
    assert len(alone) == 3
    assert all(text.endswith(", 1.50, 0") for text in alone)
    assert {row[10] for row in found if "/http-10/" in row[0]} == {"-"}


def test_the_service_and_the_client_account_for_the_same_requests(made: report.Report) -> None:
    of_service = rows(made, "b-gather/http-10/closed", 1)
    assert [row[0] for row in of_service] == ["aerospike-py@3.11", "ours@3.11", "ours@3.14t"]
    # Mean latency 21 us, of which 1.5 are outside; half of the rest is fetching.
    assert (of_service[0][-1], of_service[0][3]) == ("19.5", "9.75")
    (client, *_) = rows(made, "b-gather/http-10/closed", 2)
    assert client == [
        "aerospike-py@3.11",
        "batch_read",
        "1.00",
        "9.50",
        "0.20",
        "network_wait 7.50, decode 2.00",
        "9.75",
    ]


def test_the_page_shows_charts_and_the_load_generator(made: report.Report) -> None:
    page = made.html()
    assert "oha 1.0" in page
    ET.fromstring(page.split("<section", 1)[1].split("<svg")[1].join(["<svg", ""]).split("</svg>")[0] + "</svg>")
    assert "where a request&#x27;s time goes" in page
    assert "spends 50% to 50% of its time" in page
