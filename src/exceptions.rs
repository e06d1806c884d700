//! The tree of Python exceptions and the one place where a fault becomes one of them.

use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyType};

use crate::error::{Fault, Kind, NO_SERVER_CODE};

macro_rules! exceptions {
    ($( $name:ident($base:ty) = $doc:literal; )*) => {
        $( pyo3::create_exception!(aerospike_py, $name, $base, $doc); )*

        fn register_plain(module: &Bound<'_, PyModule>) -> PyResult<()> {
            let py = module.py();
            $( module.add(stringify!($name), py.get_type::<$name>())?; )*
            Ok(())
        }
    };
}

exceptions! {
    AerospikeError(PyException) = "The base of all exceptions of this package.";
    ClientError(AerospikeError) = "The client cannot do it: wrong configuration, not connected, closed.";
    ServerError(AerospikeError) = "The server refused; `result_code` tells why.";
    RecordError(AerospikeError) = "Something about one record.";
    ClusterError(AerospikeError) = "The cluster, or the node that has the data, cannot be reached.";
    AerospikeTimeoutError(AerospikeError) = "A deadline passed, in the client or on the server.";
    BackpressureError(ClientError) = "Too many operations were in flight for too long.";
    RustPanicError(ClientError) = "Native code hit a bug; the process and other operations go on.";
    RecordNotFound(RecordError) = "There is no such record (code 2).";
    RecordGenerationError(RecordError) = "The record's generation is not the expected one (code 3).";
    RecordExistsError(RecordError) = "There is such a record already (code 5).";
    BinExistsError(RecordError) = "There is such a bin already (code 6).";
    BinTypeError(RecordError) = "The bin's type does not suit the operation (code 12).";
    RecordTooBig(RecordError) = "The record would exceed the server's limit (code 13).";
    BinNotFound(RecordError) = "There is no such bin (code 17).";
    FilteredOut(RecordError) = "The filter expression excludes the record (code 27).";
    AerospikeIndexError(ServerError) = "Something about a secondary index.";
    IndexFoundError(AerospikeIndexError) = "There is such an index already (code 200).";
    IndexNotFound(AerospikeIndexError) = "There is no such index (code 201).";
    QueryError(ServerError) = "A query failed.";
    QueryAbortedError(QueryError) = "The server ended a query before it was complete (code 210).";
    AdminError(ServerError) = "Authentication failed, or the user may not do this.";
    UDFError(ServerError) = "A user-defined function failed.";
}

/// `InvalidArgError` and `BinNameError` are also `ValueError`s: they are raised for arguments.
static INVALID_ARG_ERROR: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static BIN_NAME_ERROR: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// Makes a class that is also a `ValueError`, which the macro for exceptions cannot.
fn value_error_class<'py>(
    py: Python<'py>,
    cell: &PyOnceLock<Py<PyType>>,
    name: &str,
    doc: &str,
    base: Bound<'py, PyType>,
) -> PyResult<Bound<'py, PyType>> {
    let class = cell.get_or_try_init(py, || {
        let attributes = PyDict::new(py);
        attributes.set_item("__module__", "aerospike_py")?;
        attributes.set_item("__doc__", doc)?;
        let bases = (base, py.get_type::<PyValueError>());
        let class = py.get_type::<PyType>().call1((name, bases, attributes))?;
        PyResult::Ok(class.cast_into::<PyType>()?.unbind())
    })?;
    Ok(class.bind(py).clone())
}

fn invalid_arg_error(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    value_error_class(
        py,
        &INVALID_ARG_ERROR,
        "InvalidArgError",
        "An argument was refused as invalid.",
        py.get_type::<AerospikeError>(),
    )
}

fn bin_name_error(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    value_error_class(
        py,
        &BIN_NAME_ERROR,
        "BinNameError",
        "The name of a bin is too long (code 21).",
        py.get_type::<RecordError>(),
    )
}

/// Adds all exceptions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    register_plain(module)?;
    module.add("InvalidArgError", invalid_arg_error(py)?)?;
    module.add("BinNameError", bin_name_error(py)?)?;
    module.add("TimeoutError", py.get_type::<AerospikeTimeoutError>())?;
    module.add("IndexError", py.get_type::<AerospikeIndexError>())?;
    let base = py.get_type::<AerospikeError>();
    base.setattr("result_code", NO_SERVER_CODE)?;
    base.setattr("in_doubt", false)
}

fn class_of(py: Python<'_>, kind: Kind) -> PyResult<Bound<'_, PyType>> {
    Ok(match kind {
        Kind::Client => py.get_type::<ClientError>(),
        Kind::Backpressure => py.get_type::<BackpressureError>(),
        Kind::Panic => py.get_type::<RustPanicError>(),
        Kind::InvalidArgument => invalid_arg_error(py)?,
        Kind::Cluster => py.get_type::<ClusterError>(),
        Kind::Timeout => py.get_type::<AerospikeTimeoutError>(),
        Kind::RecordNotFound => py.get_type::<RecordNotFound>(),
        Kind::RecordGeneration => py.get_type::<RecordGenerationError>(),
        Kind::RecordExists => py.get_type::<RecordExistsError>(),
        Kind::BinExists => py.get_type::<BinExistsError>(),
        Kind::BinType => py.get_type::<BinTypeError>(),
        Kind::RecordTooBig => py.get_type::<RecordTooBig>(),
        Kind::BinNotFound => py.get_type::<BinNotFound>(),
        Kind::BinName => bin_name_error(py)?,
        Kind::FilteredOut => py.get_type::<FilteredOut>(),
        Kind::Record => py.get_type::<RecordError>(),
        Kind::IndexFound => py.get_type::<IndexFoundError>(),
        Kind::IndexNotFound => py.get_type::<IndexNotFound>(),
        Kind::Index => py.get_type::<AerospikeIndexError>(),
        Kind::QueryAborted => py.get_type::<QueryAbortedError>(),
        Kind::Query => py.get_type::<QueryError>(),
        Kind::Admin => py.get_type::<AdminError>(),
        Kind::Udf => py.get_type::<UDFError>(),
        Kind::Server => py.get_type::<ServerError>(),
    })
}

fn raised(py: Python<'_>, kind: Kind, code: i32, in_doubt: bool, message: &str) -> PyResult<PyErr> {
    let exception = class_of(py, kind)?.call1((message,))?;
    if code != NO_SERVER_CODE {
        exception.setattr(crate::interned::interned!(py, "result_code"), code)?;
    }
    if in_doubt {
        exception.setattr(crate::interned::interned!(py, "in_doubt"), true)?;
    }
    Ok(PyErr::from_value(exception))
}

impl From<Fault> for PyErr {
    fn from(fault: Fault) -> PyErr {
        let verdict = fault.verdict();
        Python::attach(|py| {
            raised(
                py,
                verdict.kind,
                verdict.code,
                verdict.in_doubt,
                &verdict.message,
            )
            .unwrap_or_else(|error| error)
        })
    }
}

/// The name of an exception's class, if it is one that arguments are refused with.
pub fn name_of(py: Python<'_>, error: &PyErr) -> &'static str {
    const OTHER: &str = "_OTHER";
    const REFUSALS: [&str; 6] = [
        Kind::InvalidArgument.exception(),
        Kind::BinName.exception(),
        Kind::Client.exception(),
        "TypeError",
        "ValueError",
        "OverflowError",
    ];
    let Ok(name) = error.get_type(py).name() else {
        return OTHER;
    };
    let name = name.to_string_lossy();
    REFUSALS
        .into_iter()
        .find(|known| *known == name)
        .unwrap_or(OTHER)
}

/// The exception for an argument whose value cannot be used.
pub fn invalid_argument(message: impl Into<String>) -> PyErr {
    Fault::argument(message).into()
}

/// The exception for a bin name that the server would refuse.
pub fn invalid_bin_name(message: &str) -> PyErr {
    const BIN_NAME_CODE: i32 = 21;
    Python::attach(|py| {
        raised(py, Kind::BinName, BIN_NAME_CODE, false, message).unwrap_or_else(|error| error)
    })
}
