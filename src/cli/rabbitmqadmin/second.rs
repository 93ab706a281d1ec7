//! What only the second version of the tool has a verb for.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::objects::parse_json;
use super::{Admin, Problem, tables, text};
use crate::cli::api::{ApiError, ApiPath};
use crate::cli::output::field;

/// Arguments of a command, by names with underscores.
pub(super) type Arguments = BTreeMap<String, String>;

/// What a verb does with what is at a path.
#[derive(Debug, Clone, Copy)]
enum Deed {
    /// Prints these fields of it, or all.
    Print(&'static [&'static str]),
    /// The same of an object within it.
    PrintField(&'static str),
    Put,
    Post,
    Delete,
    /// Changes the definition of a policy, which is read and written again.
    Redefine(Change),
    /// The same of all policies in a list.
    RedefineAll(Change),
    /// Deletes those objects of a list whose names match `--name-pattern`.
    DeleteMatching,
}

/// What becomes of a policy's definition.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    /// `--definition`: these keys are added, or have other values.
    Merge,
    /// `--definition-key` and `--new-value`.
    Set,
    /// `--definition-keys`, with commas between them.
    Remove,
}

/// A command of two words.
#[derive(Debug)]
pub(super) struct Verb {
    words: [&'static str; 2],
    deed: Deed,
    /// Where it is in the API: names in braces are arguments.
    path: &'static [&'static str],
}

const fn verb(
    noun: &'static str,
    verb: &'static str,
    deed: Deed,
    path: &'static [&'static str],
) -> Verb {
    Verb { words: [noun, verb], deed, path }
}

const CONNECTION: Deed = Deed::Print(&["name", "user", "state", "protocol", "channels"]);
const OF_USER: &[&str] = &["connections", "username", "{username}"];
const MEMORY: &[&str] = &["nodes", "{node}", "memory"];
const PROTECTION: &[&str] = &["vhosts", "{name}", "deletion", "protection"];
const UPSTREAMS: &[&str] = &["parameters", "federation-upstream"];
const POLICY: &[&str] = &["policies", "{vhost}", "{name}"];
const OPERATOR_POLICY: &[&str] = &["operator-policies", "{vhost}", "{name}"];
const POLICIES: &[&str] = &["policies", "{vhost}"];
const OPERATOR_POLICIES: &[&str] = &["operator-policies", "{vhost}"];
const SET_IN_ALL: Deed = Deed::RedefineAll(Change::Set);
const REMOVE_FROM_ALL: Deed = Deed::RedefineAll(Change::Remove);
const ALL: Deed = Deed::Print(&[]);

/// All of them. Where the first version has the same under other words, `line` knows.
static VERBS: [Verb; 50] = [
    verb("queues", "delete_multiple", Deed::DeleteMatching, &["queues", "{vhost}"]),
    verb("vhosts", "delete_multiple", Deed::DeleteMatching, &["vhosts"]),
    verb("policies", "update_definitions_of_all", SET_IN_ALL, &["policies"]),
    verb("policies", "update_definitions_of_all_in", SET_IN_ALL, POLICIES),
    verb("policies", "delete_definition_keys_from_all", REMOVE_FROM_ALL, &["policies"]),
    verb("policies", "delete_definition_keys_from_all_in", REMOVE_FROM_ALL, POLICIES),
    verb("operator_policies", "update_definitions_of_all_in", SET_IN_ALL, OPERATOR_POLICIES),
    verb(
        "operator_policies",
        "delete_definition_keys_from_all_in",
        REMOVE_FROM_ALL,
        OPERATOR_POLICIES,
    ),
    verb("show", "churn", Deed::PrintField("churn_rates"), &["overview"]),
    verb("show", "memory_breakdown_in_bytes", Deed::PrintField("memory"), MEMORY),
    verb("nodes", "memory_breakdown_in_bytes", Deed::PrintField("memory"), MEMORY),
    verb("plugins", "list_all", Deed::Print(&["name", "enabled_plugins"]), &["nodes"]),
    verb("plugins", "list_on_node", Deed::Print(&["enabled_plugins"]), &["nodes", "{node}"]),
    verb("auth_attempts", "stats", ALL, &["auth", "attempts", "{node}"]),
    verb("vhosts", "enable_deletion_protection", Deed::Post, PROTECTION),
    verb("vhosts", "disable_deletion_protection", Deed::Delete, PROTECTION),
    verb("users", "permissions", ALL, &["permissions"]),
    verb("users", "limits", ALL, &["user-limits"]),
    verb("users", "connections", CONNECTION, OF_USER),
    verb("connections", "list_of_user", CONNECTION, OF_USER),
    verb("list", "user_connections", CONNECTION, OF_USER),
    verb("connections", "close_of_user", Deed::Delete, OF_USER),
    verb("close", "user_connections", Deed::Delete, OF_USER),
    verb("queues", "show", ALL, &["queues", "{vhost}", "{name}"]),
    verb("queues", "rebalance", Deed::Post, &["rebalance", "queues"]),
    verb("rebalance", "queues", Deed::Post, &["rebalance", "queues"]),
    verb("policies", "list_in", ALL, &["policies", "{vhost}"]),
    verb("policies", "patch", Deed::Redefine(Change::Merge), POLICY),
    verb("policies", "update_definition", Deed::Redefine(Change::Set), POLICY),
    verb("policies", "delete_definition_keys", Deed::Redefine(Change::Remove), POLICY),
    verb("operator_policies", "list_in", ALL, &["operator-policies", "{vhost}"]),
    verb("operator_policies", "patch", Deed::Redefine(Change::Merge), OPERATOR_POLICY),
    verb("operator_policies", "update_definition", Deed::Redefine(Change::Set), OPERATOR_POLICY),
    verb(
        "operator_policies",
        "delete_definition_keys",
        Deed::Redefine(Change::Remove),
        OPERATOR_POLICY,
    ),
    verb("parameters", "list", ALL, &["parameters", "{component}", "{vhost}"]),
    verb("parameters", "list_in", ALL, &["parameters", "{component}", "{vhost}"]),
    verb("parameters", "list_all", ALL, &["parameters"]),
    verb("feature_flags", "enable", Deed::Put, &["feature-flags", "{name}", "enable"]),
    verb("deprecated_features", "list", ALL, &["deprecated-features"]),
    verb("list", "deprecated_features", ALL, &["deprecated-features"]),
    verb("deprecated_features", "list_used", ALL, &["deprecated-features", "used"]),
    verb("list", "deprecated_features_in_use", ALL, &["deprecated-features", "used"]),
    verb("shovels", "list_all", ALL, &["shovels"]),
    verb("shovels", "list", ALL, &["shovels", "{vhost}"]),
    verb("federation", "list_all_links", ALL, &["federation-links"]),
    verb("federation", "list_all_upstreams", ALL, UPSTREAMS),
    verb(
        "health_check",
        "local_alarms",
        Deed::PrintField("status"),
        &["health", "checks", "local-alarms"],
    ),
    verb(
        "health_check",
        "cluster_wide_alarms",
        Deed::PrintField("status"),
        &["health", "checks", "alarms"],
    ),
    verb(
        "health_check",
        "port_listener",
        Deed::PrintField("status"),
        &["health", "checks", "port-listener", "{port}"],
    ),
    verb(
        "health_check",
        "protocol_listener",
        Deed::PrintField("status"),
        &["health", "checks", "protocol-listener", "{protocol}"],
    ),
];

/// What an option's name means behind these words is an argument: elsewhere it says who asks, and where.
const OWN_ARGUMENTS: [(&str, &str); 3] =
    [("username", "{username}"), ("port", "{port}"), ("node", "{node}")];

/// Whether behind these words an option of this name is an argument of the command.
pub(super) fn is_argument(words: &[String], name: &str) -> bool {
    let segment = OWN_ARGUMENTS.iter().find(|(own, _)| *own == name).map(|(_, segment)| segment);
    Verb::find(words).is_some_and(|verb| segment.is_some_and(|it| verb.path.contains(it)))
        || (name == "username" && matches!(words, [one, other] if is_permissions(one, other)))
}

/// `permissions delete --username joe`.
fn is_permissions(one: &str, other: &str) -> bool {
    matches!((one, other), ("permissions", "delete") | ("delete", "permissions"))
}

impl Verb {
    /// The one of these words.
    pub(super) fn find(words: &[String]) -> Option<&'static Self> {
        let [noun, verb] = words else { return None };
        VERBS.iter().find(|it| it.words == [noun.as_str(), verb.as_str()])
    }

    /// Whether this is a noun of the second version: it has verbs that nobody here knows.
    pub(super) fn is_noun(word: &str) -> bool {
        const OTHERS: [&str; 8] = [
            "bindings",
            "channels",
            "config_file",
            "definitions",
            "exchanges",
            "global_parameters",
            "passwords",
            "streams",
        ];
        OTHERS.contains(&word)
            || VERBS
                .iter()
                .any(|it| it.words[0] == word && !matches!(word, "list" | "show" | "close"))
    }

    fn path(&self, arguments: &Arguments, vhost: &str) -> Result<Vec<String>, Problem> {
        let segment = |part: &&str| match part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
            None => Ok((*part).to_owned()),
            Some("vhost") => Ok(vhost.to_owned()),
            Some(name) => text(arguments, name),
        };
        self.path.iter().map(segment).collect()
    }
}

impl Admin<'_> {
    /// Does what a verb says.
    pub(super) fn second(
        &mut self,
        verb: &'static Verb,
        arguments: &Arguments,
    ) -> Result<(), Problem> {
        let segments = verb.path(arguments, &self.options.vhost_or_default())?;
        let path = ApiPath::of(&segments.iter().map(String::as_str).collect::<Vec<_>>());
        let sent = match verb.deed {
            Deed::Print(columns) => return self.print(&path, columns, arguments),
            Deed::PrintField(name) => return self.print_field(&path, name),
            Deed::Redefine(change) => return self.redefine(&path, change, arguments),
            Deed::RedefineAll(change) => return self.redefine_all(&path, change, arguments),
            Deed::DeleteMatching => return self.delete_matching(&segments, arguments),
            Deed::Put => self.client.put(&path, &json!({})),
            Deed::Post => self.client.post(&path, &json!({})).map(drop),
            Deed::Delete => self.client.delete(&path),
        };
        match sent {
            Err(ApiError::NotFound { .. }) if arguments.contains_key("idempotently") => Ok(()),
            other => other.map_err(|error| Problem::of(error, &path)),
        }
    }

    fn print(
        &mut self,
        path: &ApiPath,
        columns: &[&str],
        arguments: &Arguments,
    ) -> Result<(), Problem> {
        let answer = self.client.get(path).map_err(|error| Problem::of(error, path))?;
        let mut items = match answer {
            Value::Array(items) => items,
            other => vec![other],
        };
        if let Some(kind) = arguments.get("apply_to") {
            items.retain(|policy| field(policy, "apply-to") == kind.as_str());
        }
        let columns: Vec<String> = match arguments.get("columns") {
            Some(named) => named.split(',').map(str::to_owned).collect(),
            None => columns.iter().map(|column| (*column).to_owned()).collect(),
        };
        tables::print(self, &items.into(), &columns, &["definition", "value"])
    }

    fn print_field(&mut self, path: &ApiPath, name: &str) -> Result<(), Problem> {
        let answer = self.client.get(path).map_err(|error| Problem::of(error, path))?;
        match field(&answer, name) {
            // What a health check says.
            Value::String(_) => self.say("health check passed"),
            object => tables::print(self, &json!([object]), &[], &[]),
        }
    }

    /// Reads a policy and writes it with another definition.
    fn redefine(
        &mut self,
        path: &ApiPath,
        change: Change,
        arguments: &Arguments,
    ) -> Result<(), Problem> {
        let mut policy = self.client.get(path).map_err(|error| Problem::of(error, path))?;
        let definition = policy.get_mut("definition").and_then(Value::as_object_mut);
        let definition =
            definition.ok_or_else(|| Problem::Refused(format!("{path} has no definition")))?;
        change.apply(definition, arguments)?;
        self.client.put(path, &policy).map_err(|error| Problem::of(error, path))
    }
}

impl Change {
    pub(super) fn apply(
        self,
        definition: &mut Map<String, Value>,
        arguments: &Arguments,
    ) -> Result<(), Problem> {
        match self {
            Self::Merge => {
                let added = parse_json(&text(arguments, "definition")?)?;
                let Value::Object(added) = added else {
                    return Err(Problem::Usage("definition must be an object".to_owned()));
                };
                definition.extend(added);
            }
            Self::Set => {
                let value = text(arguments, "new_value")?;
                let value = serde_json::from_str(&value).unwrap_or_else(|_| value.into());
                definition.insert(text(arguments, "definition_key")?, value);
            }
            Self::Remove => {
                for key in text(arguments, "definition_keys")?.split(',') {
                    definition.remove(key.trim());
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn an_options_name_is_an_argument_behind_words_that_take_it() {
        assert!(is_argument(&words("health_check port_listener"), "port"));
        assert!(is_argument(&words("close user_connections"), "username"));
        assert!(is_argument(&words("permissions delete"), "username"));
        assert!(is_argument(&words("show memory_breakdown_in_bytes"), "node"));
        for (line, name) in
            [("list queues", "username"), ("queues list", "port"), ("queues show", "node")]
        {
            assert!(!is_argument(&words(line), name), "{line}");
        }
    }

    #[test]
    fn a_definition_is_changed_key_by_key() {
        let mut definition = Map::from_iter([("max-length".to_owned(), json!(1))]);
        let mut change = |change: Change, given: &[(&str, &str)]| {
            let pairs = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            change.apply(&mut definition, &pairs.collect()).unwrap();
            Value::from(definition.clone())
        };
        let merged = change(Change::Merge, &[("definition", "{\"expires\":5}")]);
        assert_eq!(merged, json!({ "max-length": 1, "expires": 5 }));
        let set = [("definition_key", "overflow"), ("new_value", "drop-head")];
        assert_eq!(change(Change::Set, &set)["overflow"], "drop-head");
        let left = change(Change::Remove, &[("definition_keys", "overflow,expires")]);
        assert_eq!(left, json!({ "max-length": 1 }));
    }
}
