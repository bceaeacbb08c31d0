#!/usr/bin/env bash
# wine.sh             make sure that Wine 10 and a fresh Windows made with it exist in a directory of their own, and print it
# wine.sh prefix DIR  make DIR, which must not exist, a fresh Windows (WINEPREFIX)
# wine.sh end DIR     end every program of that Windows, and remove it
#
# It is built once, kept in $STEPAWAY_WINE_DIR (default /opt/stepaway-wine), and built again only when this file changes.
# In it: bin/wine and bin/wineserver to run programs with, and template, a prefix that tests copy and never run in.
#
# Wine 8, which Debian 12 has, cannot run what today's Go compiles. So the packages of the next release of Debian are
# unpacked here with all that they depend on, the C library included, and the two programs are made to use it. Nothing is
# installed. Packages come from the mirror that this machine's apt already uses.
set -euo pipefail

DIR=${STEPAWAY_WINE_DIR:-/opt/stepaway-wine}
ROOT=$DIR/root
SUITE=trixie
LIB=$ROOT/usr/lib/x86_64-linux-gnu
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

mirror() { # the mirror that this machine already uses
	apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -v security | sort -u | head -1
}

unpack() { # the packages and their dependencies into ROOT; apt is shown a system with nothing installed
	local work=$DIR/work apt
	rm -rf "$ROOT" "$work"
	mkdir -p "$ROOT" "$work/state/lists/partial" "$work/cache/archives/partial"
	: >"$work/status"
	echo "deb [signed-by=$KEYRING] $(mirror) $SUITE main" >"$work/sources.list"
	apt=(apt-get -qq -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
		-o Dir::Etc::preferencesparts=/dev/null -o Dir::State="$work/state" -o Dir::State::status="$work/status"
		-o Dir::Cache="$work/cache" -o APT::Sandbox::User=root -o APT::Architecture=amd64 -o APT::Architectures=amd64
		-o Acquire::Languages=none)
	"${apt[@]}" update >&2
	"${apt[@]}" install -y --no-install-recommends --download-only wine64 libwine >&2
	printf '%s\0' "$work"/cache/archives/*.deb | xargs -0 -P "$(nproc)" -I{} dpkg-deb -x {} "$ROOT"
	rm -rf "$work" "$LIB/wine/i386-windows" "$ROOT"/usr/share/{doc,locale,man}
}

relink() { # the two programs use what is in ROOT
	local loader program zlib=$ROOT/usr/x86_64-w64-mingw32/lib/zlib1.dll
	loader=$(readlink -f "$LIB/ld-linux-x86-64.so.2")
	for program in wine64 wineserver64; do
		patchelf --set-interpreter "$loader" --force-rpath \
			--set-rpath "$LIB:$LIB/pulseaudio:$LIB/blas:$LIB/lapack:$ROOT/lib/x86_64-linux-gnu" "$ROOT/usr/lib/wine/$program"
	done
	ln -sfn wineserver64 "$ROOT/usr/lib/wine/wineserver" # otherwise a script that looks in /usr/lib
	ln -sfn . "$ROOT/usr/share/wine/wine"                # where a server that was moved looks for its tables
	# What the package does when it is installed: zlib1.dll is marked as a part of Wine, or user32.dll does not load.
	{
		head -c 64 "$zlib"
		printf 'Wine builtin DLL'
		head -c 16 /dev/zero
		tail -c +97 "$zlib"
	} >"$LIB/wine/x86_64-windows/zlib1.dll"
}

programs() { # bin/wine and bin/wineserver; no questions about Mono and Gecko, no entries in a Linux menu
	mkdir -p "$DIR/bin"
	cat >"$DIR/bin/wine" <<-END
		#!/bin/sh
		export WINEDLLPATH="$LIB/wine" WINEARCH=win64 WINEDEBUG="\${WINEDEBUG:--all}"
		export WINEDLLOVERRIDES="mscoree,mshtml=;winemenubuilder.exe=d"
		exec "$ROOT/usr/lib/wine/wine64" "\$@"
	END
	cat >"$DIR/bin/wineserver" <<-END
		#!/bin/sh
		exec "$ROOT/usr/lib/wine/wineserver64" "\$@"
	END
	chmod +x "$DIR/bin/wine" "$DIR/bin/wineserver"
}

template() ( # a prefix as it is after Windows was started once, with one virtual desktop that has a tray
	export WINEPREFIX=$DIR/template
	unset DISPLAY WAYLAND_DISPLAY
	rm -rf "$WINEPREFIX"
	timeout 300 "$DIR/bin/wine" wineboot -i
	timeout 60 "$DIR/bin/wine" reg add 'HKCU\Software\Wine\Explorer' /v Desktop /d shell /f # only this name has a tray
	timeout 60 "$DIR/bin/wine" reg add 'HKCU\Software\Wine\Explorer\Desktops' /v shell /d 1024x768 /f
	timeout 60 "$DIR/bin/wineserver" -w
	forget "$WINEPREFIX"
) >&2

forget() { # remove where the server of a prefix had its socket: a random name in /tmp, kept in the prefix
	local name
	name=$(cat "$1/wineserver" 2>/dev/null) || return 0
	case $name in wine-??????) rm -rf "/tmp/$name" ;; esac
	rm -f "$1/wineserver"
}

prefix() { # the files of Windows itself are shared with the template, nothing writes them; the registry is not
	mkdir "$1"
	cp -al "$DIR/template/drive_c" "$1/" 2>/dev/null || cp -a "$DIR/template/drive_c" "$1/" # another file system
	cp -a "$DIR/template"/{dosdevices,.update-timestamp,system.reg,user.reg,userdef.reg} "$1/"
	# Where the server has its socket. Two programs that start at once would each make a place, and a server.
	basename "$(mktemp -d /tmp/wine-XXXXXX)" | tr -d '\n' >"$1/wineserver"
	chmod 400 "$1/wineserver"
}

end() {
	[ -f "$1/system.reg" ] || { echo "wine.sh: $1 is no prefix" >&2; exit 1; }
	WINEPREFIX=$1 timeout 60 "$DIR/bin/wineserver" -k || true # fails where none runs
	WINEPREFIX=$1 timeout 60 "$DIR/bin/wineserver" -w
	forget "$1"
	rm -rf "$1"
}

case ${1:-} in
prefix | end) "$1" "$(realpath -m "$2")"; exit ;;
"") ;;
*) echo "wine.sh: nothing called '$1' is done here" >&2; exit 2 ;;
esac
for tool in patchelf dpkg-deb apt-get flock; do
	command -v "$tool" >/dev/null || { echo "wine.sh: $tool is missing: run \`make deps\`" >&2; exit 1; }
done
mkdir -p "$DIR"
exec 9>"$DIR/mutex"
flock 9
stamp=$(sha256sum "${BASH_SOURCE[0]}" | cut -d' ' -f1)
if [ "$(cat "$DIR/stamp" 2>/dev/null)" != "$stamp" ]; then
	rm -f "$DIR/stamp"
	unpack
	relink
	programs
	template
	echo "$stamp" >"$DIR/stamp"
fi
echo "$DIR"
