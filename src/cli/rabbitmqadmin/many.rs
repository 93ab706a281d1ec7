//! What the second version changes in many objects at once.

use serde_json::{Value, json};

use super::second::{Arguments, Change};
use super::{Admin, Problem, tables, text};
use crate::cli::api::{ApiError, ApiPath};
use crate::cli::output::field;
use crate::pattern::Pattern;

/// What `delete_multiple` takes.
const DELETION: [&str; 5] = ["name_pattern", "approve", "dry_run", "fail_fast", "idempotently"];

/// A vhost that is never deleted along with others.
const DEFAULT_VHOST: &str = "/";

impl Admin<'_> {
    /// Deletes those objects of a list whose names match, in the order of their names.
    pub(super) fn delete_matching(
        &mut self,
        list: &[String],
        arguments: &Arguments,
    ) -> Result<(), Problem> {
        if let Some(other) = arguments.keys().find(|name| !DELETION.contains(&name.as_str())) {
            return Err(Problem::Usage(format!("no such option: --{}", other.replace('_', "-"))));
        }
        let list: Vec<&str> = list.iter().map(String::as_str).collect();
        let names = self.matching(&list, &text(arguments, "name_pattern")?)?;
        let has = |flag: &str| arguments.contains_key(flag);
        if has("dry_run") {
            let rows: Vec<Value> = names.iter().map(|name| json!({ "name": name })).collect();
            return tables::print(self, &rows.into(), &["name".to_owned()], &[]);
        }
        if !has("approve") && self.options.get("non_interactive").is_none() {
            let problem =
                "this deletes for good: look at what it would with --dry-run, and add --approve";
            return Err(Problem::Usage(problem.to_owned()));
        }
        let mut failed = Vec::new();
        for name in &names {
            let path = ApiPath::of(&[&list[..], &[name]].concat());
            match self.client.delete(&path) {
                Ok(()) => {}
                Err(ApiError::NotFound { .. }) if has("idempotently") => {}
                Err(error) if has("fail_fast") => return Err(Problem::of(error, &path)),
                Err(error) => failed.push(format!("{name}: {error}")),
            }
        }
        match failed.is_empty() {
            true => self.say(&format!("{} {} deleted", names.len(), list[0])),
            false => Err(Problem::Refused(format!("not deleted: {}", failed.join("; ")))),
        }
    }

    fn matching(&self, list: &[&str], pattern: &str) -> Result<Vec<String>, Problem> {
        let pattern = Pattern::new(pattern)
            .map_err(|error| Problem::Usage(format!("--name-pattern: {error}")))?;
        let path = ApiPath::of(list);
        let objects = self.client.list(&path).map_err(|error| Problem::of(error, &path))?;
        let names = objects.iter().filter_map(|object| field(object, "name").as_str());
        let may_go = |name: &&str| list != ["vhosts"] || *name != DEFAULT_VHOST;
        let mut names: Vec<String> = names
            .filter(|name| pattern.matches(name.as_bytes()))
            .filter(may_go)
            .map(str::to_owned)
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Changes the definitions of all policies in a list. One that would have none left stays as it is.
    pub(super) fn redefine_all(
        &mut self,
        list: &ApiPath,
        change: Change,
        arguments: &Arguments,
    ) -> Result<(), Problem> {
        let policies = self.client.list(list).map_err(|error| Problem::of(error, list))?;
        let collection = match list.to_string().starts_with("/api/operator-policies") {
            true => "operator-policies",
            false => "policies",
        };
        let mut changed = 0;
        for mut policy in policies {
            let before = field(&policy, "definition").clone();
            let Some(definition) = policy.get_mut("definition").and_then(Value::as_object_mut)
            else {
                continue;
            };
            change.apply(definition, arguments)?;
            if definition.is_empty() || *field(&policy, "definition") == before {
                continue;
            }
            let name = |of: &str| field(&policy, of).as_str().unwrap_or_default().to_owned();
            let path = ApiPath::of(&[collection, &name("vhost"), &name("name")]);
            self.client.put(&path, &policy).map_err(|error| Problem::of(error, &path))?;
            changed += 1;
        }
        self.say(&format!("{changed} policies changed"))
    }
}
