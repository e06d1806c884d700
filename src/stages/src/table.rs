//! The one table of stages: names, boundaries and what a reader should make of them.
//!
//! The Python names, the metric labels and the documentation page are all generated from here.

/// Which group of causes a stage belongs to; colours and summaries follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// Work on Python objects, or waiting to be allowed to do it.
    Python,
    /// Work of the client and the driver on the CPU.
    Driver,
    /// Waiting for the network and the server behind it.
    Network,
    /// Waiting for a resource inside the client: a permit, a connection, a scheduler.
    Waiting,
    /// Time that no event explains.
    Unexplained,
}

impl Family {
    /// The family's name as it appears in the documentation.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Family::Python => "python",
            Family::Driver => "driver",
            Family::Network => "network",
            Family::Waiting => "waiting",
            Family::Unexplained => "unexplained",
        }
    }
}

/// Everything that is said about one stage.
#[derive(Debug, Clone, Copy)]
pub struct Description {
    /// Name in Python, in metrics and in traces.
    pub name: &'static str,
    /// The event that starts the stage.
    pub start: &'static str,
    /// The event that ends it.
    pub end: &'static str,
    /// The lanes it can occur in.
    pub lanes: &'static str,
    /// The group of causes it belongs to.
    pub family: Family,
    /// Whether its time is also added up per node.
    pub per_node: bool,
    /// From which event to which, in a sentence.
    pub definition: &'static str,
    /// What a large value means.
    pub interpretation: &'static str,
    /// What to do about a large value.
    pub action: &'static str,
}

macro_rules! stages {
    ($( $variant:ident {
        name: $name:literal, start: $start:literal, end: $end:literal, lanes: $lanes:literal,
        family: $family:ident, per_node: $per_node:literal,
        definition: $definition:literal, interpretation: $interpretation:literal, action: $action:literal $(,)?
    } )*) => {
        /// One named part of an operation's wall time.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Stage {
            $( #[doc = $definition] $variant, )*
        }

        impl Stage {
            /// All stages in the order in which an operation passes them.
            pub const ALL: [Stage; Stage::COUNT] = [ $( Stage::$variant, )* ];
        }

        const DESCRIPTIONS: [Description; Stage::COUNT] = [ $( Description {
            name: $name, start: $start, end: $end, lanes: $lanes, family: Family::$family, per_node: $per_node,
            definition: $definition, interpretation: $interpretation, action: $action,
        }, )* ];
    };
}

stages! {
    KeyParse {
        name: "key_parse", start: "method entered", end: "arguments are Rust values", lanes: "both",
        family: Python, per_node: false,
        definition: "From entering the method to having every argument as a Rust value, with the GIL held: key, bins, policy.",
        interpretation: "Grows with the number of keys and the size of the values that are written.",
        action: "Pass fewer or smaller values per call; reuse policy dictionaries; use byte or integer keys.",
    }
    Dispatch {
        name: "dispatch", start: "arguments ready", end: "first poll of the operation", lanes: "both",
        family: Waiting, per_node: false,
        definition: "From the arguments being ready to the first poll of the operation: releasing the GIL, and on asyncio the hand-over to a runtime thread.",
        interpretation: "On asyncio a large value means that the runtime's threads are busy or that the machine has no free core.",
        action: "Give the process more CPU, or move CPU-bound work off its cores.",
    }
    LimiterWait {
        name: "limiter_wait", start: "permit asked for", end: "permit granted", lanes: "both",
        family: Waiting, per_node: false,
        definition: "Waiting for one of the `max_concurrent_operations` permits.",
        interpretation: "More operations are wanted at once than the limit admits.",
        action: "Raise `max_concurrent_operations`, or ask for less at once; if the server is the bottleneck, leave it.",
    }
    PoolAcquire {
        name: "pool_acquire", start: "an attempt starts", end: "a live connection is checked out", lanes: "both",
        family: Driver, per_node: false,
        definition: "From the start of an attempt to a live connection being checked out, with routing by partition and, for batches, the split by node.",
        interpretation: "Grows with the number of keys in a batch; a lock on a hot pool shows here too.",
        action: "Raise `conn_pools_per_node` when many threads share few pools.",
    }
    Encode {
        name: "encode", start: "connection checked out", end: "command bytes ready", lanes: "both",
        family: Driver, per_node: true,
        definition: "From the checked-out connection to the first write call: building the command's bytes.",
        interpretation: "Grows with the bytes that are sent.",
        action: "Send fewer keys or smaller values per call.",
    }
    TokioTimer {
        name: "tokio_timer", start: "a deadline is touched", end: "the call returns", lanes: "both",
        family: Driver, per_node: true,
        definition: "Time inside arming, polling and disarming deadlines.",
        interpretation: "Contention on the runtime's timer wheel.",
        action: "Fewer operations in flight per process, or more processes.",
    }
    NetworkWrite {
        name: "network_write", start: "write called", end: "last byte accepted by the kernel", lanes: "both",
        family: Network, per_node: true,
        definition: "From the first write call to the kernel having accepted the last byte.",
        interpretation: "A system call's length for small commands; more means that the send buffer is full and the peer reads slowly.",
        action: "Write less per call; look at the server's load and at the network.",
    }
    NetworkWait {
        name: "network_wait", start: "last byte written", end: "first reply byte readable", lanes: "both",
        family: Network, per_node: true,
        definition: "From the last byte written to the first byte of the reply being readable: network and server.",
        interpretation: "The server's own latency plus one round trip. Compare nodes: one slow node stands out.",
        action: "Look at the server's latency histograms, hot keys, storage and the network path.",
    }
    NetworkRead {
        name: "network_read", start: "first reply byte", end: "last reply byte", lanes: "both",
        family: Network, per_node: true,
        definition: "From the first byte of the reply to the last, waits between segments included.",
        interpretation: "Large or dribbled replies, a congested network, or a server that streams slowly.",
        action: "Read fewer bins or records per call; check the network for loss.",
    }
    Decode {
        name: "decode", start: "reply bytes in memory", end: "Rust values", lanes: "both",
        family: Driver, per_node: true,
        definition: "Parsing the reply into Rust values, and placing a batch's rows.",
        interpretation: "Grows with the number of records and bins in the reply.",
        action: "Select only the bins that are needed.",
    }
    WakeDelay {
        name: "wake_delay", start: "the task was woken", end: "it is polled again", lanes: "both",
        family: Waiting, per_node: false,
        definition: "From the wake-up of the operation's task or thread to its next poll: scheduling.",
        interpretation: "The runtime or the machine has more to run than cores.",
        action: "Give the process more CPU, lower the concurrency, look for throttling.",
    }
    Backoff {
        name: "backoff", start: "a pacing sleep starts", end: "it ends", lanes: "both",
        family: Waiting, per_node: false,
        definition: "Sleeping before a retry, or until the pool has opened another connection.",
        interpretation: "Retries, or a pool that is too small or still cold.",
        action: "Look at errors and time-outs; raise `max_conns_per_node`; keep `min_conns_per_node` warm.",
    }
    FanIn {
        name: "fan_in", start: "a batch waits for its nodes", end: "all have answered", lanes: "both",
        family: Waiting, per_node: false,
        definition: "A batch waiting for its nodes beyond what the slowest of them explains.",
        interpretation: "Nearly nothing in a healthy process.",
        action: "If it is large, the machine has no free core for the nodes' tasks.",
    }
    GilReacquire {
        name: "gil_reacquire", start: "result ready", end: "this thread is attached to the interpreter", lanes: "both",
        family: Python, per_node: false,
        definition: "From the result being ready to this thread holding the GIL (being attached) again; on asyncio while the loop is observed.",
        interpretation: "Another thread holds the GIL: Python code or an extension that does not release it.",
        action: "Move CPU-bound Python work to another process, or use free-threaded Python.",
    }
    LoopWait {
        name: "loop_wait", start: "reply or result there", end: "the event loop runs the client's callback", lanes: "asyncio",
        family: Python, per_node: false,
        definition: "From the reply of one record arriving, or another result being ready, to the event loop running our callback.",
        interpretation: "The loop was running something else: other callbacks, CPU-bound coroutines. Unless it is observed, it may have waited for the GIL.",
        action: "Name what it ran with `observe_loop()`, and move CPU work off the loop.",
    }
    EventLoopResume {
        name: "event_loop_resume", start: "the awaitable is resolved", end: "the awaiting coroutine runs", lanes: "asyncio",
        family: Python, per_node: false,
        definition: "From the awaitable being resolved to the coroutine that awaits it running again.",
        interpretation: "Other callbacks were ahead in the loop's queue, for instance many completions at once.",
        action: "Fewer operations per request (one mixed batch instead of a gather), or more loops.",
    }
    ToDict {
        name: "to_dict", start: "conversion starts", end: "Python objects exist", lanes: "both",
        family: Python, per_node: false,
        definition: "Turning Rust values into Python objects, with the GIL held.",
        interpretation: "Grows with the number of bins that become Python objects.",
        action: "Select fewer bins; use `to_numpy` for numeric data.",
    }
    Unattributed {
        name: "unattributed", start: "no event explains the time", end: "the next event", lanes: "both",
        family: Unexplained, per_node: false,
        definition: "Wall time that no event explains.",
        interpretation: "Should stay below 2 % of the wall time; more is a fault of the instrumentation.",
        action: "Report it with a recording.",
    }
}

impl Stage {
    /// How many stages there are.
    pub const COUNT: usize = 18;

    /// What is known about this stage.
    #[must_use]
    pub const fn describe(self) -> &'static Description {
        &DESCRIPTIONS[self as usize]
    }

    /// The name used in Python, metrics and traces.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.describe().name
    }

    /// Whether its time is also added up per node.
    #[inline]
    #[must_use]
    pub const fn is_per_node(self) -> bool {
        PER_NODE & (1 << self as u32) != 0
    }

    /// The stages whose time is also added up per node.
    pub const PER_NODE: [Stage; PER_NODE.count_ones() as usize] = {
        let mut stages = [Stage::Unattributed; PER_NODE.count_ones() as usize];
        let (mut position, mut found) = (0, 0);
        while position < Stage::COUNT {
            if Stage::ALL[position].is_per_node() {
                stages[found] = Stage::ALL[position];
                found += 1;
            }
            position += 1;
        }
        stages
    };

    /// Position in [`Stage::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// A bit for every stage that belongs to a node, so that asking costs no look at the table.
const PER_NODE: u32 = {
    let mut bits = 0;
    let mut position = 0;
    while position < Stage::COUNT {
        if DESCRIPTIONS[position].per_node {
            bits |= 1 << position;
        }
        position += 1;
    }
    bits
};

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_positions_match() {
        let names: HashSet<_> = Stage::ALL.iter().map(|stage| stage.name()).collect();
        assert_eq!(names.len(), Stage::COUNT);
        for (position, stage) in Stage::ALL.iter().enumerate() {
            assert_eq!(stage.index(), position);
        }
    }

    #[test]
    fn every_row_says_everything() {
        for stage in Stage::ALL {
            let row = stage.describe();
            for text in [
                row.name,
                row.start,
                row.end,
                row.lanes,
                row.definition,
                row.interpretation,
                row.action,
            ] {
                assert!(!text.trim().is_empty(), "{} has an empty field", row.name);
            }
        }
    }
}
