//! The figures: collected, shown as they come, and at the end as a Markdown table and as JSON.

use std::fmt::Write as _;

use super::tool::Kind;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unit {
    Seconds,
    Milliseconds,
    Mebibytes,
}

impl Unit {
    fn symbol(self) -> &'static str {
        match self {
            Unit::Seconds => "s",
            Unit::Milliseconds => "ms",
            Unit::Mebibytes => "MiB",
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Unit::Seconds => format!("{value:.2} s"),
            Unit::Milliseconds => format!("{value:.0} ms"),
            Unit::Mebibytes => format!("{value:.1} MiB"),
        }
    }
}

/// What is measured, whatever the tool.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    work: &'static str,
    what: &'static str,
    unit: Unit,
}

impl Figure {
    pub fn of(work: &'static str, what: &'static str, unit: Unit) -> Figure {
        Figure { work, what, unit }
    }
}

/// One figure of one tool: every time that it was measured.
struct Row {
    figure: Figure,
    tool: Kind,
    samples: Vec<f64>,
}

impl Row {
    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    fn min(&self) -> f64 {
        self.samples.iter().copied().fold(f64::INFINITY, f64::min)
    }

    fn max(&self) -> f64 {
        self.samples.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    fn median(&self) -> f64 {
        let sorted = self.sorted();
        let middle = sorted.len() / 2;
        if sorted.len().is_multiple_of(2) {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        } else {
            sorted[middle]
        }
    }
}

/// All that a run of the bench has found.
pub struct Report {
    quick: bool,
    versions: Vec<(Kind, String)>,
    rows: Vec<Row>,
    notes: Vec<String>,
    failures: Vec<String>,
}

impl Report {
    pub fn new(quick: bool) -> Report {
        Report {
            quick,
            versions: Vec::new(),
            rows: Vec::new(),
            notes: Vec::new(),
            failures: Vec::new(),
        }
    }

    pub fn version(&mut self, tool: Kind, version: String) {
        self.versions.push((tool, version));
    }

    pub fn note(&mut self, note: String) {
        eprintln!("  {note}");
        self.notes.push(note);
    }

    pub fn failure(&mut self, work: &str, tool: Kind, why: &str) {
        let failure = format!("{work}: {} failed, and was not measured further: {why}", tool.name());
        eprintln!("  {failure}");
        self.failures.push(failure);
    }

    pub fn failed(&self) -> bool {
        !self.failures.is_empty()
    }

    pub fn sample(&mut self, figure: Figure, tool: Kind, value: f64) {
        eprintln!("  {:<7} {:<11} {}", tool.name(), figure.what, figure.unit.show(value));
        match self.rows.iter_mut().find(|row| row.figure == figure && row.tool == tool) {
            Some(row) => row.samples.push(value),
            None => self.rows.push(Row {
                figure,
                tool,
                samples: vec![value],
            }),
        }
    }

    /// The rows, a figure's together, and in it the tools in the order of [`Kind::ALL`].
    fn ordered(&self) -> Vec<&Row> {
        let place = |row: &Row| self.rows.iter().position(|other| other.figure == row.figure);
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        rows.sort_by_key(|row| (place(row), Kind::ALL.iter().position(|&kind| kind == row.tool)));
        rows
    }

    /// The median, as a multiple of rsync's for the same figure.
    fn to_rsync(&self, row: &Row) -> Option<f64> {
        let rsync = self
            .rows
            .iter()
            .find(|other| other.figure == row.figure && other.tool == Kind::Rsync)?;
        Some(row.median() / rsync.median())
    }

    pub fn table(&self) -> String {
        let mut lines = vec![["work", "figure", "tool", "min", "median", "max", "n", "to rsync"].map(str::to_owned)];
        for row in self.ordered() {
            let Figure { work, what, unit } = row.figure;
            lines.push([
                work.to_owned(),
                what.to_owned(),
                row.tool.name().to_owned(),
                unit.show(row.min()),
                unit.show(row.median()),
                unit.show(row.max()),
                row.samples.len().to_string(),
                self.to_rsync(row)
                    .map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}×")),
            ]);
        }
        let widths: Vec<usize> = (0..8)
            .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
            .collect();
        let mut text = String::new();
        for (number, line) in lines.iter().enumerate() {
            let cells = line.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
                if column < 3 {
                    format!(" {cell:<width$} ")
                } else {
                    format!(" {cell:>width$} ")
                }
            });
            let _ = writeln!(text, "|{}|", cells.collect::<Vec<_>>().join("|"));
            if number == 0 {
                let rule = widths.iter().enumerate().map(|(column, &width)| {
                    let dashes = "-".repeat(width + 1);
                    if column < 3 {
                        format!("{dashes}-")
                    } else {
                        format!("{dashes}:")
                    }
                });
                let _ = writeln!(text, "|{}|", rule.collect::<Vec<_>>().join("|"));
            }
        }
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let versions: Vec<String> = self
            .versions
            .iter()
            .map(|(tool, version)| format!("{}: {version}", tool.name()))
            .collect();
        let _ = writeln!(text, "\n{cpus} CPUs; {}.", versions.join("; "));
        if self.quick {
            let _ = writeln!(
                text,
                "Quick: a twentieth of the work. These figures tell that the bench works, and no more."
            );
        }
        let remembers = "Memory is the largest single process; rsync runs three of them.";
        let has_memory = self.rows.iter().any(|row| row.figure.unit == Unit::Mebibytes);
        let remarks = has_memory.then_some(remembers).into_iter();
        for remark in remarks.chain(self.notes.iter().chain(&self.failures).map(String::as_str)) {
            let _ = writeln!(text, "{remark}");
        }
        text
    }

    pub fn json(&self) -> String {
        let list = |items: Vec<String>| format!("[{}]", items.join(", "));
        let strings = |items: &[String]| list(items.iter().map(|item| quoted(item)).collect());
        let versions = self
            .versions
            .iter()
            .map(|(tool, version)| format!("{}: {}", quoted(tool.name()), quoted(version)));
        let figures = self.ordered().into_iter().map(|row| {
            let Figure { work, what, unit } = row.figure;
            format!(
                "    {{\"work\": {}, \"figure\": {}, \"tool\": {}, \"unit\": {}, \"min\": {}, \"median\": {}, \"max\": {}, \
                 \"median_to_rsync\": {}, \"samples\": {}}}",
                quoted(work),
                quoted(what),
                quoted(row.tool.name()),
                quoted(unit.symbol()),
                number(row.min()),
                number(row.median()),
                number(row.max()),
                self.to_rsync(row).map_or_else(|| "null".to_owned(), number),
                list(row.samples.iter().copied().map(number).collect()),
            )
        });
        format!(
            "{{\n  \"os\": {},\n  \"arch\": {},\n  \"cpus\": {},\n  \"quick\": {},\n  \"versions\": {{{}}},\n  \
             \"notes\": {},\n  \"failures\": {},\n  \"figures\": [\n{}\n  ]\n}}\n",
            quoted(std::env::consts::OS),
            quoted(std::env::consts::ARCH),
            std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            self.quick,
            versions.collect::<Vec<_>>().join(", "),
            strings(&self.notes),
            strings(&self.failures),
            figures.collect::<Vec<_>>().join(",\n"),
        )
    }
}

/// A number as JSON, which has no word for what is not finite.
fn number(value: f64) -> String {
    if value.is_finite() {
        format!("{value:.6}")
    } else {
        "null".to_owned()
    }
}

fn quoted(text: &str) -> String {
    let mut json = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            control if control.is_control() => {
                let _ = write!(json, "\\u{:04x}", u32::from(control));
            }
            other => json.push(other),
        }
    }
    json.push('"');
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::new(false);
        let figure = Figure::of("small", "first sync", Unit::Seconds);
        for (tool, value) in [
            (Kind::Rsync, 2.0),
            (Kind::Bifold, 9.0),
            (Kind::Bifold, 3.0),
            (Kind::Bifold, 4.0),
        ] {
            report.sample(figure, tool, value);
        }
        report
    }

    #[test]
    fn the_table_has_the_median_and_its_ratio_to_rsync() {
        let table = report().table();
        let cells: Vec<String> = table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            cells[2],
            "| small | first sync | bifold | 3.00 s | 4.00 s | 9.00 s | 3 | 2.00× |"
        );
        assert_eq!(
            cells[3],
            "| small | first sync | rsync | 2.00 s | 2.00 s | 2.00 s | 1 | 1.00× |"
        );
    }

    #[test]
    fn the_json_holds_every_sample_and_escapes_what_it_must() {
        let mut report = report();
        report.note("a \"note\"\n".to_owned());
        let json = report.json();
        assert!(json.contains(r#""samples": [9.000000, 3.000000, 4.000000]"#), "{json}");
        assert!(json.contains(r#"["a \"note\"\u000a"]"#), "{json}");
    }
}
