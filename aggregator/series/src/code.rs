//! Values as small whole numbers: exact up to 511 quanta, and from there nine significant bits, so
//! that the error is at most 1/512 of the value. Codes grow with their values, so that the
//! difference of two codes is small where that of the values is.

/// Bits that hold any code.
pub(crate) const CODE_BITS: u32 = 14;
const EXACT: f64 = 512.0;
/// Exponent of the largest value; beyond it (2^63 quanta) values are cut.
const EXPONENT_MAX: u16 = 54;

/// The code of a value of so many quanta.
pub(crate) fn encode(quanta: f64) -> u16 {
    if quanta < EXACT {
        return small(quanta);
    }
    let mut exponent = EXPONENT_MAX.min(log2(quanta) - 8);
    let mut mantissa = small((quanta / scale(exponent)).min(EXACT));
    if mantissa == 512 && exponent < EXPONENT_MAX {
        exponent += 1;
        mantissa = 256;
    }
    exponent * 256 + mantissa.min(511)
}

/// The quanta of a code.
pub(crate) fn decode(code: u16) -> f64 {
    if code < 512 {
        return f64::from(code);
    }
    f64::from(code % 256 + 256) * scale(code / 256 - 1)
}

fn scale(exponent: u16) -> f64 {
    f64::from(exponent).exp2()
}

/// The exponent in the bits of the number itself, which is at least 512.
fn log2(quanta: f64) -> u16 {
    u16::try_from((quanta.to_bits() >> 52) & 0x7ff).map_or(0, |biased| biased.saturating_sub(1_023))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "0 to 512, as each caller has seen to"
)]
fn small(quanta: f64) -> u16 {
    quanta.round() as u16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_value_comes_back_within_a_512th(quanta in 0.0..1e18f64) {
            let back = decode(encode(quanta));
            prop_assert!((back - quanta).abs() <= (quanta / 512.0).max(0.5), "{quanta} {back}");
        }

        #[test]
        fn codes_grow_with_values(a in 0.0..1e15f64, b in 0.0..1e15f64) {
            prop_assert_eq!(encode(a.min(b)).cmp(&encode(a.max(b))).is_gt(), false);
        }

        #[test]
        fn whole_numbers_below_512_are_exact(quanta in 0u16..512) {
            prop_assert_eq!(encode(f64::from(quanta)), quanta);
            prop_assert!((decode(quanta) - f64::from(quanta)).abs() < f64::EPSILON);
        }
    }

    #[test]
    fn the_largest_value_has_a_code() {
        for quanta in [f64::MAX, 1.8e19, 9.2e18] {
            assert!(encode(quanta) < 1 << CODE_BITS, "{quanta}");
            assert!(decode(encode(quanta)) > 9e18);
        }
        assert_eq!(encode(511.6), 512);
    }
}
