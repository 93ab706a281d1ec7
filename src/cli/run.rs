//! What a command line asks for.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use super::args::Command;
use super::perf::run_perf;
use super::rabbitmq::{Tool, plugins};
use super::serve::run_serve;
use super::store::run_store;
use super::{parse_args, rabbitmqadmin};

/// The whole command: finds out as what it was called, and does what the command line says.
pub fn run() -> ExitCode {
    let words = || env::args_os().skip(1);
    let program = env::args_os().next().unwrap_or_default();
    let name = Path::new(&program).file_name();
    match name.and_then(OsStr::to_str).unwrap_or_default() {
        "rabbitmqadmin" => rabbitmqadmin::run(words(), env::vars_os()),
        "rabbitmq-plugins" => plugins::run(words(), env::vars_os()),
        // The broker, and nothing else: its options are those of `leveret serve`.
        "rabbitmq-server" => {
            let line = [program, OsString::from("serve")].into_iter().chain(words());
            parse_args(line)
                .map_or_else(|stop| stop.report(), |args| run_serve(&args.as_rabbitmq()))
        }
        name => match Tool::named(name) {
            Some(tool) => tool.run(words(), env::vars_os()),
            None => leveret(words()),
        },
    }
}

/// `leveret`, with the words behind its name.
fn leveret(words: impl Iterator<Item = OsString>) -> ExitCode {
    let words: Vec<OsString> = words.collect();
    // They report what is wrong with their options in their own way.
    match words.first().and_then(|word| word.to_str()) {
        Some("perf") => return run_perf(words.into_iter().skip(1)),
        Some("store") => return run_store(words.into_iter().skip(1)),
        _ => {}
    }
    let line = std::iter::once(OsString::from("leveret")).chain(words);
    let args = match parse_args(line) {
        Ok(args) => args,
        Err(stop) => return stop.report(),
    };
    match args.task() {
        None | Some(Command::Serve(_)) => run_serve(&args),
        Some(Command::Admin(admin)) => admin.clone().run(env::vars_os()),
        Some(Command::Config(config)) => config.run(env::vars_os()),
        Some(Command::Completions(completions)) => completions.run(),
        Some(Command::Man(man)) => man.run(),
        Some(Command::Perf(_) | Command::Store(_)) => {
            unreachable!("they come first, or `parse_args` refuses the options before them")
        }
    }
}
