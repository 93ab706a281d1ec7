//! `rabbitmq-plugins`: the list of enabled plugins is a file. What leveret has of RabbitMQ's plugins is always there;
//! enabling one is written down and changes nothing else.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::call::node_name;
use super::failure::Failure;
use crate::cli::environment::Environment;
use crate::cli::{EXIT_SOFTWARE, EXIT_USAGE};
use crate::protocol::handshake::RABBITMQ_VERSION;

/// Where RabbitMQ has the file.
const ENABLED_PLUGINS: &str = "/etc/rabbitmq/enabled_plugins";

/// RabbitMQ's plugins, those of them that leveret has, and what each needs.
const PLUGINS: &[Plugin] = &[
    plugin("rabbitmq_amqp1_0", false, &[]),
    plugin("rabbitmq_auth_backend_cache", false, &[]),
    plugin("rabbitmq_auth_backend_http", false, &[]),
    plugin("rabbitmq_auth_backend_ldap", false, &[]),
    plugin("rabbitmq_auth_backend_oauth2", false, &[]),
    plugin("rabbitmq_auth_mechanism_ssl", false, &[]),
    plugin("rabbitmq_consistent_hash_exchange", true, &[]),
    plugin("rabbitmq_delayed_message_exchange", true, &[]),
    plugin("rabbitmq_event_exchange", false, &[]),
    plugin("rabbitmq_federation", false, &[]),
    plugin(
        "rabbitmq_federation_management",
        false,
        &["rabbitmq_federation", MANAGEMENT, AGENT, WEB],
    ),
    plugin("rabbitmq_jms_topic_exchange", false, &[]),
    plugin(MANAGEMENT, true, &[AGENT, WEB]),
    plugin(AGENT, true, &[WEB]),
    plugin("rabbitmq_message_deduplication", true, &[]),
    plugin("rabbitmq_mqtt", false, &[]),
    plugin("rabbitmq_peer_discovery_aws", false, &[]),
    plugin("rabbitmq_peer_discovery_common", false, &[]),
    plugin("rabbitmq_peer_discovery_consul", false, &[]),
    plugin("rabbitmq_peer_discovery_etcd", false, &[]),
    plugin("rabbitmq_peer_discovery_k8s", false, &[]),
    plugin("rabbitmq_prometheus", true, &[AGENT, WEB]),
    plugin("rabbitmq_random_exchange", true, &[]),
    plugin("rabbitmq_recent_history_exchange", true, &[]),
    plugin("rabbitmq_sharding", false, &[]),
    plugin("rabbitmq_shovel", false, &[]),
    plugin("rabbitmq_shovel_management", false, &["rabbitmq_shovel", MANAGEMENT, AGENT, WEB]),
    plugin("rabbitmq_stomp", false, &[]),
    plugin("rabbitmq_stream", false, &[]),
    plugin("rabbitmq_stream_management", false, &["rabbitmq_stream", MANAGEMENT, AGENT, WEB]),
    plugin("rabbitmq_top", false, &[MANAGEMENT, AGENT, WEB]),
    plugin("rabbitmq_tracing", false, &[MANAGEMENT, AGENT, WEB]),
    plugin("rabbitmq_trust_store", false, &[]),
    plugin(WEB, true, &[]),
    plugin("rabbitmq_web_mqtt", false, &["rabbitmq_mqtt"]),
    plugin("rabbitmq_web_mqtt_examples", false, &["rabbitmq_mqtt", "rabbitmq_web_mqtt"]),
    plugin("rabbitmq_web_stomp", false, &["rabbitmq_stomp"]),
    plugin("rabbitmq_web_stomp_examples", false, &["rabbitmq_stomp", "rabbitmq_web_stomp"]),
];

const MANAGEMENT: &str = "rabbitmq_management";
const AGENT: &str = "rabbitmq_management_agent";
const WEB: &str = "rabbitmq_web_dispatch";

/// A plugin of RabbitMQ's.
struct Plugin {
    name: &'static str,
    /// Whether leveret does what it does.
    is_here: bool,
    needs: &'static [&'static str],
}

const fn plugin(name: &'static str, is_here: bool, needs: &'static [&'static str]) -> Plugin {
    Plugin { name, is_here, needs }
}

/// Does what the words behind the program's name say.
pub(in crate::cli) fn run(
    words: impl Iterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> ExitCode {
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let environment = Environment::of(environment);
    let mut out = io::stdout().lock();
    match Call::parse(&words, &environment).and_then(|call| call.run(&mut out)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = write!(io::stderr(), "{}", failure.text());
            ExitCode::from(failure.exit_code())
        }
    }
}

/// A call of the tool.
struct Call {
    verb: String,
    plugins: Vec<String>,
    options: BTreeSet<String>,
    node: String,
    file: PathBuf,
}

impl Call {
    fn parse(words: &[String], environment: &Environment) -> Result<Self, Failure> {
        let file = environment.get("RABBITMQ_ENABLED_PLUGINS_FILE");
        let mut call = Self {
            verb: String::new(),
            plugins: Vec::new(),
            options: BTreeSet::new(),
            node: node_name(environment, None),
            file: file.map_or_else(|| PathBuf::from(ENABLED_PLUGINS), PathBuf::from),
        };
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            match word.as_str() {
                "-n" | "--node" => {
                    call.node = node_name(environment, rest.next().map(String::as_str));
                }
                "--timeout" | "-t" | "--formatter" => {
                    rest.next();
                }
                option if option.starts_with('-') => {
                    call.options.insert(option.trim_start_matches('-').to_owned());
                }
                verb if call.verb.is_empty() => call.verb = verb.to_owned(),
                name => call.plugins.push(name.to_owned()),
            }
        }
        if call.verb.is_empty() {
            return Err(Failure::bare(EXIT_USAGE, USAGE));
        }
        Ok(call)
    }

    fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        match self.verb.as_str() {
            "enable" => self.enable(out),
            "disable" => self.disable(out),
            "set" => self.set(out),
            "list" => self.list(out),
            "is_enabled" => self.is_enabled(out),
            "directories" => self.directories(out),
            "help" => Ok(writeln!(out, "{USAGE}")?),
            "version" => Ok(writeln!(out, "{RABBITMQ_VERSION}")?),
            verb => Err(Failure::bare(
                EXIT_USAGE,
                &format!("\nCommand '{verb}' not found. \n\n{USAGE}"),
            )),
        }
    }

    fn has(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.options.contains(*name))
    }

    fn banner(&self, out: &mut dyn Write, text: &str) -> Result<(), Failure> {
        if !self.has(&["q", "quiet", "s", "silent"]) {
            writeln!(out, "{text}")?;
        }
        Ok(())
    }

    /// What is in the file; a file that is not there says what the image of RabbitMQ's management does.
    fn enabled(&self) -> Result<BTreeSet<String>, Failure> {
        match fs::read_to_string(&self.file) {
            Ok(text) => Ok(enabled_in(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(BTreeSet::from([MANAGEMENT.to_owned(), "rabbitmq_prometheus".to_owned()]))
            }
            Err(error) => {
                Err(Failure::unavailable(&format!("cannot read {}: {error}", self.file.display())))
            }
        }
    }

    fn write(&self, enabled: &BTreeSet<String>) -> Result<(), Failure> {
        let names: Vec<&str> = enabled.iter().map(String::as_str).collect();
        let text = format!("[{}].\n", names.join(","));
        write(&self.file, &text).map_err(|error| {
            Failure::unavailable(&format!("cannot write {}: {error}", self.file.display()))
        })
    }

    /// Fails as RabbitMQ does if one is none of its plugins.
    fn check_names(&self) -> Result<(), Failure> {
        let unknown = self.plugins.iter().filter(|name| find(name).is_none());
        let unknown: Vec<String> = unknown.map(|name| format!(":{name}")).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let unknown = unknown.join(", ");
        Err(Failure::new(EXIT_SOFTWARE, &format!("{{:plugins_not_found, [{unknown}]}}")))
    }

    fn enable(&self, out: &mut dyn Write) -> Result<(), Failure> {
        self.banner(out, &format!("Enabling plugins on node {}:", self.node))?;
        let before = self.enabled()?;
        let mut after = before.clone();
        if self.has(&["all"]) {
            after.extend(PLUGINS.iter().map(|plugin| plugin.name.to_owned()));
        }
        after.extend(self.plugins.iter().cloned());
        self.change(out, &before, &after, "enabled")?;
        // Who asks for more than there is should know, and not be stopped.
        for name in self.plugins.iter().filter(|name| find(name).is_some_and(|p| !p.is_here)) {
            let _ = writeln!(io::stderr(), "leveret has no {name}: what it does is not there");
        }
        Ok(())
    }

    fn disable(&self, out: &mut dyn Write) -> Result<(), Failure> {
        self.banner(out, &format!("Disabling plugins on node {}:", self.node))?;
        let before = self.enabled()?;
        let mut after = before.clone();
        after.retain(|name| !self.has(&["all"]) && !self.plugins.contains(name));
        self.change(out, &before, &after, "disabled")
    }

    fn set(&self, out: &mut dyn Write) -> Result<(), Failure> {
        self.banner(out, &format!("Enabling plugins on node {}:", self.node))?;
        let after = self.plugins.iter().cloned().collect();
        self.change(out, &self.enabled()?, &after, "enabled")
    }

    /// Writes the file, and tells what RabbitMQ tells.
    fn change(
        &self,
        out: &mut dyn Write,
        before: &BTreeSet<String>,
        after: &BTreeSet<String>,
        done: &str,
    ) -> Result<(), Failure> {
        self.plugins.iter().try_for_each(|name| self.banner(out, name))?;
        self.check_names()?;
        let (was, is) = (with_needs(before), with_needs(after));
        self.banner(out, "The following plugins have been configured:")?;
        is.iter().try_for_each(|name| self.banner(out, &format!("  {name}")))?;
        self.banner(out, &format!("Applying plugin configuration to {}...", self.node))?;
        if before != after {
            self.write(after)?;
        }
        let changed: Vec<&&str> = was.symmetric_difference(&is).collect();
        if changed.is_empty() {
            return self.banner(out, "Plugin configuration unchanged.");
        }
        self.banner(out, &format!("The following plugins have been {done}:"))?;
        changed.iter().try_for_each(|name| self.banner(out, &format!("  {name}")))?;
        if self.has(&["offline"]) {
            let count = is.len();
            return self.banner(
                out,
                &format!(
                    "\nset {count} plugins.\nOffline change; changes will take effect at broker restart."
                ),
            );
        }
        let verb = if done == "enabled" { "started" } else { "stopped" };
        self.banner(out, &format!("\n{verb} {} plugins.", changed.len()))
    }

    fn list(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let pattern = self.plugins.first().map_or(".*", String::as_str);
        let matches = regex::Regex::new(pattern)
            .map_err(|error| Failure::data(&format!("the pattern makes no sense: {error}")))?;
        self.banner(out, &format!("Listing plugins with pattern \"{pattern}\" ..."))?;
        let explicit = self.enabled()?;
        let all = with_needs(&explicit);
        let shown: Vec<&Plugin> = PLUGINS
            .iter()
            .filter(|plugin| matches.is_match(plugin.name))
            .filter(|plugin| !self.has(&["e", "enabled"]) || all.contains(plugin.name))
            .filter(|plugin| {
                !self.has(&["E", "implicitly-enabled"]) || explicit.contains(plugin.name)
            })
            .collect();
        if self.has(&["m", "minimal"]) {
            return shown.iter().try_for_each(|plugin| Ok(writeln!(out, "{}", plugin.name)?));
        }
        self.banner(out, " Configured: E = explicitly enabled; e = implicitly enabled")?;
        self.banner(out, &format!(" | Status: * = running on {}\n |/", self.node))?;
        let width = shown.iter().map(|plugin| plugin.name.len()).max().unwrap_or(0);
        for Plugin { name, is_here, .. } in shown {
            let configured = match (explicit.contains(*name), all.contains(name)) {
                (true, _) => 'E',
                (false, true) => 'e',
                (false, false) => ' ',
            };
            let status = if *is_here { '*' } else { ' ' };
            writeln!(out, "[{configured}{status}] {name:<width$} {RABBITMQ_VERSION}")?;
        }
        Ok(())
    }

    fn is_enabled(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let names = self.plugins.join(", ");
        let (plugin, is) =
            if self.plugins.len() == 1 { ("plugin", "is") } else { ("plugins", "are") };
        let on = format!(" on node {}", self.node);
        let on = if self.has(&["offline"]) { "" } else { &on };
        self.banner(
            out,
            &format!("Asking node {} if {plugin} {names} {is} enabled...", self.node),
        )?;
        let explicit = self.enabled()?;
        let enabled = with_needs(&explicit);
        let missing = self.plugins.iter().filter(|name| !enabled.contains(name.as_str()));
        let missing: Vec<&str> = missing.map(String::as_str).collect();
        let capital = if self.plugins.len() == 1 { "Plugin" } else { "Plugins" };
        if missing.is_empty() {
            return Ok(writeln!(out, "{capital} {names} {is} enabled{on}")?);
        }
        let (capital, is) = if missing.len() == 1 { ("Plugin", "is") } else { ("Plugins", "are") };
        let enabled: Vec<&str> = enabled.into_iter().collect();
        Err(Failure::unavailable(&format!(
            "{capital} {} {is} not enabled{on}. Enabled plugins and dependencies: {}",
            missing.join(", "),
            enabled.join(", ")
        )))
    }

    fn directories(&self, out: &mut dyn Write) -> Result<(), Failure> {
        self.banner(out, &format!("Listing plugin directories used by node {}", self.node))?;
        writeln!(out, "Plugin archives directory: (none)\nPlugin expansion directory: (none)")?;
        Ok(writeln!(out, "Enabled plugins file: {}", self.file.display())?)
    }
}

const USAGE: &str = "Usage

rabbitmq-plugins [--node <node>] [--quiet] <command> [<command options>]

Available commands:

   directories
   disable <plugin> [...] [--offline] [--online] [--all]
   enable <plugin> [...] [--offline] [--online] [--all]
   is_enabled <plugin> [...] [--offline]
   list [pattern] [--minimal] [--enabled] [--implicitly-enabled]
   set [<plugin> ...] [--offline]";

fn find(name: &str) -> Option<&'static Plugin> {
    PLUGINS.iter().find(|plugin| plugin.name == name)
}

/// These, and those that they need.
fn with_needs(enabled: &BTreeSet<String>) -> BTreeSet<&str> {
    let needs = enabled.iter().filter_map(|name| find(name)).flat_map(|plugin| plugin.needs);
    enabled.iter().map(String::as_str).chain(needs.copied()).collect()
}

/// The plugins in a file such as `[rabbitmq_management,rabbitmq_mqtt].`, with Erlang's comments.
pub(in crate::cli) fn enabled_in(text: &str) -> BTreeSet<String> {
    let code: String =
        text.lines().map(|line| line.split('%').next().unwrap_or_default()).collect();
    let list = code.trim().trim_end_matches('.').trim_end();
    let list = list.trim_start_matches('[').trim_end_matches(']');
    let atoms = list.split(',').map(|atom| atom.trim().trim_matches('\'').to_owned());
    atoms.filter(|atom| !atom.is_empty()).collect()
}

/// Written aside and renamed: a broker that starts meanwhile sees all of it.
fn write(file: &Path, text: &str) -> io::Result<()> {
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir)?;
    }
    let mut aside = file.as_os_str().to_owned();
    aside.push(".tmp");
    fs::write(&aside, text)?;
    fs::rename(&aside, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct File(PathBuf);

    impl File {
        fn new(name: &str, text: &str) -> Self {
            let name = format!("leveret-plugins-{}-{name}", std::process::id());
            let file = std::env::temp_dir().join(name);
            fs::write(&file, text).unwrap();
            Self(file)
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            let _gone_is_fine = fs::remove_file(&self.0);
        }
    }

    /// What is printed, or the failure and its exit code.
    fn run(file: &File, line: &str) -> Result<String, (String, u8)> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let variable = ("RABBITMQ_ENABLED_PLUGINS_FILE".into(), file.0.clone().into());
        let mut out = Vec::new();
        Call::parse(&words, &Environment::of([variable]))
            .and_then(|call| call.run(&mut out))
            .map(|()| String::from_utf8(out).unwrap())
            .map_err(|failure| (failure.text().to_owned(), failure.exit_code()))
    }

    #[test]
    fn the_file_is_erlangs() {
        let names = |text| enabled_in(text).into_iter().collect::<Vec<_>>();
        assert_eq!(names("[rabbitmq_management,'b'].\n"), ["b", "rabbitmq_management"]);
        assert_eq!(names("% none\n[ ].\n"), Vec::<String>::new());
        assert_eq!(names("[a, % one\n b\n]."), ["a", "b"]);
        assert_eq!(names(""), Vec::<String>::new());
    }

    /// As RabbitMQ 3.10 prints it.
    #[test]
    fn enabling_and_disabling_is_told_as_rabbitmq_does() {
        let file = File::new("enable", "[rabbitmq_management].\n");
        let told = run(&file, "-n a@b enable --offline rabbitmq_prometheus").unwrap();
        assert_eq!(
            told,
            "Enabling plugins on node a@b:\nrabbitmq_prometheus\n\
             The following plugins have been configured:\n  rabbitmq_management\n  \
             rabbitmq_management_agent\n  rabbitmq_prometheus\n  rabbitmq_web_dispatch\n\
             Applying plugin configuration to a@b...\n\
             The following plugins have been enabled:\n  rabbitmq_prometheus\n\n\
             set 4 plugins.\nOffline change; changes will take effect at broker restart.\n"
        );
        let text = fs::read_to_string(&file.0).unwrap();
        assert_eq!(text, "[rabbitmq_management,rabbitmq_prometheus].\n");
        let again = run(&file, "-n a@b enable rabbitmq_prometheus").unwrap();
        assert!(again.ends_with("Plugin configuration unchanged.\n"), "{again}");
        let stopped = run(&file, "-n a@b disable rabbitmq_prometheus").unwrap();
        assert!(
            stopped.ends_with("disabled:\n  rabbitmq_prometheus\n\nstopped 1 plugins.\n"),
            "{stopped}"
        );
        assert_eq!(run(&file, "-q disable rabbitmq_management").unwrap(), "");
        assert_eq!(
            run(&file, "-q enable rabbitmq_nonsense").unwrap_err(),
            ("Error:\n{:plugins_not_found, [:rabbitmq_nonsense]}\n".to_owned(), 70)
        );
    }

    #[test]
    fn what_is_enabled_can_be_asked() {
        let file = File::new("is-enabled", "[rabbitmq_management].\n");
        assert_eq!(
            run(&file, "-q -n a@b is_enabled rabbitmq_management").unwrap(),
            "Plugin rabbitmq_management is enabled on node a@b\n"
        );
        let (text, code) =
            run(&file, "-n a@b is_enabled rabbitmq_mqtt rabbitmq_shovel").unwrap_err();
        assert_eq!(code, 69);
        assert!(text.starts_with(
            "Error:\nPlugins rabbitmq_mqtt, rabbitmq_shovel are not enabled on node a@b."
        ));
        assert_eq!(run(&file, "-q list -E -m").unwrap(), "rabbitmq_management\n");
        let listed = run(&file, "-q list -e").unwrap();
        let named = format!("[E*] rabbitmq_management       {RABBITMQ_VERSION}\n");
        assert!(listed.starts_with(&named), "{listed}");
        assert_eq!(run(&file, "frobnicate").unwrap_err().1, 64);
    }
}
