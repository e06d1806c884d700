//! Colours: one hue per family of frames, one shade per name, the same in every picture.

use inferno::flamegraph::color::Color;

/// What a frame's time is about. It decides the hue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Family {
    /// The network and the server behind it: blue.
    Network,
    /// Work of the client and the driver: green.
    Driver,
    /// Python objects, the GIL, the event loop: orange.
    Python,
    /// Waiting for a permit, a connection or a scheduler: purple.
    Waiting,
    /// Time that nothing explains: grey.
    Unexplained,
    /// What only groups others, such as an operation, a lane or a node: sand.
    Structure,
}

impl Family {
    /// All families in the order of a legend.
    pub const ALL: [Family; 6] = [
        Family::Network,
        Family::Driver,
        Family::Python,
        Family::Waiting,
        Family::Unexplained,
        Family::Structure,
    ];

    /// The families' colours in a sentence, to be put below a title.
    pub const LEGEND: &'static str =
        "blue: network and server, green: client and driver, orange: Python, purple: waiting, grey: unexplained";

    /// The family of this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.name() == name)
    }

    /// The family's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Family::Network => "network",
            Family::Driver => "driver",
            Family::Python => "python",
            Family::Waiting => "waiting",
            Family::Unexplained => "unexplained",
            Family::Structure => "structure",
        }
    }

    const fn hue(self) -> Color {
        match self {
            Family::Network => Color {
                r: 92,
                g: 148,
                b: 222,
            },
            Family::Driver => Color {
                r: 98,
                g: 180,
                b: 110,
            },
            Family::Python => Color {
                r: 240,
                g: 150,
                b: 62,
            },
            Family::Waiting => Color {
                r: 172,
                g: 124,
                b: 204,
            },
            Family::Unexplained => Color {
                r: 165,
                g: 165,
                b: 165,
            },
            Family::Structure => Color {
                r: 222,
                g: 205,
                b: 170,
            },
        }
    }

    /// The family's hue, lightened a little by what the frame is called, so that neighbours can be told apart.
    pub(crate) fn shade(self, frame: &str) -> Color {
        const STEPS: u64 = 6;
        const PERCENT_PER_STEP: u64 = 7;

        // FNV-1a: the standard library's hashes may change with the toolchain, pictures must not.
        let hash = frame.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let percent = (hash >> 32) % STEPS * PERCENT_PER_STEP;
        let lighten = |channel: u8| {
            let gap = u64::from(u8::MAX - channel);
            channel.saturating_add(u8::try_from(gap * percent / 100).unwrap_or(u8::MAX))
        };
        let Color { r, g, b } = self.hue();
        Color {
            r: lighten(r),
            g: lighten(g),
            b: lighten(b),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_family() {
        for family in Family::ALL {
            assert_eq!(Family::from_name(family.name()), Some(family));
        }
        assert_eq!(Family::from_name("weather"), None);
    }

    #[test]
    fn every_family_of_the_stage_table_has_a_colour() {
        for stage in aerospike_stages::Stage::ALL {
            let name = stage.describe().family.name();
            assert!(Family::from_name(name).is_some(), "{name}");
        }
    }

    #[test]
    fn shades_depend_on_the_name_alone_and_keep_the_hue() {
        let wait = Family::Network.shade("network_wait");
        assert_eq!(wait, Family::Network.shade("network_wait"));
        assert_ne!(wait, Family::Network.shade("network_read"));
        for name in ["network_wait", "network_read", "network_write", "x", ""] {
            let Color { r, g, b } = Family::Network.shade(name);
            assert!(b > g && g > r, "{name} is not blue: {r} {g} {b}");
            let Color { r, g, b } = Family::Unexplained.shade(name);
            assert!(r == g && g == b, "{name} is not grey: {r} {g} {b}");
        }
    }
}
