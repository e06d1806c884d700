//! Truncation by text request.

use super::topology::named_namespace;
use super::Parameters;
use crate::server::Server;
use crate::store::clock::{now_millis, EPOCH_OFFSET};

/// Removes the records last written before `lut` (nanoseconds since the Unix epoch), or before now.
pub(super) fn truncate(server: &Server, name: &str, parameters: &Parameters<'_>) -> String {
    let namespace = match named_namespace(server, parameters.get("namespace")) {
        Ok(namespace) => namespace,
        Err(error) => return error,
    };
    let set = parameters.get("set");
    if name == "truncate" && set.is_none_or(str::is_empty) {
        return "ERROR:4:set missing".to_owned();
    }
    let before = match parameters.get("lut").map(str::parse::<u64>) {
        None | Some(Ok(0)) => None,
        Some(Ok(nanos)) => Some((nanos / 1_000_000).saturating_sub(EPOCH_OFFSET * 1000)),
        Some(Err(_)) => return "ERROR:4:bad lut".to_owned(),
    };
    if before.is_some_and(|before| before > now_millis()) {
        return "ERROR:4:lut is in the future".to_owned();
    }
    let set = set.filter(|_| name == "truncate").map(str::as_bytes);
    namespace.truncate(set, before);
    "ok".to_owned()
}
