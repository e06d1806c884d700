"""`make bench-overhead`: what recording costs, from everything off to everything on.

A process of each Python (`measuring`) switches configurations (`configurations`) on and off on one connected client, in
random order within rounds, and says how long blocks of the workloads (`workloads`) took. The parent (`__main__`) runs
the server and the receiver of spans (`collector`) in processes of their own, makes paired differences with intervals
(`figures`), holds them against named limits (`verdicts`), and writes a result file (`results`) and tables (`report`).
`counting` has callgrind count instructions. Comparisons with other clients live in `benchmark.lanes` and
`benchmark.harness`.
"""
