"""`make bench-lanes`: our client beside its peers, lane by lane.

A lane is a way of calling: blocking from one thread or many, awaited from one task or many. Every client runs in a
process and an environment of its own, all of them talk to one server, and rounds of the clients alternate in random
order, so that what is compared was measured in the same second on the same machine.

The parent's side: `workloads` (what is measured, and wanted of it), `clients` (who is measured), `measuring` (rounds),
`verifying` (results before times), `ratios` (statistics), `report`, `counts` (instructions and system calls), `flame`,
and the command line. The side of the clients imports the standard library and its client only: `records` (data),
`serving` (calls of the protocol), `loops` (closed loops), `drive_*` (one per client). Processes and the protocol
itself are in `benchmark.processes`.
"""
