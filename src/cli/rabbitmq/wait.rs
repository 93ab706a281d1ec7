//! Waiting for the broker to start, and for it to end.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::call::Call;
use super::diagnostics::{is_alive, this_node};
use super::failure::Failure;
use crate::cli::EXIT_SOFTWARE;
use crate::cli::output::field;
use crate::net::now;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// How long `await_startup` waits unless `--timeout` says otherwise, as RabbitMQ's.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(300);

/// How long `wait` waits.
const WAIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Looks again and again until there is something, or the time is over.
fn until<T>(
    timeout: Duration,
    mut look: impl FnMut() -> Result<Option<T>, Failure>,
) -> Result<Option<T>, Failure> {
    let end = now() + timeout;
    loop {
        if let Some(found) = look()? {
            return Ok(Some(found));
        }
        if now() >= end {
            return Ok(None);
        }
        thread::sleep(PAUSE);
    }
}

pub(super) fn await_startup(call: &mut Call<'_>) -> Result<(), Failure> {
    let mut last = None;
    let started = until(call.timeout.unwrap_or(STARTUP_TIMEOUT), || {
        call.find_again()?;
        match is_alive(call) {
            Ok(()) => Ok(Some(())),
            Err(error) => {
                last = Some(error);
                Ok(None)
            }
        }
    })?;
    match (started, last) {
        (None, Some(error)) => Err(error.into()),
        _ => Ok(()),
    }
}

pub(super) fn await_online_nodes(call: &mut Call<'_>) -> Result<(), Failure> {
    let (count, node) = (call.word(0), call.node.clone());
    let timeout = call.timeout.unwrap_or(STARTUP_TIMEOUT);
    let seconds = timeout.as_secs();
    call.banner(&format!(
        "Will wait for at least {count} nodes to join the cluster of {node}. Timeout: {seconds} seconds."
    ))?;
    let count: u64 = count.parse().map_err(|_| Failure::data("the count must be a number"))?;
    let enough = until(timeout, || {
        call.find_again()?;
        Ok((count <= 1 && is_alive(call).is_ok()).then_some(()))
    })?;
    enough.ok_or_else(|| {
        let problem =
            format!("Error: timed out while waiting. Not enough nodes joined {node}'s cluster.");
        Failure::new(EXIT_SOFTWARE, &problem)
    })
}

/// Waits for a process, then for what it is to become.
pub(super) fn wait(call: &mut Call<'_>) -> Result<(), Failure> {
    let timeout = call.timeout.unwrap_or(WAIT_TIMEOUT);
    let end = now() + timeout;
    let node = call.node.clone();
    let pid = match call.option("pid").or(call.option("P")).map(str::to_owned) {
        Some(pid) => pid.parse().map_err(|_| Failure::data("--pid must be a number"))?,
        None => pid_from_file(call, timeout)?,
    };
    call.banner(&format!(
        "Waiting for erlang distribution on node '{node}' while OS process '{pid}' is running"
    ))?;
    let started = until(end.saturating_duration_since(now()), || {
        if !is_running(pid) {
            return Err(Failure::unavailable("process_not_running"));
        }
        call.find_again()?;
        Ok(is_alive(call).ok())
    })?;
    if started.is_none() {
        return Err(Failure::unavailable("timeout"));
    }
    call.banner(&format!(
        "Waiting for applications 'rabbit_and_plugins' to start on node '{node}'\n\
         Applications 'rabbit_and_plugins' are running on node '{node}'"
    ))
}

fn pid_from_file(call: &mut Call<'_>, timeout: Duration) -> Result<i32, Failure> {
    let named = call.words.first().map(String::as_str);
    let Some(file) = named.or_else(|| call.environment.text("RABBITMQ_PID_FILE")) else {
        let problem = "no process was named: give a PID file, --pid, or set RABBITMQ_PID_FILE";
        return Err(Failure::data(problem));
    };
    let file = file.to_owned();
    call.banner(&format!("Waiting for pid file '{file}' to appear"))?;
    // It may be there and not written yet.
    let pid = until(timeout, || {
        Ok(fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok()))
    })?;
    let pid = pid.ok_or_else(|| Failure::unavailable(&format!("there is no PID in {file}")))?;
    call.banner(&format!("pid is {pid}"))?;
    Ok(pid)
}

fn is_running(pid: i32) -> bool {
    // Somebody else's process can't be signalled, and runs.
    let is_there = Pid::from_raw(pid)
        .is_some_and(|pid| test_kill_process(pid) != Err(rustix::io::Errno::SRCH));
    is_there && !is_zombie(pid)
}

/// Whether a process has ended, and nobody has asked how: its state, behind its name in brackets, is `Z`.
fn is_zombie(pid: i32) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    let stat = stat.unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'))
}

pub(super) fn shutdown(call: &mut Call<'_>) -> Result<(), Failure> {
    let node = call.node.clone();
    call.banner(&format!("Shutting down RabbitMQ node {node} ..."))?;
    let pid = field(&this_node(call)?, "os_pid").as_str().and_then(|pid| pid.parse().ok());
    let Some(pid) = pid.filter(|pid| is_broker(*pid)) else {
        let problem =
            "the broker is no process of this machine that can be seen; stop it where it runs";
        return Err(Failure::unavailable(problem));
    };
    call.banner(&format!("Shutting down RabbitMQ node {node} running at PID {pid}"))?;
    let process = Pid::from_raw(pid).ok_or_else(|| Failure::unavailable("it is no process"))?;
    kill_process(process, Signal::TERM)
        .map_err(|error| Failure::unavailable(&format!("cannot end process {pid}: {error}")))?;
    if call.has("no-wait") {
        return Ok(());
    }
    let timeout = call.timeout.unwrap_or(STARTUP_TIMEOUT);
    call.banner(&format!("Waiting for PID {pid} to terminate"))?;
    let ended = until(timeout, || Ok((!is_running(pid)).then_some(())))?;
    ended.ok_or_else(|| Failure::unavailable(&format!("process {pid} still runs")))?;
    call.banner(&format!("RabbitMQ node {node} running at PID {pid} successfully shut down"))
}

/// Whether a process is a broker of ours. In another container the same number is somebody else.
fn is_broker(pid: i32) -> bool {
    let name = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("comm"));
    name.is_ok_and(|name| matches!(name.trim(), "leveret" | "rabbitmq-server"))
}
