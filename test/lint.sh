#!/usr/bin/env bash
# lint.sh: formatting, vet and staticcheck for Linux and Windows, and that no file names one machine.
set -euo pipefail
cd "$(dirname "$0")/.."
bad=0

step() { # step NAME COMMAND...: runs it, remembers a failure
	echo "lint: $1"
	shift
	"$@" || bad=1
}

files() { git -c safe.directory='*' ls-files -z --cached --others --exclude-standard; }

formatted() {
	local out
	out=$(files | grep -z '\.go$' | xargs -0 gofmt -l)
	[ -z "$out" ] || { echo "gofmt would change:"; echo "$out"; return 1; } >&2
}

# A path of this machine: the checkout itself, its parent unless that is a directory every system has, a home.
no_machine() {
	local up here pattern
	here=$PWD up=$(dirname "$PWD")
	pattern="$here/|/home/[a-z]+/(go|src|work)/"
	case $up in
	/ | /tmp | /var/* | /usr/* | /home | /root | /opt | /srv | /mnt | /media | /build | /src) ;;
	*) pattern="$pattern|$up/" ;;
	esac
	! files | xargs -0 grep -nIE -e "(^|[^A-Za-z0-9_.-])($pattern)" /dev/null >&2
}

# A host that packages are taken from. The scripts take what the machine already uses.
no_registry() {
	! files | grep -zvE '(^|/)(go\.sum|package-lock\.json)$' |
		xargs -0 grep -nIiE -e '\b(deb|proxy|sum|registry|archive|mirrors?|snapshot|pypi)\.[a-z]+\.(org|com|net|io)\b' /dev/null >&2
}

shells_parse() {
	local f all=0
	for f in .ci/run test/*.sh test/*/*.sh; do bash -n "$f" || all=1; done
	return $all
}

step "gofmt" formatted
step "no path of one machine" no_machine
step "no package registry" no_registry
step "shell scripts parse" shells_parse
step "go vet" go vet ./...
step "go vet, machine" go vet -tags machine ./test/vm/...
step "go vet, what measures" go vet -tags storeless ./collector ./test/fleet/...
step "go vet, windows" env GOOS=windows CGO_ENABLED=0 go vet ./...
go build -o bin/staticcheck honnef.co/go/tools/cmd/staticcheck # go tool would build it for GOOS
step "staticcheck" bin/staticcheck ./...
step "staticcheck, machine" bin/staticcheck -tags machine ./test/vm/...
step "staticcheck, windows" env GOOS=windows CGO_ENABLED=0 bin/staticcheck ./...
[ $bad = 0 ] && echo "lint: clean"
exit $bad
