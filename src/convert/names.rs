//! Python strings for names that repeat: bins, sets, namespaces, options.
//!
//! Each thread keeps a small table, so that a name costs a lookup instead of a new string whose
//! hash has to be computed again by every dictionary it goes into. The strings are interned: a
//! program that looks a bin up by a name from its source finds it by identity.

use std::cell::RefCell;

use pyo3::prelude::*;
use pyo3::types::PyString;

/// Names kept per thread. Each may lie on two places; a new one replaces the one on its second place.
const PLACES: usize = 512;
/// Longer names are not kept.
const MAX_BYTES: usize = 63;

struct Kept {
    name: Box<str>,
    string: Py<PyString>,
}

thread_local! {
    static TABLE: RefCell<Vec<Option<Kept>>> = const { RefCell::new(Vec::new()) };
}

/// The Python string of a name.
pub fn name_into_python<'py>(py: Python<'py>, name: &str) -> Bound<'py, PyString> {
    if name.len() > MAX_BYTES {
        return PyString::new(py, name);
    }
    TABLE.with(|table| {
        // Making a string runs no Python code, so the table is never borrowed twice; should that
        // ever change, the name is simply not kept.
        let Ok(mut table) = table.try_borrow_mut() else {
            return PyString::new(py, name);
        };
        let first = place_of(name);
        for place in [first, first ^ 1] {
            match table.get(place) {
                Some(Some(kept)) if *kept.name == *name => return kept.string.bind(py).clone(),
                _ => {}
            }
        }
        keep(py, &mut table, first, name)
    })
}

#[cold]
fn keep<'py>(
    py: Python<'py>,
    table: &mut Vec<Option<Kept>>,
    first: usize,
    name: &str,
) -> Bound<'py, PyString> {
    if table.is_empty() {
        table.resize_with(PLACES, || None);
    }
    let string = PyString::intern(py, name);
    let replaced = table[first].replace(Kept {
        name: name.into(),
        string: string.clone().unbind(),
    });
    if let Some(replaced) = replaced {
        table[first ^ 1] = Some(replaced);
    }
    string
}

/// A number below [`PLACES`] that has something to do with the name.
#[inline]
pub fn place_of(name: &str) -> usize {
    (mix(name.as_bytes()) >> 40) as usize % PLACES
}

/// A number from the length and both ends of a name, which may overlap. Nothing depends on its quality;
/// the upper bits are the better ones.
#[inline]
pub fn mix(bytes: &[u8]) -> u64 {
    let (start, end) = match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(start), Some(end)) => (u64::from_le_bytes(*start), u64::from_le_bytes(*end)),
        _ => match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
            (Some(start), Some(end)) => (
                u32::from_le_bytes(*start).into(),
                u32::from_le_bytes(*end).into(),
            ),
            _ => bytes
                .iter()
                .fold((0, 0), |(word, _), &byte| (word << 8 | u64::from(byte), 0)),
        },
    };
    (start ^ end.rotate_left(23) ^ bytes.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::{place_of, PLACES};

    #[test]
    fn places_are_in_range_and_spread() {
        let mut places: Vec<usize> = (0..64)
            .map(|bin| place_of(&format!("feature_{bin}")))
            .collect();
        assert!(places.iter().all(|&place| place < PLACES));
        places.sort_unstable();
        places.dedup();
        assert!(places.len() > 40, "{} distinct places", places.len());
    }
}
