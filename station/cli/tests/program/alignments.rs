//! Searches by hand and stored ones looked at again, as a user or a script sees them.

use crate::common::User;

#[test]
fn a_search_by_hand_ends_at_the_peak_with_what_it_left_and_a_safe_bench() {
    let user = User::new();
    let got = user.line("align --sim --seed 7 --json").expect(0, "").json();
    assert_eq!((got["method"].as_str(), got["safe"].as_bool()), (Some("engine"), Some(true)), "{got}");
    let (left, bound) = (got["true_loss_left_db"].as_f64().unwrap(), got["bound95_db"].as_f64().unwrap());
    assert!(left < 0.02 && left <= bound && bound < 0.05, "{got}");
    assert!(got["position"]["x"].is_number() && got["readings"].as_u64().unwrap() < 25, "{got}");
    assert!(!crate::common::log_of(&user).exists(), "nothing is logged");
}

#[test]
fn every_method_can_be_tried_by_hand_and_the_engine_is_the_fastest() {
    let user = User::new();
    let seconds = |method: &str| {
        let got = user.line(&format!("align --sim --seed 7 --json --method {method}")).expect(0, "").json();
        assert!(got["true_loss_left_db"].as_f64().unwrap() < 0.05, "{method}: {got}");
        got["search_s"].as_f64().unwrap()
    };
    let engine = seconds("engine");
    for method in ["parabola", "hill_climb", "nelder_mead", "dither", "raster_fit", "spiral"] {
        assert!(seconds(method) > 2.0 * engine, "{method}");
    }
}

#[test]
fn without_a_terminal_readings_are_plain_lines() {
    let got = User::new().line("align --sim --seed 7 --axes x,y").expect(0, "samples, at the most");
    assert!(got.stderr.contains("dBm") && !got.stderr.contains('\x1b'), "{got:#?}");
    assert!(got.stdout.contains("engine: ") && got.stdout.contains("the simulated world says"), "{got:#?}");
}

#[test]
fn what_cannot_be_searched_is_said_with_a_hint() {
    let user = User::new();
    user.line("align --sim --method engin").expect(2, "methods: engine, parabola");
    user.line("align --sim --axes x,q").expect(2, "axes are x, y, z, rx, ry, rz, x2, y2 and z2");
    user.line("align --sim --axes x").expect(2, "give x,y or x,y,z");
    user.line("align --sim --axes x,y,x2,y2").expect(2, "of a second end, which the unit has not");
    user.line("align --sim --recipe pic-through --axes x,y,x2").expect(2, "needs both x2 and y2");
    user.line("align --sim --wavelength-nm 13").expect(2, "13 is outside 400 to 2000");
    user.line("align --sim=nowhere").expect(4, "hint:");
    user.line("align").expect(2, "--sim");
}

#[test]
fn a_stored_search_tells_what_the_engine_would_have_done_and_other_methods_are_tried_on_its_model() {
    let user = User::new();
    user.line("run 400g-fr4 --sim --seed 7").expect(0, "peak");
    let got = user.line("replay last --json").expect(0, "").json();
    let proposals = got["proposals"].as_array().unwrap();
    let last = proposals.last().unwrap();
    assert!(last["enough"].as_bool().unwrap() && last["expected_loss_db"].as_f64().unwrap() < 0.01, "{last}");
    assert!(proposals[0]["expected_loss_db"].as_f64().unwrap() > 1.0 && got["tried"].is_null());
    let tighter = user.line("replay last --json --tolerance-db 0.0002").expect(0, "").json();
    assert_eq!(tighter["proposals"].as_array().unwrap().last().unwrap()["enough"], false);
    let tried = user.line("replay last --method hill_climb").expect(0, "");
    assert!(tried.stdout.contains("on the fitted model, not on the bench: hill_climb ends"), "{tried:#?}");
    user.line("replay last --method guess").expect(2, "there is no method");
    user.line("replay nothing").expect(5, "");
}

#[test]
fn an_array_is_aligned_by_hand_and_its_stored_search_is_looked_at_again() {
    let user = User::new();
    let aligned = user.line("align --sim --recipe 800g-dr8 --seed 7 --json").expect(0, "").json();
    assert!(aligned["true_loss_left_db"].as_f64().unwrap() < 0.1, "{aligned}");
    user.line("run 800g-dr8 --sim --seed 7").expect(0, "over 8 lanes");
    let got = user.line("replay last --json").expect(0, "").json();
    let last = got["proposals"].as_array().unwrap().last().unwrap().clone();
    assert!(last["expected_loss_db"].as_f64().unwrap() < 0.05 && last["misfit"].as_f64().unwrap() < 3.0, "{last}");
    let tried = user.line("replay last --method nelder_mead --json").expect(0, "").json();
    assert!(tried["tried"]["residual_db"].as_f64().unwrap() < 1.0, "{}", tried["tried"]);
    user.line("align --sim --recipe 800g-dr8 --method gradient_search").expect(2, "x and y of one channel");
}
