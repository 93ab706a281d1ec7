//! Where RabbitMQ looks for its configuration.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cli::environment::Environment;

/// Where RabbitMQ's packages and images have it.
const DIRECTORY: &str = "/etc/rabbitmq";

/// A file of Erlang's terms, which wins over `rabbitmq.conf`.
const ADVANCED: &str = "advanced.config";

/// Files that are there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::cli) struct Places {
    /// `rabbitmq.conf` first, then those of `conf.d` in the order of their names: the last one wins.
    pub(in crate::cli) conf: Vec<PathBuf>,
    /// Files of Erlang's terms.
    pub(in crate::cli) erlang: Vec<PathBuf>,
    /// Variables that name what is not there, and what they name.
    pub(in crate::cli) missing: Vec<(&'static str, PathBuf)>,
}

impl Places {
    /// Where this environment says. What lies in `/etc/rabbitmq` counts for who was called as RabbitMQ's server;
    /// `leveret` beside a RabbitMQ is not to take its configuration.
    pub(in crate::cli) fn find(environment: &Environment, as_rabbitmq: bool) -> Self {
        Self::find_in(environment, as_rabbitmq.then(|| Path::new(DIRECTORY)))
    }

    fn find_in(environment: &Environment, directory: Option<&Path>) -> Self {
        let in_directory = |name: &str| directory.map(|directory| directory.join(name));
        let place = |variable: &str, name: &str| {
            environment.get(variable).map(PathBuf::from).or_else(|| in_directory(name))
        };
        let mut places = Self::default();
        for variable in ["RABBITMQ_CONFIG_FILE", "RABBITMQ_ADVANCED_CONFIG_FILE"] {
            let named = environment.get(variable).map(PathBuf::from);
            // Images name the usual place whether there is a file or not.
            let usual = Path::new(DIRECTORY).join("rabbitmq.conf");
            let missing = named.filter(|file| *file != usual && existing(file).is_none());
            places.missing.extend(missing.map(|file| (variable, file)));
        }
        if let Some(file) =
            place("RABBITMQ_CONFIG_FILE", "rabbitmq.conf").and_then(|f| existing(&f))
        {
            places.add(file);
        }
        if let Some(more) = place("RABBITMQ_CONFIG_FILES", "conf.d") {
            more_files(&more).into_iter().for_each(|file| places.add(file));
        }
        if let Some(file) = place("RABBITMQ_ADVANCED_CONFIG_FILE", ADVANCED)
            && let Some(file) = existing(&file)
        {
            places.erlang.push(file);
        }
        places
    }

    fn add(&mut self, file: PathBuf) {
        let is_erlang = file.extension().is_some_and(|extension| extension == "config");
        if is_erlang { self.erlang.push(file) } else { self.conf.push(file) }
    }
}

/// The file, which may be named without its ending.
fn existing(file: &Path) -> Option<PathBuf> {
    let with = |ending: &str| {
        let mut name = file.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    [file.to_owned(), with(".conf"), with(".config")].into_iter().find(|file| file.is_file())
}

/// The files of a directory, or of a pattern such as `conf.d/*.conf`, by name.
fn more_files(place: &Path) -> Vec<PathBuf> {
    if place.is_file() {
        return vec![place.to_owned()];
    }
    let is_pattern = place.file_name().is_some_and(|name| name.to_string_lossy().contains('*'));
    let directory = if is_pattern { place.parent().unwrap_or(place) } else { place };
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<PathBuf> = files
        .filter(|file| file.extension().is_some_and(|extension| extension == "conf"))
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_where_rabbitmq_looks() {
        let root = std::env::temp_dir().join(format!("leveret-places-{}", std::process::id()));
        fs::create_dir_all(root.join("conf.d")).unwrap();
        for name in ["rabbitmq.conf", "custom.conf", "old.config", "advanced.config"] {
            fs::write(root.join(name), "").unwrap();
        }
        for name in ["20-b.conf", "10-a.conf", "readme"] {
            fs::write(root.join("conf.d").join(name), "").unwrap();
        }
        let names = |variables: &[(&str, &str)], directory: Option<&Path>| {
            let variables =
                variables.iter().map(|(name, value)| ((*name).into(), root.join(value).into()));
            let Places { conf, erlang, .. } =
                Places::find_in(&Environment::of(variables), directory);
            let name = |file: PathBuf| file.strip_prefix(&root).unwrap().display().to_string();
            let conf: Vec<String> = conf.into_iter().map(name).collect();
            (conf.join(" "), erlang.into_iter().map(name).collect::<Vec<_>>().join(" "))
        };
        let own = |conf: &str, erlang: &str| (conf.to_owned(), erlang.to_owned());
        assert_eq!(names(&[], None), own("", ""));
        assert_eq!(
            names(&[], Some(&root)),
            own("rabbitmq.conf conf.d/10-a.conf conf.d/20-b.conf", "advanced.config")
        );
        // Without its ending, as Java's Testcontainers have it, too.
        assert_eq!(names(&[("RABBITMQ_CONFIG_FILE", "custom")], None), own("custom.conf", ""));
        assert_eq!(names(&[("RABBITMQ_CONFIG_FILE", "old")], None), own("", "old.config"));
        assert_eq!(
            names(&[("RABBITMQ_CONFIG_FILES", "conf.d/*.conf")], None),
            own("conf.d/10-a.conf conf.d/20-b.conf", "")
        );
        fs::remove_dir_all(root).unwrap();
    }
}
