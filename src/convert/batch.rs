//! The lists of keys and records that batches take.

use aerospike_core::{BatchDeletePolicy, Key};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use crate::convert::bins::bins_from_python;
use crate::convert::key::{key_from_python, Gathered, Undigested};
use crate::convert::options::Options;
use crate::convert::policies::WriteFields;
use crate::convert::value_in::type_name;
use crate::exceptions::invalid_argument;
use crate::ops::request::WriteRow;

/// The keys of a batch.
pub fn keys_from_python(object: &Bound<'_, PyAny>) -> PyResult<Vec<Key>> {
    let items = items_of(object, "keys must be a list of keys")?;
    let mut keys = Gathered::with_capacity(items.len());
    for (place, item) in items.as_slice().iter().enumerate() {
        let key = Undigested::from_python(item);
        keys.push(key.map_err(|error| placed(item.py(), error, "keys", place))?);
    }
    Ok(keys.into_keys())
}

/// The records of a batch write: `(key, bins)` or `(key, bins, meta)`.
pub fn records_from_python(
    object: &Bound<'_, PyAny>,
    policy: &Options<'_, '_>,
) -> PyResult<Vec<WriteRow>> {
    let items = items_of(
        object,
        "records must be a list of (key, bins) or (key, bins, meta)",
    )?;
    let defaults = WriteFields::of_policy(policy)?;
    let mut rows = Vec::with_capacity(items.len());
    for (place, item) in items.as_slice().iter().enumerate() {
        let row = record_from_python(item, defaults)
            .map_err(|error| placed(item.py(), error, "records", place))?;
        rows.push(row);
    }
    Ok(rows)
}

fn record_from_python(object: &Bound<'_, PyAny>, defaults: WriteFields) -> PyResult<WriteRow> {
    const SHAPE: &str = "a record is (key, bins) or (key, bins, meta)";
    let items = items_of(object, SHAPE)?;
    let (key, bins, meta) = match items.as_slice() {
        [key, bins] => (key, bins, None),
        [key, bins, meta] => (key, bins, Some(meta)),
        items => {
            return Err(invalid_argument(format!(
                "{SHAPE}, not {} items",
                items.len()
            )))
        }
    };
    let fields = WriteFields::of_meta(&Options::new(meta, "meta")?)?.or(defaults);
    Ok(WriteRow {
        key: key_from_python(key)?,
        bins: bins_from_python(bins)?,
        policy: fields.batch_write_policy(),
    })
}

/// The keys of a batch remove: bare keys, or `(key, meta)`.
pub fn removals_from_python(
    object: &Bound<'_, PyAny>,
    policy: &Options<'_, '_>,
) -> PyResult<Vec<(Key, BatchDeletePolicy)>> {
    let items = items_of(object, "keys must be a list of keys or (key, meta)")?;
    let defaults = WriteFields::of_policy(policy)?;
    let mut rows = Vec::with_capacity(items.len());
    for (place, item) in items.as_slice().iter().enumerate() {
        let row = removal_from_python(item, defaults)
            .map_err(|error| placed(item.py(), error, "keys", place))?;
        rows.push(row);
    }
    Ok(rows)
}

fn removal_from_python(
    object: &Bound<'_, PyAny>,
    defaults: WriteFields,
) -> PyResult<(Key, BatchDeletePolicy)> {
    if let Ok(pair) = object.cast::<PyTuple>() {
        if let [key, meta] = pair.as_slice() {
            let fields = WriteFields::of_meta(&Options::new(Some(meta), "meta")?)?.or(defaults);
            return Ok((key_from_python(key)?, fields.batch_delete_policy()));
        }
    }
    Ok((key_from_python(object)?, defaults.batch_delete_policy()))
}

fn items_of<'py>(object: &Bound<'py, PyAny>, shape: &str) -> PyResult<Bound<'py, PyTuple>> {
    if let Ok(list) = object.cast::<PyList>() {
        return Ok(list.to_tuple());
    }
    if let Ok(tuple) = object.cast::<PyTuple>() {
        return Ok(tuple.clone());
    }
    Err(PyTypeError::new_err(format!(
        "{shape}, not {}",
        type_name(object)
    )))
}

/// Says which item of the list an error is about, in a note that does not change its type.
fn placed(py: Python<'_>, error: PyErr, list: &str, place: usize) -> PyErr {
    let message = format!("{list}[{place}]: {}", error.value(py));
    let value = error.value(py);
    match value.setattr("args", (message,)) {
        Ok(()) => error,
        Err(refused) => refused,
    }
}
