//! Connecting, for both clients: from the configuration to a session.

use aerospike_core::{ClientPolicy, Host};
use aerospike_rt::whole::{settle, whole};
use pyo3::prelude::*;
use tokio::runtime::Handle;

use crate::client::state::ClientState;
use crate::client::state::Connected;
use crate::error::Fault;
use crate::lanes::runtime;
use crate::logs;
use crate::ops::limiter::Limiter;
use crate::ops::session::Session;
use crate::probes::python::start_after_fork;

/// Everything that connecting needs, taken from Python.
pub struct Plan {
    policy: ClientPolicy,
    hosts: Vec<Host>,
    limiter: Limiter,
    raw_replies: bool,
    runtime: Handle,
}

impl Plan {
    /// Takes the configuration, with another user if one is named.
    pub fn new(
        py: Python<'_>,
        state: &ClientState,
        username: Option<String>,
        password: Option<String>,
    ) -> PyResult<Self> {
        let config = state.config();
        start_after_fork(py);
        logs::bridge::ensure(py);
        Ok(Plan {
            policy: config.policy_for(username, password)?,
            hosts: config.hosts.clone(),
            limiter: config.limiter.renewed(),
            raw_replies: config.raw_replies,
            runtime: runtime::handle()?,
        })
    }

    /// Where the connecting runs.
    pub fn runtime(&self) -> Handle {
        self.runtime.clone()
    }

    /// Connects. The driver's background work belongs to the runtime, so this runs there and not
    /// in the operation's own poll, where it would be recorded as part of it.
    pub async fn carry_out(self) -> Result<Connected, Fault> {
        // Off the data path is the time for the few milliseconds that this takes once.
        aerospike_stages::clock::calibrate();
        let Plan {
            policy,
            hosts,
            limiter,
            raw_replies,
            runtime,
        } = self;
        let connecting = async move { Session::connect(&policy, hosts).await };
        match runtime.spawn(whole(connecting)).await {
            Ok(session) => {
                let session = session?.keeping_bins(raw_replies);
                settle();
                Ok(Connected::new(session, runtime, limiter))
            }
            Err(error) if error.is_panic() => Err(Fault::Panicked(error.to_string())),
            Err(_) => Err(Fault::Cancelled),
        }
    }
}
