# Sourced by the scripts: a server on free ports and a throw-away directory, ended by its process id whatever happens.
# After start_server: SERVER_PID, NATIVE and RESP (HOST:PORT), RESP_PORT, DATA.

set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
SUANPAN=${SUANPAN_BINARY:-$ROOT/.build/release/suanpan}
WORK=
SERVER_PID=
CHILDREN=()

say() { printf '%s\n' "$*"; }
fail() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

# A directory on a disk: memory-backed file systems sync for nothing, and their figures lie.
make_work_directory() {
    local base
    for base in "$ROOT/.build" "${XDG_CACHE_HOME:-$HOME/.cache}" /var/tmp; do
        mkdir -p "$base" 2>/dev/null || continue
        case $(stat -f -c %T "$base") in tmpfs | ramfs | overlayfs) continue ;; esac
        WORK=$(mktemp -d "$base/suanpan-XXXXXX") && return
    done
    # Nothing better: an overlay over a disk still syncs.
    WORK=$(mktemp -d "$ROOT/.build/suanpan-XXXXXX")
}

# Ends one process of ours: asks, waits, insists.
stop_process() {
    local pid=$1 i
    [[ -n $pid ]] || return 0
    kill -TERM "$pid" 2>/dev/null || { wait "$pid" 2>/dev/null || true; return 0; }
    for ((i = 0; i < 300; i++)); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
}

clean_up() {
    local status=$? pid
    trap - EXIT INT TERM
    for pid in "${CHILDREN[@]}" "$SERVER_PID"; do stop_process "$pid"; done
    [[ -z $WORK ]] || rm -rf "$WORK"
    exit "$status"
}

begin() {
    [[ -x $SUANPAN ]] || fail "$SUANPAN is not there; run: Scripts/release"
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    make_work_directory
}

# start_server [serve options …]; --data defaults to a directory of its own under WORK.
start_server() {
    DATA=$WORK/data
    local log=$WORK/server.log i line=
    : >"$log"
    "$SUANPAN" serve --data "$DATA" --native 127.0.0.1:0 --resp 127.0.0.1:0 "$@" >"$log" 2>"$WORK/server.err" &
    SERVER_PID=$!
    for ((i = 0; i < ${READY_SECONDS:-60} * 20; i++)); do
        line=$(grep -m1 '^ready ' "$log" || true)
        [[ -z $line ]] || break
        kill -0 "$SERVER_PID" 2>/dev/null || { cat "$WORK/server.err" >&2; fail "the server has ended"; }
        sleep 0.05
    done
    [[ -n $line ]] || fail "no ready line within ${READY_SECONDS:-60} s; see $WORK/server.err"
    READY=$line
    NATIVE=$(ready_field native)
    RESP=$(ready_field resp)
    RESP_PORT=${RESP##*:}
}

ready_field() { sed -n "s/.* $1=\([^ ]*\).*/\1/p" <<<"$READY"; }

stop_server() {
    stop_process "$SERVER_PID"
    SERVER_PID=
}

free_port() {
    /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

median() { printf '%s\n' "$@" | sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.2f\n", a / b; else print "none" }'; }
json_field() { /usr/bin/python3 -c 'import json, sys; v = json.load(open(sys.argv[1]))
for key in sys.argv[2].split("."): v = v[key]
print(f"{v:.0f}" if isinstance(v, float) and v >= 1000 else v)' "$1" "$2"; }

# What every recorded figure must say. $1: durability.
print_machine() {
    local commit
    commit=$(git -C "$ROOT" rev-parse --short HEAD 2>/dev/null || echo unknown)
    [[ -z $(git -C "$ROOT" status --porcelain 2>/dev/null) ]] || commit+="+changes"
    say "machine:    $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(nproc) cores," \
        "$(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)"
    say "kernel:     $(uname -sr)"
    say "filesystem: $(stat -f -c %T "$WORK") ($(df --output=source "$WORK" | tail -1))"
    say "commit:     $commit"
    say "durability: $1"
}
