//! The arguments of each method into its request.

use aerospike_core::{Bin, Bins, Expiration};
use pyo3::prelude::*;

use crate::convert::batch::{keys_from_python, records_from_python, removals_from_python};
use crate::convert::bins::{
    bins_from_python, checked_name, deleted_bins_from_python, names_from_python,
};
use crate::convert::key::{check_namespace, check_set, key_from_python, KeyTemplate};
use crate::convert::numpy_write::rows_from_array;
use crate::convert::operations::{number_from_python, steps_from_python, text_from_python};
use crate::convert::options::Options;
use crate::convert::policies::{
    admin_policy, batch_policy, batch_read_policy, checked_expiration, read_policy, write_policy,
    WriteFields,
};
use crate::convert::text::string;
use crate::exceptions::invalid_argument;
use crate::ops::request::{
    BatchOperateRequest, BatchReadRequest, BatchRemoveRequest, BatchWriteRequest, InfoRequest,
    KeyRequest, OperateRequest, ReadRequest, Request, TruncateRequest, WriteRequest,
};

type Object<'a, 'py> = &'a Bound<'py, PyAny>;
type Optional<'a, 'py> = Option<&'a Bound<'py, PyAny>>;

/// `get(key, policy)`
pub fn get(key: Object<'_, '_>, policy: Optional<'_, '_>) -> PyResult<Request> {
    Ok(Request::Get(Box::new(ReadRequest {
        key: key_from_python(key)?,
        bins: Bins::All,
        policy: read_policy(policy)?,
    })))
}

/// `select(key, bins, policy)`
pub fn select(
    key: Object<'_, '_>,
    bins: Object<'_, '_>,
    policy: Optional<'_, '_>,
) -> PyResult<Request> {
    let names = names_from_python(bins)?;
    Ok(Request::Select(Box::new(ReadRequest {
        key: key_from_python(key)?,
        bins: if names.is_empty() {
            Bins::None
        } else {
            Bins::Some(names)
        },
        policy: read_policy(policy)?,
    })))
}

/// `exists(key, policy)`
pub fn exists(key: Object<'_, '_>, policy: Optional<'_, '_>) -> PyResult<Request> {
    Ok(Request::Exists(Box::new(ReadRequest {
        key: key_from_python(key)?,
        bins: Bins::None,
        policy: read_policy(policy)?,
    })))
}

/// `put(key, bins, meta, policy)`
pub fn put(
    key: Object<'_, '_>,
    bins: Object<'_, '_>,
    meta: Optional<'_, '_>,
    policy: Optional<'_, '_>,
) -> PyResult<Request> {
    Ok(Request::Put(Box::new(WriteRequest {
        key: key_from_python(key)?,
        bins: bins_from_python(bins)?,
        policy: write_policy(meta, policy)?,
    })))
}

/// `remove_bin(key, bin_names, meta, policy)`
pub fn remove_bin(
    key: Object<'_, '_>,
    bin_names: Object<'_, '_>,
    meta: Optional<'_, '_>,
    policy: Optional<'_, '_>,
) -> PyResult<Request> {
    Ok(Request::RemoveBin(Box::new(WriteRequest {
        key: key_from_python(key)?,
        bins: deleted_bins_from_python(bin_names)?,
        policy: write_policy(meta, policy)?,
    })))
}

/// `remove(key, meta, policy)`
pub fn remove(
    key: Object<'_, '_>,
    meta: Optional<'_, '_>,
    policy: Optional<'_, '_>,
) -> PyResult<Request> {
    Ok(Request::Remove(Box::new(KeyRequest {
        key: key_from_python(key)?,
        policy: write_policy(meta, policy)?,
    })))
}

/// `touch(key, val, meta, policy)`; a `val` of zero leaves the time to live to meta and policy.
pub fn touch(
    key: Object<'_, '_>,
    val: i64,
    meta: Optional<'_, '_>,
    policy: Optional<'_, '_>,
) -> PyResult<Request> {
    let key = key_from_python(key)?;
    let mut policy = write_policy(meta, policy)?;
    if val != 0 {
        policy.expiration = checked_expiration(val, "val")?;
    }
    Ok(Request::Touch(Box::new(KeyRequest { key, policy })))
}

/// `append(key, bin, val, meta, policy)`
pub fn append(
    key: Object<'_, '_>,
    bin: Object<'_, '_>,
    val: Object<'_, '_>,
    meta: Optional<'_, '_>,
    policy: Optional<'_, '_>,
) -> PyResult<Request> {
    let key = key_from_python(key)?;
    let name = checked_name(string(bin, "bin")?)?;
    let value = text_from_python(Some(val), &name)?;
    let policy = write_policy(meta, policy)?;
    Ok(Request::Append(Box::new(WriteRequest {
        key,
        bins: vec![Bin { name, value }],
        policy,
    })))
}

/// `prepend(key, bin, val, meta, policy)`
pub fn prepend(
    key: Object<'_, '_>,
    bin: Object<'_, '_>,
    val: Object<'_, '_>,
    meta: Optional<'_, '_>,
    policy: Optional<'_, '_>,
) -> PyResult<Request> {
    match append(key, bin, val, meta, policy)? {
        Request::Append(request) => Ok(Request::Prepend(request)),
        other => Ok(other),
    }
}

/// `increment(key, bin, offset, meta, policy)`
pub fn increment(
    key: Object<'_, '_>,
    bin: Object<'_, '_>,
    offset: Object<'_, '_>,
    meta: Optional<'_, '_>,
    policy: Optional<'_, '_>,
) -> PyResult<Request> {
    let key = key_from_python(key)?;
    let name = checked_name(string(bin, "bin")?)?;
    let value = number_from_python(Some(offset), &name)?;
    let policy = write_policy(meta, policy)?;
    Ok(Request::Increment(Box::new(WriteRequest {
        key,
        bins: vec![Bin { name, value }],
        policy,
    })))
}

fn operate_request(
    key: Object<'_, '_>,
    ops: Object<'_, '_>,
    meta: Optional<'_, '_>,
    policy: Optional<'_, '_>,
) -> PyResult<OperateRequest> {
    let key = key_from_python(key)?;
    let steps = steps_from_python(ops)?;
    let mut policy = write_policy(meta, policy)?;
    if policy.expiration == Expiration::NamespaceDefault {
        policy.expiration = steps.expiration.unwrap_or(policy.expiration);
    }
    Ok(OperateRequest {
        key,
        steps: steps.operations,
        answers: steps.answers,
        policy,
    })
}

/// `operate(key, ops, meta, policy)`
pub fn operate(
    key: Object<'_, '_>,
    ops: Object<'_, '_>,
    meta: Optional<'_, '_>,
    policy: Optional<'_, '_>,
) -> PyResult<Request> {
    operate_request(key, ops, meta, policy).map(|request| Request::Operate(Box::new(request)))
}

/// `operate_ordered(key, ops, meta, policy)`
pub fn operate_ordered(
    key: Object<'_, '_>,
    ops: Object<'_, '_>,
    meta: Optional<'_, '_>,
    policy: Optional<'_, '_>,
) -> PyResult<Request> {
    operate_request(key, ops, meta, policy)
        .map(|request| Request::OperateOrdered(Box::new(request)))
}

/// `batch_read(keys, bins, policy)`; no bins at all means headers only.
pub fn batch_read(
    keys: Object<'_, '_>,
    bins: Optional<'_, '_>,
    policy: Optional<'_, '_>,
) -> PyResult<Request> {
    let bins = match bins.filter(|bins| !bins.is_none()) {
        None => Bins::All,
        Some(bins) => match names_from_python(bins)? {
            names if names.is_empty() => Bins::None,
            names => Bins::Some(names),
        },
    };
    let options = Options::new(policy, "policy")?;
    Ok(Request::BatchRead(Box::new(BatchReadRequest {
        keys: keys_from_python(keys)?,
        bins,
        read: batch_read_policy(&options)?,
        policy: batch_policy(&options, false)?,
    })))
}

/// `batch_write(records, policy, retry)`
pub fn batch_write(
    records: Object<'_, '_>,
    policy: Optional<'_, '_>,
    retry: i64,
) -> PyResult<Request> {
    let retry = retry_from_python(retry)?;
    let options = Options::new(policy, "policy")?;
    Ok(Request::BatchWrite(Box::new(BatchWriteRequest {
        rows: records_from_python(records, &options)?,
        policy: batch_policy(&options, true)?,
        retry,
    })))
}

fn retry_from_python(retry: i64) -> PyResult<u32> {
    u32::try_from(retry)
        .map_err(|_| invalid_argument(format!("retry must be from 0 to {}, not {retry}", u32::MAX)))
}

/// `batch_write_numpy(data, namespace, set_name, _dtype, key_field, policy, retry)`
pub fn batch_write_numpy(
    data: Object<'_, '_>,
    namespace: Object<'_, '_>,
    set_name: Object<'_, '_>,
    dtype: Object<'_, '_>,
    key_field: &str,
    policy: Optional<'_, '_>,
    retry: i64,
) -> PyResult<Request> {
    let retry = retry_from_python(retry)?;
    let options = Options::new(policy, "policy")?;
    let write = WriteFields::of_policy(&options)?.batch_write_policy();
    let template = KeyTemplate::from_python(namespace, set_name)?;
    Ok(Request::BatchWrite(Box::new(BatchWriteRequest {
        rows: rows_from_array(data, dtype, key_field, &template, &write)?,
        policy: batch_policy(&options, true)?,
        retry,
    })))
}

/// `batch_operate(keys, ops, policy)`
pub fn batch_operate(
    keys: Object<'_, '_>,
    ops: Object<'_, '_>,
    policy: Optional<'_, '_>,
) -> PyResult<Request> {
    let keys = keys_from_python(keys)?;
    let steps = steps_from_python(ops)?;
    let options = Options::new(policy, "policy")?;
    let mut write = WriteFields::of_policy(&options)?.batch_write_policy();
    if write.expiration == Expiration::NamespaceDefault {
        write.expiration = steps.expiration.unwrap_or(write.expiration);
    }
    Ok(Request::BatchOperate(Box::new(BatchOperateRequest {
        keys,
        steps: steps.operations,
        writes: steps.writes,
        write,
        read: batch_read_policy(&options)?,
        policy: batch_policy(&options, steps.writes)?,
    })))
}

/// `batch_remove(keys, policy)`
pub fn batch_remove(keys: Object<'_, '_>, policy: Optional<'_, '_>) -> PyResult<Request> {
    let options = Options::new(policy, "policy")?;
    Ok(Request::BatchRemove(Box::new(BatchRemoveRequest {
        rows: removals_from_python(keys, &options)?,
        policy: batch_policy(&options, true)?,
    })))
}

/// `truncate(namespace, set_name, nanos, policy)`
pub fn truncate(
    namespace: Object<'_, '_>,
    set_name: Object<'_, '_>,
    nanos: i64,
    policy: Optional<'_, '_>,
) -> PyResult<Request> {
    let namespace = string(namespace, "namespace")?;
    let set_name = string(set_name, "set_name")?;
    check_namespace(namespace)?;
    check_set(set_name)?;
    if nanos < 0 {
        return Err(invalid_argument(format!(
            "nanos must not be negative: {nanos}"
        )));
    }
    Ok(Request::Truncate(TruncateRequest {
        namespace: namespace.to_owned(),
        set: set_name.to_owned(),
        before_nanos: nanos,
        policy: admin_policy(policy)?,
    }))
}

fn info_request(command: Object<'_, '_>, policy: Optional<'_, '_>) -> PyResult<InfoRequest> {
    let command = string(command, "command")?;
    if command.is_empty() || command.contains('\n') {
        return Err(invalid_argument(
            "an info command is one line of text and not empty",
        ));
    }
    Ok(InfoRequest {
        command: command.to_owned(),
        policy: admin_policy(policy)?,
    })
}

/// `info_all(command, policy)`
pub fn info_all(command: Object<'_, '_>, policy: Optional<'_, '_>) -> PyResult<Request> {
    info_request(command, policy).map(Request::InfoAll)
}

/// `info_random_node(command, policy)`
pub fn info_random_node(command: Object<'_, '_>, policy: Optional<'_, '_>) -> PyResult<Request> {
    info_request(command, policy).map(Request::InfoRandomNode)
}
