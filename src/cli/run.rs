//! What a command line asks for.

use std::ffi::OsStr;
use std::process::ExitCode;

use super::args::Command;
use super::parse_args;
use super::perf::run_perf;
use super::serve::run_serve;
use super::store::run_store;

/// The whole command: reads the command line, and does what it says.
pub fn run() -> ExitCode {
    let words = || std::env::args_os();
    // They report what is wrong with their options in their own way.
    match words().nth(1).as_deref().and_then(OsStr::to_str) {
        Some("perf") => return run_perf(words().skip(2)),
        Some("store") => return run_store(words().skip(2)),
        _ => {}
    }
    let args = match parse_args(words()) {
        Ok(args) => args,
        Err(stop) => return stop.report(),
    };
    let serve = args.clone();
    match args.into_command() {
        None | Some(Command::Serve(_)) => run_serve(&serve),
        Some(Command::Admin(admin)) => admin.run(std::env::vars_os()),
        Some(Command::Completions(completions)) => completions.run(),
        Some(Command::Man(man)) => man.run(),
        // Options of the broker stand before them: `parse_args` refuses that.
        Some(Command::Perf(_) | Command::Store(_)) => run_perf(words().skip(2)),
    }
}
