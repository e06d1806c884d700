//! Probes beside the stages: how late the event loops are, how long the GIL takes, what Tokio's runtime and
//! the process do. They tell whose fault a wait is. Nothing here is in an operation's way.
//!
//! [`table`] names the probes, [`series`] adds up what they measure, [`samples`] hands single
//! measurements to whoever writes them down; [`observer`] says what an event loop ran.

pub mod cgroup;
pub mod clients;
pub mod control;
pub mod gil;
pub mod loop_lag;
pub mod native;
pub mod observer;
pub mod process;
pub mod python;
pub mod runtime;
pub mod samples;
pub mod series;
pub mod table;
