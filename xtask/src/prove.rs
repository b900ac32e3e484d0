//! `cargo xtask prove`: the tests of the promise "nothing lost, always equal", for as long as is wanted. Each prints its counts.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::install;
use crate::job::{cargo, step};

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
    minutes: u32,
    seed: Option<u64>,
}

impl Options {
    /// From the arguments.
    pub fn parse(args: &[OsString]) -> Result<Options> {
        let mut options = Options { minutes: 10, seed: None };
        let mut args = args.iter().map(|arg| arg.to_string_lossy());
        while let Some(flag) = args.next() {
            let value = args.next().with_context(|| format!("`{flag}` needs a number after it"))?;
            let hint = || format!("`{flag} {value}`: give a whole number, such as 30");
            match &*flag {
                "--minutes" => options.minutes = value.parse().with_context(hint)?,
                "--seed" => options.seed = Some(value.parse().with_context(hint)?),
                _ => bail!("`prove` takes `--minutes N` and `--seed S`, not `{flag}`"),
            }
        }
        Ok(options)
    }
}

fn run(part: &Part, heading: &str, set: &[(&str, String)]) -> Result<()> {
    let mut command = cargo(&["test", "--release", "--package", part.package, "--test", part.test, "--"])?;
    command.args(part.filter).arg("--nocapture");
    for (name, value) in set {
        command.env(name, value);
    }
    let shown: Vec<String> = set.iter().map(|(name, value)| format!("{name}={value}")).collect();
    step(
        &format!("{heading} ({})", shown.join(", ")),
        &mut command,
        "what failed is printed above with its seed; keep it as a story in tests/scenarios/",
    )
}

/// Plays all parts, each for its share of the time; or one seed of each that has seeds, which tells what happens.
pub fn prove(options: &Options) -> Result<ExitCode> {
    install::c_compiler()?;
    for part in &PARTS {
        if let Some(seed) = options.seed {
            if matches!(part.longer, Longer::Count(..)) {
                run(part, part.what, &[("BIFOLD_SEED", seed.to_string())])?;
            }
            continue;
        }
        let seconds = f64::from(options.minutes) * 60.0 * part.share;
        match part.longer {
            Longer::Seconds(with, name) => {
                let mut set: Vec<(&str, String)> = with.iter().map(|(n, v)| (*n, (*v).to_owned())).collect();
                set.push((name, (seconds as u64).max(1).to_string()));
                run(part, part.what, &set)?;
            }
            Longer::Count(name, few) => {
                // (What is compiled is not of its time.)
                run(part, &format!("{}: to begin with", part.what), &[(name, 1.to_string())])?;
                let begun = Instant::now();
                run(
                    part,
                    &format!("{}: how long some take", part.what),
                    &[(name, few.to_string())],
                )?;
                let each = begun.elapsed().as_secs_f64() / f64::from(few);
                let many = ((seconds - begun.elapsed().as_secs_f64()) / each).min(f64::from(u32::MAX)) as u32;
                if many > few {
                    run(part, part.what, &[(name, many.to_string())])?;
                }
            }
        }
    }
    println!("\nNothing was lost, and all became equal.");
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
                minutes: 30,
                seed: Some(7)
            }
        );
        assert_eq!(parse(&[]).unwrap().minutes, 10);
        assert!(parse(&["--minutes"]).is_err());
        assert!(parse(&["--minutes", "many"]).is_err());
        assert!(parse(&["--count", "7"]).is_err());
    }

    #[test]
    fn the_shares_are_the_whole() {
        assert!((PARTS.iter().map(|part| part.share).sum::<f64>() - 1.0).abs() < 1e-9);
    }
}
