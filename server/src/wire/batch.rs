//! The rows of a batch: today's form with per-row attributes and the older read-only form, in one parser.

use super::message::{parse_fields, parse_ops, Fields, Ops};
use super::{flags, Digest, Reader, WireError};

const ROW_REPEAT: u8 = 0x01;
const ROW_INFO: u8 = 0x02;
const ROW_GENERATION: u8 = 0x04;
const ROW_TTL: u8 = 0x08;
const ROW_INFO4: u8 = 0x10;

const FLAG_RESPOND_ALL_KEYS: u8 = 0x04;

/// A checked batch, borrowing from the request's bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batch<'a> {
    rows: &'a [u8],
    count: u32,
    flags: u8,
    /// Whether any row writes.
    pub(crate) writes: bool,
}

/// What one row asks for; rows that repeat share the attributes of the row before them.
#[derive(Debug, Clone)]
pub(crate) struct RowAttributes<'a> {
    pub(crate) info1: u8,
    pub(crate) info2: u8,
    pub(crate) info3: u8,
    pub(crate) generation: u32,
    pub(crate) record_ttl: u32,
    pub(crate) fields: Fields<'a>,
    pub(crate) ops: Ops<'a>,
}

/// Parses and checks the value of a batch field.
pub(crate) fn parse(value: &[u8]) -> Result<Batch<'_>, WireError> {
    let mut reader = Reader::new(value);
    let count = reader.u32("batch count")?;
    let flags = reader.u8("batch flags")?;
    let mut batch = Batch {
        rows: reader.rest(),
        count,
        flags,
        writes: false,
    };
    let mut rows = batch.rows();
    while rows.left > 0 {
        rows.advance()?;
        let attributes = rows.attributes.as_ref();
        batch.writes |= attributes.is_some_and(|row| row.info2 & flags::INFO2_WRITE != 0);
    }
    Ok(batch)
}

impl<'a> Batch<'a> {
    /// Whether a failing row leaves the others to be answered.
    pub(crate) fn respond_all_keys(&self) -> bool {
        self.flags & FLAG_RESPOND_ALL_KEYS != 0
    }

    pub(crate) fn rows(&self) -> Rows<'a> {
        Rows {
            reader: Reader::new(self.rows),
            left: self.count,
            attributes: None,
        }
    }
}

/// A walk over the rows of a batch.
pub(crate) struct Rows<'a> {
    reader: Reader<'a>,
    left: u32,
    attributes: Option<RowAttributes<'a>>,
}

impl<'a> Rows<'a> {
    /// The next row: its index in the caller's list, its digest, and what to do with it.
    pub(crate) fn next(&mut self) -> Option<(u32, &'a Digest, &RowAttributes<'a>)> {
        if self.left == 0 {
            return None;
        }
        let (index, digest) = self.advance().ok()?;
        self.attributes
            .as_ref()
            .map(|attributes| (index, digest, attributes))
    }

    fn advance(&mut self) -> Result<(u32, &'a Digest), WireError> {
        self.left -= 1;
        let reader = &mut self.reader;
        let index = reader.u32("batch row index")?;
        let digest = reader.array("batch row digest")?;
        let kind = reader.u8("batch row type")?;
        if kind & ROW_REPEAT != 0 {
            return match self.attributes {
                Some(_) => Ok((index, digest)),
                None => Err(WireError::Invalid("repeat flag of the first batch row")),
            };
        }
        let info1 = reader.u8("batch row flags")?;
        let (mut info2, mut info3, mut generation, mut record_ttl) = (0, 0, 0, 0);
        if kind & ROW_INFO != 0 {
            info2 = reader.u8("batch row flags")?;
            info3 = reader.u8("batch row flags")?;
        }
        if kind & ROW_INFO4 != 0 {
            reader.u8("batch row flags")?;
        }
        if kind & ROW_GENERATION != 0 {
            generation = u32::from(reader.u16("batch row generation")?);
        }
        if kind & ROW_TTL != 0 {
            record_ttl = reader.u32("batch row ttl")?;
        }
        let field_count = reader.u16("batch row field count")?;
        let op_count = reader.u16("batch row operation count")?;
        self.attributes = Some(RowAttributes {
            info1,
            info2,
            info3,
            generation,
            record_ttl,
            fields: parse_fields(reader, field_count)?,
            ops: parse_ops(reader, op_count)?,
        });
        Ok((index, digest))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::wire::reply::put_op;
    use proptest::prelude::*;

    /// A batch of rows that read, repeat or write, in today's form or the older one.
    fn encode(rows: &[u8]) -> Vec<u8> {
        let mut value = (rows.len() as u32).to_be_bytes().to_vec();
        value.push(FLAG_RESPOND_ALL_KEYS);
        for (index, row) in rows.iter().enumerate() {
            value.extend_from_slice(&(index as u32).to_be_bytes());
            value.extend_from_slice(&[*row; 20]);
            match row % 4 {
                0 if index > 0 => value.push(ROW_REPEAT),
                0 | 1 => value.extend_from_slice(&[0, flags::INFO1_READ, 0, 0, 0, 0]),
                2 => {
                    value.extend_from_slice(&[ROW_INFO | ROW_TTL, flags::INFO1_READ, 0, 0]);
                    value.extend_from_slice(&[0, 0, 0, 60, 0, 0, 0, 0]);
                }
                _ => {
                    value.extend_from_slice(&[
                        ROW_INFO | ROW_INFO4 | ROW_GENERATION,
                        0,
                        flags::INFO2_WRITE,
                        0,
                        0,
                    ]);
                    value.extend_from_slice(&[0, 7, 0, 0, 0, 1]);
                    put_op(&mut value, b"bin", 3, b"value");
                }
            }
        }
        value
    }

    #[test]
    fn rows_carry_their_attributes_and_pass_them_on() {
        let value = encode(&[3, 4, 2]);
        let batch = parse(&value).unwrap();
        assert!(batch.writes && batch.respond_all_keys());
        let mut rows = batch.rows();
        for (index, generation, ttl, ops) in [(0, 7, 0, 1), (1, 7, 0, 1), (2, 0, 60, 0)] {
            let (seen, digest, row) = rows.next().unwrap();
            assert_eq!((seen, digest[0]), (index, [3, 4, 2][index as usize]));
            assert_eq!(
                (row.generation, row.record_ttl, row.ops.len()),
                (generation, ttl, ops)
            );
        }
        assert!(rows.next().is_none());
    }

    #[test]
    fn the_first_row_has_nothing_to_repeat() {
        let mut value = encode(&[1]);
        value[29] = ROW_REPEAT;
        assert_eq!(
            parse(&value).err(),
            Some(WireError::Invalid("repeat flag of the first batch row"))
        );
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_fail_but_never_panic(value in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&value);
        }

        #[test]
        fn every_cut_is_noticed(rows in prop::collection::vec(any::<u8>(), 1..12), cut in any::<prop::sample::Index>()) {
            let value = encode(&rows);
            let mut walk = parse(&value).unwrap().rows();
            let seen = std::iter::from_fn(|| walk.next().map(|(_, digest, _)| digest[0])).collect::<Vec<_>>();
            prop_assert_eq!(seen, rows);
            prop_assert!(parse(&value[..cut.index(value.len())]).is_err());
        }
    }
}
