//! The state machine that turns events into a partition of one operation's wall time.
//!
//! It never reads a clock: every method takes the time, so tests run on a virtual one.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::boundary::Boundary;
use crate::caller::Caller;
use crate::event::{Event, Stamped};
use crate::facts::Facts;
use crate::node::NodeId;
use crate::operation::{Lane, Operation, Outcome};
use crate::summary::Summary;
use crate::table::Stage;
use crate::timeline::{Segment, Timeline};
use crate::track::{overlay, Track, TrackSlot};

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A number for an operation, unique in this process.
#[must_use]
pub fn next_operation_id() -> u64 {
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

/// Which operation something belongs to that happens after its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The operation's number.
    pub id: u64,
    /// Which method.
    pub operation: Operation,
    /// Who drove it.
    pub lane: Lane,
}

/// How an operation ended, and how long it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// How it ended.
    pub outcome: Outcome,
    /// For anything but success: the stage it was in.
    pub failed_in: Option<Stage>,
    /// First nanosecond on the recorder's clock.
    pub start: u64,
    /// Wall time in nanoseconds.
    pub wall: u64,
    /// Connections checked out, over all tracks.
    pub attempts: u32,
}

/// When the thread of an event loop waited for the interpreter after its last look at what is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GilWait {
    /// The operating system had said what is ready.
    pub from: u64,
    /// The thread could run Python again.
    pub until: u64,
}

/// Records one operation, or one of its tracks.
#[derive(Debug)]
pub struct Recorder {
    id: u64,
    operation: Operation,
    lane: Lane,
    timeline: Timeline,
    node: NodeId,
    several_nodes: bool,
    /// The stage that explains why the current poll is going to end pending.
    waits_in: Option<Stage>,
    /// The stage to go back to when a timer call returns or the task is polled again.
    resume_to: Stage,
    /// The stage in which the attempt failed, until another attempt gets a connection.
    failed_in: Option<Stage>,
    attempts: u32,
    /// What is known besides times.
    pub facts: Facts,
    /// Who called, while somebody wants to know.
    pub caller: Option<Box<Caller>>,
    /// What only operations with several tasks have, and tests.
    extra: Option<Box<Extra>>,
}

/// Kept apart so that the recorder of an ordinary operation stays small.
#[derive(Debug, Default)]
struct Extra {
    tracks: Vec<Track>,
    /// Every task that was spawned, whether or not it is waited for.
    spawned: Vec<TrackSlot>,
    events: Option<Vec<Stamped>>,
    /// The operation's own segments, once it has been closed and if it had tracks.
    own: Vec<Segment>,
    /// Then its critical path, too: what begins when, and at last the end.
    path: Vec<Boundary>,
    /// What tracks of earlier operations were made of. They end on another thread than they begin on; memory that is
    /// taken on one and given back on another costs both.
    idle_timelines: Vec<Timeline>,
    idle_slots: Vec<TrackSlot>,
}

/// With more tracks, or segments, memory is not kept for the next operation.
const MOST_TRACKS_KEPT: usize = 16;
const MOST_SEGMENTS_KEPT: usize = 256;

impl Extra {
    /// Empty for another operation, if its memory is worth keeping.
    fn restart(mut self: Box<Self>) -> Option<Box<Self>> {
        let segments = self.own.capacity().max(self.path.capacity());
        let of_tracks = self.tracks.iter().map(|track| track.timeline.capacity());
        let small = self.tracks.capacity() <= MOST_TRACKS_KEPT
            && self.spawned.capacity() <= MOST_TRACKS_KEPT
            && of_tracks.fold(segments, usize::max) <= MOST_SEGMENTS_KEPT;
        if !small {
            return None;
        }
        let tracks = self.tracks.drain(..);
        self.idle_timelines
            .extend(tracks.map(|track| track.timeline));
        self.idle_timelines.truncate(MOST_TRACKS_KEPT);
        let slots = self.spawned.drain(..);
        self.idle_slots
            .extend(slots.filter_map(|mut slot| slot.restart().then_some(slot)));
        self.idle_slots.truncate(MOST_TRACKS_KEPT);
        self.events = None;
        Some(self)
    }

    /// A timeline for a track.
    fn timeline(&mut self, at: u64, stage: Stage) -> Timeline {
        match self.idle_timelines.pop() {
            Some(mut timeline) => {
                timeline.restart(at, stage);
                timeline
            }
            None => Timeline::start(at, stage),
        }
    }
}

/// What lies between the boundaries of an operation that started at `start`.
fn segments_of(path: &[Boundary], start: u64) -> impl Iterator<Item = Segment> + '_ {
    path.windows(2).map(move |pair| Segment {
        stage: pair[0].stage(),
        node: pair[0].node(),
        start: start + pair[0].since_start(),
        end: start + pair[1].since_start(),
    })
}

impl Recorder {
    /// Starts recording at the moment the method is entered.
    #[must_use]
    pub fn start(operation: Operation, lane: Lane, at: u64) -> Self {
        Self::with(
            next_operation_id(),
            operation,
            lane,
            Timeline::start(at, Stage::KeyParse),
        )
    }

    /// Starts over with another operation, keeping the memory.
    pub fn restart(&mut self, operation: Operation, lane: Lane, at: u64) {
        self.timeline.restart(at, Stage::KeyParse);
        self.id = next_operation_id();
        self.operation = operation;
        self.lane = lane;
        self.node = NodeId::NONE;
        self.several_nodes = false;
        self.waits_in = None;
        self.resume_to = Stage::PoolAcquire;
        self.failed_in = None;
        self.attempts = 0;
        self.facts = Facts::default();
        self.caller = None;
        self.extra = self.extra.take().and_then(Extra::restart);
    }

    /// Keeps the times of stages and not their order, until there is a track or a second node: for an operation
    /// that has just started.
    #[inline]
    pub fn keep_sums(&mut self) {
        self.timeline.keep_sums();
    }

    /// Keeps the order of stages from now on. What has been before is told stage by stage.
    pub fn keep_marks(&mut self) {
        self.timeline.keep_marks(self.node);
    }

    fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    /// Starts a track: a task that the operation spawned.
    #[must_use]
    pub fn start_track(&mut self, at: u64) -> Self {
        self.keep_marks();
        let timeline = self.extra().timeline(at, Stage::WakeDelay);
        let mut track = Self::with(self.id, self.operation, self.lane, timeline);
        if self
            .extra
            .as_ref()
            .is_some_and(|extra| extra.events.is_some())
        {
            track.keep_events();
        }
        track
    }

    fn with(id: u64, operation: Operation, lane: Lane, timeline: Timeline) -> Self {
        Recorder {
            id,
            operation,
            lane,
            timeline,
            node: NodeId::NONE,
            several_nodes: false,
            waits_in: None,
            resume_to: Stage::PoolAcquire,
            failed_in: None,
            attempts: 0,
            facts: Facts::default(),
            caller: None,
            extra: None,
        }
    }

    /// Makes the recorder keep every event, for tests of the event contract.
    pub fn keep_events(&mut self) {
        self.extra().events = Some(Vec::new());
    }

    /// The events kept so far.
    #[must_use]
    pub fn events(&self) -> &[Stamped] {
        self.extra
            .as_ref()
            .and_then(|extra| extra.events.as_deref())
            .unwrap_or_default()
    }

    /// Which operation this is.
    #[must_use]
    pub fn origin(&self) -> Origin {
        Origin {
            id: self.id,
            operation: self.operation,
            lane: self.lane,
        }
    }

    /// The stage that is running.
    #[inline]
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.timeline.stage()
    }

    /// Since when it has been running.
    #[inline]
    #[must_use]
    pub fn stage_began(&self) -> u64 {
        self.timeline.since()
    }

    /// The node the operation talks to.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// The tracks whose results the operation has taken.
    #[must_use]
    pub fn tracks(&self) -> &[Track] {
        self.extra
            .as_ref()
            .map_or(&[], |extra| extra.tracks.as_slice())
    }

    /// From now on the operation talks to `node`.
    #[inline]
    pub fn set_node(&mut self, node: NodeId) {
        if self.node != node && self.node != NodeId::NONE {
            self.several_nodes = true;
            self.keep_marks();
        }
        self.node = node;
    }

    /// From `at` on, `stage` runs. For the stages that lanes and operations know by themselves.
    #[inline(never)]
    pub fn enter(&mut self, stage: Stage, at: u64) {
        let node = self.node.during(stage);
        self.timeline.enter(stage, node, at);
    }

    /// What the driver did. Whoever reports it knows which event it is: what is left of the match there is one call.
    #[inline(always)]
    pub fn on(&mut self, event: Event, at: u64) {
        if let Some(events) = self.extra.as_mut().and_then(|extra| extra.events.as_mut()) {
            events.push(Stamped { event, at });
        }
        match event {
            Event::FirstPoll | Event::PacingEnd => self.enter(Stage::PoolAcquire, at),
            Event::Probe => {
                self.attempts += 1;
                self.failed_in = None;
                self.enter(Stage::Encode, at);
            }
            Event::TimerBegin => {
                self.resume_to = self.stage();
                self.enter(Stage::TokioTimer, at);
            }
            Event::TimerEnd => self.enter(self.resume_to, at),
            Event::DeadlinePassed => self.failed_in = Some(self.stage()),
            Event::WriteBegin => self.enter(Stage::NetworkWrite, at),
            Event::WriteEnd { bytes, complete } => {
                self.facts.bytes_sent += bytes as u64;
                if complete {
                    self.enter(Stage::NetworkWait, at);
                }
            }
            Event::WritePending => self.waits_in = Some(Stage::NetworkWrite),
            Event::ReadPending { replied } => {
                self.wait_in(
                    if replied {
                        Stage::NetworkRead
                    } else {
                        Stage::NetworkWait
                    },
                    at,
                );
            }
            Event::Arrived => self.enter(Stage::LoopWait, at),
            Event::ReadBegin => self.enter(Stage::NetworkRead, at),
            Event::ReadEnd { bytes } => {
                self.facts.bytes_received += bytes as u64;
                self.enter(Stage::Decode, at);
            }
            Event::StreamFailed => self.failed_in = Some(self.stage()),
            Event::StreamDropped => {
                // A pooled connection that was found dead at check-out is not an attempt.
                if self.stage() == Stage::Encode {
                    self.attempts = self.attempts.saturating_sub(1);
                } else {
                    self.failed_in.get_or_insert(self.timeline.stage());
                }
                self.enter(Stage::PoolAcquire, at);
            }
            Event::PacingPending => self.wait_in(Stage::Backoff, at),
            Event::JoinPending => self.wait_in(Stage::FanIn, at),
            Event::Spawned => self.enter(Stage::FanIn, at),
            Event::JoinReady => self.enter(Stage::Decode, at),
        }
    }

    /// The operation is polled again after it was woken at `woken`.
    #[inline]
    pub fn resume(&mut self, woken: u64, at: u64) {
        self.resume_after(Stage::WakeDelay, woken, at);
    }

    /// As [`Recorder::resume`], for an operation that the thread of an event loop drives: the loop
    /// has come to it only now.
    pub fn resume_on_loop(&mut self, woken: u64, gil: Option<GilWait>, at: u64) {
        let stage = self.stage_to_resume();
        self.enter(Stage::LoopWait, woken);
        self.split_loop_wait(gil);
        self.enter(stage, at);
        self.waits_in = None;
    }

    /// The loop has come to the operation: what its thread waited for the interpreter meanwhile is told
    /// apart from what the loop did instead.
    #[inline]
    pub fn split_loop_wait(&mut self, gil: Option<GilWait>) {
        let Some(GilWait { from, until }) = gil else {
            return;
        };
        if self.stage() == Stage::LoopWait && until > self.timeline.since() {
            self.enter(Stage::GilReacquire, from);
            self.enter(Stage::LoopWait, until);
        }
    }

    fn stage_to_resume(&self) -> Stage {
        match self.stage() {
            Stage::Unattributed => self.resume_to,
            stage => stage,
        }
    }

    fn resume_after(&mut self, delay: Stage, woken: u64, at: u64) {
        let stage = self.stage_to_resume();
        self.enter(delay, woken);
        self.enter(stage, at);
        self.waits_in = None;
    }

    /// The operation is polled again although nothing woke it.
    #[inline]
    pub fn look_again(&mut self, clock: impl FnOnce() -> u64) {
        if self.stage() == Stage::Unattributed {
            self.enter(self.resume_to, clock());
        }
        self.waits_in = None;
    }

    /// As [`Recorder::resume`], for a thread that from `gil_from` to `gil_until` waited to be
    /// attached to the interpreter and could not have been polled.
    pub fn resume_after_gil(&mut self, woken: u64, gil_from: u64, gil_until: u64, at: u64) {
        if woken >= gil_until {
            return self.resume(woken, at);
        }
        let stage = self.stage_to_resume();
        self.enter(Stage::WakeDelay, woken);
        self.enter(Stage::GilReacquire, woken.max(gil_from));
        self.enter(stage, gil_until);
        self.resume(gil_until, at);
    }

    /// From `at` on the operation waits, and `stage` says for what.
    #[inline]
    pub fn wait_in(&mut self, stage: Stage, at: u64) {
        self.waits_in = Some(stage);
        self.enter(stage, at);
    }

    /// Another wait for the same reason, which needs no time of its own.
    #[inline]
    pub fn still_waits_in(&mut self, stage: Stage) {
        self.waits_in = Some(stage);
    }

    /// Whether the poll can end pending as it stands: the stage that runs is the one that waits.
    #[inline]
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.waits_in == Some(self.stage())
    }

    /// The poll ended pending, but the stage that runs is not the one that waits: another part
    /// of the operation went on meanwhile, or nobody knows what is waited for.
    pub fn settle(&mut self, at: u64) {
        self.resume_to = self.stage();
        self.enter(self.waits_in.unwrap_or(Stage::Unattributed), at);
    }

    /// The operation has failed: the stage that runs now is the one it died in, unless the driver
    /// has already said where an attempt failed.
    pub fn fail(&mut self) {
        let stage = self.failure_stage(self.stage());
        self.failed_in = Some(stage);
    }

    /// Where a task that is about to be spawned leaves its record; it is remembered.
    pub(crate) fn slot(&mut self) -> TrackSlot {
        let extra = self.extra();
        let slot = extra.idle_slots.pop().unwrap_or_default();
        extra.spawned.push(slot.clone());
        slot
    }

    /// The caller gave up while tasks were still running: what they wait for is what the
    /// operation waited for.
    fn blame_unfinished(&mut self) {
        if self.stage() != Stage::FanIn {
            return;
        }
        let Some(extra) = &self.extra else { return };
        let mut unfinished = extra.spawned.iter().filter_map(TrackSlot::unfinished);
        let culprit = unfinished.rfind(|(stage, _)| stage.is_per_node());
        if let Some((stage, node)) = culprit {
            self.timeline.relabel(stage, node);
        }
    }

    /// Takes over what a joined task recorded.
    pub fn adopt(&mut self, track: Track) {
        self.attempts += track.attempts;
        self.facts.bytes_sent += track.bytes_sent;
        self.facts.bytes_received += track.bytes_received;
        self.extra().tracks.push(track);
    }

    /// Ends a track.
    #[must_use]
    pub fn into_track(mut self, at: u64) -> Track {
        self.timeline.finish(at);
        Track {
            timeline: self.timeline,
            attempts: self.attempts,
            bytes_sent: self.facts.bytes_sent,
            bytes_received: self.facts.bytes_received,
            failed_in: self.failed_in,
            events: self.extra.and_then(|extra| extra.events),
        }
    }

    /// Ends the operation.
    #[must_use]
    pub fn close(&mut self, outcome: Outcome, at: u64) -> Ending {
        if outcome != Outcome::Ok {
            self.blame_unfinished();
        }
        let last = self.stage();
        self.timeline.finish(at);
        self.find_path();
        Ending {
            outcome,
            failed_in: (outcome != Outcome::Ok).then(|| self.failure_stage(last)),
            start: self.timeline.started(),
            wall: self.timeline.ended() - self.timeline.started(),
            attempts: self.attempts,
        }
    }

    fn find_path(&mut self) {
        let Some(extra) = &mut self.extra else { return };
        if !extra.tracks.is_empty() {
            extra.own.clear();
            self.timeline.visit(|segment| extra.own.push(segment));
            let start = self.timeline.started();
            overlay(&extra.own, &extra.tracks, start, &mut extra.path);
        }
    }

    /// Time by stage of a closed operation, and the node it all belongs to: for operations that
    /// had no tasks and talked to one node, which need no look at their segments.
    #[inline]
    #[must_use]
    pub fn simple_sums(&self) -> Option<(Cow<'_, [u64; Stage::COUNT]>, NodeId)> {
        let simple = self.tracks().is_empty() && !self.several_nodes;
        simple.then(|| (self.timeline.sums(), self.node))
    }

    /// The critical path of a closed operation that had tracks: what begins when, and at last the end.
    #[inline]
    #[must_use]
    pub fn path(&self) -> Option<&[Boundary]> {
        let extra = self.extra.as_deref()?;
        (!extra.tracks.is_empty()).then_some(&*extra.path)
    }

    /// Calls `visit` with the segments of a closed operation, on its critical path.
    #[inline]
    pub fn visit(&self, visit: impl FnMut(Segment)) {
        match self.path() {
            Some(path) => segments_of(path, self.timeline.started()).for_each(visit),
            None => self.timeline.visit(visit),
        }
    }

    /// Whether there were more segments than are kept, so that those of a closed operation tell sums and no order.
    #[must_use]
    pub fn is_folded(&self) -> bool {
        let of_tracks = || self.tracks().iter().any(|track| track.timeline.is_folded());
        self.timeline.is_folded() || of_tracks()
    }

    /// Ends the operation and adds up its stages, with the partition itself.
    #[must_use]
    pub fn finish(&mut self, outcome: Outcome, at: u64) -> Summary {
        let ending = self.close(outcome, at);
        let mut segments = Vec::new();
        self.visit(|segment| segments.push(segment));
        Summary::new(self.origin(), ending, segments)
    }

    fn failure_stage(&self, last: Stage) -> Stage {
        let of_tracks = || self.tracks().iter().rev().find_map(|track| track.failed_in);
        self.failed_in.or_else(of_tracks).unwrap_or(last)
    }
}
