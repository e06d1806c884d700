//! The operations as Python sees them: names, arguments and defaults, the same for both clients.

/// Writes the operation methods of a client class; `$class::call` drives them.
macro_rules! operation_methods {
    ($class:ident) => {
        const _: () = {
            use aerospike_stages::Operation;
            use pyo3::prelude::*;
            use pyo3::types::{PyAny, PyDict};

            use crate::convert::request;

            type Argument<'a, 'py> = &'a Bound<'py, PyAny>;
            type Options<'a, 'py> = Option<&'a Bound<'py, PyDict>>;

            #[pymethods]
            impl $class {
                #[pyo3(signature = (command, policy=None))]
                fn info_all(slf: &Bound<'_, Self>, command: String, policy: Options<'_, '_>) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::InfoAll, || request::info_all(command, policy))
                }

                #[pyo3(signature = (command, policy=None))]
                fn info_random_node(
                    slf: &Bound<'_, Self>,
                    command: String,
                    policy: Options<'_, '_>,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::InfoRandomNode, || request::info_random_node(command, policy))
                }

                #[pyo3(signature = (key, bins, meta=None, policy=None))]
                fn put(
                    slf: &Bound<'_, Self>,
                    key: Argument<'_, '_>,
                    bins: Argument<'_, '_>,
                    meta: Options<'_, '_>,
                    policy: Options<'_, '_>,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::Put, || request::put(key, bins, meta, policy))
                }

                #[pyo3(signature = (key, policy=None))]
                fn get(slf: &Bound<'_, Self>, key: Argument<'_, '_>, policy: Options<'_, '_>) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::Get, || request::get(key, policy))
                }

                #[pyo3(signature = (key, bins, policy=None))]
                fn select(
                    slf: &Bound<'_, Self>,
                    key: Argument<'_, '_>,
                    bins: Argument<'_, '_>,
                    policy: Options<'_, '_>,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::Select, || request::select(key, bins, policy))
                }

                #[pyo3(signature = (key, policy=None))]
                fn exists(slf: &Bound<'_, Self>, key: Argument<'_, '_>, policy: Options<'_, '_>) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::Exists, || request::exists(key, policy))
                }

                #[pyo3(signature = (key, meta=None, policy=None))]
                fn remove(
                    slf: &Bound<'_, Self>,
                    key: Argument<'_, '_>,
                    meta: Options<'_, '_>,
                    policy: Options<'_, '_>,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::Remove, || request::remove(key, meta, policy))
                }

                #[pyo3(signature = (key, val=0, meta=None, policy=None))]
                fn touch(
                    slf: &Bound<'_, Self>,
                    key: Argument<'_, '_>,
                    val: i64,
                    meta: Options<'_, '_>,
                    policy: Options<'_, '_>,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::Touch, || request::touch(key, val, meta, policy))
                }

                #[pyo3(signature = (key, bin, val, meta=None, policy=None))]
                fn append(
                    slf: &Bound<'_, Self>,
                    key: Argument<'_, '_>,
                    bin: &str,
                    val: Argument<'_, '_>,
                    meta: Options<'_, '_>,
                    policy: Options<'_, '_>,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::Append, || request::append(key, bin, val, meta, policy))
                }

                #[pyo3(signature = (key, bin, val, meta=None, policy=None))]
                fn prepend(
                    slf: &Bound<'_, Self>,
                    key: Argument<'_, '_>,
                    bin: &str,
                    val: Argument<'_, '_>,
                    meta: Options<'_, '_>,
                    policy: Options<'_, '_>,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::Prepend, || request::prepend(key, bin, val, meta, policy))
                }

                #[pyo3(signature = (key, bin, offset, meta=None, policy=None))]
                fn increment(
                    slf: &Bound<'_, Self>,
                    key: Argument<'_, '_>,
                    bin: &str,
                    offset: Argument<'_, '_>,
                    meta: Options<'_, '_>,
                    policy: Options<'_, '_>,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::Increment, || request::increment(key, bin, offset, meta, policy))
                }

                #[pyo3(signature = (key, bin_names, meta=None, policy=None))]
                fn remove_bin(
                    slf: &Bound<'_, Self>,
                    key: Argument<'_, '_>,
                    bin_names: Argument<'_, '_>,
                    meta: Options<'_, '_>,
                    policy: Options<'_, '_>,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::RemoveBin, || request::remove_bin(key, bin_names, meta, policy))
                }

                #[pyo3(signature = (key, ops, meta=None, policy=None))]
                fn operate(
                    slf: &Bound<'_, Self>,
                    key: Argument<'_, '_>,
                    ops: Argument<'_, '_>,
                    meta: Options<'_, '_>,
                    policy: Options<'_, '_>,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::Operate, || request::operate(key, ops, meta, policy))
                }

                #[pyo3(signature = (key, ops, meta=None, policy=None))]
                fn operate_ordered(
                    slf: &Bound<'_, Self>,
                    key: Argument<'_, '_>,
                    ops: Argument<'_, '_>,
                    meta: Options<'_, '_>,
                    policy: Options<'_, '_>,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::OperateOrdered, || request::operate_ordered(key, ops, meta, policy))
                }

                #[pyo3(signature = (keys, bins=None, policy=None))]
                fn batch_read(
                    slf: &Bound<'_, Self>,
                    keys: Argument<'_, '_>,
                    bins: Option<Argument<'_, '_>>,
                    policy: Options<'_, '_>,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::BatchRead, || request::batch_read(keys, bins, policy))
                }

                #[pyo3(signature = (records, policy=None, retry=0))]
                fn batch_write(
                    slf: &Bound<'_, Self>,
                    records: Argument<'_, '_>,
                    policy: Options<'_, '_>,
                    retry: u32,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::BatchWrite, || request::batch_write(records, policy, retry))
                }

                #[pyo3(signature = (keys, ops, policy=None))]
                fn batch_operate(
                    slf: &Bound<'_, Self>,
                    keys: Argument<'_, '_>,
                    ops: Argument<'_, '_>,
                    policy: Options<'_, '_>,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::BatchOperate, || request::batch_operate(keys, ops, policy))
                }

                #[pyo3(signature = (keys, policy=None))]
                fn batch_remove(
                    slf: &Bound<'_, Self>,
                    keys: Argument<'_, '_>,
                    policy: Options<'_, '_>,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::BatchRemove, || request::batch_remove(keys, policy))
                }

                #[pyo3(signature = (namespace, set_name, nanos=0, policy=None))]
                fn truncate(
                    slf: &Bound<'_, Self>,
                    namespace: String,
                    set_name: String,
                    nanos: i64,
                    policy: Options<'_, '_>,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::Truncate, || request::truncate(namespace, set_name, nanos, policy))
                }
            }
        };
    };
}

pub(super) use operation_methods;
