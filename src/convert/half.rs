//! Half-precision floats, which the standard library does not have yet.

const MANTISSA_BITS: u32 = 10;
const EXPONENT_BIAS: i32 = 15;
const INFINITY: u16 = 0x7c00;
const NAN: u16 = 0x7e00;

/// The bits of the half-precision float nearest to a number; ties go to the even one.
pub fn half_bits(number: f64) -> u16 {
    const DOUBLE_MANTISSA_BITS: u32 = 52;
    let bits = number.to_bits();
    let sign = ((bits >> 48) & 0x8000) as u16;
    if number.is_nan() {
        return sign | NAN;
    }
    let exponent = ((bits >> DOUBLE_MANTISSA_BITS) & 0x7ff) as i32 - 1023;
    if exponent > EXPONENT_BIAS {
        return sign | INFINITY;
    }
    let smallest_normal = 1 - EXPONENT_BIAS;
    // Bits of the double's mantissa that a half has no room for; more of them below its normal range.
    let extra = DOUBLE_MANTISSA_BITS - MANTISSA_BITS
        + u32::try_from(smallest_normal - exponent).unwrap_or(0);
    if extra > DOUBLE_MANTISSA_BITS + 1 {
        return sign;
    }
    let mantissa = (bits & ((1 << DOUBLE_MANTISSA_BITS) - 1)) | (1 << DOUBLE_MANTISSA_BITS);
    let kept = mantissa >> extra;
    let dropped = mantissa & ((1 << extra) - 1);
    let tie = 1u64 << (extra - 1);
    let rounded = kept + u64::from(dropped > tie || (dropped == tie && kept & 1 == 1));
    // A normal number's leading one is implied, and adding the exponent minus one puts it back in
    // place; a carry out of the mantissa moves on to the next exponent, up to infinity.
    let raised = u64::try_from((exponent - smallest_normal).max(0)).unwrap_or(0) << MANTISSA_BITS;
    sign | u16::try_from(rounded + raised).unwrap_or(INFINITY)
}

/// The number that the bits of a half-precision float stand for.
pub fn half_value(bits: u16) -> f64 {
    let exponent = i32::from((bits & INFINITY) >> MANTISSA_BITS);
    let mantissa = f64::from(bits & 0x3ff);
    let magnitude = match exponent {
        0 => mantissa * 2f64.powi(-24),
        31 if mantissa == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + mantissa) * 2f64.powi(exponent - 25),
    };
    if bits & 0x8000 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

#[cfg(test)]
mod tests {
    use super::{half_bits, half_value as value_of};
    use proptest::prelude::*;

    #[test]
    fn every_half_survives_the_round_trip() {
        for bits in 0..=u16::MAX {
            let value = value_of(bits);
            if value.is_nan() {
                assert_eq!(half_bits(value) & 0x7fff, 0x7e00);
            } else {
                assert_eq!(half_bits(value), bits, "{value}");
            }
        }
    }

    #[test]
    fn rounds_at_the_edges() {
        assert_eq!(half_bits(65504.0), 0x7bff);
        assert_eq!(half_bits(65519.99), 0x7bff);
        assert_eq!(half_bits(65520.0), 0x7c00);
        assert_eq!(half_bits(1e300), 0x7c00);
        assert_eq!(half_bits(-1e300), 0xfc00);
        assert_eq!(half_bits(2f64.powi(-25)), 0x0000);
        assert_eq!(half_bits(2f64.powi(-25) * 1.0001), 0x0001);
        assert_eq!(half_bits(f64::MIN_POSITIVE), 0x0000);
        assert_eq!(half_bits(1.0 + 2f64.powi(-11)), 0x3c00);
        assert_eq!(half_bits(1.0 + 3.0 * 2f64.powi(-11)), 0x3c02);
    }

    proptest! {
        #[test]
        fn nothing_is_nearer(number in -70000f64..70000.0) {
            let bits = half_bits(number);
            let distance = (value_of(bits) - number).abs();
            if distance.is_finite() {
                for neighbour in [bits.wrapping_add(1), bits.wrapping_sub(1)] {
                    let other = (value_of(neighbour) - number).abs();
                    prop_assert!(other.is_nan() || other >= distance, "{number}: {bits:#x} against {neighbour:#x}");
                }
            }
        }

        #[test]
        fn small_numbers_too(number in -1e-4f64..1e-4) {
            let bits = half_bits(number);
            let distance = (value_of(bits) - number).abs();
            for neighbour in [(bits & 0x7fff) + 1, (bits & 0x7fff).saturating_sub(1)] {
                let other = (value_of(neighbour | (bits & 0x8000)) - number).abs();
                prop_assert!(other.is_nan() || other >= distance);
            }
        }
    }
}
