#!/usr/bin/env bash
# Sets up, builds and shows Trạm: a small country of real processes on this machine.
# Arguments go to `tram demo`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
./ops/install.sh demo
export PATH="$PWD/.tram/bin:$PATH"
cargo build --release --locked --workspace
exec "${CARGO_TARGET_DIR:-target}/release/tram" demo "$@"
