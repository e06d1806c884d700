//! The words of faults: what happened, where, and what to check.

use std::fmt;
use std::fmt::Write as _;

use aerospike_core::{ErrorKind, Key, Value};

use super::codes::{classify, decisive};
use super::{About, Fault, Kind, Shortage, NO_SERVER_CODE};

/// Longest part of a user key that a message shows.
const SHOWN_KEY_CHARS: usize = 64;

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
        (Kind::Timeout, NO_SERVER_CODE) => return write_timeout(f, error, about),
        (Kind::RecordNotFound, _) => f.write_str("record not found")?,
        (Kind::Server, 20) => write_unknown_namespace(f, decider, about)?,
        (Kind::Cluster, _) if is_pool_exhaustion(decider) => {
            f.write_str(&missing_connection(about))?;
        }
        (Kind::Cluster, _) => write!(
            f,
            "{}; check that the node is up and that the network lets this host reach it",
            plain(decider)
        )?,
        (Kind::InvalidArgument, _) => write_invalid_argument(f, decider)?,
        _ => f.write_str(&plain(decider))?,
    }
    if let Some(record) = record {
        write!(f, ": {record}")?;
    }
    if let Some(advice) = advice(code) {
        write!(f, "; {advice}")?;
    }
    write_circumstances(f, error.node(), error, code)
}

fn write_circumstances(
    f: &mut fmt::Formatter<'_>,
    node: Option<&str>,
    error: &aerospike_core::Error,
    code: i32,
) -> fmt::Result {
    let mut notes = Vec::new();
    if code >= 0 {
        notes.push(format!("code {code}"));
    }
    if let Some(node) = node {
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

fn write_invalid_argument(
    f: &mut fmt::Formatter<'_>,
    decider: &aerospike_core::Error,
) -> fmt::Result {
    let text = plain(decider);
    match text.strip_prefix("Invalid size for buffer: ") {
        Some(bytes) => write!(
            f,
            "a message of {bytes} bytes is more than the client handles (128 MiB): \
             write less, split the record, or put fewer records into a batch"
        ),
        None => f.write_str(&text),
    }
}

fn write_timeout(
    f: &mut fmt::Formatter<'_>,
    error: &aerospike_core::Error,
    about: Option<&About>,
) -> fmt::Result {
    f.write_str("timed out")?;
    if let Some(record) = about.and_then(|about| about.record.as_deref()) {
        write!(f, ": {record}")?;
    }
    let shortage = about.and_then(|about| about.shortage.as_ref());
    match (shortage, last_failure(error)) {
        (Some(shortage), failure) => {
            write!(f, "; {}", shortage_text(shortage))?;
            if let Some(failure) = failure {
                write!(f, "; last failure: {}", plain(failure))?;
            }
        }
        (None, Some(failure)) if is_pool_exhaustion(failure) => {
            write!(f, "; {}", missing_connection(about))?;
        }
        (None, Some(failure)) => write!(f, "; last failure: {}", plain(failure))?,
        (None, None) => f.write_str(
            "; the server or the network is slow, or total_timeout and socket_timeout are too short",
        )?,
    }
    match shortage {
        None => write_circumstances(f, error.node(), error, NO_SERVER_CODE),
        Some(_) => write_circumstances(f, None, error, NO_SERVER_CODE),
    }
}

fn missing_connection(about: Option<&About>) -> String {
    match about.and_then(|about| about.shortage.as_ref()) {
        Some(shortage) => shortage_text(shortage),
        None => "no connection became free or could be opened: check that the node is up, \
                 raise max_conns_per_node, or send less at once"
            .to_owned(),
    }
}

fn shortage_text(shortage: &Shortage) -> String {
    const CHECK: &str = "check that the node is up and that the network lets this host reach it";
    match shortage {
        Shortage::Exhausted { node, limit } => format!(
            "no connection to node {node} became free: {limit} are in use or being opened, as many as \
             max_conns_per_node allows: raise it, or send less at once"
        ),
        Shortage::Unreachable { node } => {
            format!("no connection to node {node} could be opened: {CHECK}")
        }
        Shortage::Silent { node } => {
            format!("node {node} does not answer requests for its state either: {CHECK}")
        }
    }
}

/// What went wrong before the time was up, other than that it took too long.
fn last_failure(error: &aerospike_core::Error) -> Option<&aerospike_core::Error> {
    const DEEPEST: usize = 8;
    let causes = std::iter::successors(error.cause(), |error| error.cause()).take(DEEPEST);
    let earlier = error.sub_errors().iter().rev();
    causes
        .chain(earlier)
        .find(|error| !matches!(error.kind(), ErrorKind::Timeout))
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
pub(super) fn seed_reasons<'a>(hosts: &'a [String], report: &str) -> Vec<(&'a str, String)> {
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
pub(super) fn connect_hint(text: &str) -> &'static str {
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
    let text = [
        "Unable to communicate with server cluster: ",
        "Invalid argument: ",
    ]
    .iter()
    .find_map(|prefix| text.strip_prefix(prefix))
    .unwrap_or(&text);
    text.trim().to_owned()
}

/// A key as messages show it.
pub(super) fn describe(key: &Key) -> String {
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
