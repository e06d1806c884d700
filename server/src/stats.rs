//! What each node has seen, for tests to look at. Counting is relaxed and never waits.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::exec::kind::CommandKind;

/// A snapshot of one node's counters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeStats {
    /// Connections open now.
    pub connections_open: u64,
    /// Connections accepted since the start.
    pub connections_accepted: u64,
    /// Connections closed since the start, by either side.
    pub connections_closed: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Faults that took effect; one request may meet several.
    pub faults_fired: u64,
    /// Frames that could not be parsed; each closed its connection.
    pub malformed_frames: u64,
    /// Requests by kind; kinds never seen are absent and [`CommandKind::Any`] is never counted.
    pub commands: BTreeMap<CommandKind, u64>,
}

impl NodeStats {
    /// Requests of one kind; of all kinds for [`CommandKind::Any`].
    pub fn commands_of(&self, kind: CommandKind) -> u64 {
        match kind {
            CommandKind::Any => self.commands.values().sum(),
            kind => self.commands.get(&kind).copied().unwrap_or(0),
        }
    }
}

/// The live counters of a node.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) accepted: AtomicU64,
    pub(crate) closed: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) faults: AtomicU64,
    pub(crate) malformed: AtomicU64,
    commands: [AtomicU64; CommandKind::ALL.len()],
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, amount: usize) {
        counter.fetch_add(amount as u64, Ordering::Relaxed);
    }

    pub(crate) fn count_command(&self, kind: CommandKind) {
        self.commands[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> NodeStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        // Closed before accepted: a connection that comes and goes in between must not make the difference negative.
        let closed = read(&self.closed);
        let accepted = read(&self.accepted);
        let commands = CommandKind::ALL
            .into_iter()
            .map(|kind| (kind, read(&self.commands[kind as usize])))
            .filter(|&(_, count)| count > 0)
            .collect();
        NodeStats {
            connections_open: accepted.saturating_sub(closed),
            connections_accepted: accepted,
            connections_closed: closed,
            bytes_in: read(&self.bytes_in),
            bytes_out: read(&self.bytes_out),
            faults_fired: read(&self.faults),
            malformed_frames: read(&self.malformed),
            commands,
        }
    }
}
