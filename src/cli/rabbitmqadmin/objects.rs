//! What can be declared and deleted, and which arguments each takes.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Body, Problem};

/// Something that can be declared and deleted.
#[derive(Debug)]
pub(super) struct Object {
    /// Its name in commands of the first version; the second has the plural, too.
    pub(super) name: &'static str,
    /// What must be there to declare it. Of several names with `|` one.
    mandatory: &'static [&'static str],
    /// What may be there.
    optional: &'static [&'static str],
    /// What must be there to delete it.
    identity: &'static [&'static str],
    /// Where it is in the API: names in braces are arguments.
    path: &'static [&'static str],
}

/// Everything that can be declared.
static OBJECTS: [Object; 12] = [
    Object {
        name: "exchange",
        mandatory: &["name", "type"],
        optional: &["auto_delete", "durable", "internal", "arguments"],
        identity: &["name"],
        path: &["exchanges", "{vhost}", "{name}"],
    },
    Object {
        name: "queue",
        mandatory: &["name"],
        optional: &["auto_delete", "durable", "arguments", "node", "queue_type", "type"],
        identity: &["name"],
        path: &["queues", "{vhost}", "{name}"],
    },
    Object {
        name: "binding",
        mandatory: &["source", "destination"],
        optional: &["destination_type", "routing_key", "arguments"],
        identity: &["source", "destination_type", "destination"],
        path: &["bindings", "{vhost}", "e", "{source}", "{destination_char}", "{destination}"],
    },
    Object {
        name: "vhost",
        mandatory: &["name"],
        optional: &["tracing", "description", "tags", "default_queue_type"],
        identity: &["name"],
        path: &["vhosts", "{name}"],
    },
    Object {
        name: "user",
        mandatory: &["name", "password|password_hash"],
        optional: &["tags", "hashing_algorithm"],
        identity: &["name"],
        path: &["users", "{name}"],
    },
    Object {
        name: "permission",
        mandatory: &["user", "configure", "write", "read"],
        optional: &["vhost"],
        identity: &["user"],
        path: &["permissions", "{vhost}", "{user}"],
    },
    Object {
        name: "parameter",
        mandatory: &["component", "name", "value"],
        optional: &[],
        identity: &["component", "name"],
        path: &["parameters", "{component}", "{vhost}", "{name}"],
    },
    Object {
        name: "global_parameter",
        mandatory: &["name", "value"],
        optional: &[],
        identity: &["name"],
        path: &["global-parameters", "{name}"],
    },
    Object {
        name: "policy",
        mandatory: &["name", "pattern", "definition"],
        optional: &["priority", "apply-to"],
        identity: &["name"],
        path: &["policies", "{vhost}", "{name}"],
    },
    Object {
        name: "operator_policy",
        mandatory: &["name", "pattern", "definition"],
        optional: &["priority", "apply-to"],
        identity: &["name"],
        path: &["operator-policies", "{vhost}", "{name}"],
    },
    Object {
        name: "vhost_limit",
        mandatory: &["name", "value"],
        optional: &["vhost"],
        identity: &["name"],
        path: &["vhost-limits", "{vhost}", "{name}"],
    },
    Object {
        name: "user_limit",
        mandatory: &["user", "name", "value"],
        optional: &[],
        identity: &["user", "name"],
        path: &["user-limits", "{user}", "{name}"],
    },
];

/// Arguments that are JSON.
const JSON: [&str; 4] = ["arguments", "definition", "value", "priority"];

/// Arguments that are true or false.
const TRUTHS: [&str; 4] = ["auto_delete", "durable", "internal", "tracing"];

impl Object {
    /// What has this name, in the singular or the plural.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        let name = name.replace('-', "_");
        let singular = match name.as_str() {
            "policies" => "policy",
            "operator_policies" => "operator_policy",
            "permissions" => "permission",
            other => other.strip_suffix('s').unwrap_or(other),
        };
        OBJECTS.iter().find(|object| object.name == singular || object.name == name)
    }

    /// Where to put what is declared, and what to send.
    pub(super) fn declaration(
        &self,
        mut arguments: BTreeMap<String, String>,
        vhost: &str,
    ) -> Result<(Vec<String>, Body), Problem> {
        normalise(&mut arguments);
        self.check_names(&arguments, &[self.mandatory, self.optional].concat())?;
        require(&arguments, self.mandatory)?;
        if self.name == "binding" {
            arguments.entry("destination_type".to_owned()).or_insert_with(|| "queue".to_owned());
        }
        for (name, value) in self.defaults() {
            arguments.entry((*name).to_owned()).or_insert_with(|| (*value).to_owned());
        }
        let segments = self.segments(&arguments, vhost)?;
        let mut body = Body::new();
        for (name, value) in &arguments {
            body.insert(name.clone(), value_of(name, value)?);
        }
        body.entry("vhost").or_insert_with(|| vhost.into());
        let queue_type = body.remove("queue_type");
        let queue_type =
            queue_type.or_else(|| if self.name == "queue" { body.remove("type") } else { None });
        if let Some(queue_type) = queue_type {
            let arguments = body.entry("arguments").or_insert_with(|| Body::new().into());
            arguments["x-queue-type"] = queue_type;
        }
        Ok((segments, body))
    }

    /// What is sent unless the command line says otherwise: the API's own defaults are others.
    fn defaults(&self) -> &'static [(&'static str, &'static str)] {
        match self.name {
            "queue" | "exchange" => &[("durable", "true"), ("auto_delete", "false")],
            "user" => &[("tags", "")],
            _ => &[],
        }
    }

    /// Where what is deleted is.
    pub(super) fn deletion(
        &self,
        mut arguments: BTreeMap<String, String>,
        vhost: &str,
    ) -> Result<Vec<String>, Problem> {
        normalise(&mut arguments);
        arguments.remove("idempotently");
        let known = [self.identity, &["vhost", "properties_key", "routing_key"]].concat();
        self.check_names(&arguments, &known)?;
        require(&arguments, self.identity)?;
        let mut segments = self.segments(&arguments, vhost)?;
        if self.name == "binding" {
            // A binding without arguments has its routing key for a key, or `~` if that is empty.
            let key = arguments.get("properties_key").or(arguments.get("routing_key"));
            let key = key.filter(|key| !key.is_empty()).map_or("~", String::as_str);
            segments.push(key.to_owned());
        }
        Ok(segments)
    }

    fn check_names(
        &self,
        arguments: &BTreeMap<String, String>,
        known: &[&str],
    ) -> Result<(), Problem> {
        let is_known =
            |name: &str| known.iter().any(|known| known.split('|').any(|one| one == name));
        match arguments.keys().find(|name| !is_known(name)) {
            None => Ok(()),
            Some(name) => Err(Problem::Usage(format!(
                "Argument \"{name}={}\" is not recognised",
                arguments[name]
            ))),
        }
    }

    fn segments(
        &self,
        arguments: &BTreeMap<String, String>,
        vhost: &str,
    ) -> Result<Vec<String>, Problem> {
        let segment = |part: &&str| match part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
            None => Ok((*part).to_owned()),
            Some("destination_char") => match arguments.get("destination_type").map(String::as_str)
            {
                Some(kind @ ("queue" | "q" | "exchange" | "e")) => Ok(kind[..1].to_owned()),
                _ => Err(Problem::Usage("destination_type must be queue or exchange".to_owned())),
            },
            Some("vhost") => Ok(arguments.get("vhost").map_or(vhost, String::as_str).to_owned()),
            Some(name) => super::text(arguments, name),
        };
        self.path.iter().map(segment).collect()
    }
}

/// `--apply-to` of the second version is `apply-to` of the first; all others have underscores.
fn normalise(arguments: &mut BTreeMap<String, String>) {
    if let Some(value) = arguments.remove("apply_to") {
        arguments.insert("apply-to".to_owned(), value);
    }
    if let Some(value) = arguments.remove("username") {
        arguments.insert("user".to_owned(), value);
    }
}

fn require(arguments: &BTreeMap<String, String>, names: &[&str]) -> Result<(), Problem> {
    for name in names {
        if !name.split('|').any(|one| arguments.contains_key(one)) {
            let problem = match name.split_once('|') {
                None => format!("mandatory argument \"{name}\" is required"),
                Some((one, other)) => {
                    format!("one of mandatory arguments \"['{one}', '{other}']\" is required")
                }
            };
            return Err(Problem::Usage(problem));
        }
    }
    Ok(())
}

/// An argument as the API takes it.
fn value_of(name: &str, text: &str) -> Result<Value, Problem> {
    if JSON.contains(&name) {
        return parse_json(text);
    }
    match text.to_ascii_lowercase().as_str() {
        "true" if TRUTHS.contains(&name) => Ok(true.into()),
        "false" if TRUTHS.contains(&name) => Ok(false.into()),
        _ => Ok(text.into()),
    }
}

/// Text that must be JSON.
pub(super) fn parse_json(text: &str) -> Result<Value, Problem> {
    serde_json::from_str(text)
        .map_err(|_| Problem::Refused(format!("ERROR: Could not parse JSON:\n  {text}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn arguments(given: &[(&str, &str)]) -> BTreeMap<String, String> {
        given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn declaration(name: &str, given: &[(&str, &str)]) -> (String, Value) {
        let object = Object::named(name).unwrap();
        let (path, body) = object.declaration(arguments(given), "/").unwrap();
        (path.join(" "), body.into())
    }

    #[test]
    fn arguments_become_paths_and_bodies() {
        assert_eq!(
            declaration("queue", &[("name", "q"), ("durable", "false"), ("queue_type", "quorum")]),
            (
                "queues / q".to_owned(),
                json!({"name": "q", "durable": false, "auto_delete": false, "vhost": "/",
                       "arguments": {"x-queue-type": "quorum"}})
            )
        );
        assert_eq!(
            declaration(
                "binding",
                &[("source", "x"), ("destination", "q"), ("arguments", "{\"a\":1}")]
            ),
            (
                "bindings / e x q q".to_owned(),
                json!({"source": "x", "destination": "q", "destination_type": "queue",
                       "arguments": {"a": 1}, "vhost": "/"})
            )
        );
        let (path, body) = declaration(
            "policies",
            &[
                ("name", "p"),
                ("pattern", "."),
                ("definition", "{}"),
                ("priority", "3"),
                ("apply_to", "queues"),
            ],
        );
        assert_eq!(path, "policies / p");
        assert_eq!((&body["priority"], &body["apply-to"]), (&json!(3), &json!("queues")));
        let (path, _) =
            declaration("vhost_limit", &[("vhost", "v"), ("name", "max-queues"), ("value", "1")]);
        assert_eq!(path, "vhost-limits v max-queues");
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        let problem = |name: &str, given: &[(&str, &str)]| {
            let object = Object::named(name).unwrap();
            let Err(Problem::Usage(text)) = object.declaration(arguments(given), "/") else {
                panic!("it is fine")
            };
            text
        };
        assert_eq!(
            problem("exchange", &[("name", "x")]),
            "mandatory argument \"type\" is required"
        );
        assert_eq!(
            problem("queue", &[("name", "q"), ("x", "1")]),
            "Argument \"x=1\" is not recognised"
        );
        assert_eq!(
            problem("user", &[("name", "u")]),
            "one of mandatory arguments \"['password', 'password_hash']\" is required"
        );
    }

    #[test]
    fn a_binding_is_deleted_by_its_key() {
        let ends = [("source", "x"), ("destination_type", "queue"), ("destination", "q")];
        let binding = Object::named("binding").unwrap();
        let path = |more: &[(&str, &str)]| {
            binding.deletion(arguments(&[&ends[..], more].concat()), "/").unwrap().join(" ")
        };
        assert_eq!(path(&[]), "bindings / e x q q ~");
        assert_eq!(path(&[("properties_key", "k")]), "bindings / e x q q k");
    }
}
