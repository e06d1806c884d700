//! Rows of operations, made column by column of a block of copies.

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

    /// The rows of a block: operations, and after them conversions, which have little more than one stage.
    ///
    /// # Errors
    /// None that could be told: every row has every column.
    pub fn of(&mut self, block: &Block, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
        let all = Columns { block };
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
        columns.push(all.strings(|_| Some("operation"), |_| Some("conversion")));
        columns.push(all.numbers::<UInt64Type>(|ended| ended.origin.id, |one| one.origin.id));
        columns.push(all.numbers::<UInt32Type>(|ended| ended.facts.client, |_| 0));
        columns.push(all.strings(
            |ended| Some(ended.origin.operation.name()),
            |one| Some(one.origin.operation.name()),
        ));
        columns.push(all.strings(
            |ended| Some(ended.origin.lane.name()),
            |one| Some(one.origin.lane.name()),
        ));
        columns.push(all.numbers::<UInt64Type>(|ended| ended.ending.start, |one| one.start));
        columns.push(all.numbers::<UInt64Type>(|ended| ended.ending.wall, |one| one.nanos));
        columns.push(all.strings(|ended| Some(ended.ending.outcome.name()), |_| None));
        columns.push(all.strings(|ended| ended.end.error, |_| None));
        let codes = all.block.operations().map(|ended| ended.end.code);
        columns.push(all.options::<Int32Type>(codes));
        columns.push(all.strings(|ended| ended.ending.failed_in.map(Stage::name), |_| None));
        self.push_places(&all, &mut columns);
        columns.push(all.numbers::<UInt16Type>(|ended| ended.facts.subject.sets, |_| 0));
        columns.push(all.numbers::<UInt32Type>(|ended| ended.facts.subject.keys, |_| 0));
        columns.push(all.numbers::<UInt16Type>(|ended| narrow(ended.ending.attempts), |_| 0));
        columns.push(all.numbers::<UInt64Type>(|ended| ended.facts.bytes_sent, |_| 0));
        columns.push(all.numbers::<UInt64Type>(|ended| ended.facts.bytes_received, |_| 0));
        columns.push(all.numbers::<UInt32Type>(|ended| ended.facts.in_flight, |_| 0));
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
        columns.push(all.finish(namespaces));
        columns.push(all.finish(sets));
    }

    /// The node of each row.
    fn nodes(&mut self, all: &Columns<'_>) -> ArrayRef {
        let mut nodes = all.text();
        for ended in all.block.operations() {
            let node = self.words.node(ended.node());
            nodes.append_option(node.map(|node| &node.address));
        }
        all.finish(nodes)
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
        for _ in all.block.conversions() {
            nodes.append(true);
            segments.end_row();
            tracks.end_row();
        }
        columns.push(Arc::new(nodes.finish()));
        columns.push(segments.finish()?);
        columns.push(tracks.finish()?);
        Ok(())
    }
}

/// A block, from which columns are made.
struct Columns<'a> {
    block: &'a Block,
}

impl Columns<'_> {
    fn numbers<T: ArrowPrimitiveType>(
        &self,
        of_operation: impl Fn(Ended<'_>) -> T::Native,
        of_conversion: impl Fn(&Converted) -> T::Native,
    ) -> ArrayRef {
        let mut values = Vec::with_capacity(self.block.len());
        values.extend(self.block.operations().map(of_operation));
        values.extend(self.block.conversions().iter().map(of_conversion));
        Arc::new(PrimitiveArray::<T>::new(values.into(), None))
    }

    /// Numbers of operations, which not all of them have, and conversions do not.
    fn options<T: ArrowPrimitiveType>(
        &self,
        of_operations: impl Iterator<Item = Option<T::Native>>,
    ) -> ArrayRef {
        let of_conversions = self.block.conversions().iter().map(|_| None);
        let all = of_operations.chain(of_conversions);
        Arc::new(PrimitiveArray::<T>::from_iter(all))
    }

    fn strings(
        &self,
        of_operation: impl Fn(Ended<'_>) -> Option<&'static str>,
        of_conversion: impl Fn(&Converted) -> Option<&'static str>,
    ) -> ArrayRef {
        let of_operations = self.block.operations().map(of_operation);
        let of_conversions = self.block.conversions().iter().map(of_conversion);
        Arc::new(StringArray::from_iter(of_operations.chain(of_conversions)))
    }

    /// For strings of operations; [`Columns::finish`] adds the conversions, which have none.
    fn text(&self) -> StringBuilder {
        let rows = self.block.len();
        StringBuilder::with_capacity(rows, rows * 8)
    }

    fn finish(&self, mut strings: StringBuilder) -> ArrayRef {
        strings.append_nulls(self.block.conversions().len());
        Arc::new(strings.finish())
    }

    /// Threads, tasks and loops.
    fn push_callers(&self, columns: &mut Vec<ArrayRef>) {
        let threads = || {
            let of_operations = self.callers().map(|caller| caller?.thread.as_deref());
            let of_conversions = self.block.conversions().iter();
            of_operations.chain(of_conversions.map(|one| one.thread.as_deref()))
        };
        let ids = threads().map(|thread| thread.map_or(0, |thread| thread.id));
        let names = threads().map(|thread| thread?.name.as_deref());
        columns.push(Arc::new(UInt64Array::from_iter_values(ids)));
        columns.push(Arc::new(StringArray::from_iter(names)));
        let tasks = || self.callers().map(|caller| caller?.task.as_deref());
        columns.push(self.options::<UInt64Type>(tasks().map(|task| Some(task?.id))));
        let mut names = self.text();
        tasks().for_each(|task| names.append_option(task.and_then(|task| task.name.as_ref())));
        columns.push(self.finish(names));
        columns.push(self.options::<UInt64Type>(self.callers().map(|caller| caller?.loop_id)));
    }

    fn callers(&self) -> impl Iterator<Item = Option<&Caller>> {
        self.block.operations().map(Ended::caller)
    }

    /// The trace that each row belongs to, and its own span if there is one.
    fn push_spans(&self, columns: &mut Vec<ArrayRef>) -> Result<(), ArrowError> {
        let rows = self.block.len();
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
        let conversions = self.block.conversions().len();
        traces.append_nulls(conversions);
        spans.append_nulls(conversions);
        columns.push(Arc::new(traces.finish()));
        columns.push(Arc::new(spans.finish()));
        Ok(())
    }

    /// Time by stage, a column for each; all of them lie in one piece of memory.
    fn push_stages(&self, columns: &mut Vec<ArrayRef>) {
        let rows = self.block.len();
        // Columns that lie a power of two apart have the same few places in the processor's first cache.
        let apart = rows + CACHE_LINE / size_of::<u64>();
        let mut nanos = vec![0_u64; apart * Stage::COUNT];
        let operations = self.block.operations();
        let first_conversion = operations.len();
        for (row, ended) in operations.enumerate() {
            for piece in ended.pieces() {
                nanos[piece.stage.index() * apart + row] += piece.duration;
            }
        }
        for (place, converted) in self.block.conversions().iter().enumerate() {
            nanos[Stage::ToDict.index() * apart + first_conversion + place] = converted.nanos;
        }
        let nanos = Buffer::from_vec(nanos);
        for stage in Stage::ALL {
            let of_stage = ScalarBuffer::new(nanos.clone(), stage.index() * apart, rows);
            columns.push(Arc::new(UInt64Array::new(of_stage, None)));
        }
    }
}
