//! The rules of this repository that no compiler checks.
//!
//! Inside one crate the compiler lets every module import every other. [`LAYERS`] says which
//! imports keep the layers apart; a broken rule is reported with file, line and the rule.

use std::fmt;
use std::path::{Path, PathBuf};

/// A module under `src/`, or a crate of the workspace.
struct Layer {
    /// A folder, or a module: what is before `.rs` or `/`.
    path: &'static str,
    /// What it may import from `crate::`: modules, or paths within one.
    may_import: Imports,
    /// Whether it may use tokio.
    is_async: bool,
}

enum Imports {
    /// Nothing but itself and the leaves.
    Itself,
    /// These, itself and the leaves.
    Only(&'static [&'static str]),
    /// The crate's top joins everything; a crate of its own is checked by the compiler.
    Anything,
}
use Imports::{Anything, Itself, Only};

/// The layers, from the bottom to the top. A module that is not listed is reported.
const LAYERS: &[Layer] = &[
    Layer { path: "amqp-codec/", may_import: Anything, is_async: false },
    // Leaves: plain values, passed in by constructor. Everybody may import them.
    Layer { path: "src/config", may_import: Itself, is_async: false },
    Layer { path: "src/sparse", may_import: Itself, is_async: false },
    Layer { path: "src/name", may_import: Itself, is_async: false },
    Layer { path: "src/pattern", may_import: Itself, is_async: false },
    Layer { path: "src/metrics", may_import: Itself, is_async: false },
    // These three do not know each other: session/ joins them.
    Layer { path: "src/protocol", may_import: Itself, is_async: false },
    Layer { path: "src/broker", may_import: Itself, is_async: false },
    Layer { path: "src/auth", may_import: Itself, is_async: false },
    Layer { path: "src/store", may_import: Only(&["broker", "auth"]), is_async: false },
    // Listeners of all protocols share it.
    Layer { path: "src/tls", may_import: Only(&["auth"]), is_async: true },
    Layer {
        path: "src/session",
        may_import: Only(&["protocol", "broker", "auth", "store"]),
        is_async: false,
    },
    Layer {
        path: "src/net",
        may_import: Only(&["protocol", "broker", "auth", "store", "tls", "session"]),
        is_async: true,
    },
    Layer {
        path: "src/http",
        may_import: Only(&["broker", "auth", "tls", "session"]),
        is_async: true,
    },
    // A client of any broker: it stands on the codec alone.
    Layer { path: "src/perf", may_import: Itself, is_async: false },
    Layer { path: "src/cli", may_import: Anything, is_async: true },
    Layer { path: "src/embed", may_import: Anything, is_async: true },
    Layer { path: "src/lib.rs", may_import: Anything, is_async: true },
    Layer { path: "src/main.rs", may_import: Anything, is_async: true },
    Layer { path: "tests/", may_import: Anything, is_async: true },
    Layer { path: "benches/", may_import: Anything, is_async: true },
    Layer { path: "examples/", may_import: Anything, is_async: true },
];

const LEAVES: [&str; 5] = ["config", "metrics", "name", "pattern", "sparse"];

/// The one file that asks what time it is.
const CLOCK: &str = "src/net/clock.rs";

/// The one file with code that the compiler cannot vouch for.
const UNSAFE: &str = "src/cli/idle.rs";

/// From here on there is a second noun in the file.
const LINES_MAX: usize = 800;

struct SourceFile {
    /// From the repository's root, with `/`.
    path: String,
    text: String,
}

#[derive(Debug, PartialEq, Eq)]
struct Violation {
    path: String,
    line: usize,
    rule: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.rule)
    }
}

#[test]
fn the_repository_keeps_its_own_rules() {
    let files = source_files(Path::new(env!("CARGO_MANIFEST_DIR")));
    assert!(files.len() > 10, "found only {} files: is this the repository?", files.len());
    let violations: Vec<String> =
        files.iter().flat_map(check).map(|violation| violation.to_string()).collect();
    assert!(violations.is_empty(), "rules broken:\n{}", violations.join("\n"));
}

/// Every Rust file of ours; folders that are not there yet have none.
fn source_files(root: &Path) -> Vec<SourceFile> {
    let folders = [
        "amqp-codec/src",
        "amqp-codec/tests",
        "amqp-codec/benches",
        "src",
        "tests",
        "benches",
        "examples",
    ];
    let mut open: Vec<PathBuf> = folders.map(|folder| root.join(folder)).to_vec();
    let mut files = Vec::new();
    while let Some(folder) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.expect("a readable folder").path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("a readable file");
                let path = path.strip_prefix(root).expect("found under the root");
                let path = path.to_string_lossy().replace('\\', "/");
                files.push(SourceFile { path, text });
            }
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

fn check(file: &SourceFile) -> Vec<Violation> {
    let violation = |line, rule| Violation { path: file.path.clone(), line, rule };
    let mut violations = Vec::new();
    if !file.text.starts_with("//!") {
        violations.push(violation(1, "a file starts with a //! line that says what it is".into()));
    }
    let lines = file.text.lines().count();
    if lines > LINES_MAX {
        let rule = format!("a file has at most {LINES_MAX} lines: this one has {lines}");
        violations.push(violation(LINES_MAX + 1, rule));
    }
    let Some(layer) = layer_of(&file.path) else {
        violations.push(violation(1, "this module is in no layer: add it to LAYERS".into()));
        return violations;
    };
    let code = without_tests(&file.path, &code_only(&file.text));
    for (line, path) in crate_paths(&file.path, &code) {
        if let Some(rule) = broken_import_rule(layer, &path) {
            violations.push(violation(line, rule));
        }
    }
    for (line, text) in (1..).zip(code.lines()) {
        if !layer.is_async && ["tokio", "tokio_util"].iter().any(|name| has_word(text, name)) {
            violations.push(violation(line, "tokio starts in net/".into()));
        }
        if has_word(text, "unsafe_code") && file.path != UNSAFE {
            violations.push(violation(line, format!("unsafe code is for {UNSAFE} alone")));
        }
        let reads_time = text.contains("Instant::now") || text.contains("SystemTime::now");
        if reads_time && file.path != CLOCK && !layer.path.ends_with('/') {
            violations.push(violation(line, format!("time is an argument: only {CLOCK} reads it")));
        }
    }
    violations
}

fn layer_of(path: &str) -> Option<&'static Layer> {
    let holds = |layer: &&Layer| {
        let rest = path.strip_prefix(layer.path);
        rest.is_some_and(|rest| {
            layer.path.ends_with('/') || rest.is_empty() || rest.starts_with(['/', '.'])
        })
    };
    LAYERS.iter().find(holds)
}

/// Why a file of `layer` must not say `crate::{path}`, if it must not.
fn broken_import_rule(layer: &Layer, path: &str) -> Option<String> {
    let allowed: &[&str] = match layer.may_import {
        Anything => return None,
        Itself => &[],
        Only(modules) => modules,
    };
    let own = layer.path.trim_start_matches("src/");
    let covers = |allowed: &str| {
        path.strip_prefix(allowed).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    if covers(own) || LEAVES.into_iter().any(covers) || allowed.iter().copied().any(covers) {
        return None;
    }
    let allowed = if allowed.is_empty() { "no other layer".into() } else { allowed.join(", ") };
    Some(format!("{own}/ may not import crate::{path}: it may import {allowed}"))
}

/// The paths that start at the crate's root, with their lines: what follows `crate::` or
/// `leveret::`, and `super::` repeated often enough to get there. Groups are taken apart.
fn crate_paths(file: &str, code: &str) -> Vec<(usize, String)> {
    let mut paths = Vec::new();
    for root in roots(file) {
        for (start, _) in code.match_indices(&root) {
            let before = code[..start].chars().next_back();
            if before.is_some_and(|c| is_word_char(c) || c == ':') {
                continue;
            }
            let line = 1 + code[..start].matches('\n').count();
            let rest = &code[start + root.len()..];
            // A longer run of `super::` leads elsewhere, or to nowhere.
            if !rest.trim_start().starts_with("super") {
                paths.extend(branches(rest).into_iter().map(|path| (line, path)));
            }
        }
    }
    paths.sort();
    paths
}

/// What leads to the crate's root from this file.
fn roots(file: &str) -> Vec<String> {
    let mut roots = vec!["crate::".to_owned(), "leveret::".to_owned()];
    if let Some(module) = file.strip_prefix("src/") {
        let module = module.trim_end_matches(".rs").trim_end_matches("/mod");
        roots.push("super::".repeat(module.split('/').count()));
    }
    roots
}

/// The paths at the start of `code`: one, or one for each branch of a group `{a::b, c}`.
fn branches(code: &str) -> Vec<String> {
    let code = code.trim_start();
    let Some(group) = code.strip_prefix('{') else { return vec![path_at(code)] };
    let mut depth = 0;
    let mut starts = vec![0];
    for (place, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                let starts = starts.into_iter().map(|start| path_at(group[start..place].trim()));
                return starts.filter(|path| !path.is_empty()).collect();
            }
            '}' => depth -= 1,
            ',' if depth == 0 => starts.push(place + 1),
            _ => {}
        }
    }
    Vec::new()
}

/// `a::b::c` at the start of a text.
fn path_at(text: &str) -> String {
    let end = text.find(|c| !is_word_char(c) && c != ':').unwrap_or(text.len());
    text[..end].trim_end_matches(':').to_owned()
}

fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let after = text[start + word.len()..].chars().next();
        !before.is_some_and(is_word_char) && !after.is_some_and(is_word_char)
    })
}

/// The code without its unit tests: these may read the clock, and import what they compare with.
/// They stand last in a file, or in a file of their own.
fn without_tests(path: &str, code: &str) -> String {
    if path.ends_with("/tests.rs") || path.contains("/tests/") {
        return String::new();
    }
    let tests = code.match_indices("#[cfg(test)]").find(|(start, attribute)| {
        code[start + attribute.len()..].trim_start().starts_with("mod ")
    });
    tests.map_or(code, |(start, _)| &code[..start]).to_owned()
}

/// The same text with comments, strings and character literals blanked out, line by line.
fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length =
            comment_length(rest).or_else(|| literal_length(rest, code.chars().next_back()));
        let blank = length.unwrap_or(first.len_utf8());
        let (taken, after) = rest.split_at(blank);
        match length {
            Some(_) => code.extend(taken.chars().map(|c| if c == '\n' { '\n' } else { ' ' })),
            None => code.push_str(taken),
        }
        rest = after;
    }
    code
}

/// How long the comment is that starts here. (Block comments may not nest in this repository.)
fn comment_length(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    let end = text.strip_prefix("/*")?.find("*/");
    Some(end.map_or(text.len(), |end| end + 4))
}

/// How long the string or character literal is that starts here.
fn literal_length(text: &str, before: Option<char>) -> Option<usize> {
    let end_of = |quote: char, body: &str| {
        let mut chars = body.char_indices();
        while let Some((place, c)) = chars.next() {
            if c == '\\' {
                chars.next();
            } else if c == quote {
                return place + 1;
            }
        }
        body.len()
    };
    if let Some(body) = text.strip_prefix('"') {
        return Some(1 + end_of('"', body));
    }
    if let Some(body) = text.strip_prefix('\'') {
        // A quote that no other closes after one character starts a lifetime or a label.
        let mut chars = body.chars();
        let is_char =
            matches!((chars.next(), chars.next()), (Some('\\'), _) | (Some(_), Some('\'')));
        return is_char.then(|| 1 + end_of('\'', body));
    }
    let body = text
        .strip_prefix('r')
        .filter(|_| !before.is_some_and(is_word_char) || before == Some('b'))?;
    let hashes = body.chars().take_while(|c| *c == '#').count();
    let body = body[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(2 + hashes + length)
}

mod catches {
    //! Each rule, broken on purpose.

    use super::*;

    /// The rules broken by a file with this code under its `//!` line, as `line: rule`.
    fn broken(path: &str, code: &str) -> Vec<String> {
        let file = SourceFile { path: path.into(), text: format!("//! Doc.\n{code}") };
        check(&file).iter().map(|found| format!("{}: {}", found.line, found.rule)).collect()
    }

    fn assert_clean(path: &str, code: &str) {
        assert_eq!(broken(path, code), Vec::<String>::new(), "{path}\n{code}");
    }

    const NO_PROTOCOL: &str =
        "broker/ may not import crate::protocol::Frame: it may import no other layer";

    #[test]
    fn an_upward_import_in_any_spelling() {
        for code in [
            "use crate::protocol::Frame;",
            "use crate::{broker::message, protocol::Frame};",
            "use crate::{\n    protocol::Frame,\n};",
            "fn f() -> crate::protocol::Frame {}",
            "use leveret::protocol::Frame;",
            "use super::super::protocol::Frame;",
            "let x: &'static str = \"a\"; crate::protocol::Frame",
            "let x = '\"'; crate::protocol::Frame",
        ] {
            assert_eq!(
                broken("src/broker/vhost.rs", code),
                [format!("2: {NO_PROTOCOL}")],
                "{code}"
            );
        }
        assert_eq!(
            broken("src/broker/mod.rs", "\nuse super::protocol::Frame;"),
            [format!("3: {NO_PROTOCOL}")]
        );
    }

    #[test]
    fn a_layer_that_goes_round_another() {
        assert_eq!(
            broken("src/http/router.rs", "use crate::net::now;").len(),
            1,
            "http/ is told the time like everybody else"
        );
        assert_clean("src/http/router.rs", "use crate::broker::vhost::VHost;");
        assert_eq!(broken("src/store/log.rs", "use crate::session::Session;").len(), 1);
        assert_eq!(broken("src/net/server.rs", "use crate::http::Router;").len(), 1);
        assert_eq!(broken("src/protocol/mod.rs", "use crate::Broker;").len(), 1);
    }

    #[test]
    fn no_import_that_is_allowed() {
        assert_clean(
            "src/broker/queue/mod.rs",
            "use super::super::super::foo; use crate::broker::x;",
        );
        assert_clean("src/broker/queue/mod.rs", "use super::message::Message;");
        assert_clean("src/session/mod.rs", "use crate::{broker, protocol::{self, Frame}, config};");
        assert_clean("src/cli/mod.rs", "use crate::net::Server;");
        assert_clean("src/broker/vhost.rs", "// use crate::protocol::Frame;\n/* crate::net */");
        assert_clean("src/broker/vhost.rs", "const S: &str = r#\"crate::net \"x\" tokio\"#;");
        assert_clean(
            "src/broker/vhost.rs",
            "fn f() {}\n#[cfg(test)]\nmod tests { use crate::net; }",
        );
        assert_clean("src/broker/vhost/tests.rs", "use crate::net; fn f() { Instant::now(); }");
    }

    #[test]
    fn tokio_below_net() {
        let rule = "2: tokio starts in net/";
        for path in
            ["src/session/mod.rs", "src/broker/mod.rs", "src/store/log.rs", "amqp-codec/src/lib.rs"]
        {
            assert_eq!(broken(path, "use tokio::sync::Notify;"), [rule], "{path}");
            assert_eq!(broken(path, "use tokio_util::codec::Decoder;"), [rule], "{path}");
        }
        assert_clean("src/net/server.rs", "use tokio::net::TcpListener;");
        assert_clean("src/broker/mod.rs", "let tokio_like = 1;");
    }

    #[test]
    fn a_second_reader_of_the_clock() {
        let rule = "2: time is an argument: only src/net/clock.rs reads it";
        for path in ["src/broker/queue/mod.rs", "src/net/server.rs", "src/main.rs"] {
            assert_eq!(broken(path, "let now = Instant::now();"), [rule], "{path}");
            assert_eq!(broken(path, "let now = std::time::SystemTime::now();"), [rule], "{path}");
        }
        assert_clean(CLOCK, "let now = Instant::now();");
        assert_clean("benches/codec.rs", "let now = Instant::now();");
    }

    #[test]
    fn unsafe_code_elsewhere() {
        let code = "#[allow(unsafe_code)]";
        assert_eq!(broken("src/name.rs", code), ["2: unsafe code is for src/cli/idle.rs alone"]);
        assert_clean(UNSAFE, code);
    }

    #[test]
    fn a_file_without_a_doc_or_with_too_many_lines() {
        let file = |text: &str| SourceFile { path: "src/broker/mod.rs".into(), text: text.into() };
        let rules = |text: &str| check(&file(text)).into_iter().map(|v| v.rule).collect::<Vec<_>>();
        assert_eq!(
            rules("use std::fmt;\n"),
            ["a file starts with a //! line that says what it is"]
        );
        assert_eq!(
            rules(&format!("//! Doc.\n{}", "\n".repeat(LINES_MAX))),
            ["a file has at most 800 lines: this one has 801"]
        );
    }

    #[test]
    fn a_module_that_nobody_gave_a_layer() {
        assert_eq!(
            broken("src/brokers/mod.rs", ""),
            ["1: this module is in no layer: add it to LAYERS"]
        );
    }
}
