//! Replies into what the methods return.

use aerospike_core::{Key, Record, Value};
use aerospike_stages::Origin;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyInt, PyList, PyString};

use crate::convert::key::key_into_python;
use crate::convert::lazy_batch::LazyBatchRecords;
use crate::convert::names::name_into_python;
use crate::convert::record::{batch_records_into_python, metadata_into_python, record_into_python};
use crate::convert::result_types::{named_tuple, result_types};
use crate::convert::value_out::value_into_python;
use crate::ops::request::{NodeAnswer, Reply, RetryInfo, Rows};

/// Converts a reply; `origin` is the recorded operation that it belongs to.
pub fn reply_into_python(
    py: Python<'_>,
    reply: Reply,
    origin: Option<Origin>,
) -> PyResult<Py<PyAny>> {
    let object = match reply {
        Reply::Nothing => return Ok(py.None()),
        Reply::Record(reply) => {
            record_into_python(py, &reply.key, &reply.record, reply.kept.as_ref())?
        }
        Reply::Header(reply) => header_into_python(py, &reply.key, reply.record.as_ref())?,
        Reply::Ordered(reply) => {
            ordered_into_python(py, &reply.key, &reply.record, &reply.entries)?
        }
        Reply::BatchRead(rows) => Bound::new(py, LazyBatchRecords::new(rows, origin))?.into_any(),
        Reply::BatchWrite { rows, retry } => batch_write_into_python(py, &rows, retry)?,
        Reply::InfoAll(answers) => info_into_python(py, &answers)?,
        Reply::Text(text) => PyString::new(py, &text).into_any(),
        Reply::Flag(flag) => PyBool::new(py, flag).to_owned().into_any(),
    };
    Ok(object.unbind())
}

fn header_into_python<'py>(
    py: Python<'py>,
    key: &Key,
    record: Option<&Record>,
) -> PyResult<Bound<'py, PyAny>> {
    let metadata = match record {
        Some(record) => metadata_into_python(py, record)?,
        None => py.None().into_bound(py),
    };
    named_tuple(
        py,
        &result_types(py)?.exists_result,
        [key_into_python(py, key)?, metadata],
    )
}

fn ordered_into_python<'py>(
    py: Python<'py>,
    key: &Key,
    record: &Record,
    entries: &[(String, Value)],
) -> PyResult<Bound<'py, PyAny>> {
    let types = result_types(py)?;
    let list = PyList::empty(py);
    for (name, value) in entries {
        let fields = [
            name_into_python(py, name).into_any(),
            value_into_python(py, value)?,
        ];
        list.append(named_tuple(py, &types.bin_tuple, fields)?)?;
    }
    let fields = [
        key_into_python(py, key)?,
        metadata_into_python(py, record)?,
        list.into_any(),
    ];
    named_tuple(py, &types.operate_ordered_result, fields)
}

fn batch_write_into_python<'py>(
    py: Python<'py>,
    rows: &Rows,
    retry: RetryInfo,
) -> PyResult<Bound<'py, PyAny>> {
    let types = result_types(py)?;
    let list = batch_records_into_python(py, rows)?;
    let retry = [
        PyInt::new(py, retry.attempts).into_any(),
        PyInt::new(py, retry.max_attempts).into_any(),
        PyBool::new(py, retry.truncated_by_timeout)
            .to_owned()
            .into_any(),
        PyInt::new(py, retry.unresolved).into_any(),
    ];
    let retry = named_tuple(py, &types.batch_retry_info, retry)?;
    named_tuple(py, &types.batch_write_result, [list.into_any(), retry])
}

fn info_into_python<'py>(py: Python<'py>, answers: &[NodeAnswer]) -> PyResult<Bound<'py, PyAny>> {
    let types = result_types(py)?;
    let list = PyList::empty(py);
    for answer in answers {
        let fields = [
            PyString::new(py, &answer.name).into_any(),
            PyInt::new(py, answer.code).into_any(),
            PyString::new(py, &answer.response).into_any(),
        ];
        list.append(named_tuple(py, &types.info_node_result, fields)?)?;
    }
    Ok(list.into_any())
}
