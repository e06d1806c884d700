//! The text form of faults, shared by Python and the command line.

use std::str::FromStr;
use std::time::Duration;

use super::{Action, DelayShape, Fault, FaultError};

/// A heavy tail given without a cap ends at this multiple of its p99.
const DEFAULT_CAP_FACTOR: u32 = 10;

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).map_err(|error| FaultError::new(format!("fault {text:?}: {error}")))
    }
}

fn parse(text: &str) -> Result<Fault, FaultError> {
    let text = text.trim();
    let (text, times) = split_times(text)?;
    let (text, probability) = match text.rsplit_once('@') {
        Some((action, probability)) => {
            let number = probability.trim().parse::<f64>().map_err(|_| {
                FaultError::new(format!(
                    "{probability:?} is no probability: give a number such as 0.1"
                ))
            })?;
            (action, number)
        }
        None => (text, 1.0),
    };
    let fault = Fault {
        action: parse_action(text.trim())?,
        probability,
        times,
    };
    fault.check()?;
    Ok(fault)
}

/// Splits a trailing `xTIMES` off; no action or argument ends in `x` and digits.
fn split_times(text: &str) -> Result<(&str, Option<u64>), FaultError> {
    let Some((rest, digits)) = text.rsplit_once('x') else {
        return Ok((text, None));
    };
    let times = digits.trim().parse().map_err(|_| {
        FaultError::new(format!(
            "{digits:?} after x is no number of times: give a whole number such as x3"
        ))
    })?;
    Ok((rest.trim_end(), Some(times)))
}

fn parse_action(text: &str) -> Result<Action, FaultError> {
    let (name, arguments) = match text.split_once('=') {
        Some((name, arguments)) => (name.trim(), Some(arguments.trim())),
        None => (text, None),
    };
    let name = name.to_ascii_lowercase().replace('_', "-");
    match (name.as_str(), arguments) {
        ("delay", Some(shape)) => Ok(Action::Delay(parse_shape(shape)?)),
        ("dribble", Some(arguments)) => parse_dribble(arguments),
        ("error", Some(code)) => code
            .parse()
            .map(Action::Error)
            .map_err(|_| FaultError::new(format!("{code:?} is no result code: give a number from 1 to 255"))),
        ("stall", None) => Ok(Action::Stall),
        ("reset", None) => Ok(Action::Reset),
        ("reset-mid-reply", None) => Ok(Action::ResetMidReply),
        ("refuse", None) => Ok(Action::Refuse),
        ("delay", None) => Err(FaultError::new("a delay needs a duration, such as delay=5ms")),
        ("dribble", None) => Err(FaultError::new("a dribble needs piece and gap, such as dribble=16,1ms")),
        ("error", None) => Err(FaultError::new("an error needs a result code, such as error=9")),
        ("stall" | "reset" | "reset-mid-reply" | "refuse", Some(_)) => {
            Err(FaultError::new(format!("{name} takes no arguments: leave out what follows =")))
        }
        _ => Err(FaultError::new(format!(
            "unknown action {name:?}: use delay, dribble, stall, reset, reset-mid-reply, refuse or error"
        ))),
    }
}

fn parse_shape(text: &str) -> Result<DelayShape, FaultError> {
    if let Some(arguments) = text.strip_prefix("heavy:") {
        let durations = arguments
            .split(',')
            .map(parse_duration)
            .collect::<Result<Vec<_>, _>>()?;
        return match durations[..] {
            [median, p99] => Ok(DelayShape::HeavyTail {
                median,
                p99,
                cap: p99.saturating_mul(DEFAULT_CAP_FACTOR),
            }),
            [median, p99, cap] => Ok(DelayShape::HeavyTail { median, p99, cap }),
            _ => Err(FaultError::new(
                "a heavy tail needs median and p99, and may have a cap, such as delay=heavy:1ms,50ms,200ms",
            )),
        };
    }
    match text.split_once("..") {
        Some((min, max)) => Ok(DelayShape::Uniform {
            min: parse_duration(min)?,
            max: parse_duration(max)?,
        }),
        None => parse_duration(text).map(DelayShape::Fixed),
    }
}

fn parse_dribble(text: &str) -> Result<Action, FaultError> {
    let Some((piece, gap)) = text.split_once(',') else {
        return Err(FaultError::new(
            "a dribble needs piece and gap, such as dribble=16,1ms",
        ));
    };
    let piece = piece.trim().parse().map_err(|_| {
        FaultError::new(format!(
            "{piece:?} is no number of bytes: give a whole number such as 16"
        ))
    })?;
    Ok(Action::Dribble {
        piece,
        gap: parse_duration(gap)?,
    })
}

/// A number and its unit: `250us`, `1.5ms`, `2s`.
fn parse_duration(text: &str) -> Result<Duration, FaultError> {
    let text = text.trim();
    let wrong = || {
        FaultError::new(format!(
            "{text:?} is no duration: give a number and ns, us, ms or s, such as 5ms"
        ))
    };
    let unit_at = text
        .find(|c: char| c.is_ascii_alphabetic())
        .ok_or_else(wrong)?;
    let (number, unit) = text.split_at(unit_at);
    let scale = match unit {
        "ns" => 1e-9,
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return Err(wrong()),
    };
    let number: f64 = number.trim().parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(number * scale).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parsed(text: &str) -> Fault {
        text.parse().unwrap()
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn every_action_has_a_text_form() {
        let cases = [
            ("delay=5ms", Action::Delay(DelayShape::Fixed(MS * 5))),
            ("delay=250us", Action::Delay(DelayShape::Fixed(MS / 4))),
            (
                "delay=1ms..10ms",
                Action::Delay(DelayShape::Uniform {
                    min: MS,
                    max: MS * 10,
                }),
            ),
            (
                "delay=heavy:1ms,50ms",
                Action::Delay(DelayShape::HeavyTail {
                    median: MS,
                    p99: MS * 50,
                    cap: MS * 500,
                }),
            ),
            (
                "delay=heavy:1ms, 50ms, 0.2s",
                Action::Delay(DelayShape::HeavyTail {
                    median: MS,
                    p99: MS * 50,
                    cap: MS * 200,
                }),
            ),
            ("dribble=16,1ms", Action::Dribble { piece: 16, gap: MS }),
            ("stall", Action::Stall),
            ("reset", Action::Reset),
            ("Reset_Mid_Reply", Action::ResetMidReply),
            (" refuse ", Action::Refuse),
            ("error=9", Action::Error(9)),
        ];
        for (text, action) in cases {
            assert_eq!(parsed(text), Fault::always(action), "{text}");
        }
    }

    #[test]
    fn probability_and_times_follow_the_action() {
        let stall = Fault::always(Action::Stall);
        assert_eq!(parsed("stall@0.25"), stall.clone().with_probability(0.25));
        assert_eq!(parsed("stall x3"), stall.clone().times(3));
        assert_eq!(
            parsed("delay=5ms@0.5x3"),
            Fault::always(Action::Delay(DelayShape::Fixed(MS * 5)))
                .with_probability(0.5)
                .times(3)
        );
    }

    #[test]
    fn errors_quote_the_text_and_say_what_to_give() {
        let cases = [
            ("", "unknown action"),
            ("slow", "unknown action"),
            ("delay", "needs a duration"),
            ("delay=5", "no duration"),
            ("delay=-5ms", "no duration"),
            ("delay=5parsecs", "no duration"),
            ("delay=heavy:1ms", "median and p99"),
            ("delay=9ms..1ms", "other way round"),
            ("dribble=16", "piece and gap"),
            ("dribble=many,1ms", "no number of bytes"),
            ("error=300", "no result code"),
            ("error=0", "success"),
            ("stall=1", "no arguments"),
            ("stall@often", "no probability"),
            ("stall@2", "out of range"),
            ("stallxa", "no number of times"),
            ("stallx0", "0 times"),
        ];
        for (text, advice) in cases {
            let error = text.parse::<Fault>().unwrap_err().to_string();
            assert!(error.contains(advice), "{text}: {error}");
            assert!(error.starts_with(&format!("fault {text:?}")), "{error}");
        }
    }
}
