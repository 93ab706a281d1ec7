//! A command's way to the broker, and to its output.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::AdminError;
use crate::cli::api::{Address, ApiPath, Client, TlsWishes, Trust, Wishes};
use crate::cli::environment::Environment;
use crate::cli::output::{Column, Format, print_list, print_object};
use crate::config::Secret;

/// Which broker, and who asks.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Broker")]
pub(super) struct Broker {
    /// The management API [default: LEVERET_URL, or http://localhost:15672]
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,

    /// Log in as this user [default: LEVERET_USER, or the administrator of this machine's broker, or
    /// guest]
    #[arg(long = "user", short = 'u', id = "login_user", global = true, value_name = "NAME")]
    user: Option<String>,

    /// The user's password; LEVERET_PASSWORD or LEVERET_PASSWORD_FILE do not show in lists of
    /// processes
    #[arg(
        long = "password",
        short = 'p',
        id = "login_password",
        global = true,
        value_name = "TEXT"
    )]
    password: Option<String>,

    /// The vhost [default: LEVERET_VHOST, or /]
    #[arg(long, short = 'V', id = "in_vhost", global = true, value_name = "NAME")]
    vhost: Option<String>,

    /// Take URL, user, password and vhost from this section of ~/.config/leveret/profiles.toml
    /// [default: LEVERET_PROFILE, or default]
    #[arg(long, global = true, value_name = "NAME")]
    profile: Option<String>,

    /// Trust only the CAs in this file (PEM), for https:// [default: LEVERET_TLS_CA_CERT_FILE, or
    /// those that this system trusts]
    #[arg(long = "tls-ca-cert-file", id = "client_ca_file", global = true, value_name = "FILE")]
    ca_file: Option<PathBuf>,

    /// Show this certificate (PEM) [default: LEVERET_TLS_CLIENT_CERT_FILE]
    #[arg(long = "tls-cert-file", id = "client_cert_file", global = true, value_name = "FILE")]
    cert_file: Option<PathBuf>,

    /// The certificate's private key (PEM) [default: LEVERET_TLS_CLIENT_KEY_FILE, or the file of the
    /// certificate]
    #[arg(long = "tls-key-file", id = "client_key_file", global = true, value_name = "FILE")]
    key_file: Option<PathBuf>,

    /// Trust any certificate: whoever is in between can read passwords
    #[arg(long, global = true)]
    insecure: bool,

    /// Give up after this many seconds without an answer
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 60,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
}

/// A command's way to the broker, and to its output.
pub(in crate::cli) struct Session<'a> {
    /// The broker.
    pub(super) client: Client,
    /// The vhost that the command is about.
    pub(super) vhost: String,
    /// How lists are printed.
    pub(super) format: Format,
    /// Where they are printed.
    pub(super) out: &'a mut dyn Write,
    /// The columns that were asked for; none: the command's own.
    columns: Vec<Column>,
}

impl<'a> Session<'a> {
    /// Finds the broker. Nothing is sent yet.
    pub(super) fn open(
        broker: Broker,
        environment: &Environment,
        format: Format,
        columns: &[String],
        out: &'a mut dyn Write,
    ) -> Result<Self, AdminError> {
        let Broker { url, user, password, vhost, profile, ca_file, cert_file, key_file, .. } =
            broker;
        let trust = if broker.insecure { Trust::Anybody } else { Trust::Full };
        let tls = TlsWishes { ca_file, cert_file, key_file, trust };
        let password = password.map(Secret::new);
        let wishes = Wishes { url, user, password, vhost, profile, tls };
        let address = Address::find(wishes, environment)?;
        let vhost = address.vhost.clone();
        let client = Client::new(address, Duration::from_secs(broker.timeout))?;
        let columns = columns.iter().map(|path| Column::named(path)).collect();
        Ok(Self { client, vhost, format, out, columns })
    }

    /// Prints what the API lists at a path.
    pub(super) fn list(&mut self, path: &ApiPath, columns: &[Column]) -> Result<(), AdminError> {
        let objects = self.client.list(path)?;
        self.print(&objects, columns)
    }

    /// Prints what is in a collection, such as `queues`: in this session's vhost, or with the vhost of each in all.
    pub(super) fn list_of_vhost(
        &mut self,
        collection: &str,
        all_vhosts: bool,
        columns: &[Column],
    ) -> Result<(), AdminError> {
        if !all_vhosts {
            return self.list(&ApiPath::of(&[collection, &self.vhost]), columns);
        }
        let columns = [&[Column::new("vhost", "vhost")], columns].concat();
        self.list(&ApiPath::of(&[collection]), &columns)
    }

    /// Prints objects.
    pub(super) fn print(
        &mut self,
        objects: &[Value],
        columns: &[Column],
    ) -> Result<(), AdminError> {
        let columns = if self.columns.is_empty() { columns } else { &self.columns };
        Ok(print_list(self.out, self.format, columns, objects)?)
    }

    /// The same objects as a table.
    pub(super) fn table(
        &self,
        objects: &[Value],
        columns: &[Column],
    ) -> Result<String, AdminError> {
        let columns = if self.columns.is_empty() { columns } else { &self.columns };
        let mut table = Vec::new();
        print_list(&mut table, Format::Table, columns, objects)?;
        Ok(String::from_utf8_lossy(&table).into_owned())
    }

    /// Prints the one object at a path.
    pub(super) fn show(&mut self, path: &ApiPath, columns: &[Column]) -> Result<(), AdminError> {
        let object = self.client.get(path)?;
        self.print_one(&object, columns)
    }

    /// Prints one object.
    pub(super) fn print_one(
        &mut self,
        object: &Value,
        columns: &[Column],
    ) -> Result<(), AdminError> {
        let columns = if self.columns.is_empty() { columns } else { &self.columns };
        Ok(print_object(self.out, self.format, columns, object)?)
    }
}
