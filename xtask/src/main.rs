//! `cargo xtask`: what a developer runs. Each command installs what it misses, or says what to install.

// xtask talks to the person at the terminal, and has no other way to do so.
#![allow(clippy::print_stdout, clippy::print_stderr)]

#[cfg(unix)]
mod bench;
mod checks;
mod install;
mod job;
mod prove;
mod sample;
#[cfg(target_os = "linux")]
mod soak;
mod window;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
Usage: cargo xtask COMMAND

  run [-- ARGS]     build Bifold and run `bifold ARGS`; without ARGS, open its window, or where there is no display, play a
                    small example in two sample folders
  run -- --demo     two devices at once, with sample folders, a conflict and changes on their way, and the window of one
  test              format, lints, documentation and all tests: what CI runs
  package           build the package of this system: on Linux a .deb with the window, the command, its page and completions
  pictures          make the pictures of the documentation anew
  stories           play every story of tests/scenarios at every moment, simulated and by the real program (slow)
  prove [OPTIONS]   long runs of the tests of what is promised: random histories, power cuts, kills; and what they counted
      --minutes N   for so long (10 if not given), and what compiling takes
      --seed S      from this seed on; without --minutes: that one of each alone, and what happens in it
  bench [OPTIONS]   measure Bifold beside rsync and Unison, on this machine and in this run
      --only LIST   some of: small,unchanged,large,memory,latency,idle
      --tools LIST  some of: bifold,rsync,unison
      --runs N      how often each figure is measured (3 if not given; unchanged: 2 more)
      --quick       a twentieth of the work, to try the bench itself; its figures mean little
      --out FILE    write the figures as JSON, too
      BIFOLD_BENCH_DIR (environment): where to put the folders, instead of the system's temporary directory
  soak [OPTIONS]    on Linux: three daemons, each on a host of its own (as root; else all on this one), an hour of mixed load with
                    partitions and kills: all equal at the end, nothing lost, memory and handles flat
      --minutes N   how long (60 if not given)
      --seed S      another load than that of seed 1
      --out FILE    write what was measured each second as CSV, too
      --picture FILE  draw it there, instead of docs/pictures/soak.png
      --bifold PATH   take this program, instead of building the release; --build TEXT says in the picture what it is
      BIFOLD_SOAK_DIR (environment): where to put the folders, instead of the system's temporary directory
";

fn main() -> ExitCode {
    match dispatch(std::env::args_os().skip(1).collect()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("\nxtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: Vec<OsString>) -> Result<ExitCode> {
    let Some((command, rest)) = args.split_first() else {
        print!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    };
    match command.to_string_lossy().as_ref() {
        "run" => {
            let bifold_args = if rest.first().is_some_and(|first| first == "--") {
                &rest[1..]
            } else {
                rest
            };
            match bifold_args {
                [demo] if demo == "--demo" => window::demo(),
                [] if window::has_display() => window::open(),
                args => sample::run(args),
            }
        }
        "package" => {
            nothing_after("package", rest)?;
            window::package()
        }
        "pictures" => {
            nothing_after("pictures", rest)?;
            window::pictures()
        }
        "test" => {
            nothing_after("test", rest)?;
            checks::test()
        }
        "stories" => {
            nothing_after("stories", rest)?;
            checks::stories()
        }
        "prove" => prove::prove(&prove::Options::parse(rest)?),
        #[cfg(unix)]
        "bench" => bench::run(rest),
        #[cfg(not(unix))]
        "bench" => bail!("the bench measures by means that only Unix has; run it on Linux"),
        #[cfg(target_os = "linux")]
        "soak" => soak::run(rest),
        #[cfg(not(target_os = "linux"))]
        "soak" => bail!("the soak measures by means that only Linux has"),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        other => bail!("there is no command `{other}`.\n\n{USAGE}"),
    }
}

fn nothing_after(command: &str, rest: &[OsString]) -> Result<()> {
    match rest.first() {
        None => Ok(()),
        Some(extra) => bail!("`{command}` takes nothing after it; leave out `{}`", extra.to_string_lossy()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_command_is_answered_with_the_usage() {
        let error = dispatch(vec!["dance".into()]).unwrap_err();
        assert!(error.to_string().contains("cargo xtask COMMAND"));
    }
}
