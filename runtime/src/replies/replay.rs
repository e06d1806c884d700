//! A reply from bytes, without a socket: what fuzzing and mutation tests drive.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::io::ReadBuf;

use super::frame::{frame_header, MESSAGE_HEADER};
use super::msgpack::Reader;
use super::{Exchange, Particle, Sink};

/// What became of a reply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReplayOutcome {
    /// Bytes that the driver was served.
    pub served: usize,
    /// Records whose bins were kept.
    pub kept: usize,
    /// Their bins.
    pub bins: usize,
}

/// Gives a reply to an exchange, cut at places that its first byte decides, and reads what was kept.
#[must_use]
pub fn replay(reply: &[u8]) -> ReplayOutcome {
    let Some((&first, mut reply)) = reply.split_first() else {
        return ReplayOutcome::default();
    };
    let piece = usize::from(first).pow(2) + 1;
    let sink = Arc::new(Sink::new());
    let mut exchange = Exchange::default();
    exchange.begin(&command(), || Some(sink.clone()));
    let mut outcome = ReplayOutcome::default();
    let mut served = Vec::new();
    let mut space = vec![0; 4096];
    let cx = &mut Context::from_waker(Waker::noop());
    loop {
        let mut buffer = ReadBuf::new(&mut space);
        let read = exchange.poll_read(cx, &mut buffer, |_, room| {
            let (now, later) = reply.split_at(piece.min(reply.len()).min(room.remaining()));
            room.put_slice(now);
            reply = later;
            Poll::Ready(Ok(()))
        });
        match read {
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                served.extend_from_slice(buffer.filled());
            }
            _ => break,
        }
    }
    outcome.served = served.len();
    let replies = sink.end();
    let rows: Vec<_> = served
        .windows(4)
        .filter_map(|word| replies.row(u32::from_be_bytes(word.try_into().ok()?)))
        .map(|(row, _)| row)
        .collect();
    let kept = replies.into_bins(rows.iter().copied());
    outcome.kept = rows.len();
    for row in rows {
        for (_, particle) in kept.of(row) {
            outcome.bins += 1;
            if let Particle::List(bytes) | Particle::Map(bytes) = particle {
                let mut reader = Reader::new(bytes);
                while reader.token().is_some() {}
            }
        }
    }
    outcome
}

/// A batch of one row that reads.
fn command() -> Vec<u8> {
    let mut batch = vec![41, 0, 0, 0, 1, 0, 0, 0, 0, 0];
    batch.extend([0; 20]);
    batch.extend([0x0a, 0x03, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let mut body = vec![0; MESSAGE_HEADER];
    (body[0], body[1], body[19]) = (MESSAGE_HEADER as u8, 8, 1);
    body.extend((batch.len() as u32).to_be_bytes());
    body.extend(batch);
    [&frame_header(body.len())[..], &body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replies::frame::tests::{last, message, INT, TEXT};

    #[test]
    fn whole_replies_are_kept_however_they_are_cut() {
        let rows = [
            message(0, 0, 1, 0, &[], &[INT, TEXT]),
            message(0, 0, 2, 1, &[], &[INT]),
            last(),
        ];
        let body = rows.concat();
        for first in 0..=255 {
            let reply = [&[first][..], &frame_header(body.len()), &body].concat();
            let outcome = replay(&reply);
            assert_eq!((outcome.kept, outcome.bins), (2, 3), "{first}");
        }
        assert_eq!(replay(&[]), ReplayOutcome::default());
    }
}
