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
use crate::node::NodeId;
use crate::table::Stage;
use crate::timeline::{Segment, Timeline};

/// What one joined task recorded.
#[derive(Debug, Clone)]
pub struct Track {
    /// Its own partition, from being spawned to finishing.
    pub timeline: Timeline,
    /// How many connections it checked out.
    pub attempts: u32,
    /// Bytes that went to the node.
    pub bytes_sent: u64,
    /// Bytes that came back.
    pub bytes_received: u64,
    /// The stage in which it failed, if it did.
    pub failed_in: Option<Stage>,
    /// Its events, where they are kept.
    pub events: Option<Vec<Stamped>>,
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

/// Lays the critical tracks over the operation's own segments, into `merged`: what begins when, and at last the end.
/// The operation started at `start`.
pub fn overlay(own: &[Segment], tracks: &[Track], start: u64, merged: &mut Vec<Boundary>) {
    merged.clear();
    let mut path = Path { start, merged };
    let mut position = 0;
    while position < own.len() {
        let segment = own[position];
        if segment.stage != Stage::FanIn {
            path.push(segment.stage, segment.node, segment.start);
            position += 1;
            continue;
        }
        let next = end_of_wait(own, position);
        path.fill_wait(segment.start, own[next - 1].end, tracks);
        position = next;
    }
    let end = own.last().map_or(start, |last| last.end);
    path.push(Stage::Unattributed, NodeId::NONE, end);
}

/// A wait goes on through wake-ups that found other tracks still running; it ends behind its
/// last `fan_in` segment.
fn end_of_wait(own: &[Segment], first: usize) -> usize {
    let mut end = first + 1;
    for (position, segment) in own.iter().enumerate().skip(first + 1) {
        match segment.stage {
            Stage::FanIn => end = position + 1,
            Stage::WakeDelay | Stage::Decode => {}
            _ => break,
        }
    }
    end
}

/// A critical path that is being made.
struct Path<'a> {
    start: u64,
    merged: &'a mut Vec<Boundary>,
}

impl Path<'_> {
    #[inline]
    fn push(&mut self, stage: Stage, node: NodeId, at: u64) {
        self.merged
            .push(Boundary::new(at.saturating_sub(self.start), stage, node));
    }

    fn fill_wait(&mut self, start: u64, end: u64, tracks: &[Track]) {
        let critical = tracks
            .iter()
            .filter(|track| track.timeline.ended() > start && track.timeline.ended() <= end)
            .max_by_key(|track| track.timeline.ended());
        let mut cursor = start;
        if let Some(track) = critical {
            track.timeline.visit(|segment| {
                let (from, to) = (segment.start.max(cursor), segment.end.min(end));
                if to > from {
                    self.push_fan_in(cursor, from);
                    self.push(segment.stage, segment.node, from);
                    cursor = to;
                }
            });
        }
        self.push_fan_in(cursor, end);
    }

    fn push_fan_in(&mut self, from: u64, to: u64) {
        if to > from {
            self.push(Stage::FanIn, NodeId::NONE, from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
