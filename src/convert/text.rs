//! Python strings as UTF-8, which everything that is sent must be.

use std::fmt::Display;

use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::exceptions::invalid_argument;

/// The text of a string; `what` is what messages call it.
#[inline]
pub fn utf8<'a>(string: &'a Bound<'_, PyString>, what: impl Display) -> PyResult<&'a str> {
    string.to_str().map_err(|_| {
        invalid_argument(format!(
            "{what} has half of a surrogate pair, which no UTF-8 has: remove it, or use bytes where they are allowed"
        ))
    })
}
