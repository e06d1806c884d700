"""Environments B and C of the benchmarks: the clients behind a web service, without and with a model.

The side of the clients: `marks` (the stages of a request), `sample` (keys, batches, features), `model` (the
recommender), `app` (the endpoints), `serve` (the process: uvicorn, and the protocol of `benchmark.processes`). The
parent's side: `load` (the HTTP load generator), `agreement` (its latencies against the service's own), `rounds` (a
round of a service) and `verifying`. What is measured is in `benchmark.harness.workloads`, what is said of it in
`benchmark.harness.web_sections`. Results are described by `docs/benchmark-format.md`.
"""
