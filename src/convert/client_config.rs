//! The configuration of a client.

use std::ffi::OsString;

use aerospike_core::{AuthMode, ClientPolicy, Host};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyInt, PyList, PyString, PyTuple};

use crate::convert::options::Options;
use crate::convert::text::utf8;
use crate::convert::value_in::type_name;
use crate::exceptions::invalid_argument;
use crate::ops::limiter::Limiter;

const DEFAULT_PORT: u16 = 3000;
const SHAPE: &str = "hosts must be a list of (host, port)";
const HOST_NAME: &str = "the name of a host";
/// Whether batch reads leave bins undecoded, for clients whose configuration does not say.
const RAW_REPLIES_VARIABLE: &str = "AEROSPIKE_PY_RAW_REPLIES";

/// What a client is made from.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Seed hosts.
    pub hosts: Vec<Host>,
    /// Everything else that the driver wants to know.
    pub policy: ClientPolicy,
    /// Backpressure.
    pub limiter: Limiter,
    /// Whether batch reads leave bins in the bytes of their replies until they are asked for.
    pub raw_replies: bool,
}

impl ClientConfig {
    /// Reads the configuration.
    pub fn from_python(config: &Bound<'_, PyAny>) -> PyResult<Self> {
        if config.is_none() {
            return Err(PyTypeError::new_err("config must be a dict, not None"));
        }
        let options = Options::new(Some(config), "config")?;
        let hosts = match options.get("hosts")? {
            Some(hosts) => hosts_from_python(&hosts)?,
            None => {
                return Err(invalid_argument(
                    "config must have an entry \"hosts\": the seed nodes",
                ))
            }
        };
        let policy = policy_from(&options)?;
        check_auth_mode(&options)?;
        let limiter = Limiter::new(
            options.count("max_concurrent_operations")?.unwrap_or(0),
            options
                .u32("operation_queue_timeout_ms")?
                .unwrap_or(0)
                .into(),
        );
        let raw_replies = match options.flag("raw_replies")? {
            Some(flag) => flag,
            None => raw_replies_from(std::env::var_os(RAW_REPLIES_VARIABLE))?,
        };
        let mut config = ClientConfig {
            hosts,
            policy,
            limiter,
            raw_replies,
        };
        let user = options.text("user")?;
        let password = options.text("password")?;
        config.authenticate(user, password)?;
        Ok(config)
    }

    /// The driver's policy for a connection as this user, or as the configured one.
    pub fn policy_for(
        &self,
        user: Option<String>,
        password: Option<String>,
    ) -> PyResult<ClientPolicy> {
        let mut config = self.clone();
        config.authenticate(user, password)?;
        Ok(config.policy)
    }

    fn authenticate(&mut self, user: Option<String>, password: Option<String>) -> PyResult<()> {
        let Some(user) = user else {
            return match password {
                None => Ok(()),
                Some(_) => Err(invalid_argument(
                    "there is a password, but no user to go with it",
                )),
            };
        };
        self.policy.auth_mode = AuthMode::Internal(user, password.unwrap_or_default());
        Ok(())
    }
}

fn raw_replies_from(variable: Option<OsString>) -> PyResult<bool> {
    let Some(value) = variable else {
        return Ok(true);
    };
    match value.to_string_lossy().trim().to_ascii_lowercase().as_str() {
        "" | "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err(invalid_argument(format!(
            "{RAW_REPLIES_VARIABLE} must be 1, true, yes or on, or 0, false, no or off, not {value:?}"
        ))),
    }
}

/// The other modes send secrets that only TLS keeps, and there is no TLS yet.
fn check_auth_mode(options: &Options<'_, '_>) -> PyResult<()> {
    let insecure = [None, Some("AUTH_EXTERNAL"), Some("AUTH_PKI")];
    match options.choice("auth_mode", &insecure)?.flatten() {
        None => Ok(()),
        Some(name) => Err(invalid_argument(format!(
            "config[\"auth_mode\"]: {name} needs TLS, which this version does not have; \
             use AUTH_INTERNAL with a user that the cluster itself knows"
        ))),
    }
}

fn policy_from(options: &Options<'_, '_>) -> PyResult<ClientPolicy> {
    let mut policy = ClientPolicy::default();
    if let Some(milliseconds) = options.u32("timeout")? {
        policy.timeout = milliseconds;
    }
    if let Some(milliseconds) = options.u32("idle_timeout")? {
        policy.idle_timeout = milliseconds;
    }
    if let Some(count) = options.count("max_conns_per_node")? {
        policy.max_conns_per_node = count;
    }
    if let Some(count) = options.count("min_conns_per_node")? {
        policy.min_conns_per_node = count;
    }
    if policy.min_conns_per_node > policy.max_conns_per_node {
        return Err(invalid_argument(format!(
            "config[\"min_conns_per_node\"] ({}) must not exceed max_conns_per_node ({})",
            policy.min_conns_per_node, policy.max_conns_per_node
        )));
    }
    if let Some(count) = options.int("conn_pools_per_node", 1, i64::from(u8::MAX))? {
        policy.conn_pools_per_node = u8::try_from(count).unwrap_or(u8::MAX);
    }
    let shortest = i64::from(aerospike_core::policy::TEND_INTERVAL_MIN_MS);
    if let Some(milliseconds) = options.int("tend_interval", shortest, i64::from(u32::MAX))? {
        policy.tend_interval = u32::try_from(milliseconds).unwrap_or(u32::MAX);
    }
    if let Some(flag) = options.flag("use_services_alternate")? {
        policy.use_services_alternate = flag;
    }
    policy.cluster_name = options.text("cluster_name")?;
    Ok(policy)
}

fn hosts_from_python(object: &Bound<'_, PyAny>) -> PyResult<Vec<Host>> {
    let items = match (object.cast::<PyList>(), object.cast::<PyTuple>()) {
        (Ok(list), _) => list.to_tuple(),
        (_, Ok(tuple)) => tuple.clone(),
        _ => {
            return Err(PyTypeError::new_err(format!(
                "{SHAPE}, not a {}",
                type_name(object)
            )))
        }
    };
    if items.is_empty() {
        return Err(invalid_argument(
            "config[\"hosts\"] must name at least one node",
        ));
    }
    items.as_slice().iter().map(host_from_python).collect()
}

fn host_from_python(object: &Bound<'_, PyAny>) -> PyResult<Host> {
    if let Ok(text) = object.cast::<PyString>() {
        return host_from_text(utf8(text, HOST_NAME)?);
    }
    let items = match (object.cast::<PyTuple>(), object.cast::<PyList>()) {
        (Ok(tuple), _) => tuple.clone(),
        (_, Ok(list)) => list.to_tuple(),
        _ => {
            return Err(PyTypeError::new_err(format!(
                "{SHAPE}, not of {}",
                type_name(object)
            )))
        }
    };
    let (name, port) = match items.as_slice() {
        [name] => (name, None),
        [name, port] => (name, Some(port)),
        items => {
            return Err(invalid_argument(format!(
                "{SHAPE}, not of {} items",
                items.len()
            )))
        }
    };
    let name = name.cast::<PyString>().map_err(|_| {
        PyTypeError::new_err(format!(
            "{HOST_NAME} must be a str, not {}",
            type_name(name)
        ))
    })?;
    let name = utf8(name, HOST_NAME)?;
    if name.trim().is_empty() {
        return Err(invalid_argument(format!("{HOST_NAME} must not be empty")));
    }
    let port = match port {
        None => DEFAULT_PORT,
        Some(port) => port_from_python(port, name)?,
    };
    Ok(Host::new(name.trim(), port))
}

fn port_from_python(object: &Bound<'_, PyAny>, host: &str) -> PyResult<u16> {
    if !object.is_instance_of::<PyInt>() || object.is_instance_of::<PyBool>() {
        return Err(PyTypeError::new_err(format!(
            "the port of host {host:?} must be an int, not {}",
            type_name(object)
        )));
    }
    match object.extract::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(invalid_argument(format!(
            "the port of host {host:?} must be from 1 to 65535, not {object}"
        ))),
    }
}

fn host_from_text(text: &str) -> PyResult<Host> {
    let text = text.trim();
    let wrong = || {
        invalid_argument(format!(
            "{text:?} is no host: write \"name\" or \"name:port\""
        ))
    };
    let (name, port) = match text.rsplit_once(':') {
        None => (text, DEFAULT_PORT),
        Some((name, port)) => (name, port.parse().map_err(|_| wrong())?),
    };
    if name.is_empty() || port == 0 {
        return Err(wrong());
    }
    Ok(Host::new(name, port))
}
