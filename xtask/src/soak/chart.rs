//! The picture.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

use super::NAMES;
use super::sampler::{Event, Figure, Samples};

const SIZE: (u32, u32) = (1280, 1180);
const COLOURS: [RGBColor; NAMES.len()] = [RGBColor(31, 97, 168), RGBColor(204, 102, 0), RGBColor(34, 139, 84)];
/// Where the font may lie.
const FONTS: [&str; 3] = [
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans.ttf",
    "/usr/share/fonts/TTF/DejaVuSans.ttf",
];

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;

pub fn font() -> Option<PathBuf> {
    FONTS.iter().map(PathBuf::from).find(|path| path.is_file())
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("the picture cannot be drawn: {error}")
}

/// Draws memory, handles, processor and files over time into a PNG.
pub fn draw(path: &Path, font: &Path, title: &str, samples: &Samples) -> Result<()> {
    // (As long as the program runs: there is one picture in a run.)
    let font: &'static [u8] = Box::leak(std::fs::read(font)?.into_boxed_slice());
    register_font("sans-serif", FontStyle::Normal, font).map_err(|_| failed("the font cannot be read"))?;
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let area = BitMapBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE).map_err(failed)?;
    let area = area.titled(title, ("sans-serif", 19)).map_err(failed)?;
    let note = "grey: a cable is pulled; a gap in a line: that daemon was killed and is down; dashed: the load ends";
    let area = area.titled(note, ("sans-serif", 14)).map_err(failed)?;
    let figures: [(&str, Figure); 4] = [
        ("resident memory, MiB", |one| one.memory_mib),
        ("open handles", |one| one.handles),
        ("threads", |one| one.threads),
        ("processor, %", |one| one.cpu_percent),
    ];
    let parts = area.split_evenly((figures.len() + 1, 1));
    for (part, (what, of)) in parts.iter().zip(figures) {
        let of_one = |i: usize| {
            samples
                .all
                .iter()
                .map(|s| (s.seconds, s.daemons[i].as_ref().map(of)))
                .collect()
        };
        panel(part, what, samples, &[0, 1, 2].map(of_one))?;
    }
    let files = |i: usize| samples.all.iter().map(|s| (s.seconds, Some(s.files[i] as f64))).collect();
    panel(&parts[figures.len()], "files in the folder", samples, &[0, 1, 2].map(files))?;
    area.present().map_err(failed)
}

/// One figure of all daemons over time.
fn panel(area: &Area<'_>, what: &str, samples: &Samples, lines: &[Vec<(f64, Option<f64>)>; NAMES.len()]) -> Result<()> {
    let minutes = |seconds: f64| seconds / 60.0;
    let last = minutes(samples.all.last().map_or(60.0, |sample| sample.seconds));
    let values = lines.iter().flatten().filter_map(|(_, value)| *value);
    let top = values.fold(1.0, f64::max) * 1.1;
    let mut chart = ChartBuilder::on(area)
        .caption(what, ("sans-serif", 15))
        .margin_right(18)
        .margin_left(6)
        .x_label_area_size(24)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..last, 0.0..top)
        .map_err(failed)?;
    let grey = RGBColor(120, 120, 120);
    for (from, to) in cut(samples, last * 60.0) {
        let bar = Rectangle::new([(minutes(from), 0.0), (minutes(to), top)], grey.mix(0.16).filled());
        chart.draw_series([bar]).map_err(failed)?;
    }
    let mesh = |text: &f64| format!("{text:.0}");
    let x = |text: &f64| format!("{} min", (text * 10.0).round() / 10.0);
    let mut style = chart.configure_mesh();
    style
        .disable_x_mesh()
        .light_line_style(WHITE.mix(0.0))
        .y_labels(5)
        .x_labels(11);
    style
        .y_label_formatter(&mesh)
        .x_label_formatter(&x)
        .label_style(("sans-serif", 13));
    style.draw().map_err(failed)?;
    for ((line, name), colour) in lines.iter().zip(NAMES).zip(COLOURS) {
        let pieces = line.split(|(_, value)| value.is_none());
        let mut legend = Some(name);
        for piece in pieces.filter(|piece| !piece.is_empty()) {
            let points = piece.iter().filter_map(|(at, value)| Some((minutes(*at), (*value)?)));
            let drawn = chart
                .draw_series(LineSeries::new(points, colour.stroke_width(1)))
                .map_err(failed)?;
            if let Some(name) = legend.take() {
                drawn
                    .label(name)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(3)));
            }
        }
    }
    for (at, event) in &samples.events {
        if matches!(event, Event::Over) {
            let points = [(minutes(*at), 0.0), (minutes(*at), top)];
            chart
                .draw_series(DashedLineSeries::new(points, 6, 4, BLACK.stroke_width(1)))
                .map_err(failed)?;
        }
    }
    let mut labels = chart.configure_series_labels();
    labels.position(SeriesLabelPosition::UpperLeft).label_font(("sans-serif", 13));
    labels.background_style(WHITE.mix(0.8)).draw().map_err(failed)
}

/// From when to when some cable was pulled.
fn cut(samples: &Samples, last: f64) -> Vec<(f64, f64)> {
    let mut since = [None; NAMES.len()];
    let mut cuts = Vec::new();
    for (at, event) in &samples.events {
        match event {
            Event::Cable(i, false) => since[*i] = Some(*at),
            Event::Cable(i, true) => cuts.extend(since[*i].take().map(|from| (from, *at))),
            _ => {}
        }
    }
    cuts.extend(since.into_iter().flatten().map(|from| (from, last)));
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cable_that_stays_out_is_out_until_the_end() {
        let samples = Samples {
            all: Vec::new(),
            events: vec![
                (1.0, Event::Cable(0, false)),
                (2.0, Event::Cable(2, false)),
                (3.0, Event::Cable(0, true)),
                (4.0, Event::Over),
            ],
        };
        assert_eq!(cut(&samples, 9.0), [(1.0, 3.0), (2.0, 9.0)]);
    }
}
