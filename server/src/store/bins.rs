//! The bins of a record, kept in the very form in which replies carry them: reading all bins is one copy.

use crate::wire::reply::put_op;
use crate::wire::Reader;

/// Bytes in front of a bin's name: size, operation, type, version, name length.
const BIN_HEADER_SIZE: usize = 8;

/// Bins in the order in which they were first written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bins {
    wire: Vec<u8>,
    count: u16,
}

/// One bin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bin<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) kind: u8,
    pub(crate) value: &'a [u8],
    start: usize,
    end: usize,
}

impl Bins {
    pub(crate) fn count(&self) -> u16 {
        self.count
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All bins as result operations.
    pub(crate) fn wire(&self) -> &[u8] {
        &self.wire
    }

    pub(crate) fn clear(&mut self) {
        self.wire.clear();
        self.count = 0;
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Bin<'_>> {
        let mut reader = Reader::new(&self.wire);
        let mut start = 0;
        std::iter::from_fn(move || {
            let size = reader.u32("bin size").ok()? as usize;
            let mut body = Reader::new(reader.take(size, "bin").ok()?);
            let [_op, kind, _version, name_size] = *body.array::<4>("bin header").ok()?;
            let name = body.take(usize::from(name_size), "bin name").ok()?;
            let end = start + 4 + size;
            let bin = Bin {
                name,
                kind,
                value: body.rest(),
                start,
                end,
            };
            start = end;
            Some(bin)
        })
    }

    pub(crate) fn get(&self, name: &[u8]) -> Option<Bin<'_>> {
        self.iter().find(|bin| bin.name == name)
    }

    /// Creates the bin or replaces its value; it keeps its place.
    pub(crate) fn set(&mut self, name: &[u8], kind: u8, value: &[u8]) {
        let Some((start, end)) = self.get(name).map(|bin| (bin.start, bin.end)) else {
            put_op(&mut self.wire, name, kind, value);
            self.count += 1;
            return;
        };
        let value_start = start + BIN_HEADER_SIZE + name.len();
        self.resize_range(end, value_start + value.len());
        let size = (4 + name.len() + value.len()) as u32;
        self.wire[start..start + 4].copy_from_slice(&size.to_be_bytes());
        self.wire[start + 5] = kind;
        self.wire[value_start..value_start + value.len()].copy_from_slice(value);
    }

    /// Moves what lies behind `end` to `new_end`.
    fn resize_range(&mut self, end: usize, new_end: usize) {
        let total = self.wire.len();
        if new_end > end {
            self.wire.resize(total + new_end - end, 0);
        }
        self.wire.copy_within(end..total, new_end);
        self.wire.truncate(total + new_end - end);
    }

    pub(crate) fn remove(&mut self, name: &[u8]) {
        if let Some((start, end)) = self.get(name).map(|bin| (bin.start, bin.end)) {
            self.wire.drain(start..end);
            self.count -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bins_keep_their_place_when_their_value_grows_or_changes_type() {
        let mut bins = Bins::default();
        bins.set(b"a", 1, &[0; 8]);
        bins.set(b"b", 3, b"x");
        bins.set(b"a", 3, b"longer than before");
        bins.set(b"b", 4, b"y");
        let seen: Vec<_> = bins
            .iter()
            .map(|bin| (bin.name, bin.kind, bin.value))
            .collect();
        assert_eq!(
            seen,
            [
                (&b"a"[..], 3, &b"longer than before"[..]),
                (&b"b"[..], 4, &b"y"[..])
            ]
        );
        bins.remove(b"a");
        bins.remove(b"absent");
        assert_eq!(
            (bins.count(), bins.get(b"b").unwrap().value),
            (1, &b"y"[..])
        );
    }

    proptest! {
        #[test]
        fn bins_behave_like_an_ordered_map(
            edits in prop::collection::vec((0u8..6, 0u8..3, prop::collection::vec(any::<u8>(), 0..12)), 0..60)
        ) {
            let mut bins = Bins::default();
            let mut model: Vec<(Vec<u8>, u8, Vec<u8>)> = Vec::new();
            for (name, action, value) in edits {
                let name = vec![b'n', name];
                let place = model.iter().position(|(known, _, _)| *known == name);
                if action == 0 {
                    bins.remove(&name);
                    if let Some(place) = place {
                        model.remove(place);
                    }
                } else {
                    bins.set(&name, action, &value);
                    match place {
                        Some(place) => model[place] = (name, action, value),
                        None => model.push((name, action, value)),
                    }
                }
            }
            let seen: Vec<_> = bins
                .iter()
                .map(|bin| (bin.name.to_vec(), bin.kind, bin.value.to_vec()))
                .collect();
            prop_assert_eq!(usize::from(bins.count()), model.len());
            prop_assert_eq!(seen, model);
        }
    }
}
