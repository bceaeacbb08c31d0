#!/usr/bin/env bash
# all.sh: what `make test` does, step by step, with a summary at the end. Non-zero if any step failed.
set -uo pipefail
cd "$(dirname "$0")/.."
out=out/test
mkdir -p "$out"
summary=()
failed=0

step() { # step NAME COMMAND...: runs it with its output shown and kept; after a failure the rest still runs
	local name=$1 log began=$SECONDS word=ok ticker
	shift
	log=$out/${name// /-}.log
	printf '\n== %s\n' "$name"
	while sleep 60 >/dev/null 2>&1; do echo "   ... $name, $((SECONDS - began)) s"; done &
	ticker=$!
	"$@" 2>&1 | tee "$log"
	[ "${PIPESTATUS[0]}" = 0 ] || { word=FAILED; failed=1; }
	kill "$ticker" && wait "$ticker" 2>/dev/null
	summary+=("$(printf '%-7s %-14s %4d s   %s' "$word" "$name" $((SECONDS - began)) "$(detail "$log")")")
}

detail() { # one line of figures from a log of Go tests, else nothing
	local passed broken
	passed=$(grep -c '^ok ' "$1")
	broken=$(grep -c '^FAIL.*[/ ]stepaway\|^FAIL[[:space:]]*stepaway' "$1")
	[ $((passed + broken)) = 0 ] || echo "$passed packages ok, $broken failed"
}

step "deps" make --no-print-directory deps
[ $failed = 0 ] || { echo "make test: the packages are not there, nothing else was run" >&2; exit 1; }
step "build" make --no-print-directory build
step "windows" make --no-print-directory windows
step "lint" make --no-print-directory lint
step "go test" env CGO_ENABLED=1 go test -race -p 2 -timeout 20m ./...
step "wine" test/wine/test.sh
[ "${STEPAWAY_SKIP_VM:-}" = 1 ] || step "machine" make --no-print-directory test-machine

printf '\n== summary (%d s, logs in %s)\n' $SECONDS "$out"
printf '%s\n' "${summary[@]}"
if [ $failed = 0 ]; then echo "make test: everything passed"; else echo "make test: FAILED"; fi
exit $failed
