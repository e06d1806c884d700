//! Rows of a structured array: where each field lies, and how values are written there.
//!
//! Works on plain bytes and knows neither Python nor NumPy, so that a batch can be converted without
//! the interpreter. What does not fit is an error: no number is ever wrapped around. Byte strings
//! that are too long are cut, as NumPy itself does.

mod kept;

use std::fmt;

use aerospike_core::{IndexMap, Value};

use crate::convert::half::half_bits;
use crate::ops::request::{ttl_seconds, RowBins, Rows};
use kept::Filling;

/// Bytes of a row of metadata: generation and time to live.
pub const METADATA_BYTES: usize = 8;
/// Bytes of a result code.
pub const CODE_BYTES: usize = 4;

/// What the elements of a field are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// Integers with sign.
    Int,
    /// Integers without sign.
    Uint,
    /// Floats.
    Float,
    /// Booleans.
    Bool,
    /// Bytes of fixed length.
    Bytes,
}

/// One field of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name, which is the bin's.
    pub name: String,
    /// Where it starts in the row.
    pub offset: usize,
    /// Bytes of one element.
    pub element_bytes: usize,
    /// Elements: one, unless it is a sub-array.
    pub count: usize,
    /// Whether it is a sub-array, even if of one element.
    pub is_array: bool,
    /// What the elements are.
    pub element: Element,
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    fields: Vec<Field>,
    row_bytes: usize,
}

/// Why a layout or a value cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misfit {
    /// The wrong type.
    Type(String),
    /// The right type, but too large or too long.
    Range(String),
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misfit::Type(message) | Misfit::Range(message) => f.write_str(message),
        }
    }
}

impl Field {
    /// Bytes of all its elements.
    pub fn bytes(&self) -> usize {
        self.element_bytes.saturating_mul(self.count)
    }

    /// Checks its elements, and that it lies within a row of `row_bytes`.
    pub fn check(&self, row_bytes: usize) -> Result<(), Misfit> {
        let known = match self.element {
            Element::Int | Element::Uint => matches!(self.element_bytes, 1 | 2 | 4 | 8),
            Element::Float => matches!(self.element_bytes, 2 | 4 | 8),
            Element::Bool => self.element_bytes == 1,
            Element::Bytes => true,
        };
        if !known {
            return Err(Misfit::Type(format!(
                "dtype field {:?}: elements of {} bytes are not supported for this kind",
                self.name, self.element_bytes
            )));
        }
        match self.offset.checked_add(self.bytes()) {
            Some(end) if end <= row_bytes => Ok(()),
            _ => Err(Misfit::Type(format!(
                "dtype field {:?} reaches beyond its row",
                self.name
            ))),
        }
    }

    /// Writes a value into the field's part of a row.
    fn write(&self, value: &Value, target: &mut [u8]) -> Result<(), Misfit> {
        match value {
            Value::Nil => Ok(()),
            Value::List(values) if self.is_array => self.write_list(values, target),
            Value::Blob(bytes) | Value::Hll(bytes) if self.is_array => {
                self.write_raw(bytes, target)
            }
            _ if self.is_array => Err(self.mismatch(value)),
            value => self.write_element(value, target),
        }
    }

    fn write_list(&self, values: &[Value], target: &mut [u8]) -> Result<(), Misfit> {
        if values.len() > self.count {
            return Err(self.too_many(values.len()));
        }
        for (value, element) in values
            .iter()
            .zip(target.chunks_exact_mut(self.element_bytes))
        {
            if !value.is_nil() {
                self.write_element(value, element)?;
            }
        }
        Ok(())
    }

    /// The elements as somebody has packed them, in this machine's byte order.
    fn write_raw(&self, bytes: &[u8], target: &mut [u8]) -> Result<(), Misfit> {
        match target.get_mut(..bytes.len()) {
            Some(target) if self.element == Element::Bool => {
                // NumPy relies on booleans being nothing but 0 and 1.
                let flags = bytes.iter().map(|&byte| u8::from(byte != 0));
                target
                    .iter_mut()
                    .zip(flags)
                    .for_each(|(to, flag)| *to = flag);
                Ok(())
            }
            Some(target) => {
                target.copy_from_slice(bytes);
                Ok(())
            }
            None => Err(Misfit::Range(format!(
                "{} bytes do not fit field {:?}, which has {}",
                bytes.len(),
                self.name,
                self.bytes()
            ))),
        }
    }

    fn write_element(&self, value: &Value, target: &mut [u8]) -> Result<(), Misfit> {
        match (self.element, value) {
            (Element::Int, Value::Int(number)) => self.write_int(*number, target),
            (Element::Uint, Value::Int(number)) => self.write_uint(*number, target),
            (Element::Float, Value::Int(number)) => self.write_float(*number as f64, target),
            (Element::Bool, Value::Int(number)) => write_to(target, &[u8::from(*number != 0)]),
            (Element::Float, Value::Float(number)) => self.write_float(f64::from(number), target),
            (Element::Int, Value::Float(number)) => {
                self.write_int(self.whole(f64::from(number))?, target)
            }
            (Element::Uint, Value::Float(number)) => {
                self.write_uint(self.whole(f64::from(number))?, target)
            }
            (Element::Bool, Value::Bool(flag)) => write_to(target, &[u8::from(*flag)]),
            (Element::Int | Element::Uint, Value::Bool(flag)) => {
                self.write_int(i64::from(*flag), target)
            }
            (Element::Float, Value::Bool(flag)) => {
                self.write_float(f64::from(u8::from(*flag)), target)
            }
            (Element::Bytes, Value::Blob(bytes) | Value::Hll(bytes)) => cut_to(target, bytes),
            (Element::Bytes, Value::String(text) | Value::GeoJson(text)) => {
                cut_to(target, text.as_bytes())
            }
            _ => Err(self.mismatch(value)),
        }
    }

    /// A float without its fraction, as an integer.
    fn whole(&self, number: f64) -> Result<i64, Misfit> {
        const LIMIT: f64 = 9_223_372_036_854_775_808.0;
        if (-LIMIT..LIMIT).contains(&number) {
            return Ok(number as i64);
        }
        Err(self.too_large(&number))
    }

    fn write_int(&self, number: i64, target: &mut [u8]) -> Result<(), Misfit> {
        let fits = |_| self.too_large(&number);
        match self.element_bytes {
            1 => write_to(target, &i8::try_from(number).map_err(fits)?.to_ne_bytes()),
            2 => write_to(target, &i16::try_from(number).map_err(fits)?.to_ne_bytes()),
            4 => write_to(target, &i32::try_from(number).map_err(fits)?.to_ne_bytes()),
            _ => write_to(target, &number.to_ne_bytes()),
        }
    }

    fn write_uint(&self, number: i64, target: &mut [u8]) -> Result<(), Misfit> {
        let fits = |_| self.too_large(&number);
        match self.element_bytes {
            1 => write_to(target, &u8::try_from(number).map_err(fits)?.to_ne_bytes()),
            2 => write_to(target, &u16::try_from(number).map_err(fits)?.to_ne_bytes()),
            4 => write_to(target, &u32::try_from(number).map_err(fits)?.to_ne_bytes()),
            _ => write_to(target, &u64::try_from(number).map_err(fits)?.to_ne_bytes()),
        }
    }

    fn write_float(&self, number: f64, target: &mut [u8]) -> Result<(), Misfit> {
        match self.element_bytes {
            2 => write_to(target, &half_bits(number).to_ne_bytes()),
            4 => write_to(target, &(number as f32).to_ne_bytes()),
            _ => write_to(target, &number.to_ne_bytes()),
        }
    }

    fn too_many(&self, values: usize) -> Misfit {
        Misfit::Range(format!(
            "a list of {values} values does not fit field {:?}, which has {}",
            self.name, self.count
        ))
    }

    fn too_large(&self, number: &dyn fmt::Display) -> Misfit {
        let kind = match self.element {
            Element::Uint => "unsigned integer",
            _ => "integer",
        };
        Misfit::Range(format!(
            "{number} does not fit field {:?}, an {kind} of {} bits",
            self.name,
            8 * self.element_bytes
        ))
    }

    fn mismatch(&self, value: &Value) -> Misfit {
        let wanted = match self.element {
            _ if self.is_array => "a list or bytes",
            Element::Int | Element::Uint | Element::Float => "a number",
            Element::Bool => "a bool",
            Element::Bytes => "bytes or str",
        };
        let held = match value {
            Value::Bool(_) => "a bool",
            Value::Int(_) => "an int",
            Value::Float(_) => "a float",
            Value::String(_) | Value::GeoJson(_) => "a str",
            Value::Blob(_) | Value::Hll(_) | Value::Unknown(..) => "bytes",
            Value::List(_) => "a list",
            _ => "a map",
        };
        Misfit::Type(format!(
            "field {:?} takes {wanted}, but the bin holds {held}",
            self.name
        ))
    }
}

fn write_to(target: &mut [u8], bytes: &[u8]) -> Result<(), Misfit> {
    match target.get_mut(..bytes.len()) {
        Some(target) => {
            target.copy_from_slice(bytes);
            Ok(())
        }
        None => Err(Misfit::Range(
            "a field is smaller than its elements".to_owned(),
        )),
    }
}

fn cut_to(target: &mut [u8], bytes: &[u8]) -> Result<(), Misfit> {
    let kept = bytes.len().min(target.len());
    write_to(target, &bytes[..kept])
}

impl Layout {
    /// Checks that all fields lie within a row of `row_bytes`.
    pub fn new(fields: Vec<Field>, row_bytes: usize) -> Result<Self, Misfit> {
        if fields.is_empty() || row_bytes == 0 {
            return Err(Misfit::Type(
                "the dtype must have at least one field with at least one byte".to_owned(),
            ));
        }
        fields.iter().try_for_each(|field| field.check(row_bytes))?;
        Ok(Layout { fields, row_bytes })
    }

    /// Bytes of a row.
    pub fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    /// Writes the bins of a batch into zeroed memory that has a row per record.
    pub fn fill(&self, rows: &Rows, values: &mut [u8]) -> Result<(), Misfit> {
        // Records of a set have their bins in the same order: try first what came last time.
        let mut filling = Filling::default();
        let targets = values.chunks_exact_mut(self.row_bytes);
        for (number, target) in (0..rows.records.len()).zip(targets) {
            match rows.bins(number) {
                None => Ok(()),
                Some(RowBins::Decoded(bins)) => self.fill_decoded(bins, target, &mut filling),
                Some(RowBins::Kept(bins)) => self.fill_kept(bins, target, number, &mut filling),
            }
            .map_err(|misfit| misfit.in_row(number))?;
        }
        Ok(())
    }

    fn fill_decoded(
        &self,
        bins: &IndexMap<String, Value>,
        target: &mut [u8],
        filling: &mut Filling,
    ) -> Result<(), Misfit> {
        for (place, (name, value)) in bins.iter().enumerate() {
            if let Some(index) = self.field(name.as_bytes(), place, &mut filling.guesses) {
                let field = &self.fields[index];
                let target = &mut target[field.offset..field.offset + field.bytes()];
                field.write(value, target)?;
            }
        }
        Ok(())
    }

    /// The index of the field for the bin at this place of a record.
    fn field(&self, name: &[u8], place: usize, guesses: &mut Vec<usize>) -> Option<usize> {
        let fits = |field: &Field| field.name.as_bytes() == name;
        if let Some(&guess) = guesses.get(place) {
            if self.fields.get(guess).is_some_and(fits) {
                return Some(guess);
            }
        }
        let found = self.fields.iter().position(fits);
        if guesses.len() <= place {
            guesses.resize(place + 1, usize::MAX);
        }
        guesses[place] = found.unwrap_or(usize::MAX);
        found
    }
}

/// Writes generation and time to live of every record into zeroed memory.
pub fn fill_metadata(rows: &Rows, metadata: &mut [u8]) -> Result<(), Misfit> {
    let targets = metadata.chunks_exact_mut(METADATA_BYTES);
    for (row, target) in rows.records.iter().zip(targets) {
        if let Some(record) = Rows::found(row) {
            let (generation, ttl) = target.split_at_mut(METADATA_BYTES / 2);
            write_to(generation, &record.generation.to_ne_bytes())?;
            write_to(ttl, &ttl_seconds(record).to_ne_bytes())?;
        }
    }
    Ok(())
}

/// Writes the result code of every record.
pub fn fill_codes(rows: &Rows, codes: &mut [u8]) -> Result<(), Misfit> {
    let targets = codes.chunks_exact_mut(CODE_BYTES);
    for (row, target) in rows.records.iter().zip(targets) {
        write_to(target, &rows.code(row).to_ne_bytes())?;
    }
    Ok(())
}

impl Misfit {
    /// The same, with the number of the row that it is about.
    #[must_use]
    pub fn in_row(self, number: usize) -> Self {
        match self {
            Misfit::Type(message) => Misfit::Type(format!("record {number}: {message}")),
            Misfit::Range(message) => Misfit::Range(format!("record {number}: {message}")),
        }
    }
}

#[cfg(test)]
#[path = "array_layout_tests.rs"]
mod tests;
