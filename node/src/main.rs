//! `tram-node`: one office's station.

use std::process::ExitCode;

fn main() -> ExitCode {
    node::cli::main()
}
