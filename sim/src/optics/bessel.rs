//! Bessel functions for apertures and for the step-index fibre, to a few units of the last digits in the ranges said.

use std::f64::consts::PI;

/// Above this argument the asymptotic series has a term below 1e-16 before it turns (at about 2x terms).
const ASYMPTOTIC_FROM: f64 = 30.0;

/// exp(-x) I0(x) for x >= 0: power series, and the asymptotic one (Abramowitz and Stegun 9.6.12, 9.7.1).
pub(super) fn i0_scaled(x: f64) -> f64 {
    let (mut term, mut sum) = (1.0, 1.0);
    if x < ASYMPTOTIC_FROM {
        let quarter = x * x / 4.0;
        for k in 1..100 {
            term *= quarter / f64::from(k * k);
            sum += term;
            if term < sum * 1e-17 {
                break;
            }
        }
        return sum * (-x).exp();
    }
    for k in 1..60 {
        let odd = f64::from(2 * k - 1);
        term *= odd * odd / (8.0 * f64::from(k) * x);
        sum += term;
        if term < 1e-17 {
            break;
        }
    }
    sum / (2.0 * PI * x).sqrt()
}

/// J0(x) and J1(x) for |x| <= 10, by the trapezoid rule on Bessel's integral, which is exact for a periodic function.
pub(super) fn j0_j1(x: f64) -> (f64, f64) {
    const POINTS: i32 = 64;
    let (mut j0, mut j1) = (0.0, 0.0);
    for k in 0..POINTS {
        let angle = (f64::from(k) + 0.5) * PI / f64::from(POINTS);
        let phase = x * angle.sin();
        j0 += phase.cos();
        j1 += (angle - phase).cos();
    }
    (j0 / f64::from(POINTS), j1 / f64::from(POINTS))
}

/// exp(x) K0(x) and exp(x) K1(x) for x >= 1e-3, by the trapezoid rule on exp(-x cosh t), which falls doubly fast.
pub(super) fn k0_k1_scaled(x: f64) -> (f64, f64) {
    // The integrand narrows to a Gaussian of width 1/sqrt(x): the rule's error is about exp(-2 pi^2 / (x step^2)).
    let step = (0.4 / x).sqrt().min(0.2);
    let (mut k0, mut k1) = (0.5, 0.5);
    for k in 1..400 {
        let t = f64::from(k) * step;
        // cosh t - 1 = 2 sinh^2(t/2) keeps its digits at small t.
        let term = (-2.0 * x * (t / 2.0).sinh().powi(2)).exp();
        k0 += term;
        k1 += term * t.cosh();
        if term * t.cosh() < 1e-18 {
            break;
        }
    }
    (k0 * step, k1 * step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, expect: f64) {
        assert!((got / expect - 1.0).abs() < 2e-14, "{got:e} {expect:e}");
    }

    /// To ten digits in Abramowitz and Stegun, tables 9.1 and 9.8; the rest from arithmetic of 25 digits (mpmath).
    #[test]
    fn bessel_functions_agree_with_published_tables() {
        let (j0, j1) = j0_j1(1.0);
        close(j0, 0.765_197_686_557_966_6);
        close(j1, 0.440_050_585_744_933_5);
        let (k0, k1) = k0_k1_scaled(1.0);
        close(k0 * (-1f64).exp(), 0.421_024_438_240_708_34);
        close(k1 * (-1f64).exp(), 0.601_907_230_197_234_6);
        close(i0_scaled(1.0) * 1f64.exp(), 1.266_065_877_752_008_4);
        let (j0, j1) = j0_j1(2.4);
        assert!((j0 - 0.002_507_683_297_243_859).abs() < 1e-15 && (j1 - 0.520_185_268_181_931).abs() < 1e-15);
        for (x, at_k0, at_k1) in [
            (0.01, 4.768_694_028_544_462, 100.978_648_458_240_05),
            (20.0, 0.278_544_876_657_182_2, 0.285_425_496_940_726_45),
        ] {
            let (k0, k1) = k0_k1_scaled(x);
            close(k0, at_k0);
            close(k1, at_k1);
        }
        close(i0_scaled(25.0), 0.080_196_773_547_436_7);
        close(i0_scaled(100.0), 0.039_944_379_299_096_68);
    }

    #[test]
    fn the_two_series_of_i0_meet() {
        let below = i0_scaled(ASYMPTOTIC_FROM * (1.0 - 1e-15));
        close(i0_scaled(ASYMPTOTIC_FROM), below);
        assert!((i0_scaled(0.0) - 1.0).abs() < 1e-16);
    }
}
