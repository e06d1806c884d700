//! What probes have measured so far: one series of figures per probe and subject. Each has one writer
//! and any number of readers. There is a bound to how many there are, and loops that are gone share one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aerospike_stages::histogram::{Counts, Histogram};

use crate::lanes::fork;
use crate::probes::samples::{self, Sample};
use crate::probes::table::{Kind, Probe};

/// So many subjects are told apart; what comes later is measured for the samples only.
const MOST_SERIES: usize = 128;

static REGISTRY: Mutex<Registry> = Mutex::new(Registry {
    generation: 0,
    series: Vec::new(),
    retired: Vec::new(),
});

/// All series of this process.
pub struct Registry {
    generation: u64,
    series: Vec<Arc<Series>>,
    retired: Vec<(Probe, Counts)>,
}

/// The figures of one probe about one subject.
pub struct Series {
    probe: Probe,
    subject: Option<u64>,
    figures: Histogram,
    /// The first and the latest value of levels and totals, as bits.
    first: AtomicU64,
    latest: AtomicU64,
}

const UNKNOWN: u64 = u64::MAX;

impl Series {
    fn new(probe: Probe, subject: Option<u64>) -> Self {
        Series {
            probe,
            subject,
            figures: Histogram::default(),
            first: AtomicU64::new(UNKNOWN),
            latest: AtomicU64::new(UNKNOWN),
        }
    }

    /// Something has taken so long, from `start` on. Only the series' one writer calls this.
    pub fn took(&self, start: u64, nanos: u64) {
        self.took_named(start, nanos, None);
    }

    /// As [`Series::took`], with what it was.
    pub fn took_named(&self, start: u64, nanos: u64, name: Option<Arc<str>>) {
        self.figures.record(nanos);
        samples::push(|| Sample {
            name,
            duration_ns: Some(nanos),
            value: None,
            ..self.sample(start)
        });
    }

    /// A level or total stands at `value`. Only the series' one writer calls this.
    pub fn stands_at(&self, at: u64, value: f64) {
        let bits = value.to_bits();
        if self.probe.kind() == Kind::Level {
            self.figures
                .record((value * self.probe.steps_per_unit()) as u64);
        } else if self.latest.load(Ordering::Relaxed) == bits {
            return;
        }
        if self.first.load(Ordering::Relaxed) == UNKNOWN {
            self.first.store(bits, Ordering::Relaxed);
        }
        self.latest.store(bits, Ordering::Relaxed);
        samples::push(|| Sample {
            value: Some(value),
            ..self.sample(at)
        });
    }

    fn sample(&self, start_ns: u64) -> Sample {
        Sample {
            probe: self.probe,
            subject: self.subject,
            name: None,
            start_ns,
            duration_ns: None,
            value: None,
        }
    }

    fn row(&self) -> Row {
        let mut counts = Counts::default();
        self.figures.add_to(&mut counts);
        let value = |cell: &AtomicU64| {
            let bits = cell.load(Ordering::Relaxed);
            (bits != UNKNOWN).then(|| f64::from_bits(bits))
        };
        Row {
            probe: self.probe,
            subject: self.subject,
            counts,
            first: value(&self.first),
            latest: value(&self.latest),
        }
    }
}

/// A series at rest.
pub struct Row {
    pub probe: Probe,
    pub subject: Option<u64>,
    pub counts: Counts,
    pub first: Option<f64>,
    pub latest: Option<f64>,
}

/// All series, for whoever reads or changes them. What a parent process measured is not this one's.
pub fn lock_registry() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

fn registry() -> MutexGuard<'static, Registry> {
    let mut registry = lock_registry();
    if registry.generation != fork::generation() {
        registry.generation = fork::generation();
        registry.series.clear();
        registry.retired.clear();
    }
    registry
}

/// The series of a probe about a subject; who asks becomes its one writer.
pub fn of(probe: Probe, subject: Option<u64>) -> Arc<Series> {
    let mut registry = registry();
    let known = registry
        .series
        .iter()
        .find(|series| series.probe == probe && series.subject == subject);
    if let Some(series) = known {
        return series.clone();
    }
    let series = Arc::new(Series::new(probe, subject));
    if registry.series.len() < MOST_SERIES {
        registry.series.push(series.clone());
    }
    series
}

/// The subject of a series is gone: its figures join those of others that are gone.
pub fn retire(series: &Arc<Series>) {
    let mut registry = registry();
    let Some(place) = registry
        .series
        .iter()
        .position(|known| Arc::ptr_eq(known, series))
    else {
        return;
    };
    let row = registry.series.swap_remove(place).row();
    let kept = registry
        .retired
        .iter_mut()
        .find(|(probe, _)| *probe == row.probe);
    match kept {
        Some((_, counts)) => counts.merge(&row.counts),
        None => registry.retired.push((row.probe, row.counts)),
    }
}

/// Everything measured so far, in the order of the table; subjects that are gone as one without a number.
pub fn rows() -> Vec<Row> {
    let registry = registry();
    let mut rows: Vec<Row> = registry.series.iter().map(|series| series.row()).collect();
    rows.extend(registry.retired.iter().map(|(probe, counts)| Row {
        probe: *probe,
        subject: None,
        counts: counts.clone(),
        first: None,
        latest: None,
    }));
    drop(registry);
    rows.retain(|row| row.counts.count() > 0 || row.latest.is_some());
    rows.sort_by_key(|row| (row.probe as usize, row.subject));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(probe: Probe, subject: Option<u64>) -> Option<Row> {
        rows()
            .into_iter()
            .find(|row| row.probe == probe && row.subject == subject)
    }

    #[test]
    fn subjects_that_are_gone_are_added_up() {
        let (one, other) = (of(Probe::LoopLag, Some(71)), of(Probe::LoopLag, Some(72)));
        assert!(Arc::ptr_eq(&one, &of(Probe::LoopLag, Some(71))));
        one.took(0, 1_000);
        one.took(0, 3_000);
        other.took(0, 50);
        assert_eq!(row(Probe::LoopLag, Some(71)).unwrap().counts.sum, 4_000);
        retire(&one);
        retire(&other);
        retire(&other);
        assert!(row(Probe::LoopLag, Some(71)).is_none());
        let gone = row(Probe::LoopLag, None).unwrap().counts;
        assert_eq!((gone.count(), gone.sum, gone.max), (3, 4_050, 3_000));
    }

    #[test]
    fn totals_know_where_they_began_and_levels_how_they_are_spread() {
        let total = of(Probe::ProcessCpuSeconds, Some(9));
        total.stands_at(0, 2.5);
        total.stands_at(1, 4.0);
        let found = row(Probe::ProcessCpuSeconds, Some(9)).unwrap();
        assert_eq!((found.first, found.latest), (Some(2.5), Some(4.0)));
        let level = of(Probe::RuntimeBusyRatio, Some(9));
        for _ in 0..3 {
            level.stands_at(0, 0.25);
        }
        let found = row(Probe::RuntimeBusyRatio, Some(9)).unwrap();
        assert_eq!((found.counts.count(), found.counts.max), (3, 250_000_000));
    }

    #[test]
    fn subjects_without_end_need_memory_with_an_end() {
        for subject in 0..4 * MOST_SERIES as u64 {
            of(Probe::StopTheWorld, Some(subject)).took(0, 1);
        }
        assert!(rows().len() <= MOST_SERIES + Probe::ALL.len());
        for subject in 0..4 * MOST_SERIES as u64 {
            retire(&of(Probe::StopTheWorld, Some(subject)));
        }
    }
}
