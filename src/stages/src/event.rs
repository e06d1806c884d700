//! What the runtime crate and the lanes report. The recorder gives the events their meaning.

/// Something that happened inside an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The operation, or one of its tracks, is polled for the first time.
    FirstPoll,
    /// The driver checked a pooled connection for life: it is checked out now.
    Probe,
    /// A deadline is about to be armed, polled or disarmed.
    TimerBegin,
    /// The call on the deadline returned.
    TimerEnd,
    /// A deadline passed: the driver gives up on the current wait.
    DeadlinePassed,
    /// A write call starts.
    WriteBegin,
    /// A write call returned; `complete` when the kernel took the last byte.
    WriteEnd {
        /// Bytes the kernel accepted.
        bytes: usize,
        /// Whether that was all of the buffer.
        complete: bool,
    },
    /// A write would block.
    WritePending,
    /// A read would block; `replied` when a part of this reply has already arrived.
    ReadPending {
        /// Whether a byte of this reply has been read.
        replied: bool,
    },
    /// What is about to be read had arrived: since then it has waited for the thread.
    Arrived,
    /// A read call that returned data had started.
    ReadBegin,
    /// It returned.
    ReadEnd {
        /// Bytes read.
        bytes: usize,
    },
    /// A read or write failed, or the peer closed the connection.
    StreamFailed,
    /// A connection was dropped while the operation ran.
    StreamDropped,
    /// A pacing sleep waits.
    PacingPending,
    /// A pacing sleep is over.
    PacingEnd,
    /// A task was spawned: from here on the tasks, not their parent, are the critical path.
    Spawned,
    /// A spawned task that the operation waits for has not finished.
    JoinPending,
    /// It has.
    JoinReady,
}

/// An event with its time, for tests of the event contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamped {
    /// What happened.
    pub event: Event,
    /// When, in nanoseconds on the recorder's clock.
    pub at: u64,
}
