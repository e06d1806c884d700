//! The driver's values into Python objects.

use aerospike_core::{IndexMap, Value};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::error::Fault;

/// Stored values may be nested this deep; deeper ones would endanger the stack.
const MAX_DEPTH: usize = 512;

/// Converts a value. GeoJSON becomes `str`, HyperLogLog and foreign types become `bytes`.
#[inline]
pub fn value_into_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    convert(py, value, 0)
}

fn convert<'py>(py: Python<'py>, value: &Value, depth: usize) -> PyResult<Bound<'py, PyAny>> {
    if depth > MAX_DEPTH {
        return Err(Fault::client(format!(
            "a stored value is nested more than {MAX_DEPTH} levels deep and cannot be converted"
        ))
        .into());
    }
    Ok(match value {
        Value::Int(number) => PyInt::new(py, *number).into_any(),
        Value::String(text) | Value::GeoJson(text) => PyString::new(py, text).into_any(),
        Value::Float(number) => PyFloat::new(py, f64::from(number)).into_any(),
        Value::Bool(flag) => PyBool::new(py, *flag).to_owned().into_any(),
        Value::Blob(bytes) | Value::Hll(bytes) | Value::Unknown(_, bytes) => {
            PyBytes::new(py, bytes).into_any()
        }
        Value::List(values) | Value::MultiResult(values) => {
            let list = PyList::empty(py);
            for value in values {
                list.append(convert(py, value, depth + 1)?)?;
            }
            list.into_any()
        }
        Value::OrderedMap(map) => dict_into_python(py, map.iter(), depth)?,
        Value::SortedMap(map) => dict_into_python(py, map.iter(), depth)?,
        Value::HashMap(map) => dict_into_python(py, map.iter(), depth)?,
        Value::KeyValueList(pairs) => {
            let list = PyList::empty(py);
            for (key, value) in pairs {
                list.append((convert(py, key, depth + 1)?, convert(py, value, depth + 1)?))?;
            }
            list.into_any()
        }
        // Nil, the bounds that only expressions use, and whatever the driver may add.
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
        dict.set_item(
            hashable(py, key, depth + 1)?,
            convert(py, value, depth + 1)?,
        )?;
    }
    Ok(dict.into_any())
}

/// A map's key: other clients can store lists and maps there, which become tuples.
fn hashable<'py>(py: Python<'py>, key: &Value, depth: usize) -> PyResult<Bound<'py, PyAny>> {
    if depth > MAX_DEPTH {
        return convert(py, key, depth);
    }
    let pairs = match key {
        Value::List(values) | Value::MultiResult(values) => {
            let items = values.iter().map(|value| hashable(py, value, depth + 1));
            return Ok(PyTuple::new(py, items.collect::<PyResult<Vec<_>>>()?)?.into_any());
        }
        Value::OrderedMap(map) => map.clone(),
        Value::SortedMap(map) => map.clone().into_iter().collect(),
        Value::HashMap(map) => map.clone().into_iter().collect::<IndexMap<_, _>>(),
        Value::KeyValueList(pairs) => pairs.iter().cloned().collect(),
        _ => return convert(py, key, depth),
    };
    let items = pairs.iter().map(|(key, value)| {
        PyTuple::new(
            py,
            [
                hashable(py, key, depth + 1)?,
                hashable(py, value, depth + 1)?,
            ],
        )
    });
    Ok(PyTuple::new(py, items.collect::<PyResult<Vec<_>>>()?)?.into_any())
}
