//! Tests of exchanges: whatever the server sends, however it is cut, the driver is served frames
//! whose rows are those of the server, and the bins that are missing there are in the sink.

use std::collections::VecDeque;

use super::*;
use crate::replies::frame::tests::{command, last, message, INT, PICKLE, READS, TEXT};
use crate::replies::{Particle, Replies};

/// A connection whose reads bring these pieces; an empty one is an end, none are nothing yet.
struct Wire {
    exchange: Exchange,
    sink: Arc<Sink>,
    pieces: VecDeque<Vec<u8>>,
}

impl Wire {
    fn new(pieces: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let sink = Arc::new(Sink::new());
        let mut exchange = Exchange::default();
        exchange.begin(&command(READS), || Some(sink.clone()));
        assert!(exchange.is_active());
        Wire {
            exchange,
            sink,
            pieces: pieces.into_iter().collect(),
        }
    }

    /// One read of the driver's: the bytes, or nothing while there are none.
    fn read(&mut self, size: usize) -> Option<Vec<u8>> {
        let mut memory = vec![0; size];
        let mut buffer = ReadBuf::new(&mut memory);
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        let pieces = &mut self.pieces;
        let fill = |_: &mut Context<'_>, room: &mut ReadBuf<'_>| {
            let Some(piece) = pieces.front_mut() else {
                return Poll::Pending;
            };
            let count = piece.len().min(room.remaining());
            room.put_slice(&piece[..count]);
            piece.drain(..count);
            if piece.is_empty() {
                pieces.pop_front();
            }
            Poll::Ready(Ok(()))
        };
        match self.exchange.poll_read(cx, &mut buffer, fill) {
            Poll::Pending => None,
            Poll::Ready(read) => {
                read.unwrap();
                Some(buffer.filled().to_vec())
            }
        }
    }

    /// Everything the driver can read now.
    fn drain(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(bytes) = self.read(64 << 10).filter(|bytes| !bytes.is_empty()) {
            all.extend(bytes);
        }
        all
    }

    fn end(self) -> Replies {
        self.sink.end()
    }
}

fn frame(messages: &[Vec<u8>]) -> Vec<u8> {
    let body = messages.concat();
    [&frame_header(body.len())[..], &body].concat()
}

/// The messages of served frames, without the frames' headers.
fn messages_of(mut served: &[u8]) -> Vec<u8> {
    let mut messages = Vec::new();
    while let Some((header, rest)) = served.split_first_chunk::<FRAME_HEADER>() {
        let (body, rest) = rest.split_at(frame_size(header).unwrap());
        messages.extend(body);
        served = rest;
    }
    messages
}

fn row(index: u32) -> Vec<u8> {
    message(0, 0, 40 + index, index, &[], &[INT, TEXT])
}

fn tag_of(served: &[u8], place: usize) -> u32 {
    let head = &messages_of(served)[place * 22..];
    u32::from_be_bytes(head[GENERATION].try_into().unwrap())
}

#[test]
fn rows_are_served_without_bins_and_their_bins_are_kept() {
    let mut wire = Wire::new([frame(&[row(0), row(1), last()])]);
    let served = wire.drain();
    let bare = |index, generation| message(0, 0, generation, index, &[], &[]);
    let expected = [
        bare(0, tag_of(&served, 0)),
        bare(1, tag_of(&served, 1)),
        last(),
    ]
    .concat();
    assert_eq!(messages_of(&served), expected);
    assert!(served.ends_with(&frame(&[last()])));
    assert!(!wire.exchange.is_active());
    let replies = wire.end();
    for place in 0..2 {
        let (row, generation) = replies.row(tag_of(&served, place)).unwrap();
        assert_eq!(generation, 40 + place as u32);
        let (again, _) = replies.row(tag_of(&served, place)).unwrap();
        assert_eq!(row, again);
    }
    let rows: Vec<_> = (0..2)
        .map(|place| replies.row(tag_of(&served, place)).unwrap().0)
        .collect();
    let kept = replies.into_bins(rows.iter().copied());
    for row in rows {
        let bins: Vec<_> = kept.of(row).collect();
        assert_eq!(
            bins,
            [
                (&b"int"[..], Particle::Int(9)),
                (b"text", Particle::Text(b"words"))
            ]
        );
    }
}

#[test]
fn every_cut_gives_the_same_rows() {
    let reply = [
        frame(&[row(0), message(0, 2, 0, 1, &[], &[])]),
        frame(&[message(0, 0, 5, 2, &[b"\x04f"], &[PICKLE, INT]), row(3)]),
        frame(&[last()]),
    ]
    .concat();
    let mut whole = Wire::new([reply.clone()]);
    let expected = messages_of(&whole.drain());
    for cut in 1..reply.len() {
        let mut wire = Wire::new([reply[..cut].to_vec(), reply[cut..].to_vec()]);
        let served = messages_of(&wire.drain());
        let tags = |bytes: &[u8]| bytes[6..10].to_vec();
        assert_eq!(served.len(), expected.len(), "{cut}");
        assert_ne!(tags(&served)[0] & 0x80, 0, "{cut}");
        assert_eq!(served[10..22], expected[10..22], "{cut}");
        assert!(!wire.exchange.is_active(), "{cut}");
    }
    let mut dribbled = Wire::new(reply.iter().map(|&byte| vec![byte]));
    assert_eq!(messages_of(&dribbled.drain()).len(), expected.len());
}

#[test]
fn the_driver_may_read_byte_by_byte() {
    let mut wire = Wire::new([frame(&[row(0), row(1), last()])]);
    let mut served = Vec::new();
    while wire.exchange.is_active() {
        served.extend(wire.read(1).unwrap());
    }
    assert_eq!(messages_of(&served).len(), 3 * 22);
}

#[test]
fn rows_of_a_frame_are_served_before_the_next_arrives() {
    let mut wire = Wire::new([frame(&[row(0)])]);
    assert_eq!(messages_of(&wire.drain()).len(), 22);
    assert!(wire.exchange.is_active());
    assert!(!wire.exchange.holds_bytes());
    wire.pieces.push_back(frame(&[row(1), last()]));
    assert_eq!(messages_of(&wire.drain()).len(), 44);
    assert_eq!(wire.end().row(u32::MAX), None);
}

#[test]
fn a_large_frame_is_served_in_parts() {
    let blob = vec![1; 3000];
    let rows: Vec<_> = (0..400)
        .map(|index| message(0, 0, 1, index, &[], &[("blob", 4, &blob)]))
        .chain([last()])
        .collect();
    let reply = frame(&rows);
    let half = reply.len() / 2;
    let mut wire = Wire::new([reply[..half].to_vec()]);
    let first = wire.drain();
    assert!(messages_of(&first).len() > 150 * 22);
    assert!(wire.exchange.received.len() < SERVE_AFTER + MAX_BLOCK);
    wire.pieces.push_back(reply[half..].to_vec());
    let second = wire.drain();
    let served = [messages_of(&first), messages_of(&second)].concat();
    assert_eq!(served.len(), 401 * 22);
    let replies = wire.end();
    let generations = served.chunks(22).filter_map(|row| {
        let tag = u32::from_be_bytes(row[GENERATION].try_into().unwrap());
        replies.row(tag)
    });
    assert_eq!(generations.count(), 400);
}

#[test]
fn what_is_foreign_is_passed_on_from_there() {
    let compressed = [&[2, 4, 0, 0, 0, 0, 0, 3][..], b"zip"].concat();
    let mut wire = Wire::new([[frame(&[row(0)]), compressed.clone()].concat()]);
    let served = wire.drain();
    assert_eq!(served[8 + 22..], compressed);
    assert!(!wire.exchange.is_active());
    let mut wire = Wire::new([compressed.clone()]);
    assert_eq!(wire.drain(), compressed);
    // In the middle of a frame: the rest keeps its length, though it has not all arrived.
    let foreign = message(0, 2, 0, 0, &[], &[INT]);
    let mut reply = frame(&[row(0), foreign.clone(), row(1), last()]);
    let cut = reply.len() - 30;
    let rest = reply.split_off(cut);
    let mut wire = Wire::new([reply]);
    let mut served = wire.drain();
    wire.pieces.push_back(rest);
    served.extend(wire.drain());
    assert_eq!(
        messages_of(&served)[22..],
        [foreign, row(1), last()].concat()
    );
}

#[test]
fn a_frame_of_nothing_and_an_empty_reply_reach_the_driver() {
    let mut wire = Wire::new([frame(&[])]);
    assert_eq!(wire.drain(), frame(&[]));
    let mut wire = Wire::new([Vec::new()]);
    assert_eq!(wire.read(8), Some(Vec::new()));
    let mut wire = Wire::new([frame(&[row(0), last()])[..20].to_vec(), Vec::new()]);
    assert_eq!(wire.read(8), Some(Vec::new()));
}

#[test]
fn a_record_that_never_ends_is_left_to_the_driver() {
    let mut endless = message(0, 0, 1, 0, &[], &[INT]);
    endless[22..26].copy_from_slice(&(u32::MAX).to_be_bytes());
    let mut reply = frame(&[endless.clone()]);
    reply[..8].copy_from_slice(&frame_header(1 << 40));
    let mut wire = Wire::new([reply.clone()]);
    assert_eq!(wire.drain(), reply);
}

#[test]
fn bytes_that_nobody_asked_for_are_noticed() {
    let reply = frame(&[row(0), last()]);
    let mut wire = Wire::new([[reply.clone(), vec![1, 2, 3]].concat()]);
    let expected = 8 + 22 + 8 + 22;
    let mut served = 0;
    while served < expected {
        served += wire.read(expected - served).unwrap().len();
    }
    assert!(wire.exchange.holds_bytes());
    let mut wire = Wire::new([reply]);
    wire.drain();
    assert!(!wire.exchange.holds_bytes());
}

#[test]
fn a_late_reply_is_served_and_dropped() {
    let mut wire = Wire::new([frame(&[row(0)])]);
    wire.drain();
    assert!(!wire.sink.end().is_empty());
    wire.pieces.push_back(frame(&[row(1), row(2), last()]));
    assert_eq!(messages_of(&wire.drain()).len(), 3 * 22);
    assert!(!wire.exchange.is_active());
    assert!(wire.end().is_empty());
}

#[test]
fn other_commands_end_an_exchange_and_begin_none() {
    let mut wire = Wire::new([frame(&[row(0)])]);
    wire.drain();
    wire.exchange.begin(b"another command", || None);
    assert!(!wire.exchange.is_active());
    let sink = wire.sink.clone();
    wire.exchange
        .begin(&command([0x0a, 0, 1, 0]), || Some(sink));
    assert!(!wire.exchange.is_active());
    wire.exchange.begin(&command(READS), || None);
    assert!(!wire.exchange.is_active());
}

#[test]
fn the_rest_of_a_command_goes_on_with_its_exchange() {
    let mut wire = Wire::new([frame(&[row(0), last()])]);
    wire.exchange.begin(&command(READS)[10..], || None);
    assert_eq!(messages_of(&wire.drain()).len(), 44);
}

/// A small generator of numbers, so that every run mutates the same way.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

#[test]
fn mutated_replies_are_served_in_bounds() {
    let map: (&str, u8, &[u8]) = ("map", 19, &[0x81, 0x01, 0x92, 0x02, 0xa2, 3, b'x']);
    let plain = [
        frame(&[
            row(0),
            message(0, 0, 1, 1, &[b"\x04f"], &[map, PICKLE, INT]),
        ]),
        frame(&[
            message(0, 0, 9, 2, &[], &[map, TEXT]),
            message(0, 14, 0, 3, &[], &[]),
        ]),
        frame(&[row(4), last()]),
    ]
    .concat();
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for _ in 0..20_000 {
        let mut reply = plain.clone();
        for _ in 0..=numbers.below(4) {
            let place = numbers.below(reply.len());
            match numbers.below(4) {
                0 => reply[place] = numbers.below(256) as u8,
                1 => reply[place] ^= 1 << numbers.below(8),
                2 if reply.len() > 1 => {
                    reply.remove(place);
                }
                _ => reply.truncate(place.max(1)),
            }
        }
        let sent = reply.len();
        let cut = numbers.below(sent);
        let rest = reply.split_off(cut);
        let mut wire = Wire::new([reply, rest].into_iter().filter(|piece| !piece.is_empty()));
        let served = wire.drain();
        // Frames may be split, each for a header more; nothing else is ever added.
        assert!(
            served.len() <= sent + 8 * (2 + sent / 30),
            "{} of {sent}",
            served.len()
        );
        let replies = wire.end();
        let rows: Vec<_> = served
            .windows(4)
            .filter_map(|word| replies.row(u32::from_be_bytes(word.try_into().unwrap())))
            .map(|(row, _)| row)
            .collect();
        let kept = replies.into_bins(rows.iter().copied());
        for row in rows {
            for (name, _) in kept.of(row) {
                assert!(std::str::from_utf8(name).is_ok());
            }
        }
    }
}
