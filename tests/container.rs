//! The container without a container engine: what the Dockerfile installs, in a folder; and the entry point in
//! it, as the root directory of a process, where that is allowed. With `LEVERET_BIN` set it is that binary.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

#[path = "it/support/pki.rs"]
#[expect(dead_code, reason = "the wire tests need more of it")]
mod pki;

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

/// What the entry point needs besides leveret.
const PROGRAMS: [&str; 3] = ["/bin/sh", "/usr/bin/id", "/usr/bin/base64"];

/// A folder that is laid out as the image is, removed when dropped.
struct Image(PathBuf);

impl Image {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("leveret-image-{}-{number}", std::process::id());
        let root = std::env::temp_dir().join(name);
        fs::create_dir_all(&root).unwrap();
        let installed = Command::new("sh")
            .arg(Path::new(REPOSITORY).join("container/install.sh"))
            .args([root.as_os_str(), &binary()])
            .output()
            .unwrap();
        assert!(installed.status.success(), "{}", text(&installed.stderr));
        Self(root)
    }

    /// The same, with what programs need to run in it as their root directory; none if this is not allowed here.
    fn to_run_in() -> Option<Self> {
        let image = Self::new();
        for program in PROGRAMS {
            image.add(Path::new(program));
        }
        for library in libraries(Path::new(&binary())) {
            image.add(&library);
        }
        fs::create_dir_all(image.0.join("tmp")).unwrap();
        let tried = image.command(&["/bin/sh", "-c", "exit 7"], &[]).output().unwrap();
        (tried.status.code() == Some(7)).then_some(image)
    }

    /// A file of this system and the libraries it needs.
    fn add(&self, file: &Path) {
        let place = self.0.join(file.strip_prefix("/").unwrap());
        if place.exists() {
            return;
        }
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(file, &place).unwrap();
        libraries(file).iter().for_each(|library| self.add(library));
    }

    /// A command whose root directory this is, as the user of the image and with its environment.
    fn command(&self, words: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new("chroot");
        command.arg("--userspec=999:999").arg(&self.0).args(words).env_clear();
        command.envs(dockerfile_environment()).envs(variables.iter().copied());
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words, &[]).output().unwrap()
    }

    /// What a command prints that succeeds.
    fn ok(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _gone_is_fine = fs::remove_dir_all(&self.0);
    }
}

/// A process of the image; ended when dropped.
struct Container {
    child: Child,
    /// What it logged until it was ready.
    log: Vec<String>,
}

impl Container {
    /// Starts it and waits for what Testcontainers wait for.
    fn start(image: &Image, words: &[&str], variables: &[(&str, &str)]) -> Self {
        let port = [("RABBITMQ_NODE_PORT", "0")];
        Self::start_on_its_ports(image, words, &[&port, variables].concat())
    }

    /// The same, with AMQP where the configuration says.
    fn start_on_its_ports(image: &Image, words: &[&str], variables: &[(&str, &str)]) -> Self {
        // Not the ports of a broker that a developer has running.
        let any = [
            ("LEVERET_MANAGEMENT_PORT", "0"),
            ("LEVERET_PROMETHEUS_PORT", "0"),
            ("LEVERET_DURABILITY", "os"),
        ];
        let mut child = image
            .command(&[&["docker-entrypoint.sh"], words].concat(), &[&any, variables].concat())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut log = Vec::new();
        let is_ready = lines.by_ref().any(|line| {
            log.push(line.unwrap());
            log.last().is_some_and(|line| line.contains("Server startup complete"))
        });
        assert!(is_ready, "{log:#?}");
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, log }
    }

    /// Stops it as a container engine does.
    fn stop(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _gone_is_fine = self.child.kill();
        let _gone_is_fine = self.child.wait();
    }
}

#[test]
fn names_and_paths_are_those_of_rabbitmqs_image() {
    let image = Image::new();
    for path in [
        "usr/local/bin/leveret",
        "usr/local/bin/docker-entrypoint.sh",
        "etc/rabbitmq/conf.d/10-defaults.conf",
        "etc/rabbitmq/enabled_plugins",
        "var/lib/rabbitmq",
        "var/log/rabbitmq",
        "opt/rabbitmq/plugins",
    ] {
        assert!(image.0.join(path).exists(), "{path}");
    }
    for tool in [
        "rabbitmqctl",
        "rabbitmq-diagnostics",
        "rabbitmq-plugins",
        "rabbitmq-queues",
        "rabbitmq-server",
    ] {
        let link = fs::read_link(image.0.join("opt/rabbitmq/sbin").join(tool)).unwrap();
        assert_eq!(link, Path::new("/usr/local/bin/leveret"), "{tool}");
    }
    assert_eq!(fs::read_link(image.0.join("plugins")).unwrap(), Path::new("/opt/rabbitmq/plugins"));
    let dockerfile = dockerfile();
    for line in [
        "VOLUME /var/lib/rabbitmq",
        "EXPOSE 4369 5671 5672 15671 15672 15691 15692 25672",
        "ENTRYPOINT [\"docker-entrypoint.sh\"]",
        "CMD [\"rabbitmq-server\"]",
        "STOPSIGNAL SIGTERM",
    ] {
        assert!(dockerfile.lines().any(|found| found == line), "{line}");
    }
    for part in
        ["addgroup -g 999 ", "adduser -u 999 ", "HEALTHCHECK ", "COPY --from=build /image/ /"]
    {
        assert!(dockerfile.contains(part), "{part}");
    }
}

/// Goal: what is started and asked in a container of RabbitMQ's, started and asked here.
#[test]
fn the_entry_point_starts_a_broker_that_its_tools_find() {
    let Some(image) = Image::to_run_in() else { return skipped() };
    let conf = "default_user = joe\ndefault_pass = secret\n";
    fs::write(image.0.join("etc/rabbitmq/rabbitmq.conf"), conf).unwrap();
    // {"queues":[{"name":"jobs","vhost":"/","durable":true,"auto_delete":false,"arguments":{}}]}
    let definitions = "eyJxdWV1ZXMiOlt7Im5hbWUiOiJqb2JzIiwidmhvc3QiOiIvIiwiZHVyYWJsZSI6dHJ1ZSwiYXV0b19kZWxldGUi\
                       OmZhbHNlLCJhcmd1bWVudHMiOnt9fV19";
    let container =
        Container::start(&image, &["rabbitmq-server"], &[("LEVERET_DEFINITIONS", definitions)]);
    assert_eq!(image.ok(&["rabbitmq-diagnostics", "-q", "ping"]), "Ping succeeded\n");
    assert_eq!(image.ok(&["rabbitmqctl", "-s", "list_users"]), "joe\t[administrator]\n");
    assert_eq!(image.ok(&["rabbitmqctl", "-s", "list_queues", "name"]), "jobs\n");
    let shown = image.ok(&["leveret", "config", "show", "--format", "csv"]);
    for line in [
        "default_user,joe,/etc/rabbitmq/rabbitmq.conf:1",
        "default_pass,***,/etc/rabbitmq/rabbitmq.conf:2",
        "loopback_users,,/etc/rabbitmq/conf.d/10-defaults.conf:3",
        "data_dir,/var/lib/rabbitmq/leveret,RABBITMQ_DATA_DIR",
    ] {
        assert!(shown.lines().any(|found| found == line), "{line}\n{shown}");
    }
    assert_eq!(container.stop(), Some(0));
    assert_eq!(image.run(&["rabbitmq-diagnostics", "-q", "ping"]).status.code(), Some(69));
    // What was durable is in the volume.
    let again = Container::start(&image, &[], &[]);
    assert_eq!(image.ok(&["rabbitmqctl", "-s", "list_queues", "name"]), "jobs\n");
    assert_eq!(again.stop(), Some(0));
}

/// Goal: a service of a CI job, which has variables and nothing else.
#[test]
fn variables_alone_bring_definitions_queues_and_arguments() {
    let Some(image) = Image::to_run_in() else { return skipped() };
    // As folded text of YAML may leave it.
    let definitions = "\n  {\"vhosts\": [{\"name\": \"shop\"}], \"queues\": [{\"name\": \"jobs\", \
                       \"vhost\": \"shop\", \"durable\": true, \"arguments\": {\"x-max-length\": 7}}]}";
    let variables = [
        ("LEVERET_DEFINITIONS", definitions),
        ("LEVERET_QUEUES", "jobs, second"),
        ("RABBITMQ_DEFAULT_VHOST", "shop"),
        ("LEVERET_ARGS", "--data-dir /var/lib/rabbitmq/own --heartbeat 7"),
        ("LEVERET_DURABILITY", "os"),
    ];
    for words in [&["rabbitmq-server"][..], &["--channel-max", "5"]] {
        let container = Container::start(&image, words, &variables);
        let ask = |words: &[&str]| {
            let output = image.command(words, &variables).output().unwrap();
            assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
            text(&output.stdout)
        };
        // What definitions say of a queue stays.
        let listed = ask(&[
            "rabbitmqctl",
            "-s",
            "-p",
            "shop",
            "list_queues",
            "name",
            "durable",
            "arguments",
        ]);
        let mut listed: Vec<&str> = listed.lines().collect();
        listed.sort_unstable();
        assert_eq!(listed, ["jobs\ttrue\t[{\"x-max-length\",7}]", "second\ttrue\t[]"], "{words:?}");
        assert!(image.0.join("var/lib/rabbitmq/own/leveret.token").exists());
        assert_eq!(container.stop(), Some(0));
    }
}

#[test]
fn a_variable_that_makes_no_sense_is_one_line_and_code_78() {
    let Some(image) = Image::to_run_in() else { return skipped() };
    for (variable, value, expected) in [
        (
            "LEVERET_DEFINITIONS",
            "?",
            "leveret: LEVERET_DEFINITIONS is neither JSON nor JSON in base64",
        ),
        ("LEVERET_ARGS", "--prot 1", "leveret: LEVERET_ARGS: unexpected argument '--prot' found"),
        ("LEVERET_QUEUES", "amq.q", "leveret: LEVERET_QUEUES must be a list of names "),
    ] {
        let words = ["docker-entrypoint.sh", "rabbitmq-server"];
        let output = image.command(&words, &[(variable, value)]).output().unwrap();
        assert_eq!(output.status.code(), Some(78), "{variable}");
        let said = text(&output.stderr);
        assert!(said.lines().any(|line| line.starts_with(expected)), "{said}");
    }
}

/// Goal: where nothing is kept there is no data directory, and the tools find the broker as well.
#[test]
fn tools_find_a_broker_that_keeps_nothing() {
    let Some(image) = Image::to_run_in() else { return skipped() };
    let container = Container::start(&image, &[], &[("LEVERET_DURABILITY", "none")]);
    // The image's own variables name files that somebody may mount.
    assert!(!container.log.iter().any(|line| line.contains("RABBITMQ_")), "{:#?}", container.log);
    assert_eq!(image.ok(&["rabbitmq-diagnostics", "-q", "ping"]), "Ping succeeded\n");
    assert_eq!(image.ok(&["rabbitmqctl", "-s", "list_users"]), "guest\t[administrator]\n");
    assert_eq!(container.stop(), Some(0));
}

/// Goal: a container without a management API is as healthy, and steered by its tools, as RabbitMQ's without the plugin.
#[test]
fn tools_find_a_broker_without_a_management_api() {
    let Some(image) = Image::to_run_in() else { return skipped() };
    let off = [("LEVERET_MANAGEMENT_PORT", "off"), ("LEVERET_PROMETHEUS_PORT", "off")];
    let container = Container::start(&image, &[], &off);
    assert_eq!(image.ok(&["rabbitmq-diagnostics", "-q", "ping"]), "Ping succeeded\n");
    image.ok(&["rabbitmq-diagnostics", "-q", "check_running"]);
    image.ok(&["rabbitmq-diagnostics", "-q", "check_port_connectivity"]);
    assert_eq!(image.ok(&["rabbitmqctl", "-s", "list_users"]), "guest\t[administrator]\n");
    assert_eq!(image.ok(&["leveret", "queue", "list", "--format", "json"]), "[]\n");
    // What they use is no listener of the broker's, and no secret of it is a password.
    let listeners = image.ok(&["rabbitmq-diagnostics", "-s", "listeners"]);
    assert!(!listeners.contains("protocol: http"), "{listeners}");
    assert!(!container.log.iter().any(|line| line.contains("HTTP")), "{:#?}", container.log);
    assert_eq!(container.stop(), Some(0));
}

/// Goal: data are where RabbitMQ's variables say, the tools find the broker there, and what is passed over is said.
#[test]
fn rabbitmqs_variables_say_where_data_are() {
    let Some(image) = Image::to_run_in() else { return skipped() };
    let show = &["leveret", "config", "show", "--format", "csv"];
    for (variable, dir) in [("RABBITMQ_MNESIA_BASE", "leveret"), ("RABBITMQ_MNESIA_DIR", "")] {
        let place = format!("/var/lib/rabbitmq/{variable}");
        fs::create_dir_all(image.0.join(&place[1..])).unwrap();
        assert!(
            Command::new("chmod")
                .arg("777")
                .arg(image.0.join(&place[1..]))
                .status()
                .unwrap()
                .success()
        );
        let container = Container::start(&image, &[], &[(variable, &place)]);
        let data = image.0.join(&place[1..]).join(dir);
        assert!(data.join("leveret.token").exists(), "{data:?}");
        let ping = &["rabbitmq-diagnostics", "-q", "ping"];
        assert!(image.command(ping, &[(variable, &place)]).output().unwrap().status.success());
        assert_eq!(container.stop(), Some(0));
        // leveret's own wins, and that is said.
        let both = [(variable, &*place), ("LEVERET_DATA_DIR", "/tmp/own")];
        let shown = image.command(show, &both).output().unwrap();
        let line = "data_dir,/tmp/own,LEVERET_DATA_DIR";
        assert!(text(&shown.stdout).lines().any(|found| found == line));
        let said = format!("{variable} is passed over: LEVERET_DATA_DIR is set, too, and wins");
        assert!(text(&shown.stderr).contains(&said), "{}", text(&shown.stderr));
    }
}

#[test]
fn the_commands_of_compose_files_work_as_they_are() {
    let Some(image) = Image::to_run_in() else { return skipped() };
    let line = "rabbitmq-plugins enable --offline rabbitmq_delayed_message_exchange && exec rabbitmq-server";
    let container = Container::start(&image, &["sh", "-c", line], &[]);
    let enabled = fs::read_to_string(image.0.join("etc/rabbitmq/enabled_plugins")).unwrap();
    assert!(enabled.contains("rabbitmq_delayed_message_exchange"), "{enabled}");
    image.ok(&["rabbitmq-diagnostics", "check_port_connectivity"]);
    assert_eq!(container.stop(), Some(0));
    // Options alone are the server's.
    let container = Container::start(&image, &["--heartbeat", "7"], &[]);
    assert_eq!(container.stop(), Some(0));
}

/// Goal: Go's module with `WithSSL`: the configuration as it writes it, but for the port's number, and the line that it
/// waits for.
#[test]
fn what_testcontainers_for_go_configure_for_tls_is_served() {
    let Some(image) = Image::to_run_in() else { return skipped() };
    let pki = pki::Pki::new();
    for (file, name) in [
        ("ca.pem", "ca_cert.pem"),
        ("server.pem", "rabbitmq_cert.pem"),
        ("server.key", "rabbitmq_key.pem"),
    ] {
        fs::copy(pki.file(file), image.0.join("etc/rabbitmq").join(name)).unwrap();
    }
    let conf = "# Injected by testcontainers\n\
                default_user = guest\n\
                default_pass = guest\n\
                listeners.tcp = none\n\
                listeners.ssl.default = 0\n\
                ssl_options.cacertfile = /etc/rabbitmq/ca_cert.pem\n\
                ssl_options.certfile = /etc/rabbitmq/rabbitmq_cert.pem\n\
                ssl_options.keyfile = /etc/rabbitmq/rabbitmq_key.pem\n\
                ssl_options.depth = 1\n\
                ssl_options.verify = verify_peer\n\
                ssl_options.fail_if_no_peer_cert = false\n";
    let file = "etc/rabbitmq/rabbitmq-testcontainers.conf";
    fs::write(image.0.join(file), conf).unwrap();
    let variables = [
        ("RABBITMQ_CONFIG_FILE", "/etc/rabbitmq/rabbitmq-testcontainers.conf"),
        ("RABBITMQ_DEFAULT_USER", "guest"),
        ("RABBITMQ_DEFAULT_PASS", "guest"),
    ];
    let container = Container::start_on_its_ports(&image, &["rabbitmq-server"], &variables);
    let logs = |text: &str| container.log.iter().any(|line| line.contains(text));
    assert!(logs("started TLS (SSL) listener on [::]:"), "{:#?}", container.log);
    assert!(!logs("started TCP listener on "), "{:#?}", container.log);
    assert_eq!(container.log.iter().filter(|line| line.contains("startup complete")).count(), 1);
    assert_eq!(image.ok(&["rabbitmq-diagnostics", "-q", "ping"]), "Ping succeeded\n");
    assert_eq!(container.stop(), Some(0));
}

fn dockerfile() -> String {
    fs::read_to_string(Path::new(REPOSITORY).join("Dockerfile")).unwrap()
}

/// What `ENV` sets in the image.
fn dockerfile_environment() -> Vec<(String, String)> {
    let text = dockerfile();
    let start = text.find("\nENV ").unwrap() + "\nENV ".len();
    let block = &text[start..];
    let end = block.lines().take_while(|line| line.ends_with('\\')).count() + 1;
    let pairs = block.lines().take(end).map(|line| line.trim_end_matches('\\').trim());
    pairs
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The libraries that a program is linked with; none for a static one.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let listed = Command::new("ldd").arg(program).output();
    let listed = listed.map(|output| text(&output.stdout)).unwrap_or_default();
    let path =
        |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from);
    listed.lines().filter_map(path).filter(|path| path.is_file()).collect()
}

fn binary() -> OsString {
    std::env::var_os("LEVERET_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_leveret").into())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Tells what could not be tested here, past the harness that hides what successful tests print.
fn skipped() {
    let _ = writeln!(std::io::stderr(), "skipped: changing the root directory is not allowed here");
}
