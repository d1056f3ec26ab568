//! A run's searches as one SVG picture: a map of the readings, their convergence, and the light along z.

use std::fmt::Write as _;

use super::sketch::{level_dbm, span};
use crate::event::Trace;

/// Size of a panel with its margins, and of the margins.
const PANEL: f64 = 360.0;
const LEFT: f64 = 56.0;
const BOTTOM: f64 = 40.0;
const TOP: f64 = 34.0;
const RIGHT: f64 = 14.0;
/// Readings up to so many are numbered.
const NUMBERED: usize = 40;
/// Below the brightest sample the colours cover at most this, dB.
const DEPTH_MAX_DB: f64 = 40.0;
/// Depths below the brightest that convergence is drawn over, dB.
const DEPTH: (f64, f64) = (1e-3, 40.0);

/// One sample as it is drawn.
struct Dot {
    n: usize,
    t_s: f64,
    at: Vec<f64>,
    dbm: Option<f64>,
}

/// The picture of a run's searches, one row each.
pub fn svg(title: &str, traces: &[Trace]) -> String {
    let (width, height) = (3.0 * PANEL, PANEL * traces.len().max(1) as f64 + 24.0);
    let mut s = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"10\" y=\"16\" font-size=\"13\">{}</text>\n",
        escaped(title)
    );
    if traces.is_empty() {
        s.push_str("<text x=\"10\" y=\"60\">no search left a trace</text>\n");
    }
    for (i, trace) in traces.iter().enumerate() {
        let _ = writeln!(s, "<g transform=\"translate(0 {})\">", 24.0 + PANEL * i as f64);
        row(&mut s, trace);
        s.push_str("</g>\n");
    }
    s.push_str("</svg>\n");
    s
}

fn row(s: &mut String, trace: &Trace) {
    let dot = |(i, sample): (usize, &crate::event::Sample)| Dot {
        n: i + 1,
        t_s: sample.t_s,
        at: sample.actual.clone(),
        dbm: level_dbm(sample),
    };
    let dots: Vec<Dot> = trace.samples.iter().enumerate().map(dot).collect();
    let Some(top) = dots.iter().filter_map(|d| d.dbm).reduce(f64::max) else {
        let _ = writeln!(s, "<text x=\"10\" y=\"40\">{}: no power in any sample</text>", escaped(&trace.search));
        return;
    };
    let colours = Colours { top, bottom: span(dots.iter().filter_map(|d| d.dbm)).0.max(top - DEPTH_MAX_DB) };
    let lateral = trace.axes.len() >= 2 && dots.iter().all(|d| d.at.len() >= 2);
    if lateral {
        let (x, y) = square(span(dots.iter().map(|d| d.at[0])), span(dots.iter().map(|d| d.at[1])));
        let axes = [format!("{}, um", trace.axes[0]), format!("{}, um", trace.axes[1])];
        let name = format!("{}: {} readings", trace.search.replace('_', " "), dots.len());
        let plot = Plot::new(0.0, &name, x, y, [&axes[0], &axes[1]], false);
        plot.frame(s);
        plot.path(s, dots.iter().map(|d| (d.at[0], d.at[1])));
        plot.dots(s, &dots, &colours, |d| Some((d.at[0], d.at[1])));
        colours.legend(s);
    }
    let began = dots.first().map_or(0.0, |d| d.t_s);
    let (_, end) = span(dots.iter().map(|d| d.t_s - began));
    let plot =
        Plot::new(PANEL, "convergence", (0.0, end.max(1e-3)), DEPTH, ["time, s", "dB below the brightest"], true);
    plot.frame(s);
    let place = |d: &Dot| Some((d.t_s - began, (top - d.dbm?).clamp(DEPTH.0, DEPTH.1)));
    plot.path(s, dots.iter().filter_map(place));
    plot.dots(s, &dots, &colours, place);
    let Some(z) = trace.axes.iter().position(|a| a == "z") else { return };
    let range = span(dots.iter().map(|d| d.at[z]));
    if range.1 - range.0 < 0.1 {
        return;
    }
    let low = colours.bottom.min(top - 0.1);
    let plot = Plot::new(2.0 * PANEL, "along the light", widened(range), (low, top), ["z, um", "dBm"], false);
    plot.frame(s);
    plot.dots(s, &dots, &colours, |d| Some((d.at[z], d.dbm?.max(low))));
}

/// Colours of levels: dark violet to yellow, as dim to bright. Circles grow with the light too.
struct Colours {
    top: f64,
    bottom: f64,
}

impl Colours {
    fn share(&self, dbm: f64) -> f64 {
        if self.top > self.bottom { ((dbm - self.bottom) / (self.top - self.bottom)).clamp(0.0, 1.0) } else { 1.0 }
    }

    fn of(share: f64) -> String {
        // Stops of the viridis map.
        const STOPS: [[f64; 3]; 5] =
            [[68.0, 1.0, 84.0], [59.0, 82.0, 139.0], [33.0, 145.0, 140.0], [94.0, 201.0, 98.0], [253.0, 231.0, 37.0]];
        let at = share * 4.0;
        let i = (at as usize).min(3);
        let mix = |k: usize| STOPS[i][k] + (at - i as f64) * (STOPS[i + 1][k] - STOPS[i][k]);
        format!("#{:02x}{:02x}{:02x}", mix(0) as u8, mix(1) as u8, mix(2) as u8)
    }

    fn legend(&self, s: &mut String) {
        for i in 0..20 {
            let (x, colour) = (LEFT + 4.0 + 4.0 * f64::from(i), Colours::of(f64::from(i) / 19.0));
            let _ = writeln!(s, "<rect x=\"{x}\" y=\"{}\" width=\"4\" height=\"7\" fill=\"{colour}\"/>", TOP + 5.0);
        }
        let (x, y) = (LEFT + 88.0, TOP + 12.0);
        let _ = writeln!(s, "<text x=\"{x}\" y=\"{y}\">{:.1} to {:.1} dBm</text>", self.bottom, self.top);
    }
}

/// One panel: data to pixels.
struct Plot<'t> {
    left: f64,
    title: String,
    x: (f64, f64),
    y: (f64, f64),
    names: [&'t str; 2],
    /// The vertical axis counts downwards, in decades.
    decades: bool,
}

impl<'t> Plot<'t> {
    fn new(left: f64, title: &str, x: (f64, f64), y: (f64, f64), names: [&'t str; 2], decades: bool) -> Plot<'t> {
        Plot { left, title: title.to_string(), x, y, names, decades }
    }

    fn px(&self, x: f64) -> f64 {
        self.left + LEFT + (x - self.x.0) / (self.x.1 - self.x.0) * (PANEL - LEFT - RIGHT)
    }

    fn py(&self, y: f64) -> f64 {
        let share = if self.decades {
            (y.log10() - self.y.0.log10()) / (self.y.1.log10() - self.y.0.log10())
        } else {
            (y - self.y.0) / (self.y.1 - self.y.0)
        };
        TOP + (1.0 - share) * (PANEL - TOP - BOTTOM)
    }

    fn frame(&self, s: &mut String) {
        let (x0, x1, y0, y1) = (self.px(self.x.0), self.px(self.x.1), self.py(self.y.0), self.py(self.y.1));
        let _ =
            writeln!(s, "<text x=\"{x0}\" y=\"{}\" font-weight=\"bold\">{}</text>", TOP - 8.0, escaped(&self.title));
        let ticks = |(low, high): (f64, f64)| -> Vec<f64> {
            let step = nice((high - low) / 5.0);
            let first = (low / step).ceil() as i64;
            (first..first + 12).map(|i| i as f64 * step).filter(|v| *v <= high + 1e-9 * step).collect()
        };
        let across = ticks(self.x);
        let up = if self.decades { vec![0.001, 0.01, 0.1, 1.0, 10.0] } else { ticks(self.y) };
        for x in across {
            let (p, label) = (self.px(x), number(x));
            let _ = writeln!(s, "<line x1=\"{p:.1}\" y1=\"{y0:.1}\" x2=\"{p:.1}\" y2=\"{y1:.1}\" stroke=\"#e4e4e4\"/>");
            let _ = writeln!(s, "<text x=\"{p:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>", y0 + 14.0);
        }
        for y in up {
            let (p, label) = (self.py(y), number(y));
            let _ = writeln!(s, "<line x1=\"{x0:.1}\" y1=\"{p:.1}\" x2=\"{x1:.1}\" y2=\"{p:.1}\" stroke=\"#e4e4e4\"/>");
            let _ = writeln!(s, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>", x0 - 5.0, p + 4.0);
        }
        let (w, h) = (x1 - x0, y0 - y1);
        let _ =
            writeln!(s, "<rect x=\"{x0}\" y=\"{y1}\" width=\"{w}\" height=\"{h}\" fill=\"none\" stroke=\"#777777\"/>");
        let (mx, my) = ((x0 + x1) / 2.0, (y0 + y1) / 2.0);
        let _ = writeln!(
            s,
            "<text x=\"{mx}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            y0 + 30.0,
            escaped(self.names[0])
        );
        let (x, name) = (self.left + 13.0, escaped(self.names[1]));
        let _ = writeln!(
            s,
            "<text x=\"{x}\" y=\"{my}\" text-anchor=\"middle\" transform=\"rotate(-90 {x} {my})\">{name}</text>"
        );
    }

    fn path(&self, s: &mut String, points: impl Iterator<Item = (f64, f64)>) {
        let points: Vec<String> = points.map(|(x, y)| format!("{:.1},{:.1}", self.px(x), self.py(y))).collect();
        let _ = writeln!(s, "<polyline points=\"{}\" fill=\"none\" stroke=\"#bbbbbb\"/>", points.join(" "));
    }

    /// Dim dots first, so that the bright ones lie on top.
    fn dots(&self, s: &mut String, dots: &[Dot], colours: &Colours, place: impl Fn(&Dot) -> Option<(f64, f64)>) {
        let mut order: Vec<&Dot> = dots.iter().collect();
        order.sort_by(|a, b| a.dbm.unwrap_or(f64::MIN).total_cmp(&b.dbm.unwrap_or(f64::MIN)));
        for dot in order {
            let Some((x, y)) = place(dot) else { continue };
            let (x, y) = (self.px(x), self.py(y));
            let Some(dbm) = dot.dbm else {
                let _ = writeln!(s, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"1.5\" fill=\"none\" stroke=\"#999999\"/>");
                continue;
            };
            let share = colours.share(dbm);
            let (r, colour) = (2.0 + 2.5 * share, Colours::of(share));
            let _ = writeln!(
                s,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{r:.1}\" fill=\"{colour}\" stroke=\"#333333\" stroke-width=\"0.5\"/>"
            );
            if dots.len() <= NUMBERED {
                let _ = writeln!(s, "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"9\">{}</text>", x + 5.0, y - 4.0, dot.n);
            }
        }
    }
}

/// Both ranges widened to one scale, so that a circle is a circle.
fn square(x: (f64, f64), y: (f64, f64)) -> ((f64, f64), (f64, f64)) {
    let tall = (PANEL - TOP - BOTTOM) / (PANEL - LEFT - RIGHT);
    let half = 0.55 * (x.1 - x.0).max((y.1 - y.0) / tall).max(1.0);
    let around = |(a, b): (f64, f64), half: f64| ((a + b) / 2.0 - half, (a + b) / 2.0 + half);
    (around(x, half), around(y, half * tall))
}

fn widened((low, high): (f64, f64)) -> (f64, f64) {
    let margin = 0.05 * (high - low);
    (low - margin, high + margin)
}

/// The next of 1, 2, 5, 10, ... at or above a step.
fn nice(step: f64) -> f64 {
    let decade = 10f64.powf(step.max(1e-12).log10().floor());
    let times = [1.0, 2.0, 5.0, 10.0].into_iter().find(|t| t * decade >= step * 0.999).unwrap_or(10.0);
    times * decade
}

/// A tick's number without noise in its last digits.
fn number(v: f64) -> String {
    let v = (v * 1e6).round() / 1e6;
    if v == 0.0 { "0".to_string() } else { v.to_string() }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Sample;
    use units::{Power, Reading};

    fn trace(readings: impl Fn(f64) -> Reading) -> Trace {
        let samples = (0..9).map(|i| {
            let at = vec![f64::from(i), f64::from(i % 3), 10.0 * f64::from(i)];
            Sample { t_s: f64::from(i), commanded: at.clone(), actual: at, readings: vec![readings(f64::from(i))] }
        });
        Trace {
            t_s: 9.0,
            step: 4,
            search: "peak".into(),
            axes: vec!["x".into(), "y".into(), "z".into()],
            channels: vec!["signal".into()],
            samples: samples.collect(),
        }
    }

    #[test]
    fn every_reading_is_a_numbered_circle_in_each_of_the_three_panels() {
        let text = svg("a < b", &[trace(|i| Reading::Power(Power::from_dbm(-i)))]);
        assert!(text.starts_with("<svg ") && text.ends_with("</svg>\n"));
        assert!(text.contains("a &lt; b") && text.contains("along the light") && text.contains("convergence"));
        assert_eq!(text.matches("<circle").count(), 27);
        assert_eq!(text.matches(">9</text>").count(), 3, "the last reading's number");
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        assert_eq!(text.matches("<g ").count(), text.matches("</g>").count());
    }

    #[test]
    fn dark_and_empty_runs_are_pictures_too() {
        assert!(svg("dark", &[trace(|_| Reading::UnderRange)]).contains("no power in any sample"));
        assert!(svg("none", &[]).contains("no search left a trace"));
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!([0.13, 0.9, 1.0, 3.0, 60.0].map(nice), [0.2, 1.0, 1.0, 5.0, 100.0]);
    }
}
