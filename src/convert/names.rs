//! Python strings for names that repeat: bins, sets, namespaces.
//!
//! Each thread keeps a small table, so that a name costs a lookup instead of a new string whose
//! hash has to be computed again by every dictionary it goes into.

use std::cell::RefCell;

use pyo3::prelude::*;
use pyo3::types::PyString;

/// Names kept per thread; one that falls on the same place replaces its predecessor.
const PLACES: usize = 256;
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
        if table.is_empty() {
            table.resize_with(PLACES, || None);
        }
        let place = &mut table[place_of(name)];
        if let Some(kept) = place.as_ref().filter(|kept| &*kept.name == name) {
            return kept.string.bind(py).clone();
        }
        let string = PyString::new(py, name);
        *place = Some(Kept {
            name: name.into(),
            string: string.clone().unbind(),
        });
        string
    })
}

/// FNV-1a, which is fast for short names; nothing depends on its quality.
fn place_of(name: &str) -> usize {
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    (hash ^ (hash >> 16)) as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::place_of;

    #[test]
    fn places_are_in_range_and_spread() {
        let mut places: Vec<usize> = (0..64)
            .map(|bin| place_of(&format!("feature_{bin}")))
            .collect();
        assert!(places.iter().all(|&place| place < super::PLACES));
        places.sort_unstable();
        places.dedup();
        assert!(places.len() > 40, "{} distinct places", places.len());
    }
}
