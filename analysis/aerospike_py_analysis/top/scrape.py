"""One reading of a metrics endpoint: where it is, how it is fetched, and what can be wrong with it."""

from __future__ import annotations

import gzip
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from dataclasses import dataclass
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

DEFAULT_URL: Final = "http://127.0.0.1:9464/metrics"
TIMEOUT_S: Final = 10.0
# At the limits of the client a page has about 14 MB.
LARGEST: Final = 256 << 20
PREFIX: Final = "db_client_"
TYPE: Final = f"# TYPE {PREFIX}"
# What the names of samples that only grow end with, by the type of their family.
GROWING: Final = {"counter": ("",), "histogram": ("_bucket", "_count", "_sum")}

Labels = tuple[tuple[str, str], ...]
Key = tuple[str, Labels]


class ScrapeError(Exception):
    """The endpoint gave nothing to show; the message says why and what to check."""


@dataclass(frozen=True)
class Scrape:
    """All samples of a page by name and labels, and when they were read on the monotonic clock."""

    at_s: float
    values: dict[Key, float]
    # Names of the samples that only grow while the process lives.
    growing: frozenset[str]


def address(text: str) -> str:
    """The URL that a user means: ``9464``, ``:9464``, ``host:9464`` and URLs without a path are completed."""
    whole = text.strip()
    if whole.isdigit():
        whole = f":{whole}"
    if whole.startswith(":"):
        whole = f"127.0.0.1{whole}"
    if "://" not in whole:
        whole = f"http://{whole}"
    parts = urllib.parse.urlsplit(whole)
    try:
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{text!r} has no valid port: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError(
            f"{text!r} is no address of a metrics endpoint; one looks like {DEFAULT_URL} or localhost:9464"
        )
    return urllib.parse.urlunsplit(parts._replace(path=parts.path if parts.path not in ("", "/") else "/metrics"))


def fetch(url: str, pages: Pages, timeout_s: float = TIMEOUT_S) -> Scrape:
    """Reads the endpoint once."""
    request = urllib.request.Request(url, headers={"Accept": "text/plain;version=0.0.4", "Accept-Encoding": "gzip"})
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as reply:
            at_s = time.monotonic()
            body = reply.read(LARGEST + 1)
            zipped = reply.headers.get("Content-Encoding") == "gzip"
        if len(body) > LARGEST:
            raise ScrapeError(f"{url} sends more than {LARGEST >> 20} MiB: is it a metrics endpoint?")
        text = (gzip.decompress(body) if zipped else body).decode()
    except urllib.error.HTTPError as error:
        error.close()
        raise ScrapeError(f"{url} answers with {error.code} {error.reason}: is the path right?") from None
    except urllib.error.URLError as error:
        raise ScrapeError(
            f"{url} cannot be reached ({reason(error.reason)}): does the process run, and has it called"
            " start_metrics_server?"
        ) from None
    except TimeoutError:
        raise ScrapeError(f"{url} has not answered within {timeout_s:g} s") from None
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise ScrapeError(f"{url} sends what is no text of metrics ({reason(error)})") from None
    return Scrape(at_s, *pages.parse(text, url))


def reason(error: object) -> str:
    """What an error says, without its number."""
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(said).lower()


class Pages:
    """Reads pages of one endpoint. What a line is about is read once: the next page mostly repeats it."""

    def __init__(self) -> None:
        self._known: dict[str, Key] = {}

    def parse(self, text: str, url: str) -> tuple[dict[Key, float], frozenset[str]]:
        """The samples of a page, and the names of those that only grow; what other libraries expose is left out."""
        values: dict[Key, float] = {}
        growing: set[str] = set()
        try:
            for line in text.splitlines():
                if line.startswith(PREFIX):
                    series, _, value = line.rpartition(" ")
                    key = self._known.get(series)
                    if key is None:
                        key, values[key] = self._read(line)
                    else:
                        values[key] = float(value)
                elif line.startswith(TYPE):
                    name, _, kind = line.removeprefix("# TYPE ").partition(" ")
                    growing.update(f"{name}{ending}" for ending in GROWING.get(kind.strip(), ()))
        except (ValueError, IndexError, KeyError) as error:
            raise ScrapeError(f"{url} sends what is no text of metrics ({reason(error)})") from None
        if not values:
            raise ScrapeError(f"{url} has no metrics of aerospike-py: is it the right process?")
        return values, frozenset(growing)

    def _read(self, line: str) -> tuple[Key, float]:
        (sample,) = (one for family in text_string_to_metric_families(f"{line}\n") for one in family.samples)
        key = (sample.name, tuple(sorted(sample.labels.items())))
        series, _, last = line.rpartition(" ")
        # A line with a time at its end is read anew each time.
        if sample.timestamp is None and float(last) == sample.value:
            self._known[series] = key
        return key, float(sample.value)
