//! Bifold's window and tray.
#![cfg_attr(windows, windows_subsystem = "windows")]

fn main() -> std::process::ExitCode {
    bifold_desktop::prepare();
    bifold_desktop::run()
}
