//! The `bifold` program.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the face of a command-line program"
)]

mod args;
mod face;
mod fatal;
mod home;
mod memory;
mod people;
mod report;
mod roots;
mod sync;
mod words;

use args::{Args, Command};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    memory::give_back();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(e) => {
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { 2 } else { 0 });
        }
    };
    log_to_stderr(args.log.as_deref());
    let Command::Sync(sync) = args.command;
    match sync::run(&sync) {
        Ok(code) => code,
        Err(fatal) => {
            if sync.json {
                people::say(&serde_json::json!({ "error": fatal.message, "hint": fatal.hint }).to_string());
            }
            eprintln!("bifold: {}", fatal.message);
            if let Some(hint) = fatal.hint {
                eprintln!("  {hint}");
            }
            ExitCode::from(2)
        }
    }
}

fn log_to_stderr(filter: Option<&str>) {
    let env = std::env::var("BIFOLD_LOG").ok();
    let Some(filter) = filter.map(str::to_owned).or(env) else {
        return;
    };
    let filter = tracing_subscriber::EnvFilter::new(filter);
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
}
