//! Renders stacks and reads the pictures back: well-formed, complete, in order, coloured by family, reproducible.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap;

use aerospike_flamegraphs::{
    render_diff_svg, render_svg, Family, Folded, RenderError, Side, Style,
};
use proptest::prelude::*;
use quick_xml::events::Event;
use quick_xml::Reader;

/// A frame as drawn.
#[derive(Debug, Clone, PartialEq)]
struct Drawn {
    left: f64,
    width: f64,
    fill: String,
}

/// Reads the tooltips and rectangles of all frames; panics where the SVG is not well-formed.
fn frames(svg: &str) -> Vec<(String, Drawn)> {
    let mut reader = Reader::from_str(svg);
    let mut found = Vec::new();
    let mut title: Option<String> = None;
    let mut inside_title = false;
    loop {
        match reader.read_event().expect("well-formed XML") {
            Event::Eof => return found,
            Event::Start(element) if element.name().as_ref() == b"title" => {
                inside_title = true;
                title = Some(String::new());
            }
            Event::End(element) if element.name().as_ref() == b"title" => inside_title = false,
            Event::Text(text) if inside_title => {
                title
                    .get_or_insert_default()
                    .push_str(&text.decode().expect("UTF-8"));
            }
            Event::GeneralRef(reference) if inside_title => {
                let name = reference.decode().expect("UTF-8");
                let resolved = match quick_xml::escape::resolve_predefined_entity(&name) {
                    Some(text) => text.to_owned(),
                    None => reference
                        .resolve_char_ref()
                        .expect("a character reference")
                        .expect("a known entity")
                        .to_string(),
                };
                title.get_or_insert_default().push_str(&resolved);
            }
            Event::Empty(element) if element.name().as_ref() == b"rect" => {
                let attributes: HashMap<String, String> = element
                    .attributes()
                    .map(|attribute| attribute.expect("a well-formed attribute"))
                    .map(|attribute| {
                        let key = String::from_utf8_lossy(attribute.key.as_ref()).into_owned();
                        (key, String::from_utf8_lossy(&attribute.value).into_owned())
                    })
                    .collect();
                if let Some(title) = title.take() {
                    let percent = |name: &str| {
                        attributes[name]
                            .trim_end_matches('%')
                            .parse()
                            .expect("a percentage")
                    };
                    let drawn = Drawn {
                        left: percent("x"),
                        width: percent("width"),
                        fill: attributes["fill"].clone(),
                    };
                    found.push((title, drawn));
                }
            }
            _ => {}
        }
    }
}

/// The drawn frame of this name.
fn frame(svg: &str, name: &str) -> Drawn {
    let prefix = format!("{name} (");
    let mut matching = frames(svg)
        .into_iter()
        .filter(|(title, _)| title.starts_with(&prefix));
    let (_, drawn) = matching
        .next()
        .unwrap_or_else(|| panic!("{name} is not drawn"));
    assert!(matching.next().is_none(), "{name} is drawn twice");
    drawn
}

fn batch() -> Folded {
    let mut folded = Folded::new();
    folded.add(["batch_read", "asyncio", "key_parse"], 100);
    folded.add(["batch_read", "asyncio", "network_wait", "node A"], 500);
    folded.add(["batch_read", "asyncio", "network_wait", "node B"], 200);
    folded.add(["batch_read", "asyncio", "decode"], 150);
    folded.add(["batch_read", "asyncio", "unattributed"], 50);
    folded
}

#[test]
fn frames_are_as_wide_as_their_time_and_in_the_order_they_were_added() {
    let svg = render_svg(&batch(), &Style::new("Batch")).expect("a picture");
    let near = |a: f64, b: f64| (a - b).abs() < 0.001;
    for (name, left, width) in [
        ("batch_read", 0.0, 100.0),
        ("asyncio", 0.0, 100.0),
        ("key_parse", 0.0, 10.0),
        ("network_wait", 10.0, 70.0),
        ("node A", 10.0, 50.0),
        ("node B", 60.0, 20.0),
        ("decode", 80.0, 15.0),
        ("unattributed", 95.0, 5.0),
    ] {
        let drawn = frame(&svg, name);
        assert!(
            near(drawn.left, left) && near(drawn.width, width),
            "{name}: {drawn:?}"
        );
    }
}

#[test]
fn weights_and_labels_are_shown() {
    let mut style = Style::new("Where a <batch> & its keys spend time");
    style.subtitle = Some(Family::LEGEND.to_owned());
    let svg = render_svg(&batch(), &style).expect("a picture");
    let titles: Vec<String> = frames(&svg).into_iter().map(|(title, _)| title).collect();
    assert!(
        titles.contains(&"node A (500 ns, 50.00%)".to_owned()),
        "{titles:?}"
    );
    assert!(svg.contains("Where a &lt;batch&gt; &amp; its keys spend time"));
    assert!(svg.contains("blue: network and server"));
}

#[test]
fn colours_follow_families_and_never_chance() {
    let mut style = Style::new("Batch");
    style.paint("network_wait", Family::Network);
    style.paint("unattributed", Family::Unexplained);
    let svg = render_svg(&batch(), &style).expect("a picture");
    assert_eq!(svg, render_svg(&batch(), &style).expect("the same picture"));

    let channels = |name: &str| -> Vec<u32> {
        let fill = frame(&svg, name).fill;
        let numbers = fill
            .trim_start_matches("rgb(")
            .trim_end_matches(')')
            .to_owned();
        numbers
            .split(',')
            .map(|number| number.parse().expect("a channel"))
            .collect()
    };
    let blue = channels("network_wait");
    assert!(blue[2] > blue[1] && blue[1] > blue[0], "{blue:?}");
    let grey = channels("unattributed");
    assert!(grey[0] == grey[1] && grey[1] == grey[2], "{grey:?}");
    let sand = channels("asyncio");
    assert!(sand[0] > sand[1] && sand[1] > sand[2], "{sand:?}");
}

#[test]
fn a_difference_is_red_where_time_grew_and_blue_where_it_shrank() {
    let mut after = Folded::new();
    after.add(["batch_read", "asyncio", "key_parse"], 100);
    after.add(["batch_read", "asyncio", "network_wait", "node A"], 2500);
    after.add(["batch_read", "asyncio", "decode"], 15);
    after.add(["batch_read", "asyncio", "gil_reacquire"], 400);
    let svg = render_diff_svg(&batch(), &after, &Style::new("Difference")).expect("a picture");

    let fill = |name: &str| frame(&svg, name).fill;
    assert!(
        fill("node A").starts_with("rgb(255,"),
        "grown: {}",
        fill("node A")
    );
    assert!(
        fill("gil_reacquire").starts_with("rgb(255,"),
        "new: {}",
        fill("gil_reacquire")
    );
    assert!(
        fill("decode").ends_with(",255)"),
        "shrunk: {}",
        fill("decode")
    );
    assert_eq!(fill("key_parse"), "rgb(250,250,250)", "unchanged");
    assert!(frame(&svg, "node B").width.abs() < f64::EPSILON, "vanished");
    assert!((frame(&svg, "node A").width - 100.0 * 2500.0 / 3015.0).abs() < 0.001);
}

#[test]
fn what_cannot_be_drawn_is_an_error_that_says_why() {
    let style = Style::new("Nothing");
    let empty = Folded::new();
    let mut endless = Folded::new();
    endless.add(["a"], u64::MAX);

    let error = render_svg(&empty, &style).expect_err("nothing to draw");
    assert!(matches!(error, RenderError::Empty(Side::Only)));
    assert!(error.to_string().contains("was recording switched on?"));
    assert!(matches!(
        render_diff_svg(&empty, &batch(), &style),
        Err(RenderError::Empty(Side::Before))
    ));
    assert!(matches!(
        render_diff_svg(&batch(), &empty, &style),
        Err(RenderError::Empty(Side::After))
    ));
    assert!(matches!(
        render_svg(&endless, &style),
        Err(RenderError::TooLong(Side::Only))
    ));
}

/// Names that try to break the formats, and ordinary ones.
fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_]{1,12}",
        "[a-c]( [0-9.]{1,3})?",
        "(# ?)?[a-z #;<>&\"'\\[\\]-]{0,6}",
        any::<String>(),
    ]
}

fn stacks() -> impl Strategy<Value = Vec<(Vec<String>, u64)>> {
    let stack = (prop::collection::vec(names(), 0..5), 0_u64..1_000_000_000);
    prop::collection::vec(stack, 1..20)
}

fn fold(stacks: &[(Vec<String>, u64)]) -> Folded {
    let mut folded = Folded::new();
    for (frames, weight_ns) in stacks {
        folded.add(frames.iter().map(String::as_str), *weight_ns);
    }
    folded
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn folded_text_leads_back_to_the_same_stacks(stacks in stacks()) {
        let folded = fold(&stacks);
        let total: u64 = stacks.iter().map(|(_, weight_ns)| weight_ns).sum();
        prop_assert_eq!(folded.total_ns(), total);
        prop_assert_eq!(Folded::from_folded_text(&folded.to_folded_text()), Ok(folded));
    }

    #[test]
    fn every_picture_is_well_formed_and_holds_every_frame_once(stacks in stacks()) {
        let folded = fold(&stacks);
        prop_assume!(!folded.is_empty());
        let svg = render_svg(&folded, &Style::new("Any")).expect("a picture");

        let mut paths = std::collections::HashSet::new();
        for (frames, _) in folded.stacks() {
            for depth in 1..=frames.len() {
                paths.insert(frames[..depth].to_vec());
            }
        }
        let drawn = frames(&svg);
        let titles: Vec<&str> = drawn.iter().map(|(title, _)| title.as_str()).collect();
        for path in &paths {
            let prefix = format!("{} (", path.last().copied().unwrap_or_default());
            prop_assert!(titles.iter().any(|title| title.starts_with(&prefix)), "{}", prefix);
        }
        let root = titles.iter().filter(|title| title.starts_with("all (")).count();
        prop_assert!(root >= 1);
        prop_assert_eq!(titles.len(), paths.len() + 1);
    }

    #[test]
    fn a_difference_of_any_two_is_well_formed(before in stacks(), after in stacks()) {
        let (before, after) = (fold(&before), fold(&after));
        prop_assume!(!before.is_empty() && !after.is_empty());
        let svg = render_diff_svg(&before, &after, &Style::new("Any")).expect("a picture");
        prop_assert!(!frames(&svg).is_empty());
    }

    #[test]
    fn reading_any_text_is_an_answer(text in any::<String>()) {
        if let Ok(folded) = Folded::from_folded_text(&text) {
            prop_assert_eq!(Folded::from_folded_text(&folded.to_folded_text()), Ok(folded));
        }
    }
}
