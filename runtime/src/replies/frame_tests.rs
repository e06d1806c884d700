//! Tests of the walk over messages, on frames made by hand.

use super::*;

/// A message: result code, fields, and bins as (name, type, value).
pub(in crate::replies) fn message(
    info3: u8,
    code: u8,
    generation: u32,
    index: u32,
    fields: &[&[u8]],
    bins: &[(&str, u8, &[u8])],
) -> Vec<u8> {
    let mut bytes = vec![MESSAGE_HEADER as u8, 0, 0, info3, 0, code];
    bytes.extend(generation.to_be_bytes());
    bytes.extend(77u32.to_be_bytes());
    bytes.extend(index.to_be_bytes());
    bytes.extend((fields.len() as u16).to_be_bytes());
    bytes.extend((bins.len() as u16).to_be_bytes());
    for field in fields {
        bytes.extend((field.len() as u32).to_be_bytes());
        bytes.extend(*field);
    }
    for (name, kind, value) in bins {
        bytes.extend(((4 + name.len() + value.len()) as u32).to_be_bytes());
        bytes.extend([1, *kind, 0, name.len() as u8]);
        bytes.extend(name.as_bytes());
        bytes.extend(*value);
    }
    bytes
}

pub(in crate::replies) const INT: (&str, u8, &[u8]) = ("int", 1, &[0, 0, 0, 0, 0, 0, 0, 9]);
pub(in crate::replies) const TEXT: (&str, u8, &[u8]) = ("text", 3, b"words");
pub(in crate::replies) const PICKLE: (&str, u8, &[u8]) = ("pickle", 9, b"foreign");

pub(in crate::replies) fn last() -> Vec<u8> {
    message(INFO3_LAST, OK, 0, 0, &[], &[])
}

/// A batch command whose first row has these attributes.
pub(in crate::replies) fn command(row: [u8; 4]) -> Vec<u8> {
    let mut batch = vec![FIELD_BATCH, 0, 0, 0, 2, 0, 0, 0, 0, 0];
    batch.extend([7; 20]);
    batch.extend(row);
    batch.extend([0; 12]);
    let mut body = vec![0; MESSAGE_HEADER];
    body[0] = MESSAGE_HEADER as u8;
    body[1] = INFO1_BATCH;
    body[19] = 2;
    for field in [&[43, 1, 2][..], &batch] {
        body.extend((field.len() as u32).to_be_bytes());
        body.extend(field);
    }
    [&frame_header(body.len())[..], &body].concat()
}

pub(in crate::replies) const READS: [u8; 4] = [0x0a, 0x03, 0, 0];

fn walk(bytes: &[u8], frame_left: usize) -> Progress {
    Walk::default().advance(bytes, frame_left, &mut Vec::new())
}

fn complete(bytes: &[u8]) -> Message {
    match walk(bytes, bytes.len()) {
        Progress::Complete(message) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_record_has_a_head_and_bins() {
    let bytes = message(0, OK, 3, 1, &[b"\x04digest"], &[INT, TEXT]);
    let found = complete(&bytes);
    assert_eq!(
        (found.size, found.bins, found.is_last),
        (bytes.len(), 2, false)
    );
    assert_eq!(found.head, MESSAGE_HEADER + 4 + 7);
}

#[test]
fn bins_that_only_the_driver_reads_stay_with_it() {
    let mixed = message(0, OK, 3, 1, &[], &[INT, PICKLE, TEXT]);
    assert_eq!(complete(&mixed).bins, 0);
    let failed = message(0, UDF_FAILED, 3, 1, &[], &[TEXT]);
    assert_eq!(complete(&failed).bins, 0);
    let refused = message(0, 14, 0, 1, &[b"\x2ewhy"], &[]);
    assert_eq!(complete(&refused).size, refused.len());
}

#[test]
fn every_cut_needs_more_and_goes_on_from_there() {
    let bytes = message(0, OK, 3, 1, &[b"\x01f"], &[INT, TEXT, INT]);
    for cut in 0..bytes.len() {
        let mut walk = Walk::default();
        let Progress::Needs(size) = walk.advance(&bytes[..cut], bytes.len(), &mut Vec::new())
        else {
            panic!("{cut}");
        };
        assert!(size > cut && size <= bytes.len(), "{size} after {cut}");
        let found = walk.advance(&bytes, bytes.len(), &mut Vec::new());
        assert_eq!(found, Progress::Complete(complete(&bytes)), "{cut}");
    }
}

#[test]
fn a_message_that_leaves_its_frame_is_foreign() {
    let bytes = message(0, OK, 3, 1, &[b"\x01f"], &[INT, TEXT]);
    for frame_left in 0..bytes.len() {
        assert_eq!(walk(&bytes, frame_left), Progress::Foreign, "{frame_left}");
    }
    assert_eq!(walk(&[], MESSAGE_HEADER - 1), Progress::Foreign);
}

#[test]
fn an_end_with_anything_after_it_is_foreign() {
    let end = last();
    assert!(complete(&end).is_last);
    assert_eq!(walk(&end, end.len() + 1), Progress::Foreign);
    let with_bins = message(INFO3_LAST, OK, 0, 0, &[], &[INT]);
    assert_eq!(walk(&with_bins, with_bins.len()), Progress::Foreign);
    let refused = message(INFO3_LAST, 14, 0, 0, &[b"\x2ewhy"], &[]);
    assert!(complete(&refused).is_last);
}

#[test]
fn headers_that_the_driver_would_walk_over_differently_are_foreign() {
    let mut long = message(0, OK, 0, 0, &[], &[INT]);
    long[0] = 30;
    assert_eq!(walk(&long, long.len()), Progress::Foreign);
    let missing = message(0, NOT_FOUND, 0, 0, &[], &[INT]);
    assert_eq!(walk(&missing, missing.len()), Progress::Foreign);
    let empty_field = message(0, OK, 0, 0, &[b""], &[]);
    assert_eq!(walk(&empty_field, empty_field.len()), Progress::Foreign);
    let mut small = message(0, OK, 0, 0, &[], &[TEXT]);
    small[MESSAGE_HEADER + 3] = 7;
    assert_eq!(walk(&small, small.len()), Progress::Foreign);
}

#[test]
fn batches_that_only_read_are_recognised() {
    assert!(is_batch_read(&command(READS)));
    for row in [
        [0x0a, 0, 4, 0],
        [0x0a, 0x01, 1, 0],
        [0x01, 0, 0, 0],
        [0, 1, 0, 0],
    ] {
        assert!(!is_batch_read(&command(row)), "{row:x?}");
    }
    let whole = command(READS);
    for cut in 0..whole.len() {
        assert!(!is_batch_read(&whole[..cut]), "{cut}");
        assert!(cut == 0 || !is_batch_read(&whole[cut..]), "from {cut}");
    }
    let mut compressed = whole.clone();
    compressed[1] = 4;
    assert!(!is_batch_read(&compressed));
    let mut single = whole;
    single[FRAME_HEADER + 1] = 3;
    assert!(!is_batch_read(&single));
}

#[test]
fn headers_of_frames_go_there_and_back() {
    for size in [0, 1, 0xffff, 0x1_0000_0000] {
        assert_eq!(frame_size(&frame_header(size)), Some(size));
    }
    assert_eq!(frame_size(&[1, 3, 0, 0, 0, 0, 0, 1]), None);
    assert_eq!(frame_size(&[2, 4, 0, 0, 0, 0, 0, 1]), None);
}
