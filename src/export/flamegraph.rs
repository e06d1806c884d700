//! Folded stacks of stages to SVG, coloured by the family of each stage.

use aerospike_flamegraphs::{render_diff_svg, render_svg, Family, Folded, Style};
use aerospike_stages::Stage;

/// Renders folded text (`frame;frame;... nanoseconds` per line); with an earlier one, coloured by what has changed.
///
/// # Errors
/// What is wrong with the text, with its line.
pub fn render(
    folded: &str,
    title: &str,
    subtitle: Option<&str>,
    before: Option<&str>,
) -> Result<String, String> {
    let folded = Folded::from_folded_text(folded).map_err(|error| error.to_string())?;
    let mut style = Style::new(title);
    style.subtitle = subtitle.map(str::to_owned);
    for stage in Stage::ALL {
        if let Some(family) = Family::from_name(stage.describe().family.name()) {
            style.paint(stage.name(), family);
        }
    }
    match before {
        None => render_svg(&folded, &style),
        Some(before) => {
            let before = Folded::from_folded_text(before).map_err(|error| error.to_string())?;
            render_diff_svg(&before, &folded, &style)
        }
    }
    .map_err(|error| error.to_string())
}
