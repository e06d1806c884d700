//! Frame names that survive the folded text format and XML: what is allowed, and what becomes of the rest.

use std::borrow::Cow;

/// Stands for a frame without a name.
const UNNAMED: &str = "(unnamed)";

/// The name under which a frame is kept. Names that are clean stay as they are.
///
/// `;` separates frames, line breaks separate stacks and a number after the last blank is a weight, so none of them can
/// be part of a name; control characters and the two non-characters of XML would make the SVG unreadable.
pub(crate) fn clean(name: &str) -> Cow<'_, str> {
    let replaced = if name.chars().any(|c| replacement(c) != c) {
        Cow::Owned(name.chars().map(replacement).collect::<String>())
    } else {
        Cow::Borrowed(name)
    };
    let trimmed = match replaced {
        Cow::Borrowed(name) => Cow::Borrowed(name.trim()),
        Cow::Owned(name) => Cow::Owned(name.trim().to_owned()),
    };
    if trimmed.is_empty() {
        return Cow::Borrowed(UNNAMED);
    }
    // A reader of folded text would skip the line as a comment.
    if trimmed == "#" || trimmed.starts_with("# ") {
        return Cow::Owned(separate_from_number(&format!("_{trimmed}")).into_owned());
    }
    match trimmed {
        Cow::Borrowed(name) => separate_from_number(name),
        Cow::Owned(name) => Cow::Owned(separate_from_number(&name).into_owned()),
    }
}

/// What a text of the chart (not a frame) may hold.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c == ';' { c } else { replacement(c) })
        .collect()
}

fn replacement(character: char) -> char {
    match character {
        ';' => ':',
        '\u{fffe}' | '\u{ffff}' => char::REPLACEMENT_CHARACTER,
        c if c.is_whitespace() || c.is_control() => ' ',
        c => c,
    }
}

/// `node 3` becomes `node_3`: followed by its weight it would read as a stack with two weights.
fn separate_from_number(name: &str) -> Cow<'_, str> {
    match name.rsplit_once(' ') {
        Some((head, tail)) if tail.chars().all(|c| c.is_ascii_digit() || c == '.') => {
            Cow::Owned(format!("{head}_{tail}"))
        }
        _ => Cow::Borrowed(name),
    }
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn clean_names_are_borrowed_as_they_are() {
        for name in [
            "network_wait",
            "node 10.0.0.1:3000",
            "größe",
            "a  b",
            "3",
            "#3",
        ] {
            assert!(
                matches!(clean(name), std::borrow::Cow::Borrowed(kept) if kept == name),
                "{name}"
            );
        }
    }

    #[test]
    fn what_the_formats_reserve_is_replaced() {
        for (name, kept) in [
            ("a;b", "a:b"),
            ("a\nb\tc", "a b c"),
            (" padded\u{a0}", "padded"),
            ("", "(unnamed)"),
            (" \n", "(unnamed)"),
            ("bell\u{7}", "bell"),
            ("\u{ffff}", "\u{fffd}"),
            ("node 3", "node_3"),
            ("load 1.5", "load_1.5"),
            ("# note", "_# note"),
            ("#", "_#"),
            ("# 3", "_#_3"),
        ] {
            assert_eq!(clean(name), kept, "{name:?}");
        }
    }
}
