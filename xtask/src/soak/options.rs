//! What is asked for on the command line.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

pub struct Options {
    pub minutes: u64,
    pub seed: u64,
    pub bifold: Option<PathBuf>,
    /// How that was built, for the picture.
    pub build: String,
    pub out: Option<PathBuf>,
    pub picture: Option<PathBuf>,
}

impl Options {
    pub fn parse(args: &[OsString]) -> Result<Options> {
        let mut options = Options {
            minutes: 60,
            seed: 1,
            bifold: None,
            build: "release build".into(),
            out: None,
            picture: None,
        };
        let mut args = args.iter();
        while let Some(flag) = args.next() {
            let flag = flag.to_string_lossy();
            let value = || {
                args.clone()
                    .next()
                    .with_context(|| format!("`{flag}` wants a value after it"))
            };
            let number = || -> Result<u64> {
                let text = value()?.to_string_lossy();
                text.parse().with_context(|| format!("`{flag} {text}`: give a whole number"))
            };
            match flag.as_ref() {
                "--minutes" => options.minutes = number()?.clamp(1, 7 * 24 * 60),
                "--seed" => options.seed = number()?,
                "--bifold" => {
                    options.bifold = Some(std::path::absolute(value()?)?);
                    options.build = "a given build".into();
                }
                "--build" => options.build = value()?.to_string_lossy().into_owned(),
                "--out" => options.out = Some(PathBuf::from(value()?)),
                "--picture" => options.picture = Some(PathBuf::from(value()?)),
                other => bail!("`soak` does not know `{other}`; `cargo xtask help` lists what it knows"),
            }
            args.next();
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options> {
        Options::parse(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn an_hour_unless_told() {
        let options = parse("--seed 7 --out samples.csv").unwrap();
        assert_eq!((options.minutes, options.seed), (60, 7));
        assert_eq!(options.out, Some(PathBuf::from("samples.csv")));
        assert_eq!(parse("--minutes 10").unwrap().minutes, 10);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for line in ["--minutes", "--minutes many", "--hours 1"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
