//! TCP as the driver sees it, with every read and write reported.
//!
//! What a stream reads ahead is kept in [`ahead`]; how its socket waits is the business of [`socket`].

mod ahead;
mod arrival;
mod socket;
pub mod tally;

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use aerospike_stages::clock::now_ns;
use aerospike_stages::{current, Event, NodeId, Recorder, Stage};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::ToSocketAddrs;

use crate::direct;
use crate::replies::{self, Exchange, Single};
use ahead::Ahead;
use socket::Socket;
use tally::{Connecting, Tally};

pub use arrival::is_unknown as arrivals_are_unknown;
pub use tokio::net::{lookup_host, TcpListener};

/// A wait of less than this is the network's without a question to the kernel, which would cost more than
/// a hundred nanoseconds: a loop that is late has been late for less than that.
const PROMPT_NS: u64 = 50_000;

static ATTEMPTS: AtomicU64 = AtomicU64::new(0);

/// How many connections have been attempted through this crate in this process.
pub fn connection_attempts() -> u64 {
    ATTEMPTS.load(Ordering::Relaxed)
}

/// A TCP connection to a node.
#[derive(Debug)]
pub struct TcpStream {
    socket: Socket,
    ahead: Ahead,
    node: NodeId,
    tally: Tally,
    /// Whether a byte of the reply to the last command has arrived.
    replied: bool,
    /// Takes the bins out of the reply to a batch read; made for the first of them.
    exchange: Option<Box<Exchange>>,
    /// Takes the bins out of the reply to the read of one record.
    single: Single,
}

impl TcpStream {
    /// Opens a connection.
    ///
    /// # Errors
    /// What the operating system or the resolver reports.
    pub async fn connect<A: ToSocketAddrs>(address: A) -> io::Result<Self> {
        ATTEMPTS.fetch_add(1, Ordering::Relaxed);
        let connecting = Connecting::begin();
        let stream = tokio::net::TcpStream::connect(address).await?;
        connecting.succeeded();
        let node = stream
            .peer_addr()
            .map_or(NodeId::NONE, |peer| NodeId::intern(&peer.to_string()));
        Ok(TcpStream {
            socket: Socket::new(stream)?,
            ahead: Ahead::default(),
            node,
            tally: Tally::of(node),
            replied: false,
            exchange: None,
            single: Single::default(),
        })
    }

    /// Sends small segments at once, or gathers them.
    ///
    /// # Errors
    /// What the operating system reports.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.socket.set_nodelay(nodelay)
    }

    /// The address of the other side.
    ///
    /// # Errors
    /// What the operating system reports.
    pub fn peer_addr(&self) -> io::Result<std::net::SocketAddr> {
        self.socket.peer_addr()
    }

    /// Leaves the bins of the reply to `command` with whoever wants them.
    fn begin_exchange(&mut self, command: &[u8]) {
        self.single.begin(command, replies::current);
        if let Some(exchange) = &mut self.exchange {
            exchange.begin(command, replies::current);
        } else if Exchange::concerns(command) && replies::is_wanted() {
            let exchange = self.exchange.insert(Box::default());
            exchange.begin(command, replies::current);
        }
    }

    fn begin_write(&self) {
        self.tally.begin_write();
        current::with(|recorder| {
            recorder.set_node(self.node);
            recorder.on(Event::WriteBegin, now_ns());
        });
    }

    fn end_write(&mut self, polled: &Poll<io::Result<usize>>, length: usize) {
        match polled {
            Poll::Pending => current::note(Event::WritePending),
            Poll::Ready(Ok(bytes)) => {
                self.replied = false;
                self.tally.sent(*bytes);
                let (bytes, complete) = (*bytes, *bytes == length);
                current::with(|recorder| {
                    recorder.on(Event::WriteEnd { bytes, complete }, now_ns());
                });
            }
            Poll::Ready(Err(_)) => {
                self.tally.failed();
                current::note(Event::StreamFailed);
            }
        }
    }

    /// Reads from the socket, and says so.
    fn poll_socket(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.socket.take_asked() && self.socket.waits_at_once() {
            note_wait(self.replied);
            return Poll::Pending;
        }
        let mut held = current::hold();
        let began = held
            .recorder()
            .map(|recorder| (now_ns(), recorder.stage_began()));
        let is_late = began.is_some_and(|(now, since)| now.saturating_sub(since) >= PROMPT_NS);
        let before = buffer.filled().len();
        let polled = self.socket.poll_read(cx, buffer, is_late);
        direct::forget_time();
        let bytes = buffer.filled().len() - before;
        if bytes > 0 {
            self.tally.received(bytes);
        } else if polled.is_ready() {
            self.tally.failed();
        }
        if let (Some(recorder), Some((began, _))) = (held.recorder(), began) {
            let arrived = self.socket.take_arrival();
            note_read(recorder, &polled, bytes, self.replied, (arrived, began));
        }
        self.replied |= bytes > 0;
        polled
    }
}

/// The reply cannot be there yet: the operation goes on waiting.
fn note_wait(replied: bool) {
    current::with(|recorder| {
        if replied || recorder.stage() != Stage::NetworkWait {
            recorder.on(Event::ReadPending { replied }, now_ns());
        } else {
            recorder.still_waits_in(Stage::NetworkWait);
        }
    });
}

fn note_read(
    recorder: &mut Recorder,
    polled: &Poll<io::Result<()>>,
    bytes: usize,
    replied: bool,
    (arrived, began): (Option<u64>, u64),
) {
    if let Some(arrived) = arrived {
        recorder.on(Event::Arrived, arrived.min(began));
        recorder.split_loop_wait(current::loop_gil_wait());
    }
    match polled {
        Poll::Pending => recorder.on(Event::ReadPending { replied }, began),
        Poll::Ready(Ok(())) if bytes > 0 => {
            recorder.on(Event::ReadBegin, began);
            recorder.on(Event::ReadEnd { bytes }, now_ns());
        }
        Poll::Ready(_) => {
            // Without a byte of the reply the operation was still waiting for it.
            if replied {
                recorder.on(Event::ReadBegin, began);
            }
            recorder.on(Event::StreamFailed, now_ns());
        }
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(mut exchange) = this.exchange.take_if(|exchange| exchange.is_active()) {
            let polled = exchange.poll_read(cx, buffer, |cx, room| this.poll_socket(cx, room));
            this.exchange = Some(exchange);
            return polled;
        }
        if this.ahead.serve(buffer) {
            return Poll::Ready(Ok(()));
        }
        if buffer.remaining() >= ahead::SIZE {
            return this.poll_socket(cx, buffer);
        }
        let mut ahead = std::mem::take(&mut this.ahead);
        let polled = ahead.fill(|space| this.poll_socket(cx, space));
        if !ahead.is_empty() {
            if let Some(left) = this.single.take_bins(ahead.bytes_mut()) {
                ahead.truncate(left);
            }
        }
        this.ahead = ahead;
        this.ahead.serve(buffer);
        polled
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.begin_exchange(buffer);
        self.begin_write();
        let polled = self.socket.poll_write(cx, buffer);
        self.end_write(&polled, buffer.len());
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.begin_write();
        let polled = self.socket.poll_write_vectored(cx, buffers);
        self.end_write(&polled, buffers.iter().map(|buffer| buffer.len()).sum());
        polled
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// The kernel has what was written; there is nothing in between.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.shutdown())
    }
}

impl AsFd for TcpStream {
    /// The driver asks for the descriptor only when it checks a pooled connection for life. One that
    /// has bytes nobody asked for is out of step, and they may have been read ahead: the driver then
    /// looks at a connection that is closed.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tally.checked_out();
        current::with(|recorder| {
            recorder.set_node(self.node);
            recorder.on(Event::Probe, now_ns());
        });
        let exchange = self.exchange.as_deref();
        if self.ahead.is_empty() && !exchange.is_some_and(Exchange::holds_bytes) {
            self.socket.as_fd()
        } else {
            self.socket.as_closed_fd()
        }
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        current::note(Event::StreamDropped);
    }
}
