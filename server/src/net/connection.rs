//! One connection: frames in, frames out, faults in between.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Shared;
use crate::fault::table::{End, Verdict};
use crate::server::{Request, Step};
use crate::stats::Counters;
use crate::wire::compress::inflate;
use crate::wire::frame::{parse_header, FrameHeader, FrameType, HEADER_SIZE};
use crate::wire::WireError;

/// Room made for the next read.
const READ_SIZE: usize = 16 * 1024;

/// Buffers above this size are given back once they are not needed.
const KEPT_CAPACITY: usize = 1024 * 1024;

/// Bytes received and not yet consumed.
#[derive(Default)]
struct Input {
    bytes: Vec<u8>,
}

/// Why no further frame comes.
enum InputEnd {
    Closed,
    Malformed,
}

impl From<WireError> for InputEnd {
    fn from(_: WireError) -> Self {
        InputEnd::Malformed
    }
}

impl From<io::Error> for InputEnd {
    fn from(_: io::Error) -> Self {
        InputEnd::Closed
    }
}

impl Input {
    /// Waits until a whole frame is at the front of the buffer.
    async fn frame(&mut self, stream: &mut TcpStream) -> Result<FrameHeader, InputEnd> {
        self.fill(stream, HEADER_SIZE).await?;
        let header = match self.bytes.first_chunk::<HEADER_SIZE>() {
            Some(bytes) => parse_header(bytes)?,
            None => return Err(InputEnd::Closed),
        };
        self.fill(stream, HEADER_SIZE + header.size).await?;
        Ok(header)
    }

    /// Reads until `size` bytes are there. Room grows with what has arrived, never by what was announced.
    async fn fill(&mut self, stream: &mut TcpStream, size: usize) -> io::Result<()> {
        while self.bytes.len() < size {
            let missing = size - self.bytes.len();
            let room = missing.min(self.bytes.len()).max(READ_SIZE);
            if self.bytes.capacity() - self.bytes.len() < missing.min(room) {
                self.bytes.reserve(room);
            }
            if stream.read_buf(&mut self.bytes).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    fn consume(&mut self, size: usize) {
        if self.bytes.len() == size {
            self.bytes.clear();
            give_back(&mut self.bytes);
        } else {
            self.bytes.drain(..size);
        }
    }
}

fn give_back(buffer: &mut Vec<u8>) {
    if buffer.capacity() > KEPT_CAPACITY {
        buffer.clear();
        buffer.shrink_to(READ_SIZE);
    }
}

/// Serves a connection until either side ends it.
pub(super) async fn serve(shared: &Shared, node: usize, mut stream: TcpStream) {
    // A connection that cannot be set up this way still works, only slower.
    let _ = stream.set_nodelay(true);
    let counters = &shared.server.nodes[node].counters;
    let (mut input, mut inflated, mut out) = (Input::default(), Vec::new(), Vec::new());
    loop {
        let header = match input.frame(&mut stream).await {
            Ok(header) => header,
            Err(InputEnd::Closed) => return,
            Err(InputEnd::Malformed) => return Counters::add(&counters.malformed, 1),
        };
        let size = HEADER_SIZE + header.size;
        Counters::add(&counters.bytes_in, size);
        let body = &input.bytes[HEADER_SIZE..size];
        let request = if header.kind == FrameType::Compressed {
            inflate(body, &mut inflated)
                .and_then(|()| Request::parse(FrameType::Message, &inflated))
        } else {
            Request::parse(header.kind, body)
        };
        let Ok(request) = request else {
            return Counters::add(&counters.malformed, 1);
        };
        let mut exchange = Exchange {
            shared,
            node,
            stream: &mut stream,
            out: &mut out,
        };
        if exchange.answer(&request).await.is_err() {
            return;
        }
        input.consume(size);
        give_back(&mut inflated);
        give_back(&mut out);
    }
}

/// The connection is over.
struct Over;

impl From<io::Error> for Over {
    fn from(_: io::Error) -> Self {
        Over
    }
}

/// One request and its reply.
struct Exchange<'c> {
    shared: &'c Shared,
    node: usize,
    stream: &'c mut TcpStream,
    out: &'c mut Vec<u8>,
}

impl Exchange<'_> {
    async fn answer(&mut self, request: &Request<'_>) -> Result<(), Over> {
        let server = &self.shared.server;
        let counters = &server.nodes[self.node].counters;
        let kind = request.kind();
        counters.count_command(kind);
        let verdict = server.faults.meet(self.node, kind).unwrap_or_default();
        Counters::add(&counters.faults, verdict.fired);
        if verdict.end == Some(End::Refuse) {
            return Err(Over);
        }
        self.out.clear();
        if let Some(code) = verdict.error {
            request.refuse(code, self.out);
            self.hold_up(&verdict).await?;
            return self.send(&verdict).await;
        }
        let mut run = request.start(server, self.node);
        let mut step = run.step(self.out);
        self.hold_up(&verdict).await?;
        loop {
            self.send(&verdict).await?;
            let Step::More { pause } = step else {
                return Ok(());
            };
            match pause {
                Some(pause) => self.while_connected(self.shared.timer.sleep(pause)).await?,
                // Long replies let the other connections of this thread have their turn.
                None => tokio::task::yield_now().await,
            }
            self.out.clear();
            step = run.step(self.out);
        }
    }

    /// Whatever the faults put between the command and its reply.
    async fn hold_up(&mut self, verdict: &Verdict) -> Result<(), Over> {
        if !verdict.delay.is_zero() {
            self.while_connected(self.shared.timer.sleep(verdict.delay))
                .await?;
        }
        if let Some(lifted) = &verdict.stall {
            self.while_connected(lifted.wait()).await?;
        }
        match verdict.end {
            Some(End::ResetMidReply) => {
                let half = self.out.len() / 2;
                self.out.truncate(half);
                self.send(verdict).await?;
                self.reset()
            }
            Some(End::Reset) => self.reset(),
            Some(End::Refuse) | None => Ok(()),
        }
    }

    /// Closes the connection so that the peer sees a reset, not an end of stream.
    fn reset(&self) -> Result<(), Over> {
        self.stream.set_zero_linger()?;
        Err(Over)
    }

    async fn while_connected(&self, wait: impl Future<Output = ()>) -> Result<(), Over> {
        tokio::select! {
            biased;
            () = wait => Ok(()),
            () = closed_by_peer(self.stream) => Err(Over),
        }
    }

    async fn send(&mut self, verdict: &Verdict) -> Result<(), Over> {
        let counters = &self.shared.server.nodes[self.node].counters;
        let (piece, gap) = verdict.dribble.unwrap_or((self.out.len(), Duration::ZERO));
        let mut first = true;
        for part in self.out.chunks(piece.max(1)) {
            if !first && !gap.is_zero() {
                self.while_connected(self.shared.timer.sleep(gap)).await?;
            }
            first = false;
            self.stream.write_all(part).await?;
            Counters::add(&counters.bytes_out, part.len());
        }
        Ok(())
    }
}

/// Resolves when the peer has closed the connection; never if it sent more instead.
async fn closed_by_peer(stream: &TcpStream) {
    if matches!(stream.peek(&mut [0; 1]).await, Ok(1)) {
        std::future::pending::<()>().await;
    }
}
