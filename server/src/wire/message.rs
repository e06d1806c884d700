//! A command's header, fields and operations, parsed without copying. Batch rows are in `batch`.

use super::{field, Digest, Reader, WireError};

/// Bytes of a message header.
pub(crate) const MESSAGE_HEADER_SIZE: usize = 22;

/// One parsed command frame, borrowing from its bytes.
#[derive(Debug, Clone)]
pub(crate) struct Message<'a> {
    pub(crate) info1: u8,
    pub(crate) info2: u8,
    pub(crate) info3: u8,
    pub(crate) generation: u32,
    pub(crate) record_ttl: u32,
    pub(crate) fields: Fields<'a>,
    pub(crate) ops: Ops<'a>,
}

/// The fields the server acts on; fields it does not know are skipped, as the real server does.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields<'a> {
    pub(crate) namespace: Option<&'a [u8]>,
    pub(crate) set: Option<&'a [u8]>,
    pub(crate) digest: Option<&'a Digest>,
    /// Particle type followed by the key's bytes.
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) batch: Option<&'a [u8]>,
    pub(crate) partitions: Option<&'a [u8]>,
    pub(crate) digests: Option<&'a [u8]>,
    pub(crate) max_records: u64,
    pub(crate) records_per_second: u32,
    /// Features asked for that this server does not have.
    pub(crate) asks: Asks,
}

/// Requests for features beyond this server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Asks {
    pub(crate) filter: bool,
    pub(crate) udf: bool,
    pub(crate) transaction: bool,
    pub(crate) index: bool,
}

/// Parses the body of a command frame.
pub(crate) fn parse(body: &[u8]) -> Result<Message<'_>, WireError> {
    let mut reader = Reader::new(body);
    let header: &[u8; MESSAGE_HEADER_SIZE] = reader.array("message header")?;
    if usize::from(header[0]) != MESSAGE_HEADER_SIZE {
        return Err(WireError::Invalid("message header size"));
    }
    let field_count = u16::from_be_bytes([header[18], header[19]]);
    let op_count = u16::from_be_bytes([header[20], header[21]]);
    let fields = parse_fields(&mut reader, field_count)?;
    let ops = parse_ops(&mut reader, op_count)?;
    Ok(Message {
        info1: header[1],
        info2: header[2],
        info3: header[3],
        generation: u32::from_be_bytes([header[6], header[7], header[8], header[9]]),
        record_ttl: u32::from_be_bytes([header[10], header[11], header[12], header[13]]),
        fields,
        ops,
    })
}

/// Parses `count` fields off the reader.
pub(crate) fn parse_fields<'a>(
    reader: &mut Reader<'a>,
    count: u16,
) -> Result<Fields<'a>, WireError> {
    let mut fields = Fields::default();
    for _ in 0..count {
        let size = reader.u32("field size")? as usize;
        let bytes = reader.take(size, "field")?;
        let Some((&kind, value)) = bytes.split_first() else {
            return Err(WireError::Invalid("field size"));
        };
        fields.absorb(kind, value)?;
    }
    Ok(fields)
}

impl<'a> Fields<'a> {
    fn absorb(&mut self, kind: u8, value: &'a [u8]) -> Result<(), WireError> {
        match kind {
            field::NAMESPACE => self.namespace = Some(value),
            field::SET => self.set = (!value.is_empty()).then_some(value),
            field::KEY => self.key = Some(value),
            field::DIGEST => {
                self.digest = Some(
                    value
                        .try_into()
                        .map_err(|_| WireError::Invalid("digest size"))?,
                );
            }
            field::BATCH | field::BATCH_WITH_SET => self.batch = Some(value),
            field::PARTITIONS => {
                if !value.len().is_multiple_of(2) {
                    return Err(WireError::Invalid("partition list size"));
                }
                self.partitions = Some(value);
            }
            field::DIGESTS => {
                if !value.len().is_multiple_of(super::DIGEST_SIZE) {
                    return Err(WireError::Invalid("digest list size"));
                }
                self.digests = Some(value);
            }
            field::MAX_RECORDS => {
                self.max_records = u64::from_be_bytes(
                    value
                        .try_into()
                        .map_err(|_| WireError::Invalid("max records size"))?,
                );
            }
            field::RECORDS_PER_SECOND => {
                self.records_per_second = u32::from_be_bytes(
                    value
                        .try_into()
                        .map_err(|_| WireError::Invalid("records per second size"))?,
                );
            }
            field::SOCKET_TIMEOUT if value.len() != 4 => {
                return Err(WireError::Invalid("socket timeout size"));
            }
            field::TRANSACTION_ID => self.asks.transaction = true,
            field::INDEX_NAME | field::INDEX_RANGE => self.asks.index = true,
            field::UDF_PACKAGE..=field::UDF_OP => self.asks.udf = true,
            field::FILTER | field::WHERE => self.asks.filter = true,
            _ => {}
        }
        Ok(())
    }
}

/// The operations of a command, already checked against the bytes present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ops<'a> {
    bytes: &'a [u8],
    count: u16,
}

/// One operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Op<'a> {
    pub(crate) op: u8,
    pub(crate) kind: u8,
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
}

/// Checks `count` operations off the reader.
pub(crate) fn parse_ops<'a>(reader: &mut Reader<'a>, count: u16) -> Result<Ops<'a>, WireError> {
    let bytes = reader.rest();
    for _ in 0..count {
        next_op(reader)?;
    }
    let used = bytes.len() - reader.rest().len();
    Ok(Ops {
        bytes: &bytes[..used],
        count,
    })
}

fn next_op<'a>(reader: &mut Reader<'a>) -> Result<Op<'a>, WireError> {
    let size = reader.u32("operation size")? as usize;
    let mut body = Reader::new(reader.take(size, "operation")?);
    let [op, kind, _flags, name_size] = *body.array::<4>("operation header")?;
    let name = body.take(usize::from(name_size), "bin name")?;
    Ok(Op {
        op,
        kind,
        name,
        value: body.rest(),
    })
}

impl<'a> Ops<'a> {
    pub(crate) fn len(&self) -> usize {
        usize::from(self.count)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Op<'a>> {
        let mut reader = Reader::new(self.bytes);
        std::iter::from_fn(move || next_op(&mut reader).ok())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::wire::reply::{put_field, put_op};
    use proptest::prelude::*;

    fn header(fields: u16, ops: u16) -> Vec<u8> {
        let mut body = vec![22, 3, 129, 16, 0, 0, 0, 0, 0, 7, 0, 0, 0, 9, 0, 0, 0, 0];
        body.extend_from_slice(&fields.to_be_bytes());
        body.extend_from_slice(&ops.to_be_bytes());
        body
    }

    #[test]
    fn header_fields_and_operations_are_found() {
        let mut body = header(4, 1);
        put_field(&mut body, field::NAMESPACE, b"test");
        put_field(&mut body, field::SET, b"");
        put_field(&mut body, field::DIGEST, &[5; 20]);
        put_field(&mut body, 77, b"unknown fields are skipped");
        put_op(&mut body, b"bin", 3, b"value");
        let message = parse(&body).unwrap();
        assert_eq!((message.info1, message.info2, message.info3), (3, 129, 16));
        assert_eq!((message.generation, message.record_ttl), (7, 9));
        assert_eq!(message.fields.namespace, Some(&b"test"[..]));
        assert_eq!(
            (message.fields.set, message.fields.digest),
            (None, Some(&[5; 20]))
        );
        let op = message.ops.iter().next().unwrap();
        assert_eq!(
            (op.op, op.kind, op.name, op.value),
            (1, 3, &b"bin"[..], &b"value"[..])
        );
    }

    #[test]
    fn fields_of_the_wrong_size_are_refused() {
        for (kind, value) in [
            (field::DIGEST, &[0; 19][..]),
            (field::PARTITIONS, &[0; 3]),
            (field::DIGESTS, &[0; 21]),
            (field::MAX_RECORDS, &[0; 4]),
            (field::RECORDS_PER_SECOND, &[0; 8]),
            (field::SOCKET_TIMEOUT, &[0; 8]),
        ] {
            let mut body = header(1, 0);
            put_field(&mut body, kind, value);
            assert!(
                matches!(parse(&body), Err(WireError::Invalid(_))),
                "field {kind}"
            );
        }
        let mut empty = header(1, 0);
        empty.extend_from_slice(&[0; 4]);
        assert!(parse(&empty).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_fail_but_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&body);
        }

        #[test]
        fn operations_come_back_as_written_and_every_cut_is_noticed(
            ops in prop::collection::vec(
                (any::<u8>(), prop::collection::vec(any::<u8>(), 0..16), prop::collection::vec(any::<u8>(), 0..40)),
                1..6,
            ),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut body = header(0, ops.len() as u16);
            for (kind, name, value) in &ops {
                put_op(&mut body, name, *kind, value);
            }
            let message = parse(&body).unwrap();
            let seen: Vec<_> = message.ops.iter().map(|op| (op.kind, op.name.to_vec(), op.value.to_vec())).collect();
            prop_assert_eq!(seen, ops);
            prop_assert!(parse(&body[..cut.index(body.len())]).is_err());
        }
    }
}
