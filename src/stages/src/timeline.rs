//! A partition of time: a list of marks, each saying which stage runs from then on.
//!
//! One stage is always running, so stages cannot overlap and cannot leave gaps; a mark that
//! would lie before its predecessor is moved onto it, so nothing is ever negative.
//!
//! Where nobody asks in which order stages ran, a timeline keeps the time of each and no marks.

use std::borrow::Cow;

use crate::boundary::Boundary;
use crate::node::NodeId;
use crate::table::Stage;

/// From `at` on, `stage` runs (at `node`, where the stage has one).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    at: u64,
    stage: Stage,
    node: NodeId,
}

impl Mark {
    /// In a timeline that started at `start`.
    #[inline]
    fn packed(self, start: u64) -> Boundary {
        Boundary::new(self.at - start, self.stage, self.node)
    }
}

/// A stage with its boundaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The stage.
    pub stage: Stage,
    /// The node it was spent on.
    pub node: NodeId,
    /// First nanosecond.
    pub start: u64,
    /// First nanosecond after it.
    pub end: u64,
}

impl Segment {
    /// A piece of an operation that started at `start`.
    #[inline]
    pub(crate) fn between(start: u64, from: Boundary, until: u64) -> Self {
        Segment {
            stage: from.stage(),
            node: from.node(),
            start: start + from.since_start(),
            end: start + until,
        }
    }
}

/// After this many marks a timeline keeps sums only: a reply of many thousand segments must not
/// grow without bound.
pub const MAX_MARKS: usize = 512;

/// The marks of one operation, or of one of its tracks.
#[derive(Debug, Clone)]
pub struct Timeline {
    start: u64,
    last: Mark,
    end: Option<u64>,
    /// Time is added to `sums` from here on and has no marks: from the start, or after [`MAX_MARKS`].
    folded_from: Option<u64>,
    /// Time by stage of what is folded; that of the stage that is running comes to it at the end.
    sums: [u64; Stage::COUNT],
    /// The marks were made from sums: they do not tell an order.
    from_sums: bool,
    /// The end is among them once nothing is folded and there is one.
    marks: Vec<Boundary>,
}

impl Timeline {
    /// Holds nothing and owns nothing; only good for being replaced.
    pub(crate) const EMPTY: Timeline = Timeline {
        start: 0,
        last: Mark {
            at: 0,
            stage: Stage::Unattributed,
            node: NodeId::NONE,
        },
        end: None,
        folded_from: None,
        sums: [0; Stage::COUNT],
        from_sums: false,
        marks: Vec::new(),
    };

    /// Starts with `stage` running from `at`.
    #[must_use]
    pub fn start(at: u64, stage: Stage) -> Self {
        let mut timeline = Timeline {
            marks: Vec::with_capacity(32),
            ..Self::EMPTY
        };
        timeline.restart(at, stage);
        timeline
    }

    /// Starts over, keeping the memory.
    pub fn restart(&mut self, at: u64, stage: Stage) {
        self.start = at;
        self.folded_from = None;
        self.from_sums = false;
        self.end = None;
        self.last = Mark {
            at,
            stage,
            node: NodeId::NONE,
        };
        self.marks.clear();
        self.marks.push(self.last.packed(at));
    }

    /// For how many marks there is memory.
    pub(crate) fn capacity(&self) -> usize {
        self.marks.capacity()
    }

    /// Keeps no marks: for a timeline that has just started and whose order nobody will ask for.
    #[inline]
    pub fn keep_sums(&mut self) {
        self.marks.clear();
        self.sums = [0; Stage::COUNT];
        self.folded_from = Some(self.start);
    }

    /// Keeps marks from now on, if it has kept none. What has been is told stage by stage, and to have been
    /// spent on `node` where stages have nodes.
    pub fn keep_marks(&mut self, node: NodeId) {
        if self.folded_from != Some(self.start) || !self.marks.is_empty() {
            return;
        }
        let mut at = self.start;
        for stage in Stage::ALL {
            let nanos = self.sums[stage.index()];
            if nanos > 0 {
                let node = node.during(stage);
                self.marks.push(Mark { at, stage, node }.packed(self.start));
                at = at.saturating_add(nanos).min(self.start + Boundary::LONGEST);
            }
        }
        self.last.at = at;
        self.last.node = node.during(self.last.stage);
        self.marks.push(self.last.packed(self.start));
        self.folded_from = None;
        self.from_sums = true;
    }

    /// The stage that is running.
    #[inline]
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.last.stage
    }

    /// Since when it has been running.
    #[inline]
    #[must_use]
    pub fn since(&self) -> u64 {
        self.last.at
    }

    /// When the timeline started.
    #[must_use]
    pub fn started(&self) -> u64 {
        self.start
    }

    /// From `at` on, `stage` runs. Does nothing when it already runs on that node.
    #[inline]
    pub fn enter(&mut self, stage: Stage, node: NodeId, at: u64) {
        if !self.add_up(stage, at) {
            self.mark(stage, node, at);
        }
    }

    /// The same if time is only added up, which needs no node: the last is the one there was when that began. `false` if it
    /// is not, and nothing has been done.
    #[inline]
    pub(crate) fn add_up(&mut self, stage: Stage, at: u64) -> bool {
        if self.folded_from.is_none() {
            return false;
        }
        let last = self.last;
        if last.stage != stage {
            let at = at.max(last.at);
            self.sums[last.stage.index()] += at - last.at;
            self.last.at = at;
            self.last.stage = stage;
        }
        true
    }

    /// The same if there are marks.
    #[inline(never)]
    pub(crate) fn mark(&mut self, stage: Stage, node: NodeId, at: u64) {
        let last = self.last;
        if last.stage == stage && last.node == node {
            return;
        }
        let at = at.min(self.start + Boundary::LONGEST).max(last.at);
        self.last = Mark { at, stage, node };
        if self.marks.len() < MAX_MARKS {
            self.marks.push(self.last.packed(self.start));
        } else {
            // The time of the last mark, which nothing else keeps, is the first that is folded.
            self.folded_from = Some(last.at);
            self.sums = [0; Stage::COUNT];
            self.sums[last.stage.index()] = at - last.at;
        }
    }

    /// Says something else about the stage that is running.
    pub fn relabel(&mut self, stage: Stage, node: NodeId) {
        self.last = Mark {
            stage,
            node,
            ..self.last
        };
        if self.folded_from.is_none() {
            if let Some(mark) = self.marks.last_mut() {
                *mark = self.last.packed(self.start);
            }
        }
    }

    /// Ends the timeline, once and for all.
    #[inline]
    pub fn finish(&mut self, at: u64) {
        if self.end.is_some() {
            return;
        }
        if self.folded_from.is_none() {
            return self.mark_end(at);
        }
        let at = at.max(self.last.at);
        self.sums[self.last.stage.index()] += at - self.last.at;
        self.last.at = at;
        self.end = Some(at);
    }

    #[inline(never)]
    fn mark_end(&mut self, at: u64) {
        let at = at.min(self.start + Boundary::LONGEST).max(self.last.at);
        self.marks.push(Boundary::end(at - self.start));
        self.end = Some(at);
    }

    /// Whether some of its time has no marks, or its marks tell no order.
    #[must_use]
    pub fn is_folded(&self) -> bool {
        self.folded_from.is_some() || self.from_sums
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// When the timeline ended; its last mark while it has not.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.end.unwrap_or(self.last.at)
    }

    /// Time by stage of an ended timeline that has kept nothing else.
    #[inline]
    #[must_use]
    pub fn kept_sums(&self) -> Option<&[u64; Stage::COUNT]> {
        (self.folded_from.is_some() && self.marks.is_empty()).then_some(&self.sums)
    }

    /// Time by stage of an ended timeline.
    #[must_use]
    pub fn sums(&self) -> [u64; Stage::COUNT] {
        let mut sums = match self.folded_from {
            Some(_) => self.sums,
            None => [0; Stage::COUNT],
        };
        self.visit_marks(|from, until| sums[from.stage_index()] += until - from.since_start());
        sums
    }

    /// Calls `visit` with what begins when, and until when it lasts, in order and after the start; what takes no time is
    /// left out. Folded time follows as one piece per stage, laid end to end, so the whole stays a partition.
    #[inline]
    pub fn pieces(&self, mut visit: impl FnMut(Boundary, u64)) {
        self.visit_marks(&mut visit);
        if self.folded_from.is_some() {
            self.visit_folded(visit);
        }
    }

    /// The time of the last mark, if that is not the end, is among what is folded.
    #[inline]
    fn visit_marks(&self, mut visit: impl FnMut(Boundary, u64)) {
        for pair in self.marks.windows(2) {
            let until = pair[1].since_start();
            if until > pair[0].since_start() {
                visit(pair[0], until);
            }
        }
    }

    fn visit_folded(&self, mut visit: impl FnMut(Boundary, u64)) {
        let mut from = self.folded_from.unwrap_or(self.start) - self.start;
        for stage in Stage::ALL {
            let nanos = self.sums[stage.index()];
            if nanos > 0 {
                let until = from.saturating_add(nanos);
                let node = self.last.node.during(stage);
                visit(Boundary::new(from, stage, node), until);
                from = until;
            }
        }
    }

    /// Calls `visit` with the segments in order, as [`Timeline::pieces`] tells them.
    #[inline]
    pub fn visit(&self, mut visit: impl FnMut(Segment)) {
        self.pieces(|from, until| visit(Segment::between(self.start, from, until)));
    }

    /// What begins when, and at last the end if there is one: as one list to look ahead in.
    pub(crate) fn boundaries(&self) -> Cow<'_, [Boundary]> {
        if self.folded_from.is_none() {
            return Cow::Borrowed(&self.marks);
        }
        let mut all = Vec::with_capacity(self.marks.len() + Stage::COUNT + 1);
        self.pieces(|from, _| all.push(from));
        all.push(match self.end {
            Some(end) => Boundary::end(end - self.start),
            None => self.last.packed(self.start),
        });
        Cow::Owned(all)
    }

    /// Appends what begins when, and at last the end, of an ended timeline.
    pub fn append_to(&self, boundaries: &mut Vec<Boundary>) {
        boundaries.extend_from_slice(&self.boundaries());
    }

    /// Has other boundaries than its own from now on, of the same time and up to the same stage that is running or the
    /// same end; `boundaries` has its own then.
    pub(crate) fn replace(&mut self, boundaries: &mut Vec<Boundary>) {
        std::mem::swap(&mut self.marks, boundaries);
        self.from_sums |= self.folded_from.take().is_some();
    }

    /// The segments in order.
    #[must_use]
    pub fn segments(&self) -> Vec<Segment> {
        let mut segments = Vec::with_capacity(self.marks.len() + 2);
        self.visit(|segment| segments.push(segment));
        segments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(segments: &[Segment], stage: Stage) -> u64 {
        segments
            .iter()
            .filter(|segment| segment.stage == stage)
            .map(|segment| segment.end - segment.start)
            .sum()
    }

    #[test]
    fn marks_partition_the_time() {
        let mut timeline = Timeline::start(100, Stage::KeyParse);
        timeline.enter(Stage::Dispatch, NodeId::NONE, 130);
        timeline.enter(Stage::Dispatch, NodeId::NONE, 140);
        timeline.enter(Stage::PoolAcquire, NodeId::NONE, 150);
        timeline.finish(200);
        let segments = timeline.segments();
        assert_eq!(segments.len(), 3);
        assert_eq!(total(&segments, Stage::KeyParse), 30);
        assert_eq!(total(&segments, Stage::Dispatch), 20);
        assert_eq!(total(&segments, Stage::PoolAcquire), 50);
    }

    #[test]
    fn a_mark_from_the_past_is_moved_to_the_present() {
        let mut timeline = Timeline::start(100, Stage::KeyParse);
        timeline.enter(Stage::Dispatch, NodeId::NONE, 150);
        timeline.enter(Stage::PoolAcquire, NodeId::NONE, 120);
        timeline.finish(90);
        assert_eq!(timeline.ended(), 150);
        assert_eq!(total(&timeline.segments(), Stage::Dispatch), 0);
    }

    #[test]
    fn a_clock_that_leaps_ahead_does_not_break_the_partition() {
        let mut timeline = Timeline::start(50, Stage::KeyParse);
        timeline.enter(Stage::Dispatch, NodeId::OVERFLOW, u64::MAX);
        timeline.enter(Stage::ToDict, NodeId::NONE, u64::MAX);
        timeline.finish(u64::MAX);
        let segments = timeline.segments();
        assert_eq!(segments.len(), 1);
        assert_eq!(segments[0].end, 50 + Boundary::LONGEST);
        assert_eq!(timeline.ended(), segments[0].end);
    }

    #[test]
    fn folding_keeps_every_nanosecond() {
        let mut timeline = Timeline::start(0, Stage::PoolAcquire);
        let mut at = 0;
        for round in 0..(MAX_MARKS as u64 * 3) {
            at += 10;
            let stage = if round % 2 == 0 {
                Stage::NetworkRead
            } else {
                Stage::Decode
            };
            timeline.enter(stage, NodeId::NONE, at);
        }
        timeline.finish(at + 10);
        let segments = timeline.segments();
        assert!(segments.len() <= MAX_MARKS + Stage::COUNT);
        assert_eq!(total(&segments, Stage::NetworkRead), MAX_MARKS as u64 * 15);
        assert_eq!(total(&segments, Stage::Decode), MAX_MARKS as u64 * 15);
        assert_eq!(
            segments
                .iter()
                .map(|segment| segment.end - segment.start)
                .sum::<u64>(),
            at + 10
        );
        for pair in segments.windows(2) {
            assert_eq!(pair[0].end, pair[1].start);
        }
    }

    fn alternate(timeline: &mut Timeline, rounds: u64) {
        for round in 1..=rounds {
            let stage = if round % 2 == 0 {
                Stage::NetworkWait
            } else {
                Stage::Decode
            };
            timeline.enter(stage, NodeId::OVERFLOW.during(stage), 10 * round);
        }
    }

    #[test]
    fn without_marks_there_are_sums() {
        let mut timeline = Timeline::start(0, Stage::KeyParse);
        timeline.keep_sums();
        alternate(&mut timeline, 7);
        timeline.finish(90);
        assert!(timeline.is_folded());
        let sums = timeline.sums();
        assert_eq!(sums[Stage::KeyParse.index()], 10);
        assert_eq!(sums[Stage::NetworkWait.index()], 30);
        assert_eq!(sums[Stage::Decode.index()], 50);
        assert_eq!(sums.iter().sum::<u64>(), 90);
        // Another operation on the same memory sees nothing of it.
        timeline.restart(100, Stage::KeyParse);
        timeline.keep_sums();
        timeline.finish(101);
        assert_eq!(timeline.sums().iter().sum::<u64>(), 1);
    }

    #[test]
    fn marks_after_sums_keep_every_nanosecond_and_its_node() {
        let mut timeline = Timeline::start(0, Stage::KeyParse);
        timeline.keep_sums();
        alternate(&mut timeline, 4);
        timeline.keep_marks(NodeId::OVERFLOW);
        timeline.keep_marks(NodeId::NONE);
        timeline.enter(Stage::Decode, NodeId::OVERFLOW, 50);
        timeline.enter(Stage::ToDict, NodeId::NONE, 60);
        timeline.finish(61);
        assert!(timeline.is_folded());
        let segments = timeline.segments();
        assert_eq!(total(&segments, Stage::KeyParse), 10);
        assert_eq!(total(&segments, Stage::NetworkWait), 20);
        assert_eq!(total(&segments, Stage::Decode), 30);
        assert_eq!(segments.last().unwrap().start, 60);
        for pair in segments.windows(2) {
            assert_eq!(pair[0].end, pair[1].start);
        }
        for segment in &segments {
            assert_eq!(segment.node != NodeId::NONE, segment.stage.is_per_node());
        }
        assert_eq!(
            segments.iter().map(|one| one.end - one.start).sum::<u64>(),
            61
        );
        timeline.restart(100, Stage::KeyParse);
        assert!(!timeline.is_folded());
    }
}
