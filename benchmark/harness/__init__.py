"""`python -m benchmark`: Aerospike clients side by side, in a way that a sceptic can rerun.

The parent's side: `workloads` (what is measured), `clients` (who is), `servers` (where), `verifying` (results before
times), `measuring` (a cell), `running` (a run), `results` (files), `figures` and `significance` (statistics),
`comparing`, `report` with `summary`, `sections` and `charts`, `selfcheck`, and `commands` (the command line). The side
of the clients imports the standard library and its client only: `data` (records), `operations` (what is asked for),
`pacing` (arrivals), `jobs` and `sessions` (what a driver offers), `loops` and `lanes` (ways of calling), `usage` and
`histogram` (what a round took), `serving` (calls of the protocol) and `drive_*` (one per client).
`benchmark/rust-core` speaks the same protocol.
"""
