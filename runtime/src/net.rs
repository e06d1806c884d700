//! TCP as the driver sees it, with every read and write reported.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use aerospike_stages::clock::now_ns;
use aerospike_stages::{current, Event, NodeId};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::ToSocketAddrs;

pub use tokio::net::{lookup_host, TcpListener};

static ATTEMPTS: AtomicU64 = AtomicU64::new(0);

/// How many connections have been attempted through this crate in this process.
pub fn connection_attempts() -> u64 {
    ATTEMPTS.load(Ordering::Relaxed)
}

/// A TCP connection to a node.
#[derive(Debug)]
pub struct TcpStream {
    inner: tokio::net::TcpStream,
    node: NodeId,
    /// Whether a byte of the reply to the last command has arrived.
    replied: bool,
}

impl TcpStream {
    /// Opens a connection.
    ///
    /// # Errors
    /// What the operating system or the resolver reports.
    pub async fn connect<A: ToSocketAddrs>(address: A) -> io::Result<Self> {
        ATTEMPTS.fetch_add(1, Ordering::Relaxed);
        let inner = tokio::net::TcpStream::connect(address).await?;
        let node = inner
            .peer_addr()
            .map_or(NodeId::NONE, |peer| NodeId::intern(&peer.to_string()));
        Ok(TcpStream {
            inner,
            node,
            replied: false,
        })
    }

    /// Sends small segments at once, or gathers them.
    ///
    /// # Errors
    /// What the operating system reports.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.inner.set_nodelay(nodelay)
    }

    /// The address of the other side.
    ///
    /// # Errors
    /// What the operating system reports.
    pub fn peer_addr(&self) -> io::Result<std::net::SocketAddr> {
        self.inner.peer_addr()
    }

    fn begin_write(&self) {
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
                current::note(Event::WriteEnd {
                    bytes: *bytes,
                    complete: *bytes == length,
                });
            }
            Poll::Ready(Err(_)) => current::note(Event::StreamFailed),
        }
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let began = current::stamp();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buffer);
        let bytes = buffer.filled().len() - before;
        if let Some(began) = began {
            let replied = self.replied;
            current::with(|recorder| match &polled {
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
            });
        }
        self.replied |= bytes > 0;
        polled
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.begin_write();
        let polled = Pin::new(&mut self.inner).poll_write(cx, buffer);
        self.end_write(&polled, buffer.len());
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.begin_write();
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, buffers);
        self.end_write(&polled, buffers.iter().map(|buffer| buffer.len()).sum());
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl AsFd for TcpStream {
    /// The driver asks for the descriptor only when it checks a pooled connection for life.
    fn as_fd(&self) -> BorrowedFd<'_> {
        current::with(|recorder| {
            recorder.set_node(self.node);
            recorder.on(Event::Probe, now_ns());
        });
        self.inner.as_fd()
    }
}

impl AsRawFd for TcpStream {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_raw_fd()
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        current::note(Event::StreamDropped);
    }
}
