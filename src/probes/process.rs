//! What the operating system knows of this process: processor time, context switches, throttling.

use std::sync::Arc;
use std::time::Duration;

use aerospike_stages::clock;

use crate::probes::cgroup::Group;
use crate::probes::series::{self, Series};
use crate::probes::table::Probe;

/// What the process has used since it started.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// Processor time of all threads, in the kernel and outside of it.
    pub cpu: Duration,
    /// Times that a thread gave up its processor.
    pub voluntary_switches: u64,
    /// Times that a thread had its processor taken away.
    pub involuntary_switches: u64,
}

/// Asks the operating system.
pub fn usage() -> Option<Usage> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the structure has the size that the call fills in, and outlives it.
    let failed = unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) } != 0;
    // SAFETY: it was filled with zeros, which are a valid value of this plain structure.
    let usage = unsafe { usage.assume_init() };
    let time = |time: libc::timeval| {
        let seconds = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0));
        seconds + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
    };
    (!failed).then(|| Usage {
        cpu: time(usage.ru_utime) + time(usage.ru_stime),
        voluntary_switches: u64::try_from(usage.ru_nvcsw).unwrap_or(0),
        involuntary_switches: u64::try_from(usage.ru_nivcsw).unwrap_or(0),
    })
}

/// How many cores the process's control group allows it, if it is limited.
pub fn cpu_quota_cores() -> Option<f64> {
    Group::find()?.cores()
}

/// The series about this process.
pub struct Process {
    group: Option<Group>,
    cpu: Arc<Series>,
    voluntary: Arc<Series>,
    involuntary: Arc<Series>,
    throttled: Arc<Series>,
    throttled_periods: Arc<Series>,
}

impl Process {
    /// Finds out what there is to look at.
    pub fn new() -> Self {
        Process {
            group: Group::find(),
            cpu: series::of(Probe::ProcessCpuSeconds, None),
            voluntary: series::of(Probe::ContextSwitchesVoluntary, None),
            involuntary: series::of(Probe::ContextSwitchesInvoluntary, None),
            throttled: series::of(Probe::CgroupThrottledSeconds, None),
            throttled_periods: series::of(Probe::CgroupThrottledPeriods, None),
        }
    }

    /// Looks once.
    pub fn look(&self) {
        let now = clock::now_ns();
        if let Some(usage) = usage() {
            self.cpu.stands_at(now, usage.cpu.as_secs_f64());
            self.voluntary
                .stands_at(now, usage.voluntary_switches as f64);
            self.involuntary
                .stands_at(now, usage.involuntary_switches as f64);
        }
        if let Some(throttling) = self.group.as_ref().and_then(Group::read) {
            self.throttled.stands_at(now, throttling.time.as_secs_f64());
            self.throttled_periods
                .stands_at(now, throttling.periods as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_processor_time_and_sleeping_gives_it_up() {
        let before = usage().unwrap();
        while usage().unwrap().cpu < before.cpu + Duration::from_millis(5) {
            std::hint::black_box((0..10_000).sum::<u64>());
        }
        std::thread::sleep(Duration::from_millis(5));
        let after = usage().unwrap();
        assert!(after.voluntary_switches > before.voluntary_switches);
        assert!(after.involuntary_switches >= before.involuntary_switches);
    }
}
