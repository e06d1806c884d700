//! The checker that every test which sees a record runs on it.

use crate::summary::Summary;
use crate::table::Stage;

/// Checks that a summary is a partition: segments follow each other without gaps and overlaps,
/// none is negative, and stages (the unattributed rest included) add up to the wall time.
///
/// # Errors
/// The first rule that is broken, in words.
pub fn check(summary: &Summary) -> Result<(), String> {
    let mut cursor = summary.start;
    for segment in &summary.segments {
        if segment.end <= segment.start {
            return Err(format!(
                "{} runs from {} to {}",
                segment.stage.name(),
                segment.start,
                segment.end
            ));
        }
        if segment.start != cursor {
            let what = if segment.start > cursor {
                "a gap"
            } else {
                "an overlap"
            };
            return Err(format!(
                "{what} before {}: {cursor} -> {}",
                segment.stage.name(),
                segment.start
            ));
        }
        cursor = segment.end;
    }
    if cursor != summary.start + summary.wall {
        return Err(format!(
            "segments end at {cursor}, the operation at {}",
            summary.start + summary.wall
        ));
    }
    let sum: u64 = summary.stages.iter().sum();
    if sum != summary.wall {
        return Err(format!(
            "stages add up to {sum} ns, the wall time is {} ns",
            summary.wall
        ));
    }
    for stage in Stage::ALL {
        let of_segments: u64 = summary
            .segments
            .iter()
            .filter(|s| s.stage == stage)
            .map(|s| s.end - s.start)
            .sum();
        if of_segments != summary.stage(stage) {
            return Err(format!(
                "{} adds up to {of_segments}, recorded {}",
                stage.name(),
                summary.stage(stage)
            ));
        }
    }
    Ok(())
}
