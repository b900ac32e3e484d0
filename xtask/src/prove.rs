//! `cargo xtask prove`: the tests of the promise "nothing lost, always equal", for as long as is wanted. Each prints its counts.

use std::ffi::OsString;
use std::fmt;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::install;
use crate::job::{cargo, step_heard};

/// How a part is made longer.
enum Longer {
    /// It takes a number of seconds.
    Seconds(&'static [(&'static str, &'static str)], &'static str),
    /// It takes a count: so many are tried first, to see how long they take.
    Count(&'static str, u32),
}

/// One of the tests, and its share of the time.
struct Part {
    what: &'static str,
    package: &'static str,
    test: &'static str,
    filter: &'static [&'static str],
    longer: Longer,
    share: f64,
}

const PARTS: [Part; 8] = [
    Part {
        what: "every small history of a tree",
        package: "bifold-tree",
        test: "exhaustive",
        filter: &[],
        longer: Longer::Seconds(&[("BIFOLD_DEPTH", "6")], "BIFOLD_SECONDS"),
        share: 0.1,
    },
    Part {
        what: "random histories of trees",
        package: "bifold-tree",
        test: "histories",
        filter: &[],
        longer: Longer::Count("BIFOLD_HISTORIES", 200),
        share: 0.1,
    },
    Part {
        what: "random histories of devices, simulated",
        package: "bifold-testkit",
        test: "apart",
        filter: &[],
        longer: Longer::Count("BIFOLD_HISTORIES", 500),
        share: 0.2,
    },
    Part {
        what: "what people see, explained; simulated",
        package: "bifold-testkit",
        test: "mysteries",
        filter: &[],
        longer: Longer::Count("BIFOLD_HISTORIES", 500),
        share: 0.1,
    },
    Part {
        what: "what people see, explained; real daemons",
        package: "bifold",
        test: "mysteries",
        filter: &[],
        longer: Longer::Count("BIFOLD_HISTORIES", 5),
        share: 0.15,
    },
    Part {
        what: "what peers may send",
        package: "bifold-testpeer",
        test: "fuzzed",
        filter: &[],
        longer: Longer::Count("BIFOLD_FUZZ_SECONDS", 1),
        share: 0.1,
    },
    Part {
        what: "power cuts",
        package: "bifold",
        test: "cut",
        filter: &[],
        longer: Longer::Count("BIFOLD_CUTS", 20),
        share: 0.15,
    },
    Part {
        what: "daemons that are killed",
        package: "bifold",
        test: "killed",
        filter: &["daemons_killed"],
        longer: Longer::Count("BIFOLD_KILLS", 10),
        share: 0.1,
    },
];

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    minutes: Option<u32>,
    seed: Option<u64>,
}

/// So long, if nothing is said.
const MINUTES: u32 = 10;

impl Options {
    /// From the arguments.
    pub fn parse(args: &[OsString]) -> Result<Options> {
        let mut options = Options {
            minutes: None,
            seed: None,
        };
        let mut args = args.iter().map(|arg| arg.to_string_lossy());
        while let Some(flag) = args.next() {
            let value = args.next().with_context(|| format!("`{flag}` needs a number after it"))?;
            let hint = || format!("`{flag} {value}`: give a whole number, such as 30");
            match &*flag {
                "--minutes" => options.minutes = Some(value.parse().with_context(hint)?),
                "--seed" => options.seed = Some(value.parse().with_context(hint)?),
                _ => bail!("`prove` takes `--minutes N` and `--seed S`, not `{flag}`"),
            }
        }
        Ok(options)
    }
}

/// What tests counted: each thing with its name, in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counted(Vec<(String, u64)>);

impl Counted {
    /// Takes in a line of a test, if it says what was counted: `counted: 12 histories, 30 operations`.
    fn hear(&mut self, line: &str) {
        let Some((_, counts)) = line.split_once("counted: ") else {
            return;
        };
        for count in counts.trim().split(", ") {
            if let Some((number, name)) = count.split_once(' ')
                && let Ok(number) = number.parse()
            {
                self.add(name, number);
            }
        }
    }

    fn add(&mut self, name: &str, number: u64) {
        match self.0.iter_mut().find(|(n, _)| n == name) {
            Some((_, sum)) => *sum += number,
            None => self.0.push((name.to_owned(), number)),
        }
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grouped = |number: u64| {
            let digits = number.to_string();
            let groups: Vec<&str> = digits
                .as_bytes()
                .rchunks(3)
                .rev()
                .filter_map(|group| str::from_utf8(group).ok())
                .collect();
            groups.join(",")
        };
        let all: Vec<String> = self
            .0
            .iter()
            .map(|(name, number)| format!("{} {name}", grouped(*number)))
            .collect();
        f.write_str(&if all.is_empty() {
            "nothing".to_owned()
        } else {
            all.join(", ")
        })
    }
}

/// Runs one test, and tells what it counted.
fn run(part: &Part, heading: &str, set: &[(&str, String)]) -> Result<Counted> {
    let mut command = cargo(&["test", "--release", "--package", part.package, "--test", part.test, "--"])?;
    command.args(part.filter).arg("--nocapture");
    for (name, value) in set {
        command.env(name, value);
    }
    let shown: Vec<String> = set.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut counted = Counted::default();
    step_heard(
        &format!("{heading} ({})", shown.join(", ")),
        &mut command,
        "what failed is printed above with its seed; keep it as a story in tests/scenarios/",
        |line| counted.hear(line),
    )?;
    Ok(counted)
}

/// Plays a part for its share of the time, and tells what was counted in its longest run; or one seed of it.
fn play(part: &Part, options: &Options) -> Result<Counted> {
    let mut set = Vec::new();
    set.extend(options.seed.map(|seed| ("BIFOLD_SEED", seed.to_string())));
    let seconds = match options.minutes {
        Some(minutes) => f64::from(minutes) * 60.0 * part.share,
        None if options.seed.is_some() => return run(part, part.what, &set),
        None => f64::from(MINUTES) * 60.0 * part.share,
    };
    match part.longer {
        Longer::Seconds(with, name) => {
            set.extend(with.iter().map(|(n, v)| (*n, (*v).to_owned())));
            set.push((name, (seconds as u64).max(1).to_string()));
            run(part, part.what, &set)
        }
        Longer::Count(name, few) => {
            let counting = |heading: &str, count: u32| {
                let mut set = set.clone();
                set.push((name, count.to_string()));
                run(part, heading, &set)
            };
            // (What is compiled is not of its time.)
            counting(&format!("{}: to begin with", part.what), 1)?;
            let begun = Instant::now();
            let counted = counting(&format!("{}: how long some take", part.what), few)?;
            let each = begun.elapsed().as_secs_f64() / f64::from(few);
            let many = ((seconds - begun.elapsed().as_secs_f64()) / each).min(f64::from(u32::MAX)) as u32;
            if many > few { counting(part.what, many) } else { Ok(counted) }
        }
    }
}

/// Plays all parts, each for its share of the time, from a seed on; or one seed of each that has seeds, which tells what happens. One that
/// fails keeps none of the others back.
pub fn prove(options: &Options) -> Result<ExitCode> {
    install::c_compiler()?;
    let one_seed = options.seed.is_some() && options.minutes.is_none();
    let (mut lines, mut sum, mut failed, mut unplayed) = (Vec::new(), Counted::default(), 0, 0);
    for part in &PARTS {
        if one_seed && matches!(part.longer, Longer::Seconds(..)) {
            continue;
        }
        let begun = Instant::now();
        let told = match play(part, options) {
            Ok(counted) if counted.0.is_empty() => {
                unplayed += 1;
                "could not be played here, see above".to_owned()
            }
            Ok(counted) => {
                counted.0.iter().for_each(|(name, number)| sum.add(name, *number));
                counted.to_string()
            }
            Err(error) => {
                eprintln!("\nxtask: {error:#}");
                failed += 1;
                "FAILED, see above".to_owned()
            }
        };
        lines.push(format!("{}: {told} ({:.0} s)", part.what, begun.elapsed().as_secs_f64()));
    }
    println!("\n{}\nIn all: {sum}.", lines.join("\n"));
    if failed > 0 {
        println!("{failed} of {} parts failed.", lines.len());
        return Ok(ExitCode::FAILURE);
    }
    if unplayed > 0 {
        println!(
            "Nothing was lost in what was played; {unplayed} of {} parts could not be.",
            lines.len()
        );
    } else {
        println!("Nothing was lost, and all became equal.");
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "in a test a panic is a failed test")]

    use super::*;

    fn parse(args: &[&str]) -> Result<Options> {
        Options::parse(&args.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn minutes_and_a_seed_are_understood() {
        let options = parse(&["--minutes", "30", "--seed", "7"]).unwrap();
        assert_eq!(
            options,
            Options {
                minutes: Some(30),
                seed: Some(7)
            }
        );
        assert_eq!(parse(&[]).unwrap().minutes, None);
        assert!(parse(&["--minutes"]).is_err());
        assert!(parse(&["--minutes", "many"]).is_err());
        assert!(parse(&["--count", "7"]).is_err());
    }

    #[test]
    fn what_tests_count_is_added_up() {
        let mut counted = Counted::default();
        for line in [
            "test here ... counted: 12 histories, 1200 operations",
            "BIFOLD_SEED=7",
            "everyday, counted: 3 operations, 1000000 disk faults",
        ] {
            counted.hear(line);
        }
        assert_eq!(counted.to_string(), "12 histories, 1,203 operations, 1,000,000 disk faults");
        assert_eq!(Counted::default().to_string(), "nothing");
    }

    #[test]
    fn the_shares_are_the_whole() {
        assert!((PARTS.iter().map(|part| part.share).sum::<f64>() - 1.0).abs() < 1e-9);
    }
}
