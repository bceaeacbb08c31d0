#!/usr/bin/env bash
# exec.sh PROGRAM [ARGUMENT]...: runs a Windows program in a fresh Windows of its own. For go test -exec.
set -uo pipefail
wine=$(dirname "${BASH_SOURCE[0]}")/../wine.sh
dir=$("$wine") && tmp=$(mktemp -d) || exit 1
trap '"$wine" end "$tmp/prefix"; rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM QUIT
"$wine" prefix "$tmp/prefix" || exit 1
unset DISPLAY WAYLAND_DISPLAY
umask 077 # Wine invents permissions of files from their modes: what a program makes is for its owner alone
# In the background, so that a signal is heard; it ends with this script, however that ends.
STEPAWAY_WINE_TEST=1 WINEPREFIX=$tmp/prefix setpriv --pdeathsig TERM timeout 600 "$dir/bin/wine" "$@" &
wait $!
