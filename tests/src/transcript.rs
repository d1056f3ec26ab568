//! Transcripts: what went over a line, and where that is known from. `tests/transcripts/README.md` has the format.

use std::path::{Path, PathBuf};

/// Who is responsible for the bytes of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The simulated device, and a client of somebody else took them.
    Taken,
    /// Somebody else: a device, a maker's document, a client's own code or tests.
    Outside,
}

/// One line of a transcript.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// To the device. `own` are words of ours that bring it where the next ones are answered; they show nothing.
    Ask {
        /// Bytes.
        bytes: Vec<u8>,
        /// Ours.
        own: bool,
    },
    /// From the device. A simulated one of another model or firmware is not held to it (`<?`).
    Reply {
        /// Bytes.
        bytes: Vec<u8>,
        /// The simulated device must answer in the same shape.
        held: bool,
    },
    /// Seconds in which nothing is said.
    Wait(f64),
    /// What a driver must make of the last reply: a word and its arguments.
    Means(Vec<String>),
    /// From here on with a device that was just switched on.
    Anew,
}

/// A transcript.
#[derive(Debug, Clone)]
pub struct Transcript {
    /// Folder and file, for messages.
    pub name: String,
    /// Kind of device, as drivers and simulator have it.
    pub protocol: String,
    /// Options of the simulated device.
    pub options: Vec<(String, String)>,
    /// Light on the simulated meter, W.
    pub light_w: f64,
    /// Where requests are from.
    pub requests: Origin,
    /// Where replies are from.
    pub replies: Origin,
    /// Lines in order.
    pub steps: Vec<Step>,
}

/// Where the transcripts stand.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts")
}

/// Every transcript, in the order of names.
///
/// # Panics
/// Where one cannot be read.
pub fn all() -> Vec<Transcript> {
    let files = |folder: &Path| -> Vec<PathBuf> {
        let listed = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let mut paths: Vec<PathBuf> = listed.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        paths
    };
    let folders = files(&folder()).into_iter().filter(|path| path.is_dir());
    folders
        .flat_map(|f| files(&f))
        .filter(|path| path.extension().is_some_and(|e| e == "txt"))
        .map(|p| read(&p))
        .collect()
}

fn read(path: &Path) -> Transcript {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let part = |p: Option<&std::ffi::OsStr>| p.map(|p| p.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = part(path.parent().and_then(Path::file_name));
    let name = format!("{folder}/{}", part(path.file_name()));
    parse(&name, &folder, &text).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Reads a transcript.
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse(name: &str, protocol: &str, text: &str) -> Result<Transcript, String> {
    let (head, body) = text.split_once("\n\n").ok_or("no blank line after the head")?;
    let field = |key: &str| head.lines().find_map(|l| l.strip_prefix("# ")?.strip_prefix(key)?.strip_prefix(": "));
    let needed = |key: &str| field(key).ok_or(format!("the head has no {key}"));
    needed("source")?;
    let requests = match needed("requests")? {
        "the client's" | "the document's" => Origin::Outside,
        other => return Err(format!("requests of \"{other}\"")),
    };
    let replies = match needed("replies")? {
        "a device's" | "the document's" | "of the client's own tests" | "what the client waits for" => Origin::Outside,
        "the simulated device's, as the client took them" => Origin::Taken,
        other => return Err(format!("replies of \"{other}\"")),
    };
    let mut words = needed("device")?.split_whitespace();
    if words.next() != Some(protocol) {
        return Err(format!("the device is not the folder's {protocol}"));
    }
    let options = words.map(|w| w.split_once('=').map(|(k, v)| (k.to_string(), v.to_string())).ok_or(w.to_string()));
    let hex = field("bytes") == Some("hex");
    let light_w = field("options").and_then(|o| o.strip_prefix("--power-dbm ")).and_then(|dbm| dbm.parse::<f64>().ok());
    let steps: Result<Vec<Option<Step>>, String> =
        body.lines().map(|line| step(line, hex).map_err(|e| format!("{e}: {line}"))).collect();
    let transcript = Transcript {
        name: name.to_string(),
        protocol: protocol.to_string(),
        options: options.collect::<Result<_, _>>()?,
        light_w: light_w.map_or(1e-4, |dbm| 1e-3 * 10f64.powf(dbm / 10.0)),
        requests,
        replies,
        steps: steps?.into_iter().flatten().collect(),
    };
    if transcript.steps.iter().any(|s| matches!(s, Step::Ask { .. })) {
        Ok(transcript)
    } else {
        Err("nothing is asked".into())
    }
}

fn step(line: &str, hex: bool) -> Result<Option<Step>, String> {
    let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
    let bytes = || if hex { from_hex(rest) } else { unescaped(rest) };
    Ok(Some(match mark {
        "" => Step::Anew,
        "#" => return Ok(None),
        ">" | ">>" => Step::Ask { bytes: bytes()?, own: mark == ">>" },
        "<" | "<?" => Step::Reply { bytes: bytes()?, held: mark == "<" },
        "~" => Step::Wait(rest.parse().map_err(|_| "no number")?),
        "=" => Step::Means(rest.split_whitespace().map(str::to_string).collect()),
        _ => return Err("no such mark".into()),
    }))
}

fn from_hex(text: &str) -> Result<Vec<u8>, String> {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).map_err(|e| e.to_string())).collect()
}

fn unescaped(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            bytes.push(u8::try_from(c).map_err(|_| "not ASCII")?);
            continue;
        }
        bytes.push(match rest.next() {
            Some('n') => b'\n',
            Some('r') => b'\r',
            Some('t') => b'\t',
            Some('\\') => b'\\',
            Some('x') => {
                let digits: String = rest.by_ref().take(2).collect();
                u8::from_str_radix(&digits, 16).map_err(|e| e.to_string())?
            }
            _ => return Err("no such escape".into()),
        });
    }
    Ok(bytes)
}

/// One request with what came of it.
#[derive(Debug, Clone, Default)]
pub struct Exchange {
    /// Requests that were sent without waiting, and whether they are ours.
    pub asked: Vec<(Vec<u8>, bool)>,
    /// Replies, and whether a simulated device is held to them.
    pub replies: Vec<(Vec<u8>, bool)>,
    /// What the replies mean.
    pub means: Vec<Vec<String>>,
    /// Seconds until the last of the replies.
    pub until_s: f64,
    /// Seconds before it.
    pub wait_s: f64,
    /// With a device that was just switched on.
    pub anew: bool,
}

impl Transcript {
    /// The steps as exchanges.
    pub fn exchanges(&self) -> Vec<Exchange> {
        let mut found: Vec<Exchange> = Vec::new();
        let (mut wait_s, mut anew) = (0.0, true);
        for step in &self.steps {
            match step {
                Step::Wait(s) => wait_s += s,
                Step::Anew => anew = true,
                Step::Ask { bytes, own } => {
                    let last = found.last_mut().filter(|e| e.replies.is_empty() && !anew && wait_s == 0.0);
                    match last {
                        Some(exchange) => exchange.asked.push((bytes.clone(), *own)),
                        None => found.push(Exchange {
                            asked: vec![(bytes.clone(), *own)],
                            wait_s: std::mem::take(&mut wait_s),
                            anew: std::mem::take(&mut anew),
                            ..Exchange::default()
                        }),
                    }
                }
                Step::Reply { bytes, held } => {
                    if let Some(exchange) = found.last_mut() {
                        exchange.until_s += std::mem::take(&mut wait_s);
                        exchange.replies.push((bytes.clone(), *held));
                    }
                }
                Step::Means(words) => {
                    if let Some(exchange) = found.last_mut() {
                        exchange.means.push(words.clone());
                    }
                }
            }
        }
        found
    }
}
