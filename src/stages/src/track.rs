//! The fan-out of a batch: one track per spawned node task, and how the operation's own
//! timeline and the tracks' become one partition.
//!
//! While the operation waits for its tracks, the last of them to finish is the critical path:
//! its stages replace the waiting. The other tracks ran beside it and count nowhere, so no
//! nanosecond is counted twice.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use crate::boundary::Boundary;
use crate::event::Stamped;
use crate::facts::Facts;
use crate::node::NodeId;
use crate::recorder::Recorder;
use crate::table::Stage;
use crate::timeline::Timeline;

/// What one joined task recorded: its recorder, ended. The task hands it over as it is, and another track of a later
/// operation may use it again.
#[derive(Debug)]
pub struct Track(Box<Recorder>);

impl Track {
    pub(crate) fn of(ended: Box<Recorder>) -> Self {
        Track(ended)
    }

    pub(crate) fn into_recorder(self) -> Box<Recorder> {
        self.0
    }

    /// Its own partition, from being spawned to finishing.
    #[inline]
    #[must_use]
    pub fn timeline(&self) -> &Timeline {
        self.0.timeline()
    }

    /// How many connections it checked out.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.attempts()
    }

    /// Bytes that went to the node and came back are among them.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.0.facts
    }

    /// The stage in which it failed, if it did.
    #[must_use]
    pub fn failed_in(&self) -> Option<Stage> {
        self.0.failed_in()
    }

    /// Its events, where they are kept.
    #[must_use]
    pub fn events(&self) -> &[Stamped] {
        self.0.events()
    }
}

/// What a running task shows to the operation that spawned it.
#[derive(Debug, Default)]
struct Slot {
    track: Mutex<Option<Track>>,
    /// Stage and node at its last suspension, as `stage + 1` and node; zero before the first one
    /// and after the end.
    waits_in: AtomicU16,
}

/// Where a spawned task leaves its record for the operation that joins it.
#[derive(Debug, Clone, Default)]
pub struct TrackSlot(Arc<Slot>);

impl TrackSlot {
    /// Takes the record, once the task has finished.
    #[must_use]
    pub fn take(&self) -> Option<Track> {
        self.0.track.lock().ok().and_then(|mut slot| slot.take())
    }

    /// Makes it as new, for another task; `false` if somebody else has it still.
    pub(crate) fn restart(&mut self) -> bool {
        let Some(slot) = Arc::get_mut(&mut self.0) else {
            return false;
        };
        *slot.waits_in.get_mut() = 0;
        slot.track.get_mut().is_ok_and(|track| {
            *track = None;
            true
        })
    }

    /// The task has finished.
    pub(crate) fn put(&self, track: Track) {
        self.0.waits_in.store(0, Ordering::Relaxed);
        if let Ok(mut slot) = self.0.track.lock() {
            *slot = Some(track);
        }
    }

    /// The task waits.
    pub(crate) fn publish(&self, stage: Stage, node: NodeId) {
        let packed = ((stage.index() as u16 + 1) << 8) | node.index() as u16;
        self.0.waits_in.store(packed, Ordering::Relaxed);
    }

    /// What the task waits for, if it has not finished.
    pub(crate) fn unfinished(&self) -> Option<(Stage, NodeId)> {
        let packed = self.0.waits_in.load(Ordering::Relaxed);
        let stage = Stage::ALL.get(usize::from(packed >> 8).checked_sub(1)?)?;
        Some((*stage, NodeId::from_index(usize::from(packed & 0xff))))
    }
}

/// Lays the critical tracks over an operation's own timeline: what then begins when after its start, and the end if it has
/// ended. A wait that goes on is left as it is.
pub(crate) fn overlay(own: &Timeline, tracks: &[Track], merged: &mut Vec<Boundary>) {
    merged.clear();
    let boundaries = &*own.boundaries();
    let mut path = Path {
        start: own.started(),
        merged,
    };
    let mut position = 0;
    while let [from, next, ..] = boundaries[position..] {
        let until = next.since_start();
        if !is(from, Stage::FanIn) {
            path.push(from, until);
            position += 1;
            continue;
        }
        position = end_of_wait(boundaries, position);
        let until = boundaries[position].since_start();
        path.fill_wait(from.since_start(), until, tracks);
    }
    merged.extend(boundaries.last());
}

#[inline]
fn is(boundary: Boundary, stage: Stage) -> bool {
    boundary.stage_index() == stage.index()
}

/// A wait goes on through wake-ups that found other tracks still running; it ends behind its
/// last `fan_in`.
fn end_of_wait(own: &[Boundary], first: usize) -> usize {
    let mut end = first + 1;
    for (position, pair) in own.windows(2).enumerate().skip(end) {
        if pair[0].since_start() == pair[1].since_start() {
            continue;
        }
        match pair[0].stage() {
            Stage::FanIn => end = position + 1,
            Stage::WakeDelay | Stage::Decode => {}
            _ => break,
        }
    }
    end
}

/// A critical path that is being made.
struct Path<'a> {
    /// Of the operation.
    start: u64,
    merged: &'a mut Vec<Boundary>,
}

impl Path<'_> {
    #[inline]
    fn push(&mut self, from: Boundary, until: u64) {
        if until > from.since_start() {
            self.merged.push(from);
        }
    }

    fn fill_wait(&mut self, start: u64, end: u64, tracks: &[Track]) {
        let ended = |track: &&Track| {
            let track = track.timeline();
            self.offset_of(track) + (track.ended() - track.started())
        };
        let critical = tracks
            .iter()
            .filter(|track| ended(track) > start && ended(track) <= end)
            .max_by_key(ended);
        match critical {
            Some(track) => self.fill_with(start, end, track.timeline()),
            None => self.fan_in(start, end),
        }
    }

    /// How long after the operation's start a track has started.
    fn offset_of(&self, track: &Timeline) -> u64 {
        track.started().saturating_sub(self.start)
    }

    /// A wait for a track that ended in it.
    fn fill_with(&mut self, start: u64, end: u64, track: &Timeline) {
        let boundaries = &*track.boundaries();
        let offset = self.offset_of(track);
        let moved = |boundary: &Boundary| boundary.later_by(offset);
        let goes_on = |next: &Boundary| moved(next).since_start() > start;
        let first = boundaries.iter().skip(1).position(goes_on).unwrap_or(0);
        let [first, rest @ .., last] = &boundaries[first..] else {
            return self.fan_in(start, end);
        };
        let from = moved(first).since_start().max(start);
        self.fan_in(start, from);
        self.merged.push(first.moved_to(from));
        self.merged.extend(rest.iter().map(moved));
        self.fan_in(moved(last).since_start(), end);
    }

    fn fan_in(&mut self, from: u64, until: u64) {
        self.push(Boundary::new(from, Stage::FanIn, NodeId::NONE), until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::operation::{Lane, Operation, Outcome};
    use crate::timeline::MAX_MARKS;

    fn recorder(at: u64) -> Box<Recorder> {
        Box::new(Recorder::start(Operation::BatchRead, Lane::Sync, at))
    }

    #[test]
    fn a_folded_operation_keeps_every_nanosecond_of_its_critical_track() {
        let mut recorder = recorder(1_000);
        let track = recorder.start_track(1_010);
        recorder.on(Event::Spawned, 1_010);
        recorder.adopt(track.into_track(1_500));
        recorder.on(Event::JoinReady, 1_600);
        let mut at = 1_600;
        for _ in 0..MAX_MARKS {
            at += 5;
            recorder.on(Event::ReadBegin, at);
            at += 5;
            recorder.on(Event::ReadEnd { bytes: 1 }, at);
        }
        let summary = recorder.finish(Outcome::Ok, at);
        assert!(recorder.is_folded());
        let of = |stage| -> u64 {
            let segments = summary.segments.iter();
            let of_stage = segments.filter(|segment| segment.stage == stage);
            of_stage.map(|segment| segment.end - segment.start).sum()
        };
        let rounds = 5 * MAX_MARKS as u64;
        assert_eq!(of(Stage::KeyParse), 10);
        assert_eq!(of(Stage::WakeDelay), 490);
        assert_eq!(of(Stage::FanIn), 100);
        assert_eq!(of(Stage::NetworkRead), rounds);
        assert_eq!(of(Stage::Decode), rounds);
        assert_eq!(summary.wall, at - 1_000);
    }

    #[test]
    fn it_makes_no_difference_when_tracks_are_merged() {
        let path = |early: bool| {
            let mut recorder = recorder(0);
            let mut tracks = [20, 30].map(|at| {
                let mut track = recorder.start_track(at);
                recorder.on(Event::Spawned, at);
                track.on(Event::Probe, at + 10);
                Some(track.into_track(8 * at))
            });
            recorder.on(Event::JoinPending, 40);
            for (track, at) in tracks.iter_mut().zip([170, 260]) {
                recorder.resume(at, at + 2);
                recorder.adopt(track.take().unwrap());
                recorder.on(Event::JoinReady, at + 3);
                recorder.on(Event::JoinPending, at + 4);
            }
            if early {
                recorder.merge_tracks();
            }
            recorder.on(Event::JoinReady, 270);
            if early {
                recorder.merge_tracks();
                recorder.merge_tracks();
            }
            recorder.enter(Stage::ToDict, 280);
            recorder.finish(Outcome::Ok, 300).segments
        };
        let late = path(false);
        assert_eq!(late, path(true));
        let encoding = late.iter().find(|piece| piece.stage == Stage::Encode);
        assert_eq!(
            encoding.map(|piece| (piece.start, piece.end)),
            Some((40, 240))
        );
    }

    #[test]
    fn another_operation_sees_nothing_of_a_track_whose_memory_it_uses() {
        let mut recorder = recorder(0);
        let mut track = recorder.start_track(10);
        track.on(Event::Probe, 20);
        track.on(Event::DeadlinePassed, 30);
        track.facts.bytes_sent = 7;
        let memory: *const Recorder = &*track;
        recorder.adopt(track.into_track(40));
        let _ = recorder.close(Outcome::Timeout, 50);
        recorder.restart(Operation::BatchWrite, Lane::Sync, 100);
        let track = recorder.start_track(110);
        assert!(std::ptr::eq(memory, &*track));
        let track = track.into_track(120);
        assert_eq!((track.attempts(), track.failed_in()), (0, None));
        assert_eq!(*track.facts(), Facts::default());
        let segments = track.timeline().segments();
        assert_eq!(segments.len(), 1);
        assert_eq!((segments[0].start, segments[0].end), (110, 120));
    }

    #[test]
    fn a_slot_is_used_again_once_its_task_and_whoever_joins_it_are_gone() {
        let mut kept = TrackSlot::default();
        let of_task = kept.clone();
        of_task.publish(Stage::NetworkWait, NodeId::NONE);
        assert!(!kept.restart());
        assert_eq!(
            kept.unfinished(),
            Some((Stage::NetworkWait, NodeId::NONE)),
            "what is in use stays as it is"
        );
        drop(of_task);
        assert!(kept.restart());
        assert_eq!(kept.unfinished(), None);
        assert!(kept.take().is_none());
    }
}
