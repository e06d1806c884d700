//! Rows of probes: samples of what goes on beside operations. Who takes them is told here as two functions, because the
//! probes live above this crate.

use std::sync::{Arc, OnceLock};

use arrow_array::builder::{Float64Builder, StringBuilder, UInt64Builder};
use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};

use crate::tap;

/// One sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Which probe.
    pub probe: &'static str,
    /// The loop or thread that it is about.
    pub subject: Option<u64>,
    /// A callback, a coroutine, a node, a thread.
    pub name: Option<Arc<str>>,
    /// When, or since when, on the recorder's clock.
    pub start_ns: u64,
    /// How long it took or waited.
    pub duration_ns: Option<u64>,
    /// The total or level at that time.
    pub value: Option<f64>,
}

/// Where samples come from.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// Has samples kept from now on, or not any more.
    pub subscribe: fn(bool),
    /// Appends what has been kept.
    pub drain: fn(&mut Vec<Sample>),
}

static SOURCE: OnceLock<Source> = OnceLock::new();

/// Says where samples come from, once.
pub fn set_source(source: Source) {
    let _ = SOURCE.set(source);
}

/// Has samples kept while they are written.
pub(crate) fn subscribe(wanted: bool) {
    if let Some(source) = SOURCE.get() {
        (source.subscribe)(wanted);
    }
}

/// Hands what there is to every recording. Any of their threads may do it.
pub(crate) fn share() {
    let Some(source) = SOURCE.get() else { return };
    let mut samples = Vec::new();
    (source.drain)(&mut samples);
    if samples.is_empty() {
        return;
    }
    for recording in tap::recordings() {
        recording.put_samples(&samples);
    }
}

/// Makes a batch of samples.
///
/// # Errors
/// None that could be told: every row has every column.
pub fn batch(samples: &[Sample], schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let (mut probe, mut name) = (StringBuilder::new(), StringBuilder::new());
    let (mut subject, mut start, mut duration) = (
        UInt64Builder::new(),
        UInt64Builder::new(),
        UInt64Builder::new(),
    );
    let mut value = Float64Builder::new();
    for sample in samples {
        probe.append_value(sample.probe);
        subject.append_option(sample.subject);
        name.append_option(sample.name.as_deref());
        start.append_value(sample.start_ns);
        duration.append_option(sample.duration_ns);
        value.append_option(sample.value);
    }
    RecordBatch::try_new(
        schema.clone(),
        vec![
            Arc::new(probe.finish()),
            Arc::new(subject.finish()),
            Arc::new(name.finish()),
            Arc::new(start.finish()),
            Arc::new(duration.finish()),
            Arc::new(value.finish()),
        ],
    )
}
