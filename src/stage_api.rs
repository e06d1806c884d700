//! The module-level functions about stages.

use aerospike_stages::{clock, collector, Stage};
use pyo3::prelude::*;
use pyo3::types::PyModule;

use crate::exceptions::invalid_argument;
use crate::export::snapshot::{self, Row, Statistics};

/// Environment variable that switches stages on at import.
const STAGES_VARIABLE: &str = "AEROSPIKE_PY_INTERNAL_METRICS";

type SnapshotRow = (
    &'static str,
    &'static str,
    Vec<(&'static str, u64)>,
    Vec<(&'static str, u64)>,
    Statistics,
    Vec<(&'static str, Statistics)>,
    Statistics,
    Vec<(&'static str, String, u64)>,
);

type StageRow = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

#[pyfunction]
fn set_internal_stage_metrics_enabled(py: Python<'_>, enabled: bool) {
    // The first time, the clock may have to be calibrated for some milliseconds.
    py.detach(|| collector::set_enabled(enabled));
}

#[pyfunction]
fn is_internal_stage_metrics_enabled() -> bool {
    collector::is_enabled()
}

#[pyfunction]
#[pyo3(signature = (reset=false))]
fn _stage_snapshot(py: Python<'_>, reset: bool) -> Vec<SnapshotRow> {
    py.detach(|| snapshot::take(reset))
        .into_iter()
        .map(unpack)
        .collect()
}

fn unpack(row: Row) -> SnapshotRow {
    (
        row.operation.name(),
        row.lane.name(),
        row.outcomes,
        row.failed_in,
        row.wall,
        row.stages,
        row.deferred,
        row.nodes,
    )
}

#[pyfunction]
fn _stage_table() -> Vec<StageRow> {
    Stage::ALL
        .iter()
        .map(|stage| {
            let row = stage.describe();
            (
                row.name,
                row.start,
                row.end,
                row.lanes,
                row.family.name(),
                row.definition,
                row.interpretation,
                row.action,
            )
        })
        .collect()
}

#[pyfunction]
fn _records_dropped() -> u64 {
    collector::dropped()
}

#[pyfunction]
#[pyo3(signature = (folded, title, subtitle=None, *, before=None))]
fn flamegraph_svg(
    py: Python<'_>,
    folded: &str,
    title: &str,
    subtitle: Option<&str>,
    before: Option<&str>,
) -> PyResult<String> {
    py.detach(|| crate::export::flamegraph::render(folded, title, subtitle, before))
        .map_err(invalid_argument)
}

/// Adds the functions, and does what the environment asks for.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(
        set_internal_stage_metrics_enabled,
        module
    )?)?;
    module.add_function(wrap_pyfunction!(is_internal_stage_metrics_enabled, module)?)?;
    module.add_function(wrap_pyfunction!(_stage_snapshot, module)?)?;
    module.add_function(wrap_pyfunction!(_stage_table, module)?)?;
    module.add_function(wrap_pyfunction!(_records_dropped, module)?)?;
    module.add_function(wrap_pyfunction!(flamegraph_svg, module)?)?;
    clock::warm_up();
    if asked_for(std::env::var(STAGES_VARIABLE).ok().as_deref()) {
        module.py().detach(|| collector::set_enabled(true));
    }
    Ok(())
}

/// Whether a variable of the environment says yes.
pub fn asked_for(value: Option<&str>) -> bool {
    value.is_some_and(|value| {
        matches!(
            value.trim().to_ascii_lowercase().as_str(),
            "1" | "true" | "yes" | "on"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::asked_for;

    #[test]
    fn the_environment_flag_takes_the_usual_words() {
        for yes in ["1", "true", "TRUE", "yes", "On", " on "] {
            assert!(asked_for(Some(yes)), "{yes}");
        }
        for no in [None, Some(""), Some("0"), Some("off"), Some("2")] {
            assert!(!asked_for(no), "{no:?}");
        }
    }
}
