//! Coupling evaluations a second: one mode, an array of eight in six degrees of freedom, computed modes.

use divan::{Bencher, black_box, counter::ItemsCount};
use sim::noise::Stream;
use sim::optics::{
    ArrayCoupling, FacetPair, Interface, Misalignment, Mode, NumericMode, NumericPair, Pose, RowPlan, Rows, Shape,
    StepIndex, round_aperture, straight,
};

fn main() {
    divan::main();
}

fn off() -> Misalignment {
    Misalignment { dx_um: 1.0, dy_um: -0.5, dz_um: 15.0, thx_rad: 0.01, thy_rad: -0.005 }
}

#[divan::bench]
fn single_mode(bencher: Bencher<'_, '_>) {
    let pair = FacetPair::between(Mode::round(5.2), Mode::round(5.0));
    bencher.counter(ItemsCount::new(1u32)).bench_local(|| pair.efficiency(1.55, black_box(&off()), 0.0));
}

#[divan::bench]
fn rippling_facets(bencher: Bencher<'_, '_>) {
    let mut pair = FacetPair::between(Mode::round(5.2), Mode::round(5.0));
    (pair.facets.reflectance, pair.facets.round_trips) = ([0.033, 0.033], 5);
    bencher.counter(ItemsCount::new(1u32)).bench_local(|| pair.efficiency(1.55, black_box(&off()), 0.0));
}

#[divan::bench]
fn round_photodiode(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(1u32)).bench_local(|| round_aperture(14.0, 25.0, black_box(8.0)));
}

/// Items are channels.
#[divan::bench]
fn eight_channels_in_six_degrees_of_freedom(bencher: Bencher<'_, '_>) {
    let plan = RowPlan { channels: 8, pitch_um: 127.0, pitch_error_um: 0.0, core_error_um: 0.3, sag_um: [0.0, 0.5] };
    let rows = Rows {
        cores_um: plan.draw(Stream::new(1, "array")),
        ports_um: plan.draw(Stream::new(1, "chip")),
        lever_um: [0.0, 0.0, 150.0],
    };
    let interface = FacetPair::between(Mode::round(4.6), Mode::round(4.5));
    let array = ArrayCoupling { rows, interface, port_loss_db: Vec::new(), channels: straight(8) };
    let pose = Pose { x_um: 1.0, y_um: 0.5, z_um: 10.0, pitch_rad: 1e-3, yaw_rad: -1e-3, roll_rad: 1e-3 };
    bencher.counter(ItemsCount::new(8u32)).bench_local(|| array.efficiencies(1.31, black_box(&pose)));
}

fn computed() -> NumericPair {
    let fibre = StepIndex::lp01(4.1, 0.13, 1.55).expect("a normalised frequency of 2.16 is solved for");
    let shape = Shape::StepIndex(fibre);
    let chip = Shape::Skewed { mode: Mode { x_um: 4.5, y_um: 4.0 }, skew: [0.1, 0.0] };
    NumericPair::new(&NumericMode::straight(shape), &NumericMode::straight(chip), 1.0, 0.0)
}

#[divan::bench]
fn computed_modes_offset_and_gap(bencher: Bencher<'_, '_>) {
    let (pair, at) = (computed(), Misalignment { thx_rad: 0.0, thy_rad: 0.0, ..off() });
    bencher.counter(ItemsCount::new(1u32)).bench_local(|| pair.efficiency(1.55, black_box(&at), 0.0));
}

#[divan::bench]
fn computed_modes_tilted(bencher: Bencher<'_, '_>) {
    let pair = computed();
    bencher.counter(ItemsCount::new(1u32)).bench_local(|| pair.efficiency(1.55, black_box(&off()), 0.0));
}

#[divan::bench]
fn computed_modes_rolled(bencher: Bencher<'_, '_>) {
    let pair = computed();
    bencher.counter(ItemsCount::new(1u32)).bench_local(|| pair.efficiency(1.55, black_box(&off()), 0.01));
}
