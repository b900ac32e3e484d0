//! What is asked for on the command line.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::tool::Kind;
use super::work::Work;

pub struct Options {
    pub works: Vec<Work>,
    pub tools: Vec<Kind>,
    pub runs: usize,
    pub quick: bool,
    pub out: Option<PathBuf>,
}

impl Options {
    pub fn parse(args: &[OsString]) -> Result<Options> {
        let mut options = Options {
            works: Work::ALL.to_vec(),
            tools: Kind::ALL.to_vec(),
            runs: 3,
            quick: false,
            out: None,
        };
        let mut args = args.iter();
        while let Some(flag) = args.next() {
            let flag = flag.to_string_lossy();
            let mut value = || args.next().with_context(|| format!("`{flag}` wants a value after it"));
            match flag.as_ref() {
                "--only" => options.works = chosen(&value()?.to_string_lossy(), &Work::ALL, Work::name)?,
                "--tools" => options.tools = chosen(&value()?.to_string_lossy(), &Kind::ALL, Kind::name)?,
                "--runs" => {
                    let runs = value()?.to_string_lossy();
                    let runs = runs.parse().ok().filter(|runs| (1..=100).contains(runs));
                    options.runs = runs.context("`--runs` wants a number from 1 to 100")?;
                }
                "--quick" => options.quick = true,
                "--out" => options.out = Some(PathBuf::from(value()?)),
                other => bail!("`bench` does not know `{other}`; `cargo xtask help` lists what it knows"),
            }
        }
        Ok(options)
    }
}

/// The members of `all` that the comma-separated `list` names, in the order of `all`.
fn chosen<T: Copy>(list: &str, all: &[T], name: fn(T) -> &'static str) -> Result<Vec<T>> {
    let names: Vec<&str> = all.iter().map(|&one| name(one)).collect();
    if let Some(unknown) = list.split(',').find(|wanted| !names.contains(wanted)) {
        bail!("`{unknown}` is not one of {}", names.join(", "));
    }
    Ok(all
        .iter()
        .copied()
        .filter(|&one| list.split(',').any(|wanted| wanted == name(one)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options> {
        Options::parse(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn lists_choose_in_the_order_of_the_bench() {
        let options = parse("--only idle,small --tools unison,rsync --runs 5").unwrap();
        assert!(options.works == [Work::Small, Work::Idle]);
        assert!(options.tools == [Kind::Rsync, Kind::Unison]);
        assert_eq!(options.runs, 5);
    }

    #[test]
    fn what_is_not_known_is_refused_with_what_is() {
        let error = parse("--only smalls").err().unwrap().to_string();
        assert!(error.contains("`smalls` is not one of small, unchanged"), "{error}");
        assert!(parse("--runs 0").is_err());
        assert!(parse("--out").is_err());
    }
}
