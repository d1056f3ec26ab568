//! The samples of a trace as one compressed blob that describes itself.
//!
//! zstd over: `FLT1`, then the counts of samples, axes and channels as 32-bit numbers, then columns: times, commanded
//! position of each axis, actual position of each axis, and of each channel a byte a sample (0 power, 1 under range,
//! 2 saturated) and the watts (0 where there is no power). A column of 64-bit floats is stored byte plane by byte plane
//! (all lowest bytes first): neighbouring samples share their high bytes, and zstd finds that. All little-endian, exact.

use units::{Power, Reading};

use crate::event::Sample;

const MAGIC: &[u8; 4] = b"FLT1";
/// zstd's own default: the writer has a core to itself, and higher levels gain 2 %.
const LEVEL: i32 = 3;
/// Largest blob unpacked: a million samples of 6 axes and 16 channels are less.
const UNPACKED_MAX: usize = 256 << 20;

/// Packs samples of `axes` positions and `channels` readings each.
pub(super) fn pack(axes: usize, channels: usize, samples: &[Sample]) -> std::io::Result<Vec<u8>> {
    let mut raw = Vec::with_capacity(16 + samples.len() * (8 + 16 * axes + 9 * channels));
    raw.extend_from_slice(MAGIC);
    for count in [samples.len(), axes, channels] {
        let count = u32::try_from(count).map_err(std::io::Error::other)?;
        raw.extend_from_slice(&count.to_le_bytes());
    }
    planes(&mut raw, samples.iter().map(|s| s.t_s));
    for axis in 0..axes {
        planes(&mut raw, samples.iter().map(|s| at(&s.commanded, axis)));
    }
    for axis in 0..axes {
        planes(&mut raw, samples.iter().map(|s| at(&s.actual, axis)));
    }
    for channel in 0..channels {
        let reading = |s: &Sample| s.readings.get(channel).copied().unwrap_or(Reading::UnderRange);
        raw.extend(samples.iter().map(|s| match reading(s) {
            Reading::Power(_) => 0u8,
            Reading::UnderRange => 1,
            Reading::Saturated => 2,
        }));
        planes(&mut raw, samples.iter().map(|s| reading(s).power().map_or(0.0, Power::watts)));
    }
    zstd::bulk::compress(&raw, LEVEL)
}

fn at(values: &[f64], index: usize) -> f64 {
    values.get(index).copied().unwrap_or(f64::NAN)
}

fn planes(raw: &mut Vec<u8>, values: impl Iterator<Item = f64> + Clone) {
    for byte in 0..8 {
        raw.extend(values.clone().map(|v| v.to_le_bytes()[byte]));
    }
}

/// Unpacks samples; `None` if the blob is not one of ours.
pub(super) fn unpack(blob: &[u8]) -> Option<Vec<Sample>> {
    let raw = zstd::bulk::decompress(blob, UNPACKED_MAX).ok()?;
    let mut rest = raw.strip_prefix(MAGIC)?;
    let mut count = || {
        let (head, tail) = rest.split_first_chunk::<4>()?;
        rest = tail;
        usize::try_from(u32::from_le_bytes(*head)).ok()
    };
    let (samples, axes, channels) = (count()?, count()?, count()?);
    let row = axes.checked_mul(16)?.checked_add(channels.checked_mul(9)?)?.checked_add(8)?;
    if rest.len() != samples.checked_mul(row)? {
        return None;
    }
    let mut column = |width: usize| {
        let (head, tail) = rest.split_at(samples * width);
        rest = tail;
        head
    };
    let times = floats(column(8));
    let commanded: Vec<Vec<f64>> = (0..axes).map(|_| floats(column(8))).collect();
    let actual: Vec<Vec<f64>> = (0..axes).map(|_| floats(column(8))).collect();
    let readings: Vec<Vec<Reading>> = (0..channels)
        .map(|_| {
            let kinds = column(1).to_vec();
            kinds.into_iter().zip(floats(column(8))).map(reading).collect()
        })
        .collect();
    let row = |columns: &[Vec<f64>], i: usize| columns.iter().map(|c| c[i]).collect();
    let sample = |i: usize| Sample {
        t_s: times[i],
        commanded: row(&commanded, i),
        actual: row(&actual, i),
        readings: readings.iter().map(|c| c[i]).collect(),
    };
    Some((0..samples).map(sample).collect())
}

fn reading((kind, watts): (u8, f64)) -> Reading {
    match kind {
        0 => Reading::Power(Power::from_watts(watts)),
        1 => Reading::UnderRange,
        _ => Reading::Saturated,
    }
}

fn floats(planes: &[u8]) -> Vec<f64> {
    let n = planes.len() / 8;
    (0..n).map(|i| f64::from_le_bytes(std::array::from_fn(|byte| planes[byte * n + i]))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(n: u32) -> Vec<Sample> {
        (0..n)
            .map(|i| {
                let t = f64::from(i);
                let reading = match i % 7 {
                    5 => Reading::UnderRange,
                    6 => Reading::Saturated,
                    _ => Reading::Power(Power::from_watts(1e-6 * (t * 0.1).sin())),
                };
                Sample {
                    t_s: t * 0.002,
                    commanded: vec![t, -t],
                    actual: vec![t + 0.01, 1.0 / (t + 1.0)],
                    readings: vec![reading],
                }
            })
            .collect()
    }

    #[test]
    fn samples_come_back_bit_for_bit() {
        for n in [0, 1, 500] {
            let samples = samples(n);
            assert_eq!(unpack(&pack(2, 1, &samples).unwrap()).unwrap(), samples);
        }
    }

    #[test]
    fn a_damaged_blob_is_refused() {
        let blob = pack(2, 1, &samples(100)).unwrap();
        assert_eq!(unpack(&blob[..blob.len() / 2]), None);
        assert_eq!(unpack(b"no blob"), None);
        let other = zstd::bulk::compress(b"FLT1\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 3).unwrap();
        assert_eq!(unpack(&other), None);
    }
}
