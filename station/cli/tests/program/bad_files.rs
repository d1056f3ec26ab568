//! Recipes and bench files that cannot be used: exit code 4 (or 3 where the station is not ready), the place and what to do.

use crate::common::User;

fn recipe_text() -> String {
    recipes::named("400g-fr4").unwrap().to_string()
}

#[test]
fn faults_of_a_recipe_are_told_with_file_line_column_and_hint() {
    let user = User::new();
    let cases: &[(&str, &str, &str)] = &[
        ("revision = ", "revsion = ", "did you mean `revision`?"),
        ("wavelength_nm = 1310", "wavelength_nm = true", "expected a finite number, found boolean"),
        ("quantity = \"coupling_loss\"", "quantity = \"coupled_power\"", "a limit without a measurement"),
        ("to = { x = 0, y = 0, z = 0 }", "to = { x = 0, y = 0, q = 0 }", "there is no axis \"q\""),
    ];
    for (from, to, expect) in cases {
        let path = user.file("r.toml", recipe_text().replacen(from, to, 1));
        let got = user.run(&["run", &path, "--sim"]).expect(4, expect);
        assert!(got.stderr.contains("r.toml:") && got.stderr.contains("hint:"), "{got:#?}");
        user.run(&["recipe", "check", &path]).expect(4, expect);
    }
}

#[test]
fn all_faults_of_a_recipe_are_told_at_once() {
    let user = User::new();
    let text = recipe_text().replace("revision = ", "revsion = ").replace("readings = 16", "readings = 0");
    let got = user.run(&["recipe", "check", &user.file("r.toml", text)]).expect(4, "revsion");
    assert!(got.stderr.contains("readings"), "{got:#?}");
}

#[test]
fn an_axis_the_bench_lacks_is_found_before_a_port_opens() {
    let user = User::new();
    let text = recipe_text().replacen("to = { x = 0, y = 0, z = 0 }", "to = { x = 0, y = 0, z = 0, rx = 0.5 }", 1);
    user.run(&["run", &user.file("r.toml", text), "--sim"]).expect(4, "axis rx, which bench sim-receptacle lacks");
}

#[test]
fn empty_missing_and_unreadable_recipes_say_so() {
    let user = User::new();
    user.run(&["run", &user.file("r.toml", ""), "--sim"]).expect(4, "the recipe is empty");
    user.run(&["run", &user.file("r.toml", b"product = \"\xff\""), "--sim"])
        .expect(4, "r.toml:1:12: byte 0xff is not UTF-8");
    user.run(&["run", "./none.toml", "--sim"]).expect(4, "none.toml: No such file");
    user.run(&["run", "no-such-product", "--sim"]).expect(4, "built-in recipes: 400g-fr4");
}

#[test]
fn a_recipe_for_another_fixture_is_refused() {
    let user = User::new();
    let path = user.file("r.toml", recipe_text().replace("fixture = \"receptacle\"", "fixture = \"array\""));
    user.run(&["run", &path, "--sim"]).expect(4, "no built-in bench for fixture \"array\"");
    user.run(&["run", &path, "--sim=receptacle"]).expect(4, "needs fixture \"array\"");
}

#[test]
fn faults_of_a_bench_file_are_told_with_file_line_column_and_hint() {
    let user = User::new();
    let cases: &[(&str, &str, &str)] = &[
        ("range_um = [-4000, 4000]", "range_um = [4000, -4000]", "reversed"),
        ("port = \"tap\"", "port = \"signal\"", "two instruments"),
        ("preset = \"receptacle\"", "preset = \"nonsense\"", "nonsense"),
        ("[frame]", "[frme]", "did you mean `frame`?"),
    ];
    for (from, to, expect) in cases {
        let path = user.bench("b.toml", |text| text.replacen(from, to, 1));
        let got = user.run(&["bench", "check", &path]).expect(4, expect);
        assert!(got.stderr.contains("b.toml:"), "{got:#?}");
        user.run(&["run", "400g-fr4", &format!("--sim={path}")]).expect(4, expect);
    }
}

#[test]
fn station_and_simulation_faults_of_a_bench_file_are_told_together() {
    let user = User::new();
    let path = user.bench("b.toml", |t| {
        t.replacen("[-4000, 4000]", "[4000, -4000]", 1).replace("preset = \"receptacle\"", "preset = \"nonsense\"")
    });
    user.run(&["bench", "check", &path]).expect(4, "reversed").expect(4, "nonsense");
}

#[test]
fn a_loss_limit_without_a_young_launched_power_is_a_station_error() {
    let user = User::new();
    let without_tap = |text: String| {
        let begin = text.find("[channels.tap]").unwrap();
        let end = text.find("[source]").unwrap();
        format!("{}{}", &text[..begin], &text[end..])
    };
    let missing = user.bench("b.toml", without_tap);
    user.run(&["run", "400g-fr4", &format!("--sim={missing}")]).expect(3, "bench reference");
    let old = user.bench("b.toml", |t| {
        without_tap(t)
            .replace("max_age_h = 12", "max_age_h = 12\npower_dbm = 2.5\nmeasured_at = \"2020-01-01T00:00:00Z\"")
    });
    user.run(&["run", "400g-fr4", &format!("--sim={old}")]).expect(3, "h old, 12.0 h are allowed");
    // Measured on the simulated bench itself, it serves.
    let got = user.run(&["bench", "reference", &old, "--sim"]);
    assert_eq!(got.code, Some(0), "{got:#?}");
    assert!(std::fs::read_to_string(&old).unwrap().contains("# the focus of the drawing"), "remarks are kept");
    let got = user.run(&["run", "400g-fr4", &format!("--sim={old}"), "--seed", "1"]);
    assert_eq!(got.code, Some(0), "{got:#?}");
    assert!(got.stdout.contains("by reference"), "{got:#?}");
    // Data of the unit serve too.
    let got = user.run(&["run", "400g-fr4", &format!("--sim={missing}"), "--launched-dbm", "2.3", "--seed", "1"]);
    assert!(got.stdout.contains("by unit"), "{got:#?}");
}

#[test]
fn without_limit_and_launched_power_the_result_is_a_power_and_called_so() {
    let user = User::new();
    let bench = user.bench("b.toml", |text| {
        let (begin, end) = (text.find("[channels.tap]").unwrap(), text.find("[source]").unwrap());
        format!("{}{}", &text[..begin], &text[end..])
    });
    let text = recipe_text();
    let recipe = user.file("r.toml", &text[..text.find("[limits").unwrap()]);
    let got = user.run(&["run", &recipe, &format!("--sim={bench}"), "--seed", "1"]);
    assert_eq!(got.code, Some(0), "{got:#?}");
    assert!(got.stdout.contains("coupled_power") && !got.stdout.contains("coupling_loss"), "{got:#?}");
    assert!(got.stderr.contains("the result is a power, not a loss"), "{got:#?}");
}
