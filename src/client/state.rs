//! What both clients have: the configuration, and the session that a connected client works with.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use aerospike_stages::{clock, current, sink, Stage};
use arc_swap::ArcSwapOption;
use futures_util::FutureExt;
use pyo3::prelude::*;
use pyo3::types::PyAny;
use tokio::runtime::Handle;

use crate::convert::client_config::ClientConfig;
use crate::error::Fault;
use crate::lanes::fork;
use crate::ops::gauges::Watched;
use crate::ops::limiter::{Limiter, Permit};
use crate::ops::request::{Reply, Request};
use crate::ops::session::Session;
use crate::ops::{self, on_the_heap};

/// A session with what its operations need.
pub struct Connected {
    pub session: Arc<Session>,
    pub runtime: Handle,
    watched: Arc<Watched>,
    generation: u64,
}

/// An operation that is carried out while it is polled.
pub type Running = Pin<Box<dyn Future<Output = Result<Reply, Fault>> + Send>>;

impl Connected {
    /// A session of this process.
    pub fn new(session: Session, runtime: Handle, limiter: Limiter) -> Self {
        let session = Arc::new(session);
        let generation = fork::generation();
        Connected {
            watched: Watched::new(session.clone(), limiter, generation),
            session,
            runtime,
            generation,
        }
    }

    fn is_from_here(&self) -> bool {
        self.generation == fork::generation()
    }

    /// Carries out a request under the limit of operations in flight.
    pub fn run(self: Arc<Self>, request: Request) -> Running {
        let prepared = ops::prepare(&self.session, request);
        on_the_heap!(async move {
            let _flight = self.watched.enter();
            if sink::is_present() {
                current::with(|recorder| {
                    recorder.facts.client = self.watched.id;
                    recorder.facts.in_flight = self.watched.in_flight();
                });
            }
            let operation = async {
                let _permit = self.admit().await?;
                ops::carry_out(&self.session, prepared).await
            };
            match std::panic::AssertUnwindSafe(operation).catch_unwind().await {
                Ok(result) => result,
                Err(panic) => Err(Fault::Panicked(message_of(&*panic))),
            }
        })
    }

    async fn admit(&self) -> Result<Permit, Fault> {
        if let Some(permit) = self.watched.limiter.try_acquire() {
            return Ok(permit);
        }
        current::with(|recorder| recorder.wait_in(Stage::LimiterWait, clock::now_ns()));
        let permit = self.watched.limiter.acquire().await?;
        current::with(|recorder| recorder.enter(Stage::PoolAcquire, clock::now_ns()));
        Ok(permit)
    }
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

/// The state of a client object.
pub struct ClientState {
    config: ClientConfig,
    connected: ArcSwapOption<Connected>,
}

impl ClientState {
    /// A client that is not connected yet.
    pub fn new(config: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(ClientState {
            config: ClientConfig::from_python(config)?,
            connected: ArcSwapOption::empty(),
        })
    }

    /// The configuration as it was given.
    pub fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// The session that operations work with.
    pub fn connected(&self) -> Result<Arc<Connected>, Fault> {
        match &*self.connected.load() {
            None => Err(Fault::NotConnected),
            Some(connected) if !connected.is_from_here() => Err(Fault::client(
                "this client was connected before the process forked and cannot be used in the child: \
                 create and connect a client in the child process",
            )),
            Some(connected) => Ok(connected.clone()),
        }
    }

    /// Takes over a new session; a previous one is returned so that it can be closed.
    pub fn connect(&self, connected: Connected) -> Option<Arc<Connected>> {
        self.connected
            .swap(Some(Arc::new(connected)))
            .and_then(keep_if_from_here)
    }

    /// Closes the session, if there is one; closing twice does nothing.
    pub async fn close(connected: Option<Arc<Connected>>) -> Result<Reply, Fault> {
        match connected {
            Some(connected) => connected.session.close().await.map(|()| Reply::Nothing),
            None => Ok(Reply::Nothing),
        }
    }

    /// Whether a node is known to be up.
    pub fn is_connected(&self) -> bool {
        self.connected()
            .is_ok_and(|connected| connected.session.is_connected())
    }

    /// The nodes known to be up.
    pub fn node_names(&self) -> Result<Vec<String>, Fault> {
        self.connected()?.session.node_names()
    }
}

/// Sessions of a parent process are never dropped: their sockets are shared with the parent and
/// the runtime that would shut them down does not run here.
fn keep_if_from_here(connected: Arc<Connected>) -> Option<Arc<Connected>> {
    if connected.is_from_here() {
        return Some(connected);
    }
    std::mem::forget(connected);
    None
}

impl Drop for ClientState {
    fn drop(&mut self) {
        let _ = self.connected.swap(None).and_then(keep_if_from_here);
    }
}
