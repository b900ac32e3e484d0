//! The `bifold` program.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the face of a command-line program"
)]

mod args;
mod ask;
mod daemon;
mod face;
mod fatal;
mod home;
mod people;
mod report;
mod roots;
mod show;
mod signals;
mod sync;
mod words;

use args::{Args, Command};
use clap::{CommandFactory as _, Parser};
use fatal::Fatal;
use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    bifold_control::memory::give_back();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(e) => {
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { 2 } else { 0 });
        }
    };
    let json = args.json;
    match run(args) {
        Ok(code) => code,
        Err(fatal) => {
            if json {
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

fn run(args: Args) -> Result<ExitCode, Fatal> {
    let log = args.log.clone();
    match args.command {
        Command::Sync(mut sync) => {
            log_to_stderr(log.as_deref());
            (sync.home, sync.json) = (args.home, args.json);
            sync::run(&sync)
        }
        Command::Daemon(daemon) => daemon::run(&daemon, &home::place(args.home.as_ref())?, log.as_deref()),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Args::command(), "bifold", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        Command::Man => {
            let mut page = Vec::new();
            manual(&Args::command(), &mut page).map_err(|e| Fatal::new(format!("the manual cannot be written: {e}")))?;
            print!("{}", String::from_utf8_lossy(&page));
            Ok(ExitCode::SUCCESS)
        }
        Command::Openapi => {
            print!("{}", bifold_control::openapi::text());
            Ok(ExitCode::SUCCESS)
        }
        command => {
            log_to_stderr(log.as_deref());
            ask::run(command, &home::place(args.home.as_ref())?, args.json)
        }
    }
}

/// The manual: the program, and after it what each command does.
fn manual(program: &clap::Command, page: &mut Vec<u8>) -> std::io::Result<()> {
    clap_mangen::Man::new(program.clone()).render(page)?;
    for command in program.get_subcommands().filter(|c| c.get_name() != "help") {
        let name = format!("bifold {}", command.get_name());
        writeln!(page, ".SH {}", name.to_uppercase())?;
        let man = clap_mangen::Man::new(command.clone().bin_name(name));
        man.render_synopsis_section(page)?;
        man.render_description_section(page)?;
        man.render_options_section(page)?;
    }
    Ok(())
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
