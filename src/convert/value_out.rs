//! The driver's values into Python objects.

use aerospike_core::Value;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyTuple};

use crate::convert::text::text_into_python;
use crate::error::Fault;

/// Stored values may be nested this deep; deeper ones would endanger the stack.
const MAX_DEPTH: usize = 512;

/// Converts a value. GeoJSON becomes `str`, HyperLogLog and foreign types become `bytes`.
#[inline]
pub fn value_into_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    convert(py, value, 0)
}

/// A value inside another, for lists and tuples that are allocated at their full length.
struct Inner<'a> {
    value: &'a Value,
    depth: usize,
}

impl<'py> IntoPyObject<'py> for Inner<'_> {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    #[inline]
    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        convert(py, self.value, self.depth)
    }
}

/// A value that must be hashable: a map's key, or something inside one.
struct Hashable<'a> {
    value: &'a Value,
    depth: usize,
}

impl<'py> IntoPyObject<'py> for Hashable<'_> {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        hashable(py, self.value, self.depth)
    }
}

#[inline(always)]
fn convert<'py>(py: Python<'py>, value: &Value, depth: usize) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Int(number) => PyInt::new(py, *number).into_any(),
        Value::String(text) | Value::GeoJson(text) => text_into_python(py, text)?.into_any(),
        Value::Float(number) => PyFloat::new(py, f64::from(number)).into_any(),
        Value::Bool(flag) => PyBool::new(py, *flag).to_owned().into_any(),
        Value::Blob(bytes) | Value::Hll(bytes) | Value::Unknown(_, bytes) => {
            PyBytes::new(py, bytes).into_any()
        }
        Value::List(_)
        | Value::MultiResult(_)
        | Value::OrderedMap(_)
        | Value::SortedMap(_)
        | Value::HashMap(_)
        | Value::KeyValueList(_) => convert_container(py, value, deeper(depth)?)?,
        // Nil, the bounds that only expressions use, and whatever the driver may add.
        _ => py.None().into_bound(py),
    })
}

/// `depth` is that of what is inside.
#[inline(never)]
fn convert_container<'py>(
    py: Python<'py>,
    value: &Value,
    depth: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let inner = |value| Inner { value, depth };
    Ok(match value {
        Value::List(values) | Value::MultiResult(values) => {
            PyList::new(py, values.iter().map(inner))?.into_any()
        }
        Value::OrderedMap(map) => dict_into_python(py, map.iter(), depth)?,
        Value::SortedMap(map) => dict_into_python(py, map.iter(), depth)?,
        Value::HashMap(map) => dict_into_python(py, map.iter(), depth)?,
        Value::KeyValueList(pairs) => {
            let pairs = pairs.iter().map(|(key, value)| (inner(key), inner(value)));
            PyList::new(py, pairs)?.into_any()
        }
        _ => py.None().into_bound(py),
    })
}

fn dict_into_python<'py, 'a>(
    py: Python<'py>,
    entries: impl Iterator<Item = (&'a Value, &'a Value)>,
    depth: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let dict = PyDict::new(py);
    for (key, value) in entries {
        dict.set_item(hashable(py, key, depth)?, convert(py, value, depth)?)?;
    }
    Ok(dict.into_any())
}

/// A map's key: other clients can store lists and maps there, which become tuples.
fn hashable<'py>(py: Python<'py>, key: &Value, depth: usize) -> PyResult<Bound<'py, PyAny>> {
    match key {
        Value::List(values) | Value::MultiResult(values) => {
            let depth = deeper(depth)?;
            let items = values.iter().map(|value| Hashable { value, depth });
            Ok(PyTuple::new(py, items)?.into_any())
        }
        Value::OrderedMap(map) => pairs_into_python(py, map.iter(), deeper(depth)?),
        Value::SortedMap(map) => pairs_into_python(py, map.iter(), deeper(depth)?),
        Value::HashMap(map) => pairs_into_python(py, map.iter(), deeper(depth)?),
        Value::KeyValueList(pairs) => {
            let pairs = pairs.iter().map(|(key, value)| (key, value));
            pairs_into_python(py, pairs, deeper(depth)?)
        }
        _ => convert(py, key, depth),
    }
}

fn pairs_into_python<'py, 'a>(
    py: Python<'py>,
    pairs: impl ExactSizeIterator<Item = (&'a Value, &'a Value)>,
    depth: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let hashable = |value| Hashable { value, depth };
    let items = pairs.map(|(key, value)| (hashable(key), hashable(value)));
    Ok(PyTuple::new(py, items)?.into_any())
}

fn deeper(depth: usize) -> PyResult<usize> {
    if depth < MAX_DEPTH {
        return Ok(depth + 1);
    }
    Err(Fault::client(format!(
        "a stored value is nested more than {MAX_DEPTH} levels deep and cannot be converted"
    ))
    .into())
}
