//! The read of one record: when its reply has arrived in one piece, the bins are taken out of it before
//! the driver sees it. A reply that comes in pieces, or is not as it should be, is left to the driver.

use std::sync::Arc;

use super::frame::{frame_header, frame_size, is_read, Progress, Walk, FRAME_HEADER};
use super::sink::{Sink, Slot};
use super::{GENERATION, OPERATION_COUNT};

/// Whether, and for whom, bins are taken out of the next reply of a connection.
#[derive(Debug, Default)]
pub struct Single(Option<Arc<Sink>>);

impl Single {
    /// Begins if `command` reads one record; to be called before the command is written.
    #[inline]
    pub fn begin(&mut self, command: &[u8], sink: impl FnOnce() -> Option<Arc<Sink>>) {
        self.0 = if is_read(command) { sink() } else { None };
    }

    /// Looks at the first bytes of the reply. If they are all of it, and the bins could be kept, returns
    /// how many bytes are left for the driver.
    #[inline]
    pub fn take_bins(&mut self, reply: &mut [u8]) -> Option<usize> {
        let sink = self.0.take()?;
        let (header, message) = reply.split_first_chunk_mut::<FRAME_HEADER>()?;
        if frame_size(header) != Some(message.len()) {
            return None;
        }
        let walked = Walk::default().advance(message, message.len(), &mut Vec::new());
        let Progress::Complete(walked) = walked else {
            return None;
        };
        if walked.bins == 0 || walked.size != message.len() {
            return None;
        }
        let segment = sink.begin()?;
        let (head, bins) = message.split_at_mut(walked.head);
        let generation = &mut head[GENERATION];
        let slot = Slot {
            start: 0,
            bins: walked.bins,
            generation: generation
                .iter()
                .fold(0, |all, &byte| (all << 8) | u32::from(byte)),
        };
        sink.keep(segment, bins.to_vec(), vec![slot]);
        generation.copy_from_slice(&segment.tag(0).to_be_bytes());
        head[OPERATION_COUNT].fill(0);
        *header = frame_header(walked.head);
        Some(FRAME_HEADER + walked.head)
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::tests::{message, INT, PICKLE, TEXT};
    use super::super::Particle;
    use super::*;

    /// A read of one record, without its fields.
    const COMMAND: [u8; 30] = {
        let mut command = [0; 30];
        (command[0], command[1], command[7]) = (2, 3, 22);
        (command[8], command[9]) = (22, 1);
        command
    };

    fn framed(message: &[u8]) -> Vec<u8> {
        [&frame_header(message.len())[..], message].concat()
    }

    fn reply(fields: &[&[u8]], bins: &[(&str, u8, &[u8])]) -> Vec<u8> {
        framed(&message(0, 0, 513, 0, fields, bins))
    }

    #[test]
    fn bins_are_taken_out_and_found_again_by_the_tag() {
        for fields in [&[][..], &[&[2, b'x'][..]]] {
            let sink = Arc::new(Sink::new());
            let mut single = Single::default();
            single.begin(&COMMAND, || Some(sink.clone()));
            let mut bytes = reply(fields, &[INT, TEXT]);
            let left = single.take_bins(&mut bytes).unwrap();
            bytes.truncate(left);
            let tag = u32::from_be_bytes(bytes[14..18].try_into().unwrap());
            assert_eq!(bytes, framed(&message(0, 0, tag, 0, fields, &[])));
            let (kept, generation) = sink.end().take(tag).unwrap();
            assert_eq!(generation, 513);
            let bins: Vec<_> = kept.bins().collect();
            let expected = [
                (&b"int"[..], Particle::Int(9)),
                (&b"text"[..], Particle::Text(b"words")),
            ];
            assert_eq!(bins, expected);
        }
    }

    #[test]
    fn only_a_first_look_at_the_whole_reply_counts() {
        let sink = Arc::new(Sink::new());
        let mut single = Single::default();
        let whole = reply(&[], &[INT, TEXT]);
        for cut in 0..whole.len() {
            single.begin(&COMMAND, || Some(sink.clone()));
            assert_eq!(single.take_bins(&mut whole[..cut].to_vec()), None);
            assert_eq!(single.take_bins(&mut whole.clone()), None);
        }
        assert!(sink.end().is_empty());
    }

    #[test]
    fn what_is_no_record_with_bins_that_can_be_kept_is_left_alone() {
        let sink = Arc::new(Sink::new());
        let mut single = Single::default();
        let mut trailing = reply(&[], &[INT]);
        trailing.push(0);
        let missing = framed(&message(0, 2, 0, 0, &[], &[]));
        let foreign = reply(&[], &[INT, PICKLE]);
        for bytes in [missing, reply(&[], &[]), trailing, foreign, Vec::new()] {
            let mut seen = bytes.clone();
            single.begin(&COMMAND, || Some(sink.clone()));
            assert_eq!(single.take_bins(&mut seen), None);
            assert_eq!(seen, bytes);
        }
        assert!(sink.end().is_empty());
    }

    #[test]
    fn writes_batches_and_parts_of_commands_are_no_reads_of_one_record() {
        let sink = Arc::new(Sink::new());
        let mut single = Single::default();
        let (mut write, mut batch, mut info) = (COMMAND, COMMAND, COMMAND);
        write[10] = 1;
        batch[9] |= 8;
        info[1] = 1;
        for command in [&write[..], &batch, &info, &COMMAND[..29], &[]] {
            single.begin(command, || Some(sink.clone()));
            assert!(single.0.is_none());
        }
    }
}
