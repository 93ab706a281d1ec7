//! `leveret serve`: a broker until a signal ends it.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use super::perf::run_perf;
use super::store::run_store;
use super::{EXIT_CONFIG, init_logging, load_config, parse_args};
use crate::config::Config;
use crate::store::StoreError;
use crate::{Broker, StartError};

/// Exit code for what the system refuses: a port in use, a file that cannot be written
/// (`EX_UNAVAILABLE` of sysexits.h).
const EXIT_UNAVAILABLE: u8 = 69;

/// What tests and scripts wait for on standard output, as they do with RabbitMQ.
const READY: &str = "Server startup complete";

/// Why the broker could not run.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("{0}; what was not confirmed may be lost")]
    Store(Arc<StoreError>),
    #[error("cannot write the ready file {path}: {source}")]
    ReadyFile { path: String, source: io::Error },
    #[error("cannot start the runtime: {0}")]
    Runtime(io::Error),
}

impl ServeError {
    /// [`EXIT_CONFIG`] for what can't be right, [`EXIT_UNAVAILABLE`] for what may be at another time.
    fn exit_code(&self) -> u8 {
        match self {
            Self::Start(StartError::Tls(_) | StartError::NoListener) => EXIT_CONFIG,
            _ => EXIT_UNAVAILABLE,
        }
    }
}

/// The whole command: reads flags, environment and file, and serves; or does what another command says.
pub fn run() -> ExitCode {
    // It has options of its own, and none of the broker's.
    let command = std::env::args_os().nth(1);
    match command.as_deref().and_then(OsStr::to_str) {
        Some("perf") => return run_perf(std::env::args_os().skip(2)),
        Some("store") => return run_store(std::env::args_os().skip(2)),
        _ => {}
    }
    let args = match parse_args(std::env::args_os()) {
        Ok(args) => args,
        Err(stop) => return stop.report(),
    };
    let (config, warnings) = match load_config(&args, std::env::vars_os()) {
        Ok(loaded) => loaded,
        Err(error) => return error.report(),
    };
    init_logging(&config);
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    // One descriptor a client: as many as the system lets us have. With fewer it runs as well.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!("cannot raise the limit of open files: {error}");
    }
    match serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "leveret: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn serve(config: Config) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(ServeError::Runtime)?;
    runtime.block_on(async {
        // Before anybody knows that there is a process to signal.
        let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Runtime)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Runtime)?;
        let mut hang_up = signal(SignalKind::hangup()).map_err(ServeError::Runtime)?;
        let ready_file = config.ready_file.clone();
        let broker = Broker::start(config).await?;
        announce(&broker, ready_file.as_deref())?;
        loop {
            tokio::select! {
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                _ = hang_up.recv() => reload(&broker),
                error = broker.failed() => return Err(ServeError::Store(error)),
            }
        }
        tracing::info!("stopping");
        broker.close().await.map_err(ServeError::Store)
    })
}

/// Takes up files that have changed: of TLS, so far.
fn reload(broker: &Broker) {
    match broker.reload_tls() {
        Ok(Some(certificate)) => tracing::info!(
            subject = certificate.subject,
            "the TLS files were read again: new connections get the certificate that is valid {}",
            certificate.validity()
        ),
        Ok(None) => tracing::info!("there is nothing to read again: TLS is off"),
        Err(error) => tracing::error!("{error}; the TLS files read before stay in force"),
    }
}

/// Tells that every listener accepts: in the log, in the ready file, on standard output.
fn announce(broker: &Broker, ready_file: Option<&Path>) -> Result<(), ServeError> {
    for address in broker.addresses() {
        tracing::info!("started TCP listener on {address}");
    }
    for address in broker.tls_addresses() {
        tracing::info!("started TLS (SSL) listener on {address}");
    }
    if let Some(path) = ready_file {
        write_ready_file(broker, path)
            .map_err(|source| ServeError::ReadyFile { path: path.display().to_string(), source })?;
    }
    // Nobody may be listening, and that is fine.
    let _ = writeln!(io::stdout(), "{READY}");
    Ok(())
}

/// The ready file's contents.
#[derive(Serialize)]
struct Ready {
    pid: u32,
    ports: Ports,
}

#[derive(Serialize)]
struct Ports {
    #[serde(skip_serializing_if = "Option::is_none")]
    amqp: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amqps: Option<u16>,
}

/// Written aside and renamed: whoever sees the file sees all of it.
fn write_ready_file(broker: &Broker, path: &Path) -> io::Result<()> {
    let port = |addresses: &[SocketAddr]| addresses.first().map(SocketAddr::port);
    let ports = Ports { amqp: port(broker.addresses()), amqps: port(broker.tls_addresses()) };
    let ready = Ready { pid: std::process::id(), ports };
    let mut aside = path.as_os_str().to_owned();
    aside.push(".tmp");
    fs::write(&aside, serde_json::to_vec(&ready)?)?;
    fs::rename(&aside, path)
}
