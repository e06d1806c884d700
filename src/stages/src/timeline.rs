//! A partition of time: a list of marks, each saying which stage runs from then on.
//!
//! One stage is always running, so stages cannot overlap and cannot leave gaps; a mark that
//! would lie before its predecessor is moved onto it, so nothing is ever negative.

use crate::node::NodeId;
use crate::table::Stage;

/// From `at` on, `stage` runs (at `node`, where the stage has one).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    at: u64,
    stage: Stage,
    node: NodeId,
}

/// A mark in eight bytes, its time relative to the timeline's start: an operation is written on
/// one processor and read on another, and every cache line of it has to travel.
#[derive(Debug, Clone, Copy)]
struct Packed(u64);

/// The longest that an operation can be told to take: 78 hours.
const LONGEST: u64 = (1 << 48) - 1;

impl Packed {
    #[inline]
    fn new(mark: Mark, start: u64) -> Self {
        Packed(((mark.at - start) << 16) | ((mark.stage as u64) << 8) | mark.node.index() as u64)
    }

    #[inline]
    fn since_start(self) -> u64 {
        self.0 >> 16
    }

    /// The number of the stage.
    #[inline]
    fn stage(self) -> usize {
        (self.0 >> 8) as usize & 0xff
    }

    #[inline]
    fn mark(self, start: u64) -> Mark {
        Mark {
            at: start + self.since_start(),
            stage: Stage::ALL[self.stage()],
            node: NodeId::from_index(self.0 as usize & 0xff),
        }
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

/// After this many marks a timeline keeps sums only: a reply of many thousand segments must not
/// grow without bound.
pub const MAX_MARKS: usize = 512;

/// The marks of one operation, or of one of its tracks.
#[derive(Debug, Clone)]
pub struct Timeline {
    start: u64,
    marks: Vec<Packed>,
    last: Mark,
    /// Sums of what was folded away after [`MAX_MARKS`], by stage; on the node of the last mark.
    folded: Option<Box<Folded>>,
    end: Option<u64>,
}

#[derive(Debug, Clone)]
struct Folded {
    sums: [u64; Stage::COUNT],
    from: u64,
}

impl Timeline {
    /// Holds nothing and owns nothing; only good for being replaced.
    pub(crate) const EMPTY: Timeline = Timeline {
        start: 0,
        marks: Vec::new(),
        last: Mark {
            at: 0,
            stage: Stage::Unattributed,
            node: NodeId::NONE,
        },
        folded: None,
        end: None,
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
        self.folded = None;
        self.end = None;
        self.last = Mark {
            at,
            stage,
            node: NodeId::NONE,
        };
        self.marks.clear();
        self.marks.push(Packed::new(self.last, at));
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
        let last = self.last;
        if last.stage == stage && last.node == node {
            return;
        }
        let mark = Mark {
            at: at.min(self.start + LONGEST).max(last.at),
            stage,
            node,
        };
        if self.marks.len() < MAX_MARKS {
            self.marks.push(Packed::new(mark, self.start));
        } else {
            self.fold(mark.at);
        }
        self.last = mark;
    }

    /// Adds the time of the last mark, which nothing else keeps, to the sums.
    #[cold]
    fn fold(&mut self, until: u64) {
        let last = self.last;
        let folded = self.folded.get_or_insert_with(|| {
            Box::new(Folded {
                sums: [0; Stage::COUNT],
                from: last.at,
            })
        });
        folded.sums[last.stage.index()] += until - last.at;
    }

    /// Says something else about the stage that is running.
    pub fn relabel(&mut self, stage: Stage, node: NodeId) {
        self.last = Mark {
            stage,
            node,
            ..self.last
        };
        if self.folded.is_none() {
            if let Some(mark) = self.marks.last_mut() {
                *mark = Packed::new(self.last, self.start);
            }
        }
    }

    /// Ends the timeline, once and for all.
    pub fn finish(&mut self, at: u64) {
        if self.end.is_none() {
            self.end = Some(at.max(self.last.at));
        }
    }

    /// Whether there were more marks than are kept.
    #[must_use]
    pub fn is_folded(&self) -> bool {
        self.folded.is_some()
    }

    /// When the timeline ended; its last mark while it has not.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.end.unwrap_or(self.last.at)
    }

    /// Time by stage of an ended timeline.
    #[inline]
    #[must_use]
    pub fn sums(&self) -> [u64; Stage::COUNT] {
        let mut sums = match &self.folded {
            Some(folded) => folded.sums,
            None => [0; Stage::COUNT],
        };
        for pair in self.marks.windows(2) {
            sums[pair[0].stage()] += pair[1].since_start() - pair[0].since_start();
        }
        // What is folded is not among the marks, and neither is the time of the last stage.
        sums[self.last.stage.index()] += self.ended() - self.last.at;
        sums
    }

    /// Calls `visit` with the segments in order, zero-length ones left out. Folded time follows as
    /// one segment per stage, laid end to end, so the whole stays a partition.
    #[inline]
    pub fn visit(&self, mut visit: impl FnMut(Segment)) {
        let end_of_marks = match &self.folded {
            Some(folded) => folded.from,
            None => self.ended(),
        };
        let mut open: Option<Mark> = None;
        let mut close = |mark: Mark, end: u64| {
            if end > mark.at {
                visit(Segment {
                    stage: mark.stage,
                    node: mark.node,
                    start: mark.at,
                    end,
                });
            }
        };
        for mark in self.marks.iter().map(|packed| packed.mark(self.start)) {
            if let Some(before) = open.replace(mark) {
                close(before, mark.at);
            }
        }
        if let Some(last) = open {
            close(last, end_of_marks);
        }
        if let Some(folded) = &self.folded {
            self.visit_folded(folded, visit);
        }
    }

    fn visit_folded(&self, folded: &Folded, mut visit: impl FnMut(Segment)) {
        let mut sums = folded.sums;
        sums[self.last.stage.index()] += self.ended() - self.last.at;
        let mut start = folded.from;
        for stage in Stage::ALL
            .into_iter()
            .filter(|stage| sums[stage.index()] > 0)
        {
            let end = start + sums[stage.index()];
            visit(Segment {
                stage,
                node: self.last.node,
                start,
                end,
            });
            start = end;
        }
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
        assert_eq!(segments[0].end, 50 + LONGEST);
        assert_eq!(segments[1].stage, Stage::ToDict);
        assert_eq!(segments[1].start, segments[0].end);
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
}
