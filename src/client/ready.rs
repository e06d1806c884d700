//! An awaitable whose value is there already.

use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;

/// Awaiting it gives the value at once.
#[pyclass(frozen, module = "aerospike_py._aerospike")]
pub struct Ready {
    value: Py<PyAny>,
}

impl Ready {
    /// An awaitable for `value`.
    pub fn new(value: Py<PyAny>) -> Self {
        Ready { value }
    }
}

#[pymethods]
impl Ready {
    fn __await__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Err(PyStopIteration::new_err((self.value.clone_ref(py),)))
    }
}
