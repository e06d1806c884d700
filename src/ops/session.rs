//! A connected driver that knows whether it has been closed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aerospike_core::{AdminPolicy, Client, ClientPolicy, Host};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::error::Fault;

/// How long the question for the names of the namespaces may take, in milliseconds.
const NAMESPACES_TIMEOUT_MS: u32 = 1000;
/// How long closing waits for the driver's background task.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection to a cluster.
pub struct Session {
    client: Client,
    namespaces: Vec<String>,
    keeps_bins: bool,
    runtime: Handle,
    closed: AtomicBool,
    closing: Notify,
}

impl Session {
    /// Connects through the first seed host that answers.
    ///
    /// Must run inside a Tokio runtime, which then carries the driver's background work.
    pub async fn connect(policy: &ClientPolicy, hosts: Vec<Host>) -> Result<Session, Fault> {
        if hosts.is_empty() {
            return Err(Fault::argument(
                "there are no hosts to connect to: name at least one",
            ));
        }
        let client = Client::new(policy, &hosts)
            .await
            .map_err(|error| Fault::Connect {
                hosts: hosts.iter().map(Host::address).collect(),
                error,
            })?;
        let namespaces = namespaces_of(&client).await;
        Ok(Session {
            client,
            namespaces,
            keeps_bins: true,
            runtime: Handle::current(),
            closed: AtomicBool::new(false),
            closing: Notify::new(),
        })
    }

    /// The driver.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The namespaces the cluster had when the session was made; empty if it did not say.
    pub fn namespaces(&self) -> &[String] {
        &self.namespaces
    }

    /// Makes batch reads leave bins in the bytes of their replies until they are asked for, or not.
    pub fn keeping_bins(mut self, keeps_bins: bool) -> Self {
        self.keeps_bins = keeps_bins;
        self
    }

    /// Whether batch reads leave bins in the bytes of their replies until they are asked for.
    pub fn keeps_bins(&self) -> bool {
        self.keeps_bins
    }

    /// Whether a node is known to be up.
    pub fn is_connected(&self) -> bool {
        !self.is_closed() && self.client.is_connected()
    }

    /// Whether the session has been closed.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// The nodes known to be up.
    pub fn node_names(&self) -> Result<Vec<String>, Fault> {
        if self.is_closed() {
            return Err(Fault::Closed);
        }
        Ok(self.client.node_names())
    }

    /// Closes all connections; closing twice does nothing.
    pub async fn close(&self) -> Result<(), Fault> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.closing.notify_waiters();
        // In a task of its own: whoever stops waiting for it does not leave it half done.
        match tokio::time::timeout(CLOSE_TIMEOUT, self.spawn_close()).await {
            Ok(Ok(closed)) => closed.map_err(Fault::driver),
            Ok(Err(failed)) => Err(Fault::internal(format!("closing failed: {failed}"))),
            Err(_) => Err(Fault::client(
                "the client is closed, but its background task is still waiting for a node; it ends by itself",
            )),
        }
    }

    fn spawn_close(&self) -> JoinHandle<aerospike_core::Result<()>> {
        let client = self.client.clone();
        self.runtime.spawn(async move { client.close().await })
    }

    /// Ends when the session is closed.
    pub async fn closing(&self) {
        let notified = self.closing.notified();
        tokio::pin!(notified);
        // Listen first, look second: a close in between is not missed.
        notified.as_mut().enable();
        if !self.is_closed() {
            notified.await;
        }
    }
}

impl Drop for Session {
    /// The driver's background task would keep its connections for ever.
    fn drop(&mut self) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            drop(self.spawn_close());
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("nodes", &self.client.node_names())
            .field("closed", &self.is_closed())
            .finish()
    }
}

/// Only error messages need the names, so a cluster that does not say is no failure.
async fn namespaces_of(client: &Client) -> Vec<String> {
    const COMMAND: &str = "namespaces";
    let policy = AdminPolicy {
        timeout: NAMESPACES_TIMEOUT_MS,
    };
    let Ok(answer) = client.info(&policy, &[COMMAND]).await else {
        return Vec::new();
    };
    let names = answer.get(COMMAND).map_or("", String::as_str);
    names
        .split(';')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}
