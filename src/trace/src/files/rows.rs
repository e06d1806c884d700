//! Rows of operations and of conversions, made column by column of a block of copies.

use std::sync::Arc;

use aerospike_stages::{Caller, NodeId, Stage};
use arrow_array::builder::{FixedSizeBinaryBuilder, ListBuilder, StringBuilder};
use arrow_array::types::{ArrowPrimitiveType, Int32Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{
    ArrayRef, ListArray, PrimitiveArray, RecordBatch, StringArray, StructArray, UInt16Array,
    UInt64Array, UInt8Array,
};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, SchemaRef};

use crate::block::Block;
use crate::ended::{Converted, Ended};
use crate::files::schema;
use crate::pieces::Piece;
use crate::words::Words;

/// A node number that stands for none.
const NO_NODE: u8 = 255;
const CACHE_LINE: usize = 64;

/// Segments of any number of rows or tracks.
#[derive(Default)]
struct Segments {
    ends: Ends,
    stage: Vec<u8>,
    node: Vec<u8>,
    start: Vec<u64>,
    duration: Vec<u64>,
}

impl Segments {
    fn push(&mut self, pieces: impl Iterator<Item = Piece>, nodes: &[NodeId]) {
        for piece in pieces {
            self.stage.push(piece.stage as u8);
            self.node.push(position(nodes, piece.node));
            self.start.push(piece.start);
            self.duration.push(piece.duration);
        }
        self.end_row();
    }

    fn end_row(&mut self) {
        self.ends.push(self.stage.len());
    }

    fn finish(self) -> Result<ArrayRef, ArrowError> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt8Array::from(self.stage)),
            Arc::new(UInt8Array::from(self.node)),
            Arc::new(UInt64Array::from(self.start)),
            Arc::new(UInt64Array::from(self.duration)),
        ];
        let values = StructArray::try_new(schema::segment_fields(), columns, None)?;
        list(schema::segment(), self.ends, Arc::new(values))
    }
}

/// Tracks of any number of rows.
#[derive(Default)]
struct Tracks {
    ends: Ends,
    node: Vec<u8>,
    attempts: Vec<u16>,
    start: Vec<u64>,
    duration: Vec<u64>,
    segments: Segments,
    sent: Vec<u64>,
    received: Vec<u64>,
}

impl Tracks {
    fn push(&mut self, ended: Ended<'_>, nodes: &[NodeId]) {
        for branch in ended.branches {
            self.node.push(position(nodes, ended.node_of(branch)));
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
        self.ends.push(self.node.len());
    }

    fn finish(self) -> Result<ArrayRef, ArrowError> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt8Array::from(self.node)),
            Arc::new(UInt16Array::from(self.attempts)),
            Arc::new(UInt64Array::from(self.start)),
            Arc::new(UInt64Array::from(self.duration)),
            self.segments.finish()?,
            Arc::new(UInt64Array::from(self.sent)),
            Arc::new(UInt64Array::from(self.received)),
        ];
        let values = StructArray::try_new(schema::track_fields(), columns, None)?;
        list(schema::track(), self.ends, Arc::new(values))
    }
}

/// Where the elements of each row end.
struct Ends(Vec<i32>);

impl Default for Ends {
    fn default() -> Self {
        Ends(vec![0])
    }
}

impl Ends {
    fn push(&mut self, end: usize) {
        self.0.push(end as i32);
    }
}

fn list(
    field: Arc<arrow_schema::Field>,
    Ends(ends): Ends,
    values: ArrayRef,
) -> Result<ArrayRef, ArrowError> {
    let offsets = OffsetBuffer::new(ends.into());
    Ok(Arc::new(ListArray::try_new(field, offsets, values, None)?))
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

/// Makes rows of blocks.
pub struct Rows {
    words: Words,
    with_segments: bool,
}

impl Rows {
    /// With or without the segments of operations.
    #[must_use]
    pub fn new(with_segments: bool) -> Self {
        Rows {
            words: Words::default(),
            with_segments,
        }
    }

    /// The operations of a block.
    ///
    /// # Errors
    /// None that could be told: every row has every column.
    pub fn of(&mut self, block: &Block, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
        let all = Columns { block };
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
        columns.push(all.strings(|_| Some("operation")));
        columns.push(all.numbers::<UInt64Type>(|ended| ended.origin.id));
        columns.push(all.numbers::<UInt32Type>(|ended| ended.facts.client));
        columns.push(all.strings(|ended| Some(ended.origin.operation.name())));
        columns.push(all.strings(|ended| Some(ended.origin.lane.name())));
        columns.push(all.numbers::<UInt64Type>(|ended| ended.ending.start));
        columns.push(all.numbers::<UInt64Type>(|ended| ended.ending.wall));
        columns.push(all.strings(|ended| Some(ended.ending.outcome.name())));
        columns.push(all.strings(|ended| ended.end.error));
        columns.push(all.options::<Int32Type>(|ended| ended.end.code));
        columns.push(all.strings(|ended| ended.ending.failed_in.map(Stage::name)));
        self.push_places(&all, &mut columns);
        columns.push(all.numbers::<UInt16Type>(|ended| ended.facts.subject.sets));
        columns.push(all.numbers::<UInt32Type>(|ended| ended.facts.subject.keys));
        columns.push(all.numbers::<UInt16Type>(|ended| narrow(ended.ending.attempts)));
        columns.push(all.numbers::<UInt64Type>(|ended| ended.facts.bytes_sent));
        columns.push(all.numbers::<UInt64Type>(|ended| ended.facts.bytes_received));
        columns.push(all.numbers::<UInt32Type>(|ended| ended.facts.in_flight));
        columns.push(self.nodes(&all));
        all.push_callers(&mut columns);
        all.push_spans(&mut columns)?;
        all.push_stages(&mut columns);
        self.push_segments(&all, &mut columns)?;
        RecordBatch::try_new(schema.clone(), columns)
    }

    /// Namespaces and sets.
    fn push_places(&mut self, all: &Columns<'_>, columns: &mut Vec<ArrayRef>) {
        let (mut namespaces, mut sets) = (all.text(), all.text());
        for ended in all.block.operations() {
            let (namespace, set) = self.words.place(ended.facts.subject.target);
            namespaces.append_option(namespace);
            sets.append_option(set);
        }
        columns.push(Arc::new(namespaces.finish()));
        columns.push(Arc::new(sets.finish()));
    }

    /// The node of each row.
    fn nodes(&mut self, all: &Columns<'_>) -> ArrayRef {
        let mut nodes = all.text();
        for ended in all.block.operations() {
            let node = self.words.node(ended.node());
            nodes.append_option(node.map(|node| &node.address));
        }
        Arc::new(nodes.finish())
    }

    /// The nodes of each row, its segments and its tracks.
    fn push_segments(
        &mut self,
        all: &Columns<'_>,
        columns: &mut Vec<ArrayRef>,
    ) -> Result<(), ArrowError> {
        let mut nodes = ListBuilder::new(StringBuilder::new()).with_field(schema::node());
        let (mut segments, mut tracks) = (Segments::default(), Tracks::default());
        let mut seen = Vec::new();
        for ended in all.block.operations() {
            seen.clear();
            if !self.with_segments {
                segments.end_row();
                tracks.end_row();
                nodes.append(true);
                continue;
            }
            for piece in ended.all_pieces() {
                if piece.node != NodeId::NONE && !seen.contains(&piece.node) {
                    seen.push(piece.node);
                }
            }
            for node in &seen {
                if let Some(node) = self.words.node(*node) {
                    nodes.values().append_value(&node.address);
                }
            }
            nodes.append(true);
            if ended.folded {
                segments.end_row();
            } else {
                segments.push(ended.pieces(), &seen);
            }
            tracks.push(ended, &seen);
        }
        columns.push(Arc::new(nodes.finish()));
        columns.push(segments.finish()?);
        columns.push(tracks.finish()?);
        Ok(())
    }
}

/// Conversions, which have little more than one stage.
///
/// # Errors
/// None that could be told: every row has every column.
pub fn of_conversions(all: &[Converted], schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let numbers = |of: fn(&Converted) -> u64| -> ArrayRef {
        Arc::new(UInt64Array::from_iter_values(all.iter().map(of)))
    };
    let strings = |of: fn(&Converted) -> Option<&str>| -> ArrayRef {
        Arc::new(StringArray::from_iter(all.iter().map(of)))
    };
    let nanos = numbers(|one| one.nanos);
    let columns = vec![
        strings(|_| Some("conversion")),
        numbers(|one| one.origin.id),
        strings(|one| Some(one.origin.operation.name())),
        strings(|one| Some(one.origin.lane.name())),
        numbers(|one| one.start),
        nanos.clone(),
        numbers(|one| one.thread.as_ref().map_or(0, |thread| thread.id)),
        strings(|one| one.thread.as_ref()?.name.as_deref()),
        nanos,
    ];
    RecordBatch::try_new(schema.clone(), columns)
}

/// The operations of a block, from which columns are made.
struct Columns<'a> {
    block: &'a Block,
}

impl Columns<'_> {
    fn rows(&self) -> usize {
        self.block.operations().len()
    }

    fn numbers<T: ArrowPrimitiveType>(&self, of: impl Fn(Ended<'_>) -> T::Native) -> ArrayRef {
        let values: Vec<T::Native> = self.block.operations().map(of).collect();
        Arc::new(PrimitiveArray::<T>::new(values.into(), None))
    }

    /// Numbers that not all of them have.
    fn options<T: ArrowPrimitiveType>(
        &self,
        of: impl Fn(Ended<'_>) -> Option<T::Native>,
    ) -> ArrayRef {
        Arc::new(PrimitiveArray::<T>::from_iter(
            self.block.operations().map(of),
        ))
    }

    fn strings(&self, of: impl Fn(Ended<'_>) -> Option<&'static str>) -> ArrayRef {
        Arc::new(StringArray::from_iter(self.block.operations().map(of)))
    }

    fn text(&self) -> StringBuilder {
        StringBuilder::with_capacity(self.rows(), self.rows() * 8)
    }

    /// Threads, tasks and loops.
    fn push_callers(&self, columns: &mut Vec<ArrayRef>) {
        let threads = || self.callers().map(|caller| caller?.thread.as_deref());
        let ids = threads().map(|thread| thread.map_or(0, |thread| thread.id));
        let names = threads().map(|thread| thread?.name.as_deref());
        columns.push(Arc::new(UInt64Array::from_iter_values(ids)));
        columns.push(Arc::new(StringArray::from_iter(names)));
        let task = |ended: Ended<'_>| ended.caller()?.task.as_ref().map(|task| task.id);
        columns.push(self.options::<UInt64Type>(task));
        let tasks = self.callers().map(|caller| caller?.task.as_deref());
        let mut names = self.text();
        tasks.for_each(|task| names.append_option(task.and_then(|task| task.name.as_ref())));
        columns.push(Arc::new(names.finish()));
        columns.push(self.options::<UInt64Type>(|ended| ended.caller()?.loop_id));
    }

    fn callers(&self) -> impl Iterator<Item = Option<&Caller>> {
        self.block.operations().map(Ended::caller)
    }

    /// The trace that each row belongs to, and its own span if there is one.
    fn push_spans(&self, columns: &mut Vec<ArrayRef>) -> Result<(), ArrowError> {
        let rows = self.rows();
        let mut traces = FixedSizeBinaryBuilder::with_capacity(rows, 16);
        let mut spans = FixedSizeBinaryBuilder::with_capacity(rows, 8);
        for ended in self.block.operations() {
            let caller = ended.caller();
            let parent = caller.and_then(|caller| caller.parent);
            let span = caller
                .and_then(|caller| caller.span)
                .filter(|_| ended.kept.is_some());
            let trace = span
                .map(|span| span.trace_id)
                .or(parent.map(|parent| parent.trace_id));
            match trace {
                Some(trace) => traces.append_value(trace.to_be_bytes())?,
                None => traces.append_null(),
            }
            match span {
                Some(span) => spans.append_value(span.span_id.to_be_bytes())?,
                None => spans.append_null(),
            }
        }
        columns.push(Arc::new(traces.finish()));
        columns.push(Arc::new(spans.finish()));
        Ok(())
    }

    /// Time by stage, a column for each; all of them lie in one piece of memory.
    fn push_stages(&self, columns: &mut Vec<ArrayRef>) {
        let rows = self.rows();
        // Columns that lie a power of two apart have the same few places in the processor's first cache.
        let apart = rows + CACHE_LINE / size_of::<u64>();
        let mut nanos = vec![0_u64; apart * Stage::COUNT];
        for (row, ended) in self.block.operations().enumerate() {
            for piece in ended.pieces() {
                nanos[piece.stage.index() * apart + row] += piece.duration;
            }
        }
        let nanos = Buffer::from_vec(nanos);
        for stage in Stage::ALL {
            let of_stage = ScalarBuffer::new(nanos.clone(), stage.index() * apart, rows);
            columns.push(Arc::new(UInt64Array::new(of_stage, None)));
        }
    }
}
