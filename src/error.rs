//! The one error type that operations end with, and what it means: which class of failure, which
//! code, in doubt or not, and a message that says what to check. Nothing here knows Python;
//! `exceptions` turns the verdict into an exception.

use std::fmt;
use std::fmt::Write as _;

use aerospike_core::{ErrorKind, Key, ResultCode, Value};
use aerospike_stages::Outcome;

/// The code of failures that no server answered.
pub const NO_SERVER_CODE: i32 = -1;
/// The server's code for time-outs, which batch rows have for those of the client as well.
pub const TIMEOUT_CODE: i32 = 9;
/// The code of a batch row whose connection failed.
const CONNECTION_CODE: i32 = -10;
/// The code of a batch row for which no connection was free.
const NO_MORE_CONNECTIONS_CODE: i32 = -7;
/// What the driver reports when its attempts are used up; the reason is the cause.
const MAX_RETRIES_EXCEEDED: i32 = -11;
/// Longest part of a user key that a message shows.
const SHOWN_KEY_CHARS: usize = 64;

/// Why an operation has no result.
#[derive(Debug)]
pub enum Fault {
    /// The driver failed, or the server answered with an error code.
    Driver {
        /// What the driver says.
        error: aerospike_core::Error,
        /// What the operation was about.
        about: Option<Box<About>>,
    },
    /// None of the seed hosts could be used.
    Connect {
        /// The hosts that were tried, as `host:port`.
        hosts: Vec<String>,
        /// What the driver says.
        error: aerospike_core::Error,
    },
    /// The client has not been connected yet.
    NotConnected,
    /// No node is known to be up.
    NoNode,
    /// The client has been closed.
    Closed,
    /// There was no record to remove.
    NotFound {
        /// Which one.
        record: String,
    },
    /// Too many operations were in flight for too long.
    Backpressure {
        /// How many may be in flight.
        limit: usize,
        /// How long this one waited.
        waited_ms: u64,
    },
    /// An argument cannot be used.
    Argument(String),
    /// The client cannot do it in its present state.
    Client(String),
    /// The caller stopped waiting.
    Cancelled,
    /// Native code panicked.
    Panicked(String),
    /// Something that should not happen did.
    Internal(String),
}

/// What a driver error was about, for its message.
#[derive(Debug, Default)]
pub struct About {
    record: Option<String>,
    namespace: String,
    known_namespaces: Vec<String>,
}

/// Which exception a fault becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Configuration, state of the client, or a reply that makes no sense.
    Client,
    /// Too many operations in flight.
    Backpressure,
    /// A bug in native code.
    Panic,
    /// An argument that cannot be used.
    InvalidArgument,
    /// Nodes cannot be reached.
    Cluster,
    /// A deadline passed.
    Timeout,
    /// Code 2.
    RecordNotFound,
    /// Code 3.
    RecordGeneration,
    /// Code 5.
    RecordExists,
    /// Code 6.
    BinExists,
    /// Code 12.
    BinType,
    /// Code 13.
    RecordTooBig,
    /// Code 17.
    BinNotFound,
    /// Code 21.
    BinName,
    /// Code 27.
    FilteredOut,
    /// Another code about one record.
    Record,
    /// Code 200.
    IndexFound,
    /// Code 201.
    IndexNotFound,
    /// Another code about indexes.
    Index,
    /// Codes 15 and 210.
    QueryAborted,
    /// Another code about queries.
    Query,
    /// Codes of authentication and authorisation.
    Admin,
    /// Code 100.
    Udf,
    /// Every other code.
    Server,
}

/// A fault, judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Which exception.
    pub kind: Kind,
    /// The server's code, or [`NO_SERVER_CODE`].
    pub code: i32,
    /// Whether a write may have been applied all the same.
    pub in_doubt: bool,
    /// What happened and what to check.
    pub message: String,
}

impl Fault {
    /// A driver error that is not about one record.
    pub fn driver(error: aerospike_core::Error) -> Self {
        Fault::Driver { error, about: None }
    }

    /// An argument that cannot be used.
    pub fn argument(message: impl Into<String>) -> Self {
        Fault::Argument(message.into())
    }

    /// Something the client cannot do in its present state.
    pub fn client(message: impl Into<String>) -> Self {
        Fault::Client(message.into())
    }

    /// Something that should not happen.
    pub fn internal(message: impl Into<String>) -> Self {
        Fault::Internal(message.into())
    }

    /// There was no record to remove; the driver does not count that as an error.
    pub fn not_found(key: &Key) -> Self {
        Fault::NotFound {
            record: describe(key),
        }
    }

    /// Names the record that the operation was about.
    #[must_use]
    pub fn about(mut self, key: &Key) -> Self {
        if let Fault::Driver { about, .. } = &mut self {
            let about = about.get_or_insert_default();
            about.record = Some(describe(key));
            about.namespace = key.namespace().to_owned();
        }
        self
    }

    /// Names the namespace that the operation was about.
    #[must_use]
    pub fn about_namespace(mut self, namespace: &str) -> Self {
        if let Fault::Driver { about, .. } = &mut self {
            about.get_or_insert_default().namespace = namespace.to_owned();
        }
        self
    }

    /// Says which namespaces there are, if the fault is that there is no such namespace.
    #[must_use]
    pub fn knowing_namespaces(mut self, known: &[String]) -> Self {
        if let Fault::Driver { error, about } = &mut self {
            if classify(error).1 == i32::from(u8::from(ResultCode::InvalidNamespace)) {
                about.get_or_insert_default().known_namespaces = known.to_vec();
            }
        }
        self
    }

    /// Which exception this becomes.
    pub fn kind(&self) -> Kind {
        match self {
            Fault::Driver { error, .. } => classify(error).0,
            Fault::Connect { error, .. } => match classify(error).0 {
                kind @ (Kind::Admin | Kind::InvalidArgument | Kind::Client) => kind,
                _ => Kind::Cluster,
            },
            Fault::NotFound { .. } => Kind::RecordNotFound,
            Fault::NoNode => Kind::Cluster,
            Fault::Backpressure { .. } => Kind::Backpressure,
            Fault::Argument(_) => Kind::InvalidArgument,
            Fault::Panicked(_) => Kind::Panic,
            Fault::NotConnected
            | Fault::Closed
            | Fault::Client(_)
            | Fault::Cancelled
            | Fault::Internal(_) => Kind::Client,
        }
    }

    /// The server's code, or [`NO_SERVER_CODE`].
    pub fn code(&self) -> i32 {
        match self {
            Fault::Driver { error, .. } | Fault::Connect { error, .. } => classify(error).1,
            Fault::NotFound { .. } => i32::from(u8::from(ResultCode::KeyNotFoundError)),
            _ => NO_SERVER_CODE,
        }
    }

    /// Whether a write may have been applied all the same.
    pub fn in_doubt(&self) -> bool {
        matches!(self, Fault::Driver { error, .. } if decisive(error).in_doubt())
    }

    /// How the operation counts in the records.
    pub fn outcome(&self) -> Outcome {
        if matches!(self, Fault::Cancelled) {
            return Outcome::Cancelled;
        }
        match self.kind() {
            Kind::RecordNotFound => Outcome::NotFound,
            Kind::Timeout if self.code() == NO_SERVER_CODE => Outcome::Timeout,
            Kind::Cluster => Outcome::Connection,
            Kind::Client | Kind::Backpressure | Kind::Panic | Kind::InvalidArgument => {
                Outcome::ClientError
            }
            _ => Outcome::ServerError,
        }
    }

    /// Whether another attempt may go better: the network or a busy server is to blame.
    pub fn is_transient(&self) -> bool {
        match self {
            Fault::Driver { error, .. } => {
                let (kind, code) = classify(error);
                matches!(kind, Kind::Cluster | Kind::Timeout)
                    || is_retryable(code)
                    || matches!(
                        decisive(error).kind(),
                        ErrorKind::NoMoreConnections | ErrorKind::ConnectionPoolEmpty
                    )
            }
            _ => false,
        }
    }

    /// Everything an exception needs.
    pub fn verdict(&self) -> Verdict {
        Verdict {
            kind: self.kind(),
            code: self.code(),
            in_doubt: self.in_doubt(),
            message: self.to_string(),
        }
    }
}

impl From<aerospike_core::Error> for Fault {
    fn from(error: aerospike_core::Error) -> Self {
        Fault::driver(error)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Driver { error, about } => write_driver(f, error, about.as_deref()),
            Fault::Connect { hosts, error } => write_connect(f, hosts, error),
            Fault::NotConnected => {
                f.write_str("the client is not connected: call connect() before using it")
            }
            Fault::NoNode => {
                f.write_str("no node of the cluster is up: check the cluster and the network")
            }
            Fault::Closed => {
                f.write_str("client is closed: make a new client and connect it to go on")
            }
            Fault::NotFound { record } => write!(f, "record not found: {record} (code 2)"),
            Fault::Backpressure { limit, waited_ms } => write!(
                f,
                "no slot became free within {waited_ms} ms: {limit} operations are in flight; send less at once, \
                 or raise max_concurrent_operations or operation_queue_timeout_ms"
            ),
            Fault::Argument(message) | Fault::Client(message) => f.write_str(message),
            Fault::Cancelled => f.write_str("the operation was cancelled"),
            Fault::Panicked(message) => {
                write!(f, "native code panicked, the operation did not complete: {message}")
            }
            Fault::Internal(message) => {
                write!(f, "internal error, please report it: {message}")
            }
        }
    }
}

impl std::error::Error for Fault {}

/// The code of a batch row that failed: the server's, or a negative one of the client's.
pub fn failure_code(error: &aerospike_core::Error) -> i32 {
    match decisive(error).kind() {
        ErrorKind::Timeout => TIMEOUT_CODE,
        ErrorKind::Connection | ErrorKind::Io(_) | ErrorKind::InvalidNode => CONNECTION_CODE,
        ErrorKind::NoMoreConnections | ErrorKind::ConnectionPoolEmpty => NO_MORE_CONNECTIONS_CODE,
        _ => classify(error).1,
    }
}

/// Whether a batch row that failed may have been written all the same.
///
/// The driver calls every write in doubt whose attempts are used up; a server that refused the only
/// attempt has left no doubt.
pub fn failure_in_doubt(error: &aerospike_core::Error) -> bool {
    decisive(error).in_doubt()
}

/// Whether a row with this code is worth another attempt.
pub fn is_retryable(code: i32) -> bool {
    const KEY_BUSY: i32 = 14;
    const DEVICE_OVERLOAD: i32 = 18;
    matches!(
        code,
        TIMEOUT_CODE | KEY_BUSY | DEVICE_OVERLOAD | CONNECTION_CODE | NO_MORE_CONNECTIONS_CODE
    )
}

/// The error that decides: what used up the attempts rather than that they are used up.
fn decisive(error: &aerospike_core::Error) -> &aerospike_core::Error {
    let wraps = error.result_code() == MAX_RETRIES_EXCEEDED
        || matches!(
            error.kind(),
            ErrorKind::Client | ErrorKind::StreamTerminated
        );
    match error.cause() {
        Some(cause) if wraps => decisive(cause),
        _ => error,
    }
}

fn classify(error: &aerospike_core::Error) -> (Kind, i32) {
    let error = decisive(error);
    match error.kind() {
        ErrorKind::Server { rc, .. } => {
            let code = u8::from(*rc);
            (kind_of_code(code), i32::from(code))
        }
        ErrorKind::Timeout => (Kind::Timeout, NO_SERVER_CODE),
        ErrorKind::InvalidNamespace if error.base_message().contains("map empty") => {
            (Kind::Cluster, NO_SERVER_CODE)
        }
        ErrorKind::InvalidNamespace => (
            Kind::Server,
            i32::from(u8::from(ResultCode::InvalidNamespace)),
        ),
        ErrorKind::InvalidArgument => (Kind::InvalidArgument, NO_SERVER_CODE),
        ErrorKind::UdfBadResponse => (Kind::Udf, i32::from(u8::from(ResultCode::UdfBadResponse))),
        ErrorKind::Connection
        | ErrorKind::Io(_)
        | ErrorKind::InvalidNode
        | ErrorKind::MaxErrorRate
        | ErrorKind::ParsePeers
        | ErrorKind::ParseAddr(_) => (Kind::Cluster, NO_SERVER_CODE),
        _ => (Kind::Client, NO_SERVER_CODE),
    }
}

/// Which exception a server code becomes.
pub fn kind_of_code(code: u8) -> Kind {
    match code {
        2 => Kind::RecordNotFound,
        3 => Kind::RecordGeneration,
        5 => Kind::RecordExists,
        6 => Kind::BinExists,
        9 | 212 => Kind::Timeout,
        12 => Kind::BinType,
        13 => Kind::RecordTooBig,
        15 | 210 => Kind::QueryAborted,
        17 => Kind::BinNotFound,
        21 => Kind::BinName,
        23 | 24 => Kind::Record,
        27 => Kind::FilteredOut,
        51..=56 | 60..=66 | 70..=75 | 80..=83 => Kind::Admin,
        100 => Kind::Udf,
        200 => Kind::IndexFound,
        201 => Kind::IndexNotFound,
        202..=206 => Kind::Index,
        211 | 213..=215 => Kind::Query,
        _ => Kind::Server,
    }
}

/// What to check when the server answers with this code.
fn advice(code: i32) -> Option<&'static str> {
    Some(match code {
        3 => "somebody else has written the record: read it again and retry",
        4 => "check the policy, the bins and the values against what this server supports",
        5 => "the policy only creates records: use another `exists` policy to overwrite",
        8 => "the server is out of memory or at its stop-writes limit",
        9 => "the server gave up: it is overloaded, or the time-outs of the policy are too short",
        11 => "the partition has no node at the moment: retry when the cluster has settled",
        12 => "the bin holds a value of a type that the operation does not work on",
        13 => "the namespace's max-record-size is the limit (1 MiB unless configured): write less, or split the record",
        14 => "too many operations on this one record at the same time: retry later, or spread the load over more keys",
        16 => "this server does not have the feature",
        18 => "the storage device cannot keep up: retry later, or write less at once",
        21 => "bin names have at most 15 bytes",
        22 => "the server does not allow this at the moment, for instance a default time to live without `nsup-period`",
        27 => "the filter expression excludes it",
        51 | 52 => "the server has no security enabled: connect without user and password",
        60 | 62 | 65 => "check user and password",
        80 => "the server wants a user and a password: give them to connect()",
        81 => "the user lacks the privilege for this",
        150 => "batches are disabled on this server (`batch-max-requests` or `batch-index-threads` is 0)",
        151 => "the batch has more keys than the server's `batch-max-requests` allows",
        152 => "the server's batch queues are full: retry later",
        _ => return None,
    })
}

fn write_driver(
    f: &mut fmt::Formatter<'_>,
    error: &aerospike_core::Error,
    about: Option<&About>,
) -> fmt::Result {
    let decider = decisive(error);
    let (kind, code) = classify(error);
    let record = about.and_then(|about| about.record.as_deref());
    match (kind, code) {
        (Kind::RecordNotFound, _) => f.write_str("record not found")?,
        (Kind::Server, 20) => write_unknown_namespace(f, decider, about)?,
        (Kind::Timeout, NO_SERVER_CODE) => write_timeout(f, error)?,
        (Kind::Cluster, _) => write!(
            f,
            "{}; check that the node is up and that the network lets this host reach it",
            plain(decider)
        )?,
        (Kind::Client, _) if is_pool_exhaustion(decider) => f.write_str(
            "no free connection to the node: raise max_conns_per_node, or send less at once",
        )?,
        _ => f.write_str(&plain(decider))?,
    }
    if let Some(record) = record {
        write!(f, ": {record}")?;
    }
    if let Some(advice) = advice(code) {
        write!(f, "; {advice}")?;
    }
    write_circumstances(f, error, code)
}

fn write_circumstances(
    f: &mut fmt::Formatter<'_>,
    error: &aerospike_core::Error,
    code: i32,
) -> fmt::Result {
    let mut notes = Vec::new();
    if code >= 0 {
        notes.push(format!("code {code}"));
    }
    if let Some(node) = error.node() {
        notes.push(format!("node {node}"));
    }
    if let Some(attempts) = error.iteration().filter(|&attempts| attempts > 1) {
        notes.push(format!("{attempts} attempts"));
    }
    if decisive(error).in_doubt() {
        notes.push("in doubt: the write may have been applied".to_owned());
    }
    if notes.is_empty() {
        return Ok(());
    }
    write!(f, " ({})", notes.join(", "))
}

fn write_unknown_namespace(
    f: &mut fmt::Formatter<'_>,
    decider: &aerospike_core::Error,
    about: Option<&About>,
) -> fmt::Result {
    let Some(about) = about.filter(|about| !about.namespace.is_empty()) else {
        return f.write_str(&plain(decider));
    };
    write!(
        f,
        "there is no namespace {:?} in this cluster",
        about.namespace
    )?;
    if about.known_namespaces.is_empty() {
        f.write_str("; check the name")
    } else {
        write!(
            f,
            ", which has: {}; check the name",
            about.known_namespaces.join(", ")
        )
    }
}

fn write_timeout(f: &mut fmt::Formatter<'_>, error: &aerospike_core::Error) -> fmt::Result {
    f.write_str("timed out")?;
    let mut cause = error.cause();
    let mut depth = 0;
    while let Some(error) = cause.filter(|_| depth < 8) {
        if is_pool_exhaustion(error) {
            return f.write_str(
                " waiting for a free connection; raise max_conns_per_node, or send less at once",
            );
        }
        if !matches!(error.kind(), ErrorKind::Timeout) {
            return write!(f, ", last failure: {}", plain(error));
        }
        cause = error.cause();
        depth += 1;
    }
    f.write_str(
        "; the server or the network is slow, or total_timeout and socket_timeout are too short",
    )
}

fn write_connect(
    f: &mut fmt::Formatter<'_>,
    hosts: &[String],
    error: &aerospike_core::Error,
) -> fmt::Result {
    let text = error.base_message();
    let reasons = seed_reasons(hosts, &text);
    if reasons.is_empty() {
        return f.write_str(&plain(error));
    }
    write!(f, "cannot connect to the cluster")?;
    for (host, reason) in reasons {
        write!(f, "\n  {host}: {reason}")?;
    }
    write!(f, "\n{}", connect_hint(&text))
}

/// What the driver says about each seed host, without its decoration. Its report has a line per
/// host, `host:port Error <code>...: <reason>`, and more lines if the reason or its cause has.
fn seed_reasons<'a>(hosts: &'a [String], report: &str) -> Vec<(&'a str, String)> {
    let mut reasons: Vec<(&str, String)> = Vec::new();
    for line in report.lines().map(str::trim) {
        let host = hosts.iter().find(|host| {
            line.strip_prefix(host.as_str())
                .is_some_and(|rest| rest.starts_with(' '))
        });
        let (host, part) = match (host, reasons.last()) {
            (Some(host), _) => (host.as_str(), undecorated(line[host.len()..].trim_start())),
            (None, Some((host, _))) => (
                *host,
                undecorated(line.strip_prefix("caused by: ").unwrap_or(line)),
            ),
            (None, None) => continue,
        };
        match reasons.iter_mut().find(|(known, _)| *known == host) {
            Some((_, reason)) if !reason.contains(part) => {
                reason.push_str("; ");
                reason.push_str(part);
            }
            Some(_) => {}
            None => reasons.push((host, part.to_owned())),
        }
    }
    reasons
}

fn undecorated(text: &str) -> &str {
    let text = match text
        .strip_prefix("Error ")
        .and_then(|rest| rest.split_once(": "))
    {
        Some((_, reason)) => reason,
        None => text,
    };
    ["Error during an I/O operation: ", "Client Timeout: "]
        .iter()
        .find_map(|prefix| text.strip_prefix(prefix))
        .unwrap_or(text)
        .trim_end_matches(',')
}

/// What to check, judged by what the operating system or the other side said.
fn connect_hint(text: &str) -> &'static str {
    let text = text.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&["refused"]) {
        "Nothing listens there: check host and port, and that the server is running."
    } else if says(&[
        "lookup",
        "resolve",
        "name or service",
        "nodename",
        "temporary failure in name",
    ]) {
        "The host name cannot be resolved: check its spelling and the name service."
    } else if says(&["cluster name", "cluster-name"]) {
        "The nodes belong to another cluster: check cluster_name in the configuration."
    } else if says(&["security not"]) {
        "The server has no security enabled: connect without user and password."
    } else if says(&[
        "authenticat",
        "password",
        "security",
        "credential",
        "invalid user",
    ]) {
        "The server refused the login: check user, password and auth_mode."
    } else if says(&["partition"]) {
        "The nodes answer but have no partition map yet: wait until the cluster has formed."
    } else if says(&["timed out", "timeout", "elapsed"]) {
        "Nothing answered in time: check host, port and firewall, that it is an Aerospike port, or raise timeout."
    } else {
        "Check that the port is an Aerospike service port (3000 by default) and that the server is healthy."
    }
}

fn is_pool_exhaustion(error: &aerospike_core::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NoMoreConnections | ErrorKind::ConnectionPoolEmpty
    )
}

/// The driver's own words without the decoration it puts around them.
fn plain(error: &aerospike_core::Error) -> String {
    let text = error.base_message();
    let text = text
        .strip_prefix("Unable to communicate with server cluster: ")
        .unwrap_or(&text);
    text.trim().to_owned()
}

/// A key as messages show it.
fn describe(key: &Key) -> String {
    let mut text = format!("({:?}, {:?}, ", key.namespace(), key.set_name());
    match key.user_key() {
        Some(Value::Int(number)) => text.push_str(&number.to_string()),
        Some(Value::String(name)) => text.push_str(&shortened(&format!("{name:?}"))),
        Some(Value::Blob(bytes)) => {
            text.push_str(&shortened(&format!("b\"{}\"", bytes.escape_ascii())));
        }
        _ => {
            text.push_str("digest ");
            for byte in key.digest() {
                // Writing to a string cannot fail.
                let _ = write!(text, "{byte:02x}");
            }
        }
    }
    text.push(')');
    text
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_KEY_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
