"""What a running process does right now, from two readings of its metrics endpoint.

``scrape`` reads the endpoint, ``interval`` is the difference of two readings, ``figures`` makes rates and percentiles
of it and ``view`` the tables. Nothing here knows a recording.
"""
