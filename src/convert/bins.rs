//! Bins and their names out of Python arguments.

use aerospike_core::{Bin, Value};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

use crate::convert::entries::gather;
use crate::convert::text::utf8;
use crate::convert::value_in::{type_name, value_from_python, Place};
use crate::exceptions::{invalid_argument, invalid_bin_name};

const MAX_NAME_BYTES: usize = 15;

/// The bins of a dictionary.
pub fn bins_from_python(object: &Bound<'_, PyAny>) -> PyResult<Vec<Bin>> {
    let dict = object.cast::<PyDict>().map_err(|_| {
        PyTypeError::new_err(format!("bins must be a dict, not {}", type_name(object)))
    })?;
    let bins = gather(dict, Vec::with_capacity, |bins, name, value| {
        let name = name_from_python(name)?;
        let value = value_from_python(value, Place::Bin(&name))?;
        bins.push(Bin { name, value });
        Ok(())
    })?;
    if bins.is_empty() {
        return Err(invalid_argument(
            "bins must not be empty: name at least one bin to write",
        ));
    }
    Ok(bins)
}

/// Bins that are to be deleted.
pub fn deleted_bins_from_python(names: &Bound<'_, PyAny>) -> PyResult<Vec<Bin>> {
    let names = names_from_python(names)?;
    if names.is_empty() {
        return Err(invalid_argument("name at least one bin to remove"));
    }
    Ok(names
        .into_iter()
        .map(|name| Bin {
            name,
            value: Value::Nil,
        })
        .collect())
}

/// A list of bin names.
pub fn names_from_python(object: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    if let Ok(list) = object.cast::<PyList>() {
        return list.iter().map(|name| name_from_python(&name)).collect();
    }
    if let Ok(tuple) = object.cast::<PyTuple>() {
        return tuple.as_slice().iter().map(name_from_python).collect();
    }
    Err(PyTypeError::new_err(format!(
        "bin names must be a list of str, not {}",
        type_name(object)
    )))
}

/// The name of a bin.
pub fn name_from_python(object: &Bound<'_, PyAny>) -> PyResult<String> {
    let name = object.cast::<PyString>().map_err(|_| {
        PyTypeError::new_err(format!(
            "the name of a bin must be a str, not {}",
            type_name(object)
        ))
    })?;
    checked_name(utf8(name, "the name of a bin")?)
}

/// Checks the name of a bin.
pub fn checked_name(name: &str) -> PyResult<String> {
    if name.is_empty() {
        return Err(invalid_argument("the name of a bin must not be empty"));
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(invalid_bin_name(&format!(
            "bin names have at most {MAX_NAME_BYTES} bytes; {name:?} has {}",
            name.len()
        )));
    }
    Ok(name.to_owned())
}
