//! Coupling evaluations a second.

fn main() {
    divan::main();
}
