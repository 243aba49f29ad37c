use std::process::ExitCode;

use clap::Parser;
use platctl::cli::Cli;

fn main() -> ExitCode {
    platctl::run(&Cli::parse())
}
