//! Records into Python objects.

use aerospike_core::{IndexMap, Key, Record, Value};
use aerospike_rt::replies::KeptRecord;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt, PyList};

use crate::convert::kept::{kept_bins_into_python, BinsIntoPython};
use crate::convert::key::key_into_python;
use crate::convert::names::name_into_python;
use crate::convert::result_types::{named_tuple, result_types};
use crate::convert::value_out::value_into_python;
use crate::ops::request::{ttl_seconds, Rows};

/// The bins of a record as a dictionary.
pub fn bins_into_python<'py>(
    py: Python<'py>,
    bins: &IndexMap<String, Value>,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in bins {
        dict.set_item(name_into_python(py, name), value_into_python(py, value)?)?;
    }
    Ok(dict)
}

/// Generation and time to live.
pub fn metadata_into_python<'py>(py: Python<'py>, record: &Record) -> PyResult<Bound<'py, PyAny>> {
    let fields = [
        PyInt::new(py, record.generation).into_any(),
        PyInt::new(py, ttl_seconds(record)).into_any(),
    ];
    named_tuple(py, &result_types(py)?.record_metadata, fields)
}

/// A record under the key it was asked for; the record's own key, if it brought one, goes first.
pub fn record_into_python<'py>(
    py: Python<'py>,
    key: &Key,
    record: &Record,
    kept: Option<&KeptRecord>,
) -> PyResult<Bound<'py, PyAny>> {
    let key = key_into_python(py, record.key.as_ref().unwrap_or(key))?;
    let bins = match kept {
        Some(kept) => kept_bins_into_python(py, kept.bins())?,
        None => bins_into_python(py, &record.bins)?,
    };
    record_with_key(py, key, record, bins)
}

fn record_with_key<'py>(
    py: Python<'py>,
    key: Bound<'py, PyAny>,
    record: &Record,
    bins: Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyAny>> {
    let fields = [key, metadata_into_python(py, record)?, bins.into_any()];
    named_tuple(py, &result_types(py)?.record, fields)
}

/// A row of a batch; rows that follow each other share `converter`.
pub fn batch_record_into_python<'py, 'a>(
    py: Python<'py>,
    rows: &'a Rows,
    place: usize,
    converter: &mut BinsIntoPython<'py, 'a>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Some(row) = rows.records.get(place) else {
        return Ok(None);
    };
    let key = key_into_python(py, &row.key)?;
    let record = match &row.record {
        Some(record) => {
            let bins = converter.convert(rows.bins_beside_errors(place, record))?;
            record_with_key(py, key.clone(), record, bins)?
        }
        None => py.None().into_bound(py),
    };
    let fields = [
        key,
        PyInt::new(py, rows.code(row)).into_any(),
        record,
        PyBool::new(py, rows.in_doubt(place)).to_owned().into_any(),
    ];
    named_tuple(py, &result_types(py)?.batch_record, fields).map(Some)
}

/// All rows of a batch, in request order.
pub fn batch_records_into_python<'py>(
    py: Python<'py>,
    rows: &Rows,
) -> PyResult<Bound<'py, PyList>> {
    let mut converter = BinsIntoPython::new(py);
    let mut list = Vec::with_capacity(rows.records.len());
    for place in 0..rows.records.len() {
        list.extend(batch_record_into_python(py, rows, place, &mut converter)?);
    }
    PyList::new(py, list)
}
