//! The thread that looks at observed loops: whether what they run takes long, and if so where their thread
//! is. It attaches to Python only then.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aerospike_stages::clock;
use pyo3::prelude::*;

use crate::lanes::fork;
use crate::probes::control::is_over;
use crate::probes::gil::is_free_threaded;
use crate::probes::loop_lag;
use crate::probes::native::{Stop, Thread};
use crate::probes::observer::observed::Observed;
use crate::probes::observer::{everybody, names};

/// Looks are this far apart at least, and at most.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(50);

/// The thread, and which process it is of.
pub type Watching = Option<(u64, Thread)>;

static RUNNING: Mutex<Watching> = Mutex::new(None);

/// The thread, if there is one.
pub fn lock_running() -> MutexGuard<'static, Watching> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the thread, unless this process has it.
pub fn start(py: Python<'_>) -> PyResult<()> {
    if is_over() {
        return Ok(());
    }
    // A free-threaded interpreter does not hold still while another thread's frames are read.
    let looks = !is_free_threaded(py);
    let mut running = lock_running();
    let generation = fork::generation();
    if running.as_ref().is_some_and(|(of, _)| *of == generation) {
        return Ok(());
    }
    let thread = Thread::start("aerospike-py-loop", move |stop| watch(&stop, looks))?;
    // The thread of a parent process does not exist here.
    std::mem::forget(running.replace((generation, thread)));
    Ok(())
}

/// Ends the thread; called before the interpreter ends.
pub fn stop(py: Python<'_>) {
    let running = lock_running().take();
    match running {
        Some((generation, thread)) if generation == fork::generation() => {
            py.detach(|| thread.end());
        }
        other => std::mem::forget(other),
    }
}

/// What is known of a loop from the last time.
#[derive(Default)]
struct Known {
    began: u64,
    looks: u32,
}

/// A loop that should be looked at, and when what it runs has begun.
type Late = (Arc<Observed>, u64);

/// What there is to do, and when to see to it again.
struct Found {
    late: Vec<Late>,
    again: Duration,
}

fn watch(stop: &Stop, looks: bool) {
    let watched = Python::try_attach(|py| {
        let mut known: HashMap<usize, Known> = HashMap::new();
        let mut again = SHORTEST;
        while !stop.is_due() {
            let late = py.detach(|| wait_for_late(stop, &mut known, &mut again));
            for (observed, began) in late.iter().filter(|_| looks) {
                // What cannot be looked at has no name; the loop must not be told.
                let _ = look(py, observed, *began);
            }
            for (observed, _) in &late {
                if let Some(bridge) = observed.bridge.upgrade().filter(|_| !observed.steps) {
                    loop_lag::withdraw_unless_running(py, &bridge);
                }
            }
        }
    });
    // The interpreter is about to end: nothing runs any more.
    let _ = watched;
}

/// Looks until there is something late, or it is time to stop. That takes the thread no turn at the interpreter: whoever
/// asks for one makes the thread that runs Python hand it over, in the middle of what it does.
fn wait_for_late(
    stop: &Stop,
    known: &mut HashMap<usize, Known>,
    again: &mut Duration,
) -> Vec<Late> {
    while !stop.is_due() {
        stop.sleep_until(Instant::now() + *again, || false);
        let found = find_late(known);
        *again = found.again;
        if !found.late.is_empty() {
            return found.late;
        }
    }
    Vec::new()
}

/// The loops that should be looked at, with when what they run has begun. There is nothing to see to before something
/// that runs now, or begins now, has taken so long that it would have to be looked at.
fn find_late(known: &mut HashMap<usize, Known>) -> Found {
    let loops = everybody();
    known.retain(|place, _| loops.iter().any(|observed| place_of(observed) == *place));
    let mut late = Vec::new();
    let mut again = LONGEST;
    for observed in loops {
        again = again.min(Duration::from_nanos(match observed.steps {
            true => latest(&observed, 0),
            // Its durations are as exact as it is asked often.
            false => patience(&observed, 0) / 2,
        }));
        let now = clock::now_ns();
        let Some(began) = since(&observed) else {
            if let Some(bridge) = observed.bridge.upgrade().filter(|_| !observed.steps) {
                loop_lag::ask(&bridge);
            }
            continue;
        };
        let known = known.entry(place_of(&observed)).or_default();
        if known.began != began {
            *known = Known { began, looks: 0 };
        }
        let taken = now.saturating_sub(began);
        if taken >= patience(&observed, known.looks) {
            known.looks += 1;
            late.push((observed.clone(), began));
        }
        let due = match observed.steps {
            true => latest(&observed, known.looks),
            false => patience(&observed, known.looks),
        };
        let left = due.saturating_sub(taken);
        again = again.min(Duration::from_nanos(left));
    }
    Found {
        late,
        again: again.max(SHORTEST),
    }
}

/// How long something may take before the next look. The longer it takes, the fewer looks.
fn patience(observed: &Observed, looks: u32) -> u64 {
    (observed.slow / 2).saturating_mul(1 << looks.min(20))
}

/// How long at most: still before it is slow, and by as much later as the thread need not wake up for what is not.
fn latest(observed: &Observed, looks: u32) -> u64 {
    patience(observed, looks).saturating_mul(3) / 2
}

/// What tells observations apart: there may be several of one loop.
fn place_of(observed: &Arc<Observed>) -> usize {
    Arc::as_ptr(observed) as usize
}

/// Since when a loop has been at what it runs, or has owed a sign of life.
fn since(observed: &Observed) -> Option<u64> {
    if observed.steps {
        return observed.running();
    }
    observed.bridge.upgrade()?.lag().pending()
}

fn look(py: Python<'_>, observed: &Observed, began: u64) -> PyResult<()> {
    let frames = py.import("sys")?.call_method0("_current_frames")?;
    let frame = frames.get_item(observed.thread())?;
    if since(observed) != Some(began) {
        return Ok(());
    }
    if let Some(seen) = names::of_stack(frame, observed.base()) {
        observed.keep(began, seen);
    }
    Ok(())
}
