"""Does what the tests need of the load generator: a given number of requests, or requests for a time, one by one.

The first argument after the interpreter is this file; the others are those of oha. It writes the same database and the
same summary, as far as they are read.
"""

import http.client
import json
import sqlite3
import sys
import time
from urllib.parse import urlsplit

CREATE = "CREATE TABLE oha (start_latency_correction REAL, start REAL, end REAL, status INTEGER)"


def option(name, default):
    return type(default)(sys.argv[sys.argv.index(name) + 1].removesuffix("ms")) if name in sys.argv else default


address = urlsplit(sys.argv[-1])
connection = http.client.HTTPConnection(address.hostname, address.port)
count, rate, milliseconds = option("-n", 0), option("-q", 0.0), option("-z", 0)
began, rows = time.perf_counter(), []
while len(rows) < count or (not count and (time.perf_counter() - began) * 1e3 < milliseconds) or not rows:
    intended = len(rows) / rate if rate else None
    start = time.perf_counter() - began
    connection.request("GET", f"{address.path}?{address.query}")
    response = connection.getresponse()
    response.read()
    rows.append((intended, start, time.perf_counter() - began, response.status))
with sqlite3.connect(option("--db-url", "")) as database:
    database.execute(CREATE)
    database.executemany("INSERT INTO oha VALUES (?, ?, ?, ?)", rows)
database.close()
print(json.dumps({"summary": {"total": time.perf_counter() - began}, "errorDistribution": {}}))
