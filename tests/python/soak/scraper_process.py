"""A scraper in a process of its own, which the soak kills, stops and starts again.

``python scraper_process.py PORT LEDGER``: asks for metrics several times a second and writes a line into the file
LEDGER for every answer: how many bytes it had.
"""

from __future__ import annotations

import http.client
import os
import sys
import time

PAUSE_SECONDS = 0.25


def main() -> None:
    port, path = int(sys.argv[1]), sys.argv[2]
    ledger = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/metrics")
        response = connection.getresponse()
        body = response.read()
        connection.close()
        if response.status != 200:
            sys.exit(f"the metrics were answered with {response.status}")
        os.write(ledger, f"{len(body)}\n".encode())
        time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main()
