//! The entries of Python dictionaries that users pass. What becomes of them is up to the caller.

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::critical_section::with_critical_section;
use pyo3::types::PyDict;

/// Gathers the entries of a dictionary: `add` puts each into what `start` makes for their number.
///
/// The dictionary is read in place. Should it grow or shrink meanwhile, which takes another thread
/// without the GIL, everything starts anew on a copy that nobody else knows.
pub fn gather<'py, G>(
    dict: &Bound<'py, PyDict>,
    start: impl Fn(usize) -> G,
    mut add: impl FnMut(&mut G, &Bound<'py, PyAny>, &Bound<'py, PyAny>) -> PyResult<()>,
) -> PyResult<G> {
    if let Some(gathered) = gather_in_place(dict, &start, &mut add)? {
        return Ok(gathered);
    }
    gather_in_place(&dict.copy()?, &start, &mut add)?
        .ok_or_else(|| PyRuntimeError::new_err("the dictionary changes while it is read"))
}

#[inline]
fn gather_in_place<'py, G>(
    dict: &Bound<'py, PyDict>,
    start: &impl Fn(usize) -> G,
    add: &mut impl FnMut(&mut G, &Bound<'py, PyAny>, &Bound<'py, PyAny>) -> PyResult<()>,
) -> PyResult<Option<G>> {
    with_critical_section(dict.as_any(), || {
        let py = dict.py();
        let entries = dict.len();
        let mut gathered = start(entries);
        let mut place = 0;
        let mut key = std::ptr::null_mut();
        let mut value = std::ptr::null_mut();
        // SAFETY: the interpreter is attached and the dictionary locked. A place beyond the last entry
        // ends the loop, also after a change while a lock of something inside was waited for.
        while unsafe { ffi::PyDict_Next(dict.as_ptr(), &mut place, &mut key, &mut value) } != 0 {
            // SAFETY: both are live objects of the dictionary, which nothing has touched since.
            let (key, value) = unsafe {
                (
                    Bound::from_borrowed_ptr(py, key),
                    Bound::from_borrowed_ptr(py, value),
                )
            };
            add(&mut gathered, &key, &value)?;
            if dict.len() != entries {
                return Ok(None);
            }
        }
        Ok(Some(gathered))
    })
}
