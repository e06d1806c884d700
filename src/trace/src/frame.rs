//! What ran where: the frame around a recording, and how the recorder's clock relates to the calendar.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use aerospike_stages::{clock, Stage};
use arc_swap::ArcSwapOption;
use serde_json::{json, Value};

use crate::{fork, random};

/// What only the bridge knows.
#[derive(Debug, Clone, Default)]
pub struct Interpreter {
    /// Of this package.
    pub client_version: String,
    /// Of the driver.
    pub core_version: String,
    /// `3.14.0`.
    pub python_version: String,
    /// `CPython`.
    pub python_implementation: String,
    /// Built without the GIL.
    pub free_threaded: bool,
    /// Runs with the GIL.
    pub gil_enabled: bool,
    /// `linux`.
    pub platform: String,
    /// What was started.
    pub argv0: String,
}

static INTERPRETER: OnceLock<Interpreter> = OnceLock::new();

/// Whose event loop a client was used on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventLoop {
    /// The standard library's.
    Asyncio = 1,
    /// The one on libuv.
    Uvloop = 2,
    /// Any other.
    Other = 4,
}

impl EventLoop {
    const ALL: [Self; 3] = [Self::Asyncio, Self::Uvloop, Self::Other];

    /// By the package of the loop's class.
    #[must_use]
    pub fn of_package(name: &str) -> Self {
        match name {
            "asyncio" => Self::Asyncio,
            "uvloop" => Self::Uvloop,
            _ => Self::Other,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Asyncio => "asyncio",
            Self::Uvloop => "uvloop",
            Self::Other => "other",
        }
    }
}

/// One bit per kind: a lock could be held in the moment of a fork.
static EVENT_LOOPS: AtomicU8 = AtomicU8::new(0);

/// Says that a client is used on such a loop.
pub fn saw_event_loop(kind: EventLoop) {
    EVENT_LOOPS.fetch_or(kind as u8, Ordering::Relaxed);
}

fn event_loops() -> Vec<&'static str> {
    let seen = EVENT_LOOPS.load(Ordering::Relaxed);
    EventLoop::ALL
        .into_iter()
        .filter(|kind| seen & *kind as u8 != 0)
        .map(EventLoop::name)
        .collect()
}

/// Says what runs here, once.
pub fn set_interpreter(interpreter: Interpreter) {
    let _ = INTERPRETER.set(interpreter);
}

/// What runs here, as far as it has been said.
#[must_use]
pub fn interpreter() -> Interpreter {
    INTERPRETER.get().cloned().unwrap_or_default()
}

/// What to add to the recorder's nanoseconds to get nanoseconds since 1970. The recorder's clock drifts against the
/// calendar by some seconds a week, so this is asked for again and again.
#[must_use]
pub fn unix_offset_ns() -> i64 {
    let read = || {
        let before = clock::now_ns();
        let unix = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos() as i64);
        let after = clock::now_ns();
        (
            after - before,
            unix - (before + (after - before) / 2) as i64,
        )
    };
    let tightest = (0..5).map(|_| read()).min_by_key(|(width, _)| *width);
    tightest.map_or(0, |(_, offset)| offset)
}

static INSTANCE: ArcSwapOption<(u64, String)> = ArcSwapOption::const_empty();

/// What tells this process from every other one that sends under the same service's name; a forked child has one of
/// its own.
#[must_use]
pub fn instance() -> String {
    let generation = fork::generation();
    if let Some(known) = INSTANCE.load_full() {
        if known.0 == generation {
            return known.1.clone();
        }
    }
    let (high, low) = (random::next(), random::next());
    // A UUID of the random kind: two of its digits say so.
    let name = format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff
    );
    INSTANCE.rcu(|present| match present {
        Some(present) if present.0 == generation => Some(present.clone()),
        _ => Some(Arc::new((generation, name.clone()))),
    });
    let known = INSTANCE.load_full();
    known.map_or(name, |known| known.1.clone())
}

/// The machine's name.
#[must_use]
pub fn host() -> String {
    let mut name = [0_u8; 256];
    // SAFETY: the buffer is one longer than is said, so that it ends with a zero whatever is written.
    let failed = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) } != 0;
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(0);
    match std::str::from_utf8(&name[..end]) {
        Ok(name) if !failed && !name.is_empty() => name.to_owned(),
        _ => "unknown".to_owned(),
    }
}

/// How many processors the container may use, if it is limited.
fn cpu_quota() -> Option<f64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    if let Some(max) = read("/sys/fs/cgroup/cpu.max") {
        let (quota, period) = max.trim().split_once(' ')?;
        return Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?);
    }
    let number = |name: &str| {
        read(&format!("/sys/fs/cgroup/cpu/{name}"))?
            .trim()
            .parse::<f64>()
            .ok()
    };
    let quota = number("cpu.cfs_quota_us").filter(|quota| *quota > 0.0)?;
    Some(quota / number("cpu.cfs_period_us")?)
}

fn cores() -> i64 {
    // SAFETY: sysconf reads a number.
    unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) }
}

/// The frame, for the metadata of a file.
#[must_use]
pub fn frame() -> Value {
    let interpreter = interpreter();
    let offset = unix_offset_ns();
    let service = std::env::var("OTEL_SERVICE_NAME")
        .ok()
        .filter(|name| !name.is_empty());
    json!({
        "host": host(),
        "pid": std::process::id(),
        "started_unix_ns": clock::now_ns() as i64 + offset,
        "clock_unix_ns": offset,
        "client_version": interpreter.client_version,
        "core_version": interpreter.core_version,
        "python_version": interpreter.python_version,
        "python_implementation": interpreter.python_implementation,
        "python_build": if interpreter.free_threaded { "free-threaded" } else { "gil" },
        "gil_enabled": interpreter.gil_enabled,
        "event_loops": event_loops(),
        "cores": cores(),
        "cpu_quota_cores": cpu_quota(),
        "platform": interpreter.platform,
        "argv0": interpreter.argv0,
        "service_name": service,
        "stages": Stage::ALL.map(Stage::name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clocks_are_related() {
        clock::calibrate();
        let here = clock::now_ns() as i64 + unix_offset_ns();
        let there = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_nanos() as i64;
        assert!(
            (0..1_000_000_000).contains(&(there - here)),
            "{}",
            there - here
        );
    }

    #[test]
    fn loops_are_named_by_their_package() {
        saw_event_loop(EventLoop::of_package("uvloop"));
        saw_event_loop(EventLoop::of_package("trio_asyncio"));
        assert_eq!(frame()["event_loops"], json!(["uvloop", "other"]));
    }

    #[test]
    fn a_process_has_one_name() {
        let name = instance();
        assert_eq!(name, instance());
        assert_eq!((name.len(), &name[14..15]), (36, "4"));
        assert!(name[19..20].contains(['8', '9', 'a', 'b']));
    }

    #[test]
    fn a_frame_says_what_runs_where() {
        let frame = frame();
        assert_eq!(frame["pid"], std::process::id());
        assert_eq!(frame["stages"].as_array().map(Vec::len), Some(Stage::COUNT));
        assert!(frame["host"].as_str().is_some_and(|host| !host.is_empty()));
        assert!(frame["cores"].as_i64().is_some_and(|cores| cores > 0));
    }
}
