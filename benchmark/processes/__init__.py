"""What all benchmarks share that run every client in a process and an environment of its own.

The parent's side: `places` (environments and programs), `worker` (a process and the requests to it), `stamps` (where
and of what a measurement was made). The side of the clients, standard library only: `answering` (requests in, replies
out), `values` (results as JSON). What is measured lives in `benchmark.lanes` and `benchmark.harness`.
"""
