//! The `leveret` command.

use std::process::ExitCode;

/// musl's own allocator takes one lock for all threads, which a broker meets with every message.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    leveret::cli::run()
}
