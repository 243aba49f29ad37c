use std::process::ExitCode;

use clap::Parser;
use platctl::cli::Cli;

/// musl's own allocator gives every large piece back to the kernel, which costs half of the time that rendering takes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    platctl::run(&Cli::parse())
}
