//! Definitions out and in.

use std::fs;
use std::io::{self, Read};

use serde_json::Value;

use super::call::Call;
use super::failure::Failure;
use crate::cli::api::ApiPath;
use crate::cli::private_file::write_private;
use crate::cli::{EXIT_DATA, EXIT_IO};

pub(super) fn export(call: &mut Call<'_>) -> Result<(), Failure> {
    check_format(call)?;
    let file = call.word(0);
    if file != "-" {
        call.banner(&format!("Exporting definitions in JSON to a file at \"{file}\" ..."))?;
    }
    let definitions = call.api.get(&ApiPath::of(&["definitions"]))?.to_string();
    if file == "-" {
        return Ok(call.out.write_all(definitions.as_bytes())?);
    }
    write_private(&file, &definitions)
        .map_err(|error| Failure::new(EXIT_IO, &format!("cannot write {file}: {error}")))
}

pub(super) fn import(call: &mut Call<'_>) -> Result<(), Failure> {
    check_format(call)?;
    let file = call.words.first().cloned().unwrap_or_else(|| "-".to_owned());
    let bytes = if file == "-" {
        call.banner("Importing definitions in JSON from standard input ...")?;
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        let bytes = fs::read(&file);
        if bytes.is_ok() {
            call.banner(&format!("Importing definitions in JSON from a file at \"{file}\" ..."))?;
        }
        bytes
    };
    let bytes = bytes.map_err(|error| {
        let problem = match error.kind() {
            io::ErrorKind::NotFound => format!("Bad argument: File {file} does not exist"),
            _ => format!("cannot read {file}: {error}"),
        };
        Failure::new(EXIT_DATA, &problem)
    })?;
    let definitions: Value = serde_json::from_slice(&bytes)
        .map_err(|error| Failure::data(&format!("Failed to parse JSON: {error}")))?;
    call.api.post(&ApiPath::of(&["definitions"]), &definitions)?;
    call.result(
        "Successfully started definition import. This process is asynchronous and can take some time.",
    )
}

fn check_format(call: &Call<'_>) -> Result<(), Failure> {
    match call.option("format") {
        None => Ok(()),
        Some(format) if format.eq_ignore_ascii_case("json") => Ok(()),
        Some(format) => {
            Err(Failure::data(&format!("the format must be json: leveret does not write {format}")))
        }
    }
}
