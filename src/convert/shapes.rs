//! Dictionaries of records that are read one at a time.
//!
//! Records of a set mostly have the same bins in the same order. Each thread remembers some of these
//! shapes, as a dictionary with those keys and no values that is copied and filled in: that takes neither
//! hashing nor growing, and no look at the names but whether they are the same bytes.

use std::cell::{Cell, RefCell};

use aerospike_rt::replies::{Bin, Particle};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::convert::names::mix;

/// Shapes kept per thread, each on one place.
const PLACES: usize = 16;
/// Records with more bins have no shape that is kept.
const MOST_BINS: usize = 256;

struct Shape {
    names: Vec<(Box<[u8]>, Py<PyString>)>,
    /// These names, and `None` for every value.
    template: Py<PyDict>,
}

#[derive(Default)]
struct Place {
    shape: Option<Shape>,
    /// The last record here of another shape, if there has been none of this shape since. Two of a kind take
    /// the place over, so that records which all differ are looked at and not remembered.
    candidate: Cell<u64>,
}

thread_local! {
    static SHAPES: RefCell<Vec<Place>> = const { RefCell::new(Vec::new()) };
}

/// A number below [`PLACES`] from the first name and about how many there are.
#[inline]
fn place_of<'a>(bins: &(impl Iterator<Item = Bin<'a>> + Clone)) -> Option<usize> {
    let most = bins.size_hint().1?;
    let (first, _) = bins.clone().next()?;
    Some(((mix(first) >> 40) as usize).wrapping_add(most) % PLACES)
}

/// The dictionary of a record whose shape is known; `None` if it is not. `value` makes its values.
pub fn fill_in<'py, 'a>(
    py: Python<'py>,
    bins: impl Iterator<Item = Bin<'a>> + Clone,
    value: impl Fn(Particle<'a>) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Option<Bound<'py, PyDict>>> {
    SHAPES.with(|shapes| {
        // Making objects may collect garbage, which runs Python code that may read a record in turn: it
        // borrows what is borrowed here, and remembers nothing.
        let Ok(shapes) = shapes.try_borrow() else {
            return Ok(None);
        };
        let place = place_of(&bins).and_then(|place| shapes.get(place));
        let Some((place, shape)) = place.and_then(|place| Some((place, place.shape.as_ref()?)))
        else {
            return Ok(None);
        };
        let dict = shape.template.bind(py).copy()?;
        let mut names = shape.names.iter();
        for (name, particle) in bins {
            match names.next() {
                Some((known, string)) if **known == *name => {
                    dict.set_item(string.bind(py), value(particle)?)?;
                }
                _ => return Ok(None),
            }
        }
        if names.next().is_some() {
            return Ok(None);
        }
        place.candidate.set(0);
        Ok(Some(dict))
    })
}

/// Takes notice of a record whose shape was not known. `dict` is what it has become, and has a key for each
/// of its names.
pub fn take_notice<'a>(
    dict: &Bound<'_, PyDict>,
    bins: impl Iterator<Item = Bin<'a>> + Clone,
) -> PyResult<()> {
    if dict.len() > MOST_BINS {
        return Ok(());
    }
    let Some(place) = place_of(&bins) else {
        return Ok(());
    };
    let names = bins.map(|(name, _)| name);
    let seen = names
        .clone()
        .fold(1, |all: u64, name| all.rotate_left(7) ^ mix(name));
    SHAPES.with(|shapes| {
        let Ok(mut shapes) = shapes.try_borrow_mut() else {
            return Ok(());
        };
        shapes.resize_with(PLACES, Place::default);
        let place = &mut shapes[place];
        if place.candidate.replace(seen) == seen {
            place.shape = Some(Shape::of(dict, names)?);
        }
        Ok(())
    })
}

impl Shape {
    fn of<'a>(dict: &Bound<'_, PyDict>, names: impl Iterator<Item = &'a [u8]>) -> PyResult<Self> {
        let py = dict.py();
        let template = PyDict::new(py);
        let mut known = Vec::with_capacity(dict.len());
        for (name, (string, _)) in names.zip(dict.iter()) {
            template.set_item(&string, py.None())?;
            known.push((name.into(), string.cast_into::<PyString>()?.unbind()));
        }
        Ok(Shape {
            names: known,
            template: template.unbind(),
        })
    }
}
