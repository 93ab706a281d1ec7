//! `leveret serve`: a broker until a signal ends it.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;

use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use super::environment::Environment;
use super::idle::{give_back, give_back_when_idle, keep_while_busy};
use super::local::{LeftFiles, LocalBroker};
use super::{
    Args, EXIT_CANNOT_CREATE, EXIT_CONFIG, EXIT_IO, EXIT_SYSTEM, EXIT_UNAVAILABLE, LogSwitch,
    init_logging, load_config,
};
use crate::config::{Config, Durability, LogLevel};
use crate::store::StoreError;
use crate::{Broker, StartError};

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
    #[error("cannot write the PID file {path}: {source}")]
    PidFile { path: String, source: io::Error },
    #[error("cannot start the runtime: {0}")]
    Runtime(io::Error),
}

impl ServeError {
    /// [`EXIT_CONFIG`] for what can't be right, [`EXIT_CANNOT_CREATE`] for what this user may not make,
    /// [`EXIT_SYSTEM`] for what there is too little of, [`EXIT_UNAVAILABLE`] for what may be at another time.
    fn exit_code(&self) -> u8 {
        match self {
            Self::Start(
                StartError::Tls(_)
                | StartError::NoListener
                | StartError::NoCertificate { .. }
                | StartError::NoDataDir
                | StartError::Load { .. }
                | StartError::Defaults(_)
                | StartError::Queue { .. }
                | StartError::NewVHosts { .. },
            ) => EXIT_CONFIG,
            Self::Start(StartError::Store(StoreError::Io { action: "create", .. }))
            | Self::ReadyFile { .. }
            | Self::PidFile { .. } => EXIT_CANNOT_CREATE,
            Self::Start(StartError::Server(error)) if error.is_for_want_of_files() => EXIT_SYSTEM,
            Self::Runtime(_) => EXIT_SYSTEM,
            Self::Start(StartError::Store(StoreError::Io { .. })) => EXIT_IO,
            _ => EXIT_UNAVAILABLE,
        }
    }

    /// What to do about it, where the text does not say so itself.
    fn advice(&self) -> &'static str {
        match self {
            Self::Start(StartError::Store(StoreError::Io { source, .. })) => advice(source),
            Self::Start(StartError::Load { .. }) => "; mend it, or leave load_definitions out",
            Self::Start(StartError::Queue { .. }) => {
                "; take it out of queues, or mend default_vhost"
            }
            Self::ReadyFile { .. } => "; choose another ready_file, or leave it out",
            Self::PidFile { .. } => "; choose another pid_file, or leave it out",
            _ => "",
        }
    }
}

/// What to do about a data directory that the system does not let us use.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "; let this user write there, choose another directory with --data-dir, or keep nothing with \
             --durability none"
        }
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            "; choose another directory with --data-dir"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "; make room there, or choose another directory with --data-dir"
        }
        _ => "",
    }
}

/// Runs the broker that the command line asks for.
pub(super) fn run_serve(args: &Args) -> ExitCode {
    let (mut config, warnings) = match load_config(args, std::env::vars_os()) {
        Ok(loaded) => loaded,
        Err(error) => return error.report(),
    };
    let log = match init_logging(&config) {
        Ok(log) => log.map(|log| (config.log_level, log)),
        Err(error) => {
            let _ = writeln!(io::stderr(), "leveret: {error}");
            return ExitCode::from(EXIT_CANNOT_CREATE);
        }
    };
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    // One descriptor a client: as many as the system lets us have. With fewer it runs as well.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!("cannot raise the limit of open files: {error}");
    }
    config.web.for_commands = true;
    match serve(config, log) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "leveret: {error}{}", error.advice());
            ExitCode::from(error.exit_code())
        }
    }
}

fn serve(config: Config, log: Option<(LogLevel, LogSwitch)>) -> Result<(), ServeError> {
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
        let data_dir = config.data_dir.clone().filter(|_| config.durability != Durability::None);
        let pid_file = config.pid_file.clone();
        let broker = Broker::start(config).await?;
        let log = log.map(|(level, log)| {
            let switch = log.clone();
            broker.on_log_level(level, move |level| switch.set(level));
            log
        });
        // Not before: one that may not start must not take the place of the one that runs.
        if let Some(path) = &pid_file {
            fs::write(path, format!("{}\n", std::process::id())).map_err(|source| {
                ServeError::PidFile { path: path.display().to_string(), source }
            })?;
        }
        let mut left_for_commands = tell_commands(&broker, data_dir.as_deref());
        keep_while_busy();
        // What the start needed is not needed again.
        give_back();
        announce(&broker, ready_file.as_deref())?;
        let mut idle = pin!(give_back_when_idle());
        loop {
            tokio::select! {
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                _ = hang_up.recv() => {
                    reload(&broker, log.as_ref());
                    // They trust the certificate that is shown now.
                    if let Some(newer) = tell_commands(&broker, data_dir.as_deref()) {
                        match &mut left_for_commands {
                            Some(left) => left.replaced_by(newer),
                            none => *none = Some(newer),
                        }
                    }
                }
                error = broker.failed() => return Err(ServeError::Store(error)),
                never = &mut idle => match never {},
            }
        }
        tracing::info!("stopping");
        broker.close().await.map_err(ServeError::Store)
    })
}

/// Takes up files that have changed: those of TLS, and of the log.
fn reload(broker: &Broker, log: Option<&LogSwitch>) {
    if let Some(Err(error)) = log.map(LogSwitch::reopen) {
        tracing::error!("cannot open the log's file anew: {error}");
    }
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

/// Leaves what commands on this machine need to find the broker, and to be let in. Without it they need a user
/// and a password, so a system that refuses is no reason not to run.
fn tell_commands(broker: &Broker, data_dir: Option<&Path>) -> Option<LeftFiles> {
    let own = broker.local_address();
    let plain = own.as_ref().or(broker.management_addresses().first());
    let plain = plain.map(|address| ("http", address, None));
    let tls =
        || Some(("https", broker.management_tls_addresses().first()?, broker.tls_fingerprint()));
    let (scheme, address, certificate) = plain.or_else(tls)?;
    let host = match address.ip() {
        // No name: where there is no resolver, commands are to find it as well.
        ip if ip.is_unspecified() => "127.0.0.1".to_owned(),
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    let url = format!("{scheme}://{host}:{}{}", address.port(), broker.management_path_prefix());
    let local = LocalBroker { url, token: broker.local_token().clone(), certificate };
    match local.leave(data_dir, &Environment::of(std::env::vars_os())) {
        Ok(files) => Some(files),
        Err(error) => {
            tracing::warn!("commands on this machine will need a user and a password: {error}");
            None
        }
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
    // In the words that scripts wait for.
    let served = [
        ("Management plugin: HTTP (non-TLS)", broker.management_addresses()),
        ("Management plugin: HTTPS", broker.management_tls_addresses()),
        ("Prometheus metrics: HTTP (non-TLS)", broker.prometheus_addresses()),
        ("Prometheus metrics: HTTPS", broker.prometheus_tls_addresses()),
    ];
    for (what, addresses) in served {
        if let Some(address) = addresses.first() {
            tracing::info!("{what} listener started on port {}", address.port());
        }
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
    #[serde(skip_serializing_if = "Option::is_none")]
    management: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    management_tls: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prometheus: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prometheus_tls: Option<u16>,
}

/// Written aside and renamed: whoever sees the file sees all of it.
fn write_ready_file(broker: &Broker, path: &Path) -> io::Result<()> {
    let port = |addresses: &[SocketAddr]| addresses.first().map(SocketAddr::port);
    let ports = Ports {
        amqp: port(broker.addresses()),
        amqps: port(broker.tls_addresses()),
        management: port(broker.management_addresses()),
        management_tls: port(broker.management_tls_addresses()),
        prometheus: port(broker.prometheus_addresses()),
        prometheus_tls: port(broker.prometheus_tls_addresses()),
    };
    let ready = Ready { pid: std::process::id(), ports };
    let mut aside = path.as_os_str().to_owned();
    aside.push(".tmp");
    fs::write(&aside, serde_json::to_vec(&ready)?)?;
    fs::rename(&aside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_refuses_has_an_exit_code_and_advice() {
        let store = |action, kind: ErrorKind| {
            let (path, source) = ("/data".into(), kind.into());
            ServeError::Start(StartError::Store(StoreError::Io { action, path, source }))
        };
        for (error, code, expected) in [
            (
                store("create", ErrorKind::PermissionDenied),
                73,
                "; let this user write there, choose",
            ),
            (store("create", ErrorKind::ReadOnlyFilesystem), 73, "; let this user write there"),
            (store("create", ErrorKind::NotADirectory), 73, "; choose another directory with"),
            (store("open", ErrorKind::PermissionDenied), 74, "; let this user write there"),
            (store("write to", ErrorKind::StorageFull), 74, "; make room there"),
            (ServeError::Runtime(ErrorKind::OutOfMemory.into()), 71, ""),
            (ServeError::Start(StartError::NoListener), 78, ""),
        ] {
            assert_eq!(error.exit_code(), code, "{error}");
            assert!(error.advice().starts_with(expected), "{error}{}", error.advice());
        }
    }
}
