//! UNPROVEN.md lists every form of request and reply that no transcript shows. `FIRSTLIGHT_BLESS=1` writes it anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use tests::forms;
use tests::known::{self, Known};
use tests::transcript::{self, Origin};

const HEAD: &str = "\
# What nobody else has shown

Every form of request that a driver sends or a simulated instrument answers, and every form of reply, for which no transcript
in `tests/transcripts` has bytes from outside this project. A form is a command word, whatever its arguments, or the number of
a message. Replies that \"a client took\" are the simulated instrument's own: somebody else's client accepted them, no device
sent them. `tests/tests/unproven.rs` makes this list and compares it; `FIRSTLIGHT_BLESS=1 cargo test -p tests --test unproven`
writes it anew. A line goes by a transcript that shows it.
";

/// What each simulated instrument knows: asking it takes seconds.
static KNOWN: LazyLock<BTreeMap<&'static str, Known>> =
    LazyLock::new(|| sim::device_kinds().iter().map(|info| (info.kind, known::by_simulator(info.kind))).collect());

/// Words of requests and forms of replies that are shown, each by the best origin.
#[derive(Default)]
struct Shown {
    requests: BTreeSet<String>,
    replies: BTreeMap<String, Origin>,
}

fn shown() -> BTreeMap<String, Shown> {
    let mut all: BTreeMap<String, Shown> = BTreeMap::new();
    for transcript in transcript::all() {
        let kind = transcript.protocol.as_str();
        let shown = all.entry(transcript.protocol.clone()).or_default();
        for exchange in transcript.exchanges() {
            let words = |own: bool| {
                let asked = exchange.asked.iter().filter(move |(_, o)| own || !o);
                asked.flat_map(|(bytes, _)| forms::words(kind, bytes)).collect::<Vec<String>>()
            };
            if transcript.requests == Origin::Outside {
                shown.requests.extend(words(false));
            }
            // What answers words of ours a client has not judged.
            let ours = exchange.asked.iter().any(|(_, own)| *own) && transcript.replies == Origin::Taken;
            for (reply, _) in exchange.replies.iter().filter(|_| !ours) {
                for form in forms::replies(kind, &words(true), reply) {
                    let best = shown.replies.entry(form).or_insert(transcript.replies);
                    *best = (*best).max(transcript.replies);
                }
            }
        }
    }
    all
}

fn listed() -> String {
    let shown = shown();
    let nothing = Shown::default();
    let mut text = HEAD.to_string();
    for info in sim::device_kinds() {
        let has = shown.get(info.kind).unwrap_or(&nothing);
        let (sends, knows) = (known::by_driver(info.kind), &KNOWN[info.kind]);
        let replies = |origin: Option<Origin>| {
            knows.replies.iter().filter(move |form| has.replies.get(*form).copied() == origin).map(String::as_str)
        };
        let parts = [
            ("The driver sends, shown nowhere", join(sends.difference(&has.requests).map(String::as_str))),
            (
                "The simulated instrument answers, shown nowhere",
                join(knows.requests.difference(&has.requests).filter(|w| !sends.contains(*w)).map(String::as_str)),
            ),
            ("Replies shown nowhere", join(replies(None))),
            ("Replies that only a client took", join(replies(Some(Origin::Taken)))),
        ];
        text += &format!("\n## {}\n", info.kind);
        let counts = format!(
            "\n{} of {} requests and {} of {} replies are shown.\n",
            sends.union(&knows.requests).filter(|w| has.requests.contains(*w)).count(),
            sends.union(&knows.requests).count(),
            replies(Some(Origin::Outside)).count(),
            knows.replies.len()
        );
        text += &counts;
        for (what, lines) in parts.iter().filter(|(_, lines)| !lines.is_empty()) {
            text += &format!("\n{what}:\n\n{lines}");
        }
    }
    text
}

fn join<'a>(forms: impl Iterator<Item = &'a str>) -> String {
    forms.map(|form| format!("- `{form}`\n")).collect()
}

#[test]
fn unproven_md_lists_what_no_transcript_shows() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../UNPROVEN.md");
    let now = listed();
    if std::env::var_os("FIRSTLIGHT_BLESS").is_some() {
        std::fs::write(&path, &now).unwrap();
        return;
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    let (old, new): (BTreeSet<&str>, BTreeSet<&str>) = (there.lines().collect(), now.lines().collect());
    let told = |mark: &str, lines: Vec<&&str>| lines.iter().map(|l| format!("{mark} {l}\n")).collect::<String>();
    let gone = told("-", old.difference(&new).collect());
    let come = told("+", new.difference(&old).collect());
    assert!(
        there == now,
        "UNPROVEN.md is not what the transcripts leave (FIRSTLIGHT_BLESS=1 writes it):\n{gone}{come}"
    );
}

#[test]
fn a_word_that_a_driver_sends_is_one_that_its_simulated_instrument_knows() {
    for info in sim::device_kinds() {
        let (sends, knows) = (known::by_driver(info.kind), &KNOWN[info.kind]);
        let unknown: Vec<&String> = sends.difference(&knows.requests).collect();
        assert!(unknown.is_empty(), "{}: {unknown:?}", info.kind);
    }
}
