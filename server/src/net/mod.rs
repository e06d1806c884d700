//! Sockets and threads: workers, listeners, connections. What requests mean is elsewhere.

mod connection;
mod gate;
mod worker;

use std::collections::hash_map::{Entry, HashMap};
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::fault::timer::Timer;
use crate::server::Server;
use crate::stats::Counters;
use gate::Gate;
use worker::Worker;

/// Connections waiting to be accepted, per node.
const BACKLOG: i32 = 1024;

/// How long taking a node down waits for its sockets to be closed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) server: Server,
    pub(crate) timer: Timer,
    gates: Vec<Arc<Gate>>,
}

/// The running cluster's threads and sockets.
pub(crate) struct Network {
    pub(crate) shared: Arc<Shared>,
    handles: Vec<tokio::runtime::Handle>,
    workers: Mutex<Vec<Worker>>,
    /// Ports of nodes that are down, held so that nobody else takes them meanwhile.
    held_ports: Mutex<HashMap<usize, Socket>>,
}

fn new_socket(address: SocketAddr) -> io::Result<Socket> {
    Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )
}

/// Takes a port without listening on it yet: until then connecting to it is refused.
fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = new_socket(address)?;
    // A node that comes back must not wait for its old connections to be forgotten.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Takes the port of a listener of ours beside it, so that nobody else can when the listener closes: whoever reuses
/// addresses gets only those of sockets that let theirs be reused.
#[cfg(unix)]
fn bind_beside(address: SocketAddr) -> io::Result<Socket> {
    let socket = new_socket(address)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(not(unix))]
fn bind_beside(_address: SocketAddr) -> io::Result<Socket> {
    Err(io::ErrorKind::Unsupported.into())
}

fn start_listening(socket: Socket) -> io::Result<StdListener> {
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    // Only now that the port is taken: two servers must not share one. Connections inherit both.
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    Ok(socket.into())
}

/// Opens a listening socket.
pub(crate) fn listen(address: SocketAddr) -> io::Result<StdListener> {
    bind(address).and_then(start_listening)
}

impl Network {
    pub(crate) fn start(server: Server, listeners: Vec<StdListener>) -> io::Result<Self> {
        let workers = (0..server.options.worker_threads)
            .map(Worker::start)
            .collect::<io::Result<Vec<_>>>()?;
        let shared = Arc::new(Shared {
            gates: listeners.iter().map(|_| Arc::default()).collect(),
            timer: Timer::start()?,
            server,
        });
        let network = Network {
            shared,
            handles: workers.iter().map(Worker::handle).collect(),
            workers: Mutex::new(workers),
            held_ports: Mutex::default(),
        };
        for (node, listener) in listeners.into_iter().enumerate() {
            network.open(node, listener)?;
        }
        Ok(network)
    }

    /// Lets a node accept connections on this socket.
    fn open(&self, node: usize, listener: StdListener) -> io::Result<()> {
        let handle = &self.handles[node % self.handles.len()];
        let listener = {
            let _runtime = handle.enter();
            TcpListener::from_std(listener)?
        };
        let accept = accept(
            Arc::clone(&self.shared),
            node,
            listener,
            self.handles.clone(),
        );
        self.shared.gates[node].open(handle, accept);
        Ok(())
    }

    /// Lets a node that is down listen on its port again.
    pub(crate) fn reopen(&self, node: usize) -> io::Result<()> {
        let held = self.held_ports.lock().remove(&node);
        let listener = match held {
            Some(socket) => start_listening(socket)?,
            None => listen(self.shared.server.nodes[node].address)?,
        };
        self.open(node, listener)
    }

    /// Closes a node's listener and connections and waits until they are closed.
    pub(crate) fn close(&self, node: usize) -> io::Result<()> {
        let address = self.shared.server.nodes[node].address;
        let beside = bind_beside(address);
        if !self.shared.gates[node].close(CLOSE_TIMEOUT) {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the node's sockets did not close in time",
            ));
        }
        let mut held_ports = self.held_ports.lock();
        if let Entry::Vacant(place) = held_ports.entry(node) {
            place.insert(beside.or_else(|_| bind(address))?);
        }
        Ok(())
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.workers.lock().is_empty()
    }

    /// Ends all threads and closes all sockets.
    pub(crate) fn stop(&self) {
        let workers = std::mem::take(&mut *self.workers.lock());
        workers.iter().for_each(Worker::signal);
        workers.into_iter().for_each(Worker::join);
        self.shared.timer.stop();
        self.held_ports.lock().clear();
    }
}

async fn accept(
    shared: Arc<Shared>,
    node: usize,
    listener: TcpListener,
    handles: Vec<tokio::runtime::Handle>,
) {
    // Nodes start at different workers, so that few connections do not all meet on one.
    let mut next = node;
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(_) => {
                // Out of file descriptors, most likely: the backlog keeps until some are free again.
                shared.timer.sleep(Duration::from_millis(10)).await;
                continue;
            }
        };
        let server = &shared.server;
        if server.faults.refuses_connection(node) {
            let counters = &server.nodes[node].counters;
            Counters::add(&counters.accepted, 1);
            Counters::add(&counters.faults, 1);
            let _ = stream.set_zero_linger();
            drop(stream);
            Counters::add(&counters.closed, 1);
            continue;
        }
        let handle = &handles[next % handles.len()];
        next += 1;
        if let Ok(stream) = stream.into_std() {
            let serve = serve(Arc::clone(&shared), node, stream);
            shared.gates[node].admit(handle, serve);
        }
    }
}

/// Counts a connection as closed when its task ends, however it ends.
struct Opened<'s>(&'s Counters);

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        Counters::add(&self.0.closed, 1);
    }
}

async fn serve(shared: Arc<Shared>, node: usize, stream: std::net::TcpStream) {
    let counters = &shared.server.nodes[node].counters;
    Counters::add(&counters.accepted, 1);
    let _opened = Opened(counters);
    if let Ok(stream) = TcpStream::from_std(stream) {
        connection::serve(&shared, node, stream).await;
    }
}
