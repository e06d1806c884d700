//! Folded stacks to SVG. `inferno` draws; here its input is ordered and its failures are made impossible or told.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use inferno::flamegraph::color::{BackgroundColor, PaletteMap};
use inferno::flamegraph::{self, Options, TextTruncateDirection};

use crate::colour::Family;
use crate::folded::Folded;
use crate::frame::{clean, printable};

/// `inferno` computes with signed numbers and floats; beyond this (292 years) it would be wrong.
const LARGEST_TOTAL_NS: u64 = i64::MAX.unsigned_abs();

/// How a flamegraph is labelled and coloured.
#[derive(Debug, Clone)]
pub struct Style {
    /// The line above the picture.
    pub title: String,
    /// The line below the title.
    pub subtitle: Option<String>,
    /// What the weights are, as shown for every frame.
    pub count_name: String,
    /// What a frame is, as shown while pointing at one.
    pub name_type: String,
    /// Pixels; `None` fills the window it is viewed in.
    pub width: Option<usize>,
    families: BTreeMap<String, Family>,
}

impl Style {
    /// A style with a title; frames that are not painted belong to [`Family::Structure`].
    #[must_use]
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            subtitle: None,
            count_name: "ns".to_owned(),
            name_type: "Frame:".to_owned(),
            width: None,
            families: BTreeMap::new(),
        }
    }

    /// Puts all frames of this name into a family.
    pub fn paint(&mut self, frame: &str, family: Family) {
        self.families.insert(clean(frame).into_owned(), family);
    }

    fn palette(&self, folded: &Folded) -> PaletteMap {
        let mut palette = PaletteMap::default();
        palette.insert("", Family::Structure.shade(""));
        for (frames, _) in folded.stacks() {
            for frame in frames {
                let family = self
                    .families
                    .get(frame)
                    .copied()
                    .unwrap_or(Family::Structure);
                palette.insert(frame, family.shade(frame));
            }
        }
        palette
    }

    fn options<'a>(&self, palette: &'a mut PaletteMap) -> Options<'a> {
        let mut options = Options::default();
        options.title = printable(&self.title);
        options.subtitle = self.subtitle.as_deref().map(printable);
        options.count_name = printable(&self.count_name);
        options.name_type = printable(&self.name_type);
        options.image_width = self.width;
        options.palette_map = Some(palette);
        options.bgcolors = Some(BackgroundColor::Grey);
        options.text_truncate_direction = TextTruncateDirection::Right;
        options.min_width = 0.0;
        // In this mode stacks are drawn in the order they come in (reversed), instead of sorted by name.
        options.flame_chart = true;
        options
    }
}

/// Draws stacks as an SVG that can be zoomed and searched in a browser.
///
/// # Errors
///
/// There is no stack, or together they are longer than 292 years.
pub fn render_svg(folded: &Folded, style: &Style) -> Result<String, RenderError> {
    check(folded, Side::Only)?;
    let lines = folded
        .stacks()
        .into_iter()
        .map(|(frames, weight_ns)| format!("{} {weight_ns}", frames.join(";")))
        .collect();
    draw(lines, style, style.palette(folded))
}

/// Draws what has changed: frames are as wide as in `after`, red ones have grown and blue ones have shrunk.
///
/// A stack that `after` does not have has no width; swap the arguments to see it. Give weights per operation, or the
/// picture shows that one side ran for longer.
///
/// # Errors
///
/// One side has no stack, or one side's stacks are together longer than 292 years.
pub fn render_diff_svg(
    before: &Folded,
    after: &Folded,
    style: &Style,
) -> Result<String, RenderError> {
    check(before, Side::Before)?;
    check(after, Side::After)?;
    let mut both = after.clone();
    both.merge(before);
    let lines = both
        .stacks()
        .into_iter()
        .map(|(frames, _)| {
            let earlier_ns = before.own_ns(frames.iter().copied());
            let later_ns = after.own_ns(frames.iter().copied());
            format!("{} {earlier_ns} {later_ns}", frames.join(";"))
        })
        .collect();
    draw(lines, style, PaletteMap::default())
}

fn check(folded: &Folded, side: Side) -> Result<(), RenderError> {
    if folded.is_empty() {
        return Err(RenderError::Empty(side));
    }
    if folded.total_ns() > LARGEST_TOTAL_NS {
        return Err(RenderError::TooLong(side));
    }
    Ok(())
}

fn draw(lines: Vec<String>, style: &Style, mut palette: PaletteMap) -> Result<String, RenderError> {
    let mut svg = Vec::new();
    let mut options = style.options(&mut palette);
    let reversed = lines.iter().rev().map(String::as_str);
    flamegraph::from_lines(&mut options, reversed, &mut svg).map_err(RenderError::Drawing)?;
    String::from_utf8(svg)
        .map_err(|error| RenderError::Drawing(io::Error::new(io::ErrorKind::InvalidData, error)))
}

/// Which of the stacks an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// There is only one.
    Only,
    /// The earlier of two.
    Before,
    /// The later of two.
    After,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Only => "the stacks",
            Side::Before => "the stacks before",
            Side::After => "the stacks after",
        })
    }
}

/// Why there is no picture.
#[derive(Debug)]
#[non_exhaustive]
pub enum RenderError {
    /// There is nothing to draw.
    Empty(Side),
    /// The times add up to more than 292 years.
    TooLong(Side),
    /// The drawing itself failed.
    Drawing(io::Error),
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RenderError::Empty(side) => {
                write!(
                    f,
                    "nothing to draw: {side} hold no time; was recording switched on?"
                )
            }
            RenderError::TooLong(side) => {
                write!(
                    f,
                    "cannot draw: {side} add up to more than 292 years of nanoseconds"
                )
            }
            RenderError::Drawing(error) => write!(f, "cannot draw: {error}"),
        }
    }
}

impl std::error::Error for RenderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RenderError::Drawing(error) => Some(error),
            RenderError::Empty(_) | RenderError::TooLong(_) => None,
        }
    }
}
