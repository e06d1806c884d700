//! Families about operations: their durations, how they ended, their stages, the sizes of batches.

use std::borrow::Cow;

use aerospike_stages::collector::{dropped, Totals};
use aerospike_stages::exemplar::{self, Exemplar};
use aerospike_stages::series::{SeriesTotals, CAPACITY};
use aerospike_stages::target::Set;
use aerospike_stages::{NodeId, Outcome, Stage, Target};

use crate::export::limits;
use crate::export::model::{
    label, node_labels, system, Family, Histogram, Kind, Label, Unit, Value,
};

/// What stands for a collection's name where keys of several sets were in one batch.
const SEVERAL: &str = "_several";

pub fn families(all: &[Totals]) -> Vec<Family> {
    vec![
        durations(all),
        outcomes(all),
        batch_sizes(all),
        stages(all),
        stages_by_node(all),
        failed_in(all),
        Family::new(
            "db.client.records.dropped",
            Unit::Each("{operation}"),
            Kind::Counter,
            "Operations whose record was lost.",
        )
        .count(Vec::new(), dropped()),
    ]
}

fn labels_of(totals: &Totals) -> Vec<Label> {
    vec![
        system(),
        (label::OPERATION, Cow::Borrowed(totals.operation.name())),
        (label::LANE, Cow::Borrowed(totals.lane.name())),
    ]
}

fn durations(all: &[Totals]) -> Family {
    let help = format!(
        "Duration of operations. A quantile interpolated within its buckets is off by at most {:.0} % from 100 us to 1 s. \
         Beyond {CAPACITY} series, what is new is counted under otel_metric_overflow.",
        limits::OPERATION_ERROR * 100.0
    );
    let mut family = Family::new(
        "db.client.operation.duration",
        Unit::Seconds,
        Kind::Histogram,
        help,
    );
    for totals in all {
        let exemplars = exemplar::kept(totals.operation, totals.lane);
        for series in totals.series.iter().flat_map(|series| series.iter()) {
            let mut labels = labels_of(totals);
            labels.extend(series_labels(&series));
            let own = exemplars.iter().filter(|exemplar| exemplar.is_of(&series));
            let own: Vec<Exemplar> = own.copied().collect();
            let histogram = Histogram {
                counts: series.durations.clone(),
                limits: &limits::OPERATIONS,
                exemplars: own,
            };
            family.add(labels, Value::Histogram(histogram));
        }
    }
    merge_twins(&mut family);
    family
}

/// Series that differ only in what is no label, as the outcomes within the overflow do.
fn merge_twins(family: &mut Family) {
    let mut merged: Vec<crate::export::model::Point> = Vec::with_capacity(family.points.len());
    family
        .points
        .sort_by(|one, other| one.labels.cmp(&other.labels));
    for point in family.points.drain(..) {
        match merged.last_mut() {
            Some(last) if last.labels == point.labels => {
                if let (Value::Histogram(mine), Value::Histogram(theirs)) =
                    (&mut last.value, point.value)
                {
                    mine.counts.merge(&theirs.counts);
                    mine.exemplars.extend(theirs.exemplars);
                }
            }
            _ => merged.push(point),
        }
    }
    family.points = merged;
}

fn series_labels(series: &SeriesTotals<'_>) -> Vec<Label> {
    if series.overflow {
        return vec![overflow()];
    }
    let mut labels = target_labels(series.target);
    labels.extend(node_labels(series.node));
    if series.end.outcome.is_error() {
        let error = series.end.error.unwrap_or(series.end.outcome.name());
        labels.push((label::ERROR_TYPE, Cow::Borrowed(error)));
    }
    // Negative codes are the client's own: no response had them.
    if let Some(code) = series.end.code.filter(|code| *code >= 0) {
        labels.push((label::STATUS_CODE, Cow::Owned(code.to_string())));
    }
    labels
}

/// What has no room of its own, as OpenTelemetry marks it.
fn overflow() -> Label {
    (label::OVERFLOW, Cow::Borrowed("true"))
}

fn target_labels(target: Target) -> Vec<Label> {
    if target == Target::OVERFLOW {
        return vec![overflow()];
    }
    let Some(place) = target.place() else {
        return Vec::new();
    };
    let namespace = match place.namespace {
        several if several.is_empty() => Cow::Borrowed(SEVERAL),
        namespace => Cow::Owned(namespace),
    };
    let mut labels = vec![(label::NAMESPACE, namespace)];
    match place.set {
        Set::None => {}
        Set::One(set) => labels.push((label::COLLECTION, Cow::Owned(set))),
        Set::Several => labels.push((label::COLLECTION, Cow::Borrowed(SEVERAL))),
    }
    labels
}

fn outcomes(all: &[Totals]) -> Family {
    let help = "Operations by how they ended; not_found is no error.";
    let unit = Unit::Each("{operation}");
    let mut family = Family::new("db.client.operations", unit, Kind::Counter, help);
    for totals in all {
        for (outcome, count) in Outcome::ALL.iter().zip(totals.ended) {
            if count > 0 {
                let mut labels = labels_of(totals);
                labels.push((label::OUTCOME, Cow::Borrowed(outcome.name())));
                family.add(labels, Value::Count(count));
            }
        }
    }
    family
}

fn batch_sizes(all: &[Totals]) -> Family {
    let help = "Keys per batch.";
    let mut family = Family::new(
        "db.client.operation.batch.size",
        Unit::Each("{key}"),
        Kind::Histogram,
        help,
    );
    for totals in all.iter().filter(|totals| totals.keys.count() > 0) {
        family.add_histogram(labels_of(totals), totals.keys.clone(), &limits::KEYS);
    }
    family
}

fn stages(all: &[Totals]) -> Family {
    let help = format!(
        "Time of an operation by internal stage, for operations in which the stage occurred. \
         A quantile interpolated within its buckets is off by at most {:.0} % from 1 us to 4.3 s.",
        limits::STAGE_ERROR * 100.0
    );
    let mut family = Family::new(
        "db.client.internal.stage",
        Unit::Seconds,
        Kind::Histogram,
        help,
    );
    for totals in all {
        for stage in Stage::ALL {
            let counts = &totals.stages[stage.index()];
            if counts.sum > 0 {
                let mut labels = labels_of(totals);
                labels.push((label::STAGE, Cow::Borrowed(stage.name())));
                family.add_histogram(labels, counts.clone(), &limits::STAGES);
            }
        }
        if totals.deferred.sum > 0 {
            let mut labels = labels_of(totals);
            let name = format!("{}_deferred", Stage::ToDict.name());
            labels.push((label::STAGE, Cow::Owned(name)));
            family.add_histogram(labels, totals.deferred.clone(), &limits::STAGES);
        }
    }
    family
}

fn stages_by_node(all: &[Totals]) -> Family {
    let help = "Total time by internal stage and node, on the critical path, for stages that belong to a node.";
    let mut family = Family::new("db.client.node.stage", Unit::Seconds, Kind::Counter, help);
    for index in 0..NodeId::COUNT {
        for stage in Stage::PER_NODE {
            let nanos: u64 = all
                .iter()
                .map(|totals| totals.nodes[index][stage.index()])
                .sum();
            if nanos > 0 {
                let mut labels = vec![system(), (label::STAGE, Cow::Borrowed(stage.name()))];
                labels.extend(node_labels(NodeId::from_index(index)));
                family.add(labels, Value::Level(nanos as f64 / 1e9));
            }
        }
    }
    family
}

fn failed_in(all: &[Totals]) -> Family {
    let help = "Operations that did not succeed, by the stage they were in; recorded ones only.";
    let mut family = Family::new(
        "db.client.operation.failed_in",
        Unit::Each("{operation}"),
        Kind::Counter,
        help,
    );
    for totals in all {
        for stage in Stage::ALL {
            let count = totals.failed_in[stage.index()];
            if count > 0 {
                let mut labels = labels_of(totals);
                labels.push((label::STAGE, Cow::Borrowed(stage.name())));
                family.add(labels, Value::Count(count));
            }
        }
    }
    family
}

#[cfg(test)]
mod tests;
