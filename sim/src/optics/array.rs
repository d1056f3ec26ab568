//! Fibre arrays before a chip: many channels on one rigid body, moved in six degrees of freedom about a pivot.

use nalgebra::{Rotation3, Vector3};

use super::gaussian::Misalignment;
use super::interface::{Interface, share};
use crate::noise::Stream;

/// Errors are cut here, in standard deviations: parts beyond are sorted out by their makers.
const CUT_DEVIATIONS: f64 = 2.5;

/// Where a body is off its aligned place: shifts in um and turns in rad about its rotation centre.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pose {
    /// Shift along x, the row of channels, um.
    pub x_um: f64,
    /// Shift along y, um.
    pub y_um: f64,
    /// Shift along z, away from the chip, um.
    pub z_um: f64,
    /// Tilt in the y-z plane, towards +y, rad.
    pub pitch_rad: f64,
    /// Tilt in the x-z plane, towards +x, rad.
    pub yaw_rad: f64,
    /// Turn about z, from +x towards +y, rad.
    pub roll_rad: f64,
}

impl Pose {
    fn rotation(&self) -> Rotation3<f64> {
        Rotation3::from_axis_angle(&Vector3::y_axis(), self.yaw_rad)
            * Rotation3::from_axis_angle(&Vector3::x_axis(), -self.pitch_rad)
            * Rotation3::from_axis_angle(&Vector3::z_axis(), self.roll_rad)
    }
}

/// A row of cores or waveguides as it is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RowPlan {
    /// How many channels.
    pub channels: u32,
    /// Distance between them, um.
    pub pitch_um: f64,
    /// What each distance is too large by, um (a common error of the grooves or of the temperature).
    pub pitch_error_um: f64,
    /// Standard deviation of each core's own error along x and along y, um; cut at 2.5 of them.
    pub core_error_um: f64,
    /// Sag of the middle against the ends along y and z, a parabola, um: 0 to 1.5 for chips that are bowed.
    pub sag_um: [f64; 2],
}

impl RowPlan {
    /// Places of the channels about the middle of the row, um; each is a function of the stream and its number.
    pub fn draw(&self, stream: Stream) -> Vec<[f64; 3]> {
        let middle = (f64::from(self.channels) - 1.0) / 2.0;
        let place = |number: u32| {
            let from_middle = f64::from(number) - middle;
            let draw = stream.child(u64::from(number));
            let error = |k: u64| self.core_error_um * draw.normal(k).clamp(-CUT_DEVIATIONS, CUT_DEVIATIONS);
            let bow = 1.0 - (from_middle / middle.max(0.5)).powi(2);
            let x = from_middle * (self.pitch_um + self.pitch_error_um);
            [x + error(0), error(1) + self.sag_um[0] * bow, self.sag_um[1] * bow]
        };
        (0..self.channels).map(place).collect()
    }
}

/// A row of cores before a row of ports.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// Cores in the frame of the array, from the middle of its facet, um.
    pub cores_um: Vec<[f64; 3]>,
    /// Ports in the frame of the chip, from where the middle of the facet belongs, um.
    pub ports_um: Vec<[f64; 3]>,
    /// From the centre of rotation to the middle of the facet, um.
    pub lever_um: [f64; 3],
}

/// A core as it stands before the port that is nearest to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Facing {
    /// Number of the port, from 0.
    pub port: usize,
    /// The core's misalignment from it.
    pub at: Misalignment,
}

impl Rows {
    /// How each core stands with the array in a pose, by exact rotation; empty where there are no ports.
    pub fn facing(&self, pose: &Pose) -> Vec<Facing> {
        let turn = pose.rotation();
        let lever = Vector3::from(self.lever_um);
        let shift = Vector3::new(pose.x_um, pose.y_um, pose.z_um) - lever;
        let axis = turn * Vector3::z();
        let (thx_rad, thy_rad) = (axis.x.atan2(axis.z), axis.y.atan2(axis.z));
        let stand = |core: &[f64; 3]| {
            let place = shift + turn * (lever + Vector3::from(*core));
            let (port, at) = self.nearest(&place)?;
            let off = place - Vector3::from(at);
            let at = Misalignment { dx_um: off.x, dy_um: off.y, dz_um: off.z, thx_rad, thy_rad };
            Some(Facing { port, at })
        };
        self.cores_um.iter().filter_map(stand).collect()
    }

    /// Half a pitch off, where the nearest port changes, no mode of either is in sight.
    fn nearest(&self, place: &Vector3<f64>) -> Option<(usize, [f64; 3])> {
        let off = |port: &[f64; 3]| (port[0] - place.x).powi(2) + (port[1] - place.y).powi(2);
        let ports = self.ports_um.iter().copied().enumerate();
        ports.min_by(|a, b| off(&a.1).total_cmp(&off(&b.1)))
    }
}

/// A fibre array on a chip, read channel by channel.
#[derive(Debug, Clone)]
pub struct ArrayCoupling<I> {
    /// Where everything is.
    pub rows: Rows,
    /// The interface of each core with its port.
    pub interface: I,
    /// Loss of each port, dB; a port beyond the list has none.
    pub port_loss_db: Vec<f64>,
    /// The core that each channel of the meter sees; none where the channel is dead.
    pub channels: Vec<Option<usize>>,
}

impl<I: Interface> ArrayCoupling<I> {
    /// Share of the power on each channel, 0 to 1, at a vacuum wavelength in um. A core beside its own port sees the one
    /// it faces, as after a slip by a pitch.
    pub fn efficiencies(&self, wavelength_um: f64, pose: &Pose) -> Vec<f64> {
        let cores: Vec<f64> = self.rows.facing(pose).iter().map(|f| self.one(wavelength_um, pose, f)).collect();
        let channel = |core: &Option<usize>| core.and_then(|c| cores.get(c)).copied().unwrap_or(0.0);
        self.channels.iter().map(channel).collect()
    }

    fn one(&self, wavelength_um: f64, pose: &Pose, facing: &Facing) -> f64 {
        let loss_db = self.port_loss_db.get(facing.port).copied().unwrap_or(0.0);
        self.interface.efficiency(wavelength_um, &facing.at, pose.roll_rad) * share(loss_db)
    }
}

/// Channels in order, none dead.
pub fn straight(channels: usize) -> Vec<Option<usize>> {
    (0..channels).map(Some).collect()
}

/// Channels of an array that was mounted the other way round.
pub fn flipped(channels: usize) -> Vec<Option<usize>> {
    (0..channels).rev().map(Some).collect()
}

/// A loop of the chip: light goes in through one core of an array and comes back through another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loop {
    /// The core that the light goes in by.
    pub inlet: usize,
    /// The core that it comes back by.
    pub outlet: usize,
    /// Loss on the chip between their ports, dB.
    pub loss_db: f64,
}

/// An array whose channels are joined by loops of the chip: one body moved, two couplings in each reading.
#[derive(Debug, Clone)]
pub struct Loopback<I, O> {
    /// Where everything is.
    pub rows: Rows,
    /// The interface into the chip.
    pub inlet: I,
    /// The interface out of it.
    pub outlet: O,
    /// The loops; each is a channel of the meter.
    pub loops: Vec<Loop>,
}

impl<I: Interface, O: Interface> Loopback<I, O> {
    /// Share of the power through each loop, 0 to 1, at a vacuum wavelength in um: nothing where a core is not before the
    /// port of its loop.
    pub fn efficiencies(&self, wavelength_um: f64, pose: &Pose) -> Vec<f64> {
        let facing = self.rows.facing(pose);
        let through = |l: &Loop| {
            let (Some(inlet), Some(outlet)) = (facing.get(l.inlet), facing.get(l.outlet)) else { return 0.0 };
            if inlet.port != l.inlet || outlet.port != l.outlet {
                return 0.0;
            }
            self.inlet.efficiency(wavelength_um, &inlet.at, pose.roll_rad)
                * self.outlet.efficiency(wavelength_um, &outlet.at, pose.roll_rad)
                * share(l.loss_db)
        };
        self.loops.iter().map(through).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optics::{FacetPair, Mode};

    fn plan(channels: u32, pitch_um: f64) -> RowPlan {
        RowPlan { channels, pitch_um, pitch_error_um: 0.0, core_error_um: 0.0, sag_um: [0.0, 0.0] }
    }

    fn rows(cores: &RowPlan, lever_um: [f64; 3]) -> Rows {
        let ports = plan(cores.channels, cores.pitch_um).draw(Stream::new(0, "chip"));
        Rows { cores_um: cores.draw(Stream::new(1, "array")), ports_um: ports, lever_um }
    }

    fn array(cores: &RowPlan, lever_um: [f64; 3]) -> ArrayCoupling<FacetPair> {
        let interface = FacetPair::between(Mode::round(5.2), Mode::round(5.2));
        let channels = straight(cores.channels as usize);
        ArrayCoupling { rows: rows(cores, lever_um), interface, port_loss_db: Vec::new(), channels }
    }

    /// The published small-angle formulas, with x of the cores from their nominal places, and what they leave out: a
    /// centre of roll that lies aside.
    fn small_angles(nominal_x: f64, core: [f64; 3], lever: [f64; 3], p: &Pose) -> Misalignment {
        let (a, b, g) = (p.pitch_rad, p.yaw_rad, p.roll_rad);
        Misalignment {
            dx_um: p.x_um + lever[2] * b - lever[1] * g + core[0] - nominal_x - nominal_x * (b * b + g * g) / 2.0,
            dy_um: p.y_um + lever[2] * a + lever[0] * g + core[1] + nominal_x * g,
            dz_um: p.z_um - nominal_x * b - lever[0] * b - lever[1] * a,
            thx_rad: b,
            thy_rad: a,
        }
    }

    #[test]
    fn exact_rotation_agrees_with_small_angles() {
        let cores = RowPlan { core_error_um: 0.3, ..plan(8, 127.0) };
        let lever = [30.0, -20.0, 150.0];
        let rows = rows(&cores, lever);
        for n in 0..50 {
            let draw = Stream::new(4, "pose").child(n);
            let pose = Pose {
                x_um: 5.0 * draw.symmetric(0),
                y_um: 5.0 * draw.symmetric(1),
                z_um: 20.0 * draw.symmetric(2),
                pitch_rad: 1e-3 * draw.symmetric(3),
                yaw_rad: 1e-3 * draw.symmetric(4),
                roll_rad: 1e-3 * draw.symmetric(5),
            };
            for (i, facing) in rows.facing(&pose).iter().enumerate() {
                let expect = small_angles(rows.ports_um[i][0], rows.cores_um[i], lever, &pose);
                let got = facing.at;
                // Second order: 1e-6 of the 500 um of row and lever, and errors of 1 um turned by 1e-3.
                let off = [got.dx_um - expect.dx_um, got.dy_um - expect.dy_um, got.dz_um - expect.dz_um];
                assert!(facing.port == i && off.iter().all(|o| o.abs() < 1.6e-3), "{off:?}");
                assert!((got.thx_rad - expect.thx_rad).abs() < 1e-6 && (got.thy_rad - expect.thy_rad).abs() < 1e-6);
            }
        }
        // Foreshortening is of the second order itself, and only of yaw and roll.
        let pose = Pose { yaw_rad: 0.005, roll_rad: -0.01, ..Default::default() };
        let rows = super::tests::rows(&plan(8, 127.0), [0.0; 3]);
        let outer = rows.facing(&pose)[7].at.dx_um;
        assert!((outer - small_angles(444.5, [444.5, 0.0, 0.0], [0.0; 3], &pose).dx_um).abs() < 1e-5, "{outer}");
    }

    /// Channels, pitch, roll in degrees for 1 dB at the outer channel and for 0.1 dB of the mean, gap per degree of yaw.
    #[test]
    fn rolled_and_yawed_arrays_lose_what_is_published() {
        for (channels, pitch, outer_deg, mean_deg, gap) in [
            (8, 127.0, 0.32, 0.155, 7.8),
            (12, 127.0, 0.205, 0.103, 12.2),
            (16, 127.0, 0.150, 0.077, 16.6),
            (8, 250.0, 0.163, 0.079, 15.3),
            (12, 250.0, 0.104, 0.052, 24.0),
            (16, 250.0, 0.076, 0.039, 32.7),
        ] {
            let array = array(&plan(channels, pitch), [0.0; 3]);
            let rolled =
                |deg: f64| array.efficiencies(1.55, &Pose { roll_rad: deg.to_radians(), ..Default::default() });
            let outer = -10.0 * rolled(outer_deg)[0].log10();
            let mean = -10.0 * (rolled(mean_deg).iter().sum::<f64>() / f64::from(channels)).log10();
            assert!((outer - 1.0).abs() < 0.02 && (mean - 0.1).abs() < 0.004, "{channels} {pitch}: {outer} {mean}");
            let yawed = array.rows.facing(&Pose { yaw_rad: 1f64.to_radians(), ..Default::default() });
            assert!((yawed[0].at.dz_um - gap).abs() < 0.05);
        }
    }

    /// LN (ex^2 + ey^2) / w^2: 0.029 dB for 0.3 um at w = 5.2.
    #[test]
    fn core_errors_cost_what_is_published() {
        let array = array(&RowPlan { core_error_um: 0.3, ..plan(4000, 127.0) }, [0.0; 3]);
        let losses: Vec<f64> = array.efficiencies(1.55, &Pose::default()).iter().map(|e| -10.0 * e.log10()).collect();
        let mean = losses.iter().sum::<f64>() / 4000.0;
        assert!((mean - 0.029).abs() < 0.002, "{mean}");
    }

    #[test]
    fn bow_and_pitch_error_have_their_shapes() {
        let bowed = RowPlan { sag_um: [1.5, -0.5], pitch_error_um: 0.1, ..plan(5, 250.0) }.draw(Stream::new(1, "a"));
        let ys: Vec<f64> = bowed.iter().map(|p| p[1]).collect();
        assert_eq!(ys, [0.0, 1.125, 1.5, 1.125, 0.0]);
        assert!((bowed[0][0] + 500.2).abs() < 1e-9 && (bowed[2][2] + 0.5).abs() < 1e-12);
        assert_eq!(plan(1, 250.0).draw(Stream::new(1, "a")), [[0.0; 3]]);
    }

    #[test]
    fn channels_can_be_flipped_swapped_and_dead_and_slip_by_a_pitch() {
        let mut array = array(&plan(4, 127.0), [0.0; 3]);
        array.port_loss_db = vec![0.0, 3.0, 10.0, 20.0];
        let db = |array: &ArrayCoupling<FacetPair>, x_um: f64| -> Vec<i32> {
            let shares = array.efficiencies(1.55, &Pose { x_um, ..Default::default() });
            shares.iter().map(|e| (10.0 * e.max(1e-12).log10()).round() as i32).collect()
        };
        assert_eq!(db(&array, 0.0), [0, -3, -10, -20]);
        // One pitch off three fibres see the port of the next; the last is in the dark.
        assert_eq!(db(&array, 127.0), [-3, -10, -20, -120]);
        array.channels = flipped(4);
        assert_eq!(db(&array, 0.0), [-20, -10, -3, 0]);
        array.channels = vec![Some(1), Some(0), None, Some(9)];
        assert_eq!(db(&array, 0.0), [-3, 0, -120, -120]);
    }

    #[test]
    fn a_loop_pays_at_both_of_its_facets() {
        let inlet = FacetPair::between(Mode::round(5.2), Mode::round(5.2));
        let outlet = FacetPair::between(Mode::round(5.2), Mode::round(4.0));
        let loops = vec![Loop { inlet: 0, outlet: 7, loss_db: 2.0 }, Loop { inlet: 1, outlet: 6, loss_db: 2.0 }];
        let chip = Loopback { rows: rows(&plan(8, 127.0), [0.0; 3]), inlet, outlet, loops };
        let pose = Pose { x_um: 1.0, roll_rad: 0.003, ..Default::default() };
        let got = chip.efficiencies(1.55, &pose);
        let facing = chip.rows.facing(&pose);
        let each = inlet.efficiency(1.55, &facing[0].at, 0.0) * outlet.efficiency(1.55, &facing[7].at, 0.0);
        assert!((got[0] / (each * 10f64.powf(-0.2)) - 1.0).abs() < 1e-12 && got[1] > got[0]);
        // Along x the outlet's narrower mode counts with the inlet's: the loss of 1 um is that of both.
        let loss = |x_um: f64| -10.0 * chip.efficiencies(1.55, &Pose { x_um, ..Default::default() })[0].log10();
        let expect = 10.0 / std::f64::consts::LN_10 * (1.0 / 27.04 + 2.0 / (27.04 + 16.0));
        assert!((loss(1.0) - loss(0.0) - expect).abs() < 1e-9);
        assert_eq!(chip.efficiencies(1.55, &Pose { x_um: 127.0, ..Default::default() }), [0.0, 0.0]);
    }
}
