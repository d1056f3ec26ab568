//! The house rules that a machine can hold: who may name whom.

use std::collections::BTreeSet;
use std::path::Path;

/// Packages of the workspace and those each may depend on.
const MAY_NAME: &[(&str, &str, &[&str])] = &[
    ("drivers/units", "units", &[]),
    ("recipes", "recipes", &["units"]),
    ("drivers", "drivers", &["units"]),
    ("sim", "sim", &["units"]),
    ("station", "station", &["units", "drivers", "recipes"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests is a folder of the workspace")
}

fn manifest(folder: &str) -> String {
    std::fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("every room has a manifest")
}

/// Keys of every dependency table of a manifest, build and dev ones included.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut inside = false;
    let mut names = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.contains("dependencies");
        } else if inside && let Some((name, _)) = line.split_once('=') {
            names.insert(name.split('.').next().unwrap_or(name).trim().to_string());
        }
    }
    names
}

#[test]
fn rooms_name_only_the_rooms_they_may() {
    let rooms: BTreeSet<&str> = MAY_NAME.iter().map(|(_, name, _)| *name).chain(["firstlight", "tests"]).collect();
    for (folder, name, allowed) in MAY_NAME {
        let text = manifest(folder);
        assert!(text.contains(&format!("name = \"{name}\"")), "{folder} is not package {name}");
        for used in dependencies(&text) {
            let is_room = rooms.contains(used.as_str());
            assert!(!is_room || allowed.contains(&used.as_str()), "{name} must not name {used}");
        }
    }
}

#[test]
fn every_dependency_version_stands_in_the_one_table() {
    for folder in ["drivers/units", "recipes", "drivers", "sim", "station", "station/cli", "tests"] {
        let text = manifest(folder);
        let mut inside = false;
        for line in text.lines() {
            if line.starts_with('[') {
                inside = line.contains("dependencies");
            } else if inside && line.contains('=') {
                assert!(line.contains("workspace = true"), "{folder}: {line}");
            }
        }
        assert!(text.contains("[lints]\nworkspace = true"), "{folder} does not share the lints");
    }
}

#[test]
fn no_system_library_is_needed_to_build() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    for package in ["libudev-sys", "libudev", "openssl-sys", "pkg-config-sys"] {
        assert!(!lock.contains(&format!("name = \"{package}\"")), "{package} needs a system package");
    }
    let table = std::fs::read_to_string(root().join("Cargo.toml")).expect("every room has a manifest");
    let sqlx = table.lines().find(|l| l.starts_with("sqlx = ")).unwrap();
    assert!(sqlx.contains("sqlite-bundled") && !sqlx.contains("unbundled"), "{sqlx}");
}
