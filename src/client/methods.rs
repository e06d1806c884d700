//! The operations as Python sees them: names, arguments and defaults, the same for both clients.

/// Writes the operation methods of a client class; `$class::call` drives them.
macro_rules! operation_methods {
    ($class:ident) => {
        const _: () = {
            use aerospike_stages::Operation;
            use pyo3::prelude::*;
            use pyo3::types::PyAny;

            use crate::convert::arguments;

            type Argument<'a, 'py> = &'a Bound<'py, PyAny>;
            type Optional<'a, 'py> = Option<&'a Bound<'py, PyAny>>;

            #[pymethods]
            impl $class {
                #[pyo3(signature = (command, policy=None))]
                fn info_all(
                    slf: &Bound<'_, Self>,
                    command: Argument<'_, '_>,
                    policy: Optional<'_, '_>,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::InfoAll, || {
                        arguments::info_all(command, policy)
                    })
                }

                #[pyo3(signature = (command, policy=None))]
                fn info_random_node(
                    slf: &Bound<'_, Self>,
                    command: Argument<'_, '_>,
                    policy: Optional<'_, '_>,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::InfoRandomNode, || {
                        arguments::info_random_node(command, policy)
                    })
                }

                #[pyo3(signature = (key, bins, meta=None, policy=None))]
                fn put(
                    slf: &Bound<'_, Self>,
                    key: Argument<'_, '_>,
                    bins: Argument<'_, '_>,
                    meta: Optional<'_, '_>,
                    policy: Optional<'_, '_>,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::Put, || {
                        arguments::put(key, bins, meta, policy)
                    })
                }

                #[pyo3(signature = (key, policy=None))]
                fn get(
                    slf: &Bound<'_, Self>,
                    key: Argument<'_, '_>,
                    policy: Optional<'_, '_>,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::Get, || arguments::get(key, policy))
                }

                #[pyo3(signature = (key, bins, policy=None))]
                fn select(
                    slf: &Bound<'_, Self>,
                    key: Argument<'_, '_>,
                    bins: Argument<'_, '_>,
                    policy: Optional<'_, '_>,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::Select, || {
                        arguments::select(key, bins, policy)
                    })
                }

                #[pyo3(signature = (key, policy=None))]
                fn exists(
                    slf: &Bound<'_, Self>,
                    key: Argument<'_, '_>,
                    policy: Optional<'_, '_>,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::Exists, || arguments::exists(key, policy))
                }

                #[pyo3(signature = (key, meta=None, policy=None))]
                fn remove(
                    slf: &Bound<'_, Self>,
                    key: Argument<'_, '_>,
                    meta: Optional<'_, '_>,
                    policy: Optional<'_, '_>,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::Remove, || {
                        arguments::remove(key, meta, policy)
                    })
                }

                #[pyo3(signature = (key, val=0, meta=None, policy=None))]
                fn touch(
                    slf: &Bound<'_, Self>,
                    key: Argument<'_, '_>,
                    val: i64,
                    meta: Optional<'_, '_>,
                    policy: Optional<'_, '_>,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::Touch, || {
                        arguments::touch(key, val, meta, policy)
                    })
                }

                #[pyo3(signature = (key, bin, val, meta=None, policy=None))]
                fn append(
                    slf: &Bound<'_, Self>,
                    key: Argument<'_, '_>,
                    bin: Argument<'_, '_>,
                    val: Argument<'_, '_>,
                    meta: Optional<'_, '_>,
                    policy: Optional<'_, '_>,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::Append, || {
                        arguments::append(key, bin, val, meta, policy)
                    })
                }

                #[pyo3(signature = (key, bin, val, meta=None, policy=None))]
                fn prepend(
                    slf: &Bound<'_, Self>,
                    key: Argument<'_, '_>,
                    bin: Argument<'_, '_>,
                    val: Argument<'_, '_>,
                    meta: Optional<'_, '_>,
                    policy: Optional<'_, '_>,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::Prepend, || {
                        arguments::prepend(key, bin, val, meta, policy)
                    })
                }

                #[pyo3(signature = (key, bin, offset, meta=None, policy=None))]
                fn increment(
                    slf: &Bound<'_, Self>,
                    key: Argument<'_, '_>,
                    bin: Argument<'_, '_>,
                    offset: Argument<'_, '_>,
                    meta: Optional<'_, '_>,
                    policy: Optional<'_, '_>,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::Increment, || {
                        arguments::increment(key, bin, offset, meta, policy)
                    })
                }

                #[pyo3(signature = (key, bin_names, meta=None, policy=None))]
                fn remove_bin(
                    slf: &Bound<'_, Self>,
                    key: Argument<'_, '_>,
                    bin_names: Argument<'_, '_>,
                    meta: Optional<'_, '_>,
                    policy: Optional<'_, '_>,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::RemoveBin, || {
                        arguments::remove_bin(key, bin_names, meta, policy)
                    })
                }

                #[pyo3(signature = (key, ops, meta=None, policy=None))]
                fn operate(
                    slf: &Bound<'_, Self>,
                    key: Argument<'_, '_>,
                    ops: Argument<'_, '_>,
                    meta: Optional<'_, '_>,
                    policy: Optional<'_, '_>,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::Operate, || {
                        arguments::operate(key, ops, meta, policy)
                    })
                }

                #[pyo3(signature = (key, ops, meta=None, policy=None))]
                fn operate_ordered(
                    slf: &Bound<'_, Self>,
                    key: Argument<'_, '_>,
                    ops: Argument<'_, '_>,
                    meta: Optional<'_, '_>,
                    policy: Optional<'_, '_>,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::OperateOrdered, || {
                        arguments::operate_ordered(key, ops, meta, policy)
                    })
                }

                #[pyo3(signature = (keys, bins=None, policy=None))]
                fn batch_read(
                    slf: &Bound<'_, Self>,
                    keys: Argument<'_, '_>,
                    bins: Optional<'_, '_>,
                    policy: Optional<'_, '_>,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::BatchRead, || {
                        arguments::batch_read(keys, bins, policy)
                    })
                }

                #[pyo3(signature = (records, policy=None, retry=0))]
                fn batch_write(
                    slf: &Bound<'_, Self>,
                    records: Argument<'_, '_>,
                    policy: Optional<'_, '_>,
                    retry: i64,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::BatchWrite, || {
                        arguments::batch_write(records, policy, retry)
                    })
                }

                #[pyo3(signature = (data, namespace, set_name, _dtype, key_field="_key", policy=None, retry=0))]
                #[expect(clippy::too_many_arguments, reason = "the signature that users know")]
                fn batch_write_numpy(
                    slf: &Bound<'_, Self>,
                    data: Argument<'_, '_>,
                    namespace: Argument<'_, '_>,
                    set_name: Argument<'_, '_>,
                    _dtype: Argument<'_, '_>,
                    key_field: &str,
                    policy: Optional<'_, '_>,
                    retry: i64,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::BatchWriteNumpy, || {
                        arguments::batch_write_numpy(
                            data, namespace, set_name, _dtype, key_field, policy, retry,
                        )
                    })
                }

                #[pyo3(signature = (keys, ops, policy=None))]
                fn batch_operate(
                    slf: &Bound<'_, Self>,
                    keys: Argument<'_, '_>,
                    ops: Argument<'_, '_>,
                    policy: Optional<'_, '_>,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::BatchOperate, || {
                        arguments::batch_operate(keys, ops, policy)
                    })
                }

                #[pyo3(signature = (keys, policy=None))]
                fn batch_remove(
                    slf: &Bound<'_, Self>,
                    keys: Argument<'_, '_>,
                    policy: Optional<'_, '_>,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::BatchRemove, || {
                        arguments::batch_remove(keys, policy)
                    })
                }

                #[pyo3(signature = (namespace, set_name, nanos=0, policy=None))]
                fn truncate(
                    slf: &Bound<'_, Self>,
                    namespace: Argument<'_, '_>,
                    set_name: Argument<'_, '_>,
                    nanos: i64,
                    policy: Optional<'_, '_>,
                ) -> PyResult<Py<PyAny>> {
                    Self::call(slf, Operation::Truncate, || {
                        arguments::truncate(namespace, set_name, nanos, policy)
                    })
                }
            }
        };
    };
}

pub(super) use operation_methods;
