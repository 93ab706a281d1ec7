//! The completions in the shells that they are for, where these are installed.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

/// A directory with what `leveret completions` prints for a shell; removed when dropped.
struct Completions(PathBuf);

impl Completions {
    /// None, if there is no such shell here.
    fn of(shell: &str) -> Option<Self> {
        if Command::new(shell).args(["-c", "exit 0"]).output().is_err() {
            // A test that cannot run says so.
            println!("skipped: {shell} is not installed");
            return None;
        }
        let directory = std::env::temp_dir()
            .join(format!("leveret-completions-{shell}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let leveret = env!("CARGO_BIN_EXE_leveret");
        let printed = Command::new(leveret).args(["completions", shell]).output().unwrap();
        assert!(printed.status.success());
        // The name that zsh looks for.
        fs::write(directory.join("_leveret"), printed.stdout).unwrap();
        Some(Self(directory))
    }

    fn file(&self) -> String {
        self.0.join("_leveret").display().to_string()
    }
}

impl Drop for Completions {
    fn drop(&mut self) {
        let _gone_is_fine = fs::remove_dir_all(&self.0);
    }
}

/// What a shell that loaded them without a word prints.
fn printed(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    text(&output.stdout)
}

#[test]
fn bash_completes_commands_and_options() {
    let Some(completions) = Completions::of("bash") else { return };
    let script = r#"
        source "$1"
        complete -p leveret
        shift
        for line; do
            COMP_WORDS=($line) COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            _leveret leveret "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
            echo "${COMPREPLY[@]}"
        done"#;
    let lines = ["leveret que", "leveret queue decl", "leveret queue list --all"];
    let output = Command::new("bash")
        .args(["--norc", "-c", script, "bash", &completions.file()])
        .env_remove("BASH_ENV")
        .args(lines)
        .output()
        .unwrap();
    let printed = printed(&output);
    let (registered, completed) = printed.split_once('\n').unwrap();
    assert!(registered.contains("-F _leveret") && registered.ends_with(" leveret"), "{registered}");
    assert_eq!(completed, "queue\ndeclare\n--all-vhosts\n");
}

#[test]
fn fish_completes_commands_and_options() {
    let Some(completions) = Completions::of("fish") else { return };
    let script = "source $argv[1]; for line in $argv[2..]; complete -C $line; end";
    let lines = ["leveret que", "leveret queue decl", "leveret queue list --all"];
    let output = Command::new("fish")
        .args(["--no-config", "-c", script, &completions.file()])
        .args(lines)
        // It would write there.
        .env("HOME", &completions.0)
        .env_remove("XDG_DATA_HOME")
        .output()
        .unwrap();
    let printed = printed(&output);
    let words: Vec<&str> = printed.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(words, ["queue", "declare", "--all-vhosts"]);
}

/// Goal: in zsh nothing but the line editor completes, so there is one, with a terminal of its own.
#[test]
fn zsh_completes_commands_and_options() {
    let Some(completions) = Completions::of("zsh") else { return };
    let script = r#"
        zmodload zsh/zpty || { print -r -- no terminal; exit 0 }
        zpty shell "zsh -f -i"
        zpty -w shell "PS1=; fpath=($1 \$fpath); leveret() { print -r -- \"<\$*>\" }
            autoload -Uz compinit; compinit -u -D; bindkey '^I' complete-word; print -r -- \"[\$_comps[leveret]]\""
        zpty -r -m shell out '*\[_leveret\]*' || exit 3
        zpty -w -n shell $'leveret que\tdecl\t\n'
        zpty -r -m shell first '*<queue*>*' || exit 4
        zpty -w -n shell $'leveret queue list --all\t\n'
        zpty -r -m shell second '*<queue list*>*' || exit 5
        print -r -- "$first$second""#;
    // What does not come is waited for without end.
    let output = Command::new("timeout")
        .args(["60", "zsh", "-f", "-c", script, "zsh"])
        .arg(&completions.0)
        .env("HOME", &completions.0)
        .env("TERM", "dumb")
        .output()
        .unwrap();
    let printed = printed(&output);
    if printed.trim() == "no terminal" {
        println!("skipped: this zsh has no module for terminals");
        return;
    }
    for expected in ["<queue declare>", "<queue list --all-vhosts>"] {
        assert!(printed.contains(expected), "{expected}: {printed}");
    }
}
