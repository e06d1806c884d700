//! Threads of the probes: started, woken and ended. And the one that looks at the process and at Tokio's
//! runtime, which never attaches to Python.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::lanes::fork;
use crate::probes::clients;
use crate::probes::process::Process;
use crate::probes::runtime::Runtime;

/// Told to a thread when it shall end.
#[derive(Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Whether to end.
    pub fn is_due(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Sleeps until then, unless it is time to end or `wakes` says that somebody wants the thread.
    pub fn sleep_until(&self, then: Instant, wakes: impl Fn() -> bool) {
        while !self.is_due() && !wakes() {
            let left = then.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::park_timeout(left);
        }
    }
}

/// A thread that runs until it is told to stop.
pub struct Thread {
    stop: Stop,
    handle: JoinHandle<()>,
}

impl Thread {
    /// Starts it.
    pub fn start(name: &str, work: impl FnOnce(Stop) + Send + 'static) -> std::io::Result<Self> {
        let stop = Stop::default();
        let told = stop.clone();
        let handle = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || work(told))?;
        Ok(Thread { stop, handle })
    }

    /// To be woken by.
    pub fn handle(&self) -> std::thread::Thread {
        self.handle.thread().clone()
    }

    /// Ends it and waits for that. Whoever calls this must not be attached to Python if the thread may be.
    pub fn end(self) {
        self.stop.0.store(true, Ordering::Release);
        self.handle.thread().unpark();
        // A thread that has panicked has ended, too.
        let _ = self.handle.join();
    }
}

impl Thread {
    /// As [`Thread::end`], but waits no longer than this. A thread that is still at it then is left alone.
    pub fn end_within(self, patience: Duration) {
        let until = Instant::now() + patience;
        self.stop.0.store(true, Ordering::Release);
        self.handle.thread().unpark();
        while !self.handle.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The next time to look: one interval on, or right now if that has been missed.
pub fn next(due: Instant, interval: Duration) -> Instant {
    (due + interval).max(Instant::now())
}

/// Looks at the process and at the runtime, over and over.
pub fn watch(stop: &Stop, interval: Duration, process: bool, runtime: bool) {
    let generation = fork::generation();
    let process = process.then(Process::new);
    let mut runtime = runtime.then(Runtime::new);
    let mut due = Instant::now();
    while !stop.is_due() {
        if let Some(process) = &process {
            process.look();
            clients::look(generation);
        }
        if let Some(runtime) = &mut runtime {
            runtime.look();
        }
        due = next(due, interval);
        stop.sleep_until(due, || false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::series;
    use crate::probes::table::Probe;

    #[test]
    fn the_process_is_watched_until_the_end() {
        let thread = Thread::start("watch", |stop| {
            watch(&stop, Duration::from_secs(3600), true, true);
        });
        let began = Instant::now();
        let known = || {
            let rows = series::rows();
            rows.iter().any(|row| {
                row.probe == Probe::ProcessCpuSeconds
                    && row.subject.is_none()
                    && row.latest > Some(0.0)
            })
        };
        while !known() && began.elapsed() < Duration::from_secs(20) {
            std::thread::yield_now();
        }
        assert!(known());
        thread.unwrap().end();
        assert!(began.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn a_look_that_was_missed_is_not_made_up_for() {
        let long_ago = Instant::now() - Duration::from_secs(5);
        let next = next(long_ago, Duration::from_millis(1));
        assert!(next > long_ago + Duration::from_secs(4));
    }
}
