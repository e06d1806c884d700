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
