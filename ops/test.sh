#!/usr/bin/env bash
# Every check of Trạm, cheap ones first: what CI runs is this and nothing else.
#
# A check that is not in this list is not a rule. To add one, add a line `step "what it shows" command…`.
# Full logs: .tram/test/NN.log. The last line counts the tests of all steps; a step without any counts as one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
./ops/install.sh test
export PATH="$PWD/.tram/bin:$PATH:/usr/sbin:/sbin"
export LC_ALL=C.UTF-8
TRAM_VECTORS=$(echo "$PWD"/.tram/vectors-*)
export TRAM_VECTORS
export CARGO_TERM_COLOR=never # the counts below are read from the logs
export RUSTDOCFLAGS="-D warnings"
logs=.tram/test
rm -rf "$logs"
mkdir -p "$logs"

LOG_LINES_SHOWN_MAX=300 # of a failing step; the file has the rest
steps=0 passed=0 failed=0 skipped=0
failures=()

# Prints "PASSED FAILED" as counted by the runners in a log: nextest, cargo test, or `N passed, N failed`.
counts_in() {
    awk '
        function number_before(word) {
            return match($0, "[0-9]+ " word) ? substr($0, RSTART, RLENGTH) + 0 : 0
        }
        /^ *Summary \[.*\] .*tests? run:/ {
            passed += number_before("passed")
            failed += number_before("failed") + number_before("timed out") + number_before("exec failed")
        }
        /^test result: / || /^([^ ]+: )?[0-9]+ passed, [0-9]+ failed/ {
            passed += number_before("passed"); failed += number_before("failed")
        }
        END { print passed + 0, failed + 0 }' "$1"
}

step() { # WHAT COMMAND...
    local what=$1 log status=0 started=$EPOCHREALTIME took step_passed step_failed
    shift
    steps=$((steps + 1))
    log=$logs/$(printf %02d $steps).log
    printf '%2d  %-56s ' $steps "$what"
    "$@" </dev/null >"$log" 2>&1 || status=$?
    took=$(awk -v from="$started" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.1f s", to - from }')
    read -r step_passed step_failed < <(counts_in "$log")
    if [ $((step_passed + step_failed)) = 0 ]; then # no runner spoke: the step is one check
        if [ $status = 0 ]; then step_passed=1; else step_failed=1; fi
    elif [ $status != 0 ] && [ "$step_failed" = 0 ]; then # all tests passed, yet something else broke
        step_failed=1
    elif [ $status = 0 ] && [ "$step_failed" != 0 ]; then # a runner that counts failures must not end well
        status=1
    fi
    passed=$((passed + step_passed)) failed=$((failed + step_failed))
    if [ $status = 0 ]; then
        printf 'ok     %9s  %6d passed\n' "$took" "$step_passed"
    else
        failures+=("$what")
        printf 'FAILED %9s  %6d passed, %d failed (status %d)\n' "$took" "$step_passed" "$step_failed" $status
        printf '    command: %s\n    log, last %d lines of %s:\n' "$*" $LOG_LINES_SHOWN_MAX "$log"
        tail -n $LOG_LINES_SHOWN_MAX "$log" | sed 's/^/    | /'
    fi
}

# Namespaces, loop mounts and firewalls need root. In CI the step always runs; without root it then fails.
step_as_root() { # WHAT COMMAND...
    if [ "$(id -u)" != 0 ] && [ "${CI:-}" != true ]; then
        steps=$((steps + 1)) skipped=$((skipped + 1))
        printf '%2d  %-56s SKIPPED: needs root; run ./ops/test.sh as root for a full verdict\n' $steps "$1"
    else
        step "$@"
    fi
}

step "format" cargo fmt --all --check
step "licences, banned crates, sources" cargo deny --locked check bans licenses sources
step "lints, every target and feature" \
    cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
step "documentation" cargo doc --locked --workspace --no-deps
step "tests" cargo nextest run --locked --workspace
step "programs, release" cargo build --locked --release --workspace --bins
step "simulated country, 5,000 seeds, few faults each" \
    "${CARGO_TARGET_DIR:-target}/release/tram-sim" --runs 5000 --fast
step "simulated country, 1,500 seeds, long histories" \
    "${CARGO_TARGET_DIR:-target}/release/tram-sim" --runs 1500
step "simulated country, what was lost is given back" \
    "${CARGO_TARGET_DIR:-target}/release/tram-sim" --runs 1000 --given-back
step "20,000 power cuts under SQLite" \
    env TRAM_POWER_CUT_RUNS=7000 cargo test --locked --package chaos-tests --test power_cut --quiet
step "the demo: four tiers, off line and back" "${CARGO_TARGET_DIR:-target}/release/tram" demo
# A bench gives figures and no verdict; that this one goes to its end is the check: it sets up a deployment and a station.
step "the bench of an idle station goes through" "${CARGO_TARGET_DIR:-target}/release/tram" bench idle --events 1000
step "planted bugs, each caught" \
    cargo test --locked --release --package chaos-tests --features mutants --test mutants -- --nocapture
step "examples in the documentation" cargo test --locked --workspace --doc --quiet
if compgen -G 'chaos-tests/tests/live_*.rs' >/dev/null; then
    step "programs for the live faults" cargo build --locked --package node --package relay --bins
    step_as_root "live faults, real processes" \
        cargo nextest run --locked --package chaos-tests --profile live
fi

echo
for what in "${failures[@]}"; do printf 'failed: %s\n' "$what"; done
summary="$passed passed, $failed failed"
[ $skipped = 0 ] || summary+=", $skipped skipped"
echo "$summary"
[ $failed = 0 ] && [ $passed != 0 ]
