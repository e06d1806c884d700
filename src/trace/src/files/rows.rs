//! Rows of operations, gathered column by column until they are written.

use std::sync::Arc;

use aerospike_stages::{NodeId, Stage};
use arrow_array::builder::{
    FixedSizeBinaryBuilder, Int32Builder, ListBuilder, StringBuilder, UInt64Builder,
};
use arrow_array::{
    ArrayRef, ListArray, RecordBatch, StructArray, UInt16Array, UInt32Array, UInt64Array,
    UInt8Array,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{ArrowError, SchemaRef};

use crate::ended::{Ended, Item};
use crate::files::schema;
use crate::pieces::Piece;
use crate::words::Words;

/// A node number that stands for none.
const NO_NODE: u8 = 255;

/// Segments of any number of rows or tracks.
#[derive(Default)]
struct Segments {
    ends: Vec<i32>,
    stage: Vec<u8>,
    node: Vec<u8>,
    start: Vec<u64>,
    duration: Vec<u64>,
}

impl Segments {
    /// A column at a time: each is extended once, and not looked at for room with every piece.
    fn push(&mut self, pieces: impl Iterator<Item = Piece> + Clone, nodes: &[NodeId]) {
        let of = || pieces.clone();
        self.stage.extend(of().map(|piece| piece.stage as u8));
        self.node
            .extend(of().map(|piece| position(nodes, piece.node)));
        self.start.extend(of().map(|piece| piece.start));
        self.duration.extend(of().map(|piece| piece.duration));
        self.end_row();
    }

    fn end_row(&mut self) {
        self.ends.push(self.stage.len() as i32);
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt8Array::from(taken(&mut self.stage))),
            Arc::new(UInt8Array::from(taken(&mut self.node))),
            Arc::new(UInt64Array::from(taken(&mut self.start))),
            Arc::new(UInt64Array::from(taken(&mut self.duration))),
        ];
        let values = StructArray::try_new(schema::segment_fields(), columns, None)?;
        list(schema::segment(), &taken(&mut self.ends), Arc::new(values))
    }
}

/// Tracks of any number of rows.
#[derive(Default)]
struct Tracks {
    ends: Vec<i32>,
    node: Vec<u8>,
    attempts: Vec<u16>,
    start: Vec<u64>,
    duration: Vec<u64>,
    segments: Segments,
    sent: Vec<u64>,
    received: Vec<u64>,
}

impl Tracks {
    fn push(&mut self, ended: &Ended, nodes: &[NodeId]) {
        for branch in &ended.branches {
            self.node.push(position(nodes, branch.node));
            self.attempts.push(narrow(branch.attempts));
            self.start.push(branch.start);
            self.duration.push(branch.duration);
            if branch.folded {
                self.segments.end_row();
            } else {
                self.segments.push(ended.pieces_of(branch), nodes);
            }
            self.sent.push(branch.bytes_sent);
            self.received.push(branch.bytes_received);
        }
        self.end_row();
    }

    fn end_row(&mut self) {
        self.ends.push(self.node.len() as i32);
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt8Array::from(taken(&mut self.node))),
            Arc::new(UInt16Array::from(taken(&mut self.attempts))),
            Arc::new(UInt64Array::from(taken(&mut self.start))),
            Arc::new(UInt64Array::from(taken(&mut self.duration))),
            self.segments.finish()?,
            Arc::new(UInt64Array::from(taken(&mut self.sent))),
            Arc::new(UInt64Array::from(taken(&mut self.received))),
        ];
        let values = StructArray::try_new(schema::track_fields(), columns, None)?;
        list(schema::track(), &taken(&mut self.ends), Arc::new(values))
    }
}

fn list(
    field: Arc<arrow_schema::Field>,
    ends: &[i32],
    values: ArrayRef,
) -> Result<ArrayRef, ArrowError> {
    let offsets: Vec<i32> = std::iter::once(0).chain(ends.iter().copied()).collect();
    let offsets = OffsetBuffer::new(offsets.into());
    Ok(Arc::new(ListArray::try_new(field, offsets, values, None)?))
}

/// A column, which leaves room for another one of about its length: one that had to grow at its end would take twice
/// the memory.
fn taken<T>(column: &mut Vec<T>) -> Vec<T> {
    let next = Vec::with_capacity(column.len() + column.len() / 8);
    std::mem::replace(column, next)
}

fn position(nodes: &[NodeId], node: NodeId) -> u8 {
    let found = nodes.iter().position(|known| *known == node);
    found
        .and_then(|found| u8::try_from(found).ok())
        .unwrap_or(NO_NODE)
}

fn narrow(number: u32) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

/// Rows that have not been written.
pub struct Rows {
    words: Words,
    length: usize,
    kind: StringBuilder,
    operation_id: Vec<u64>,
    client_id: Vec<u32>,
    operation: StringBuilder,
    lane: StringBuilder,
    start: Vec<u64>,
    duration: Vec<u64>,
    outcome: StringBuilder,
    error_type: StringBuilder,
    status_code: Int32Builder,
    failed_in: StringBuilder,
    namespace: StringBuilder,
    set: StringBuilder,
    sets: Vec<u16>,
    keys: Vec<u32>,
    attempts: Vec<u16>,
    bytes_sent: Vec<u64>,
    bytes_received: Vec<u64>,
    in_flight: Vec<u32>,
    node: StringBuilder,
    thread_id: Vec<u64>,
    thread_name: StringBuilder,
    task_id: UInt64Builder,
    task_name: StringBuilder,
    loop_id: UInt64Builder,
    trace_id: FixedSizeBinaryBuilder,
    span_id: FixedSizeBinaryBuilder,
    stages: [Vec<u64>; Stage::COUNT],
    nodes: ListBuilder<StringBuilder>,
    segments: Segments,
    tracks: Tracks,
    with_segments: bool,
    /// The nodes of the row that is being added.
    seen: Vec<NodeId>,
    /// What conversions are made rows from.
    conversion: Option<Box<Ended>>,
}

impl Rows {
    /// No rows; with or without the segments of those to come.
    #[must_use]
    pub fn new(with_segments: bool) -> Self {
        Rows {
            words: Words::default(),
            length: 0,
            kind: StringBuilder::new(),
            operation_id: Vec::new(),
            client_id: Vec::new(),
            operation: StringBuilder::new(),
            lane: StringBuilder::new(),
            start: Vec::new(),
            duration: Vec::new(),
            outcome: StringBuilder::new(),
            error_type: StringBuilder::new(),
            status_code: Int32Builder::new(),
            failed_in: StringBuilder::new(),
            namespace: StringBuilder::new(),
            set: StringBuilder::new(),
            sets: Vec::new(),
            keys: Vec::new(),
            attempts: Vec::new(),
            bytes_sent: Vec::new(),
            bytes_received: Vec::new(),
            in_flight: Vec::new(),
            node: StringBuilder::new(),
            thread_id: Vec::new(),
            thread_name: StringBuilder::new(),
            task_id: UInt64Builder::new(),
            task_name: StringBuilder::new(),
            loop_id: UInt64Builder::new(),
            trace_id: FixedSizeBinaryBuilder::new(16),
            span_id: FixedSizeBinaryBuilder::new(8),
            stages: Default::default(),
            nodes: ListBuilder::new(StringBuilder::new()).with_field(schema::node()),
            segments: Segments::default(),
            tracks: Tracks::default(),
            with_segments,
            seen: Vec::new(),
            conversion: None,
        }
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Adds an operation or a conversion.
    ///
    /// # Errors
    /// None that could be told: numbers of the right width always fit.
    pub fn push(&mut self, item: &Item) -> Result<(), ArrowError> {
        match item {
            Item::Operation(ended) => self.push_row(ended, true),
            Item::Conversion(converted) => {
                let mut row = self.conversion.take().unwrap_or_default();
                row.become_conversion(converted);
                let pushed = self.push_row(&row, false);
                self.conversion = Some(row);
                pushed
            }
        }
    }

    /// Adds a row, which tells of an operation as a `whole` or of a conversion.
    fn push_row(&mut self, ended: &Ended, whole: bool) -> Result<(), ArrowError> {
        self.length += 1;
        self.operation_id.push(ended.origin.id);
        self.operation.append_value(ended.origin.operation.name());
        self.lane.append_value(ended.origin.lane.name());
        self.start.push(ended.ending.start);
        self.duration.push(ended.ending.wall);
        self.client_id.push(ended.facts.client);
        self.sets.push(ended.facts.subject.sets);
        self.keys.push(ended.facts.subject.keys);
        self.attempts.push(narrow(ended.ending.attempts));
        self.bytes_sent.push(ended.facts.bytes_sent);
        self.bytes_received.push(ended.facts.bytes_received);
        self.in_flight.push(ended.facts.in_flight);
        self.push_end(ended, whole);
        self.push_caller(ended)?;
        for (column, nanos) in self.stages.iter_mut().zip(ended.sums()) {
            // The zeros before it are made up for at once: most rows have nothing in most of these columns.
            if nanos > 0 {
                column.resize(self.length - 1, 0);
                column.push(nanos);
            }
        }
        self.push_segments(ended, whole && self.with_segments);
        Ok(())
    }

    fn push_end(&mut self, ended: &Ended, whole: bool) {
        self.kind
            .append_value(if whole { "operation" } else { "conversion" });
        let outcome = whole.then(|| ended.ending.outcome.name());
        self.outcome.append_option(outcome);
        self.error_type.append_option(ended.end.error);
        self.status_code.append_option(ended.end.code);
        let failed_in = ended.ending.failed_in.map(Stage::name);
        self.failed_in.append_option(failed_in);
        let (namespace, set) = self.words.place(ended.facts.subject.target);
        self.namespace.append_option(namespace);
        self.set.append_option(set);
        let node = self.words.node(ended.node);
        self.node.append_option(node.map(|node| &node.address));
    }

    fn push_caller(&mut self, ended: &Ended) -> Result<(), ArrowError> {
        let caller = ended.caller.as_ref();
        let thread = caller.and_then(|caller| caller.thread.as_deref());
        self.thread_id.push(thread.map_or(0, |thread| thread.id));
        self.thread_name
            .append_option(thread.and_then(|thread| thread.name.as_ref()));
        let task = caller.and_then(|caller| caller.task.as_deref());
        self.task_id.append_option(task.map(|task| task.id));
        self.task_name
            .append_option(task.and_then(|task| task.name.as_ref()));
        self.loop_id
            .append_option(caller.and_then(|caller| caller.loop_id));
        let parent = caller.and_then(|caller| caller.parent);
        let span = caller
            .and_then(|caller| caller.span)
            .filter(|_| ended.kept.is_some());
        let trace = span
            .map(|span| span.trace_id)
            .or(parent.map(|parent| parent.trace_id));
        match trace {
            Some(trace) => self.trace_id.append_value(trace.to_be_bytes())?,
            None => self.trace_id.append_null(),
        }
        match span {
            Some(span) => self.span_id.append_value(span.span_id.to_be_bytes())?,
            None => self.span_id.append_null(),
        }
        Ok(())
    }

    fn push_segments(&mut self, ended: &Ended, whole: bool) {
        let mut nodes = std::mem::take(&mut self.seen);
        nodes.clear();
        if whole {
            for piece in ended.all_pieces() {
                if piece.node != NodeId::NONE && !nodes.contains(&piece.node) {
                    nodes.push(piece.node);
                }
            }
        }
        for node in &nodes {
            if let Some(node) = self.words.node(*node) {
                self.nodes.values().append_value(&node.address);
            }
        }
        self.nodes.append(true);
        if whole && !ended.folded {
            self.segments.push(ended.pieces(), &nodes);
        } else {
            self.segments.end_row();
        }
        if whole {
            self.tracks.push(ended, &nodes);
        } else {
            self.tracks.end_row();
        }
        self.seen = nodes;
    }

    /// Takes the rows.
    ///
    /// # Errors
    /// None that could be told: every row has every column.
    pub fn finish(&mut self, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
        let length = std::mem::take(&mut self.length);
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.kind.finish()),
            Arc::new(UInt64Array::from(taken(&mut self.operation_id))),
            Arc::new(UInt32Array::from(taken(&mut self.client_id))),
            Arc::new(self.operation.finish()),
            Arc::new(self.lane.finish()),
            Arc::new(UInt64Array::from(taken(&mut self.start))),
            Arc::new(UInt64Array::from(taken(&mut self.duration))),
            Arc::new(self.outcome.finish()),
            Arc::new(self.error_type.finish()),
            Arc::new(self.status_code.finish()),
            Arc::new(self.failed_in.finish()),
            Arc::new(self.namespace.finish()),
            Arc::new(self.set.finish()),
            Arc::new(UInt16Array::from(taken(&mut self.sets))),
            Arc::new(UInt32Array::from(taken(&mut self.keys))),
            Arc::new(UInt16Array::from(taken(&mut self.attempts))),
            Arc::new(UInt64Array::from(taken(&mut self.bytes_sent))),
            Arc::new(UInt64Array::from(taken(&mut self.bytes_received))),
            Arc::new(UInt32Array::from(taken(&mut self.in_flight))),
            Arc::new(self.node.finish()),
            Arc::new(UInt64Array::from(taken(&mut self.thread_id))),
            Arc::new(self.thread_name.finish()),
            Arc::new(self.task_id.finish()),
            Arc::new(self.task_name.finish()),
            Arc::new(self.loop_id.finish()),
            Arc::new(self.trace_id.finish()),
            Arc::new(self.span_id.finish()),
        ];
        for stage in &mut self.stages {
            stage.resize(length, 0);
            columns.push(Arc::new(UInt64Array::from(taken(stage))));
        }
        columns.push(Arc::new(self.nodes.finish()));
        columns.push(self.segments.finish()?);
        columns.push(self.tracks.finish()?);
        RecordBatch::try_new(schema.clone(), columns)
    }
}
