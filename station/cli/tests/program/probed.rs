//! What `bench ports --probe` makes of each kind of instrument, served alone, and whether its stanza is one.

use crate::common::{BENCH, Served, User};

/// Kinds with their options, what the probe must say of each, and the channels it must name.
const KINDS: &[(&str, &str, &str)] = &[
    ("pi-gcs2,model=C-887", "driver = \"pi-gcs2\"", "model = \"C-887"),
    ("zaber-ascii,devices=2,axes=2", "driver = \"zaber-ascii\"", "1.1, 1.2, 1.3, 1.4, 2.1"),
    ("thorlabs-apt,model=KDC101", "driver = \"thorlabs-apt\"", "1:MTS50-Z8"),
    ("thorlabs-apt,model=BBD201", "driver = \"thorlabs-apt\"", "1:STAGE"),
    ("thorlabs-apt,model=KPZ101", "driver = \"thorlabs-apt\"", "channels for [axes]: 1\n"),
    ("thorlabs-apt,model=KNA101", "driver = \"thorlabs-apt\"", "[tracker]"),
    ("newport-smc,axes=3", "driver = \"newport-smc\"", "1, 2, 3"),
    ("newport-smc,model=CONEX-CC", "driver = \"newport-smc\"", "model = \"CONEX-CC\""),
    ("newport-esp", "driver = \"newport-esp\"", "model = \"ESP301\""),
    ("newport-1830", "driver = \"newport-1830\"", "model = \"1830\""),
    ("newport-1936", "driver = \"newport-1936\"", "model = \"2936-R\""),
    ("joinwit-pm", "driver = \"joinwit-pm\"", "model = \"JW8103A\""),
    ("thorlabs-pm,model=PM400", "driver = \"thorlabs-pm\"", "model = \"PM400\""),
    ("keysight-pm", "driver = \"keysight-pm\"", "model = \"N7744A\""),
    ("keysight-laser", "driver = \"keysight-laser\"", "[source]"),
    ("santec-tsl", "driver = \"santec-tsl\"", "[source]"),
    ("dicon-switch", "driver = \"dicon-switch\"", "[switch]"),
];

/// The built-in bench with a stanza pasted in; a second source or switch takes the place of the first.
fn pasted(stanza: &str) -> String {
    let mut text = BENCH.to_string();
    if stanza.contains("[source]") {
        let from = text.find("[source]").unwrap();
        let to = from + text[from..].find("[reference]").unwrap();
        text.replace_range(from..to, "");
    }
    format!("{text}\n{stanza}")
}

#[test]
fn every_kind_of_instrument_is_recognised_and_its_stanza_passes_the_check() {
    let user = User::new();
    let links: Vec<String> = (0..KINDS.len()).map(|n| user.path(&format!("port{n}")).display().to_string()).collect();
    let served: Vec<Served> = KINDS
        .iter()
        .zip(&links)
        .map(|((device, ..), link)| Served::start(&user, &["--device", device, "--pty", link]))
        .collect();
    let mut args = vec!["bench", "ports", "--probe"];
    args.extend(links.iter().map(String::as_str));
    let probed = user.run(&args);
    assert_eq!(probed.code, Some(0), "{probed:#?}");
    let mut rest = probed.stdout.as_str();
    for ((device, driver, more), (link, next)) in
        KINDS.iter().zip(links.iter().zip(links.iter().skip(1).chain([&String::new()])))
    {
        let from = rest.find(link.as_str()).unwrap_or_else(|| panic!("{device}: {probed:#?}"));
        rest = &rest[from..];
        let to = if next.is_empty() { rest.len() } else { rest.find(&format!("\n{next}:")).unwrap() };
        let (told, after) = rest.split_at(to);
        rest = after;
        assert!(told.contains(driver) && told.contains(more), "{device}: {told}");
        let stanza = &told[told.find("\n[ports").unwrap()..];
        let file = user.file("pasted.toml", pasted(stanza));
        let checked = user.run(&["bench", "check", &file]);
        assert_eq!(checked.code, Some(0), "{device}: {stanza}\n{checked:#?}");
    }
    drop(served);
}

#[test]
fn a_network_address_is_probed_in_segments_too_and_an_empty_one_says_so() {
    let user = User::new();
    let free = || std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().to_string();
    let (meter, motor, nanotrak) = (free(), free(), free());
    let served = [
        Served::start(&user, &["--device", "thorlabs-pm-lan", "--tcp", &meter]),
        Served::start(&user, &["--device", "zaber-ascii", "--tcp", &motor]),
        Served::start(&user, &["--device", "thorlabs-apt,model=BNT001", "--tcp", &nanotrak]),
    ];
    let probed = user.run(&["bench", "ports", "--probe", &meter, &motor, &nanotrak, "127.0.0.1:1"]);
    assert_eq!(probed.code, Some(0), "{probed:#?}");
    for expect in [
        "driver = \"thorlabs-pm-lan\"",
        "driver = \"zaber-ascii\"",
        "[tracker]\ndriver = \"thorlabs-apt\"",
        "127.0.0.1:1: ",
    ] {
        assert!(probed.stdout.contains(expect), "{expect}: {probed:#?}");
    }
    drop(served);
}
