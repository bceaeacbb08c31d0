#!/usr/bin/env bash
# deps.sh [build|demo|test|bench]...: installs the Debian packages that these need, where missing.
# Takes the mirror that the machine already uses. Does nothing, and needs no root, where nothing is missing.
set -euo pipefail

build=(gcc libc6-dev make git pkg-config libgtk-3-dev libayatana-appindicator3-dev)
demo=(xvfb xauth xdotool xfwm4 xfce4-panel dunst i3lock dbus dbus-x11 libnotify-bin imagemagick x11-utils x11-xserver-utils
	fonts-dejavu-core adwaita-icon-theme libglib2.0-bin procps)
test=(patchelf xclip tigervnc-standalone-server openssh-client xss-lock xfce4-notifyd xsecurelock dbus-user-session mmdebstrap systemd-container strace python3-dbus python3-gi python3-jsonschema python3-yaml libxml2-utils)
bench=(xautolock xss-lock swayidle sway wtype)

want=()
for set in "${@:-build}"; do
	case $set in
	build) want+=("${build[@]}") ;;
	demo) want+=("${demo[@]}") ;;
	test) want+=("${test[@]}") ;;
	bench) want+=("${bench[@]}") ;;
	*) echo "deps: no set called '$set' (build, demo, test, bench)" >&2; exit 2 ;;
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
	exit 0
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
echo "deps: done"
