//! The HTTP server that metrics are scraped from: a native thread of its own, which never waits for the
//! interpreter and is in nobody's way.
//!
//! Whatever a client does is bounded: how many there are, how long their headers may be and take, and
//! how long a connection may last.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use flate2::{write::GzEncoder, Compression};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{watch, Semaphore};

use crate::export::accept;
use crate::export::prometheus::render;
use crate::lanes::fork;

/// Connections at once; more are closed as they come.
const MOST_CONNECTIONS: usize = 64;
/// How long a client may take over the head of a request, and be idle between two.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection lasts, and how long its last answer may take then.
const LIFETIME: Duration = Duration::from_secs(60);
const LAST_ANSWER: Duration = Duration::from_secs(5);
/// How long the head of a request may be, and how many headers it may have.
const LONGEST_HEAD: usize = 16 * 1024;
const MOST_HEADERS: usize = 64;
/// Shorter answers are not worth compressing.
const COMPRESSED_FROM: usize = 1024;
/// How long to wait after the system refused to accept a connection, for want of descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A server that runs.
pub struct Running {
    generation: u64,
    address: SocketAddr,
    /// Dropped to stop.
    stop: watch::Sender<()>,
    thread: JoinHandle<()>,
}

static RUNNING: Mutex<Option<Running>> = Mutex::new(None);
/// The listening socket, which the child of a fork has too and must not keep.
static LISTENING: AtomicI32 = AtomicI32::new(-1);

/// The server, if there is one, for whoever must not find it locked after a fork.
pub fn lock_server() -> MutexGuard<'static, Option<Running>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// In the child of a fork: leaves the port to the parent.
pub fn forget_after_fork() {
    let listening = LISTENING.swap(-1, Ordering::Relaxed);
    if listening >= 0 {
        // SAFETY: the descriptor is this process's copy of the listener that only the parent's thread
        // uses, which does not exist here; nobody else closes it.
        unsafe { libc::close(listening) };
    }
}

/// Starts serving; port 0 is any that is free. Returns the address. A server that runs elsewhere is
/// stopped once this one has started; if it is this one already, nothing happens.
pub fn start(host: &str, port: u16) -> io::Result<SocketAddr> {
    let addresses: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    let mut running = lock_server();
    match running.take() {
        Some(current) if current.generation == fork::generation() => {
            let address = current.address;
            *running = Some(current);
            if addresses.contains(&address) {
                return Ok(address);
            }
        }
        // The parent's server; its thread does not exist here.
        husk => std::mem::forget(husk),
    }
    let started = launch(&addresses)?;
    let address = started.address;
    let before = running.replace(started);
    drop(running);
    if let Some(before) = before {
        before.end();
    }
    Ok(address)
}

fn launch(addresses: &[SocketAddr]) -> io::Result<Running> {
    let listener = TcpListener::bind(addresses)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let (stop, stopped) = watch::channel(());
    let (ready, started) = mpsc::channel();
    let descriptor = listener.as_raw_fd();
    let thread = std::thread::Builder::new()
        .name("aerospike-py-metrics".to_owned())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            match runtime {
                Ok(runtime) => {
                    let _ = ready.send(Ok(()));
                    runtime.block_on(serve(listener, stopped));
                }
                Err(error) => {
                    let _ = ready.send(Err(error));
                }
            }
        })?;
    started.recv().map_err(io::Error::other)??;
    LISTENING.store(descriptor, Ordering::Relaxed);
    Ok(Running {
        generation: fork::generation(),
        address,
        stop,
        thread,
    })
}

/// Stops serving; without a server nothing happens.
pub fn stop() {
    let Some(running) = lock_server().take() else {
        return;
    };
    if running.generation != fork::generation() {
        return std::mem::forget(running);
    }
    LISTENING.store(-1, Ordering::Relaxed);
    running.end();
}

impl Running {
    fn end(self) {
        drop(self.stop);
        // A thread that panicked has stopped, too.
        let _ = self.thread.join();
    }
}

async fn serve(listener: TcpListener, mut stopped: watch::Receiver<()>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    let slots = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            _ = stopped.changed() => return,
            accepted = listener.accept() => accepted,
        };
        match (accepted, slots.clone().try_acquire_owned()) {
            (Ok((stream, _)), Ok(slot)) => {
                let stopped = stopped.clone();
                tokio::spawn(async move {
                    converse(stream, stopped).await;
                    drop(slot);
                });
            }
            (Ok(_), Err(_)) => {}
            (Err(_), _) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Answers the requests of one connection. What goes wrong with it is the client's affair.
async fn converse(stream: TcpStream, mut stopped: watch::Receiver<()>) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(LONGEST_HEAD)
        .max_headers(MOST_HEADERS)
        .serve_connection(TokioIo::new(stream), service_fn(answer));
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = tokio::time::sleep(LIFETIME) => connection.as_mut().graceful_shutdown(),
        _ = stopped.changed() => return,
    }
    let _ = tokio::time::timeout(LAST_ANSWER, connection).await;
}

async fn answer(request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
    let (method, path) = (request.method(), request.uri().path());
    Ok(match (path, method) {
        ("/metrics" | "/", &Method::GET | &Method::HEAD) => {
            metrics(request.headers(), method == Method::HEAD)
        }
        ("/metrics" | "/", _) => {
            let mut refused = plain(
                StatusCode::METHOD_NOT_ALLOWED,
                "only GET and HEAD are served here\n",
            );
            let allowed = HeaderValue::from_static("GET, HEAD");
            refused.headers_mut().insert(header::ALLOW, allowed);
            refused
        }
        _ => plain(StatusCode::NOT_FOUND, "metrics are at /metrics\n"),
    })
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}

fn metrics(headers: &HeaderMap, head_only: bool) -> Response<Full<Bytes>> {
    let asked = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
    };
    let format = accept::format(asked(header::ACCEPT));
    let text = render(format);
    let mut response = Response::new(Full::default());
    let mut body = text.into_bytes();
    if body.len() >= COMPRESSED_FROM && accept::takes_gzip(asked(header::ACCEPT_ENCODING)) {
        if let Ok(compressed) = compress(&body) {
            body = compressed;
            let gzip = HeaderValue::from_static("gzip");
            response
                .headers_mut()
                .insert(header::CONTENT_ENCODING, gzip);
        }
    }
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(format.content_type()),
    );
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    headers.insert(
        header::VARY,
        HeaderValue::from_static("Accept, Accept-Encoding"),
    );
    if !head_only {
        *response.body_mut() = Full::from(body);
    }
    response
}

fn compress(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}
