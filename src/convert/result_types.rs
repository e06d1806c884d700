//! The Python classes of results, looked up once, and a quick way to make instances of them.

use std::mem::offset_of;

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
#[inline]
pub fn result_types(py: Python<'_>) -> PyResult<&'static ResultTypes> {
    match RESULT_TYPES.get(py) {
        Some(types) => Ok(types),
        None => look_up(py),
    }
}

#[cold]
fn look_up(py: Python<'_>) -> PyResult<&'static ResultTypes> {
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

/// Whether tuples remember their hash in front of their items, as they do from Python 3.14 on.
const HASH_IS_KEPT: bool = offset_of!(ffi::PyTupleObject, ob_item) > size_of::<ffi::PyVarObject>();
/// What is kept instead of a hash that is not known yet.
const NO_HASH: ffi::Py_hash_t = -1;

/// Makes a named tuple without going through its `__new__`, which is a Python function, and without
/// the tuples of arguments that `tuple.__new__` would take.
///
/// `class` must be a tuple class with as many fields as there are values.
pub fn named_tuple<'py, const N: usize>(
    py: Python<'py>,
    class: &Py<PyType>,
    values: [Bound<'py, PyAny>; N],
) -> PyResult<Bound<'py, PyAny>> {
    let size = ffi::Py_ssize_t::try_from(N)?;
    // SAFETY: the interpreter is attached and `class` a live class, whose instances this allocates as
    // `tuple.__new__` does; a new reference, or null with an exception set.
    let made = unsafe {
        let made = ffi::PyType_GenericAlloc(class.bind(py).as_type_ptr(), size);
        Bound::from_owned_ptr_or_err(py, made)?
    };
    // SAFETY: `class` is a subclass of tuple (checked when it was looked up), so this is a tuple, with
    // room for `N` items, all null so far. Nobody else has seen it, and the items take over the
    // references to the values. The word before the items is the hash where there is one.
    unsafe {
        let tuple = made.as_ptr().cast::<ffi::PyTupleObject>();
        let items = (&raw mut (*tuple).ob_item).cast::<*mut ffi::PyObject>();
        if HASH_IS_KEPT {
            items.cast::<ffi::Py_hash_t>().sub(1).write(NO_HASH);
        }
        for (place, value) in values.into_iter().enumerate() {
            items.add(place).write(value.into_ptr());
        }
    }
    Ok(made)
}
