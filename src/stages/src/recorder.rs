//! The state machine that turns events into a partition of one operation's wall time.
//!
//! It never reads a clock: every method takes the time, so tests run on a virtual one.

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

/// A number for an operation, unique in this process. None is left out: whoever reads a recording tells from gaps that
/// operations are missing in it.
#[inline]
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
    origin: Origin,
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
    /// Events are among what is extra.
    keeps_events: bool,
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
    /// The operation's timeline shows the critical ones of them.
    merged: bool,
    /// What it showed before.
    own: Vec<Boundary>,
    /// Every task that was spawned, whether or not it is waited for.
    spawned: Vec<TrackSlot>,
    events: Option<Vec<Stamped>>,
    /// What recorded tracks of earlier operations. They end on another thread than they begin on; memory that is
    /// taken on one and given back on another costs both.
    #[expect(
        clippy::vec_box,
        reason = "the box is what is handed on, so that a recorder never moves"
    )]
    idle: Vec<Box<Recorder>>,
    idle_slots: Vec<TrackSlot>,
}

/// With more tracks, or marks in one, memory is not kept for the next operation.
const MOST_TRACKS_KEPT: usize = 16;
const MOST_MARKS_KEPT: usize = 256;

impl Extra {
    /// Empty for another operation, if its memory is worth keeping.
    fn restart(mut self: Box<Self>) -> Option<Box<Self>> {
        let mut of_tracks = self.tracks.iter().map(|track| track.timeline().capacity());
        let small = self.own.capacity() <= MOST_MARKS_KEPT
            && self.tracks.capacity() <= MOST_TRACKS_KEPT
            && self.spawned.capacity() <= MOST_TRACKS_KEPT
            && of_tracks.all(|capacity| capacity <= MOST_MARKS_KEPT);
        if !small {
            return None;
        }
        self.idle
            .extend(self.tracks.drain(..).map(Track::into_recorder));
        self.idle.truncate(MOST_TRACKS_KEPT);
        let slots = self.spawned.drain(..);
        self.idle_slots
            .extend(slots.filter_map(|mut slot| slot.restart().then_some(slot)));
        self.idle_slots.truncate(MOST_TRACKS_KEPT);
        self.merged = false;
        self.events = None;
        Some(self)
    }
}

impl Recorder {
    /// Starts recording at the moment the method is entered.
    #[must_use]
    pub fn start(operation: Operation, lane: Lane, at: u64) -> Self {
        let id = next_operation_id();
        Self::with(
            Origin {
                id,
                operation,
                lane,
            },
            at,
            Stage::KeyParse,
        )
    }

    /// Starts over with another operation, keeping the memory.
    #[inline]
    pub fn restart(&mut self, operation: Operation, lane: Lane, at: u64) {
        let id = next_operation_id();
        self.restart_with(
            Origin {
                id,
                operation,
                lane,
            },
            at,
            Stage::KeyParse,
        );
    }

    fn restart_with(&mut self, origin: Origin, at: u64, stage: Stage) {
        self.timeline.restart(at, stage);
        self.origin = origin;
        self.node = NodeId::NONE;
        self.several_nodes = false;
        self.waits_in = None;
        self.resume_to = Stage::PoolAcquire;
        self.failed_in = None;
        self.attempts = 0;
        self.keeps_events = false;
        self.facts = Facts::default();
        if self.caller.is_some() {
            self.caller = None;
        }
        if self.extra.is_some() {
            self.restart_extra();
        }
    }

    #[inline(never)]
    fn restart_extra(&mut self) {
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
    pub fn start_track(&mut self, at: u64) -> Box<Self> {
        self.keep_marks();
        let origin = self.origin;
        let extra = self.extra();
        let mut track = match extra.idle.pop() {
            Some(mut track) => {
                track.restart_with(origin, at, Stage::WakeDelay);
                track
            }
            None => Box::new(Self::with(origin, at, Stage::WakeDelay)),
        };
        if extra.events.is_some() {
            track.keep_events();
        }
        track
    }

    fn with(origin: Origin, at: u64, stage: Stage) -> Self {
        Recorder {
            origin,
            timeline: Timeline::start(at, stage),
            node: NodeId::NONE,
            several_nodes: false,
            waits_in: None,
            resume_to: Stage::PoolAcquire,
            failed_in: None,
            attempts: 0,
            keeps_events: false,
            facts: Facts::default(),
            caller: None,
            extra: None,
        }
    }

    /// Makes the recorder keep every event, for tests of the event contract.
    pub fn keep_events(&mut self) {
        self.extra().events = Some(Vec::new());
        self.keeps_events = true;
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
        self.origin
    }

    pub(crate) fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    pub(crate) fn failed_in(&self) -> Option<Stage> {
        self.failed_in
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
        if !self.timeline.add_up(stage, at) {
            self.timeline.mark(stage, self.node.during(stage), at);
        }
    }

    /// What the driver did. Whoever reports it says what at the place where it happens: nothing is left of the cases
    /// there but the stage that begins.
    #[inline(always)]
    pub fn on(&mut self, event: Event, at: u64) {
        if self.keeps_events {
            self.keep_event(event, at);
        }
        let stage = match event {
            Event::FirstPoll | Event::PacingEnd => Stage::PoolAcquire,
            Event::Probe => {
                self.attempts += 1;
                self.failed_in = None;
                Stage::Encode
            }
            Event::TimerBegin => {
                self.resume_to = self.stage();
                Stage::TokioTimer
            }
            Event::TimerEnd => self.resume_to,
            Event::DeadlinePassed | Event::StreamFailed => {
                self.failed_in = Some(self.stage());
                return;
            }
            Event::WriteBegin => Stage::NetworkWrite,
            Event::WriteEnd { bytes, complete } => {
                self.facts.bytes_sent += bytes as u64;
                if !complete {
                    return;
                }
                Stage::NetworkWait
            }
            Event::WritePending => {
                self.waits_in = Some(Stage::NetworkWrite);
                return;
            }
            Event::ReadPending { replied } => self.waiting_in(if replied {
                Stage::NetworkRead
            } else {
                Stage::NetworkWait
            }),
            Event::Arrived => Stage::LoopWait,
            Event::ReadBegin => Stage::NetworkRead,
            Event::ReadEnd { bytes } => {
                self.facts.bytes_received += bytes as u64;
                Stage::Decode
            }
            Event::StreamDropped => {
                // A pooled connection that was found dead at check-out is not an attempt.
                if self.stage() == Stage::Encode {
                    self.attempts = self.attempts.saturating_sub(1);
                } else {
                    self.failed_in.get_or_insert(self.timeline.stage());
                }
                Stage::PoolAcquire
            }
            Event::PacingPending => self.waiting_in(Stage::Backoff),
            Event::JoinPending => self.waiting_in(Stage::FanIn),
            Event::Spawned => Stage::FanIn,
            Event::JoinReady => Stage::Decode,
        };
        self.enter(stage, at);
    }

    #[cold]
    fn keep_event(&mut self, event: Event, at: u64) {
        if let Some(events) = self.extra.as_mut().and_then(|extra| extra.events.as_mut()) {
            events.push(Stamped { event, at });
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
        let stage = self.waiting_in(stage);
        self.enter(stage, at);
    }

    #[inline]
    fn waiting_in(&mut self, stage: Stage) -> Stage {
        self.waits_in = Some(stage);
        stage
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
    #[cold]
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
        self.attempts += track.attempts();
        self.facts.bytes_sent += track.facts().bytes_sent;
        self.facts.bytes_received += track.facts().bytes_received;
        let extra = self.extra();
        extra.tracks.push(track);
        extra.merged = false;
    }

    /// Puts the critical tracks in place of the waits for them, once the last of these is over. The thread that has joined
    /// them does so: to it they are at hand, and the one that ends the operation has to fetch little more than the result.
    #[inline]
    pub(crate) fn merge_tracks(&mut self) {
        if self.extra.is_some() {
            self.merge_those();
        }
    }

    #[inline(never)]
    fn merge_those(&mut self) {
        let Some(extra) = &mut self.extra else { return };
        let goes_on = self.timeline.stage() == Stage::FanIn && !self.timeline.has_ended();
        if extra.tracks.is_empty() || extra.merged || goes_on {
            return;
        }
        overlay(&self.timeline, &extra.tracks, &mut extra.own);
        self.timeline.replace(&mut extra.own);
        extra.merged = true;
    }

    /// Ends a track.
    #[must_use]
    pub fn into_track(mut self: Box<Self>, at: u64) -> Track {
        self.timeline.finish(at);
        Track::of(self)
    }

    /// Ends the operation.
    #[must_use]
    pub fn close(&mut self, outcome: Outcome, at: u64) -> Ending {
        if outcome != Outcome::Ok {
            self.blame_unfinished();
        }
        let last = self.stage();
        self.timeline.finish(at);
        self.merge_tracks();
        let failed_in = match outcome {
            Outcome::Ok => None,
            _ => Some(self.failure_stage(last)),
        };
        Ending {
            outcome,
            failed_in,
            start: self.timeline.started(),
            wall: self.timeline.ended() - self.timeline.started(),
            attempts: self.attempts,
        }
    }

    /// The node that all time with nodes belongs to: of operations that had no tasks and talked to one node.
    #[inline]
    #[must_use]
    pub fn only_node(&self) -> Option<NodeId> {
        let simple = self.tracks().is_empty() && !self.several_nodes;
        simple.then_some(self.node)
    }

    /// Time by stage of a closed operation, if that is all that was kept.
    #[inline]
    #[must_use]
    pub fn kept_sums(&self) -> Option<&[u64; Stage::COUNT]> {
        self.timeline.kept_sums()
    }

    /// Time by stage of a closed operation.
    #[must_use]
    pub fn sums(&self) -> [u64; Stage::COUNT] {
        self.timeline.sums()
    }

    /// Calls `visit` with what a closed operation did on its critical path: what begins when after its start, and until
    /// when it lasts.
    #[inline]
    pub fn pieces(&self, visit: impl FnMut(Boundary, u64)) {
        self.timeline.pieces(visit);
    }

    /// Appends what a closed operation did on its critical path: what begins when after its start, and at last the end.
    pub fn append_boundaries_to(&self, boundaries: &mut Vec<Boundary>) {
        self.timeline.append_to(boundaries);
    }

    /// As [`Recorder::pieces`], with segments.
    #[inline]
    pub fn visit(&self, visit: impl FnMut(Segment)) {
        self.timeline.visit(visit);
    }

    /// Whether there were more segments than are kept, so that those of a closed operation tell sums and no order.
    #[must_use]
    pub fn is_folded(&self) -> bool {
        let of_tracks = || {
            self.tracks()
                .iter()
                .any(|track| track.timeline().is_folded())
        };
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

    #[cold]
    fn failure_stage(&self, last: Stage) -> Stage {
        let of_tracks = || self.tracks().iter().rev().find_map(Track::failed_in);
        self.failed_in.or_else(of_tracks).unwrap_or(last)
    }
}
