//! The table of probes: their names, what they measure and in which unit. Names in metrics, snapshots and
//! trace files come from here.

/// What the figures of a probe are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// How long something took.
    Duration,
    /// A level at the time of the look.
    Level,
    /// A total that only grows.
    Total,
}

impl Kind {
    /// As Python knows it.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Duration => "duration",
            Kind::Level => "level",
            Kind::Total => "total",
        }
    }
}

/// What is known of a probe.
#[derive(Debug)]
pub struct Description {
    /// In Python and in traces.
    pub name: &'static str,
    /// In metrics, without the unit; none for what metrics have from elsewhere.
    pub metric: Option<&'static str>,
    /// What its figures are.
    pub kind: Kind,
    /// Of the figures: `seconds`, `ratio`, `tasks`, ...
    pub unit: &'static str,
    /// One sentence.
    pub help: &'static str,
}

macro_rules! probes {
    ($($probe:ident { $name:literal, $metric:expr, $kind:ident, $unit:literal, $help:literal })*) => {
        /// A probe.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Probe { $(#[doc = $help] $probe,)* }

        impl Probe {
            /// Every probe.
            pub const ALL: &[Probe] = &[$(Probe::$probe,)*];

            /// What is known of it.
            pub const fn describe(self) -> &'static Description {
                match self {
                    $(Probe::$probe => &Description { name: $name, metric: $metric, kind: Kind::$kind, unit: $unit, help: $help },)*
                }
            }
        }
    };
}

probes! {
    LoopLag { "loop_lag", Some("db.client.probe.loop_lag"), Duration, "seconds", "From a wake-up of an event loop to the loop running the client's callback." }
    LoopCallback { "loop_callback", Some("db.client.probe.loop_callback"), Duration, "seconds", "Slow callbacks and task steps that a loop observer saw." }
    GilDelay { "gil_delay", Some("db.client.probe.gil_delay"), Duration, "seconds", "From asking for the GIL to holding it." }
    AttachDelay { "attach_delay", Some("db.client.probe.attach_delay"), Duration, "seconds", "From asking to be attached to a free-threaded interpreter to being attached." }
    StopTheWorld { "stop_the_world", Some("db.client.probe.stop_the_world"), Duration, "seconds", "Threads kept from running while a free-threaded interpreter had stopped the world." }
    RuntimeBusyRatio { "runtime_busy_ratio", Some("db.client.probe.runtime_busy_ratio"), Level, "ratio", "Part of the time that the runtime's threads were at work." }
    RuntimeQueueDepth { "runtime_queue_depth", Some("db.client.probe.runtime_queue_depth"), Level, "tasks", "Tasks in the runtime's global queue." }
    RuntimePollDuration { "runtime_poll_duration", Some("db.client.probe.runtime_poll_duration"), Duration, "seconds", "Mean time of one poll of the operations' tasks, per interval." }
    RuntimeScheduleDelay { "runtime_schedule_delay", Some("db.client.probe.runtime_schedule_delay"), Duration, "seconds", "From spawning a task on the runtime to its first poll." }
    RuntimeParks { "runtime_parks", Some("db.client.probe.runtime_parks"), Total, "parks", "Times that one of the runtime's threads went to sleep." }
    ProcessCpuSeconds { "process_cpu_seconds", Some("db.client.probe.process_cpu"), Total, "seconds", "Processor time of all threads of the process." }
    ContextSwitchesVoluntary { "context_switches_voluntary", Some("db.client.probe.context_switches_voluntary"), Total, "switches", "Times that a thread of the process gave up its processor to wait." }
    ContextSwitchesInvoluntary { "context_switches_involuntary", Some("db.client.probe.context_switches_involuntary"), Total, "switches", "Times that a thread of the process had its processor taken away." }
    CgroupThrottledSeconds { "cgroup_throttled_seconds", Some("db.client.probe.cgroup_throttled"), Total, "seconds", "Time that the process's control group was kept from running by its CPU limit." }
    CgroupThrottledPeriods { "cgroup_throttled_periods", Some("db.client.probe.cgroup_throttled_periods"), Total, "periods", "Periods in which the process's control group reached its CPU limit." }
    ConnectionsOpen { "connections_open", None, Level, "connections", "Connections of a client to a node." }
    ConnectionsIdle { "connections_idle", None, Level, "connections", "Those of them that nobody uses." }
    OperationsInFlight { "operations_in_flight", None, Level, "operations", "Operations of a client in flight, waiting ones included." }
    LimiterQueue { "limiter_queue", None, Level, "operations", "Operations of a client that wait for a permit." }
}

impl Probe {
    /// The name used in Python, metrics and traces.
    pub const fn name(self) -> &'static str {
        self.describe().name
    }

    /// What its figures are.
    pub const fn kind(self) -> Kind {
        self.describe().kind
    }

    /// How many steps of the histogram one unit has: durations are kept in nanoseconds, ratios in billionths.
    pub const fn steps_per_unit(self) -> f64 {
        match self {
            Probe::RuntimeQueueDepth => 1.0,
            _ => 1e9,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_words() {
        for (place, probe) in Probe::ALL.iter().enumerate() {
            let name = probe.name();
            assert!(name
                .bytes()
                .all(|byte| byte == b'_' || byte.is_ascii_lowercase()));
            assert!(Probe::ALL[place + 1..]
                .iter()
                .all(|other| other.name() != name));
            assert!(probe.describe().help.ends_with('.'));
        }
    }
}
