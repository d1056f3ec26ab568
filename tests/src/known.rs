//! What a simulated instrument knows: every word that stands anywhere in its source is said to it, and its own register of errors
//! tells whether that was a command. So no command can be forgotten that its source names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use units::clock::Clock;

use crate::forms;
use crate::stand::{Stand, in_virtual_time};

/// How a kind of instrument is asked.
struct Kind {
    /// Models that differ in what they know, as options.
    models: &'static [&'static [(&'static str, &'static str)]],
    /// Files and folders of `sim/src/devices`.
    sources: &'static [&'static str],
    /// Requests that may be commands, from the literals of the sources.
    candidates: fn(&BTreeSet<String>) -> Vec<String>,
    /// Asks for the last error.
    error: &'static str,
    /// Whether an error is that there is no such command.
    unknown: fn(&str) -> bool,
}

const SCPI: Kind = Kind {
    models: &[&[]],
    sources: &[],
    candidates: scpi_candidates,
    error: "SYST:ERR?\n",
    unknown: |error| error.contains("-113") || error.contains("-114"),
};

fn kind(name: &str) -> Option<Kind> {
    Some(match name {
        "pi-gcs2" => Kind {
            models: &[&[("model", "C-884")], &[("model", "C-887")], &[("model", "E-712")]],
            sources: &["gcs2.rs", "gcs2"],
            candidates: |found| {
                let word =
                    |w: &&String| (3..=4).contains(&w.len()) && w.chars().all(|c| c.is_ascii_uppercase() || c == '*');
                let text = found.iter().filter(word).flat_map(|w| [format!("{w}?\n"), format!("{w}\n")]);
                let bytes =
                    (3u8..0x20).filter(|b| found.contains(&format!("0x{b:02X}"))).map(|b| char::from(b).to_string());
                text.chain(bytes).collect()
            },
            error: "ERR?\n",
            unknown: |error| error.trim_end().ends_with('2') && error.trim_end().lines().last() == Some("2"),
        },
        "newport-smc" => Kind {
            models: &[&[("model", "SMC100CC")], &[("model", "SMC100PP")], &[("model", "CONEX-CC")]],
            sources: &["newport_smc.rs", "newport_smc"],
            candidates: |found| letters(found, 2).flat_map(|w| [format!("1{w}?\r\n"), format!("1{w}\r\n")]).collect(),
            error: "1TE\r\n",
            unknown: |error| error.contains("1TEA"),
        },
        "newport-esp" => Kind {
            models: &[&[("model", "ESP301")]],
            sources: &["newport_esp.rs", "newport_esp"],
            candidates: |found| {
                let all = letters(found, 2).flat_map(|w| [format!("1{w}?\r"), format!("1{w}1\r"), format!("{w}?\r")]);
                all.chain(found.iter().filter(|w| w.starts_with('*')).map(|w| format!("{w}\r"))).collect()
            },
            error: "TE?\r",
            unknown: |error| error.trim_end().lines().last() == Some("6"),
        },
        "newport-1830" => Kind {
            models: &[&[("model", "1830-R")]],
            sources: &["newport_1830.rs"],
            candidates: |found| {
                letters(found, 1).flat_map(|w| [format!("{w}?\n"), format!("{w}\n"), format!("{w}1\n")]).collect()
            },
            error: "Q?\n",
            // Bit 1 is the command error, bit 0 the parameter error; the answer before it is no status.
            unknown: |error| {
                error.lines().last().and_then(|s| s.parse::<u8>().ok()).is_some_and(|status| status & 2 != 0)
            },
        },
        "newport-1936" => Kind {
            models: &[&[]],
            sources: &["newport_1936.rs", "newport_1936"],
            candidates: |found| {
                let header = |w: &&String| w.chars().all(|c| c.is_ascii_alphabetic() || matches!(c, ':' | '*'));
                let all =
                    found.iter().filter(header).flat_map(|w| [format!("{w}?\r"), format!("{w} 1\r"), format!("{w}\r")]);
                all.collect()
            },
            error: "ERRSTR?\r",
            unknown: |error| error.contains("Syntax"),
        },
        "zaber-ascii" => Kind {
            models: &[&[]],
            sources: &["zaber.rs", "zaber"],
            candidates: zaber_candidates,
            error: "",
            unknown: |error| error.contains("BADCOMMAND") || error.is_empty(),
        },
        "thorlabs-pm" => Kind { sources: &["thorlabs_pm.rs", "thorlabs_pm"], ..SCPI },
        "keysight-pm" => Kind {
            models: &[&[("model", "N7745C")], &[("model", "8163B")]],
            sources: &["keysight_pm.rs", "keysight_pm"],
            ..SCPI
        },
        "keysight-laser" => Kind { sources: &["keysight_laser.rs", "keysight_laser"], ..SCPI },
        "santec-tsl" => Kind { sources: &["santec_tsl.rs", "santec_tsl"], ..SCPI },
        "dicon-switch" => Kind {
            sources: &["dicon_switch.rs"],
            candidates: |found| {
                let words: Vec<&String> =
                    found.iter().filter(|w| w.len() < 12 && !w.contains([' ', '{', ','])).collect();
                let after = |w: &str| [format!("{w} 1\r"), format!("{w} 1 1\r"), format!("{w} 1?\r"), format!("{w}\r")];
                let alone = words.iter().flat_map(|w| after(w));
                let joined = words.iter().flat_map(|a| words.iter().flat_map(move |b| after(&format!("{a} {b}"))));
                alone.chain(joined).collect()
            },
            error: "SYST:ERR?\r",
            ..SCPI
        },
        _ => return None,
    })
}

fn letters(found: &BTreeSet<String>, length: usize) -> impl Iterator<Item = &String> {
    found.iter().filter(move |w| w.len() == length && w.chars().all(|c| c.is_ascii_uppercase()))
}

/// Headers of patterns, alone and with those that go on from another; missing nodes are there. Where a pattern is put together
/// from names (`[SENSe]:{node}:{leaf}`), with everything in their place.
fn scpi_candidates(found: &BTreeSet<String>) -> Vec<String> {
    let whole = |w: &String| w.replace(['[', ']'], "");
    let header = |w: &String| w.len() > 1 && w.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, ':' | '*'));
    let plain: BTreeSet<String> = found.iter().map(whole).filter(header).collect();
    let mut all: BTreeSet<String> = plain.iter().filter(|w| !w.starts_with(':')).cloned().collect();
    for pattern in
        found.iter().map(whole).filter(|w| w.contains('{') && w.contains(':') && !w.contains([' ', ',', '=', '.']))
    {
        let mut filled = vec![pattern];
        while let Some(open) = filled.first().and_then(|f| f.find('{')) {
            let close = filled[0].find('}').unwrap_or(filled[0].len() - 1);
            let name = filled[0][open..=close].to_string();
            let with = |f: &String| {
                let fill = |node: &str| f.replacen(&name, node, 1).replace("::", ":");
                plain.iter().map(|node| fill(node)).chain([fill("")]).collect::<Vec<String>>()
            };
            filled = filled.iter().flat_map(with).collect();
        }
        all.extend(filled.into_iter().map(|f| f.trim_matches(':').to_string()).filter(header));
    }
    let ends: Vec<&String> = plain.iter().filter(|w| w.starts_with(':')).collect();
    let joined: Vec<String> = plain
        .iter()
        .filter(|w| !w.starts_with(':'))
        .flat_map(|root| ends.iter().map(move |end| format!("{root}{end}")))
        .collect();
    all.extend(joined);
    all.iter().flat_map(|h| [format!("{h}?\n"), format!("{h}\n")]).collect()
}

fn zaber_candidates(found: &BTreeSet<String>) -> Vec<String> {
    let word = |w: &&String| !w.is_empty() && w.chars().all(|c| c.is_ascii_lowercase() || c == '.');
    let words: Vec<&String> = found.iter().filter(word).collect();
    let first = ["get", "set", "move", "tools", "warnings", "driver", "system"];
    let alone = words.iter().filter(|w| !first.contains(&w.as_str())).map(|w| (*w).clone());
    let joined = first.iter().flat_map(|f| words.iter().map(move |w| format!("{f} {w}")));
    let all: Vec<String> = alone.chain(["warnings".to_string(), String::new()]).chain(joined).collect();
    all.iter()
        .flat_map(|c| ["1 0", "1 1"].map(|to| [format!("/{to} {c}\n"), format!("/{to} {c} 1\n")]))
        .flatten()
        .collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../sim/src/devices")
}

/// The literals of source files, without their tests: what stands between quotes, and numbers in hexadecimal.
fn literals(sources: &[&str]) -> BTreeSet<String> {
    let mut texts = Vec::new();
    for source in sources {
        let path = folder().join(source);
        if path.is_dir() {
            let listed = std::fs::read_dir(&path).expect("a folder of the simulator").flatten().map(|e| e.path());
            texts.extend(
                listed
                    .filter(|p| !p.to_string_lossy().ends_with("tests.rs"))
                    .map(|p| std::fs::read_to_string(p).expect("source")),
            );
        } else {
            texts.push(std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())));
        }
    }
    let mut found = BTreeSet::new();
    for text in &texts {
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        found.extend(code.lines().flat_map(|line| quoted(line, '"')));
        found.extend(code.lines().flat_map(|line| quoted(line, '\'')).filter(|c| c.chars().count() == 1));
        let words = code.split(|c: char| !c.is_ascii_alphanumeric());
        found.extend(words.filter(|w| w.starts_with("0x")).map(str::to_string));
    }
    found
}

fn quoted(line: &str, quote: char) -> Vec<String> {
    line.split(quote).skip(1).step_by(2).map(str::to_string).collect()
}

/// What is known: words of requests, and the forms of replies.
#[derive(Debug, Default)]
pub struct Known {
    /// Words.
    pub requests: BTreeSet<String>,
    /// Forms.
    pub replies: BTreeSet<String>,
}

/// What the simulated instrument of a kind knows.
///
/// # Panics
/// Where its source cannot be read.
pub fn by_simulator(name: &str) -> Known {
    match name {
        "thorlabs-apt" => apt(),
        "joinwit-pm" => {
            let ids = literals(&["joinwit_pm.rs"]).into_iter().filter(|w| w.len() == 6 && w.starts_with("0x0"));
            let requests: BTreeSet<String> = ids.collect();
            Known { replies: requests.clone(), requests }
        }
        // The meter's words are those of its serial port; what is its own is how they are packed.
        // Streaming and reading two channels at once are shown by `tests/tests/streams.rs`.
        "thorlabs-pm-lan" => {
            let requests =
                ["segment", "ACQ:FAST:FETC?", "ACQ:FAST:POW", "ACQ:FAST:RES", "MEAS:SIMU?"].map(String::from);
            Known { requests: requests.into(), replies: ["segment".into()].into() }
        }
        _ => kind(name).map(|k| text(name, &k)).unwrap_or_default(),
    }
}

fn text(name: &str, kind: &Kind) -> Known {
    let found = literals(kind.sources);
    let mut known = Known::default();
    for model in kind.models {
        let options: Vec<(String, String)> = model.iter().map(|(k, v)| ((*k).to_string(), (*v).to_string())).collect();
        for candidate in (kind.candidates)(&found) {
            let words = forms::words(name, candidate.as_bytes());
            let Some(word) = words.first().filter(|w| !known.requests.contains(*w)) else { continue };
            let (reply, error) =
                in_virtual_time(async |clock| said(name, &options, &candidate, kind.error, &clock).await);
            // Newport's controllers take a question mark behind a command for an argument, and say nothing.
            let silent = reply.is_empty() && word.ends_with('?') && name.starts_with("newport");
            if (kind.unknown)(&error) || silent {
                continue;
            }
            known.requests.insert(word.clone());
            if !reply.is_empty() || word.ends_with('?') {
                known.replies.extend(forms::replies(name, &words, reply.as_bytes()));
            }
        }
    }
    if name == "zaber-ascii" {
        known.replies.extend(["(alert)", "(info)", "(refusal)"].map(String::from));
    }
    known
}

/// What comes of a request, and the error after it.
async fn said(name: &str, options: &[(String, String)], request: &str, error: &str, clock: &Clock) -> (String, String) {
    let mut stand = Stand::new(name, options, 1e-4, clock);
    if name == "newport-1936" {
        stand.ask(b"ECHO 0\r", |heard| heard.ends_with(b">")).await;
    }
    if error.starts_with("SYST:ERR?") {
        stand.ask(b"*CLS\r", |_| true).await;
    }
    let reply = stand.ask(request.as_bytes(), |_| false).await;
    let told = if error.is_empty() {
        reply.clone()
    } else {
        stand.ask(error.as_bytes(), |h| h.ends_with(b"\n") || h.ends_with(b"\r")).await
    };
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (text(reply), text(told))
}

/// Messages that a controller sends when it is time, whatever was asked.
const UNASKED: &[&str] = &["0x0081", "0x0444", "0x0464", "0x0466"];

/// Of the binary protocol: which requests are answered is seen; whatever else its source numbers is a message it hears.
fn apt() -> Known {
    let ids: BTreeSet<u16> = literals(&["thorlabs_apt"])
        .iter()
        .filter(|w| w.len() == 6 && w.starts_with("0x0"))
        .filter_map(|w| u16::from_str_radix(&w[2..], 16).ok())
        .filter(|id| (2..0x0700).contains(id))
        .collect();
    let units =
        [("KDC101", 0x50), ("KST101", 0x50), ("BBD201", 0x21), ("BBD201", 0x11), ("KPZ101", 0x50), ("KNA101", 0x50)];
    let mut answers: BTreeMap<u16, BTreeSet<String>> = BTreeMap::new();
    for (model, unit) in units {
        let options = [("model".to_string(), model.to_string())];
        for id in &ids {
            let [low, high] = id.to_le_bytes();
            let request = [low, high, 1, 0, unit, 1];
            let heard = in_virtual_time(async |clock| {
                Stand::new("thorlabs-apt", &options, 1e-4, &clock).ask(&request, |heard| !heard.is_empty()).await
            });
            answers.entry(*id).or_default().extend(forms::words("thorlabs-apt", &heard));
        }
    }
    let mut replies: BTreeSet<String> = answers.values().flatten().cloned().collect();
    replies.extend(UNASKED.iter().map(|u| (*u).to_string()));
    let name = |id: &u16| format!("0x{id:04X}");
    let requests = ids.iter().map(name).filter(|id| !replies.contains(id)).collect();
    Known { requests, replies }
}

/// What the driver of a kind sends.
pub fn by_driver(name: &str) -> BTreeSet<String> {
    let list = drivers::requests::of(name).map(|r| r.forms).unwrap_or_default();
    match name {
        "thorlabs-apt" | "joinwit-pm" => list.iter().map(|f| (*f).to_string()).collect(),
        "thorlabs-pm-lan" => {
            let own = drivers::requests::of(name).map(|r| r.more).unwrap_or_default();
            own.iter().flat_map(|f| word("thorlabs-pm", f)).chain(["segment".to_string()]).collect()
        }
        "pi-gcs2" => {
            list.iter().flat_map(|f| if f.starts_with('#') { vec![(*f).to_string()] } else { word(name, f) }).collect()
        }
        _ => list.iter().flat_map(|f| word(name, f)).collect(),
    }
}

/// The word of a form: with a number in place of each `#`.
fn word(name: &str, form: &str) -> Vec<String> {
    forms::words(name, form.trim_end_matches('*').replace('#', "1").trim_end().as_bytes()).into_iter().collect()
}
