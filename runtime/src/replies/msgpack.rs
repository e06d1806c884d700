//! Lists and maps as they lie in a reply: MessagePack whose strings begin with a particle type.
//!
//! A value is checked once, when its reply arrives, and read when it is asked for; both use the
//! tokens of this module. Making values out of tokens is the business of whoever asks.

use super::particle::{is_utf8, kind};

/// One step through a value; containers are followed by the tokens of what they contain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Token<'a> {
    /// No value.
    Nil,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// UTF-8.
    Text(&'a [u8]),
    /// UTF-8 that is GeoJSON.
    GeoJson(&'a [u8]),
    /// Bytes.
    Blob(&'a [u8]),
    /// Bytes of another kind: HyperLogLog, or one that no client interprets.
    Opaque(&'a [u8]),
    /// A list: its items follow.
    List(usize),
    /// A map: its keys, each with its value, follow.
    Map(usize, Order),
    /// An extension, which says something about the container that it opens.
    Extension,
}

/// How a map keeps its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// In any order, or by key.
    Keyed,
    /// By key and value: what is read are pairs, whose keys may repeat and be anything.
    Pairs,
}

/// Reads tokens; `None` means that the bytes are no value.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader at the beginning of a value.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes }
    }

    /// Whether everything has been read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(*taken)
    }

    fn u8(&mut self) -> Option<usize> {
        self.array::<1>().map(|[byte]| usize::from(byte))
    }

    fn u16(&mut self) -> Option<usize> {
        self.array()
            .map(|bytes| usize::from(u16::from_be_bytes(bytes)))
    }

    fn u32(&mut self) -> Option<usize> {
        self.array()
            .and_then(|bytes| usize::try_from(u32::from_be_bytes(bytes)).ok())
    }

    /// The next token.
    #[inline]
    pub fn token(&mut self) -> Option<Token<'a>> {
        let [marker] = self.array::<1>()?;
        Some(match marker {
            0x00..=0x7f => Token::Int(i64::from(marker)),
            0x80..=0x8f => self.map(usize::from(marker & 0x0f))?,
            0x90..=0x9f => self.list(usize::from(marker & 0x0f))?,
            0xa0..=0xbf => self.string(usize::from(marker & 0x1f))?,
            0xc0 => Token::Nil,
            0xc2 => Token::Bool(false),
            0xc3 => Token::Bool(true),
            0xc4 | 0xd9 => self.u8().and_then(|count| self.string(count))?,
            0xc5 | 0xda => self.u16().and_then(|count| self.string(count))?,
            0xc6 | 0xdb => self.u32().and_then(|count| self.string(count))?,
            0xc7 => self.u8().and_then(|count| self.extension(count))?,
            0xc8 => self.u16().and_then(|count| self.extension(count))?,
            0xc9 => self.u32().and_then(|count| self.extension(count))?,
            0xca => Token::Float(f64::from(f32::from_be_bytes(self.array()?))),
            0xcb => Token::Float(f64::from_be_bytes(self.array()?)),
            0xcc => Token::Int(i64::from(u8::from_be_bytes(self.array()?))),
            0xcd => Token::Int(i64::from(u16::from_be_bytes(self.array()?))),
            0xce => Token::Int(i64::from(u32::from_be_bytes(self.array()?))),
            0xcf | 0xd3 => Token::Int(i64::from_be_bytes(self.array()?)),
            0xd0 => Token::Int(i64::from(i8::from_be_bytes(self.array()?))),
            0xd1 => Token::Int(i64::from(i16::from_be_bytes(self.array()?))),
            0xd2 => Token::Int(i64::from(i32::from_be_bytes(self.array()?))),
            0xd4..=0xd8 => self.extension(1 << (marker - 0xd4))?,
            0xdc => self.u16().and_then(|count| self.list(count))?,
            0xdd => self.u32().and_then(|count| self.list(count))?,
            0xde => self.u16().and_then(|count| self.map(count))?,
            0xdf => self.u32().and_then(|count| self.map(count))?,
            0xe0..=0xff => Token::Int(i64::from(i8::from_be_bytes([marker]))),
            0xc1 => return None,
        })
    }

    fn string(&mut self, count: usize) -> Option<Token<'a>> {
        let (&particle, text) = self.take(count)?.split_first()?;
        Some(match particle {
            kind::STRING => Token::Text(text),
            kind::GEO_JSON => Token::GeoJson(text),
            kind::BLOB => Token::Blob(text),
            _ => Token::Opaque(text),
        })
    }

    fn extension(&mut self, count: usize) -> Option<Token<'a>> {
        self.take(count.checked_add(1)?)?;
        Some(Token::Extension)
    }

    /// Opens a list, whose first item may be an extension that is none of its items.
    fn list(&mut self, count: usize) -> Option<Token<'a>> {
        if count > 0 && self.at_extension() {
            self.token()?;
            return Some(Token::List(count - 1));
        }
        Some(Token::List(count))
    }

    /// Opens a map, whose first entry may be an extension, with nil, that says how it is ordered.
    fn map(&mut self, count: usize) -> Option<Token<'a>> {
        if count == 0 || !self.at_extension() {
            return Some(Token::Map(count, Order::Keyed));
        }
        const BY_KEY_AND_VALUE: u8 = 0x08;
        let order = match self.bytes {
            [0xc7, 0, flags, ..] if flags & BY_KEY_AND_VALUE != 0 => Order::Pairs,
            _ => Order::Keyed,
        };
        self.token()?;
        match self.token()? {
            Token::Nil => Some(Token::Map(count - 1, order)),
            _ => None,
        }
    }

    fn at_extension(&self) -> bool {
        matches!(self.bytes.first(), Some(0xc7..=0xc9 | 0xd4..=0xd8))
    }

    /// Passes over what a container that has just been opened contains.
    pub fn skip(&mut self, opened: Token<'a>) -> Option<()> {
        let mut left = opened.tokens()?;
        while left > 0 {
            left = left.checked_sub(1)?.checked_add(self.token()?.tokens()?)?;
        }
        Some(())
    }
}

impl Token<'_> {
    /// How many values follow that belong to this one.
    fn tokens(self) -> Option<usize> {
        match self {
            Token::List(count) => Some(count),
            Token::Map(count, _) => count.checked_mul(2),
            _ => Some(0),
        }
    }
}

/// Containers may be nested this deep; what lies deeper is not looked at, because nobody reads it.
pub const MAX_DEPTH: usize = 512;

/// A container that is being checked.
#[derive(Debug)]
pub(super) struct Open {
    left: usize,
    /// A map whose keys must be such that a dictionary can have them.
    keyed: bool,
}

/// Whether `bytes` are one list or one map, and nothing else, that this module reads to its end.
///
/// What the driver refuses, or reads in a way of its own, is not sound: it gets to see it.
pub(super) fn is_sound(bytes: &[u8], as_map: bool, open: &mut Vec<Open>) -> bool {
    open.clear();
    let mut reader = Reader::new(bytes);
    let top = reader.token();
    match top {
        Some(Token::List(count)) if !as_map => open.push(Open::list(count)),
        Some(top @ Token::Map(..)) if as_map => match Open::map(top) {
            Some(level) => open.push(level),
            None => return false,
        },
        _ => return false,
    }
    while let Some(level) = open.last_mut() {
        let Some(left) = level.left.checked_sub(1) else {
            open.pop();
            continue;
        };
        level.left = left;
        let is_key = level.keyed && left % 2 == 1;
        let Some(token) = reader.token() else {
            return false;
        };
        let sound = match token {
            Token::Extension => false,
            Token::Text(text) | Token::GeoJson(text) => {
                is_utf8(text) && !(is_key && matches!(token, Token::GeoJson(_)))
            }
            Token::Nil | Token::Int(_) | Token::Blob(_) => true,
            Token::Bool(_) | Token::Float(_) | Token::Opaque(_) => !is_key,
            Token::List(count) => {
                open.push(Open::list(count));
                !is_key
            }
            Token::Map(..) => match Open::map(token) {
                Some(level) => {
                    open.push(level);
                    !is_key
                }
                None => false,
            },
        };
        if !sound {
            return false;
        }
        if open.len() > MAX_DEPTH + 1 {
            return true;
        }
    }
    reader.is_empty()
}

impl Open {
    fn list(count: usize) -> Self {
        Open {
            left: count,
            keyed: false,
        }
    }

    fn map(token: Token<'_>) -> Option<Self> {
        Some(Open {
            left: token.tokens()?,
            keyed: matches!(token, Token::Map(_, Order::Keyed)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound(bytes: &[u8], as_map: bool) -> bool {
        is_sound(bytes, as_map, &mut Vec::new())
    }

    #[test]
    fn values_are_read_token_by_token() {
        let bytes = [0x93, 0x01, 0xa3, 3, b'h', b'i', 0x81, 0xc0, 0xc3];
        assert!(sound(&bytes, false));
        let mut reader = Reader::new(&bytes);
        let tokens: Vec<_> = std::iter::from_fn(|| reader.token()).collect();
        assert_eq!(
            tokens,
            [
                Token::List(3),
                Token::Int(1),
                Token::Text(b"hi"),
                Token::Map(1, Order::Keyed),
                Token::Nil,
                Token::Bool(true),
            ]
        );
    }

    #[test]
    fn numbers_have_their_sign_and_width() {
        let cases: [(&[u8], Token<'_>); 8] = [
            (&[0xff], Token::Int(-1)),
            (&[0xe0], Token::Int(-32)),
            (&[0xcc, 0xff], Token::Int(255)),
            (&[0xd0, 0xff], Token::Int(-1)),
            (&[0xd1, 0x80, 0], Token::Int(-32768)),
            (&[0xce, 0xff, 0xff, 0xff, 0xff], Token::Int(4_294_967_295)),
            (&[0xca, 0x3f, 0xc0, 0, 0], Token::Float(1.5)),
            (
                &[0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
                Token::Int(-1),
            ),
        ];
        for (bytes, token) in cases {
            assert_eq!(Reader::new(bytes).token(), Some(token), "{bytes:x?}");
        }
    }

    #[test]
    fn markers_of_order_are_no_entries() {
        // A list with a marker and one item; maps ordered by key, and by key and value.
        assert!(sound(&[0x92, 0xc7, 0, 1, 0x05], false));
        assert!(sound(&[0x82, 0xc7, 0, 1, 0xc0, 0x05, 0x06], true));
        let pairs = [0x82, 0xc7, 0, 9, 0xc0, 0xc3, 0x06];
        assert!(sound(&pairs, true));
        assert_eq!(
            Reader::new(&pairs).token(),
            Some(Token::Map(1, Order::Pairs))
        );
        assert_eq!(
            Reader::new(&[0x92, 0xc7, 0, 1, 0x05]).token(),
            Some(Token::List(1))
        );
    }

    #[test]
    fn what_the_driver_refuses_is_not_sound() {
        let lists: [&[u8]; 9] = [
            &[],
            &[0x91],
            &[0x90, 0x00],
            &[0x01],
            &[0xdd, 0xff, 0xff, 0xff, 0xff],
            &[0x91, 0xa2, 3, 0xff],
            &[0x91, 0xa0],
            &[0x92, 0x01, 0xc7, 0, 1],
            &[0x91, 0xc1],
        ];
        for bytes in lists {
            assert!(!sound(bytes, false), "{bytes:x?}");
        }
        // Keys that no dictionary has; a marker with a value; another container than announced.
        let maps: [&[u8]; 5] = [
            &[0x81, 0xc3, 0x01],
            &[0x81, 0x90, 0x01],
            &[0x81, 0xa1, 18, 0x01],
            &[0x82, 0xc7, 0, 1, 0x07, 0x05, 0x06],
            &[0x90],
        ];
        for bytes in maps {
            assert!(!sound(bytes, true), "{bytes:x?}");
        }
    }

    #[test]
    fn deep_nesting_ends_the_check_and_not_the_stack() {
        assert!(sound(&vec![0x91; 1_000_000], false));
        let mut complete = vec![0x91; 300];
        complete.push(0x90);
        assert!(sound(&complete, false));
        complete.pop();
        assert!(!sound(&complete, false));
    }

    #[test]
    fn what_a_container_contains_can_be_passed_over() {
        let bytes = [0x92, 0x82, 0x01, 0x91, 0x02, 0x03, 0x90, 0x07];
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.token(), Some(Token::List(2)));
        let map = reader.token().unwrap();
        assert_eq!(reader.skip(map), Some(()));
        assert_eq!(reader.token(), Some(Token::Int(7)));
        assert!(reader.is_empty());
        assert_eq!(Reader::new(&[]).skip(Token::List(usize::MAX)), None);
    }
}
