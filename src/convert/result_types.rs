//! The Python classes of results, looked up once, and a quick way to make instances of them.

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyTuple, PyType};

/// The named tuples of `aerospike_py.types`.
pub struct ResultTypes {
    /// `AerospikeKey`
    pub aerospike_key: Py<PyType>,
    /// `RecordMetadata`
    pub record_metadata: Py<PyType>,
    /// `Record`
    pub record: Py<PyType>,
    /// `ExistsResult`
    pub exists_result: Py<PyType>,
    /// `InfoNodeResult`
    pub info_node_result: Py<PyType>,
    /// `BinTuple`
    pub bin_tuple: Py<PyType>,
    /// `OperateOrderedResult`
    pub operate_ordered_result: Py<PyType>,
    /// `BatchRecord`
    pub batch_record: Py<PyType>,
    /// `BatchRetryInfo`
    pub batch_retry_info: Py<PyType>,
    /// `BatchWriteResult`
    pub batch_write_result: Py<PyType>,
}

static RESULT_TYPES: PyOnceLock<ResultTypes> = PyOnceLock::new();

/// The classes of results.
pub fn result_types(py: Python<'_>) -> PyResult<&'static ResultTypes> {
    if let Some(types) = RESULT_TYPES.get(py) {
        return Ok(types);
    }
    let module = py.import("aerospike_py.types")?;
    let class = |name: &str| -> PyResult<Py<PyType>> {
        let class = module.getattr(name)?.cast_into::<PyType>()?;
        if !class.is_subclass_of::<PyTuple>()? {
            return Err(PyTypeError::new_err(format!(
                "aerospike_py.types.{name} is not a tuple class"
            )));
        }
        Ok(class.unbind())
    };
    let types = ResultTypes {
        aerospike_key: class("AerospikeKey")?,
        record_metadata: class("RecordMetadata")?,
        record: class("Record")?,
        exists_result: class("ExistsResult")?,
        info_node_result: class("InfoNodeResult")?,
        bin_tuple: class("BinTuple")?,
        operate_ordered_result: class("OperateOrderedResult")?,
        batch_record: class("BatchRecord")?,
        batch_retry_info: class("BatchRetryInfo")?,
        batch_write_result: class("BatchWriteResult")?,
    };
    Ok(RESULT_TYPES.get_or_init(py, || types))
}

/// Makes a named tuple without going through its `__new__`, which is a Python function.
///
/// `class` must be a tuple class with as many fields as there are values.
pub fn named_tuple<'py, const N: usize>(
    py: Python<'py>,
    class: &Py<PyType>,
    values: [Bound<'py, PyAny>; N],
) -> PyResult<Bound<'py, PyAny>> {
    let arguments = PyTuple::new(py, [PyTuple::new(py, values)?])?;
    let class = class.bind(py).as_type_ptr();
    // SAFETY: reading a function pointer of a static type of the interpreter, which never changes.
    let Some(new) = (unsafe { (&raw const ffi::PyTuple_Type.tp_new).read() }) else {
        return Err(PyTypeError::new_err(
            "this interpreter's tuples cannot be subclassed",
        ));
    };
    // SAFETY: the interpreter is attached, `class` is a live subclass of tuple (checked when it was
    // looked up) and `arguments` a live tuple; this is what `tuple.__new__(class, values)` does.
    let made = unsafe { new(class, arguments.as_ptr(), std::ptr::null_mut()) };
    // SAFETY: a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(py, made) }
}
