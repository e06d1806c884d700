//! Bins that have stayed in the bytes of their reply, into rows of a structured array.

use aerospike_core::Value;
use aerospike_rt::replies::msgpack::{Reader, Token};
use aerospike_rt::replies::{Bins, Particle};

use super::{cut_to, Element, Field, Layout, Misfit};

/// What filling one row after the other remembers.
#[derive(Default)]
pub(super) struct Filling {
    /// Which field the bin at each place of a record belonged to, last time.
    pub(super) guesses: Vec<usize>,
    /// By field: the number of the row that it was last written in, counted from one.
    written: Vec<usize>,
}

impl Layout {
    /// Writes the bins of the record that is the row of this number.
    pub(super) fn fill_kept(
        &self,
        bins: Bins<'_>,
        target: &mut [u8],
        number: usize,
        filling: &mut Filling,
    ) -> Result<(), Misfit> {
        filling.written.resize(self.fields.len(), 0);
        for (place, (name, particle)) in bins.enumerate() {
            let Some(index) = self.field(name, place, &mut filling.guesses) else {
                continue;
            };
            let field = &self.fields[index];
            if std::mem::replace(&mut filling.written[index], number + 1) == number + 1 {
                return Err(field.mismatch(&Value::MultiResult(Vec::new())));
            }
            field.write_particle(
                &particle,
                &mut target[field.offset..field.offset + field.bytes()],
            )?;
        }
        Ok(())
    }
}

impl Field {
    fn write_particle(&self, particle: &Particle<'_>, target: &mut [u8]) -> Result<(), Misfit> {
        let takes_bytes = self.element == Element::Bytes && !self.is_array;
        match *particle {
            Particle::Int(number) => self.write(&Value::Int(number), target),
            Particle::Float(number) => self.write(&Value::from(number), target),
            Particle::Bool(flag) => self.write(&Value::Bool(flag), target),
            Particle::Nil => Ok(()),
            Particle::Text(bytes)
            | Particle::GeoJson(bytes)
            | Particle::Blob(bytes)
            | Particle::Hll(bytes)
                if takes_bytes =>
            {
                cut_to(target, bytes)
            }
            Particle::Blob(bytes) | Particle::Hll(bytes) if self.is_array => {
                self.write_raw(bytes, target)
            }
            Particle::List(bytes) if self.is_array => self.write_items(bytes, target),
            Particle::Text(_) | Particle::GeoJson(_) => {
                Err(self.mismatch(&Value::String(String::new())))
            }
            Particle::Blob(_) | Particle::Hll(_) => Err(self.mismatch(&Value::Blob(Vec::new()))),
            Particle::List(_) => Err(self.mismatch(&Value::List(Vec::new()))),
            Particle::Map(_) => Err(self.mismatch(&Value::MultiResult(Vec::new()))),
        }
    }

    fn write_items(&self, bytes: &[u8], target: &mut [u8]) -> Result<(), Misfit> {
        let mut reader = Reader::new(bytes);
        let Some(Token::List(count)) = reader.token() else {
            return Err(self.mismatch(&Value::List(Vec::new())));
        };
        if count > self.count {
            return Err(self.too_many(count));
        }
        for element in target.chunks_exact_mut(self.element_bytes).take(count) {
            let Some(token) = reader.token() else { break };
            // What a value contains does not matter where no container fits.
            let value = match token {
                Token::Nil | Token::Extension => continue,
                Token::Int(number) => Value::Int(number),
                Token::Float(number) => Value::from(number),
                Token::Bool(flag) => Value::Bool(flag),
                Token::Text(_) | Token::GeoJson(_) => Value::String(String::new()),
                Token::Blob(_) | Token::Opaque(_) => Value::Blob(Vec::new()),
                Token::List(_) => Value::List(Vec::new()),
                Token::Map(..) => Value::MultiResult(Vec::new()),
            };
            self.write_element(&value, element)?;
        }
        Ok(())
    }
}
