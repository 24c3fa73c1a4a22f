# Sourced by the scripts beside it. Leaves the shell in the checkout's root folder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

die() {
    printf '%s\n' "$*" >&2
    exit 1
}

# What a command prints is of interest only when it fails.
quietly() {
    local log
    log=$(mktemp)
    if "$@" >"$log" 2>&1 </dev/null; then
        rm -f "$log"
    else
        cat "$log" >&2
        rm -f "$log"
        return 1
    fi
}

# One setup at a time in a checkout: make -j, or two terminals. The lock goes with the process.
alone() {
    mkdir -p .tools
    exec 9>".tools/$1.lock"
    if command -v flock >/dev/null; then flock 9; fi
}

# What was made from these files stays until one of them changes. The checkout's own path counts too: what is made here cannot be moved.
fingerprint() { { pwd && cat -- "$@"; } | sha256sum | cut -d ' ' -f 1; }

# Caches lie where the user has them; without a home to write to, in the checkout.
if [ ! -w "${HOME:-}" ]; then
    export npm_config_cache="${npm_config_cache:-$PWD/.tools/cache/npm}"
    export PIP_CACHE_DIR="${PIP_CACHE_DIR:-$PWD/.tools/cache/pip}"
    export UV_CACHE_DIR="${UV_CACHE_DIR:-$PWD/.tools/cache/uv}"
fi
