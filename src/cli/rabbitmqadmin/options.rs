//! Options that every command takes: which broker, who asks, how to print. They may be in a file, too.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::Problem;
use crate::cli::api::{Address, Client, TlsWishes, Trust, Wishes};
use crate::cli::environment::Environment;
use crate::config::Secret;

/// How long a request may take, as in the Python tool.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Who asks unless somebody says so; the password is the same.
const GUEST: &str = "guest";

/// Options that every command takes.
#[derive(Debug, Clone, Default)]
pub(super) struct Options {
    /// What was given, by long names with underscores.
    given: BTreeMap<String, String>,
    /// `--vhost`: for lists, only this one.
    pub(super) vhost: Option<String>,
    /// Whether to print answers only.
    pub(super) quiet: bool,
}

/// Long names, the letter for each, and whether a value follows. Both versions have them; where they differ in
/// what a letter means the first one counts.
pub(super) const OPTIONS: [(&str, Option<char>, bool); 32] = [
    ("config", Some('c'), true),
    ("node", Some('N'), true),
    ("host", Some('H'), true),
    ("hostname", None, true),
    ("port", Some('P'), true),
    ("path_prefix", None, true),
    ("vhost", Some('V'), true),
    ("username", Some('u'), true),
    ("password", Some('p'), true),
    ("base_uri", Some('U'), true),
    ("quiet", Some('q'), false),
    ("ssl", Some('s'), false),
    ("use_tls", None, false),
    ("tls", None, false),
    ("ssl_key_file", None, true),
    ("ssl_cert_file", None, true),
    ("ssl_ca_cert_file", None, true),
    ("ssl_disable_hostname_verification", None, false),
    ("ssl_insecure", Some('k'), false),
    ("insecure", None, false),
    ("tls_ca_cert_file", None, true),
    ("tls_cert_file", None, true),
    ("tls_key_file", None, true),
    ("request_timeout", Some('t'), true),
    ("timeout", None, true),
    // How much the second version says of its requests, which is nothing here.
    ("verbose", Some('v'), false),
    ("format", Some('f'), true),
    ("sort", Some('S'), true),
    ("sort_reverse", Some('R'), false),
    ("depth", Some('d'), true),
    ("non_interactive", None, false),
    ("table_style", None, true),
];

/// Variables of the second version, and the option that each stands for.
const VARIABLES: [(&str, &str); 13] = [
    ("RABBITMQADMIN_CONFIG_FILE_PATH", "config"),
    ("RABBITMQADMIN_NODE_ALIAS", "node"),
    ("RABBITMQADMIN_TARGET_HOST", "host"),
    ("RABBITMQADMIN_TARGET_PORT", "port"),
    ("RABBITMQADMIN_BASE_URI", "base_uri"),
    ("RABBITMQADMIN_API_PATH_PREFIX", "path_prefix"),
    ("RABBITMQADMIN_TARGET_VHOST", "vhost"),
    ("RABBITMQADMIN_USERNAME", "username"),
    ("RABBITMQADMIN_PASSWORD", "password"),
    ("RABBITMQADMIN_USE_TLS", "use_tls"),
    ("RABBITMQADMIN_TIMEOUT", "timeout"),
    ("RABBITMQADMIN_QUIET_MODE", "quiet"),
    ("RABBITMQADMIN_NON_INTERACTIVE_MODE", "non_interactive"),
];

/// Names that the second version has in its file, and what they are here.
const FILE_NAMES: [(&str, &str); 6] = [
    ("hostname", "host"),
    ("virtual_host", "vhost"),
    ("scheme", "tls"),
    ("ca_certificate_bundle_path", "tls_ca_cert_file"),
    ("client_certificate_file_path", "tls_cert_file"),
    ("client_private_key_file_path", "tls_key_file"),
];

impl Options {
    /// Takes an option's value.
    pub(super) fn set(&mut self, name: &str, value: String) {
        match name {
            "vhost" => self.vhost = Some(value),
            "quiet" => self.quiet = true,
            name => {
                self.quiet |= name == "non_interactive";
                let name = match name {
                    "hostname" => "host",
                    "timeout" => "request_timeout",
                    name => name,
                };
                self.given.insert(name.to_owned(), value);
            }
        }
    }

    /// An option's value.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.given.get(name).map(String::as_str)
    }

    /// The same, unless it has one. Where options without a value have one, it may say that they are not meant.
    fn set_default(&mut self, name: &str, value: String) {
        let is_flag = OPTIONS.iter().any(|(known, _, takes)| *known == name && !takes);
        if is_flag && is_false(&value) {
            return;
        }
        let has = match name {
            "vhost" => self.vhost.is_some(),
            "timeout" => self.get("request_timeout").is_some(),
            name => self.get(name).is_some(),
        };
        if !has {
            self.set(name, value);
        }
    }

    /// Adds what the second version's variables say, where the command line says nothing.
    pub(super) fn with_variables(mut self, environment: &Environment) -> Self {
        for (variable, name) in VARIABLES {
            let Some(value) = environment.text(variable) else { continue };
            self.set_default(name, value.to_owned());
        }
        self
    }

    /// Adds what a section of a file says, where the command line says nothing.
    pub(super) fn with_file(mut self, environment: &Environment) -> Result<Self, Problem> {
        let home = environment.text("HOME").map(|home| format!("{home}/.rabbitmqadmin.conf"));
        let named = self.get("config").map(str::to_owned);
        let Some(file) = named.clone().or(home) else { return Ok(self) };
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(_) if named.is_none() => return Ok(self),
            Err(_) => return Err(Problem::Usage(format!("Could not read config file '{file}'"))),
        };
        let section = self.get("node").unwrap_or("default").to_owned();
        let Some(entries) = section_of(&text, &section) else {
            if self.get("node").is_none() {
                return Ok(self);
            }
            let problem = format!("Could not read section '{section}' in config file '{file}'");
            return Err(Problem::Usage(problem));
        };
        for (name, value) in entries {
            let own = FILE_NAMES.iter().find(|(other, _)| *other == name).map(|(_, own)| *own);
            if (name.as_str(), value.as_str()) != ("scheme", "http") {
                self.set_default(own.unwrap_or(&name), value);
            }
        }
        Ok(self)
    }

    /// The vhost of what is declared and deleted.
    pub(super) fn vhost_or_default(&self) -> String {
        self.vhost.as_deref().or(self.get("declare_vhost")).unwrap_or("/").to_owned()
    }

    /// The broker's machine, for messages.
    pub(super) fn host(&self) -> &str {
        self.get("host").unwrap_or("localhost")
    }

    /// What is to hold for HTTPS, by the names of both versions.
    fn tls(&self) -> TlsWishes {
        let file = |names: &[&str]| first(self, names).map(PathBuf::from);
        let trust = match (
            first(self, &["insecure", "ssl_insecure"]),
            self.get("ssl_disable_hostname_verification"),
        ) {
            (Some(_), _) => Trust::Anybody,
            (None, Some(_)) => Trust::AnyName,
            (None, None) => Trust::Full,
        };
        TlsWishes {
            ca_file: file(&["tls_ca_cert_file", "ssl_ca_cert_file"]),
            cert_file: file(&["tls_cert_file", "ssl_cert_file"]),
            key_file: file(&["tls_key_file", "ssl_key_file"]),
            trust,
        }
    }

    /// How to ask the broker. Without any wish it is this machine's.
    pub(super) fn client(&self, environment: &Environment) -> Result<Client, Problem> {
        let has = |names: &[&str]| names.iter().any(|name| self.get(name).is_some());
        let is_tls = has(&["ssl", "use_tls", "tls"]);
        let base = self.get("base_uri").map(base).transpose()?.unwrap_or_default();
        let is_named = is_tls || has(&["host", "port", "path_prefix"]);
        let url = is_named.then(|| {
            let (scheme, port) = if is_tls { ("https", "15671") } else { ("http", "15672") };
            let port = self.get("port").unwrap_or(port);
            // The second version's prefix has the API's own in it.
            let prefix = self.get("path_prefix").unwrap_or_default();
            let prefix = prefix.trim_end_matches('/');
            let prefix = prefix.strip_suffix("/api").unwrap_or(prefix);
            format!("{scheme}://{}:{port}{prefix}", self.host())
        });
        let user = base.user.or(self.get("username").map(str::to_owned));
        let password = base.password.or(self.get("password").map(Secret::new));
        let wishes = Wishes {
            url: base.url.or(url),
            // Who makes a vhost may use it: that has to be a user, and the Python tool's is guest.
            user: user
                .or_else(|| environment.text("LEVERET_USER").is_none().then(|| GUEST.to_owned())),
            password,
            vhost: self.vhost.clone(),
            profile: None,
            tls: self.tls(),
        };
        let seconds = self.get("request_timeout").map(str::parse).transpose();
        let seconds = seconds
            .map_err(|_| Problem::Usage("--request-timeout must be a number of seconds".into()))?;
        let timeout = seconds.map_or(TIMEOUT, |seconds: u64| Duration::from_secs(seconds.max(1)));
        Ok(Client::new(Address::find(wishes, environment)?, timeout)?)
    }
}

/// The first of these that was given.
fn first<'a>(options: &'a Options, names: &[&str]) -> Option<&'a str> {
    names.iter().find_map(|name| options.get(name))
}

/// `http://user:password@host:port`, whose path is passed over.
fn base(uri: &str) -> Result<Wishes, Problem> {
    let malformed = || Problem::Usage(format!("'{uri}' is no URI such as http://localhost:15672"));
    let (scheme, rest) = uri.split_once("://").ok_or_else(malformed)?;
    let authority = rest.split('/').next().unwrap_or_default();
    let (login, host) = match authority.rsplit_once('@') {
        Some((login, host)) => (Some(login), host),
        None => (None, authority),
    };
    let (user, password) = match login.and_then(|login| login.split_once(':')) {
        Some((user, password)) => (Some(user.to_owned()), Some(Secret::new(password))),
        None => (login.map(str::to_owned), None),
    };
    Ok(Wishes { url: Some(format!("{scheme}://{host}")), user, password, ..Wishes::default() })
}

/// Whether an option without a value is not meant, where it has one.
fn is_false(value: &str) -> bool {
    ["false", "0", "no", "off", "n", "f"].iter().any(|no| value.eq_ignore_ascii_case(no))
}

/// The entries of a section of an INI file, or of a TOML file with quotes around text.
fn section_of(text: &str, section: &str) -> Option<Vec<(String, String)>> {
    let header = format!("[{section}]");
    let mut lines = text.lines().map(str::trim).skip_while(|line| *line != header);
    lines.next()?;
    let entries = lines.take_while(|line| !line.starts_with('[')).filter_map(|line| {
        let line = line.split(" #").next().unwrap_or_default().trim();
        let is_comment = line.starts_with(['#', ';']);
        let (name, value) = line.split_once(['=', ':']).filter(|_| !is_comment)?;
        let value = value.trim();
        let bare =
            ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
        Some((name.trim().to_owned(), bare.unwrap_or(value).to_owned()))
    });
    Some(entries.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_of_a_file_is_read() {
        let text = "[other]\nport = 1\n[host_normal]\n# no\nhostname = h\nvhost = / # default\n[x]\nport=2";
        let expected = [("hostname", "h"), ("vhost", "/")];
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(section_of(text, "host_normal"), Some(expected));
        assert_eq!(section_of(text, "none"), None);
    }

    #[test]
    fn what_is_said_last_counts_the_command_line_the_variables_and_the_file() {
        let file = std::env::temp_dir().join(format!("leveret-admin-{}.conf", std::process::id()));
        let text = "[default]\nport = 1\n[staging]\nhostname = \"h\"\nport = 2\nusername = 'u'\n\
                    virtual_host = \"file\"\ntls = true\nquiet = false\npassword = \"p\"\n";
        fs::write(&file, text).unwrap();
        let path = file.to_str().unwrap();
        let variables = [
            ("RABBITMQADMIN_CONFIG_FILE_PATH", path),
            ("RABBITMQADMIN_NODE_ALIAS", "staging"),
            ("RABBITMQADMIN_TARGET_VHOST", "variable"),
            ("RABBITMQADMIN_USERNAME", "variable"),
            ("RABBITMQADMIN_USE_TLS", "false"),
            ("RABBITMQADMIN_TIMEOUT", "7"),
        ];
        let environment =
            Environment::of(variables.map(|(name, value)| (name.into(), value.into())));
        let mut options = Options::default();
        options.set("username", "line".to_owned());
        let options = options.with_variables(&environment).with_file(&environment).unwrap();
        let of = |name: &str| options.get(name);
        assert_eq!((of("host"), of("port")), (Some("h"), Some("2")));
        assert_eq!((of("username"), of("password")), (Some("line"), Some("p")));
        assert_eq!(
            (of("tls"), of("use_tls"), of("request_timeout")),
            (Some("true"), None, Some("7"))
        );
        assert_eq!((options.vhost.as_deref(), options.quiet), (Some("variable"), false));
        fs::remove_file(file).unwrap();
    }

    #[test]
    fn a_base_uri_may_say_who_asks() {
        let wishes = base("http://joe:s@host:1/api").unwrap();
        assert_eq!(wishes.url.as_deref(), Some("http://host:1"));
        assert_eq!(
            (wishes.user.as_deref(), wishes.password),
            (Some("joe"), Some(Secret::new("s")))
        );
        assert!(base("host:1").is_err());
    }
}
