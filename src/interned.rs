//! Names of Python's that the extension keeps, so that looking something up by them makes no string.
//!
//! They are kept without holding a lock while Python does anything: the child of a fork would wait for
//! ever for a thread that was at it in the parent.

use std::sync::OnceLock;

use pyo3::prelude::*;
use pyo3::types::PyString;

/// A name that is kept from its first use on.
pub struct Interned {
    text: &'static str,
    kept: OnceLock<Py<PyString>>,
}

impl Interned {
    /// A name that has not been used.
    pub const fn new(text: &'static str) -> Self {
        Interned {
            text,
            kept: OnceLock::new(),
        }
    }

    /// The name as Python has it.
    #[inline]
    pub fn get<'py>(&self, py: Python<'py>) -> &Bound<'py, PyString> {
        match self.kept.get() {
            Some(kept) => kept.bind(py),
            None => self.keep(py),
        }
    }

    #[cold]
    fn keep<'py>(&self, py: Python<'py>) -> &Bound<'py, PyString> {
        let made = PyString::intern(py, self.text).unbind();
        self.kept.get_or_init(|| made).bind(py)
    }
}

/// The Python string for a literal, made once.
macro_rules! interned {
    ($py:expr, $text:expr) => {{
        static NAME: $crate::interned::Interned = $crate::interned::Interned::new($text);
        NAME.get($py)
    }};
}
pub(crate) use interned;
