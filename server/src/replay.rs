//! Bytes from a client, run without a socket: what fuzzing and mutation tests drive.

use std::net::{Ipv4Addr, SocketAddr};

use crate::options::Options;
use crate::server::{Request, Server, Step};
use crate::wire::compress::inflate;
use crate::wire::frame::{parse_header, FrameType, HEADER_SIZE};

/// Most frames of one reply taken: a scan of every partition needs fewer.
const MAX_STEPS: usize = 10_000;

/// What became of the bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReplayOutcome {
    /// Requests that were run.
    pub requests: usize,
    /// Bytes of all replies.
    pub reply_bytes: usize,
    /// Whether the rest was given up because a frame could not be parsed.
    pub malformed: bool,
}

/// Runs every frame in `bytes` against an empty store, as a connection would until it is closed.
pub fn replay(bytes: &[u8]) -> ReplayOutcome {
    let server = Server::new(
        Options::default(),
        &[SocketAddr::from((Ipv4Addr::LOCALHOST, 3000))],
    );
    let mut outcome = ReplayOutcome::default();
    let mut rest = bytes;
    while let Some((header, after)) = rest.split_first_chunk::<HEADER_SIZE>() {
        let Ok(header) = parse_header(header) else {
            outcome.malformed = true;
            break;
        };
        let Some((body, after)) = after.split_at_checked(header.size) else {
            break;
        };
        rest = after;
        if !run_frame(&server, header.kind, body, &mut outcome) {
            outcome.malformed = true;
            break;
        }
    }
    outcome
}

fn run_frame(server: &Server, kind: FrameType, body: &[u8], outcome: &mut ReplayOutcome) -> bool {
    let mut inflated = Vec::new();
    let parsed = match kind {
        FrameType::Compressed => inflate(body, &mut inflated)
            .and_then(|()| Request::parse(FrameType::Message, &inflated)),
        kind => Request::parse(kind, body),
    };
    let Ok(request) = parsed else {
        return false;
    };
    outcome.requests += 1;
    let mut run = request.start(server, 0);
    let mut out = Vec::new();
    for _ in 0..MAX_STEPS {
        out.clear();
        let step = run.step(&mut out);
        outcome.reply_bytes += out.len();
        if matches!(step, Step::Done) {
            break;
        }
    }
    true
}
