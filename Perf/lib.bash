# Sourced by measurements that compare cases, and builds of the server: the cases of a round one after the other, so that
# what else the machine does meets all of them; medians; each run bounded, and its counts checked.
#
# arguments "$@": [--small] [BINARY …]. The servers are BINARY …, by default the build of this tree; the load generator is
# that one in all cases (SUANPAN_BINARY names another). --small: a size that runs within seconds and checks more.
source "$(dirname "${BASH_SOURCE[0]}")/../Scripts/lib.bash"

SMALL=
BINARIES=()
GENERATOR=$SUANPAN
declare -A RESULTS FAILED

arguments() {
    local argument usage
    usage="usage: Perf/$(basename "$0") [--small] [BINARY …]"
    for argument in "$@"; do
        case $argument in
        --small) SMALL=yes ;;
        -*) say "$usage" >&2; exit 2 ;;
        *) [[ -x $argument ]] || { say "$argument is no program; $usage" >&2; exit 2; }
            BINARIES+=("$(realpath "$argument")") ;;
        esac
    done
    ((${#BINARIES[@]} > 0)) || BINARIES=("$SUANPAN")
    rounds=${ROUNDS:-$([[ -n $SMALL ]] && echo 1 || echo 3)}
}

# Serves from an empty directory. $1: which of the binaries, $2: shards; further options of serve.
serve() {
    local binary=${BINARIES[$1]} shards=$2
    shift 2
    stop_server
    rm -rf "$WORK/data"
    [[ -z $SMALL ]] || set -- --segment 1MiB --memory 64MiB "$@"
    SUANPAN=$binary
    start_server --shards "$shards" --durability sync "$@"
    SUANPAN=$GENERATOR
}

# Loads the server that serves. The rest: options of load. Leaves $WORK/report.json; returns 1 where the run is no
# measurement. It ends at most 40 s after its time by itself; a setup that stands still is ended.
run_load() {
    rm -f "$WORK/report.json"
    timeout --foreground -k 15 "${LOAD_SECONDS_MAX:-120}" "$GENERATOR" load --json "$WORK/report.json" "$@" \
        >"$WORK/load.log" 2>"$WORK/load.err" || return 1
    check_counts
}

# Everything that was offered has become something, by the report; and in the small size, by the files.
check_counts() {
    /usr/bin/python3 - "$WORK/report.json" <<'PY' || fail "the counts of $WORK/report.json do not add up"
import json, sys
r = json.load(open(sys.argv[1]))
offered = sum(row["offered"] for row in r["seconds"])
told = sum(r[name] for name in ("accepted", "exists", "busy", "errors", "unsent", "unanswered")) + sum(r["refused"].values())
if offered != told or r["accepted"] == 0 or r["errors"]:
    sys.exit(f"{offered} {r['unit']} offered, of {told} it is known what became of them: {r}")
if (purchases := r.get("purchases")) and not r["refused"] and not r["busy"] and not r["unanswered"]:
    if 3 * purchases["paid"] + 2 * purchases["voided"] != r["transfers"]:
        sys.exit(f"{r['transfers']} transfers of {purchases}")
PY
}

# Ends the server. In the small size: its files have exactly what was acknowledged, and are in balance.
end_server() {
    local expected found
    stop_server
    [[ -n $SMALL ]] || return 0
    "$GENERATOR" verify --data "$DATA" >"$WORK/verify.txt" || fail "verify: $(tail -1 "$WORK/verify.txt")"
    grep -q ': balanced$' "$WORK/verify.txt" || fail "the books do not balance: $(cat "$WORK/verify.txt")"
    expected=$(($(json_field "$WORK/report.json" transfers) + $(json_field "$WORK/report.json" funding.transfers)))
    found=$(sed -n 's/.*accounts, \([0-9,]*\) transfers.*/\1/p' "$WORK/verify.txt" | tr -d ,)
    [[ $found == "$expected" ]] || fail "$found transfers in the files, $expected were acknowledged"
}

# One case: serve, load, keep a figure. $1: which binary, $2: the case's name, $3: shards, $4: serve's options as one word;
# the rest: load's options, --target left out ("native" or "resp" as the fifth word).
measure() {
    local which=$1 name=$2 shards=$3 options=$4 door=$5 target
    shift 5
    # Serve's options are words with spaces between.
    serve "$which" "$shards" $options
    target=$([[ $door == resp ]] && echo "$RESP" || echo "$NATIVE")
    if run_load --target "$target" --protocol "$door" "$@"; then
        end_server
        keep "$which $name" tps
        keep "$which $name p50" latency_ms.p50
        keep "$which $name p99" latency_ms.p99
        keep "$which $name max" latency_ms.max
        say "  $name: $(figure tps)/s, p50 $(figure latency_ms.p50) p99 $(figure latency_ms.p99)" \
            "max $(figure latency_ms.max) ms$(became)"
    else
        [[ -z $SMALL ]] || fail "$name: $(tail -1 "$WORK/load.err")"
        stop_server
        RESULTS[$which $name]+=" 0"
        FAILED[$which $name]+=x
        say "  $name: no figure, counted as 0: $(tail -1 "$WORK/load.err")"
    fi
}

# What was not accepted, where there is something.
became() {
    /usr/bin/python3 -c 'import json, sys
r = json.load(open(sys.argv[1]))
parts = [f"{n} {name}" for name, n in sorted(r["refused"].items())]
parts += [f"{r[name]} {name}" for name in ("busy", "unsent", "unanswered") if r[name]]
print("".join(", " + p for p in parts))' "$WORK/report.json"
}

# A number of the report, short enough to be read. $1: its path.
figure() { json_field "$WORK/report.json" "$1" | awk '{ if ($1 >= 100) printf "%.0f\n", $1; else printf "%.3g\n", $1 }'; }

# Notes a number of the report. $1: under which name.
keep() { RESULTS[$1]+=" $(figure "$2")"; }

# The median of what was kept; 0 where there was none. The lists are numbers with spaces between.
middle() { [[ -n ${RESULTS[$1]:-} ]] && median ${RESULTS[$1]} || echo 0; }

# A line: $1 says what, $2 against $3 are names of cases, $4 is the target.
compare() {
    local first=${2% *} second=${3% *} without
    without=${FAILED[$2]:-}${FAILED[$3]:-}${FAILED[$first]:-}${FAILED[$second]:-}
    say "$1: $(middle "$2") and $(middle "$3"): $(ratio "$(middle "$2")" "$(middle "$3")") ($4$(
        [[ -z $without ]] || echo "; ${#without} runs without a figure"))"
}

# The machine, and what drove the load.
print_run() {
    say ""
    print_machine sync
    say "load:       $("$GENERATOR" version | head -1), average load $(cut -d' ' -f1-3 /proc/loadavg)"
    say "rounds:     $rounds, medians$([[ -z $SMALL ]] || echo '; the small size: counts were checked, figures mean nothing')"
}
