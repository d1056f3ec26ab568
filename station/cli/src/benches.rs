//! The built-in benches.

/// Names (also their fixture classes) and texts of the built-in bench files.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("receptacle", include_str!("../benches/receptacle.toml")),
    ("fibre-array", include_str!("../benches/fibre-array.toml")),
    ("chip", include_str!("../benches/chip.toml")),
];

/// The text of a built-in bench file.
pub fn named(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(n, _)| *n == name).map(|(_, text)| *text)
}
