//! Python values into the driver's values.

use std::fmt;

use aerospike_core::{FloatValue, IndexMap, Value};
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMemoryView, PyString, PyTuple,
};

use crate::convert::entries::gather;
use crate::convert::text::utf8;
use crate::exceptions::invalid_argument;

/// Lists and dictionaries may be nested this deep.
pub const MAX_DEPTH: usize = 64;

/// What a value is for, as error messages say it.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// A bin.
    Bin(&'a str),
    /// The third item of a key.
    UserKey,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Bin(name) => write!(f, "bin {name:?}"),
            Place::UserKey => f.write_str("the user key"),
        }
    }
}

/// Converts a value of a bin.
#[inline]
pub fn value_from_python(object: &Bound<'_, PyAny>, place: Place<'_>) -> PyResult<Value> {
    convert(object, place, 0)
}

#[inline(always)]
fn convert(object: &Bound<'_, PyAny>, place: Place<'_>, depth: usize) -> PyResult<Value> {
    if let Ok(string) = object.cast_exact::<PyString>() {
        return Ok(Value::String(utf8(string, place)?.to_owned()));
    }
    if let Ok(number) = object.cast_exact::<PyInt>() {
        return int_from_python(number, place).map(Value::Int);
    }
    if let Ok(number) = object.cast_exact::<PyFloat>() {
        return Ok(Value::Float(FloatValue::from(number.value())));
    }
    if let Ok(bytes) = object.cast_exact::<PyBytes>() {
        return Ok(Value::Blob(bytes.as_bytes().to_vec()));
    }
    if object.is_none() {
        return Ok(Value::Nil);
    }
    convert_rarer(object, place, depth)
}

/// Booleans, containers, and subclasses of the types above.
#[inline(never)]
fn convert_rarer(object: &Bound<'_, PyAny>, place: Place<'_>, depth: usize) -> PyResult<Value> {
    if let Ok(flag) = object.cast::<PyBool>() {
        return Ok(Value::Bool(flag.is_true()));
    }
    if let Ok(list) = object.cast::<PyList>() {
        let depth = deeper(depth, place)?;
        let mut values = Vec::with_capacity(list.len());
        for item in list.iter() {
            values.push(convert(&item, place, depth)?);
        }
        return Ok(Value::List(values));
    }
    if let Ok(dict) = object.cast::<PyDict>() {
        return map_from_python(dict, place, deeper(depth, place)?);
    }
    if let Ok(tuple) = object.cast::<PyTuple>() {
        let depth = deeper(depth, place)?;
        let values = tuple
            .as_slice()
            .iter()
            .map(|item| convert(item, place, depth));
        return Ok(Value::List(values.collect::<PyResult<_>>()?));
    }
    if let Some(bytes) = bytes_from_python(object)? {
        return Ok(Value::Blob(bytes));
    }
    if let Ok(string) = object.cast::<PyString>() {
        return Ok(Value::String(utf8(string, place)?.to_owned()));
    }
    if let Ok(number) = object.cast::<PyInt>() {
        return int_from_python(number, place).map(Value::Int);
    }
    if let Ok(number) = object.cast::<PyFloat>() {
        return Ok(Value::Float(FloatValue::from(number.value())));
    }
    Err(unsupported(object, place))
}

fn map_from_python(dict: &Bound<'_, PyDict>, place: Place<'_>, depth: usize) -> PyResult<Value> {
    let map = gather(dict, IndexMap::with_capacity, |map, key, value| {
        let key = convert(key, place, depth)?;
        if !key.is_valid_map_key() {
            return Err(PyTypeError::new_err(format!(
                "keys of a dictionary must be str, int or bytes; {place} has a dictionary with a key of another type"
            )));
        }
        map.insert(key, convert(value, place, depth)?);
        Ok(())
    })?;
    Ok(Value::OrderedMap(map))
}

/// The bytes of a bytes-like object, if it is one.
pub fn bytes_from_python(object: &Bound<'_, PyAny>) -> PyResult<Option<Vec<u8>>> {
    if let Ok(bytes) = object.cast::<PyBytes>() {
        return Ok(Some(bytes.as_bytes().to_vec()));
    }
    if let Ok(bytes) = object.cast::<PyByteArray>() {
        return Ok(Some(bytes.to_vec()));
    }
    if object.cast::<PyMemoryView>().is_ok() {
        let bytes = object.call_method0(crate::interned::interned!(object.py(), "tobytes"))?;
        return Ok(Some(bytes.cast::<PyBytes>()?.as_bytes().to_vec()));
    }
    Ok(None)
}

/// An integer within the 64 bits that the server stores.
#[inline]
pub fn int_from_python(number: &Bound<'_, PyInt>, place: Place<'_>) -> PyResult<i64> {
    let mut beyond = 0;
    // SAFETY: the interpreter is attached, and of a live integer this cannot fail otherwise.
    let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(number.as_ptr(), &mut beyond) };
    if beyond == 0 {
        Ok(value)
    } else {
        Err(too_large(place))
    }
}

#[cold]
fn too_large(place: Place<'_>) -> PyErr {
    PyOverflowError::new_err(format!(
        "{place}: the integer is too large, integers go from -2**63 to 2**63 - 1 (64 bits with sign)"
    ))
}

fn deeper(depth: usize, place: Place<'_>) -> PyResult<usize> {
    if depth >= MAX_DEPTH {
        return Err(invalid_argument(format!(
            "{place}: lists and dictionaries are nested more than {MAX_DEPTH} levels deep, or contain themselves"
        )));
    }
    Ok(depth + 1)
}

fn unsupported(object: &Bound<'_, PyAny>, place: Place<'_>) -> PyErr {
    let hint = if object.hasattr("tolist").unwrap_or(false) {
        "; convert it with .tolist()"
    } else if object.hasattr("__index__").unwrap_or(false) {
        "; convert it with int()"
    } else {
        ""
    };
    PyTypeError::new_err(format!(
        "{place} cannot hold a value of type {}: use None, bool, int, float, str, bytes, list or dict{hint}",
        type_name(object)
    ))
}

/// The name of an object's type, for messages.
pub fn type_name(object: &Bound<'_, PyAny>) -> String {
    object
        .get_type()
        .fully_qualified_name()
        .map_or_else(|_| "?".to_owned(), |name| name.to_string())
}
