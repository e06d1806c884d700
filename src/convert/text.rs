//! Between Python strings and UTF-8, which everything that is sent must be.

use std::fmt::Display;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyString};

use crate::exceptions::invalid_argument;

/// The text of an argument that has to be a string; `name` is the argument's.
pub fn string<'a>(object: &'a Bound<'_, PyAny>, name: &str) -> PyResult<&'a str> {
    match object.cast::<PyString>() {
        Ok(string) => utf8(string, name),
        Err(_) => Err(PyTypeError::new_err(format!(
            "{name} must be str, not {}",
            object.get_type().name()?
        ))),
    }
}

/// The text of a string; `what` is what messages call it.
#[inline]
pub fn utf8<'a>(string: &'a Bound<'_, PyString>, what: impl Display) -> PyResult<&'a str> {
    string.to_str().map_err(|_| {
        invalid_argument(format!(
            "{what} has half of a surrogate pair, which no UTF-8 has: remove it, or use bytes where they are allowed"
        ))
    })
}

/// A new string.
#[inline]
pub fn text_into_python<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyString>> {
    // The interpreter has the empty string and those of one character at hand.
    if text.len() < 2 {
        return Ok(PyString::new(py, text));
    }
    if text.is_ascii() {
        return filled(py, text.len(), LAST_ASCII, |characters: *mut u8| {
            // SAFETY: there is room for as many characters of one byte, and ASCII is one byte each.
            unsafe { characters.copy_from_nonoverlapping(text.as_ptr(), text.len()) }
        });
    }
    beyond_ascii_into_python(py, text)
}

const LAST_ASCII: u32 = 0x7f;
const LAST_OF_ONE_BYTE: u32 = 0xff;
const LAST_OF_TWO_BYTES: u32 = 0xffff;

/// Strings keep every character in as many bytes as their highest one needs.
fn beyond_ascii_into_python<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyString>> {
    let codes = || text.chars().map(u32::from);
    let (count, highest) = codes().fold((0, 0), |(count, highest), code| {
        (count + 1, code.max(highest))
    });
    if count < 2 {
        return Ok(PyString::new(py, text));
    }
    if highest <= LAST_OF_ONE_BYTE {
        filled(py, count, highest, |to: *mut u8| {
            store(to, codes().map(|code| code as u8))
        })
    } else if highest <= LAST_OF_TWO_BYTES {
        filled(py, count, highest, |to: *mut u16| {
            store(to, codes().map(|code| code as u16))
        })
    } else {
        filled(py, count, highest, |to: *mut u32| store(to, codes()))
    }
}

/// Stores characters one behind the other; there must be room for all of them.
fn store<C>(to: *mut C, characters: impl Iterator<Item = C>) {
    for (place, character) in characters.enumerate() {
        // SAFETY: callers have made room for as many characters of this size.
        unsafe { to.add(place).write(character) }
    }
}

/// A string of `count` characters, which `fill` must store: of one, two or four bytes, depending on
/// the highest.
#[inline]
fn filled<'py, C>(
    py: Python<'py>,
    count: usize,
    highest: u32,
    fill: impl FnOnce(*mut C),
) -> PyResult<Bound<'py, PyString>> {
    let size = ffi::Py_ssize_t::try_from(count)?;
    // SAFETY: the interpreter is attached; a new reference to a string, or null with an exception set.
    let string = unsafe {
        Bound::from_owned_ptr_or_err(py, ffi::PyUnicode_New(size, highest))?
            .cast_into_unchecked::<PyString>()
    };
    // SAFETY: a string that was made this way has its characters in one piece behind its header, and
    // nobody else has seen it yet.
    fill(unsafe { ffi::PyUnicode_DATA(string.as_ptr()) }.cast::<C>());
    Ok(string)
}
