//! Bringing a GCS 2.0 controller to its known state, item by item; nothing moves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::array;
use super::codec;
use super::driver::{Channel, Gcs2, harmless, same};
use crate::exchange::{LineError, Query, Repeat};
use crate::identity::Identity;
use crate::motion::{ChannelSetup, ChannelUnit, MotionController as _, MotionError};

/// Twelve kilobytes of help text at 9600 baud.
const HELP_LIMIT: Duration = Duration::from_secs(15);
/// The newest syntax version that is GCS 2.
const SYNTAX_MAX: f64 = 2.0;
/// GCS 3 controllers have four dotted numbers in their firmware field, GCS 2 controllers fewer.
const GCS3_FIRMWARE_FIELDS: usize = 4;
/// What this driver drives, for messages.
const KIND: &str = "a PI controller speaking GCS 2.0";

/// Controllers of hexapods, by the beginning of their model.
const HEXAPODS: &[&str] = &["C-886", "C-887"];

/// What is asked of one channel, in controller units.
struct Item<'a> {
    setup: &'a ChannelSetup,
    lower: f64,
    upper: f64,
}

impl Gcs2 {
    pub(super) async fn set_up(&mut self, setup: &[ChannelSetup]) -> Result<(), MotionError> {
        self.identify().await?;
        self.syntax().await?;
        // Reads and clears; what the last program left there is nobody's fault now.
        self.error().await?;
        self.commands = self.help().await?;
        self.check_coordinates(setup).await?;
        self.find_channels(setup).await?;
        let channels: Vec<&str> = setup.iter().map(|s| s.channel.as_str()).collect();
        if channels.is_empty() {
            return Ok(());
        }
        let items: Vec<Item<'_>> = setup.iter().map(Item::new).collect();
        self.check_units(&channels, &items).await?;
        self.check_travel(&channels, &items).await?;
        self.servo_on(&channels).await?;
        let velocities: Vec<(&str, f64)> = setup.iter().map(|s| (s.channel.as_str(), s.velocity)).collect();
        self.set_velocity(&velocities).await?;
        self.soft_limits(&channels, &items).await
    }

    async fn identify(&mut self) -> Result<(), MotionError> {
        let answer = match self.line.identify().await {
            Err(LineError::NotRecovered { .. }) => {
                // A pending error may keep old firmware silent.
                self.line.send_urgent(codec::ERROR).await?;
                self.line.identify().await
            }
            done => done,
        };
        let found = match answer {
            Ok(answer) => Identity::parse(&answer).unwrap_or_default(),
            Err(LineError::NotRecovered { heard, .. }) if crate::scpi::is_talk(&heard) => {
                return Err(self.wrong_device(format!("a device that says \"{heard}\"")));
            }
            Err(e) => return Err(e.into()),
        };
        let maker = found.maker.to_lowercase();
        let pi = maker.contains("physik instrumente") || maker.contains("(pi)");
        if !pi || !self.expected.admits(&found) {
            return Err(self.wrong_device(format!("{} {found}", found.maker)));
        }
        self.identity = found;
        Ok(())
    }

    fn wrong_device(&self, found: String) -> MotionError {
        MotionError::WrongDevice {
            instrument: self.instrument(),
            port: self.line.port().to_string(),
            expected: self.expected.describe(KIND),
            found,
        }
    }

    /// A GCS 3 controller has the same identity but other commands.
    async fn syntax(&mut self) -> Result<(), MotionError> {
        let asked = self.line.query(&harmless(b"CSV?\n", "a version"), codec::syntax_version).await;
        let gcs3 = match asked {
            Ok(version) => version > SYNTAX_MAX,
            // As PIPython does where `CSV?` is not known.
            Err(e) if e.is_no_answer() => self.identity.firmware.split('.').count() >= GCS3_FIRMWARE_FIELDS,
            Err(e) => return Err(e.into()),
        };
        if gcs3 { Err(self.wrong_device(format!("{} speaking GCS 3", self.identity))) } else { Ok(()) }
    }

    /// On a hexapod other coordinate systems than the bench counts on make other axes of its axes.
    async fn check_coordinates(&mut self, setup: &[ChannelSetup]) -> Result<(), MotionError> {
        let unlisted = self.commands.is_empty() && HEXAPODS.iter().any(|model| self.identity.model.starts_with(model));
        if !self.commands.contains("KEN?") && !unlisted {
            return Ok(());
        }
        let asked = self.ask("all", &harmless(b"KEN?\n", "coordinate systems with types"), array::systems).await;
        let enabled = match asked {
            Ok(enabled) => enabled,
            // Firmware that has no such systems.
            Err(MotionError::Refused { .. }) if unlisted => return Ok(()),
            Err(e) => return Err(e),
        };
        // The base system is the maker's.
        let mut found: Vec<String> =
            enabled.into_iter().filter(|(_, kind)| kind != "KSB").map(|(name, _)| name).collect();
        found.sort();
        if found == self.coordinates {
            return Ok(());
        }
        let axes: Vec<&str> = setup.iter().map(|s| s.axis.as_str()).collect();
        Err(MotionError::Coordinates {
            instrument: self.instrument(),
            axes: if axes.is_empty() { "all".into() } else { axes.join(", ") },
            active: found.join(", "),
            expected: self.coordinates.join(", "),
        })
    }

    async fn help(&mut self) -> Result<BTreeSet<String>, MotionError> {
        // Long, so asked once; a controller without it is taken to have no soft limits.
        let query =
            Query { request: b"HLP?\n", limit: HELP_LIMIT, repeat: Repeat::Never, expected: "a list of commands" };
        match self.line.query(&query, codec::commands).await {
            Ok(commands) => Ok(commands),
            Err(e) if e.is_no_answer() => {
                self.error().await?;
                Ok(BTreeSet::new())
            }
            Err(e) => Err(e.into()),
        }
    }

    async fn find_channels(&mut self, setup: &[ChannelSetup]) -> Result<(), MotionError> {
        let axes = self.ask("all", &harmless(b"SAI?\n", "axis names"), codec::axes).await?;
        let mut channels = BTreeMap::new();
        for s in setup {
            let Some(place) = axes.iter().position(|a| *a == s.channel) else {
                return Err(MotionError::NoChannel {
                    instrument: self.instrument(),
                    axis: s.axis.clone(),
                    channel: s.channel.clone(),
                    available: axes.join(", "),
                });
            };
            // Masks have 64 bits; no controller has as many axes.
            let bit = u32::try_from(place).ok().and_then(|p| 1u64.checked_shl(p)).unwrap_or(0);
            channels.insert(s.channel.clone(), Channel { axis: s.axis.clone(), unit: s.unit, bit });
        }
        self.channels = channels;
        Ok(())
    }

    /// The unit the bench file names must be the controller's own, where the controller says.
    async fn check_units(&mut self, channels: &[&str], items: &[Item<'_>]) -> Result<(), MotionError> {
        if !self.has("PUN?") {
            return Ok(());
        }
        let request = codec::query("PUN", channels);
        let query = harmless(&request, "a unit for each axis");
        let texts = match self.ask("all", &query, |a| codec::axis_texts(a, channels)).await {
            Ok(texts) => texts,
            // Not listed and not known: old firmware.
            Err(MotionError::Refused { .. }) if self.commands.is_empty() => return Ok(()),
            Err(e) => return Err(e),
        };
        for (item, text) in items.iter().zip(texts) {
            let wanted = item.setup.unit;
            if codec::unit(&text) != Some(wanted) {
                let set = match wanted {
                    ChannelUnit::Millimetre => "MM",
                    ChannelUnit::Micrometre => "UM",
                    ChannelUnit::Degree => "DEG",
                };
                return Err(self.read_back(item.setup.axis.clone(), "position unit", set.into(), text));
            }
        }
        Ok(())
    }

    /// The range of the bench must lie within what the controller lets itself be sent to.
    async fn check_travel(&mut self, channels: &[&str], items: &[Item<'_>]) -> Result<(), MotionError> {
        let mut travel = self.travel(channels).await?;
        let fits = |travel: &[(f64, f64)]| items.iter().zip(travel).all(|(i, t)| i.fits(*t));
        if !fits(&travel) && self.has_soft_limits() {
            // Soft limits of an earlier bench file narrow what `TMN?` and `TMX?` say; nothing moves meanwhile.
            let off: Vec<(&str, f64)> = channels.iter().map(|c| (*c, 0.0)).collect();
            self.set("all", &codec::command("SSL", &off)).await?;
            travel = self.travel(channels).await?;
        }
        for (item, (low, high)) in items.iter().zip(travel) {
            if !item.fits((low, high)) {
                let factor = item.setup.unit.factor();
                return Err(MotionError::RangeOutsideTravel {
                    instrument: self.instrument(),
                    axis: item.setup.axis.clone(),
                    channel: item.setup.channel.clone(),
                    lower: item.setup.range.0,
                    upper: item.setup.range.1,
                    travel_lower: low * factor,
                    travel_upper: high * factor,
                });
            }
        }
        Ok(())
    }

    async fn travel(&mut self, channels: &[&str]) -> Result<Vec<(f64, f64)>, MotionError> {
        let lowest = self.numbers("TMN", channels).await?;
        let highest = self.numbers("TMX", channels).await?;
        Ok(lowest.into_iter().zip(highest).collect())
    }

    /// The controller's own soft limits, where it has them: off, both ends, on, and read back.
    async fn soft_limits(&mut self, channels: &[&str], items: &[Item<'_>]) -> Result<(), MotionError> {
        if !self.has_soft_limits() {
            return Ok(());
        }
        let limits: Vec<(&str, f64, f64)> = channels.iter().zip(items).map(|(c, i)| (*c, i.lower, i.upper)).collect();
        self.set_soft_limits(&limits).await
    }

    /// Sets the soft limits of channels, in their own units, and reads them back.
    pub(super) async fn set_soft_limits(&mut self, limits: &[(&str, f64, f64)]) -> Result<(), MotionError> {
        let off: Vec<(&str, f64)> = limits.iter().map(|l| (l.0, 0.0)).collect();
        let lower: Vec<(&str, f64)> = limits.iter().map(|l| (l.0, l.1)).collect();
        let upper: Vec<(&str, f64)> = limits.iter().map(|l| (l.0, l.2)).collect();
        let on: Vec<(&str, f64)> = limits.iter().map(|l| (l.0, 1.0)).collect();
        // Off first: a new lower end above the old upper one would be refused.
        self.soft_limit("SSL", "soft limits off", &off).await?;
        self.soft_limit("NLM", "lower soft limit", &lower).await?;
        self.soft_limit("PLM", "upper soft limit", &upper).await?;
        self.soft_limit("SSL", "soft limits on", &on).await
    }

    async fn soft_limit(
        &mut self,
        mnemonic: &str,
        what: &'static str,
        pairs: &[(&str, f64)],
    ) -> Result<(), MotionError> {
        let channels: Vec<&str> = pairs.iter().map(|(c, _)| *c).collect();
        self.set("all", &codec::command(mnemonic, pairs)).await?;
        let read = self.numbers(mnemonic, &channels).await?;
        match pairs.iter().zip(read).find(|((_, sent), read)| !same(*sent, *read)) {
            Some(((channel, sent), read)) => {
                Err(self.read_back(self.axis(channel), what, codec::number(*sent), codec::number(read)))
            }
            None => Ok(()),
        }
    }

    pub(super) fn has_soft_limits(&self) -> bool {
        ["NLM", "PLM", "SSL"].iter().all(|c| self.commands.contains(*c))
    }

    /// Whether a query is listed; where nothing is listed it is tried.
    fn has(&self, query: &str) -> bool {
        self.commands.is_empty() || self.commands.contains(query)
    }
}

impl Item<'_> {
    fn new(setup: &ChannelSetup) -> Item<'_> {
        let factor = setup.unit.factor();
        Item { setup, lower: setup.range.0 / factor, upper: setup.range.1 / factor }
    }

    fn fits(&self, (low, high): (f64, f64)) -> bool {
        let within = |value: f64| (low..=high).contains(&value) || same(value, low) || same(value, high);
        within(self.lower) && within(self.upper)
    }
}
