#!/usr/bin/env bash
# deps.sh [build|demo|test|bench|machine]...: installs the Debian packages that these need, where missing.
# Takes the mirror that the machine already uses. Does nothing, and needs no root, where nothing is missing.
set -euo pipefail

build=(gcc libc6-dev make git pkg-config libgtk-3-dev libayatana-appindicator3-dev wixl msitools osslsigncode)
demo=(xvfb xauth xdotool xfwm4 xfce4-panel dunst i3lock dbus dbus-x11 libnotify-bin imagemagick x11-utils x11-xserver-utils
	fonts-dejavu-core adwaita-icon-theme libglib2.0-bin procps)
test=(e2fsprogs patchelf xclip tigervnc-standalone-server tesseract-ocr openssh-client lintian dpkg-dev zsh xss-lock xfce4-notifyd xsecurelock dbus-user-session mmdebstrap systemd-container strace python3-dbus python3-gi python3-jsonschema python3-yaml python3-prometheus-client libxml2-utils rsyslog rsyslog-gnutls rsyslog-openssl)
bench=(xautolock xss-lock swayidle sway wtype)
machine=(qemu-system-x86 qemu-utils seabios e2fsprogs mmdebstrap)

# What no package of Debian holds goes into a cache: the FHIR validator, and a receiver of OpenTelemetry.
cache=${XDG_CACHE_HOME:-$HOME/.cache}/stepaway-test
fhir=4.12.0
otel=0.120.0

fhir_validator() {
	[ ! -e "$cache/fhir-$fhir/node_modules/fhir/package.json" ] || return 0
	echo "deps: npm package fhir $fhir"
	npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$cache/fhir-$fhir" "fhir@$fhir" </dev/null
}

otel_collector() { # about a minute, more beside other builds
	[ ! -x "$cache/otelcol-$otel/otelcol" ] || return 0
	echo "deps: building OpenTelemetry Collector $otel"
	local made log
	made=$(mktemp -d) log=$(mktemp)
	if ! (cp "$(dirname "$0")/otelcol.yaml" "$made/" && cd "$made" && export GOFLAGS="-mod=mod -buildvcs=false" CGO_ENABLED=0 &&
		GOBIN=$made go install "go.opentelemetry.io/collector/cmd/builder@v$otel" && ./builder --config otelcol.yaml) >"$log" 2>&1; then
		tail -20 "$log" >&2
		echo "deps: building the OpenTelemetry Collector failed" >&2
		return 1
	fi
	mkdir -p "$cache/otelcol-$otel"
	mv "$made/out/otelcol" "$cache/otelcol-$otel/otelcol"
	rm -rf "$made" "$log"
}

others() {
	[ "$tested" = 0 ] || { fhir_validator && otel_collector; }
}

want=() tested=0
for set in "${@:-build}"; do
	case $set in
	build) want+=("${build[@]}") ;;
	demo) want+=("${demo[@]}") ;;
	test)
		want+=("${test[@]}") tested=1
		command -v npm >/dev/null || want+=(nodejs npm)
		;;
	bench) want+=("${bench[@]}") ;;
	machine) want+=("${machine[@]}") ;;
	*) echo "deps: no set called '$set' (build, demo, test, bench, machine)" >&2; exit 2 ;;
	esac
done

if ! command -v go >/dev/null; then
	echo "deps: Go is missing: install the version that go.mod names, or newer" >&2
	exit 1
fi
if ! command -v dpkg-query >/dev/null; then
	echo "deps: not a Debian system: provide by hand what these packages hold: ${want[*]}" >&2
	exit 1
fi

missing=()
for p in $(printf '%s\n' "${want[@]}" | sort -u); do
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing+=("$p")
done
if [ ${#missing[@]} = 0 ]; then
	echo "deps: nothing to install"
	others
	exit
fi
if [ "$(id -u)" != 0 ]; then
	echo "deps: missing: ${missing[*]}" >&2
	echo "deps: install them as root: apt-get install --no-install-recommends ${missing[*]}" >&2
	exit 1
fi

export DEBIAN_FRONTEND=noninteractive
apt=(apt-get -o DPkg::Lock::Timeout=600 -qq)
echo "deps: apt-get update"
"${apt[@]}" update </dev/null || { echo "deps: apt-get update once more"; sleep 5; "${apt[@]}" update </dev/null; }
echo "deps: installing ${#missing[@]} packages: ${missing[*]}"
log=$(mktemp)
if ! "${apt[@]}" install -y --no-install-recommends "${missing[@]}" </dev/null >"$log" 2>&1; then
	tail -30 "$log" >&2
	echo "deps: apt-get install failed" >&2
	exit 1
fi
rm -f "$log"
others
echo "deps: done"
