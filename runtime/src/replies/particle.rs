//! The bins of a record as they lie in a reply, read without copying.

use super::msgpack::{self, Open};

/// The types of particles, as the protocol numbers them.
pub(super) mod kind {
    pub const NULL: u8 = 0;
    pub const INTEGER: u8 = 1;
    pub const FLOAT: u8 = 2;
    pub const STRING: u8 = 3;
    pub const BLOB: u8 = 4;
    pub const BOOL: u8 = 17;
    pub const HLL: u8 = 18;
    pub const MAP: u8 = 19;
    pub const LIST: u8 = 20;
    pub const GEO_JSON: u8 = 23;
}

/// Bytes of an operation before its name: size, operation, particle type, version, length of the name.
pub(super) const OPERATION_HEADER: usize = 8;
/// What of that header counts for the size it states.
const COUNTED_HEADER: usize = 4;

/// A bin's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Particle<'a> {
    /// No value.
    Nil,
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A boolean.
    Bool(bool),
    /// UTF-8.
    Text(&'a [u8]),
    /// UTF-8 that is GeoJSON.
    GeoJson(&'a [u8]),
    /// Bytes.
    Blob(&'a [u8]),
    /// The bytes of a HyperLogLog.
    Hll(&'a [u8]),
    /// A list, to be read with [`msgpack::Reader`].
    List(&'a [u8]),
    /// A map, to be read with [`msgpack::Reader`].
    Map(&'a [u8]),
}

impl<'a> Particle<'a> {
    /// Reads a particle of exactly the length that its type has; others are the driver's.
    #[inline]
    fn read(kind: u8, bytes: &'a [u8]) -> Option<Self> {
        Some(match kind {
            kind::INTEGER => Particle::Int(i64::from_be_bytes(bytes.try_into().ok()?)),
            kind::FLOAT => Particle::Float(f64::from_be_bytes(bytes.try_into().ok()?)),
            kind::STRING => Particle::Text(bytes),
            kind::BLOB => Particle::Blob(bytes),
            kind::BOOL => match bytes {
                [flag] => Particle::Bool(*flag != 0),
                _ => return None,
            },
            kind::LIST => Particle::List(bytes),
            kind::MAP => Particle::Map(bytes),
            kind::HLL => Particle::Hll(bytes),
            kind::GEO_JSON => Particle::GeoJson(text_of_region(bytes)?),
            kind::NULL if bytes.is_empty() => Particle::Nil,
            _ => return None,
        })
    }

    fn is_sound(&self, open: &mut Vec<Open>) -> bool {
        match self {
            Particle::Text(text) | Particle::GeoJson(text) => is_utf8(text),
            Particle::List(bytes) => msgpack::is_sound(bytes, false, open),
            Particle::Map(bytes) => msgpack::is_sound(bytes, true, open),
            _ => true,
        }
    }
}

/// Whether `text` is UTF-8. Most of it is short and ASCII, which takes a fraction of the time to see.
#[inline]
pub(super) fn is_utf8(text: &[u8]) -> bool {
    text.is_ascii() || std::str::from_utf8(text).is_ok()
}

/// The text of a GeoJSON particle: after its flags, a number of cells, and the cells.
fn text_of_region(bytes: &[u8]) -> Option<&[u8]> {
    const CELL_BYTES: usize = 8;
    let (&[_, high, low], rest) = bytes.split_first_chunk::<3>()?;
    let cells = usize::try_from(i16::from_be_bytes([high, low])).ok()?;
    rest.get(cells * CELL_BYTES..)
}

/// A bin: its name in UTF-8, and its value.
pub type Bin<'a> = (&'a [u8], Particle<'a>);

/// Iterates over the bins of a record.
#[derive(Debug, Clone)]
pub struct Bins<'a> {
    bytes: &'a [u8],
    left: u16,
}

impl<'a> Bins<'a> {
    pub(super) fn new(bytes: &'a [u8], count: u16) -> Self {
        Bins { bytes, left: count }
    }

    /// No bins.
    #[must_use]
    pub fn none() -> Self {
        Bins::new(&[], 0)
    }
}

impl<'a> Iterator for Bins<'a> {
    type Item = Bin<'a>;

    #[inline]
    fn next(&mut self) -> Option<Bin<'a>> {
        loop {
            self.left = self.left.checked_sub(1)?;
            let operation = Operation::read(self.bytes)?;
            self.bytes = self.bytes.get(operation.size..)?;
            // An answer without a name is the answer to an operation and no bin.
            if !operation.name.is_empty() {
                return Some((operation.name, operation.particle()?));
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(usize::from(self.left)))
    }
}

/// An operation of a reply: a bin, or the answer to a step.
pub(super) struct Operation<'a> {
    kind: u8,
    name: &'a [u8],
    value: &'a [u8],
    /// Bytes of all of it.
    pub(super) size: usize,
}

impl<'a> Operation<'a> {
    /// Reads an operation; `None` if it is not all there.
    #[inline]
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let header = bytes.first_chunk::<OPERATION_HEADER>()?;
        let size = Self::size(header)?;
        let name_end = OPERATION_HEADER + usize::from(header[7]);
        Some(Operation {
            kind: header[5],
            name: bytes.get(OPERATION_HEADER..name_end)?,
            value: bytes.get(name_end..size)?,
            size,
        })
    }

    /// The bytes of an operation that begins with `header`; `None` if the header contradicts itself.
    #[inline]
    pub(super) fn size(header: &[u8; OPERATION_HEADER]) -> Option<usize> {
        let [a, b, c, d, .., name] = *header;
        let stated = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
        stated.checked_sub(COUNTED_HEADER + usize::from(name))?;
        stated.checked_add(OPERATION_HEADER - COUNTED_HEADER)
    }

    #[inline]
    fn particle(&self) -> Option<Particle<'a>> {
        Particle::read(self.kind, self.value)
    }

    /// Whether [`Bins`] reads this as the driver would.
    #[inline]
    pub(super) fn is_sound(&self, open: &mut Vec<Open>) -> bool {
        is_utf8(self.name)
            && self
                .particle()
                .is_some_and(|particle| particle.is_sound(open))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(name: &[u8], kind: u8, value: &[u8]) -> Vec<u8> {
        let size = (COUNTED_HEADER + name.len() + value.len()) as u32;
        let mut bytes = size.to_be_bytes().to_vec();
        bytes.extend([1, kind, 0, name.len() as u8]);
        bytes.extend(name);
        bytes.extend(value);
        bytes
    }

    #[test]
    fn bins_come_in_order_and_answers_without_a_name_are_none() {
        let bytes = [
            operation(b"a", kind::INTEGER, &7i64.to_be_bytes()),
            operation(b"", kind::INTEGER, &8i64.to_be_bytes()),
            operation(b"b", kind::STRING, b"text"),
            operation(b"c", kind::GEO_JSON, b"\0\0\x01cellcell{}"),
        ]
        .concat();
        let bins: Vec<_> = Bins::new(&bytes, 4).collect();
        assert_eq!(
            bins,
            [
                (&b"a"[..], Particle::Int(7)),
                (b"b", Particle::Text(b"text")),
                (b"c", Particle::GeoJson(b"{}")),
            ]
        );
        assert_eq!(Bins::new(&bytes, 9).count(), 3);
        assert_eq!(Bins::none().count(), 0);
    }

    #[test]
    fn every_cut_ends_the_bins_early() {
        let bytes = operation(b"name", kind::BLOB, b"value");
        for cut in 0..bytes.len() {
            assert_eq!(Bins::new(&bytes[..cut], 1).count(), 0, "{cut}");
        }
    }

    #[test]
    fn what_is_not_as_the_protocol_has_it_is_not_sound() {
        let cases: [(&[u8], u8, &[u8]); 9] = [
            (b"n", kind::INTEGER, b"1234567"),
            (b"n", kind::FLOAT, b"123456789"),
            (b"n", kind::STRING, b"\xff"),
            (b"\xff", kind::NULL, b""),
            (b"n", kind::BOOL, b""),
            (b"n", kind::GEO_JSON, b"\0\x7f\xff"),
            (b"n", kind::GEO_JSON, b"\0\xff\xff"),
            (b"n", kind::LIST, b""),
            (b"n", 9, b"pickled"),
        ];
        for (name, kind, value) in cases {
            let bytes = operation(name, kind, value);
            let read = Operation::read(&bytes).unwrap();
            assert!(!read.is_sound(&mut Vec::new()), "{name:?} {kind} {value:?}");
        }
    }

    #[test]
    fn a_size_smaller_than_the_name_is_refused() {
        let mut bytes = operation(b"name", kind::STRING, b"");
        bytes[3] -= 1;
        assert!(Operation::read(&bytes).is_none());
        assert!(Operation::read(&[0xff; 12]).is_none());
    }
}
