//! What a scraper takes, by its headers.

use crate::export::text::Format;

/// A member of such a header, with its weight.
fn members(header: &str) -> impl Iterator<Item = (&str, impl Iterator<Item = (&str, &str)>, f32)> {
    header.split(',').map(|member| {
        let mut parts = member.split(';').map(str::trim);
        let name = parts.next().unwrap_or("");
        let parameters = parts.filter_map(|part| part.split_once('='));
        let weight = parameters
            .clone()
            .find(|(name, _)| name.trim() == "q")
            .map_or(1.0, |(_, weight)| weight.trim().parse().unwrap_or(0.0));
        (name, parameters, weight)
    })
}

/// The text to answer with: OpenMetrics 1.0 to those who like it at least as much as plain text.
pub fn format(accept: &str) -> Format {
    let (mut openmetrics, mut plain) = (0.0f32, 0.0f32);
    for (name, mut parameters, weight) in members(accept) {
        match name {
            "application/openmetrics-text" => {
                let other = parameters
                    .any(|(name, value)| name == "version" && value.trim_matches('"') != "1.0.0");
                if !other {
                    openmetrics = openmetrics.max(weight);
                }
            }
            "text/plain" | "text/*" | "*/*" => plain = plain.max(weight),
            _ => {}
        }
    }
    if openmetrics > 0.0 && openmetrics >= plain {
        Format::OpenMetrics
    } else {
        Format::Prometheus
    }
}

/// Whether compressed answers are understood.
pub fn takes_gzip(accept_encoding: &str) -> bool {
    members(accept_encoding).any(|(name, _, weight)| matches!(name, "gzip" | "*") && weight > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_for_those_who_ask() {
        let scraper = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                       text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(format(scraper), Format::OpenMetrics);
        for plain in [
            "",
            "*/*",
            "text/html, */*;q=0.8",
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text; q=0.2, text/plain; q=0.5",
            "application/openmetrics-text;q=wrong",
        ] {
            assert_eq!(format(plain), Format::Prometheus, "{plain}");
        }
    }

    #[test]
    fn gzip_may_be_refused() {
        assert!(takes_gzip("gzip") && takes_gzip("deflate, gzip;q=0.5") && takes_gzip("*"));
        assert!(!takes_gzip("") && !takes_gzip("identity") && !takes_gzip("gzip;q=0"));
    }
}
