//! Users: `add_user` and what follows from it.

use std::io::{self, BufRead};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::call::Call;
use super::failure::Failure;
use super::formatter::{Column, Kind};
use crate::cli::EXIT_DATA;
use crate::cli::api::{ApiError, ApiPath};
use crate::cli::output::field;

const COLUMNS: [Column; 2] =
    [Column::at("user", "name"), Column { title: "tags", path: "tags", kind: Kind::Atoms }];

pub(super) fn add(call: &mut Call<'_>) -> Result<(), Failure> {
    let user = call.word(0);
    call.banner(&format!("Adding user \"{user}\" ..."))?;
    if call.exists(&["users", &user])? {
        return Err(Failure::exists(&format!("User \"{user}\" already exists")));
    }
    let key = if call.has("pre-hashed-password") { "password_hash" } else { "password" };
    let body = json!({ key: password(call, 1)?, "tags": "" });
    call.api.put(&ApiPath::of(&["users", &user]), &body)?;
    call.banner(
        "Done. Don't forget to grant the user permissions to some virtual hosts! See 'rabbitmqctl \
         help set_permissions' to learn more.",
    )
}

/// The word, or a line of standard input.
fn password(call: &Call<'_>, place: usize) -> Result<String, Failure> {
    if let Some(password) = call.words.get(place) {
        return Ok(password.clone());
    }
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    let password = line.trim_end_matches(['\r', '\n']);
    if read.is_err() || password.is_empty() {
        return Err(Failure::data("Password is not provided via argument or stdin"));
    }
    Ok(password.to_owned())
}

/// A user as the API has it.
fn known(call: &Call<'_>, user: &str) -> Result<Value, Failure> {
    match call.api.get(&ApiPath::of(&["users", user])) {
        Err(ApiError::NotFound { .. }) => Err(Failure::no_user(user)),
        other => Ok(other?),
    }
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<(), Failure> {
    let user = call.word(0);
    call.banner(&format!("Deleting user \"{user}\" ..."))?;
    match call.api.delete(&ApiPath::of(&["users", &user])) {
        Err(ApiError::NotFound { .. }) => Err(Failure::no_user(&user)),
        other => Ok(other?),
    }
}

pub(super) fn list(call: &mut Call<'_>) -> Result<(), Failure> {
    call.banner("Listing users ...")?;
    let users = call.api.list(&ApiPath::of(&["users"]))?;
    call.rows(&COLUMNS, &users)
}

pub(super) fn authenticate(call: &mut Call<'_>) -> Result<(), Failure> {
    let user = call.word(0);
    call.banner(&format!("Authenticating user \"{user}\" ..."))?;
    let password = password(call, 1)?;
    match call.api.log_in(&user, &password) {
        // Without a tag it may not use the API; but the password is right.
        Ok(()) | Err(ApiError::NotAllowed { .. }) => call.result("Success"),
        Err(ApiError::NotLoggedIn { .. }) => Err(Failure::new(
            EXIT_DATA,
            &format!(
                "Error: failed to authenticate user \"{user}\"\nuser '{user}' - invalid credentials"
            ),
        )),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn change_password(call: &mut Call<'_>) -> Result<(), Failure> {
    let user = call.word(0);
    call.banner(&format!("Changing password for user \"{user}\" ..."))?;
    let tags = field(&known(call, &user)?, "tags").clone();
    let body = json!({ "password": password(call, 1)?, "tags": tags });
    Ok(call.api.put(&ApiPath::of(&["users", &user]), &body)?)
}

pub(super) fn clear_password(call: &mut Call<'_>) -> Result<(), Failure> {
    let user = call.word(0);
    call.banner(&format!("Clearing password for user \"{user}\" ..."))?;
    let tags = field(&known(call, &user)?, "tags").clone();
    let body = json!({ "password_hash": "", "tags": tags });
    Ok(call.api.put(&ApiPath::of(&["users", &user]), &body)?)
}

pub(super) fn set_tags(call: &mut Call<'_>) -> Result<(), Failure> {
    let (user, tags) = (call.word(0), call.words[1..].to_vec());
    call.banner(&format!("Setting tags for user \"{user}\" to [{}] ...", tags.join(", ")))?;
    let known = known(call, &user)?;
    let body = json!({
        "tags": tags.join(","),
        "password_hash": field(&known, "password_hash"),
        "hashing_algorithm": field(&known, "hashing_algorithm"),
    });
    Ok(call.api.put(&ApiPath::of(&["users", &user]), &body)?)
}

pub(super) fn set_limits(call: &mut Call<'_>) -> Result<(), Failure> {
    let user = call.word(0);
    let text = call.word(1);
    call.banner(&format!("Setting user limits to \"{text}\" for user \"{user}\" ..."))?;
    let limits = call.json_object(1)?;
    known(call, &user)?;
    for (name, value) in limits {
        let path = ApiPath::of(&["user-limits", &user, &name]);
        call.api.put(&path, &json!({ "value": value }))?;
    }
    Ok(())
}

pub(super) fn clear_limits(call: &mut Call<'_>) -> Result<(), Failure> {
    let (user, limit) = (call.word(0), call.word(1));
    let what = if limit == "all" { "all limits".to_owned() } else { format!("\"{limit}\" limit") };
    call.banner(&format!("Clearing {what} for user \"{user}\" ..."))?;
    known(call, &user)?;
    let limits = match limit.as_str() {
        "all" => ["max-connections", "max-channels"].map(str::to_owned).to_vec(),
        _ => vec![limit],
    };
    limits.iter().try_for_each(|limit| clear(call, &["user-limits", &user, limit]))
}

/// Removes what may be gone already.
pub(super) fn clear(call: &Call<'_>, path: &[&str]) -> Result<(), Failure> {
    match call.api.delete(&ApiPath::of(path)) {
        Err(ApiError::NotFound { .. }) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn list_limits(call: &mut Call<'_>) -> Result<(), Failure> {
    if call.has("global") {
        call.banner("Listing limits for all users ...")?;
        let limits = call.api.list(&ApiPath::of(&["user-limits"]))?;
        let columns =
            [Column::plain("user"), Column { title: "limits", path: "value", kind: Kind::Json }];
        return call.rows(&columns, &limits);
    }
    let user = call.option("user").unwrap_or("guest").to_owned();
    call.banner(&format!("Listing limits for user \"{user}\" ..."))?;
    call.check_listed_user(&user)?;
    let limits = call.api.list(&ApiPath::of(&["user-limits", &user]))?;
    let limits = limits.first().map(|one| field(one, "value").clone());
    call.line(&limits.unwrap_or_else(|| json!({})).to_string())
}

pub(super) fn hash_password(call: &mut Call<'_>) -> Result<(), Failure> {
    call.banner("Will hash password given as an argument or read from standard input ...")?;
    let password = password(call, 0)?;
    let path = ApiPath::of(&["auth", "hash_password", &password]);
    let answer = call.api.get(&path)?;
    let hash = field(&answer, "ok").as_str().unwrap_or_default().to_owned();
    // What is no base64 is no hash.
    if STANDARD.decode(&hash).is_err() || hash.is_empty() {
        return Err(Failure::unavailable("the broker has not hashed the password"));
    }
    call.line(&hash)
}

pub(super) fn list_hashes(call: &mut Call<'_>) -> Result<(), Failure> {
    call.banner("Listing supported hash algorithms ...")?;
    call.line("[sha512,sha256,md5]")
}
